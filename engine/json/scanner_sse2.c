#include "json/scanner.h"

#if defined(__SSE2__)

#include "json/kernel_sse2.h"

#include "json/scan_body.h"

#include "json/guess_body.h"

const struct json_scanner json_scanner_sse2 = {"sse2", body_value, body_string, body_quotes, body_walk};

#else

const struct json_scanner json_scanner_sse2 = {0};

#endif
