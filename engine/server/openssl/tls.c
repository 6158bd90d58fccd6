#include "server/tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/conn.h"
#include "server/server_parts.h"

enum { PIECE = 16 * 1024 }; /* one TLS record holds no more */

struct tls_context {
    SSL_CTX *ssl;
};

struct tls {
    SSL *ssl; /* owns both */
    BIO *in, *out;
};

/* ---- the certificate ---- */

static const char cert_is[] = "expected a certificate in PEM, -----BEGIN CERTIFICATE-----";
static const char key_is[] = "expected a private key in PEM, without a passphrase";

/* OpenSSL does not say what the system says of a file. */
static int file_error(const char *path) {
    FILE *file = fopen(path, "re");
    if (!file) {
        return errno;
    }
    (void)fgetc(file);
    int error = ferror(file) ? errno : 0;
    fclose(file);
    return error;
}

static bool fail(struct error *e, const char *option, const char *path, const char *expected) {
    unsigned long code = ERR_get_error();
    const char *why = code ? ERR_reason_error_string(code) : NULL;
    int error = file_error(path);
    ERR_clear_error();
    if (error) {
        return error_set(e, ERROR_SYSTEM, "%s %s: %s", option, path, strerror(error));
    }
    return error_set(e, ERROR_SYSTEM, "%s %s: %s (%s)", option, path, expected,
                     why ? why : "it cannot be used");
}

/* Nobody is asked for a passphrase at the start of a server. */
static int no_passphrase(char *out, int size, int writes, void *user) {
    (void)writes;
    (void)user;
    if (size > 0) {
        out[0] = '\0';
    }
    return 0;
}

static bool context_fill(SSL_CTX *ssl, const char *cert, const char *key, struct error *e) {
    SSL_CTX_set_min_proto_version(ssl, TLS1_2_VERSION);
    SSL_CTX_set_options(ssl, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_mode(ssl, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                              SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_default_passwd_cb(ssl, no_passphrase);
    if (SSL_CTX_use_certificate_chain_file(ssl, cert) != 1) {
        return fail(e, "--tls-cert", cert, cert_is);
    }
    bool is_key = SSL_CTX_use_PrivateKey_file(ssl, key, SSL_FILETYPE_PEM) == 1;
    if (!is_key || SSL_CTX_check_private_key(ssl) != 1) {
        is_key = is_key || ERR_GET_REASON(ERR_peek_error()) == X509_R_KEY_VALUES_MISMATCH;
        return fail(e, "--tls-key", key, is_key ? "expected the key of the certificate" : key_is);
    }
    return true;
}

/* Of what the client can, HTTP/1.1 is all there is here. */
static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                           const unsigned char *in, unsigned in_len, void *arg) {
    static const unsigned char ours[] = "\x08http/1.1";
    (void)ssl;
    (void)arg;
    int rc = SSL_select_next_proto((unsigned char **)out, out_len, ours, sizeof ours - 1, in, in_len);
    return rc == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_NOACK;
}

struct tls_context *tls_context_new(const char *cert, const char *key, struct error *e) {
    struct tls_context *context = calloc(1, sizeof *context);
    SSL_CTX *ssl = SSL_CTX_new(TLS_server_method());
    if (!context || !ssl) {
        error_set(e, ERROR_MEMORY, "out of memory");
    } else if (context_fill(ssl, cert, key, e)) {
        SSL_CTX_set_alpn_select_cb(ssl, choose_protocol, NULL);
        context->ssl = ssl;
        return context;
    }
    SSL_CTX_free(ssl);
    free(context);
    return NULL;
}

void tls_context_free(struct tls_context *context) {
    if (context) {
        SSL_CTX_free(context->ssl);
        free(context);
    }
}

/* ---- one connection ---- */

bool tls_new(struct conn *conn) {
    struct tls *tls = calloc(1, sizeof *tls);
    if (!tls) {
        return false;
    }
    tls->ssl = SSL_new(conn->server->tls->ssl);
    tls->in = BIO_new(BIO_s_mem());
    tls->out = BIO_new(BIO_s_mem());
    if (!tls->ssl || !tls->in || !tls->out) {
        BIO_free(tls->in);
        BIO_free(tls->out);
        SSL_free(tls->ssl);
        free(tls);
        return false;
    }
    SSL_set_bio(tls->ssl, tls->in, tls->out);
    SSL_set_accept_state(tls->ssl);
    conn->tls = tls;
    return true;
}

void tls_free(struct tls *tls) {
    if (tls) {
        SSL_free(tls->ssl);
        free(tls);
    }
}

/* What OpenSSL has for the network goes to the outbox. */
static void move_out(struct conn *conn) {
    size_t len = BIO_ctrl_pending(conn->tls->out);
    if (len == 0 || conn->state == CONN_CLOSING) {
        return;
    }
    struct block *block = block_new(len);
    int got = block ? BIO_read(conn->tls->out, block->bytes, (int)len) : 0;
    if (got <= 0 || !outbox_add(&conn->out, block, slice_of(block->bytes, (size_t)got))) {
        conn_close(conn);
    }
    block_drop(block);
}

/* Everything that is whole by now, as plain HTTP. */
static void take_plain(struct conn *conn) {
    struct tls *tls = conn->tls;
    char plain[PIECE];
    while (conn->state != CONN_CLOSING) {
        ERR_clear_error();
        int got = SSL_read(tls->ssl, plain, sizeof plain);
        if (got > 0) {
            conn_take(conn, plain, (size_t)got);
            continue;
        }
        int why = SSL_get_error(tls->ssl, got);
        move_out(conn); /* the handshake, or why it failed */
        if (why == SSL_ERROR_ZERO_RETURN && conn->state != CONN_CLOSING) {
            conn_take_end(conn);
        } else if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE) {
            conn_flush(conn);
            conn_close(conn);
        }
        return;
    }
}

void tls_take(struct conn *conn, const char *ptr, size_t len) {
    while (len && conn->state != CONN_CLOSING) {
        size_t piece = len < PIECE ? len : PIECE;
        if (BIO_write(conn->tls->in, ptr, (int)piece) != (int)piece) {
            conn_close(conn);
            return;
        }
        ptr += piece;
        len -= piece;
        take_plain(conn);
    }
}

void tls_send(struct conn *conn, struct slice bytes) {
    while (bytes.len && conn->state != CONN_CLOSING) {
        size_t piece = bytes.len < PIECE ? bytes.len : PIECE;
        ERR_clear_error();
        int put = SSL_write(conn->tls->ssl, bytes.ptr, (int)piece);
        if (put <= 0) {
            conn_close(conn); /* nothing is sent before the handshake is over, so it does not have to wait */
            return;
        }
        bytes = slice_of(bytes.ptr + put, bytes.len - (size_t)put);
        move_out(conn);
    }
}

void tls_end(struct conn *conn) {
    ERR_clear_error();
    if (SSL_is_init_finished(conn->tls->ssl)) {
        SSL_shutdown(conn->tls->ssl);
        move_out(conn);
    }
}
