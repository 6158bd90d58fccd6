/* Names in a search server for types and keys that a stranger chose. Pure.
 *
 * A type that fits is its own name; any other becomes what is left of it and a hash: "Users" is "users--" and 32 digits.
 * Whatever names a server refuses, or reads as a pattern, a path or a list, does not fit. */
#ifndef SINK_SEARCH_NAME_H
#define SINK_SEARCH_NAME_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/slice.h"

/* The name, without a prefix, of where the places of streams are kept: no type's name. */
#define SEARCH_STATE_NAME "weir-sync-state"

/* Appends prefix and the type's name: lower case letters, digits, "_", "." and "-", 200 bytes at most. */
bool search_name_type(struct buf *out, const char *prefix, struct slice type);

/* True where it may stand in front: empty, or what a type's name may begin with. */
bool search_name_prefix(const char *prefix);

/* Appends text so that it stands for itself in a path. */
bool search_name_path(struct buf *out, struct slice text);

/* A key as an id that needs no encoding in a path, and back: "~" and two digits in the place of a byte that does. */
bool search_name_id(struct buf *out, struct slice key);
bool search_name_key(struct buf *out, struct slice id);

#endif
