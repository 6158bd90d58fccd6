#include "stream/source.h"

#include <string.h>
#include <strings.h>

#include "io/url.h"
#include "stream/file.h"
#include "stream/kind.h"
#include "stream/reader.h"

bool source_is_url(const char *location) {
    return strncasecmp(location, "http://", 7) == 0 || strncasecmp(location, "https://", 8) == 0;
}

struct source *source_open(const struct source_options *options, struct error *e) {
    const char *location = options->location;
    if (!location || !*location) {
        error_set(e, ERROR_ARGUMENT,
                  "no source was named: expected the http(s) URL of a stream, a file, or -");
        return NULL;
    }
    if (source_is_url(location)) {
        return reader_open(options, e);
    }
    if (strstr(location, "://")) {
        char shown[256];
        url_redact(location, shown, sizeof shown);
        error_set(e, ERROR_ARGUMENT, "%s: expected a URL that starts with http:// or https://, a file, or -",
                  shown);
        return NULL;
    }
    return file_open(options, e);
}

void source_pause(struct source *source) {
    source->kind->pause(source);
}

void source_resume(struct source *source) {
    source->kind->resume(source);
}

void source_seek(struct source *source, const char *offset) {
    source->kind->seek(source, offset);
}

void source_reject(struct source *source, const struct error *why) {
    source->kind->reject(source, why);
}

void source_close(struct source *source) {
    if (source) {
        source->kind->close(source);
    }
}
