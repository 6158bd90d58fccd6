/* What a string has to look like: the named formats, and its length. */
#ifndef STATE_SCHEMA_FORMAT_H
#define STATE_SCHEMA_FORMAT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"

/* RFC 3339 as ISO 8601 profiles it: "2024-02-29T23:59:59Z", a fraction of any length behind the seconds,
 * "Z" or an offset "+02:00" up to 23:59. The day must exist; T and Z are upper case; there is no second
 * 60 and no hour 24, which most programs could not read. */
bool schema_format_datetime(struct slice text);

/* An email address as people have them, not all that RFC 5322 allows: letters, digits and _ ' + - . in
 * front of the @ (no dot at either end, none doubled, no quote at its end), behind it labels of letters,
 * digits and hyphens (no hyphen first), and a last label of two letters or more. */
bool schema_format_email(struct slice text);

/* A URL that is complete in itself, by the rules of the URL Standard (https://url.spec.whatwg.org): a scheme and,
 * where the scheme is one of the web's (http, https, ws, wss, ftp), a host. White space around it is no matter. */
bool schema_format_url(struct slice text);

/* RFC 9562: 8-4-4-4-12 hexadecimal digits, of a version from 1 to 8 and its variant; or all 0, or all f. */
bool schema_format_uuid(struct slice text);

/* Code points in UTF-8. */
size_t schema_format_length(struct slice text);

#endif
