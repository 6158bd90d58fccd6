/* The kinds of sinks. Those that need a library of their own are there where it was found. Private to the room. */
#ifndef SINK_KINDS_H
#define SINK_KINDS_H

#include "sink/sink.h"

extern const struct sink_kind sink_stream;   /* sink/stream.c */
extern const struct sink_kind sink_sqlite;   /* sink/sqlite/ */
extern const struct sink_kind sink_postgres; /* sink/postgres/ */
extern const struct sink_kind sink_mysql;    /* sink/mysql/ */
extern const struct sink_kind sink_redis;    /* sink/redis/ */
extern const struct sink_kind sink_search;   /* sink/search*.c */

#endif
