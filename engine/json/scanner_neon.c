#include "json/scanner.h"

#if defined(__aarch64__) && defined(__ARM_NEON)

#include "json/kernel_neon.h"

#include "json/scan_body.h"

#include "json/guess_body.h"

const struct json_scanner json_scanner_neon = {"neon", body_value, body_string, body_quotes, body_walk};

#else

const struct json_scanner json_scanner_neon = {0};

#endif
