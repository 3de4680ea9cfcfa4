/* Cuts the power at random moments of a store's life.
 *
 *   power_cut run DIRECTORY BATCHES [ATTEMPTS]   lives (tests/faults/workload.h) in DIRECTORY; with
 *                                                the shim preloaded every write is written down
 *   power_cut check DIRECTORY BATCHES            compares DIRECTORY with what BATCHES leave
 *   power_cut cut LOG DIRECTORY POINTS SEED      at POINTS random places of the log rebuilds the
 *                                                file as after a power cut and checks it: what was
 *                                                synced is there, of what was not any part
 *
 * Exit 0: all was as it has to be. */
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"
#include "shim.h"
#include "workload.h"

enum { PENDING_MAX = 65536, PATH_BYTES = 512, ACKS_FD_MODE = 0600 };

struct image {
    char *bytes;
    size_t len, capacity;
};

struct pending {
    uint64_t offset;
    uint64_t length;
    const char *bytes;
};

struct replay {
    struct image durable;
    struct pending pending[PENDING_MAX]; /* written and not synced */
    size_t pending_count;
    uint64_t acknowledged;
    uint64_t random;
    const char *directory;
};

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static void image_write(struct image *image, uint64_t offset, const char *bytes, size_t length)
{
    size_t end = (size_t)offset + length;

    if (end > image->capacity) {
        size_t capacity = end * 2;
        image->bytes = memory_grow(image->bytes, capacity, 1);
        memset(image->bytes + image->capacity, 0, capacity - image->capacity);
        image->capacity = capacity;
    }
    memcpy(image->bytes + offset, bytes, length);
    if (end > image->len)
        image->len = end;
}

static void settle(struct replay *replay)
{
    for (size_t i = 0; i < replay->pending_count; i++) {
        const struct pending *write = &replay->pending[i];
        image_write(&replay->durable, write->offset, write->bytes, write->length);
    }
    replay->pending_count = 0;
}

/* What a write that was not synced leaves: all, nothing or its beginning, whole sectors of it. */
static size_t survives(struct replay *replay, const struct pending *write)
{
    enum { SECTOR = 512 };
    switch (next_random(&replay->random) % 4) {
    case 0:
        return 0;
    case 1:
        return next_random(&replay->random) % (write->length / SECTOR + 1) * SECTOR;
    default:
        return write->length;
    }
}

static bool write_file(const char *directory, const struct image *image)
{
    char path[PATH_BYTES];

    (void)snprintf(path, sizeof path, "%s/lock.mdb", directory);
    (void)unlink(path);
    (void)snprintf(path, sizeof path, "%s/data.mdb", directory);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, ACKS_FD_MODE);
    bool ok = fd >= 0;
    for (size_t done = 0; ok && done < image->len;) {
        ssize_t written = write(fd, image->bytes + done, image->len - done);
        ok = written > 0;
        done += ok ? (size_t)written : 0;
    }
    if (fd >= 0)
        (void)close(fd);
    return ok;
}

static bool cut_here(struct replay *replay)
{
    struct image image = {0};
    bool ok = true;

    if (replay->durable.len > 0)
        image_write(&image, 0, replay->durable.bytes, replay->durable.len);
    for (size_t i = 0; i < replay->pending_count; i++) {
        const struct pending *write = &replay->pending[i];
        size_t length = survives(replay, write);
        if (length > 0)
            image_write(&image, write->offset, write->bytes, length);
    }
    if (!write_file(replay->directory, &image)) {
        perror(replay->directory);
        ok = false;
    }
    ok = ok && workload_check(replay->directory, replay->acknowledged, replay->acknowledged + 1);
    free(image.bytes);
    return ok;
}

static bool take(struct replay *replay, const struct shim_record *record, const char *bytes)
{
    switch (record->what) {
    case SHIM_WRITE:
    case SHIM_WRITE_SYNC:
        if (replay->pending_count == PENDING_MAX)
            return false;
        if (record->what == SHIM_WRITE)
            replay->pending[replay->pending_count++] =
                (struct pending){record->offset, record->length, bytes};
        else
            image_write(&replay->durable, record->offset, bytes, record->length);
        return true;
    case SHIM_SYNC:
        settle(replay);
        return true;
    case SHIM_TRUNCATE:
        return true; /* longer, or only by what nobody reads */
    case SHIM_ACKS: {
        char line[32];
        (void)snprintf(line, sizeof line, "%.*s", (int)record->length, bytes);
        replay->acknowledged = strtoull(line, NULL, 10);
        return true;
    }
    default:
        return false;
    }
}

static char *read_log(const char *path, size_t *len)
{
    struct stat facts;
    int fd = open(path, O_RDONLY);

    if (fd < 0 || fstat(fd, &facts) != 0)
        return NULL;
    char *bytes = memory_alloc((size_t)facts.st_size + 1);
    *len = 0;
    ssize_t got = 0;
    while ((got = read(fd, bytes + *len, (size_t)facts.st_size - *len)) > 0)
        *len += (size_t)got;
    (void)close(fd);
    return bytes;
}

static size_t count_records(const char *log, size_t len)
{
    size_t count = 0;
    for (size_t at = 0; at + sizeof(struct shim_record) <= len; count++) {
        struct shim_record record;
        memcpy(&record, log + at, sizeof record);
        at += sizeof record +
              (record.what == SHIM_TRUNCATE || record.what == SHIM_SYNC ? 0 : record.length);
    }
    return count;
}

static int cut(const char *log_path, const char *directory, uint64_t points, uint64_t seed)
{
    size_t len = 0;
    char *log = read_log(log_path, &len);
    struct replay *replay = memory_zero(1, sizeof *replay);
    uint64_t failed = 0;
    uint64_t done = 0;

    if (log == NULL) {
        perror(log_path);
        return 2;
    }
    replay->directory = directory;
    replay->random = seed * 2 + 1;
    size_t records = count_records(log, len);
    size_t number = 0;
    /* Before the first commit is durable there is no store to open. */
    for (size_t at = 0; at + sizeof(struct shim_record) <= len; number++) {
        struct shim_record record;
        memcpy(&record, log + at, sizeof record);
        at += sizeof record;
        bool has_bytes = record.what != SHIM_TRUNCATE && record.what != SHIM_SYNC;
        /* The place is in the middle of this operation: a synced write too is not durable yet. */
        bool here = replay->acknowledged > 0 &&
                    next_random(&replay->random) % (records - number) < points - done;
        if (here && record.what == SHIM_WRITE_SYNC && replay->pending_count < PENDING_MAX) {
            replay->pending[replay->pending_count++] =
                (struct pending){record.offset, record.length, log + at};
            failed += !cut_here(replay);
            replay->pending_count--;
        } else if (here) {
            failed += !cut_here(replay);
        }
        done += here;
        if (!take(replay, &record, log + at)) {
            (void)fprintf(stderr, "%s: not a log\n", log_path);
            return 2;
        }
        at += has_bytes ? record.length : 0;
    }
    (void)printf("%" PRIu64 " power cuts in %zu writes and syncs, %" PRIu64
                 " batches acknowledged: %" PRIu64 " failed\n",
                 done, records, replay->acknowledged, failed);
    free(replay->durable.bytes);
    free(replay);
    free(log);
    return failed == 0 ? 0 : 1;
}

static int run(const char *directory, uint64_t batches, uint64_t attempts)
{
    char path[PATH_BYTES];

    (void)snprintf(path, sizeof path, "%s/acks", directory);
    const struct workload_options options = {
        .path = directory,
        .batches = batches,
        .acks_fd = open(path, O_WRONLY | O_CREAT | O_APPEND, ACKS_FD_MODE),
        .attempts = attempts};
    if (options.acks_fd < 0) {
        perror(path);
        return 2;
    }
    return workload_run(&options) ? 0 : 1;
}

static uint64_t number_of(const char *text)
{
    return strtoull(text, NULL, 10);
}

int main(int argc, char **argv)
{
    if (argc >= 4 && strcmp(argv[1], "run") == 0)
        return run(argv[2], number_of(argv[3]), argc > 4 ? number_of(argv[4]) : 1);
    if (argc == 4 && strcmp(argv[1], "check") == 0)
        return workload_check(argv[2], number_of(argv[3]), number_of(argv[3])) ? 0 : 1;
    if (argc == 6 && strcmp(argv[1], "cut") == 0)
        return cut(argv[2], argv[3], number_of(argv[4]), number_of(argv[5]));
    (void)fprintf(stderr, "usage: power_cut run|check|cut ...\n");
    return 2;
}
