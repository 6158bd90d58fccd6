#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/ask.h"
#include "cli/letters.h"
#include "cli/recheck.h"
#include "io/url.h"
#include "stream/source.h"
#include "json/compact.h"
#include "json/read.h"
#include "json/scan.h"
#include "json/text.h"

static const char help[] =
    "Feeds dead letters back: each message that FILE holds is appended again to the stream that it came\n"
    "from, in the order of the file, and taken out of the file. FILE may also be the URL of a stream of\n"
    "dead letters; nothing is taken out of that.\n"
    "A message is stored once: what a retry that was broken off has appended is not appended again by the\n"
    "next one, nor is a message that is in FILE twice because it was read twice. What cannot be appended\n"
    "stays in FILE, is named, and makes the exit code 1.\n"
    "\n"
    "  --to URL                  append to this stream, wherever a message came from\n"
    "  --script SCRIPT           check each event against the schemas of SCRIPT first: what does not fit "
    "stays\n"
    "  --config FILE             as for run, of SCRIPT\n"
    "  --set NAME=VALUE          likewise\n"
    "  --dry-run                 print what would be appended, stream and event, a line each; change "
    "nothing\n"
    "\n"
    "The headers of --header go to every stream that is read or appended to.\n"
    "\n" CLIENT_HELP;

enum { TO = 'a', SCRIPT, CONFIG, SET, DRY_RUN };

static const struct option options[] = {
    {"to", required_argument, NULL, TO},         {"script", required_argument, NULL, SCRIPT},
    {"config", required_argument, NULL, CONFIG}, {"set", required_argument, NULL, SET},
    {"dry-run", no_argument, NULL, DRY_RUN},     CLIENT_OPTIONS,
};

enum { NAMED_MAX = 20, SHOWN_MAX = 512 };

#define EVENT_BYTES_MAX ((size_t)1 << 30)

/* A stream that letters go to. */
struct target {
    char *url;
    char shown[SHOWN_MAX];
    uint64_t stored, before; /* before: by a retry before this one */
    bool failed;             /* for why, which concerns all letters */
    struct error why;
    struct target *next;
};

struct feeding {
    struct client *client;
    const char *to, *script;
    bool dry_run;
    struct config *config; /* of the script; NULL: none was asked for */
    struct recheck *recheck;
    struct letters letters;
    char shown[SHOWN_MAX];  /* where they are, for messages */
    struct target *targets; /* the first used first */
    struct buf event, text; /* of the letter under way */
    uint64_t left;          /* letters that stay */
    bool interrupted;
};

/* ---- the command line ---- */

static bool open_config(struct feeding *feeding) {
    feeding->config = feeding->config ? feeding->config : config_new();
    return feeding->config != NULL;
}

static int take_config(struct feeding *feeding, int answer) {
    struct error e;
    if (!open_config(feeding)) {
        error_set(&e, ERROR_MEMORY, "out of memory");
        return command_fail(&e);
    }
    if (answer == CONFIG) {
        return config_read_file(feeding->config, optarg, &e) ? -1 : command_fail(&e);
    }
    return config_set(feeding->config, optarg, &e)
               ? -1
               : command_misuse(feeding->client->command, "%s", e.message);
}

static int take(struct feeding *feeding, int answer, char **argv) {
    switch (answer) {
    case TO:
        feeding->to = optarg;
        return source_is_url(optarg)
                   ? -1
                   : command_misuse(feeding->client->command,
                                    "--to: expected the http(s) URL of a stream, got \"%s\"", optarg);
    case SCRIPT:
        feeding->script = optarg;
        return *optarg ? -1 : command_misuse(feeding->client->command, "--script is empty");
    case CONFIG:
    case SET:
        return take_config(feeding, answer);
    case DRY_RUN:
        feeding->dry_run = true;
        return -1;
    default:
        return client_option(feeding->client, answer, argv);
    }
}

/* The file or stream; -1, or an exit code. */
static int take_location(struct feeding *feeding, int argc, char **argv) {
    struct client *client = feeding->client;
    if (optind != argc - 1 || !*argv[optind]) {
        return command_misuse(client->command, optind < argc - 1 ? "more than one FILE" : "FILE is missing");
    }
    if (feeding->config && !feeding->script) {
        return command_misuse(client->command, "--config and --set need --script");
    }
    client->url = argv[optind];
    url_redact(client->url, client->shown, sizeof client->shown);
    memcpy(feeding->shown, client->shown, sizeof feeding->shown);
    letters_init(&feeding->letters, argv[optind], feeding->shown);
    return -1;
}

/* ---- where a letter goes ---- */

static struct target *target_of(struct feeding *feeding, const char *url) {
    struct target **at = &feeding->targets;
    while (*at && strcmp((*at)->url, url) != 0) {
        at = &(*at)->next;
    }
    if (!*at) {
        struct target *target = calloc(1, sizeof *target);
        char *copy = strdup(url);
        if (!target || !copy) {
            free(target);
            free(copy);
            return NULL;
        }
        target->url = copy;
        url_redact(url, target->shown, sizeof target->shown);
        *at = target;
    }
    return *at;
}

/* The text that a JSON string stands for, ended by a NUL that len does not count. */
static bool unquote(struct buf *out, struct slice string) {
    buf_clear(out);
    if (!json_unquote(out, string) || !buf_append_byte(out, '\0')) {
        return false;
    }
    out->len--;
    return true;
}

/* NULL with e: it cannot be appended anywhere. */
static struct target *find_target(struct feeding *feeding, const struct letter *letter, struct error *e) {
    if (feeding->to) {
        return target_of(feeding, feeding->to);
    }
    error_clear(e);
    if (!letter->url.ptr) {
        error_set(e, ERROR_ARGUMENT, "it does not say which stream it came from: give one, with --to URL");
        return NULL;
    }
    if (!unquote(&feeding->text, letter->url)) {
        return NULL;
    }
    const char *url = feeding->text.ptr;
    if (!source_is_url(url)) {
        error_set(e, ERROR_ARGUMENT,
                  "it came from %s, which is no stream to append to: give one, with --to URL",
                  strcmp(url, "-") == 0 ? "standard input" : url);
        return NULL;
    }
    if (url_is_redacted(url)) {
        error_set(
            e, ERROR_ARGUMENT,
            "it came from %s, and the secrets of that URL were not written down: give the whole of it, with "
            "--to URL",
            url);
        return NULL;
    }
    return target_of(feeding, url);
}

/* A change's headers without the offset that it had: where it is appended again it gets another. */
static bool put_headers(struct buf *out, struct slice headers) {
    struct json_walk walk;
    struct slice name;
    struct slice value;
    bool first = true;
    bool ok = buf_append_byte(out, '{');
    for (json_walk_open(&walk, headers); ok && json_walk_member(&walk, &name, &value);) {
        if (json_string_is(name, SLICE("offset"))) {
            continue;
        }
        ok = (first || buf_append_byte(out, ',')) && buf_append_slice(out, name) &&
             buf_append_byte(out, ':') && buf_append_slice(out, value);
        first = false;
    }
    return ok && buf_append_byte(out, '}');
}

/* The event as it is to be appended, into out. */
static bool put_event(struct buf *out, struct slice event) {
    struct slice text = json_trim(event);
    struct slice headers = json_kind_of(text) == JSON_OBJECT ? json_member(text, SLICE("headers"))
                                                             : (struct slice){0};
    bool moved = headers.ptr && json_kind_of(headers) == JSON_OBJECT &&
                 json_member(headers, SLICE("operation")).ptr && json_member(headers, SLICE("offset")).ptr;
    if (!moved) {
        return buf_append_slice(out, text);
    }
    const char *behind = headers.ptr + headers.len;
    return buf_append(out, text.ptr, (size_t)(headers.ptr - text.ptr)) && put_headers(out, headers) &&
           buf_append(out, behind, (size_t)(text.ptr + text.len - behind));
}

/* Its event is one value that a JSON stream takes, and fits. */
static bool read_event(struct feeding *feeding, const struct letter *letter, struct error *e) {
    if (!letter->event.ptr) {
        return error_set(e, ERROR_EVENT,
                         letter->is_bytes
                             ? "its message is not UTF-8: a stream of application/json takes none such"
                             : "is no dead letter: expected an object with an event");
    }
    if (!unquote(&feeding->event, letter->event)) {
        return error_set(e, ERROR_MEMORY, "out of memory for its event");
    }
    if (!json_check(buf_slice(&feeding->event), e)) {
        return error_context(e, "its message is no JSON");
    }
    return true;
}

static bool fits(struct feeding *feeding, const struct letter *letter, struct error *e) {
    if (!feeding->recheck) {
        return true;
    }
    struct slice name = SLICE("");
    if (letter->stream.ptr && unquote(&feeding->text, letter->stream)) {
        name = buf_slice(&feeding->text);
    }
    return recheck_event(feeding->recheck, name, buf_slice(&feeding->event), e);
}

/* ---- what becomes of one ---- */

static void keep(struct feeding *feeding, const struct letter *letter, const struct error *e) {
    feeding->left++;
    if (feeding->left <= NAMED_MAX) {
        client_say(feeding->client, "%s: %s %" PRIu64 ": %s", feeding->letters.shown,
                   feeding->letters.is_stream ? "message" : "line", letter->number, e->message);
    } else if (feeding->left == NAMED_MAX + 1) {
        client_say(feeding->client, "%s: and more of them", feeding->letters.shown);
    }
}

/* One letter is to blame, and not the stream or the way to it. */
static bool is_its_own(const struct error *e) {
    return e->status == 400 || e->status == 413 || e->status == 422;
}

static bool append(struct feeding *feeding, struct target *target, const char *id, struct error *e) {
    struct client *client = feeding->client;
    struct answer answer;
    buf_clear(&feeding->text);
    if (!buf_append_byte(&feeding->text, '[') ||
        !buf_append_slice(&feeding->text, buf_slice(&feeding->event)) ||
        !buf_append_byte(&feeding->text, ']')) {
        return error_set(e, ERROR_MEMORY, "out of memory for its event");
    }
    client->url = target->url;
    memcpy(client->shown, target->shown, sizeof client->shown);
    struct call_options call = {
        .kind = CALL_APPEND,
        .content_type = "application/json",
        .body = buf_slice(&feeding->text),
        .producer_id = id,
        .producer_epoch = "0",
        .producer_seq = "0",
    };
    answer_init(&answer);
    bool ok = ask(client, call, &answer, e);
    target->stored += ok && !answer.duplicate;
    target->before += ok && answer.duplicate;
    answer_free(&answer);
    return ok;
}

static bool send_letter(struct feeding *feeding, const struct letter *letter, struct target *target,
                        struct error *e) {
    char id[ONCE_ID];
    if (target->failed) {
        *e = target->why;
        return false;
    }
    if (!letter_identity(letter, id)) {
        return error_set(e, ERROR_MEMORY, "out of memory for its event");
    }
    if (append(feeding, target, id, e)) {
        return true;
    }
    feeding->interrupted = e->code == ERROR_INTERRUPTED;
    target->failed = !is_its_own(e);
    target->why = *e;
    return false;
}

static bool print(struct feeding *feeding, const struct target *target, struct error *e) {
    struct output *output = &feeding->client->output;
    buf_clear(&feeding->text);
    bool ok = put_event(&feeding->text, buf_slice(&feeding->event));
    buf_clear(&feeding->event);
    ok = ok && json_compact(&feeding->event, buf_slice(&feeding->text)) &&
         buf_append_byte(&feeding->event, '\n');
    if (!ok) {
        return error_set(e, ERROR_MEMORY, "out of memory for its event");
    }
    /* A write that fails is told of at the end. */
    return output_write(output, target->shown, strlen(target->shown)) && output_write(output, " ", 1) &&
           output_write(output, feeding->event.ptr, feeding->event.len);
}

static bool deal_with(struct feeding *feeding, struct letter *letter, struct error *e) {
    if (!read_event(feeding, letter, e) || !fits(feeding, letter, e)) {
        return false;
    }
    error_clear(e);
    struct target *target = find_target(feeding, letter, e);
    if (!target) {
        return e->code != ERROR_NONE ? false : error_set(e, ERROR_MEMORY, "out of memory for its stream");
    }
    return feeding->dry_run ? print(feeding, target, e) : send_letter(feeding, letter, target, e);
}

/* ---- the whole ---- */

static void report(const struct feeding *feeding) {
    const struct client *client = feeding->client;
    for (const struct target *target = feeding->targets; target; target = target->next) {
        if (target->before) {
            client_say(client, "%" PRIu64 " appended to %s, and %" PRIu64 " had been before", target->stored,
                       target->shown, target->before);
        } else {
            client_say(client, "%" PRIu64 " appended to %s", target->stored, target->shown);
        }
    }
    if (feeding->left) {
        client_say(client, "%" PRIu64 " %s %s", feeding->left,
                   feeding->letters.is_stream ? "not appended of" : "left in", feeding->letters.shown);
    }
}

static int deal_with_all(struct feeding *feeding) {
    struct letters *letters = &feeding->letters;
    bool some = false;
    struct error e;
    for (size_t i = 0; i < letters->count; i++) {
        struct letter *letter = &letters->items[i];
        if (!feeding->interrupted) {
            letter->done = deal_with(feeding, letter, &e);
        }
        some = some || letter->done;
        if (!letter->done && !feeding->interrupted) {
            keep(feeding, letter, &e);
        }
    }
    if (feeding->dry_run) {
        int code = client_flush(feeding->client);
        return code == EXIT_DONE && feeding->left ? EXIT_FAILED : code;
    }
    bool kept = !some || letters_keep_rest(letters, &e);
    report(feeding);
    if (!kept) {
        return command_fail(&e);
    }
    if (feeding->interrupted) {
        error_set(&e, ERROR_INTERRUPTED, "interrupted");
        return command_fail(&e);
    }
    return feeding->left ? EXIT_FAILED : EXIT_DONE;
}

static bool open_recheck(struct feeding *feeding, struct error *e) {
    if (!feeding->script) {
        return true;
    }
    if (!open_config(feeding)) {
        return error_set(e, ERROR_MEMORY, "out of memory");
    }
    if (!config_read_environment(feeding->config, e)) {
        return false;
    }
    config_forget_data(feeding->config); /* that folder is a worker's */
    feeding->recheck = recheck_open(feeding->script, feeding->config, e);
    return feeding->recheck != NULL;
}

static int work_with(struct feeding *feeding, int argc, char **argv) {
    struct error e;
    int code = -1;
    for (int answer; code < 0 && (answer = client_next(argc, argv, options)) != -1;) {
        code = take(feeding, answer, argv);
    }
    code = code < 0 ? take_location(feeding, argc, argv) : code;
    if (code >= 0) {
        return code;
    }
    if (!open_recheck(feeding, &e) || !client_open(feeding->client, &e) ||
        !letters_read(&feeding->letters, feeding->client, &e)) {
        return command_fail(&e);
    }
    return deal_with_all(feeding);
}

static int work(struct client *client, int argc, char **argv) {
    struct feeding feeding = {.client = client};
    letters_init(&feeding.letters, "", feeding.shown);
    buf_init(&feeding.event, EVENT_BYTES_MAX);
    buf_init(&feeding.text, EVENT_BYTES_MAX);
    int code = work_with(&feeding, argc, argv);
    while (feeding.targets) {
        struct target *target = feeding.targets;
        feeding.targets = target->next;
        free(target->url);
        free(target);
    }
    letters_free(&feeding.letters);
    recheck_close(feeding.recheck);
    config_free(feeding.config);
    buf_free(&feeding.event);
    buf_free(&feeding.text);
    return code;
}

static int run(const struct command *command, int argc, char **argv) {
    return client_command(command, argc, argv, work);
}

const struct command command_retry = {
    .name = "retry",
    .usage = "FILE|URL [--to URL] [--script SCRIPT [--config FILE] [--set NAME=VALUE]...] [--dry-run]",
    .summary = "append dead letters again to where they came from",
    .help = help,
    .run = run,
};
