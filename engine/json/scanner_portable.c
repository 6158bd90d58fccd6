#include "json/scanner.h"

#include "json/kernel_portable.h"

#include "json/scan_body.h"

#include "json/guess_body.h"

const struct json_scanner json_scanner_portable = {"portable", body_value, body_string, body_quotes,
                                                   body_walk};
