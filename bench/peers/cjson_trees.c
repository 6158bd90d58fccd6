/* cJSON over a file of one change a line: a tree for each event, and no more.
 *
 *     cjson_trees FILE
 *
 * Each line is parsed, its operation looked up, its tree freed. Nothing is stored, so this is less than an
 * engine that works with trees would have to do. The clock runs from before the first byte is read. */
#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"

/* Whether the line is a change. */
static bool visit(const char *line, size_t len) {
    cJSON *event = cJSON_ParseWithLength(line, len);
    const cJSON *headers = cJSON_GetObjectItemCaseSensitive(event, "headers");
    const cJSON *operation = cJSON_GetObjectItemCaseSensitive(headers, "operation");
    bool is_change = cJSON_IsString(operation);
    cJSON_Delete(event);
    return is_change;
}

static int run(FILE *file, const char *path) {
    char *line = NULL;
    size_t room = 0, events = 0;
    double start = clock_seconds();
    for (ssize_t len; (len = getline(&line, &room, file)) > 0; events++) {
        if (!visit(line, (size_t)len)) {
            fprintf(stderr, "cjson_trees: %s: line %zu is no change\n", path, events + 1);
            free(line);
            return EXIT_FAILURE;
        }
    }
    printf("seconds=%.6f events=%zu\n", clock_seconds() - start, events);
    free(line);
    return EXIT_SUCCESS;
}

int main(int argc, char **argv) {
    FILE *file = argc == 2 ? fopen(argv[1], "re") : NULL;
    if (!file) {
        fputs("usage: cjson_trees FILE\n", stderr);
        return 2;
    }
    setvbuf(file, NULL, _IOFBF, 1 << 18);
    int code = run(file, argv[1]);
    fclose(file);
    return code;
}
