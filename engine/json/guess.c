#include "json/guess.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "json/guess_node.h"
#include "json/scan.h"
#include "json/scanner.h"

enum {
    MARGIN = 64, /* bytes before the limit of a window in which nothing is learned */
    NO_PART = JSON_GUESS_PARTS_MAX,
    FIRST_NODES = 32,
    FIRST_COURSES = 4,

    /* Guessing is judged once in so many tries. */
    WINDOW = 256,
    HITS_WANTED = WINDOW / 3, /* with fewer, trying costs more than it saves */
    MISSES_MAX = WINDOW / 4,  /* of one scalar's length */
    VARIES_WINDOWS = 32,      /* until its length is looked at again */
    LESSONS = 64,             /* messages learned in a window, as long as that helps */
    PAUSE_MIN = 4096,         /* messages left alone behind a window without success; doubled each time */
    PAUSE_MAX = 1 << 20,
};

/* A place in a message: so many bytes behind the start of a glue. */
struct bound {
    uint8_t step;
    uint8_t offset;
};

/* A part that a message has. */
struct extent {
    struct bound from, to;
    uint8_t which; /* NO_PART: there are no more */
};

struct json_guess {
    unsigned parts;
    struct guess_node *nodes;
    size_t node_count; /* the root among them, if there is any */
    size_t node_room;
    struct extent *courses; /* `parts` and one for each end of a message */
    size_t course_count;
    size_t course_room;

    unsigned windows;
    unsigned tries, hits; /* in this window */
    unsigned lessons;     /* left in this window */
    unsigned lessons_max;
    unsigned pause;   /* of the last window without success */
    unsigned waiting; /* messages still to be left alone */
};

struct json_guess *json_guess_new(unsigned parts) {
    struct json_guess *guess = calloc(1, sizeof *guess);
    if (guess) {
        guess->parts = parts;
        guess->lessons = guess->lessons_max = LESSONS;
    }
    return guess;
}

void json_guess_free(struct json_guess *guess) {
    if (guess) {
        free(guess->nodes);
        free(guess->courses);
        free(guess);
    }
}

/* Guessing */

static void forget(struct json_guess *guess) {
    guess->node_count = 0;
    guess->course_count = 0;
}

/* No longer expects lengths that came out wrong too often; tries again now and then. */
static void judge_scalars(struct json_guess *guess) {
    for (size_t i = 0; i < guess->node_count; i++) {
        struct guess_node *node = &guess->nodes[i];
        if (node->misses > MISSES_MAX) {
            node->scalar = GUESS_VARIES;
        } else if (node->scalar == GUESS_VARIES && guess->windows % VARIES_WINDOWS == 0) {
            node->scalar = 0;
        }
        node->misses = 0;
    }
}

/* Ends a window. Without success all is forgotten: either the stream has other shapes now (the first time
 * that may well be), or it has none. */
static void judge(struct json_guess *guess) {
    guess->windows++;
    judge_scalars(guess);
    if (guess->hits < HITS_WANTED) {
        forget(guess);
        guess->waiting = guess->pause;
        guess->pause = guess->pause ? guess->pause * 2 : PAUSE_MIN;
        guess->pause = guess->pause > PAUSE_MAX ? PAUSE_MAX : guess->pause;
        guess->lessons_max = LESSONS;
    } else {
        guess->pause = guess->pause > PAUSE_MIN ? guess->pause / 2 : 0;
        if (guess->lessons == 0) {
            /* What it learns does not come again. */
            guess->lessons_max = guess->lessons_max > 1 ? guess->lessons_max / 2 : 1;
        } else if (guess->lessons == guess->lessons_max && guess->lessons_max < LESSONS) {
            guess->lessons_max *= 2;
        }
    }
    guess->lessons = guess->lessons_max;
    guess->tries = guess->hits = 0;
}

bool json_guess_walk(struct json_guess *guess, const struct json_scanner *scanner, const char **at,
                     const char *end, struct slice *part, bool *escaped) {
    const char *places[GUESS_STEPS_MAX + 1];
    struct guess_way way;
    if (guess->node_count == 0) {
        return false;
    }
    const char *behind = scanner->walk(guess->nodes, *at, end, places, &way);
    if (!behind) {
        return false;
    }
    const struct extent *extent = guess->courses + (size_t)way.course * (guess->parts + 1);
    for (; extent->which != NO_PART; extent++) {
        const char *from = places[extent->from.step] + extent->from.offset;
        const char *to = places[extent->to.step] + extent->to.offset;
        part[extent->which] = slice_of(from, (size_t)(to - from));
    }
    *escaped = way.escaped;
    *at = behind;
    return true;
}

bool json_guess_scan(struct json_guess *guess, const char **at, const char *end, struct slice *part,
                     bool *escaped) {
    if (guess->waiting > 0) {
        guess->waiting--;
        return false;
    }
    if (guess->node_count == 0) {
        return false;
    }
    bool hit = json_guess_walk(guess, json_scanner_best(), at, end, part, escaped);
    guess->hits += hit;
    if (++guess->tries == WINDOW) {
        judge(guess);
    }
    return hit;
}

/* Learning */

struct step {
    const char *at;
    uint8_t len;
    uint8_t kind;
};

/* A message, cut up. */
struct lesson {
    struct step steps[GUESS_STEPS_MAX];
    size_t count;
};

static bool add_step(struct lesson *lesson, const char *at, const char *to, enum guess_kind kind) {
    for (;;) {
        size_t len = (size_t)(to - at);
        if (lesson->count == GUESS_STEPS_MAX) {
            return false;
        }
        struct step *step = &lesson->steps[lesson->count++];
        step->at = at;
        step->len = (uint8_t)(len > GUESS_GLUE_MAX ? GUESS_GLUE_MAX : len);
        step->kind = len > GUESS_GLUE_MAX ? GUESS_MORE : kind;
        if (len <= GUESS_GLUE_MAX) {
            return true;
        }
        at += GUESS_GLUE_MAX;
    }
}

static bool is_bare(char c) {
    return (c >= '0' && c <= '9') || c == '-' || c == 't' || c == 'f' || c == 'n';
}

static const char *skip_bare(const char *at, const char *end) {
    while (at < end && !strchr(",]} \t\r\n", *at)) {
        at++;
    }
    return at;
}

/* Cuts up a valid message. False: it has too many parts. */
static bool cut_up(struct lesson *lesson, const char *start, const char *end) {
    const struct json_scanner *scanner = json_scanner_best();
    const char *glue = start;
    const char *at = start;
    bool escaped;
    lesson->count = 0;
    while (at < end) {
        if (*at == '"') {
            const char *behind = scanner->string(at, end, &escaped);
            if (!behind) {
                return false;
            }
            const char *next = json_skip_space(behind, end);
            bool name = next < end && *next == ':';
            if (!name && !add_step(lesson, glue, at + 1, GUESS_STRING)) {
                return false;
            }
            glue = name ? glue : behind - 1;
            at = behind;
        } else if (is_bare(*at)) {
            if (!add_step(lesson, glue, at, GUESS_BARE)) {
                return false;
            }
            glue = at = skip_bare(at, end);
        } else {
            at++;
        }
    }
    return add_step(lesson, glue, end, GUESS_END);
}

/* The step whose glue a place is in or at the edge of. Behind an opening quote or before a closing one there
 * is no place that a raw value has. */
static bool find_bound(const struct lesson *lesson, const char *place, struct bound *bound) {
    for (size_t i = 0; i < lesson->count; i++) {
        const struct step *step = &lesson->steps[i];
        const char *first = step->at + (i > 0 && lesson->steps[i - 1].kind == GUESS_STRING);
        const char *last = step->at + step->len - (step->kind == GUESS_STRING);
        if (place >= first && place <= last) {
            *bound = (struct bound){.step = (uint8_t)i, .offset = (uint8_t)(place - step->at)};
            return true;
        }
    }
    return false;
}

/* The node of a list that is this step; 0: none. *branches: how many the list has. */
static uint16_t find_node(const struct guess_node *nodes, uint16_t index, const struct step *step,
                          size_t *branches) {
    *branches = 0;
    for (; index; index = nodes[index].next) {
        const struct guess_node *node = &nodes[index];
        if (node->len == step->len && node->kind == step->kind &&
            memcmp(node->glue, step->at, step->len) == 0) {
            return index;
        }
        ++*branches;
    }
    return 0;
}

/* Room for so many more nodes and for one more course. */
static bool reserve(struct json_guess *guess, size_t nodes) {
    size_t wanted = guess->node_count + nodes;
    if (wanted > GUESS_NODES_MAX) {
        return false;
    }
    if (wanted > guess->node_room) {
        size_t room = guess->node_room ? guess->node_room : FIRST_NODES;
        while (room < wanted) {
            room *= 2;
        }
        struct guess_node *grown = realloc(guess->nodes, room * sizeof *grown);
        if (!grown) {
            return false;
        }
        guess->nodes = grown;
        guess->node_room = room;
    }
    if (guess->course_count == guess->course_room) {
        size_t room = guess->course_room ? guess->course_room * 2 : FIRST_COURSES;
        struct extent *grown = realloc(guess->courses, room * (guess->parts + 1) * sizeof *grown);
        if (!grown) {
            return false;
        }
        guess->courses = grown;
        guess->course_room = room;
    }
    return true;
}

static uint16_t add_node(struct json_guess *guess, uint16_t parent, const struct step *step) {
    uint16_t index = (uint16_t)guess->node_count++;
    struct guess_node *node = &guess->nodes[index];
    *node = (struct guess_node){
        .len = step->len,
        .kind = step->kind,
        .next = guess->nodes[parent].first,
    };
    memcpy(node->glue, step->at, step->len);
    guess->nodes[parent].first = index;
    return index;
}

/* Adds the steps that the tree does not have. */
static void add_way(struct json_guess *guess, const struct lesson *lesson, const struct extent *extents) {
    size_t known = 0;
    size_t branches = 0;
    uint16_t at = 0;
    while (guess->node_count > 0 && known < lesson->count) {
        uint16_t next = find_node(guess->nodes, guess->nodes[at].first, &lesson->steps[known], &branches);
        if (!next) {
            break;
        }
        at = next;
        known++;
    }
    bool rooted = guess->node_count > 0;
    if (known == lesson->count || branches >= GUESS_BRANCHES_MAX ||
        !reserve(guess, lesson->count - known + !rooted)) {
        return;
    }
    if (!rooted) {
        guess->nodes[guess->node_count++] = (struct guess_node){.kind = GUESS_NONE};
    }
    for (; known < lesson->count; known++) {
        at = add_node(guess, at, &lesson->steps[known]);
    }
    guess->nodes[at].course = (uint16_t)guess->course_count;
    size_t room = guess->parts + 1;
    memcpy(guess->courses + guess->course_count * room, extents, room * sizeof *extents);
    guess->course_count++;
}

void json_guess_learn(struct json_guess *guess, const char *start, const char *end, const char *limit,
                      const struct slice *part) {
    struct lesson lesson;
    struct extent extents[JSON_GUESS_PARTS_MAX + 1];
    if (guess->waiting > 0 || guess->lessons == 0 || limit - end < MARGIN ||
        (*start != '{' && *start != '[')) {
        return;
    }
    guess->lessons--;
    if (!cut_up(&lesson, start, end)) {
        return;
    }
    unsigned count = 0;
    for (unsigned i = 0; i < guess->parts; i++) {
        struct extent *extent = &extents[count];
        if (!part[i].ptr) {
            continue;
        }
        if (!find_bound(&lesson, part[i].ptr, &extent->from) ||
            !find_bound(&lesson, part[i].ptr + part[i].len, &extent->to)) {
            return;
        }
        extent->which = (uint8_t)i;
        count++;
    }
    extents[count] = (struct extent){.which = NO_PART};
    add_way(guess, &lesson, extents);
}
