#include "server/outbox.h"

#include <stdlib.h>
#include <string.h>

#include "base/list.h"

enum { PIECES_LEAST = 8, PIECES_KEPT = 64 };

void outbox_init(struct outbox *outbox, size_t *kept) {
    *outbox = (struct outbox){.kept = kept};
}

static struct block *keep(struct outbox *outbox, struct block *block) {
    if (block->waits++ == 0) {
        *outbox->kept += block->len;
    }
    return block_ref(block);
}

static void let_go(struct outbox *outbox, struct block *block) {
    if (--block->waits == 0) {
        *outbox->kept -= block->len;
    }
    block_drop(block);
}

void outbox_free(struct outbox *outbox) {
    for (size_t i = 0; i < outbox->count; i++) {
        let_go(outbox, outbox->pieces[outbox->first + i].owner);
    }
    free(outbox->pieces);
    outbox_init(outbox, outbox->kept);
}

static bool make_room(struct outbox *outbox) {
    if (outbox->first + outbox->count < outbox->cap) {
        return true;
    }
    if (outbox->first > outbox->cap / 2) {
        memmove(outbox->pieces, outbox->pieces + outbox->first, outbox->count * sizeof *outbox->pieces);
        outbox->first = 0;
        return true;
    }
    struct outbox_piece *pieces = list_room(outbox->pieces, outbox->first + outbox->count, &outbox->cap,
                                            PIECES_LEAST, sizeof *pieces);
    outbox->pieces = pieces ? pieces : outbox->pieces;
    return pieces;
}

bool outbox_add(struct outbox *outbox, struct block *owner, struct slice bytes) {
    if (bytes.len == 0) {
        return true;
    }
    if (!make_room(outbox)) {
        return false;
    }
    outbox->pieces[outbox->first + outbox->count++] = (struct outbox_piece){keep(outbox, owner), bytes};
    outbox->bytes += bytes.len;
    return true;
}

unsigned outbox_bufs(const struct outbox *outbox, uv_buf_t *bufs, unsigned max) {
    unsigned count = 0;
    for (; count < outbox->count && count < max; count++) {
        struct slice bytes = outbox->pieces[outbox->first + count].bytes;
        bufs[count].base = (char *)bytes.ptr;
        bufs[count].len = bytes.len;
    }
    return count;
}

void outbox_sent(struct outbox *outbox, size_t len) {
    outbox->bytes -= len;
    while (len) {
        struct outbox_piece *piece = &outbox->pieces[outbox->first];
        if (len < piece->bytes.len) {
            piece->bytes = slice_of(piece->bytes.ptr + len, piece->bytes.len - len);
            return;
        }
        len -= piece->bytes.len;
        let_go(outbox, piece->owner);
        outbox->first++;
        outbox->count--;
    }
    if (outbox->count == 0) {
        outbox->first = 0;
        if (outbox->cap > PIECES_KEPT) {
            free(outbox->pieces);
            outbox->pieces = NULL;
            outbox->cap = 0;
        }
    }
}
