#include "many.h"

#include <glob.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "client.h"
#include "content.h"
#include "message.h"
#include "server.h"

enum { LANES = 64, WAIT_LIMIT_S = 300, SHORT_JOURNAL = 100 * 1024 };

struct many {
    struct server server;
    unsigned streams, messages; /* of each stream */
    struct client lanes[LANES];
    struct buf text;
};

static bool is_json(unsigned stream) {
    return stream % 2 == 1;
}

static void path_of(unsigned stream, char out[64]) {
    snprintf(out, 64, "/v1/stream/many/%u", stream);
}

/* One request about each stream */

static void ask_write(struct many *many, struct client *client, unsigned stream) {
    char path[64];
    path_of(stream, path);
    buf_clear(&many->text);
    message_body(&many->text, is_json(stream), (struct message){stream, 0, many->messages});
    client_ask(client, many->messages ? "POST" : "PUT", path,
               is_json(stream) ? "Content-Type: application/json\r\n"
                               : "Content-Type: application/octet-stream\r\n",
               buf_slice(&many->text));
}

static void take_write(struct many *many, unsigned stream, const struct answer *answer) {
    if (answer->status != (many->messages ? 204 : 201)) {
        fail("stream %u: writing gives %d %.*s", stream, answer->status, (int)answer->body.len,
             answer->body.ptr);
    }
}

static void ask_read(struct many *many, struct client *client, unsigned stream) {
    char path[64];
    (void)many;
    path_of(stream, path);
    client_ask(client, "GET", path, "", slice_of("", 0));
}

static void take_read(struct many *many, unsigned stream, const struct answer *answer) {
    size_t at = 0;
    buf_clear(&many->text);
    content_add(&many->text, is_json(stream), answer->body);
    bool right = answer->status == 200 && answer->up_to_date;
    for (unsigned i = 0; right && i < many->messages; i++) {
        struct message message = {0};
        right = at < many->text.len &&
                message_read(buf_slice(&many->text), is_json(stream), &at, &message) == MESSAGE_WHOLE &&
                message.stream == stream && message.number == i;
    }
    if (!right || at != many->text.len) {
        fail("stream %u: its content is not what was written: %d, %zu bytes", stream, answer->status,
             many->text.len);
    }
}

typedef void ask_fn(struct many *many, struct client *client, unsigned stream);
typedef void take_fn(struct many *many, unsigned stream, const struct answer *answer);

/* Asks about all streams, one request at a time on each connection. Gives the seconds that took. */
static double ask_all(struct many *many, ask_fn *ask, take_fn *take) {
    unsigned at[LANES], next = 0, answered = 0;
    struct pollfd ready[LANES];
    double begin = seconds_now();
    for (unsigned i = 0; i < LANES; i++) {
        client_connect(&many->lanes[i], many->server.port);
        ready[i] = (struct pollfd){.fd = many->lanes[i].fd, .events = POLLIN};
        at[i] = next;
        if (next < many->streams) {
            ask(many, &many->lanes[i], next++);
        }
    }
    while (answered < many->streams) {
        for (unsigned i = 0; i < LANES; i++) {
            struct client *client = &many->lanes[i];
            struct answer answer;
            if (!client_move(client)) {
                fail("the server ended a connection");
            }
            if (at[i] < many->streams && client_answer(client, &answer)) {
                take(many, at[i], &answer);
                client_drop(client);
                answered++;
                at[i] = next;
                if (next < many->streams) {
                    ask(many, client, next++);
                }
            }
            ready[i].events = (short)(POLLIN | (client->out.len ? POLLOUT : 0));
        }
        poll(ready, LANES, 1);
    }
    for (unsigned i = 0; i < LANES; i++) {
        client_close(&many->lanes[i]);
    }
    return seconds_now() - begin;
}

static void write_all(struct many *many) {
    ask_all(many, ask_write, take_write);
    many->messages++;
}

/* States */

static void show_start(struct many *many, const char *state) {
    uint64_t memory = server_memory(&many->server);
    double seconds = ask_all(many, ask_read, take_read);
    printf("%s: started in %.0f ms, %.1f MB in memory, read in %.1f s\n", state,
           many->server.started_in * 1000, (double)memory / 1e6, seconds);
    fflush(stdout);
}

/* One journal that is short, behind an index: all but a few streams' content is in their files. */
static bool is_tidy(const struct many *many) {
    char path[512];
    glob_t journals, indexes;
    struct stat about;
    snprintf(path, sizeof path, "%s/journal-*", many->server.folder);
    int found = glob(path, 0, NULL, &journals);
    snprintf(path, sizeof path, "%s/index-*", many->server.folder);
    bool tidy = glob(path, 0, NULL, &indexes) == 0 && found == 0 && journals.gl_pathc == 1 &&
                stat(journals.gl_pathv[0], &about) == 0 && about.st_size < SHORT_JOURNAL;
    globfree(&journals);
    globfree(&indexes);
    return tidy;
}

/* Checkpoints come with writes: goes on with a stream of its own until the last one is done. */
static void await_checkpoint(struct many *many) {
    double end = seconds_now() + WAIT_LIMIT_S;
    struct client *client = &many->lanes[0];
    char path[64];
    client_connect(client, many->server.port);
    for (unsigned i = 0; !is_tidy(many); i++) {
        struct answer answer;
        if (seconds_now() > end) {
            fail("no checkpoint in %d s", WAIT_LIMIT_S);
        }
        snprintf(path, sizeof path, "/v1/stream/more/%u", i);
        client_get(client, "PUT", path, &answer);
        client_drop(client);
        nanosleep(&(struct timespec){0, 5000000}, NULL);
    }
    client_close(client);
}

void many_run(const char *program, const char *folder, unsigned streams) {
    static const char *const never[] = {"--checkpoint-size", "1GB", NULL};
    static const char *const soon[] = {"--checkpoint-size", "4KB", NULL};
    struct many many = {.server = {.program = program, .folder = folder}, .streams = streams};
    buf_init(&many.text, SIZE_MAX);
    for (unsigned i = 0; i < LANES; i++) {
        client_init(&many.lanes[i]);
    }
    server_start(&many.server, never);
    printf("no stream: started in %.0f ms, %.1f MB in memory\n", many.server.started_in * 1000,
           (double)server_memory(&many.server) / 1e6);
    write_all(&many);
    server_kill(&many.server);
    server_start(&many.server, never);
    show_start(&many, "killed, all in the journal");
    server_stop(&many.server);
    server_start(&many.server, never);
    show_start(&many, "stopped, all in the journal");
    server_kill(&many.server);
    server_start(&many.server, soon);
    write_all(&many);
    await_checkpoint(&many);
    server_kill(&many.server);
    server_start(&many.server, never);
    show_start(&many, "killed, all in the index");
    write_all(&many);
    server_kill(&many.server);
    server_start(&many.server, never);
    show_start(&many, "killed, all in the index and written to since");
    server_stop(&many.server);
    buf_free(&many.text);
}
