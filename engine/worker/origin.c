#include "worker/origin.h"

#include <stdlib.h>
#include <string.h>

#include "io/url.h"
#include "stream/source.h"

enum { SHOWN_MAX = 64 << 10 };

char *origin_of(const char *location) {
    if (!source_is_url(location)) {
        char *path = realpath(location, NULL);
        return path ? path : strdup(location);
    }
    char *shown = malloc(SHOWN_MAX);
    if (shown) {
        url_redact(location, shown, SHOWN_MAX);
    }
    return shown;
}
