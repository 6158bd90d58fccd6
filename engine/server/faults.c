#include "server/faults.h"

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

#include "server/handle.h"
#include "server/reply.h"
#include "server/server_parts.h"
#include "server/sse.h"

enum { FAULTS_MAX = 10000, METHOD_MAX = 16, DELAY_MAX_MS = 600 * 1000 };

struct fault {
    uint64_t count;
    int status;      /* 0: none */
    int retry_after; /* seconds; -1: none */
    uint64_t delay_ms, jitter_ms;
    bool drops, truncates, corrupts;
    uint64_t truncate;
    double probability;
    char method[METHOD_MAX]; /* empty: any */
    struct block *inject;
};

struct faults {
    struct strmap by_path;
};

static void fault_free(void *value) {
    struct fault *fault = value;
    block_drop(fault->inject);
    free(fault);
}

struct faults *faults_new(void) {
    struct faults *faults = calloc(1, sizeof *faults);
    if (faults) {
        strmap_init(&faults->by_path);
    }
    return faults;
}

void faults_free(struct faults *faults) {
    if (faults) {
        strmap_free(&faults->by_path, fault_free);
        free(faults);
    }
}

/* ---- planning ---- */

static bool take_count(const cJSON *plan, const char *name, uint64_t *value) {
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(plan, name);
    if (!item) {
        return true;
    }
    if (!cJSON_IsNumber(item) || item->valuedouble < 0 || item->valuedouble > 1e15) {
        return false;
    }
    *value = (uint64_t)item->valuedouble;
    return true;
}

static const char *text_of(const cJSON *plan, const char *name) {
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(plan, name);
    return cJSON_IsString(item) ? item->valuestring : NULL;
}

static bool take_event(const cJSON *plan, struct fault *fault) {
    const cJSON *event = cJSON_GetObjectItemCaseSensitive(plan, "injectSseEvent");
    if (!event) {
        return true;
    }
    const char *type = text_of(event, "eventType");
    const char *data = text_of(event, "data");
    if (!type || !data || strpbrk(type, "\r\n")) {
        return false;
    }
    fault->inject = sse_event(slice_from(type), slice_from(data));
    return fault->inject != NULL;
}

/* NULL: a member is not what it has to be. */
static const char *take_plan(const cJSON *plan, struct fault *fault) {
    uint64_t status = 0;
    uint64_t retry_after = 0;
    const char *method = text_of(plan, "method");
    const cJSON *probability = cJSON_GetObjectItemCaseSensitive(plan, "probability");
    *fault = (struct fault){.count = 1, .retry_after = -1, .probability = 1};
    if (!take_count(plan, "count", &fault->count) || fault->count == 0) {
        return "expected count to be a number above 0";
    }
    if (!take_count(plan, "status", &status) || (status && (status < 200 || status > 599))) {
        return "expected status to be 200 to 599";
    }
    if (!take_count(plan, "retryAfter", &retry_after) || retry_after > 86400) {
        return "expected retryAfter in seconds, at most a day";
    }
    if (!take_count(plan, "delayMs", &fault->delay_ms) || !take_count(plan, "jitterMs", &fault->jitter_ms) ||
        fault->delay_ms > DELAY_MAX_MS || fault->jitter_ms > DELAY_MAX_MS) {
        return "expected delayMs and jitterMs in milliseconds, at most ten minutes";
    }
    if (!take_count(plan, "truncateBodyBytes", &fault->truncate)) {
        return "expected truncateBodyBytes to be a number of bytes";
    }
    if (!take_event(plan, fault)) {
        return "expected injectSseEvent to be {\"eventType\": TEXT, \"data\": TEXT}";
    }
    if (method && strlen(method) >= METHOD_MAX) {
        return "expected method to be the name of a method";
    }
    fault->status = (int)status;
    fault->retry_after = cJSON_HasObjectItem(plan, "retryAfter") ? (int)retry_after : -1;
    fault->truncates = cJSON_HasObjectItem(plan, "truncateBodyBytes");
    fault->drops = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(plan, "dropConnection"));
    fault->corrupts = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(plan, "corruptBody"));
    fault->probability = cJSON_IsNumber(probability) ? probability->valuedouble : 1;
    snprintf(fault->method, sizeof fault->method, "%s", method ? method : "");
    return NULL;
}

static const char *plan_fault(struct faults *faults, const cJSON *plan) {
    const char *path = text_of(plan, "path");
    struct fault fault;
    if (!path) {
        return "expected an object with the path of a stream";
    }
    const char *wrong = take_plan(plan, &fault);
    struct fault *kept = wrong ? NULL : malloc(sizeof *kept);
    struct slice key = slice_from(path);
    if (kept) {
        *kept = fault;
        struct fault *before = strmap_get(&faults->by_path, key);
        bool room = before || faults->by_path.count < FAULTS_MAX;
        if (room && strmap_put(&faults->by_path, key, kept)) {
            if (before) {
                fault_free(before);
            }
            return NULL;
        }
        wrong = "no room for another fault";
        free(kept);
    }
    block_drop(fault.inject);
    return wrong ? wrong : "out of memory";
}

static void answer_order(struct conn *conn) {
    struct faults *faults = conn->server->faults;
    if (conn->request.method == REQUEST_DELETE) {
        strmap_free(&faults->by_path, fault_free);
        strmap_init(&faults->by_path);
    } else if (conn->request.method == REQUEST_POST) {
        cJSON *plan = cJSON_ParseWithLength(conn->request.body.ptr ? conn->request.body.ptr : "",
                                            conn->request.body.len);
        const char *wrong = plan ? plan_fault(faults, plan) : "expected a JSON object";
        cJSON_Delete(plan);
        if (wrong) {
            reply_error(conn, 400, "%s", wrong);
            return;
        }
    } else {
        reply_begin(conn, 405);
        reply_text(conn, "Allow", "POST, DELETE");
        reply_reason(conn, "expected POST, or DELETE");
        return;
    }
    reply_begin(conn, 200);
    reply_text(conn, "Content-Type", "application/json");
    reply_end(conn, SLICE("{\"ok\":true}"));
}

/* ---- meeting ---- */

static const char *method_name(enum request_method method) {
    static const char *const names[] = {
        [REQUEST_GET] = "GET", [REQUEST_HEAD] = "HEAD",     [REQUEST_POST] = "POST",
        [REQUEST_PUT] = "PUT", [REQUEST_DELETE] = "DELETE", [REQUEST_OPTIONS] = "OPTIONS",
    };
    return method == REQUEST_OTHER ? "" : names[method];
}

/* The fault that this request meets, one count fewer; the caller frees it. */
static bool take_fault(struct conn *conn, struct fault *fault) {
    struct faults *faults = conn->server->faults;
    struct slice path = buf_slice(&conn->request.path);
    struct fault *planned = strmap_get(&faults->by_path, path);
    if (!planned || (planned->method[0] && strcmp(planned->method, method_name(conn->request.method)) != 0)) {
        return false;
    }
    if (planned->probability < 1 &&
        (double)(server_random(conn->server) % 1000000) >= planned->probability * 1000000) {
        return false;
    }
    *fault = *planned;
    if (fault->inject) {
        block_ref(fault->inject);
    }
    if (--planned->count == 0) {
        strmap_remove(&faults->by_path, path);
        fault_free(planned);
    }
    return true;
}

static bool answer_fault(struct conn *conn) {
    struct exchange *exchange = &conn->exchange;
    if (exchange->drops) {
        conn_close(conn);
        return true;
    }
    if (!exchange->status) {
        return false;
    }
    reply_begin(conn, exchange->status);
    if (exchange->retry_after >= 0) {
        reply_number(conn, "Retry-After", (uint64_t)exchange->retry_after);
    }
    reply_reason(conn, "a fault that was asked for");
    return true;
}

bool faults_delayed(struct conn *conn) {
    return answer_fault(conn);
}

enum faults_answer faults_meet(struct conn *conn) {
    struct server *server = conn->server;
    struct exchange *exchange = &conn->exchange;
    struct fault fault;
    if (!server->faults) {
        return FAULTS_NONE;
    }
    if (slice_is(buf_slice(&conn->request.path), "/_test/inject-error")) {
        answer_order(conn);
        return FAULTS_ANSWERED;
    }
    if (!take_fault(conn, &fault)) {
        return FAULTS_NONE;
    }
    exchange->status = fault.status;
    exchange->retry_after = fault.retry_after;
    exchange->drops = fault.drops;
    exchange->truncates = fault.truncates;
    exchange->truncate = fault.truncate;
    exchange->corrupts = fault.corrupts;
    exchange->inject = fault.inject;
    uint64_t delay = fault.delay_ms + (fault.jitter_ms ? server_random(server) % (fault.jitter_ms + 1) : 0);
    if (delay) {
        conn_set_deadline(conn, server_now(server) + delay);
        return FAULTS_DELAY;
    }
    return answer_fault(conn) ? FAULTS_ANSWERED : FAULTS_NONE;
}
