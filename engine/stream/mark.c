#include "stream/mark.h"

#include <cjson/cJSON.h>
#include <string.h>
#include <strings.h>

void mark_init(struct mark *mark) {
    *mark = (struct mark){0};
    buf_init(&mark->offset, MARK_TEXT_MAX);
    buf_init(&mark->cursor, MARK_TEXT_MAX);
}

void mark_free(struct mark *mark) {
    buf_free(&mark->offset);
    buf_free(&mark->cursor);
}

bool mark_is_true(struct slice field) {
    return field.len == 4 && strncasecmp(field.ptr, "true", 4) == 0;
}

static bool set(struct mark *mark, struct slice offset, struct slice cursor, struct error *e) {
    buf_clear(&mark->offset);
    buf_clear(&mark->cursor);
    if (!buf_append_slice(&mark->offset, offset) || !buf_append_slice(&mark->cursor, cursor)) {
        return error_set(e, ERROR_LIMIT, "the answer's offset or cursor is longer than %d bytes",
                         MARK_TEXT_MAX);
    }
    return true;
}

bool mark_from_head(struct mark *mark, const struct http_response *response, struct error *e) {
    struct slice offset = http_field(response, "Stream-Next-Offset");
    if (offset.len == 0) {
        return error_set(e, ERROR_HTTP, MARK_NO_OFFSET);
    }
    mark->closed = mark_is_true(http_field(response, "Stream-Closed"));
    mark->up_to_date = mark->closed || mark_is_true(http_field(response, "Stream-Up-To-Date"));
    return set(mark, offset, http_field(response, "Stream-Cursor"), e);
}

static bool from_object(struct mark *mark, const cJSON *object, struct error *e) {
    const char *offset = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, "streamNextOffset"));
    const char *cursor = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, "streamCursor"));
    if (!offset || !*offset) {
        return error_set(e, ERROR_SYNTAX, "an SSE control event has no streamNextOffset");
    }
    mark->closed = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(object, "streamClosed"));
    mark->up_to_date = mark->closed || cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(object, "upToDate"));
    return set(mark, slice_from(offset), slice_from(cursor ? cursor : ""), e);
}

bool mark_from_control(struct mark *mark, struct slice json, struct error *e) {
    cJSON *object = cJSON_ParseWithLength(json.ptr, json.len);
    bool ok = cJSON_IsObject(object)
                  ? from_object(mark, object, e)
                  : error_set(e, ERROR_SYNTAX, "an SSE control event is not a JSON object: %.*s",
                              (int)(json.len < 80 ? json.len : 80), json.ptr);
    cJSON_Delete(object);
    return ok;
}
