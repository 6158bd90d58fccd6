/* Loss of power: whatever a disk may hold at any moment of a small history, the set that is opened on it has all that
 * was acknowledged. All writes to files and names are recorded; of those that were not synced when the power went, any
 * are missing, by blocks. WEIR_CUTS: at how many moments. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>

#include "server_world.h"

#define TEXT "text/plain"

enum { STEPS = 120, PATHS = 4, DESCRIPTION = 16384, EVENTS_MOST = 100000, FILES_MOST = 2000, BLOCK = 512 };

enum kind { WRITE, CUT, SYNC, SYNC_ALL, NAME, UNNAME, RENAME, SYNC_NAMES, ACKNOWLEDGED };

struct event {
    enum kind kind;
    ino_t file;
    size_t at, len; /* CUT: to len. SYNC: what was recorded before `at` */
    char *bytes;
    char name[64], to[64];
    size_t safe; /* the event that made it safe */
};

static struct {
    pthread_mutex_t lock;
    char folder[64];
    bool on;
    struct event *events;
    size_t count;
} tape = {.lock = PTHREAD_MUTEX_INITIALIZER};

static uint64_t random_state = 88172645463325252u;

static uint64_t random_below(uint64_t limit) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state % limit;
}

/* Recording */

static void record(struct event event) {
    pthread_mutex_lock(&tape.lock);
    if (tape.on && tape.count < EVENTS_MOST) {
        tape.events[tape.count++] = event;
    } else {
        free(event.bytes);
    }
    pthread_mutex_unlock(&tape.lock);
}

static size_t recorded(void) {
    pthread_mutex_lock(&tape.lock);
    size_t count = tape.count;
    pthread_mutex_unlock(&tape.lock);
    return count;
}

static ino_t file_of(int fd) {
    struct stat about;
    return fstat(fd, &about) == 0 ? about.st_ino : 0;
}

/* The name below the folder; false where it is elsewhere. */
static bool name_in_folder(int dir, const char *name, char out[64]) {
    char link[64], path[256];
    snprintf(link, sizeof link, "/proc/self/fd/%d", dir);
    ssize_t len = readlink(link, path, sizeof path - 1);
    size_t own = strlen(tape.folder);
    if (len < (ssize_t)own || memcmp(path, tape.folder, own) != 0) {
        return false;
    }
    path[len] = '\0';
    snprintf(out, 64, "%s%s%s", path[own] ? path + own + 1 : "", path[own] ? "/" : "", name);
    return true;
}

ssize_t __real_pwrite(int fd, const void *bytes, size_t len, off_t at);
int __real_ftruncate(int fd, off_t len);
int __real_fdatasync(int fd);
int __real_fsync(int fd);
int __real_syncfs(int fd);
int __real_openat(int dir, const char *name, int flags, mode_t mode);
int __real_renameat(int from_dir, const char *from, int to_dir, const char *to);
int __real_unlinkat(int dir, const char *name, int flags);
ssize_t __wrap_pwrite(int fd, const void *bytes, size_t len, off_t at);
int __wrap_ftruncate(int fd, off_t len);
int __wrap_fdatasync(int fd);
int __wrap_fsync(int fd);
int __wrap_syncfs(int fd);
int __wrap_openat(int dir, const char *name, int flags, mode_t mode);
int __wrap_renameat(int from_dir, const char *from, int to_dir, const char *to);
int __wrap_unlinkat(int dir, const char *name, int flags);

ssize_t __wrap_pwrite(int fd, const void *bytes, size_t len, off_t at) {
    char *copy = malloc(len);
    memcpy(copy, bytes, len);
    record((struct event){.kind = WRITE, .file = file_of(fd), .at = (size_t)at, .len = len, .bytes = copy});
    return __real_pwrite(fd, bytes, len, at);
}

int __wrap_ftruncate(int fd, off_t len) {
    record((struct event){.kind = CUT, .file = file_of(fd), .len = (size_t)len});
    return __real_ftruncate(fd, len);
}

static int record_sync(int fd, size_t before) {
    struct stat about;
    fstat(fd, &about);
    bool names = S_ISDIR(about.st_mode);
    record((struct event){.kind = names ? SYNC_NAMES : SYNC, .file = about.st_ino, .at = before});
    return 0;
}

int __wrap_fdatasync(int fd) {
    size_t before = recorded();
    return __real_fdatasync(fd) != 0 ? -1 : record_sync(fd, before);
}

int __wrap_fsync(int fd) {
    size_t before = recorded();
    return __real_fsync(fd) != 0 ? -1 : record_sync(fd, before);
}

int __wrap_syncfs(int fd) {
    (void)fd; /* of the machine's file systems none has to be synced for this */
    record((struct event){.kind = SYNC_ALL, .at = recorded()});
    return 0;
}

int __wrap_openat(int dir, const char *name, int flags, mode_t mode) {
    struct event event = {.kind = NAME};
    bool inside = tape.on && name_in_folder(dir, name, event.name);
    bool made = inside && (flags & O_CREAT) && faccessat(dir, name, F_OK, 0) != 0;
    int fd = __real_openat(dir, name, flags, mode);
    event.file = fd >= 0 ? file_of(fd) : 0;
    if (fd >= 0 && inside && (flags & O_TRUNC) && !made) {
        record((struct event){.kind = CUT, .file = event.file});
    }
    if (fd >= 0 && made) {
        record(event);
    }
    return fd;
}

int __wrap_renameat(int from_dir, const char *from, int to_dir, const char *to) {
    struct event event = {.kind = RENAME};
    if (name_in_folder(from_dir, from, event.name) && name_in_folder(to_dir, to, event.to)) {
        record(event);
    }
    return __real_renameat(from_dir, from, to_dir, to);
}

int __wrap_unlinkat(int dir, const char *name, int flags) {
    struct event event = {.kind = UNNAME};
    if (tape.on && faccessat(dir, name, F_OK, 0) == 0 && name_in_folder(dir, name, event.name)) {
        record(event);
    }
    return __real_unlinkat(dir, name, flags);
}

/* A history of writes, one at a time */

static void describe(struct world *world, char *out) {
    size_t len = 0;
    for (unsigned i = 0; i < PATHS; i++) {
        char path[8];
        snprintf(path, sizeof path, "/%u", i);
        bool there = head(world, path) == STREAM_OK;
        len += (size_t)snprintf(out + len, DESCRIPTION - len, "%s: %s\n", path,
                                there ? read_all(world, path) : "none");
    }
    assert_true(len < DESCRIPTION);
}

static void take_step(struct world *world, int step) {
    char path[8], body[300];
    snprintf(path, sizeof path, "/%u", (unsigned)random_below(PATHS));
    snprintf(body, sizeof body, "%d%.*s", step, (int)random_below(250),
             "..............................................................................................."
             "..............................................................................................."
             "............................................................");
    if (head(world, path) != STREAM_OK) {
        assert_int_equal(put(world, path, TEXT, body), STREAM_CREATED);
    } else if (random_below(12) == 0) {
        assert_int_equal(world_delete(world, path), STREAM_OK);
    } else {
        assert_int_equal(post(world, path, TEXT, body), STREAM_OK);
    }
}

static char states[STEPS + 1][DESCRIPTION];

static void make_history(struct world *world) {
    for (int step = 0; step <= STEPS; step++) {
        describe(world, states[step]);
        record((struct event){.kind = ACKNOWLEDGED, .at = (size_t)step});
        if (step < STEPS) {
            take_step(world, step);
        }
        if (step % 40 == 39) {
            world_reopen(world);
        }
    }
    tape.on = false;
}

/* What a disk may hold */

struct disk_file {
    ino_t number;
    char *bytes;
    size_t len;
};

struct disk_name {
    char name[64];
    ino_t file;
    bool there;
};

struct disk {
    struct disk_file files[FILES_MOST];
    struct disk_name names[FILES_MOST];
    size_t file_count, name_count;
};

static struct disk_file *disk_file(struct disk *disk, ino_t number) {
    for (size_t i = 0; i < disk->file_count; i++) {
        if (disk->files[i].number == number) {
            return &disk->files[i];
        }
    }
    assert_true(disk->file_count < FILES_MOST);
    disk->files[disk->file_count] = (struct disk_file){.number = number};
    return &disk->files[disk->file_count++];
}

static struct disk_name *disk_name(struct disk *disk, const char *name) {
    for (size_t i = 0; i < disk->name_count; i++) {
        if (strcmp(disk->names[i].name, name) == 0) {
            return &disk->names[i];
        }
    }
    assert_true(disk->name_count < FILES_MOST);
    strcpy(disk->names[disk->name_count].name, name);
    return &disk->names[disk->name_count++];
}

static void resize(struct disk_file *file, size_t len) {
    file->bytes = realloc(file->bytes, len + 1);
    if (len > file->len) {
        memset(file->bytes + file->len, 0, len - file->len);
    }
    file->len = len;
}

/* Whole where it was synced; else any of its blocks. */
static void do_write(struct disk_file *file, const struct event *event, bool synced) {
    for (size_t at = event->at, end; at < event->at + event->len; at = end) {
        end = (at / BLOCK + 1) * BLOCK;
        end = end < event->at + event->len ? end : event->at + event->len;
        if (synced || random_below(2) == 0) {
            resize(file, end > file->len ? end : file->len);
            memcpy(file->bytes + at, event->bytes + (at - event->at), end - at);
        }
    }
}

static bool makes_safe(const struct event *sync, const struct event *event) {
    bool content = event->kind == WRITE || event->kind == CUT;
    return sync->kind == SYNC_ALL ||
           (content ? sync->kind == SYNC && sync->file == event->file : sync->kind == SYNC_NAMES);
}

static void find_syncs(void) {
    for (size_t i = 0; i < tape.count; i++) {
        struct event *event = &tape.events[i];
        event->safe = i + 1;
        while (event->safe < tape.count &&
               !(makes_safe(&tape.events[event->safe], event) && i < tape.events[event->safe].at)) {
            event->safe++;
        }
    }
}

static bool is_synced(const struct event *event, size_t cut) {
    return event->safe < cut;
}

static void do_name(struct disk *disk, const struct event *event) {
    struct disk_name *name = disk_name(disk, event->name);
    if (event->kind == NAME) {
        name->file = event->file;
        name->there = true;
    } else if (event->kind == UNNAME) {
        name->there = false;
    } else if (name->there) {
        struct disk_name *to = disk_name(disk, event->to);
        to->file = name->file;
        to->there = true;
        name->there = false;
    }
}

/* The number of the last step that was acknowledged. */
static size_t play(struct disk *disk, size_t cut) {
    size_t step = 0;
    for (size_t i = 0; i < cut; i++) {
        const struct event *event = &tape.events[i];
        switch (event->kind) {
        case WRITE:
            do_write(disk_file(disk, event->file), event, is_synced(event, cut));
            break;
        case CUT:
            if (is_synced(event, cut) || random_below(2) == 0) {
                resize(disk_file(disk, event->file), event->len);
            }
            break;
        case NAME:
        case UNNAME:
        case RENAME:
            if (is_synced(event, cut) || random_below(2) == 0) {
                do_name(disk, event);
            }
            break;
        case ACKNOWLEDGED:
            step = event->at;
            break;
        case SYNC:
        case SYNC_ALL:
        case SYNC_NAMES:
            break;
        }
    }
    return step;
}

static void put_file(const char *folder, const char *name, const struct disk_file *file) {
    char path[160];
    for (const char *at = strchr(name, '/'); at; at = strchr(at + 1, '/')) {
        snprintf(path, sizeof path, "%s/%.*s", folder, (int)(at - name), name);
        mkdir(path, 0700);
    }
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *out = fopen(path, "w");
    assert_non_null(out);
    assert_int_equal(fwrite(file->bytes ? file->bytes : "", 1, file->len, out), file->len);
    fclose(out);
}

static void check_cut(size_t cut) {
    static struct disk disk;
    static char now[DESCRIPTION];
    struct world world;
    memset(&disk, 0, sizeof disk);
    size_t step = play(&disk, cut);
    world_begin(&world, true);
    world_close(&world);
    nftw(world.folder, world_remove, 16, FTW_DEPTH | FTW_PHYS);
    mkdir(world.folder, 0700);
    for (size_t i = 0; i < disk.name_count; i++) {
        if (disk.names[i].there) {
            put_file(world.folder, disk.names[i].name, disk_file(&disk, disk.names[i].file));
        }
    }
    world_open(&world);
    describe(&world, now);
    if (strcmp(now, states[step]) != 0 && (step == STEPS || strcmp(now, states[step + 1]) != 0)) {
        fail_msg("cut at %zu, step %zu: expected\n%s\ngot\n%s", cut, step, states[step], now);
    }
    world_end(&world);
    for (size_t i = 0; i < disk.file_count; i++) {
        free(disk.files[i].bytes);
    }
}

static void test_power_goes(void **state) {
    struct world world;
    const char *cuts = getenv("WEIR_CUTS");
    (void)state;
    if (access("/dev/shm", W_OK) != 0) {
        skip(); /* a file is known by its number, which other file systems give to another one later */
    }
    tape.events = calloc(EVENTS_MOST, sizeof *tape.events);
    world_begin(&world, true);
    strcpy(tape.folder, world.folder);
    world_close(&world);
    nftw(world.folder, world_remove, 16, FTW_DEPTH | FTW_PHYS);
    mkdir(world.folder, 0700);
    tape.on = true;
    world.options.checkpoint_bytes = 3000;
    world_open(&world);
    make_history(&world);
    world_end(&world);
    assert_true(tape.count < EVENTS_MOST);
    find_syncs();
    size_t first = 0;
    while (tape.events[first].kind != ACKNOWLEDGED) {
        first++;
    }
    assert_true(first < tape.count);
    for (int i = cuts ? atoi(cuts) : 400; i > 0; i--) {
        check_cut(first + 1 + random_below(tape.count - first));
    }
    for (size_t i = 0; i < tape.count; i++) {
        free(tape.events[i].bytes);
    }
    free(tape.events);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_power_goes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
