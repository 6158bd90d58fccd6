/* What the bodies of requests take of memory, over all connections: counted by the memory that they have, not
 * by the length that was announced, so that who announces much and sends nothing is in nobody's way. */
#ifndef SERVER_BODIES_H
#define SERVER_BODIES_H

struct conn;

/* A piece of the connection's body has come, and it is not whole. Where all bodies are too much together
 * (max_input), the longest of those that are not whole is refused with 503: it may be this one. */
void bodies_grown(struct conn *conn);

/* The connection's body is whole, or its memory was freed. */
void bodies_count(struct conn *conn);

/* The request is over: a little memory stays for the body of the next one, where there is enough of it. */
void bodies_over(struct conn *conn);

/* Nobody needs the body any more. */
void bodies_drop(struct conn *conn);

#endif
