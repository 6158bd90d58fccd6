#include "worker/digest.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "json/compact.h"

enum { SCRATCH_MAX = 1 << 30, SCRATCH_KEPT = 1 << 20 };

void digest_init(struct digest *digest) {
    *digest = (struct digest){.known = true};
    buf_init(&digest->scratch, SCRATCH_MAX);
}

void digest_free(struct digest *digest) {
    buf_free(&digest->scratch);
}

/* Seeds are dear where texts are long. Every step can be undone, so that nothing of what came before is lost. */
static uint64_t mix(uint64_t value, struct slice text) {
    uint64_t mixed = (value ^ XXH3_64bits(text.ptr ? text.ptr : "", text.len)) * UINT64_C(0x9E3779B97F4A7C15);
    return mixed ^ mixed >> 32;
}

/* A line end in a value is white space; server-sent events carry only one kind of it. */
static bool has_line_ends(struct slice value) {
    return value.len && (memchr(value.ptr, '\n', value.len) || memchr(value.ptr, '\r', value.len));
}

/* Without the memory to tell, nothing is claimed. */
static struct slice plain(struct digest *digest, struct slice value) {
    if (!has_line_ends(value)) {
        return value;
    }
    buf_clear(&digest->scratch);
    buf_shrink(&digest->scratch, SCRATCH_KEPT);
    digest->known = json_compact(&digest->scratch, value);
    return buf_slice(&digest->scratch);
}

void digest_add(struct digest *digest, const struct event *event) {
    if (!digest->known) {
        return;
    }
    uint64_t kind = !event                         ? 1
                    : event->kind == EVENT_CONTROL ? 16 + (uint64_t)event->control
                                                   : 32 + (uint64_t)event->operation;
    uint64_t value = digest->value + kind;
    if (event && event->kind == EVENT_CHANGE) {
        value = mix(mix(mix(value, event->type), event->key), plain(digest, event->value));
    } else {
        value = mix(value, SLICE("-"));
    }
    digest->value = value;
}

void digest_format(uint64_t value, char out[DIGEST_TEXT]) {
    (void)snprintf(out, DIGEST_TEXT, "%016" PRIx64, value);
}

bool digest_parse(const char *text, uint64_t *value) {
    char *end;
    if (!text || strlen(text) != DIGEST_TEXT - 1) {
        return false;
    }
    *value = strtoull(text, &end, 16);
    return *end == '\0';
}
