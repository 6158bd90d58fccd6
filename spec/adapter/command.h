/* One command of the conformance runner: a JSON object, read field by field. */
#ifndef ADAPTER_COMMAND_H
#define ADAPTER_COMMAND_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"
#include "stream/fields.h"

struct command {
    struct slice object;
    struct memory *memory; /* of the texts handed out; freed with the command */
};

/* False with e: it is not a JSON object. `line` must outlive the command. */
bool command_init(struct command *command, struct slice line, struct error *e);
void command_free(struct command *command);

/* The object under that name as a command of its own, to be freed too. False: there is none. */
bool command_inside(struct command *command, const char *name, struct command *inside);

/* A string, NUL-terminated behind its len; absent (ptr NULL) where there is none, or null. */
struct slice command_text(struct command *command, const char *name);
/* The same of a raw JSON string. */
struct slice command_unquote(struct command *command, struct slice string);
/* The raw JSON text under that name, absent where there is none, or null. */
struct slice command_raw(const struct command *command, const char *name);
bool command_number(const struct command *command, const char *name, double *value);
bool command_is_true(const struct command *command, const char *name);
/* The strings of an object of strings, as headers. */
bool command_headers(struct command *command, const char *name, struct fields *fields, struct error *e);

#endif
