#include "store/backup.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/memory.h"
#include "store/backup_file.h"
#include "store/parts.h"

enum {
    CHUNK_BYTES = 4 << 20, /* copied in one snapshot, before it is written */
    CHUNK_MS = 250,        /* the same in time; looked at each CHECK_RECORDS */
    CHECK_RECORDS = 64,
    PASSES_MAX = 16,
    SMALL_PASS_BYTES = 16 << 20, /* so little is left for the last snapshot */
    SLEEP_MS = 50,
};

/* Something listed, whose data does not change: a run, a partition, an index run. */
struct part {
    struct backup_place place;
    enum database list;    /* where it is listed */
    struct schema_key key; /* under this key */
    uint64_t fingerprint;  /* of what the list says: it changes when a partition is pruned */
};

struct part_list {
    struct part *items;
    size_t count, capacity;
};

struct backup {
    struct store *store;
    const struct backup_options *options;
    struct backup_progress *progress;
    struct backup_writer writer;
    struct part_list done; /* sorted by place */
    uint32_t next_series;  /* ids below it were copied */
    mono_ms began;
    uint64_t bytes_per_s;
};

/* A snapshot and when it has to end. */
struct snapshot {
    struct read_txn *txn;
    mono_ms began;
    mono_ms deadline;
};

/* --- snapshots --- */

static bool snapshot_begin(struct backup *backup, span_ms at_most, struct snapshot *out,
                           struct error *err)
{
    out->began = clock_mono();
    out->deadline = out->began + at_most;
    out->txn = read_txn_begin(backup->store, err);
    return out->txn != NULL;
}

static void snapshot_end(struct backup *backup, struct snapshot *snapshot)
{
    read_txn_end(snapshot->txn);
    snapshot->txn = NULL;
    span_ms took = clock_mono() - snapshot->began;
    if (took > backup->progress->longest_ms)
        backup->progress->longest_ms = took;
}

/* --- what is listed --- */

static int order_parts(const void *a, const void *b)
{
    return backup_place_order(&((const struct part *)a)->place, &((const struct part *)b)->place);
}

static void add_part(struct part_list *list, const struct part *part)
{
    if (list->count == list->capacity) {
        list->capacity = list->capacity * 2 + 64;
        list->items = memory_grow(list->items, list->capacity, sizeof *list->items);
    }
    list->items[list->count++] = *part;
}

static bool cannot_read(const struct read_txn *txn, int rc, struct error *err)
{
    return store_error(err, rc, "cannot read data directory '%s'", txn->store->path);
}

static bool list_one(const struct read_txn *txn, enum database list, struct part_list *out,
                     struct error *err)
{
    MDB_cursor *cursor = NULL;
    MDB_val key;
    MDB_val value;

    int rc = mdb_cursor_open(txn->txn, txn->store->databases[list], &cursor);
    while (rc == 0 && (rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0) {
        struct part part = {.list = list};
        if (!backup_part_of(list, store_bytes(&key), &part.place)) {
            mdb_cursor_close(cursor);
            return error_set(err, ERROR_CORRUPT,
                             "the list of runs and partitions has a key that "
                             "cannot be read");
        }
        memcpy(part.key.bytes, key.mv_data, key.mv_size);
        part.key.len = key.mv_size;
        part.fingerprint = XXH3_64bits(value.mv_data, value.mv_size);
        add_part(out, &part);
    }
    mdb_cursor_close(cursor);
    return rc == MDB_NOTFOUND || cannot_read(txn, rc, err);
}

/* All that is listed in a snapshot, sorted by place, but for what was copied already. */
static bool list_missing(const struct backup *backup, const struct read_txn *txn,
                         struct part_list *out, struct error *err)
{
    size_t kept = 0;

    out->count = 0;
    if (!list_one(txn, DATABASE_RUNS, out, err) || !list_one(txn, DATABASE_PARTITIONS, out, err) ||
        !list_one(txn, DATABASE_INDEX_RUNS, out, err))
        return false;
    if (out->count > 0)
        qsort(out->items, out->count, sizeof *out->items, order_parts);
    for (size_t i = 0; i < out->count; i++) {
        const struct part *done =
            backup->done.count == 0 ? NULL
                                    : bsearch(&out->items[i], backup->done.items,
                                              backup->done.count, sizeof *out->items, order_parts);
        if (done == NULL || done->fingerprint != out->items[i].fingerprint)
            out->items[kept++] = out->items[i];
    }
    out->count = kept;
    return true;
}

/* One that is copied again, since it was pruned, takes the place of what it was. */
static void note_done(struct backup *backup, const struct part *part)
{
    struct part *before =
        backup->done.count == 0
            ? NULL
            : bsearch(part, backup->done.items, backup->done.count, sizeof *part, order_parts);
    if (before != NULL) {
        *before = *part;
        return;
    }
    add_part(&backup->done, part);
    for (size_t i = backup->done.count - 1;
         i > 0 && order_parts(&backup->done.items[i - 1], &backup->done.items[i]) > 0; i--) {
        struct part swapped = backup->done.items[i];
        backup->done.items[i] = backup->done.items[i - 1];
        backup->done.items[i - 1] = swapped;
    }
}

static bool is_still_listed(const struct read_txn *txn, const struct part *part)
{
    struct str key = {(const char *)part->key.bytes, part->key.len};
    struct str value;
    return store_get(txn, part->list, key, &value) &&
           XXH3_64bits(value.text, value.len) == part->fingerprint;
}

/* --- copying --- */

/* How far the copying of one range of a database has come. */
struct walk {
    enum database database;
    struct schema_key prefix; /* of the keys that belong to it; empty: all */
    struct schema_key next;   /* where to go on */
    bool ended;
};

/* Until when, and up to how much is pending. */
struct limit {
    mono_ms deadline;
    size_t pending;
    bool direct; /* what is pending is written on the way, and only the deadline counts */
};

static struct walk walk_of_part(const struct part *part)
{
    struct walk walk = {.database = part->place.database, .prefix = SCHEMA_KEY_EMPTY};
    bool is_long = walk.database == DATABASE_JOURNAL || walk.database == DATABASE_RUN ||
                   walk.database == DATABASE_INDEX;

    if (is_long)
        schema_put_u64(&walk.prefix, part->place.number);
    else
        schema_put_u32(&walk.prefix, (uint32_t)part->place.number);
    walk.next = walk.prefix;
    return walk;
}

static bool has_prefix(const MDB_val *key, const struct schema_key *prefix)
{
    return key->mv_size >= prefix->len &&
           (prefix->len == 0 || memcmp(key->mv_data, prefix->bytes, prefix->len) == 0);
}

/* A copy of the key, so that the walk can go on in another snapshot. */
static bool keep_place(struct walk *walk, const MDB_val *key, struct error *err)
{
    if (key->mv_size > sizeof walk->next.bytes)
        return error_set(err, ERROR_CORRUPT, "a key has %zu bytes", key->mv_size);
    memcpy(walk->next.bytes, key->mv_data, key->mv_size);
    walk->next.len = key->mv_size;
    return true;
}

/* Copies records from `next` on until there are no more or a limit is met. False: it cannot be
 * read or written. */
static bool copy_records(struct backup *backup, const struct read_txn *txn, struct walk *walk,
                         const struct limit *limit, struct error *err)
{
    MDB_cursor *cursor = NULL;
    MDB_val key = store_key(&walk->next);
    MDB_val value;
    bool ok = true;

    int rc = mdb_cursor_open(txn->txn, txn->store->databases[walk->database], &cursor);
    if (rc == 0)
        rc = mdb_cursor_get(cursor, &key, &value, key.mv_size == 0 ? MDB_FIRST : MDB_SET_RANGE);
    for (unsigned count = 1; rc == 0 && ok; count++) {
        if (!has_prefix(&key, &walk->prefix)) {
            rc = MDB_NOTFOUND;
            break;
        }
        bool is_late = count % CHECK_RECORDS == 0 && clock_mono() >= limit->deadline;
        bool is_much = backup->writer.pending.len >= limit->pending;
        if (is_late || (is_much && !limit->direct)) {
            ok = keep_place(walk, &key, err);
            mdb_cursor_close(cursor);
            return ok;
        }
        if (is_much)
            ok = backup_writer_flush(&backup->writer, err);
        backup_put_record(&backup->writer, store_bytes(&key), store_bytes(&value));
        rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
    }
    mdb_cursor_close(cursor);
    walk->ended = rc == MDB_NOTFOUND;
    return ok && (rc == 0 || rc == MDB_NOTFOUND || cannot_read(txn, rc, err));
}

/* --- between snapshots --- */

static bool tell(struct backup *backup, struct error *err)
{
    backup->progress->bytes = backup->writer.bytes;
    backup->progress->records = backup->writer.records;
    if (backup->options->on_progress == NULL ||
        backup->options->on_progress(backup->progress, backup->options->arg))
        return true;
    return error_set(err, ERROR_UNAVAILABLE, "the backup was stopped");
}

/* Writes what is pending, and waits until the rate allows for more. */
static bool write_and_wait(struct backup *backup, struct error *err)
{
    if (!backup_writer_flush(&backup->writer, err) || !tell(backup, err))
        return false;
    for (;;) {
        mono_ms passed = clock_mono() - backup->began;
        uint64_t seconds = backup->writer.bytes / backup->bytes_per_s;
        uint64_t rest = backup->writer.bytes % backup->bytes_per_s;
        mono_ms due = (mono_ms)(seconds * 1000 + rest * 1000 / backup->bytes_per_s);
        if (passed >= due)
            return true;
        span_ms left = due - passed < SLEEP_MS ? due - passed : SLEEP_MS;
        const struct timespec pause = {.tv_nsec = left * 1000 * 1000};
        (void)nanosleep(&pause, NULL);
        if (!tell(backup, err))
            return false;
    }
}

/* --- what never changes --- */

static struct limit early_limit(const struct snapshot *snapshot)
{
    return (struct limit){.deadline = snapshot->deadline, .pending = CHUNK_BYTES};
}

/* Copies parts one after the other; one that is not listed any more is left out. */
static bool copy_parts(struct backup *backup, const struct part_list *parts, struct error *err)
{
    struct walk walk = {.ended = true};
    size_t i = 0;

    while (i < parts->count) {
        struct snapshot snapshot;
        bool ok = snapshot_begin(backup, CHUNK_MS, &snapshot, err);
        if (!ok)
            return false;
        const struct limit limit = early_limit(&snapshot);
        while (ok && i < parts->count && backup->writer.pending.len < CHUNK_BYTES &&
               clock_mono() < snapshot.deadline) {
            const struct part *part = &parts->items[i];
            bool is_new = walk.ended;
            if (!is_still_listed(snapshot.txn, part)) {
                walk.ended = true;
                i++;
                continue;
            }
            if (is_new) {
                walk = walk_of_part(part);
                backup_put_section(&backup->writer, part->place.database, part->place.number);
            }
            ok = copy_records(backup, snapshot.txn, &walk, &limit, err);
            if (ok && walk.ended) {
                backup_put_complete(&backup->writer);
                note_done(backup, part);
                i++;
            }
        }
        snapshot_end(backup, &snapshot);
        if (!ok || !write_and_wait(backup, err))
            return false;
    }
    return true;
}

static struct str key_bytes(const struct schema_key *key)
{
    return (struct str){(const char *)key->bytes, key->len};
}

/* The catalogue's rows are appended by id and taken away at most. */
static bool copy_series(struct backup *backup, const struct read_txn *txn,
                        const struct limit *limit, bool *ended, struct error *err)
{
    struct walk walk = {.database = DATABASE_SERIES, .prefix = SCHEMA_KEY_EMPTY};
    MDB_cursor *cursor = NULL;
    MDB_val key;
    MDB_val value;
    uint32_t last = 0;

    int rc = mdb_cursor_open(txn->txn, txn->store->databases[DATABASE_SERIES], &cursor);
    if (rc == 0) {
        rc = mdb_cursor_get(cursor, &key, &value, MDB_LAST);
        last = rc == 0 ? schema_id_of(store_bytes(&key)) : 0;
        mdb_cursor_close(cursor);
    }
    if (rc != 0 && rc != MDB_NOTFOUND)
        return cannot_read(txn, rc, err);
    walk.next = schema_id_key(backup->next_series);
    backup_put_section(&backup->writer, DATABASE_SERIES, backup->next_series);
    if (!copy_records(backup, txn, &walk, limit, err))
        return false;
    backup_put_complete(&backup->writer);
    *ended = walk.ended;
    uint32_t next = walk.ended ? last + 1 : schema_id_of(key_bytes(&walk.next));
    if (next > backup->next_series)
        backup->next_series = next;
    return true;
}

static bool copy_old_series(struct backup *backup, struct error *err)
{
    for (bool ended = false; !ended;) {
        struct snapshot snapshot;
        if (!snapshot_begin(backup, CHUNK_MS, &snapshot, err))
            return false;
        const struct limit limit = early_limit(&snapshot);
        bool ok = copy_series(backup, snapshot.txn, &limit, &ended, err);
        snapshot_end(backup, &snapshot);
        if (!ok || !write_and_wait(backup, err))
            return false;
    }
    return true;
}

/* Again and again, until little is missing. Of the journal nothing is taken: it is merged before
 * it would count. */
static bool copy_early(struct backup *backup, struct error *err)
{
    struct part_list parts = {0};
    bool ok = true;

    for (int pass = 0; pass < PASSES_MAX && ok; pass++) {
        struct snapshot snapshot;
        uint64_t before = backup->writer.bytes;
        size_t kept = 0;
        ok = snapshot_begin(backup, CHUNK_MS, &snapshot, err);
        if (!ok)
            break;
        ok = list_missing(backup, snapshot.txn, &parts, err);
        snapshot_end(backup, &snapshot);
        for (size_t i = 0; i < parts.count; i++) {
            if (parts.items[i].place.database != DATABASE_JOURNAL)
                parts.items[kept++] = parts.items[i];
        }
        parts.count = kept;
        ok = ok && copy_parts(backup, &parts, err);
        if (backup->writer.bytes - before < SMALL_PASS_BYTES)
            break;
    }
    free(parts.items);
    return ok;
}

/* --- the last snapshot --- */

static bool is_copied_whole(enum database database)
{
    /* What is being built or taken away is not restored. */
    return database != DATABASE_SERIES && database != DATABASE_GARBAGE &&
           !backup_has_parts(database);
}

/* Copies all that is left. `*late`: it takes too long. */
static bool copy_rest(struct backup *backup, const struct snapshot *snapshot, bool *late,
                      struct error *err)
{
    const struct limit limit = {
        .deadline = snapshot->deadline, .pending = CHUNK_BYTES, .direct = true};
    struct part_list parts = {0};
    bool series_ended = false;

    *late = false;
    bool ok = list_missing(backup, snapshot->txn, &parts, err);
    for (size_t i = 0; ok && !*late && i < parts.count; i++) {
        struct walk walk = walk_of_part(&parts.items[i]);
        backup_put_section(&backup->writer, walk.database, parts.items[i].place.number);
        ok = copy_records(backup, snapshot->txn, &walk, &limit, err);
        backup_put_complete(&backup->writer);
        *late = !walk.ended;
    }
    free(parts.items);
    if (!ok || *late)
        return ok;
    if (!copy_series(backup, snapshot->txn, &limit, &series_ended, err))
        return false;
    *late = !series_ended;
    for (int i = 0; i < DATABASE_COUNT && !*late; i++) {
        struct walk walk = {.database = (enum database)i, .prefix = SCHEMA_KEY_EMPTY};
        if (!is_copied_whole(walk.database))
            continue;
        backup_put_section(&backup->writer, walk.database, 0);
        if (!copy_records(backup, snapshot->txn, &walk, &limit, err))
            return false;
        backup_put_complete(&backup->writer);
        *late = !walk.ended;
    }
    return true;
}

static bool copy_last(struct backup *backup, bool *late, struct error *err)
{
    struct backup_mark mark;
    struct snapshot snapshot;
    uint32_t next_series = backup->next_series;
    uint64_t commit = 0;

    bool ok = backup_writer_mark(&backup->writer, &mark, err) &&
              snapshot_begin(backup, BACKUP_LAST_MS, &snapshot, err);
    if (ok) {
        commit = store_commit_number(snapshot.txn);
        ok = copy_rest(backup, &snapshot, late, err);
        snapshot_end(backup, &snapshot);
    }
    if (ok && *late) {
        backup->next_series = next_series;
        ok = backup_writer_return(&backup->writer, &mark, err);
    } else if (ok) {
        ok = backup_writer_finish(&backup->writer, commit, err);
        backup->progress->commit = commit;
    }
    backup_mark_fini(&mark);
    return ok;
}

static bool copy_all(struct backup *backup, struct error *err)
{
    for (int try = 0; try < BACKUP_LAST_TRIES; try++) {
        bool late = false;
        if (!copy_old_series(backup, err) || !copy_early(backup, err) ||
            !copy_last(backup, &late, err))
            return false;
        if (!late)
            return tell(backup, err);
    }
    (void)error_set(err, ERROR_UNAVAILABLE,
                    "'%s' cannot be finished: what changes meanwhile takes more than %d s to write",
                    backup->options->file, BACKUP_LAST_MS / MS_PER_SECOND);
    return error_hint(err, "write it to a faster disk");
}

/* --- the file --- */

static bool write_file(struct backup *backup, const char *partial, struct error *err)
{
    struct backup_head head = {.schema = STORE_SCHEMA_VERSION, .begun_at = clock_wall()};
    struct str origin;

    struct read_txn *txn = read_txn_begin(backup->store, err);
    if (txn == NULL)
        return false;
    if (store_get(txn, DATABASE_META, STR("origin"), &origin) && origin.len == sizeof head.origin)
        memcpy(head.origin, origin.text, sizeof head.origin);
    read_txn_end(txn);
    (void)unlink(partial);
    bool ok = backup_writer_init(&backup->writer, partial, &head, err);
    bool made = backup->writer.fd >= 0;
    ok = ok && copy_all(backup, err);
    backup_writer_fini(&backup->writer);
    ok = ok && backup_give_name(partial, backup->options->file, err);
    if (made)
        (void)unlink(partial);
    return ok;
}

bool backup_write(struct store *store, const struct backup_options *options,
                  struct backup_progress *out, struct error *err)
{
    char partial[PATH_MAX];
    struct backup backup = {.store = store,
                            .options = options,
                            .progress = out,
                            .began = clock_mono(),
                            .bytes_per_s = options->bytes_per_s};

    *out = (struct backup_progress){0};
    if (backup.bytes_per_s == 0)
        backup.bytes_per_s = BACKUP_BYTES_PER_S;
    int len = snprintf(partial, sizeof partial, "%s.partial", options->file);
    if (len < 0 || (size_t)len >= sizeof partial)
        return error_set(err, ERROR_INVALID, "the path of the backup is too long: '%.80s...'",
                         options->file);
    if (access(options->file, F_OK) == 0) {
        (void)error_set(err, ERROR_CONFLICT, "'%s' is there already", options->file);
        return error_hint(err, "a backup writes over nothing: choose another name");
    }
    bool ok = write_file(&backup, partial, err);
    free(backup.done.items);
    return ok;
}
