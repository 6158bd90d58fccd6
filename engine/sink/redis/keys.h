/* The keys of one stream in Redis. All of them have one hash tag, so that a cluster keeps them on one node, where
 * one script reaches them all:
 *
 *     PREFIX{STREAM}:sync            a hash: the place, the epoch
 *     PREFIX{STREAM}:types           a hash: type -> how many entities it has
 *     PREFIX{STREAM}:t:TYPE          a hash: key -> the value, as JSON
 *     PREFIX{STREAM}:stage:...       a list: rows of a large batch on their way
 *
 * STREAM and TYPE are percent-encoded where a byte is a brace, a per cent sign, a blank or a control character, and
 * PREFIX has no brace: the tag is always STREAM, and no two types or streams share a key. Keys and values are never a
 * part of a key's name. */
#ifndef SINK_REDIS_KEYS_H
#define SINK_REDIS_KEYS_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/slice.h"

struct redis_keys {
    struct buf base; /* "PREFIX{STREAM}:" */
};

/* False with e: the prefix has a brace, or memory. Free it all the same. */
bool redis_keys_init(struct redis_keys *keys, const char *prefix, const char *stream, struct error *e);
void redis_keys_free(struct redis_keys *keys);

/* Appends the whole key that ends with `name`, as it is ("sync"). False: out of memory, or out's cap. */
bool redis_keys_put(const struct redis_keys *keys, struct buf *out, const char *name);
bool redis_keys_put_type(const struct redis_keys *keys, struct buf *out, struct slice type);

/* A type as it stands in a key, and back. */
bool redis_keys_encode(struct buf *out, struct slice type);
bool redis_keys_decode(struct buf *out, struct slice encoded);

#endif
