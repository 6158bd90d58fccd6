#include "cli/ask.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { TEXT_MAX = 64 * 1024 };

void answer_init(struct answer *answer) {
    *answer = (struct answer){0};
    buf_init(&answer->offset, TEXT_MAX);
    buf_init(&answer->content_type, TEXT_MAX);
    buf_init(&answer->expires_at, TEXT_MAX);
}

void answer_free(struct answer *answer) {
    buf_free(&answer->offset);
    buf_free(&answer->content_type);
    buf_free(&answer->expires_at);
}

struct asking {
    struct answer *answer;
    struct error *e;
    bool over, lost;
};

static bool keep(struct buf *to, struct slice text) {
    buf_clear(to);
    if (!buf_append_slice(to, text) || !buf_append_byte(to, '\0')) {
        return false;
    }
    to->len--;
    return true;
}

static void on_done(void *user, const struct call_result *result, const struct error *e) {
    struct asking *asking = user;
    struct answer *answer = asking->answer;
    answer->status = result->status;
    answer->has_ttl = result->has_ttl;
    answer->ttl_s = result->ttl_s;
    answer->closed = result->closed;
    answer->created = result->created;
    answer->duplicate = result->duplicate;
    asking->lost = !keep(&answer->offset, result->offset) ||
                   !keep(&answer->content_type, result->content_type) ||
                   !keep(&answer->expires_at, result->expires_at);
    *asking->e = *e;
    asking->over = true;
}

__attribute__((format(printf, 2, 3))) static void add(struct error *e, const char *format, ...) {
    va_list args;
    size_t used = strlen(e->message);
    va_start(args, format);
    vsnprintf(e->message + used, sizeof e->message - used, format, args);
    va_end(args);
}

bool ask(struct client *client, struct call_options options, struct answer *answer, struct error *e) {
    struct asking asking = {.answer = answer, .e = e};
    error_clear(e);
    options.loop = client->loop;
    options.http = client->http;
    options.log = &client->log;
    options.url = client->url;
    options.fields = client->headers.fields.headers;
    options.field_count = client->headers.fields.header_count;
    options.ca_file = client->ca_file;
    options.limit_ms = client->timeout_ms;
    options.retry = &client->retry;
    options.hooks = client_hooks(client);
    options.done = on_done;
    options.user = &asking;
    struct call *call = call_start(&options, e);
    if (!call) {
        return false;
    }
    if (!client_run(client, &asking.over, e)) {
        if (!asking.over) {
            call_cancel(call);
        }
        return false;
    }
    if (e->code == ERROR_NONE && asking.lost) {
        return error_set(e, ERROR_MEMORY, "%s: out of memory for an answer", client->shown);
    }
    if (e->code == ERROR_CONFLICT && options.stream_seq) {
        add(e, "; --seq has to be above the last one, in byte order");
    } else if (e->code != ERROR_NONE) {
        ask_advise(client, options.kind, e);
    }
    return e->code == ERROR_NONE;
}

bool ask_head(struct client *client, struct answer *answer, struct error *e) {
    struct call_options options = {.kind = CALL_HEAD};
    return ask(client, options, answer, e);
}

void ask_advise(const struct client *client, enum call_kind kind, struct error *e) {
    switch (e->code) {
    case ERROR_NOT_FOUND:
        if (kind == CALL_CREATE) {
            add(e, "; is the stream of --fork there?");
        } else {
            add(e, "; weir create %s makes it", client->shown);
        }
        break;
    case ERROR_CLOSED:
        add(e, "; weir read reads it, weir create --fork makes one that goes on from it");
        break;
    case ERROR_CONFLICT:
        if (kind == CALL_CREATE) {
            add(e, "; weir head %s shows what is there", client->shown);
        } else {
            add(e, "; weir head %s shows the stream's content type", client->shown);
        }
        break;
    default:
        if (e->status == 401 || e->status == 403) {
            add(e, "; give credentials: -H 'Authorization: @FILE'");
        } else if (e->status == 413) {
            add(e, "; send less at a time: --batch");
        }
        break;
    }
}

bool ask_put_offset(struct client *client, struct slice offset, struct error *e) {
    struct answer answer;
    answer_init(&answer);
    bool ok = offset.len || ask_head(client, &answer, e);
    struct slice text = offset.len ? offset : buf_slice(&answer.offset);
    ok = ok && ((output_write(&client->output, text.ptr, text.len) &&
                 output_write(&client->output, "\n", 1) && output_flush(&client->output)) ||
                (*e = client->output.e, false));
    answer_free(&answer);
    return ok;
}

bool ask_is_json(const char *content_type) {
    size_t len = strcspn(content_type, "; \t");
    return len == strlen("application/json") && strncasecmp(content_type, "application/json", len) == 0;
}
