#include "json/scan.h"

#include "json/exact.h"
#include "json/scanner.h"

enum json_status json_scan_value(const char **place, const char *end, unsigned depth,
                                 struct json_fault *fault) {
    const char *behind = json_scanner_best()->value(*place, end, depth);
    if (!behind) {
        return json_exact_value(place, end, depth, fault);
    }
    *place = behind;
    return JSON_OK;
}

enum json_status json_scan_string(const char **place, const char *end, bool *escaped,
                                  struct json_fault *fault) {
    const char *behind = json_scanner_best()->string(*place, end, escaped);
    if (!behind) {
        return json_exact_string(place, end, escaped, fault);
    }
    *place = behind;
    return JSON_OK;
}

bool json_check(struct slice text, struct error *e) {
    const char *end = text.ptr + text.len;
    const char *at = json_skip_space(text.ptr, end);
    struct json_fault fault;
    if (at == end) {
        error_set(e, ERROR_CUT, "expected a value, found nothing");
        if (e) {
            e->position = text.len;
        }
        return false;
    }
    enum json_status status = json_scan_value(&at, end, 0, &fault);
    if (status != JSON_OK) {
        return json_fault_error(status, &fault, text.ptr, end, e);
    }
    at = json_skip_space(at, end);
    if (at != end) {
        fault = (struct json_fault){at, "expected the end of the text"};
        return json_fault_error(JSON_BAD, &fault, text.ptr, end, e);
    }
    return true;
}

bool json_fault_error(enum json_status status, const struct json_fault *fault, const char *start,
                      const char *end, struct error *e) {
    if (status == JSON_CUT || fault->at >= end) {
        error_set(e, ERROR_CUT, "%s", fault->reason);
    } else if ((unsigned char)*fault->at > 0x20 && (unsigned char)*fault->at < 0x7f) {
        error_set(e, ERROR_SYNTAX, "%s, found '%c'", fault->reason, *fault->at);
    } else {
        error_set(e, ERROR_SYNTAX, "%s, found byte 0x%02x", fault->reason, (unsigned char)*fault->at);
    }
    if (e) {
        e->position = (size_t)(fault->at - start);
    }
    return false;
}
