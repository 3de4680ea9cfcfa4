/* Restoring a backup, and writing a store anew without its free pages: what is done while kpid is
 * stopped. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"
#include "store/backup.h"
#include "store/backup_file.h"
#include "store/parts.h"
#include "store/removed.h"

enum { STEP_BYTES = 32 << 20 }; /* restored in one transaction */

/* The folder inside the directory that is filled, until all of it is there. */
static const char WORK_NAME[] = "restoring";

/* --- what the file holds --- */

/* A complete section. */
struct section {
    struct backup_place place;
    uint64_t at; /* of its first record */
};

struct contents {
    struct section *sections; /* sorted, the last of equal ones alone */
    size_t section_count, section_capacity;
    struct backup_place *listed; /* runs, partitions and index runs */
    size_t listed_count, listed_capacity;
    uint64_t commit;
};

static void contents_fini(struct contents *contents)
{
    free(contents->sections);
    free(contents->listed);
}

static int order_sections(const void *a, const void *b)
{
    const struct section *left = a;
    const struct section *right = b;
    int order = backup_place_order(&left->place, &right->place);
    if (order != 0)
        return order;
    return left->at < right->at ? -1 : left->at > right->at;
}

static int order_listed(const void *a, const void *b)
{
    return backup_place_order(a, b);
}

static void add_section(struct contents *contents, const struct section *section)
{
    if (contents->section_count == contents->section_capacity) {
        contents->section_capacity = contents->section_capacity * 2 + 64;
        contents->sections =
            memory_grow(contents->sections, contents->section_capacity, sizeof *contents->sections);
    }
    contents->sections[contents->section_count++] = *section;
}

static bool add_listed(struct contents *contents, enum database list, struct str key,
                       struct error *err)
{
    struct backup_place listed;

    if (!backup_part_of(list, key, &listed))
        return error_set(err, ERROR_CORRUPT, "the backup lists something that cannot be read");
    if (contents->listed_count == contents->listed_capacity) {
        contents->listed_capacity = contents->listed_capacity * 2 + 64;
        contents->listed =
            memory_grow(contents->listed, contents->listed_capacity, sizeof *contents->listed);
    }
    contents->listed[contents->listed_count++] = listed;
    return true;
}

static bool is_list(enum database database)
{
    return database == DATABASE_RUNS || database == DATABASE_PARTITIONS ||
           database == DATABASE_INDEX_RUNS;
}

static bool has_section(const struct contents *contents, const struct backup_place *listed)
{
    size_t low = 0;
    size_t high = contents->section_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = backup_place_order(&contents->sections[middle].place, listed);
        if (order == 0)
            return true;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}

/* Sorts, keeps the last one of each, and sees that nothing that is listed is missing. */
static bool settle_contents(struct contents *contents, struct error *err)
{
    size_t kept = 0;

    if (contents->section_count > 0)
        qsort(contents->sections, contents->section_count, sizeof *contents->sections,
              order_sections);
    for (size_t i = 0; i < contents->section_count; i++) {
        const struct section *this = &contents->sections[i];
        if (i + 1 < contents->section_count &&
            backup_place_order(&this->place, &contents->sections[i + 1].place) == 0)
            continue;
        contents->sections[kept++] = *this;
    }
    contents->section_count = kept;
    if (contents->listed_count > 0)
        qsort(contents->listed, contents->listed_count, sizeof *contents->listed, order_listed);
    for (size_t i = 0; i < contents->listed_count; i++) {
        if (!has_section(contents, &contents->listed[i]))
            return error_set(err, ERROR_CORRUPT, "the backup lacks data that it lists");
    }
    return true;
}

/* Reads the whole file once. The lists come after what they list, so they are complete with the
 * last section of their database: in the last snapshot, of which there is one. */
static bool read_contents(struct backup_reader *reader, struct contents *out, struct error *err)
{
    struct section open = {.place.database = DATABASE_COUNT};
    struct backup_item item;

    for (;;) {
        if (!backup_reader_next(reader, &item, err))
            return false;
        switch (item.kind) {
        case BACKUP_SECTION:
            open = (struct section){{item.database, item.number}, reader->at};
            break;
        case BACKUP_RECORD:
            if (is_list(open.place.database) &&
                !add_listed(out, open.place.database, item.key, err))
                return false;
            break;
        case BACKUP_COMPLETE:
            if (open.place.database != DATABASE_COUNT)
                add_section(out, &open);
            open.place.database = DATABASE_COUNT;
            break;
        case BACKUP_END:
            out->commit = item.number;
            return settle_contents(out, err);
        }
    }
}

/* --- writing the store --- */

struct restore {
    struct backup_reader reader;
    struct contents contents;
    struct store *store;
    struct write_txn txn;
    bool has_txn;
    size_t step_bytes; /* written in the transaction */
    uint64_t records;
    struct removed removed; /* of the last transaction begun */
};

static bool begin_step(struct restore *restore, struct error *err)
{
    restore->step_bytes = 0;
    restore->has_txn = write_txn_begin(restore->store, NULL, &restore->txn, err);
    return restore->has_txn && removed_init(&restore->removed, &restore->txn.reader, err);
}

static bool end_step(struct restore *restore, struct error *err)
{
    removed_fini(&restore->removed);
    restore->has_txn = false;
    return write_txn_commit(&restore->txn, err);
}

/* The new store has these of its own. */
static bool is_its_own(enum database database, struct str key)
{
    return database == DATABASE_META && (str_is(key, "schema") || str_is(key, "origin"));
}

static bool put_record(struct restore *restore, enum database database,
                       const struct backup_item *item, struct error *err)
{
    unsigned flags = database == DATABASE_META ? 0 : MDB_APPEND;

    if (is_its_own(database, item->key))
        return true;
    if (database == DATABASE_SERIES && removed_has(&restore->removed, schema_id_of(item->key)))
        return true; /* after it was copied */
    if (item->key.len == 0 || item->key.len > (size_t)mdb_env_get_maxkeysize(restore->store->env))
        return error_set(err, ERROR_CORRUPT, "the backup has a key of %zu bytes", item->key.len);
    restore->step_bytes += item->key.len + item->value.len;
    restore->records++;
    return store_put(&restore->txn, database, store_value(item->key), item->value, flags, err);
}

static bool put_section(struct restore *restore, const struct section *section, struct error *err)
{
    struct backup_item item;

    backup_reader_seek(&restore->reader, section->at);
    for (;;) {
        if (!backup_reader_next(&restore->reader, &item, err))
            return false;
        if (item.kind != BACKUP_RECORD)
            return true;
        if (!put_record(restore, section->place.database, &item, err))
            return false;
        if (restore->step_bytes >= STEP_BYTES &&
            (!end_step(restore, err) || !begin_step(restore, err)))
            return false;
    }
}

static bool is_wanted(const struct contents *contents, const struct section *section)
{
    if (!backup_has_parts(section->place.database))
        return section->place.database != DATABASE_GARBAGE;
    return contents->listed_count > 0 &&
           bsearch(&section->place, contents->listed, contents->listed_count,
                   sizeof *contents->listed, order_listed) != NULL;
}

/* The removed series first, since rows of theirs may have been copied before. */
static bool put_sections(struct restore *restore, struct error *err)
{
    const struct contents *contents = &restore->contents;

    for (int round = 0; round < 2; round++) {
        if (!begin_step(restore, err))
            return false;
        for (size_t i = 0; i < contents->section_count; i++) {
            const struct section *section = &contents->sections[i];
            bool is_first = section->place.database == DATABASE_REMOVED;
            if (is_first == (round == 0) && is_wanted(contents, section) &&
                !put_section(restore, section, err))
                return false;
        }
        if (!end_step(restore, err))
            return false;
    }
    return true;
}

static bool fill_store(struct restore *restore, const char *directory, struct error *err)
{
    /* The map is address space; pages of a restored store are never fuller than the file. */
    const struct store_options options = {
        .path = directory, .max_size_bytes = restore->reader.size * 4 + (UINT64_C(256) << 20)};

    restore->store = store_open(&options, err);
    if (restore->store == NULL)
        return false;
    bool ok = put_sections(restore, err);
    if (!ok) {
        removed_fini(&restore->removed);
        if (restore->has_txn)
            write_txn_abort(&restore->txn);
    }
    store_close(restore->store);
    return ok;
}

/* --- directories --- */

struct paths {
    char work[PATH_MAX];
    char work_data[PATH_MAX];
    char data[PATH_MAX];
};

static bool make_path(char out[PATH_MAX], const char *directory, const char *name,
                      struct error *err)
{
    int len = snprintf(out, PATH_MAX, "%s/%s", directory, name);
    if (len < 0 || len >= PATH_MAX)
        return error_set(err, ERROR_INVALID, "the path is too long: '%.80s...'", directory);
    return true;
}

static bool make_paths(struct paths *out, const char *directory, struct error *err)
{
    return make_path(out->work, directory, WORK_NAME, err) &&
           make_path(out->work_data, out->work, "data.mdb", err) &&
           make_path(out->data, directory, "data.mdb", err);
}

/* What a restore that was cut short has left, or this one. */
static void remove_work(const struct paths *paths)
{
    static const char *const names[] = {"data.mdb", "lock.mdb", "lock"};
    struct error ignored;
    char path[PATH_MAX];

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (make_path(path, paths->work, names[i], &ignored))
            (void)unlink(path);
    }
    (void)rmdir(paths->work);
}

static bool check_empty(const char *directory, struct error *err)
{
    bool is_empty = true;

    DIR *opened = opendir(directory);
    if (opened == NULL)
        return error_set_errno(err, "cannot read '%s'", directory);
    for (;;) {
        const struct dirent *entry = readdir(opened); /* NOLINT(concurrency-mt-unsafe): its own */
        if (entry == NULL)
            break;
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
            strcmp(entry->d_name, "lost+found") != 0)
            is_empty = false;
    }
    (void)closedir(opened);
    if (is_empty)
        return true;
    (void)error_set(err, ERROR_CONFLICT, "'%s' is not empty", directory);
    return error_hint(err, "a restore writes over nothing: name another directory");
}

static bool prepare(const char *directory, const struct paths *paths, struct error *err)
{
    if (mkdir(directory, 0700) != 0 && errno != EEXIST)
        return error_set_errno(err, "cannot make '%s'", directory);
    remove_work(paths);
    return check_empty(directory, err);
}

/* The file gets the directory's owner, so that a restore by root can be read by kpid. */
static bool hand_over(const char *directory, const struct paths *paths, struct error *err)
{
    struct stat facts;

    if (stat(directory, &facts) == 0 && facts.st_uid != geteuid() &&
        chown(paths->work_data, facts.st_uid, facts.st_gid) != 0)
        return error_set_errno(err, "cannot give '%s' to the owner of '%s'", paths->work_data,
                               directory);
    return backup_give_name(paths->work_data, paths->data, err);
}

static bool check_schema(const struct backup_reader *reader, struct error *err)
{
    if (reader->head.schema == STORE_SCHEMA_VERSION)
        return true;
    return error_set(err, ERROR_CONFLICT,
                     "'%s' is a backup of another version of kpid (schema %u, this one reads %d)",
                     reader->path, reader->head.schema, STORE_SCHEMA_VERSION);
}

bool backup_restore(const char *file, const char *directory, struct restore_report *out,
                    struct error *err)
{
    struct restore restore = {.reader.fd = -1};
    struct paths paths;

    *out = (struct restore_report){0};
    bool ok = make_paths(&paths, directory, err) &&
              backup_reader_init(&restore.reader, file, err) &&
              check_schema(&restore.reader, err) && backup_reader_check(&restore.reader, err) &&
              read_contents(&restore.reader, &restore.contents, err);
    if (ok && prepare(directory, &paths, err)) {
        ok = fill_store(&restore, paths.work, err) && hand_over(directory, &paths, err);
        remove_work(&paths);
    } else {
        ok = false;
    }
    *out = (struct restore_report){.commit = restore.contents.commit,
                                   .records = restore.records,
                                   .begun_at = restore.reader.head.begun_at};
    contents_fini(&restore.contents);
    backup_reader_fini(&restore.reader);
    return ok;
}

/* --- compact --- */

static bool size_of(const char *path, uint64_t *out, struct error *err)
{
    struct stat facts;

    if (stat(path, &facts) != 0)
        return error_set_errno(err, "cannot read '%s'", path);
    *out = (uint64_t)facts.st_size;
    return true;
}

/* The copy has the owner and mode of what it takes the place of. */
static bool copy_compacted(struct store *store, const char *from, const char *to, struct error *err)
{
    struct stat facts;

    int fd = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || stat(from, &facts) != 0) {
        (void)error_set_errno(err, "cannot make '%s'", to);
        if (fd >= 0)
            (void)close(fd);
        return false;
    }
    int rc = mdb_env_copyfd2(store->env, fd, MDB_CP_COMPACT);
    bool ok = rc == 0 || store_error(err, rc, "cannot copy '%s'", from);
    if (ok && (fchown(fd, facts.st_uid, facts.st_gid) != 0 || fchmod(fd, facts.st_mode) != 0 ||
               fsync(fd) != 0))
        ok = error_set_errno(err, "cannot write '%s'", to);
    if (close(fd) != 0 && ok)
        ok = error_set_errno(err, "cannot write '%s'", to);
    return ok;
}

bool backup_compact(const char *directory, uint64_t *before, uint64_t *after, struct error *err)
{
    char data[PATH_MAX];
    char compacted[PATH_MAX];

    if (!make_path(data, directory, "data.mdb", err) ||
        !make_path(compacted, directory, "data.mdb.compact", err) || !size_of(data, before, err))
        return false;
    const struct store_options options = {.path = directory,
                                          .max_size_bytes = *before + (UINT64_C(16) << 20)};
    struct store *store = store_open(&options, err);
    if (store == NULL)
        return false;
    bool ok = copy_compacted(store, data, compacted, err);
    /* LMDB lets go of the file before it is another, and kpid's own lock is kept meanwhile. */
    mdb_env_close(store->env);
    store->env = NULL;
    ok = ok && size_of(compacted, after, err);
    ok = ok && backup_replace(compacted, data, err);
    if (!ok)
        (void)unlink(compacted);
    store_close(store);
    return ok;
}
