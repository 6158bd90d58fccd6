/* Comparing what a search server has with the state, type by type: its rows are asked for page by page (what is missing
 * or other), then the server's documents are walked through (what is extra). A repair stores a page's differences as a
 * batch of its own, before the next page. Private to the room. */
#ifndef SINK_SEARCH_VERIFY_H
#define SINK_SEARCH_VERIFY_H

#include "sink/search_parts.h"

struct search_verify {
    const struct store *store;
    bool repair;
    struct strmap known; /* types, of the state and of the server */
    struct slice *types; /* keys of `known` */
    size_t type_count, type;
    uint32_t *order; /* the rows of the present type */
    size_t row_count, row, page;
    uint64_t rows;
    struct buf cursor;        /* of the dialect's scan; empty at its start */
    bool more;                /* there is more to scan */
    struct sink_batch *wrong; /* what a repair stores */
};

void search_verify(struct sink *sink, const struct store *store, bool repair);
void search_verify_free(struct search_verify *verify);

/* For the dialects: the name of what the present type is stored in; row i of the page. */
const char *search_verify_name(struct search_sink *s);
struct store_row search_verify_row(const struct search_sink *s, size_t i);

/* ... what they have found. Row i of the page is this document (ptr NULL: there is none); then the whole page. */
void search_verify_compare(struct search_sink *s, size_t i, struct slice document, bool has_id);
void search_verify_page(struct search_sink *s);
/* The server has a document of this key; then what was to be scanned for now. */
void search_verify_found(struct search_sink *s, struct slice key);
void search_verify_scanned(struct search_sink *s, bool more);

/* ---- search_elastic_verify.c, search_typesense_verify.c ---- */

void search_elastic_ask_rows(struct search_sink *s);
void search_elastic_scan(struct search_sink *s);
/* In search_elastic.c: has the server find what was stored there a moment ago (if anything was), then goes on. */
void search_elastic_refresh(struct search_sink *s, const char *name, void (*after)(struct search_sink *s));

void search_typesense_ask_rows(struct search_sink *s);
void search_typesense_scan(struct search_sink *s);

#endif
