#include "worker/marks.h"

#include <stdlib.h>
#include <string.h>

#include "base/list.h"

static void free_mark(struct mark *mark) {
    free(mark->offset);
    free(mark->error);
}

void marks_clear(struct marks *marks) {
    for (size_t i = 0; i < marks->count; i++) {
        free_mark(&marks->marks[marks->first + i]);
    }
    marks->first = marks->count = 0;
}

void marks_free(struct marks *marks) {
    marks_clear(marks);
    free(marks->marks);
    *marks = (struct marks){0};
}

struct mark *marks_first(const struct marks *marks) {
    return marks->count ? &marks->marks[marks->first] : NULL;
}

void marks_pop(struct marks *marks) {
    free_mark(marks_first(marks));
    marks->first++;
    marks->count--;
}

/* Room for one more behind the last. */
static bool reserve(struct marks *marks) {
    if (marks->first + marks->count < marks->room) {
        return true;
    }
    if (marks->first > marks->room / 2) {
        memmove(marks->marks, marks->marks + marks->first, marks->count * sizeof *marks->marks);
        marks->first = 0;
        return true;
    }
    struct mark *grown = list_room(marks->marks, marks->first + marks->count, &marks->room, 16,
                                   sizeof *grown);
    marks->marks = grown ? grown : marks->marks;
    return grown;
}

bool marks_init(struct marks *marks) {
    *marks = (struct marks){0};
    return reserve(marks);
}

void marks_add(struct marks *marks, struct mark mark) {
    if (reserve(marks)) {
        marks->marks[marks->first + marks->count++] = mark;
        return;
    }
    free_mark(&mark);
    if (marks->count > 0) {
        marks->marks[marks->first + marks->count - 1].kind = MARK_FAIL;
    }
}
