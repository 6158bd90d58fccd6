#include "sink/redis/command.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { NUMBER = 32, KEEP = 4 << 20 };
static const size_t command_max = (size_t)1 << 30;

void redis_command_init(struct redis_command *command, size_t gap) {
    *command = (struct redis_command){.gap = gap};
    buf_init(&command->body, command_max);
}

void redis_command_free(struct redis_command *command) {
    buf_free(&command->body);
}

void redis_command_start(struct redis_command *command) {
    buf_clear(&command->body);
    buf_shrink(&command->body, KEEP);
    command->count = 0;
    command->is_plain = command->may_fail = false;
    command->failed = !buf_reserve(&command->body, command->gap);
    if (!command->failed) {
        command->body.len = command->gap;
    }
}

void redis_command_add(struct redis_command *command, struct slice argument) {
    struct buf *body = &command->body;
    command->count++;
    command->failed = command->failed || !buf_reserve(body, argument.len + NUMBER) ||
                      !buf_printf(body, "$%zu\r\n", argument.len) || !buf_append_slice(body, argument) ||
                      !buf_append_text(body, "\r\n");
}

void redis_command_text(struct redis_command *command, const char *argument) {
    redis_command_add(command, slice_from(argument));
}

void redis_command_number(struct redis_command *command, uint64_t argument) {
    char text[NUMBER];
    snprintf(text, sizeof text, "%" PRIu64, argument);
    redis_command_text(command, text);
}

size_t redis_command_bytes(const struct redis_command *command) {
    return command->body.len - command->gap;
}

/* Writes the head so that it ends where the arguments begin. */
struct slice redis_command_finish(struct redis_command *command, const struct slice *head, size_t count,
                                  struct error *e) {
    size_t need = NUMBER;
    for (size_t i = 0; i < count; i++) {
        need += head[i].len + NUMBER;
    }
    struct buf front;
    buf_init(&front, need);
    bool ok = !command->failed && need <= command->gap &&
              buf_printf(&front, "*%zu\r\n", command->count + count);
    for (size_t i = 0; ok && i < count; i++) {
        ok = buf_printf(&front, "$%zu\r\n", head[i].len) && buf_append_slice(&front, head[i]) &&
             buf_append_text(&front, "\r\n");
    }
    if (!ok) {
        buf_free(&front);
        error_set(e, ERROR_MEMORY, "out of memory for a command to Redis");
        return slice_of(NULL, 0);
    }
    char *at = command->body.ptr + command->gap - front.len;
    memcpy(at, front.ptr, front.len);
    struct slice whole = slice_of(at, front.len + redis_command_bytes(command));
    buf_free(&front);
    return whole;
}
