/* server/parser.h and server/target.h: what comes on a connection, in pieces and all at once: the same
 * requests, the same refusal at the same place, and no request that two servers could read in two ways.
 *
 * The whole input, behind the bytes that say how it is cut, is what one client sends. */
#include <string.h>

#include "fuzz.h"
#include "server/etag.h"
#include "server/parser.h"
#include "server/target.h"

enum { BODY_MAX = 64 * 1024, LOG_MAX = 4 * 1024 * 1024 };

static void check_path(const struct request *request) {
    struct slice path;
    struct slice query;
    struct buf once;
    struct buf twice;
    struct buf value;
    struct error e;
    buf_init(&once, REQUEST_PATH_MAX);
    buf_init(&twice, REQUEST_PATH_MAX);
    buf_init(&value, BODY_MAX);
    if (target_split(request->target, &path, &query) && target_normalise(&once, path, &e)) {
        FUZZ_CHECK(once.len && once.ptr[0] == '/', "%.*s", (int)once.len, once.ptr);
        FUZZ_CHECK(!memmem(once.ptr, once.len, "/../", 4), "%.*s", (int)once.len, once.ptr);
        FUZZ_CHECK(target_normalise(&twice, buf_slice(&once), &e), "%s", e.message);
        FUZZ_CHECK(slice_equal(buf_slice(&once), buf_slice(&twice)), "%.*s, then %.*s", (int)once.len,
                   once.ptr, (int)twice.len, twice.ptr);
        struct request asked = {.query = query};
        request_param(&asked, "offset", &value);
        request_param(&asked, "live", &value);
    }
    (void)etag_matches(request->fields[FIELD_IF_NONE_MATCH], "\"1:0:1\"");
    buf_free(&once);
    buf_free(&twice);
    buf_free(&value);
}

/* One request as a line, and what must hold of any. */
static void tell(struct buf *log, const struct request *request) {
    buf_printf(log, "%d %d%d target %.*s body %.*s\n", (int)request->method, request->http10,
               request->keep_alive, (int)request->target.len, request->target.ptr, (int)request->body.len,
               request->body.ptr ? request->body.ptr : "");
    for (unsigned field = 0; field < FIELD_COUNT; field++) {
        struct slice value = request->fields[field];
        if (value.ptr) {
            FUZZ_CHECK(!memchr(value.ptr, '\r', value.len) && !memchr(value.ptr, '\n', value.len),
                       "a line end");
            buf_printf(log, "%s: %.*s\n", request_field_name((enum request_field)field), (int)value.len,
                       value.ptr);
        }
    }
    FUZZ_CHECK(!(request->has_length && request->fields[FIELD_TRANSFER_ENCODING].ptr), "two lengths");
    FUZZ_CHECK(!request->has_length || request->length == request->body.len, "%zu bytes", request->body.len);
    check_path(request);
}

/* False: no further request is taken. */
static bool step(struct parser *parser, struct request *request, enum parser_step said, const struct error *e,
                 struct buf *log) {
    if (said == PARSER_BAD) {
        FUZZ_CHECK(e->status >= 400 && e->status < 600 && e->message[0], "status %d: %s", e->status,
                   e->message);
        buf_printf(log, "refused %d\n", e->status); /* the words depend on what of a trailer has come */
        return false;
    }
    if (said == PARSER_DONE) {
        tell(log, request);
        request_reset(request);
        parser_reset(parser);
    }
    return true;
}

static void run(struct slice text, struct fuzz_cut *cut, struct buf *log) {
    struct request request;
    request_init(&request, BODY_MAX);
    struct parser *parser = parser_new(&request);
    FUZZ_CHECK(parser, "out of memory");
    bool going = true;
    while (going && text.len) {
        struct slice piece = fuzz_copy(slice_of(text.ptr, fuzz_cut_next(cut, text.len)));
        struct slice left = piece;
        bool more = true;
        while (going && more) {
            struct error e;
            size_t used;
            enum parser_step said = parser_feed(parser, left.ptr, left.len, &used, &e);
            FUZZ_CHECK(used <= left.len, "%zu of %zu", used, left.len);
            left = slice_of(left.ptr + used, left.len - used);
            more = said == PARSER_HEAD || (said == PARSER_DONE && left.len);
            FUZZ_CHECK(said != PARSER_MORE || left.len == 0, "%zu bytes were not taken", left.len);
            going = step(parser, &request, said, &e, log);
        }
        text = slice_of(text.ptr + piece.len, text.len - piece.len);
        fuzz_drop(piece);
    }
    parser_free(parser);
    request_free(&request);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct fuzz_input input = fuzz_open(data, size);
    struct fuzz_cut cut = fuzz_cut_of(&input);
    struct fuzz_cut whole = {0};
    struct slice text = fuzz_rest(&input);
    struct buf pieces;
    struct buf once;
    buf_init(&pieces, LOG_MAX);
    buf_init(&once, LOG_MAX);
    run(text, &whole, &once);
    run(text, &cut, &pieces);
    fuzz_same(&once, &pieces, "requests");
    buf_free(&pieces);
    buf_free(&once);
    return 0;
}
