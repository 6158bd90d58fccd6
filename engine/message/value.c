#include "message/value.h"

#include "json/scan.h"

enum message_status value_decode(void *decoder, const char **at, const char *end, struct error *e) {
    const char *start = *at;
    struct json_fault fault;
    enum json_status status = json_scan_value(at, end, 0, &fault);
    (void)decoder;
    if (status == JSON_OK) {
        return MESSAGE_OK;
    }
    *at = start;
    json_fault_error(status, &fault, start, end, e);
    return status == JSON_CUT ? MESSAGE_CUT : MESSAGE_INVALID;
}
