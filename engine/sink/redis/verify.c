#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "sink/redis/parts.h"

/* Of each type: its rows in the state are asked for, page by page (what is missing, what is other), then what the
 * server has is walked through (what is extra), then, in a repair, its count is set right. */

enum { PAGE_ROWS = 500, PAGE_BYTES = 4 << 20, SCAN_COUNT = 500 };

enum step { TYPES, ROWS, SCAN, REPAIR, COUNT };

struct redis_verify {
    const struct store *store;
    bool repair;
    enum step step, after; /* after: what a repair goes on with */
    struct strmap known;   /* types, of the state and of the server */
    struct slice *types;   /* keys of `known` */
    size_t type_count, type;
    uint32_t *order; /* the rows of the present type */
    size_t row_count, row, page;
    char *cursor; /* of the scan; owned */
    uint64_t rows;
    struct buf extra; /* keys to be removed, each behind its length */
    size_t extra_count;
    struct buf wrong; /* rows (size_t) to be put */
};

void redis_verify_free(struct redis_verify *verify) {
    if (verify) {
        strmap_free(&verify->known, NULL);
        buf_free(&verify->extra);
        buf_free(&verify->wrong);
        free(verify->types);
        free(verify->order);
        free(verify->cursor);
        free(verify);
    }
}

static void fail_memory(struct redis_sink *s) {
    error_set(&s->error, ERROR_MEMORY, "%s: out of memory while it was compared", s->sink.name);
    redis_sink_end(s);
}

static struct slice type_of(const struct redis_verify *v) {
    return v->types[v->type];
}

static void tell(struct redis_sink *s, enum sink_difference difference, const struct store_row *row) {
    if (s->sink.host.difference) {
        s->sink.host.difference(s->sink.host.user, &s->sink, difference, row, type_of(s->verify));
    }
}

static void put_type_key(struct redis_sink *s) {
    struct buf key;
    buf_init(&key, (size_t)1 << 30);
    if (redis_keys_put_type(&s->keys, &key, type_of(s->verify))) {
        redis_command_add(&s->command, buf_slice(&key));
    } else {
        s->command.failed = true;
    }
    buf_free(&key);
}

static void start_plain(struct redis_sink *s, const char *command) {
    redis_command_start(&s->command);
    s->command.is_plain = true;
    redis_command_text(&s->command, command);
}

/* ---- steps: each sends one command, and can be taken again ---- */

static void send_types(struct redis_sink *s) {
    start_plain(s, "HKEYS");
    redis_sink_put_key(s, "types");
    redis_sink_send(s);
}

static void send_rows(struct redis_sink *s) {
    struct redis_verify *v = s->verify;
    start_plain(s, "HMGET");
    put_type_key(s);
    size_t bytes = 0;
    for (v->page = 0; v->row + v->page < v->row_count && v->page < PAGE_ROWS && bytes < PAGE_BYTES;
         v->page++) {
        struct store_row row;
        store_row(v->store, v->order, v->row_count, v->row + v->page, &row);
        redis_command_add(&s->command, row.key);
        bytes += row.value.len;
    }
    redis_sink_send(s);
}

static void send_scan(struct redis_sink *s) {
    start_plain(s, "HSCAN");
    put_type_key(s);
    redis_command_text(&s->command, s->verify->cursor);
    redis_command_text(&s->command, "COUNT");
    redis_command_number(&s->command, SCAN_COUNT);
    redis_sink_send(s);
}

static struct slice next_extra(const struct buf *extra, size_t *at) {
    size_t len;
    memcpy(&len, extra->ptr + *at, sizeof len);
    struct slice key = slice_of(extra->ptr + *at + sizeof len, len);
    *at += sizeof len + len;
    return key;
}

static void put_wrong(struct redis_sink *s) {
    struct redis_verify *v = s->verify;
    size_t count = v->wrong.len / sizeof(size_t);
    if (count == 0) {
        return;
    }
    redis_command_text(&s->command, "p");
    redis_command_number(&s->command, 1);
    redis_command_number(&s->command, count);
    for (size_t i = 0; i < count; i++) {
        size_t at;
        struct store_row row;
        memcpy(&at, v->wrong.ptr + i * sizeof at, sizeof at);
        store_row(v->store, v->order, v->row_count, at, &row);
        redis_command_add(&s->command, row.key);
        redis_command_add(&s->command, row.value);
    }
}

static void put_extra(struct redis_sink *s) {
    struct redis_verify *v = s->verify;
    size_t at = 0;
    for (size_t left = v->extra_count; left > 0;) {
        size_t count = left < PAGE_ROWS ? left : PAGE_ROWS;
        redis_command_text(&s->command, "d");
        redis_command_number(&s->command, 1);
        redis_command_number(&s->command, count);
        for (size_t i = 0; i < count; i++) {
            redis_command_add(&s->command, next_extra(&v->extra, &at));
        }
        left -= count;
    }
}

static void send_repair(struct redis_sink *s) {
    redis_sink_call(s, 1);
    put_type_key(s);
    redis_command_text(&s->command, "repair");
    redis_command_number(&s->command, s->sink.epoch);
    put_wrong(s);
    put_extra(s);
    redis_sink_send(s);
}

static void take_step(struct redis_sink *s) {
    switch (s->verify->step) {
    case TYPES:
        send_types(s);
        break;
    case ROWS:
        send_rows(s);
        break;
    case SCAN:
        send_scan(s);
        break;
    case REPAIR:
    case COUNT:
        send_repair(s);
        break;
    }
}

static bool set_cursor(struct redis_verify *v, const char *cursor) {
    char *copy = strdup(cursor);
    free(v->cursor);
    v->cursor = copy;
    return copy != NULL;
}

static bool begin_scan(struct redis_verify *v) {
    v->step = SCAN;
    return set_cursor(v, "0");
}

/* The present type, from its start; or the end. False: out of memory. */
static bool begin_type(struct redis_sink *s) {
    struct redis_verify *v = s->verify;
    if (v->type == v->type_count) {
        redis_sink_end(s);
        return true;
    }
    free(v->order);
    v->row = 0;
    v->order = store_order(v->store, type_of(v), &v->row_count);
    if (!v->order && store_count(v->store, type_of(v)) > 0) {
        return false;
    }
    v->rows += v->row_count;
    if (v->row_count > 0) {
        v->step = ROWS;
    } else if (!begin_scan(v)) {
        return false;
    }
    take_step(s);
    return true;
}

/* Sends the repairs that are due, then goes on with `after`. */
static void repair_or(struct redis_sink *s, enum step after) {
    struct redis_verify *v = s->verify;
    bool is_due = v->repair && (v->wrong.len > 0 || v->extra_count > 0);
    v->after = after;
    v->step = is_due ? REPAIR : after;
    take_step(s);
}

/* ---- replies ---- */

static bool know(struct redis_verify *v, struct slice type) {
    return strmap_get(&v->known, type) || strmap_put(&v->known, type, v);
}

static bool list_types(struct redis_verify *v) {
    size_t count;
    struct slice *own = store_types(v->store, &count);
    bool ok = own || count == 0;
    for (size_t i = 0; ok && i < count; i++) {
        ok = know(v, own[i]);
    }
    free(own);
    free(v->types);
    v->types = ok ? calloc(v->known.count + 1, sizeof *v->types) : NULL;
    v->type = v->type_count = 0;
    size_t at = 0;
    for (const struct strmap_entry *entry; v->types && (entry = strmap_next(&v->known, &at));) {
        v->types[v->type_count++] = entry->key;
    }
    return v->types != NULL;
}

static bool take_types(struct redis_sink *s, const redisReply *reply) {
    struct redis_verify *v = s->verify;
    struct buf type;
    bool ok = true;
    buf_init(&type, (size_t)1 << 30);
    for (size_t i = 0; ok && i < reply->elements; i++) {
        buf_clear(&type);
        ok = redis_keys_decode(&type, slice_of(reply->element[i]->str, reply->element[i]->len)) &&
             know(v, buf_slice(&type));
    }
    buf_free(&type);
    return ok && list_types(v) && begin_type(s);
}

static bool take_rows(struct redis_sink *s, const redisReply *reply) {
    struct redis_verify *v = s->verify;
    bool ok = true;
    buf_clear(&v->wrong);
    for (size_t i = 0; ok && i < reply->elements && i < v->page; i++) {
        const redisReply *found = reply->element[i];
        struct store_row row;
        size_t at = v->row + i;
        store_row(v->store, v->order, v->row_count, at, &row);
        bool is_there = found->type == REDIS_REPLY_STRING;
        if (is_there && slice_equal(slice_of(found->str, found->len), row.value)) {
            continue;
        }
        tell(s, is_there ? SINK_OTHER : SINK_MISSING, &row);
        ok = !v->repair || buf_append(&v->wrong, &at, sizeof at);
    }
    v->row += v->page;
    bool is_last = v->row >= v->row_count;
    if (ok && (!is_last || set_cursor(v, "0"))) {
        repair_or(s, is_last ? SCAN : ROWS);
        return true;
    }
    return false;
}

static bool keep_extra(struct redis_verify *v, struct slice key) {
    v->extra_count++;
    return buf_append(&v->extra, &key.len, sizeof key.len) && buf_append_slice(&v->extra, key);
}

static bool end_type(struct redis_sink *s) {
    struct redis_verify *v = s->verify;
    if (v->repair) {
        repair_or(s, COUNT);
        return true;
    }
    v->type++;
    return begin_type(s);
}

/* Cursor and (key, value) pairs. What is there twice while the table grows is told once or twice. */
static bool take_scan(struct redis_sink *s, const redisReply *reply) {
    struct redis_verify *v = s->verify;
    const char *cursor = redis_sink_text(reply, 0);
    const redisReply *list = cursor && reply->elements == 2 ? reply->element[1] : NULL;
    if (!list) {
        redis_sink_refuse(s, reply);
        return true;
    }
    bool ok = set_cursor(v, cursor);
    for (size_t i = 0; ok && i + 1 < list->elements; i += 2) {
        struct slice key = slice_of(list->element[i]->str, list->element[i]->len);
        if (store_get(v->store, type_of(v), key).ptr) {
            continue;
        }
        struct store_row row = {.key = key, .value = slice_of("", 0)};
        tell(s, SINK_EXTRA, &row);
        ok = !v->repair || keep_extra(v, key);
    }
    if (!ok) {
        return false;
    }
    if (strcmp(v->cursor, "0") == 0) {
        return end_type(s);
    }
    repair_or(s, SCAN);
    return true;
}

static bool take_repair(struct redis_sink *s, const redisReply *reply) {
    struct redis_verify *v = s->verify;
    if (!redis_sink_is(reply, "DONE")) {
        redis_sink_refuse(s, reply);
        return true;
    }
    buf_clear(&v->wrong);
    buf_clear(&v->extra);
    v->extra_count = 0;
    if (v->step == COUNT) {
        v->type++;
        return begin_type(s);
    }
    v->step = v->after;
    take_step(s);
    return true;
}

static void verify_reply(struct redis_sink *s, const redisReply *reply) {
    bool ok = false;
    if (reply->type != REDIS_REPLY_ARRAY) {
        redis_sink_refuse(s, reply);
        return;
    }
    outage_over(&s->outage, loop_now(s->loop));
    switch (s->verify->step) {
    case TYPES:
        ok = take_types(s, reply);
        break;
    case ROWS:
        ok = take_rows(s, reply);
        break;
    case SCAN:
        ok = take_scan(s, reply);
        break;
    case REPAIR:
    case COUNT:
        ok = take_repair(s, reply);
        break;
    }
    if (!ok) {
        fail_memory(s);
    }
}

static void verify_resume(struct redis_sink *s, bool fresh) {
    (void)fresh;
    take_step(s);
}

static void verify_end(struct redis_sink *s, const struct error *e) {
    uint64_t rows = s->verify ? s->verify->rows : 0;
    redis_verify_free(s->verify);
    s->verify = NULL;
    s->sink.host.verified(s->sink.host.user, &s->sink, rows, e);
}

static const struct redis_job verifying = {verify_resume, verify_reply, verify_end};

void redis_sink_verify(struct sink *sink, const struct store *store, bool repair) {
    struct redis_sink *s = (struct redis_sink *)sink;
    struct redis_verify *v = s->verify = calloc(1, sizeof *v);
    if (!v) {
        s->job = &verifying;
        fail_memory(s);
        return;
    }
    v->store = store;
    v->repair = repair && !s->read_only;
    strmap_init(&v->known);
    buf_init(&v->extra, (size_t)1 << 30);
    buf_init(&v->wrong, (size_t)1 << 30);
    redis_sink_start(s, &verifying);
}
