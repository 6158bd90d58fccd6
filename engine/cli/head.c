#include <inttypes.h>

#include "cli/ask.h"
#include "json/text.h"

static const char help[] =
    "Prints what a stream is as one JSON object: url, contentType, offset (where it ends), closed, and\n"
    "ttlSeconds and expiresAt where it has them.\n"
    "\n" CLIENT_HELP;

/* A member whose value is text; left out where it is empty. */
static bool put_text(struct buf *out, const char *name, struct slice value, struct error *e) {
    if (value.len == 0) {
        return true;
    }
    return (buf_printf(out, "%s\"%s\":", out->len > 1 ? "," : "", name) && json_quote(out, value, e)) ||
           error_context(e, "%s", name);
}

static bool put(struct client *client, const struct answer *answer, struct error *e) {
    struct buf *out = &client->output.buf;
    error_set(e, ERROR_MEMORY, "out of memory");
    bool ok = buf_append_byte(out, '{') && put_text(out, "url", slice_from(client->shown), e) &&
              put_text(out, "contentType", buf_slice(&answer->content_type), e) &&
              put_text(out, "offset", buf_slice(&answer->offset), e) &&
              buf_printf(out, ",\"closed\":%s", answer->closed ? "true" : "false") &&
              (!answer->has_ttl || buf_printf(out, ",\"ttlSeconds\":%" PRIu64, answer->ttl_s)) &&
              put_text(out, "expiresAt", buf_slice(&answer->expires_at), e) && buf_append_text(out, "}\n");
    if (!ok) {
        buf_clear(out);
    }
    return ok;
}

static int work(struct client *client, int argc, char **argv) {
    struct answer answer;
    struct error e;
    int code = client_only_url(client, argc, argv);
    if (code >= 0) {
        return code;
    }
    answer_init(&answer);
    bool ok = client_open(client, &e) && ask_head(client, &answer, &e) && put(client, &answer, &e);
    answer_free(&answer);
    return ok ? client_flush(client) : command_fail(&e);
}

static int run(const struct command *command, int argc, char **argv) {
    return client_command(command, argc, argv, work);
}

const struct command command_head = {
    .name = "head",
    .usage = "URL",
    .summary = "say what a stream is, and where it ends",
    .help = help,
    .run = run,
};
