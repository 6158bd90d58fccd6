/* From a request to its answer. Each of these is called by the connection. */
#ifndef SERVER_HANDLE_H
#define SERVER_HANDLE_H

#include <stdbool.h>

#include "server/conn.h"

/* The head is there, the body is to come: refuses what need not be waited for (no token, too long). False:
 * answered. */
bool handle_head(struct conn *conn);

/* The request is whole. */
void handle_request(struct conn *conn);

/* The deadline that a handler has set is over. */
void handle_deadline(struct conn *conn);

/* All that was put has left. */
void handle_drained(struct conn *conn);

/* Waits are to end now: as at their timeout. Writes are left alone. */
void handle_stop(struct conn *conn);

/* The connection goes: takes back whatever is under way. */
void handle_cancel(struct conn *conn);

/* ---- between the files of handlers ---- */

void handle_put(struct conn *conn);
void handle_post(struct conn *conn);
void handle_delete(struct conn *conn);
void handle_get(struct conn *conn);
void handle_look(struct conn *conn); /* HEAD */

/* The answers to writes, once they are safe. */
void handle_created(struct conn *conn, const struct stream_result *result);
void handle_appended(struct conn *conn, const struct stream_result *result);
void handle_deleted(struct conn *conn, const struct stream_result *result);

/* GET with live=...: the reads that wait. */
void live_poll(struct conn *conn, struct stream *stream, uint64_t position, struct slice cursor);
void live_sse(struct conn *conn, struct stream *stream, uint64_t position, struct slice cursor);
void live_poll_end(struct conn *conn);
void live_sse_deadline(struct conn *conn);
void live_sse_end(struct conn *conn);
void live_sse_pump(struct conn *conn); /* the last of what it puts is not sent yet */

/* The answer that a status of streams.h stands for, where it is none of those that a handler knows better. */
void handle_status(struct conn *conn, enum stream_status status, const struct stream_result *result);

/* What a read gives, as the answer to GET: fields and body. Takes the body. cursor: with Stream-Cursor. */
void handle_read(struct conn *conn, const struct stream *stream, struct stream_body *body, bool cursor,
                 bool now);

/* The cursor for this client's next answer. */
uint64_t handle_cursor(struct conn *conn);

#endif
