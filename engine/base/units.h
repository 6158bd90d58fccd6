/* Durations and sizes as people write them: 500ms, 30s, 5m, 2h; 512, 64KB, 10MB, 1GB (of 1024). */
#ifndef BASE_UNITS_H
#define BASE_UNITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A whole or decimal number with its unit (ms, s, m, h), at most a year. False where it is none. */
bool units_duration(const char *text, uint64_t *ms);

/* Seconds, as Lua scripts write durations without a unit. False where negative, not finite or too long. */
bool units_seconds(double seconds, uint64_t *ms);

/* A whole or decimal number of bytes with or without a unit (B, KB, MB, GB). */
bool units_size(const char *text, size_t *bytes);

#endif
