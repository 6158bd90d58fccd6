/* The configuration of a worker: a JSON file, the environment, the command line, the later winning.
 *
 *     {
 *       "streams":  { "NAME": { "url": "...", "headers": {...}, ... } },   options of weir.stream
 *       "settings": { "NAME": "VALUE" },                                   what weir.env sees
 *       "log":      { "level": "info", "format": "text" | "json" },
 *       "limits":   { "handler": "60s" },
 *       "data":     "DIR", "snapshotEvery": "1m"
 *     }
 *
 * NAME of a stream is its option `name`, or its url; "*" is any stream. A header may be {"file": "PATH"}:
 * its value is that file's text without the line end. Environment: WEIR_LOG (level), WEIR_LOG_FORMAT,
 * WEIR_SOURCE (the url of the only stream), WEIR_HANDLER_LIMIT, WEIR_DATA, WEIR_SNAPSHOT_EVERY. A mistake names the file, the key and what
 * was expected. */
#ifndef WORKER_CONFIG_H
#define WORKER_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/log.h"

struct config;

/* An empty one. NULL: out of memory. */
struct config *config_new(void);
void config_free(struct config *config);

/* Reads a file on top of what is there. */
bool config_read_file(struct config *config, const char *path, struct error *e);

/* Takes the WEIR_ variables of the environment. */
bool config_read_environment(struct config *config, struct error *e);

/* "NAME=VALUE", as --set has it. */
bool config_set(struct config *config, const char *assignment, struct error *e);

/* The url of the only stream, as --source has it. */
bool config_set_source(struct config *config, const char *source, struct error *e);
const char *config_source(const struct config *config);

/* The folder in which snapshots are kept, as --data has it; NULL: none. */
bool config_set_data(struct config *config, const char *path, struct error *e);
void config_forget_data(struct config *config);
const char *config_data(const struct config *config);

/* "30s": how often one is written while the worker runs, as --snapshot-every has it; 0s: only at the end. */
bool config_set_snapshot_every(struct config *config, const char *duration, struct error *e);
uint64_t config_snapshot_every(const struct config *config); /* milliseconds */

/* onInvalid of every stream: "stop" or "skip". */
bool config_set_on_invalid(struct config *config, const char *policy, struct error *e);

/* The value of a setting: of --set, of the environment, or of the file. NULL where there is none. */
const char *config_setting(struct config *config, const char *name);

/* The name of setting i, from 0, of those that are set and config_setting was never asked for, --set first; *origin is
 * what stands before it in messages ("--set "). NULL: there are no more. */
const char *config_unused_setting(const struct config *config, size_t i, const char **origin);

/* "A, B": some names that config_setting was asked for, in that order; cut to size. Empty: none. */
void config_wishes(const struct config *config, char *out, size_t size);

/* The options of the stream of that name, a JSON object's text, and where they come from ("conf.json:
 * streams.NAME"); both owned by config, good until the next call. NULL: none. */
const char *config_stream(struct config *config, const char *name, const char **origin);

/* The name of a stream that the configuration has options for and config_stream was never asked for: a
 * slip of the pen, once the script has been loaded. NULL: there is none. */
const char *config_unused_stream(const struct config *config);

/* --source is for the streams that were declared by now, not for later ones. */
void config_forget_source(struct config *config);

enum log_level config_log_level(const struct config *config);
bool config_log_json(const struct config *config);

/* Milliseconds that a handler may run without waiting. */
uint64_t config_handler_limit(const struct config *config);

#endif
