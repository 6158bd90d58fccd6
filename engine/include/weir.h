/* weir: Lua handlers over durable streams. The public interface of libweir.
 *
 *     weir_error error;
 *     weir_worker *worker = weir_worker_new(NULL, &error);
 *     if (worker && weir_worker_load(worker, "chat.lua", &error) && weir_worker_run(worker, &error)) { ... }
 *     weir_worker_free(worker);
 *
 * A worker belongs to the thread that made it; weir_worker_interrupt may be called from any thread and from
 * signal handlers. Several workers may live in one process, each on a thread of its own. */
#ifndef WEIR_H
#define WEIR_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define WEIR_API __attribute__((visibility("default")))
#else
#define WEIR_API
#endif

/* Why something failed. */
typedef struct weir_error {
    const char *code;   /* a constant: "network", "syntax", "script", ... */
    char message[2048]; /* names the file or stream, the place, what was expected */
} weir_error;

typedef struct weir_worker weir_worker;

typedef struct weir_options {
    const char *config_file; /* a JSON configuration, or NULL */
    const char *source;      /* the url of the script's only stream, or NULL */
    int once;                /* not 0: streams end when they are up to date */
} weir_options;

/* "0.1.0". */
WEIR_API const char *weir_version(void);

/* options may be NULL. NULL with error (which may be NULL) where it cannot be made. */
WEIR_API weir_worker *weir_worker_new(const weir_options *options, weir_error *error);

/* Loads a Lua script and runs its main chunk, which declares streams. 1, or 0 with error. */
WEIR_API int weir_worker_load(weir_worker *worker, const char *path, weir_error *error);

/* Runs until every stream has ended. 1, or 0 with error; code "interrupted" after weir_worker_interrupt. */
WEIR_API int weir_worker_run(weir_worker *worker, weir_error *error);

/* Ends weir_worker_run soon. From any thread, or a signal handler. */
WEIR_API void weir_worker_interrupt(weir_worker *worker);

/* What each entity looks like to weir_worker_each: bytes, not ended by NUL; good during the call. */
typedef struct weir_entity {
    const char *stream; /* the stream's name, ended by NUL */
    const char *type, *key, *value;
    size_t type_len, key_len, value_len;
} weir_entity;

/* Calls visit for every entity of every stream, types and keys in byte order, until it returns 0. value is
 * JSON text as it was written. 1, or 0 where memory ran out or visit returned 0. */
WEIR_API int weir_worker_each(const weir_worker *worker, int (*visit)(void *user, const weir_entity *entity),
                              void *user);

/* NULL is fine. */
WEIR_API void weir_worker_free(weir_worker *worker);

#ifdef __cplusplus
}
#endif

#endif
