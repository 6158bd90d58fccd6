/* The scanner that looks at one byte at a time: the measure of all the others (json/scanner.h), and the
 * only one that says which byte is wrong and why. What they refuse is scanned again here.
 *
 * Both functions are those of json/scan.h. */
#ifndef JSON_EXACT_H
#define JSON_EXACT_H

#include "json/scan.h"

enum json_status json_exact_value(const char **place, const char *end, unsigned depth,
                                  struct json_fault *fault);

enum json_status json_exact_string(const char **place, const char *end, bool *escaped,
                                   struct json_fault *fault);

#endif
