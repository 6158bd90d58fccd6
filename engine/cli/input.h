/* What `weir append` reads from a file or standard input, cut into what is to be appended. It is read as it
 * is taken: memory holds one message and what a few reads bring. */
#ifndef CLI_INPUT_H
#define CLI_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/slice.h"
#include "io/loop.h"
#include "message/slicer.h"
#include "stream/source.h"

enum input_kind {
    INPUT_JSON,       /* the elements of one array, or one value a line */
    INPUT_JSON_LINES, /* one value a line, arrays too */
    INPUT_LINES,      /* lines of any bytes, each with its line end; the last may have none */
    INPUT_BYTES,
};

/* Of a JSON message, its text without white space around it. */
enum input_answer {
    INPUT_TAKEN,
    INPUT_LATER, /* not now: it is offered again after input_resume */
    INPUT_STOP,  /* input_close was called */
};

struct input_options {
    struct loop *loop;
    const struct log *log;
    const char *path; /* "-": standard input */
    enum input_kind kind;
    bool text;    /* INPUT_BYTES: cut between the characters of UTF-8 */
    size_t block; /* INPUT_BYTES: every piece but the last has this size (less up to 3 bytes with text); 0:
                     whatever has come */
    void *user;
    /* Called from the loop; it may call any function below. */
    enum input_answer (*take)(void *user, struct slice message);
    /* Once, at last: e->code is ERROR_NONE at the end, else what is wrong and where. */
    void (*over)(void *user, const struct error *e);
};

struct input {
    struct input_options o;
    struct source *source;
    struct slicer slicer;
    struct buf window;  /* read and not taken */
    struct buf refused; /* the message that is to be offered again; empty: none */
    size_t at;          /* of the window, taken */
    size_t searched;    /* INPUT_LINES: bytes behind `at` without a line end */
    uint64_t lines;     /* line ends taken */
    bool paused, ended, closed;
    bool source_paused;
    struct loop_task task; /* goes on after a resume */
};

/* Starts reading in a later turn. False with e: it cannot be opened; nothing is to be closed. */
bool input_open(struct input *input, const struct input_options *options, struct error *e);

/* No further message until input_resume. They do not nest. */
void input_pause(struct input *input);
void input_resume(struct input *input);

/* Ends it without any further callback; repeating it does no harm. */
void input_close(struct input *input);

#endif
