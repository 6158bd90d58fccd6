/* Records: what every file of a stream folder is made of (docs/stream-log-format.md). Pure.
 *
 *     file:    "WEIRLOG" 01, number (u64), then records
 *     record:  "WREC", length of what follows the header (u32), checksum (u64), length of its meta (u32),
 *              kind (u8), flags (u8), 0 (u16), number (u64); then the meta, then the payload
 *
 * Numbers are little endian. The checksum is XXH3 of everything behind it, seeded with the file's number,
 * so that a record which another file left on the disk is none of this file's. */
#ifndef SERVER_RECORD_H
#define SERVER_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/slice.h"

enum { RECORD_FILE_HEADER = 16, RECORD_HEADER = 32 };

/* No record is longer than this behind its header: 1 GB. */
#define RECORD_BODY_MAX ((size_t)1 << 30)

enum record_kind {
    RECORD_CREATE = 1, /* journal: a stream, and its first content */
    RECORD_APPEND,     /* journal: content, what its writer said of itself, a close */
    RECORD_DELETE,     /* journal */
    RECORD_STATE,      /* index: a stream, but for its content */
    RECORD_HEAD,       /* stream file: whose it is; comes first */
    RECORD_FRAME,      /* stream file: content; `number` is the position of its first byte */
    RECORD_END, /* index: comes last; `number` is how many came before, meta the last id ever used (u64) */
};

struct record {
    enum record_kind kind;
    uint8_t flags;
    uint64_t number; /* journal: the batch it was written with */
    struct slice meta, payload;
};

void record_file_header(uint64_t number, char out[RECORD_FILE_HEADER]);

/* False: these bytes (as many as a header has) begin no such file. */
bool record_file_number(const char *bytes, uint64_t *number);

/* Puts a header into its RECORD_HEADER bytes in front of the body that lies behind them already, checksum
 * included. */
void record_seal(char *header, const struct record *record, uint64_t seed);

/* Appends a whole record. False: out's cap or memory; nothing was added. */
bool record_append(struct buf *out, const struct record *record, uint64_t seed);

enum record_found { RECORD_OK, RECORD_NONE /* the end */, RECORD_BAD /* torn or damaged */ };

/* The record at *at in `text`; moves *at behind it. Slices point into text. */
enum record_found record_next(struct slice text, uint64_t seed, size_t *at, struct record *record);

/* The length of the body of the record that begins with this header; false where it begins none. Its
 * checksum is not looked at: for walking over a file's headers. */
bool record_peek(const char header[RECORD_HEADER], struct record *record, size_t *body);

/* Little endian numbers. */
static inline void record_put_u64(char *out, uint64_t value) {
    for (int i = 0; i < 8; i++) {
        out[i] = (char)(value >> (8 * i));
    }
}

static inline uint64_t record_get_u64(const char *at) {
    uint64_t value = 0;
    for (int i = 7; i >= 0; i--) {
        value = value << 8 | (unsigned char)at[i];
    }
    return value;
}

static inline void record_put_u32(char *out, uint32_t value) {
    for (int i = 0; i < 4; i++) {
        out[i] = (char)(value >> (8 * i));
    }
}

static inline uint32_t record_get_u32(const char *at) {
    uint32_t value = 0;
    for (int i = 3; i >= 0; i--) {
        value = value << 8 | (unsigned char)at[i];
    }
    return value;
}

#endif
