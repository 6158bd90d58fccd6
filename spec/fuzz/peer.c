#include "peer.h"

#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "fuzz.h"

enum { NUMBER_MAX = 63 };

static bool same(const cJSON *theirs, const struct tree *ours);

static bool same_members(const cJSON *theirs, const struct tree *ours) {
    const cJSON *item = theirs->child;
    for (size_t i = 0; i < ours->count; i++, item = item->next) {
        const struct tree_member *member = &ours->members[i];
        if (!item || !same(item, &member->value)) {
            return false;
        }
        if (ours->kind == TREE_OBJECT && strcmp(item->string, member->name.ptr) != 0) {
            return false;
        }
    }
    return item == NULL;
}

static bool same_number(const cJSON *theirs, const struct tree *ours) {
    char *text = fuzz_alloc(ours->raw.len + 1);
    memcpy(text, ours->raw.ptr, ours->raw.len);
    text[ours->raw.len] = '\0';
    double number = strtod(text, NULL);
    free(text);
    return cJSON_IsNumber(theirs) && theirs->valuedouble == number; /* no NaN comes out of a JSON number */
}

static bool same(const cJSON *theirs, const struct tree *ours) {
    switch (ours->kind) {
    case TREE_NULL:
        return cJSON_IsNull(theirs);
    case TREE_FALSE:
        return cJSON_IsFalse(theirs);
    case TREE_TRUE:
        return cJSON_IsTrue(theirs);
    case TREE_NUMBER:
        return same_number(theirs, ours);
    case TREE_STRING:
        return cJSON_IsString(theirs) && strcmp(theirs->valuestring, ours->text.ptr) == 0;
    case TREE_ARRAY:
        return cJSON_IsArray(theirs) && same_members(theirs, ours);
    case TREE_OBJECT:
        return cJSON_IsObject(theirs) && same_members(theirs, ours);
    }
    return false;
}

/* A text that is one long number is taken up to its 63rd byte. */
static bool is_rest(const char *at, const char *end) {
    while (at < end && *at && strchr(" \t\r\n", *at)) {
        at++;
    }
    return at == end;
}

void peer_check(struct slice text, const struct tree *tree, const struct tree_facts *facts,
                const struct strict_verdict *verdict) {
    const char *end = NULL;
    cJSON *theirs = cJSON_ParseWithLengthOpts(text.ptr, text.len, &end, false);
    if (theirs && !is_rest(end, text.ptr + text.len)) {
        cJSON_Delete(theirs);
        theirs = NULL;
    }
    bool may_refuse = facts->lone_surrogate || verdict->longest_number > NUMBER_MAX;
    FUZZ_CHECK(theirs || may_refuse, "cJSON refuses a text that is valid:\n%.*s", (int)text.len, text.ptr);
    FUZZ_CHECK(!theirs || !facts->lone_surrogate, "cJSON takes a lone surrogate:\n%.*s", (int)text.len,
               text.ptr);
    FUZZ_CHECK(!theirs || same(theirs, tree), "cJSON finds other values in:\n%.*s", (int)text.len, text.ptr);
    cJSON_Delete(theirs);
}
