/* Backup while kpid runs, and restore.
 *
 * What never changes while it is listed (runs, partitions, the index, the catalogue) is copied
 * first, in snapshots of milliseconds; then one last snapshot says what is listed by then and gives
 * the rest: runs and partitions that are new, and all small tables. The backup shows the store as
 * it was at that snapshot's commit. What was copied and is not listed any more stays in the file
 * and is not restored. The file is complete or absent: it is written as FILE.partial.
 *
 * No snapshot is kept for long while the disk is waited for: the first ones are copied to memory
 * before they are written, the last one has BACKUP_LAST_MS, else the backup begins it again and
 * gives up in the end. So the store grows by what is written to it meanwhile at most, which is what
 * pages that could be used again would have saved. */
#pragma once

#include "store/store.h"

enum {
    BACKUP_LAST_MS = 4000, /* the longest that the last snapshot may take */
    BACKUP_LAST_TRIES = 3,
};
#define BACKUP_BYTES_PER_S (UINT64_C(64) << 20)

struct backup_progress {
    uint64_t bytes;     /* of the file so far */
    uint64_t records;   /* in it */
    span_ms longest_ms; /* of a snapshot so far */
    uint64_t commit;    /* that the backup shows; 0 until it is done */
};

/* Called between snapshots, many times a second; false stops the backup (ERROR_UNAVAILABLE). */
typedef bool (*backup_progress_fn)(const struct backup_progress *progress, void *arg);

struct backup_options {
    const char *file;     /* must not be there, nor FILE.partial of another backup under way */
    uint64_t bytes_per_s; /* at most; 0: BACKUP_BYTES_PER_S */
    backup_progress_fn on_progress; /* NULL: nobody wants to know */
    void *arg;
};

/* On any thread but the writer's; it takes as long as it takes, sleeping most of the time. A
 * FILE.partial that was left behind is written over. */
bool backup_write(struct store *store, const struct backup_options *options,
                  struct backup_progress *out, struct error *err);

struct restore_report {
    uint64_t commit;
    uint64_t records; /* restored */
    wall_ms begun_at; /* when the backup was made */
};

/* Makes a data directory of a backup; all of the file is checked first. The directory must be empty
 * or not there (the one above it has to be). It has an origin of its own (design 12) and is whole
 * or stays empty. kpid must not be started on it meanwhile. */
bool backup_restore(const char *file, const char *directory, struct restore_report *out,
                    struct error *err);

/* Writes the store of a directory anew without its free pages. kpid must not run on it: it is
 * locked meanwhile, and needs room for a copy. `*before`, `*after`: the size of the file. */
bool backup_compact(const char *directory, uint64_t *before, uint64_t *after, struct error *err);
