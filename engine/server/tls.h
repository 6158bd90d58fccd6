/* TLS between a connection and its bytes, by OpenSSL: bytes that came go in and come out as plain HTTP,
 * and the other way round. Its own file (openssl/tls.c) is built where OpenSSL is found. */
#ifndef SERVER_TLS_H
#define SERVER_TLS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/slice.h"

struct conn;
struct tls;
struct tls_context;

#ifdef WEIR_OPENSSL

/* Reads both PEM files. NULL with e. */
struct tls_context *tls_context_new(const char *cert, const char *key, struct error *e);
void tls_context_free(struct tls_context *context);

/* Sets conn->tls. False: out of memory. */
bool tls_new(struct conn *conn);
void tls_free(struct tls *tls);

/* Bytes that came from the network: what they hold is given to conn_take. */
void tls_take(struct conn *conn, const char *ptr, size_t len);

/* Bytes to be sent: what they become is added to the connection's outbox. */
void tls_send(struct conn *conn, struct slice bytes);

/* Nothing more is to be sent: says so, as the last bytes. */
void tls_end(struct conn *conn);

#else

static inline struct tls_context *tls_context_new(const char *cert, const char *key, struct error *e) {
    (void)cert;
    (void)key;
    error_set(e, ERROR_SYSTEM, "this weir was built without OpenSSL: install libssl-dev and build it again");
    return NULL;
}

static inline void tls_context_free(struct tls_context *context) {
    (void)context;
}

static inline bool tls_new(struct conn *conn) {
    (void)conn;
    return false;
}

static inline void tls_free(struct tls *tls) {
    (void)tls;
}

static inline void tls_take(struct conn *conn, const char *ptr, size_t len) {
    (void)conn;
    (void)ptr;
    (void)len;
}

static inline void tls_send(struct conn *conn, struct slice bytes) {
    (void)conn;
    (void)bytes;
}

static inline void tls_end(struct conn *conn) {
    (void)conn;
}

#endif
#endif
