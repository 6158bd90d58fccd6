/* Runs a fuzz target on files: TARGET FILE|FOLDER... Each file's beginnings are inputs too, up to
 * REPLAY_PREFIXES of them, evenly spread: that costs nothing to write down and finds what a text cut short can
 * break. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fuzz.h"

#ifndef REPLAY_PREFIXES
#define REPLAY_PREFIXES 48
#endif

enum { INPUT_MAX = 1 << 20 };

static size_t inputs;

static void run(const char *ptr, size_t len) {
    struct slice exact = fuzz_copy(slice_of(ptr, len));
    LLVMFuzzerTestOneInput((const uint8_t *)exact.ptr, len);
    fuzz_drop(exact);
    inputs++;
}

static void run_all(const char *ptr, size_t len) {
    size_t step = len / REPLAY_PREFIXES + 1;
    for (size_t cut = len % step; cut < len; cut += step) {
        run(ptr, cut);
    }
    run(ptr, len);
}

static bool run_file(const char *path) {
    FILE *file = fopen(path, "rb");
    if (!file) {
        perror(path);
        return false;
    }
    char *bytes = fuzz_alloc(INPUT_MAX);
    size_t len = fread(bytes, 1, INPUT_MAX, file);
    fclose(file);
    fprintf(stderr, "%s (%zu bytes)\n", path, len);
    run_all(bytes, len);
    free(bytes);
    return true;
}

static int not_hidden(const struct dirent *entry) {
    return entry->d_name[0] != '.';
}

static bool run_folder(const char *path) {
    struct dirent **entries;
    int count = scandir(path, &entries, not_hidden, alphasort);
    bool ok = count > 0;
    if (!ok) {
        fprintf(stderr, "%s: there is nothing in it\n", path);
    }
    for (int i = 0; i < count; i++) {
        char name[4096];
        snprintf(name, sizeof name, "%s/%s", path, entries[i]->d_name);
        ok = run_file(name) && ok;
        free(entries[i]);
    }
    if (count >= 0) {
        free(entries);
    }
    return ok;
}

int main(int argc, char **argv) {
    bool ok = argc > 1;
    for (int i = 1; i < argc; i++) {
        struct stat info;
        bool folder = stat(argv[i], &info) == 0 && S_ISDIR(info.st_mode);
        ok = (folder ? run_folder(argv[i]) : run_file(argv[i])) && ok;
    }
    if (argc < 2) {
        fprintf(stderr, "usage: %s FILE|FOLDER...\n", argv[0]);
    }
    printf("%zu inputs\n", inputs);
    return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
