#include "server/record.h"

#include <string.h>
#include <xxhash.h>

static const char file_magic[8] = {'W', 'E', 'I', 'R', 'L', 'O', 'G', 1};
static const char record_magic[4] = {'W', 'R', 'E', 'C'};

/* Where the parts of a record's header are. */
enum { AT_LENGTH = 4, AT_SUM = 8, AT_META = 16, AT_KIND = 20, AT_FLAGS = 21, AT_ZERO = 22, AT_NUMBER = 24 };

void record_file_header(uint64_t number, char out[RECORD_FILE_HEADER]) {
    memcpy(out, file_magic, sizeof file_magic);
    record_put_u64(out + sizeof file_magic, number);
}

bool record_file_number(const char *bytes, uint64_t *number) {
    *number = record_get_u64(bytes + sizeof file_magic);
    return memcmp(bytes, file_magic, sizeof file_magic) == 0;
}

static uint64_t sum_of(const char *header, size_t body, uint64_t seed) {
    return XXH3_64bits_withSeed(header + AT_META, RECORD_HEADER - AT_META + body, seed);
}

void record_seal(char *header, const struct record *record, uint64_t seed) {
    size_t body = record->meta.len + record->payload.len;
    memcpy(header, record_magic, sizeof record_magic);
    record_put_u32(header + AT_LENGTH, (uint32_t)body);
    record_put_u32(header + AT_META, (uint32_t)record->meta.len);
    header[AT_KIND] = (char)record->kind;
    header[AT_FLAGS] = (char)record->flags;
    header[AT_ZERO] = header[AT_ZERO + 1] = 0;
    record_put_u64(header + AT_NUMBER, record->number);
    record_put_u64(header + AT_SUM, sum_of(header, body, seed));
}

bool record_append(struct buf *out, const struct record *record, uint64_t seed) {
    size_t start = out->len;
    size_t body = record->meta.len + record->payload.len;
    if (body > RECORD_BODY_MAX || !buf_reserve(out, RECORD_HEADER + body)) {
        return false;
    }
    out->len += RECORD_HEADER;
    (void)buf_append_slice(out, record->meta); /* reserved above */
    (void)buf_append_slice(out, record->payload);
    record_seal(out->ptr + start, record, seed);
    return true;
}

bool record_peek(const char header[RECORD_HEADER], struct record *record, size_t *body) {
    *body = record_get_u32(header + AT_LENGTH);
    size_t meta = record_get_u32(header + AT_META);
    if (memcmp(header, record_magic, sizeof record_magic) != 0 || *body > RECORD_BODY_MAX || meta > *body) {
        return false;
    }
    record->kind = (enum record_kind)(unsigned char)header[AT_KIND];
    record->flags = (uint8_t)header[AT_FLAGS];
    record->number = record_get_u64(header + AT_NUMBER);
    record->meta = slice_of(NULL, meta);
    record->payload = slice_of(NULL, *body - meta);
    return true;
}

enum record_found record_next(struct slice text, uint64_t seed, size_t *at, struct record *record) {
    size_t left = text.len - *at;
    size_t body;
    if (left == 0) {
        return RECORD_NONE;
    }
    const char *header = text.ptr + *at;
    if (left < RECORD_HEADER || !record_peek(header, record, &body) || body > left - RECORD_HEADER ||
        record_get_u64(header + AT_SUM) != sum_of(header, body, seed)) {
        return RECORD_BAD;
    }
    record->meta.ptr = header + RECORD_HEADER;
    record->payload.ptr = record->meta.ptr + record->meta.len;
    *at += RECORD_HEADER + body;
    return RECORD_OK;
}
