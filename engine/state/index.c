#include "state/index.h"

#include <stdlib.h>
#include <string.h>

enum { LEAF_LEAST = 8, LEAF_MOST = 254, LEAVES_LEAST = 4 };

void index_init(struct index *index, size_t *bytes) {
    *index = (struct index){0};
    index->bytes = bytes;
}

static size_t leaf_size(size_t room) {
    return sizeof(struct index_leaf) + room * sizeof(uint64_t);
}

static size_t directory_size(size_t room) {
    return room * (sizeof(struct index_leaf *) + sizeof(uint64_t));
}

static void count_bytes(struct index *index, size_t before, size_t after) {
    *index->bytes += after - before;
}

void index_free(struct index *index) {
    for (size_t i = 0; i < index->count; i++) {
        count_bytes(index, leaf_size(index->leaves[i]->room), 0);
        free(index->leaves[i]);
    }
    count_bytes(index, directory_size(index->room), 0);
    free(index->leaves);
    free(index->firsts);
    index_init(index, index->bytes);
}

/* The first leaf that may have the entry; there is a leaf. */
static size_t leaf_of(const struct index *index, uint64_t entry) {
    size_t low = 0;
    size_t high = index->count;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (index->firsts[middle] < entry) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return low;
}

/* The first position whose entry is not below. */
static size_t position_of(const struct index_leaf *leaf, uint64_t entry) {
    size_t low = 0;
    size_t high = leaf->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (leaf->entries[middle] < entry) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static bool resize_leaf(struct index *index, size_t i, size_t room) {
    struct index_leaf *leaf = realloc(index->leaves[i], leaf_size(room));
    if (!leaf) {
        return false;
    }
    count_bytes(index, leaf_size(leaf->room), leaf_size(room));
    leaf->room = (uint32_t)room;
    index->leaves[i] = leaf;
    return true;
}

static bool grow_directory(struct index *index) {
    if (index->count < index->room) {
        return true;
    }
    size_t room = index->room ? index->room + index->room / 2 : LEAVES_LEAST;
    struct index_leaf **leaves = realloc(index->leaves, room * sizeof(struct index_leaf *));
    if (leaves) {
        index->leaves = leaves;
    }
    uint64_t *firsts = realloc(index->firsts, room * sizeof *firsts);
    if (firsts) {
        index->firsts = firsts;
    }
    if (!leaves || !firsts) {
        return false;
    }
    count_bytes(index, directory_size(index->room), directory_size(room));
    index->room = room;
    return true;
}

/* Puts an empty leaf at i. */
static struct index_leaf *insert_leaf(struct index *index, size_t i, size_t room, uint64_t first) {
    struct index_leaf *leaf = grow_directory(index) ? malloc(leaf_size(room)) : NULL;
    if (leaf) {
        *leaf = (struct index_leaf){.room = (uint32_t)room};
        memmove(&index->leaves[i + 1], &index->leaves[i], (index->count - i) * sizeof(struct index_leaf *));
        memmove(&index->firsts[i + 1], &index->firsts[i], (index->count - i) * sizeof *index->firsts);
        index->leaves[i] = leaf;
        index->firsts[i] = first;
        index->count++;
        count_bytes(index, 0, leaf_size(room));
    }
    return leaf;
}

static void remove_leaf(struct index *index, size_t i) {
    count_bytes(index, leaf_size(index->leaves[i]->room), 0);
    free(index->leaves[i]);
    index->count--;
    memmove(&index->leaves[i], &index->leaves[i + 1], (index->count - i) * sizeof(struct index_leaf *));
    memmove(&index->firsts[i], &index->firsts[i + 1], (index->count - i) * sizeof *index->firsts);
}

static bool split(struct index *index, size_t i) {
    struct index_leaf *leaf = index->leaves[i];
    uint32_t half = leaf->count / 2;
    struct index_leaf *upper = insert_leaf(index, i + 1, LEAF_MOST, leaf->entries[half]);
    if (!upper) {
        return false;
    }
    upper->count = leaf->count - half;
    memcpy(upper->entries, &leaf->entries[half], upper->count * sizeof *upper->entries);
    leaf->count = half;
    return true;
}

bool index_reserve(struct index *index, uint64_t entry) {
    if (index->count == 0) {
        return insert_leaf(index, 0, LEAF_LEAST, 0) != NULL;
    }
    size_t i = leaf_of(index, entry);
    const struct index_leaf *leaf = index->leaves[i];
    if (leaf->count < leaf->room) {
        return true;
    }
    if (leaf->room == LEAF_MOST) {
        return split(index, i);
    }
    size_t room = (size_t)leaf->room * 2;
    return resize_leaf(index, i, room < LEAF_MOST ? room : LEAF_MOST);
}

void index_add(struct index *index, uint64_t entry) {
    struct index_leaf *leaf = index->leaves[leaf_of(index, entry)];
    size_t at = position_of(leaf, entry);
    memmove(&leaf->entries[at + 1], &leaf->entries[at], (leaf->count - at) * sizeof *leaf->entries);
    leaf->entries[at] = entry;
    leaf->count++;
}

/* Moves the entries of leaf i + 1 to leaf i where both are nearly empty. */
static void merge(struct index *index, size_t i) {
    if (i + 1 >= index->count) {
        return;
    }
    uint32_t count = index->leaves[i + 1]->count;
    if (index->leaves[i]->count + count > LEAF_MOST / 2 ||
        (index->leaves[i]->count + count > index->leaves[i]->room && !resize_leaf(index, i, LEAF_MOST))) {
        return;
    }
    struct index_leaf *leaf = index->leaves[i];
    memcpy(&leaf->entries[leaf->count], index->leaves[i + 1]->entries, count * sizeof *leaf->entries);
    leaf->count += count;
    remove_leaf(index, i + 1);
}

/* After one was taken out of it. */
static void tidy(struct index *index, size_t i) {
    const struct index_leaf *leaf = index->leaves[i];
    if (leaf->count == 0 && index->count > 1) {
        remove_leaf(index, i);
        index->firsts[0] = 0;
    } else if (leaf->count < LEAF_MOST / 4) {
        merge(index, i);
        if (i > 0) {
            merge(index, i - 1);
        }
    }
    if (index->count == 1 && index->leaves[0]->count == 0) {
        index_free(index);
    }
}

void index_remove(struct index *index, uint64_t entry) {
    size_t i = leaf_of(index, entry);
    size_t at = position_of(index->leaves[i], entry);
    while (at == index->leaves[i]->count) { /* it is the first of the next one */
        i++;
        at = position_of(index->leaves[i], entry);
    }
    struct index_leaf *leaf = index->leaves[i];
    leaf->count--;
    memmove(&leaf->entries[at], &leaf->entries[at + 1], (leaf->count - at) * sizeof *leaf->entries);
    tidy(index, i);
}

/* Counts entries from least to most, and copies them where out is given. */
static size_t visit(const struct index *index, uint64_t least, uint64_t most, uint64_t *out) {
    size_t total = 0;
    for (size_t i = index->count ? leaf_of(index, least) : 0; i < index->count && index->firsts[i] <= most;
         i++) {
        const struct index_leaf *leaf = index->leaves[i];
        size_t from = position_of(leaf, least);
        size_t to = most == UINT64_MAX ? leaf->count : position_of(leaf, most + 1);
        if (out && to > from) {
            memcpy(out + total, &leaf->entries[from], (to - from) * sizeof *out);
        }
        total += to - from;
    }
    return total;
}

size_t index_count(const struct index *index, uint64_t least, uint64_t most) {
    return visit(index, least, most, NULL);
}

void index_copy(const struct index *index, uint64_t least, uint64_t most, uint64_t *out) {
    visit(index, least, most, out);
}
