/* Marks: a queue of places in a stream of bytes where something happens. */
#ifndef WORKER_MARKS_H
#define WORKER_MARKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "message/slicer.h"

enum mark_kind { MARK_BEGIN, MARK_END, MARK_ABORT, MARK_EOF, MARK_FAIL };

struct mark {
    uint64_t at; /* counted from the first byte ever */
    enum mark_kind kind;
    enum slicer_format format; /* BEGIN */
    char *offset;              /* END; owned */
    bool up_to_date, closed;   /* END */
    struct error *error;       /* FAIL; owned. NULL: out of memory */
};

struct marks {
    struct mark *marks;
    size_t first, count, room;
};

/* Makes room for one, so that the last word can always be kept. False: out of memory. */
bool marks_init(struct marks *marks);
void marks_free(struct marks *marks);

/* Takes the mark over. Where there is no memory, the last one that is there becomes a failure: there is no
 * other way to say it. */
void marks_add(struct marks *marks, struct mark mark);

/* NULL: there is none. */
struct mark *marks_first(const struct marks *marks);
void marks_pop(struct marks *marks);
void marks_clear(struct marks *marks);

/* The n-th that waits, n < count. */
static inline const struct mark *marks_at(const struct marks *marks, size_t n) {
    return &marks->marks[marks->first + n];
}

#endif
