#include "io/lookup.h"

#include <netdb.h>
#include <stdlib.h>
#include <string.h>

struct lookup {
    uv_getaddrinfo_t uv;
    void (*answered)(void *user, const struct lookup_answer *answer, const struct error *e);
    void *user; /* answered NULL: nobody waits for it any more */
    char host[];
};

static void take(struct lookup_answer *answer, const struct addrinfo *list) {
    answer->count = 0;
    for (; list && answer->count < LOOKUP_MAX; list = list->ai_next) {
        char *text = answer->addresses[answer->count];
        answer->count += getnameinfo(list->ai_addr, list->ai_addrlen, text, LOOKUP_TEXT, NULL, 0,
                                     NI_NUMERICHOST) == 0;
    }
}

static void set_failure(struct error *e, const char *host, const char *why) {
    error_set(e, ERROR_NETWORK, "the host \"%s\" cannot be looked up: %s", host, why);
}

static void on_answer(uv_getaddrinfo_t *uv, int status, struct addrinfo *list) {
    struct lookup *lookup = uv->data;
    if (lookup->answered) {
        struct lookup_answer answer;
        struct error e;
        take(&answer, status == 0 ? list : NULL);
        set_failure(&e, lookup->host, status ? uv_strerror(status) : "its name has no address");
        bool found = answer.count > 0;
        lookup->answered(lookup->user, found ? &answer : NULL, found ? NULL : &e);
    }
    uv_freeaddrinfo(list);
    free(lookup);
}

struct lookup *lookup_start(struct loop *loop, const char *host,
                            void (*answered)(void *user, const struct lookup_answer *answer,
                                             const struct error *e),
                            void *user, struct error *e) {
    size_t size = strlen(host) + 1;
    struct lookup *lookup = malloc(sizeof *lookup + size);
    if (!lookup) {
        error_set(e, ERROR_MEMORY, "out of memory to look up the host \"%s\"", host);
        return NULL;
    }
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_family = AF_UNSPEC};
    lookup->answered = answered;
    lookup->user = user;
    memcpy(lookup->host, host, size);
    lookup->uv.data = lookup;
    int rc = uv_getaddrinfo(loop_uv(loop), &lookup->uv, on_answer, host, NULL, &hints);
    if (rc != 0) {
        set_failure(e, host, uv_strerror(rc));
        free(lookup);
        return NULL;
    }
    return lookup;
}

void lookup_cancel(struct lookup *lookup) {
    if (lookup) {
        lookup->answered = NULL;
        (void)uv_cancel((uv_req_t *)&lookup->uv);
    }
}

bool lookup_is_address(const char *host) {
    struct addrinfo hints = {.ai_flags = AI_NUMERICHOST};
    struct addrinfo *list = NULL;
    bool is = getaddrinfo(host, NULL, &hints, &list) == 0;
    if (is) {
        freeaddrinfo(list);
    }
    return is;
}
