/* A file of one change a line, as bench/tools/generate writes it. There is no JSON parser: type, key, value and operation
 * are cut out of the line by where generate puts them. */
#ifndef BENCH_CHANGES_H
#define BENCH_CHANGES_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct changes {
    FILE *file;
    char *line;
    size_t room;
};

/* Good until the next one; each text ends with a NUL. */
struct change {
    char *type, *key, *value; /* value NULL: deleted */
    size_t type_len, key_len, value_len;
};

/* 0: it cannot be opened. */
static inline int changes_open(struct changes *from, const char *path) {
    *from = (struct changes){.file = fopen(path, "re")};
    if (from->file) {
        setvbuf(from->file, NULL, _IOFBF, 1 << 18);
    }
    return from->file != NULL;
}

static inline void changes_close(struct changes *from) {
    free(from->line);
    fclose(from->file);
}

/* The text between two marks, and the place behind the second. */
static inline char *change_cut(char *at, const char *from, const char *to, char **text, size_t *len) {
    char *start = strstr(at, from);
    char *end = start ? strstr(start + strlen(from), to) : NULL;
    if (!end) {
        fputs("a line that generate did not write\n", stderr);
        exit(EXIT_FAILURE);
    }
    *text = start + strlen(from);
    *len = (size_t)(end - *text);
    *end = '\0';
    return end + strlen(to);
}

/* 0: that was all. */
static inline int changes_next(struct changes *from, struct change *to) {
    if (getline(&from->line, &from->room, from->file) <= 0) {
        return 0;
    }
    char *at = change_cut(from->line, "\"type\":\"", "\",", &to->type, &to->type_len);
    at = change_cut(at, "\"key\":\"", "\",", &to->key, &to->key_len);
    to->value = NULL;
    to->value_len = 0;
    if (strncmp(at, "\"value\":", 8) == 0) {
        (void)change_cut(at, "\"value\":", ",\"headers\":", &to->value, &to->value_len);
    }
    return 1;
}

#endif
