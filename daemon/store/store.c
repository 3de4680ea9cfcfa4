#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/memory.h"
#include "store/migrate.h"
#include "store/store_private.h"

enum { SNAPSHOT_TRIES = 100 };
enum { REOPEN_TRIES = 50 }; /* a reader's, a millisecond each, while the store is reopened */
enum { OLD_DATABASES = 4 }; /* of earlier versions, while they are migrated */
enum { PATH_BYTES = 4096, READERS_MAX = 510, ORIGIN_SIZE = 16, PAGE_FLOOR = 4096 };

/* Address space above max_size, for what must be written when input is refused. */
#define RESERVE_BYTES (UINT64_C(1) << 30)

static const char *const DATABASE_NAMES[DATABASE_COUNT] = {
#define DATABASES_NAME(constant, name) [DATABASE_##constant] = (name),
    DATABASES(DATABASES_NAME)
#undef DATABASES_NAME
};

/* --- errors --- */

static enum error_kind kind_of(int rc)
{
    switch (rc) {
    case MDB_MAP_FULL:
    case MDB_TXN_FULL:
    case ENOSPC:
    case EDQUOT:
        return ERROR_FULL;
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_INVALID:
    case MDB_BAD_TXN:
        return ERROR_CORRUPT;
    case MDB_PANIC:
    case MDB_READERS_FULL:
        return ERROR_UNAVAILABLE;
    case EACCES:
    case EPERM:
    case EROFS:
        return ERROR_DENIED;
    default:
        return ERROR_SYSTEM;
    }
}

bool store_error(struct error *err, int rc, const char *format, ...)
{
    char what[300];
    char words[100];
    const char *why = words;
    va_list args;

    va_start(args, format);
    (void)vsnprintf(what, sizeof what, format, args);
    va_end(args);
    if (rc == MDB_MAP_FULL)
        why = "storage.max_size and its reserve are used up";
    else if (rc < 0)
        why = mdb_strerror(rc); /* a table of its own for these */
    else
        (void)error_errno_words(rc, words, sizeof words);
    return error_set(err, kind_of(rc), "%s: %s", what, why);
}

/* --- meta --- */

uint64_t meta_get(const struct read_txn *txn, const char *name, uint64_t absent)
{
    struct str bytes;
    if (!store_get(txn, DATABASE_META, str_of(name), &bytes) || bytes.len != 8)
        return absent;
    struct reader reader = reader_of(bytes);
    return read_u64(&reader);
}

bool meta_put(struct write_txn *txn, const char *name, uint64_t value, struct error *err)
{
    struct buf bytes = BUF_EMPTY;
    buf_u64(&bytes, value);
    bool ok = store_put(txn, DATABASE_META, store_value(str_of(name)), buf_view(&bytes), 0, err);
    buf_fini(&bytes);
    return ok;
}

/* --- opening --- */

/* Makes the directory if it is not there, and checks what is there. */
static bool prepare_directory(const char *path, struct error *err)
{
    struct stat facts;

    if (mkdir(path, 0700) != 0 && errno != EEXIST) {
        (void)error_set_errno(err, "cannot make data directory '%s'", path);
        if (err->kind == ERROR_NOT_FOUND)
            (void)error_hint(err, "the directory above it has to exist");
        return false;
    }
    if (stat(path, &facts) != 0)
        return error_set_errno(err, "cannot read data directory '%s'", path);
    if (!S_ISDIR(facts.st_mode))
        return error_set(err, ERROR_INVALID, "data directory '%s' is not a directory", path);
    return true;
}

/* Only for the message: who holds the lock wrote its number into it. */
static bool say_who_holds_it(int fd, const char *path, struct error *err)
{
    char text[24];
    uint64_t pid = 0;
    ssize_t len = pread(fd, text, sizeof text, 0);

    struct str rest = {text, len > 0 ? (size_t)len : 0};
    if (str_parse_u64(str_split(&rest, '\n'), &pid))
        return error_set(err, ERROR_CONFLICT,
                         "data directory '%s' is in use by another kpid (pid %llu)", path,
                         (unsigned long long)pid);
    return error_set(err, ERROR_CONFLICT, "data directory '%s' is in use by another kpid", path);
}

/* An open file description's lock: it ends with the process, however that ends, and does not care
 * who else in the process opens and closes the file. Returns the descriptor, or -1. */
static int take_lock(const char *path, struct error *err)
{
    char file[PATH_BYTES];
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

    int len = snprintf(file, sizeof file, "%s/lock", path);
    if (len < 0 || (size_t)len >= sizeof file) {
        (void)error_set(err, ERROR_INVALID,
                        "the path of the data directory is too long: '%.80s...'", path);
        return -1;
    }
    int fd = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        (void)error_set_errno(err, "data directory '%s' is not writable", path);
        return -1;
    }
    if (fcntl(fd, F_OFD_SETLK, &whole) != 0) {
        if (errno == EAGAIN || errno == EACCES)
            (void)say_who_holds_it(fd, path, err);
        else
            (void)error_set_errno(err, "cannot lock '%s'", file);
        (void)close(fd);
        return -1;
    }
    char text[24];
    len = snprintf(text, sizeof text, "%ld\n", (long)getpid());
    if (ftruncate(fd, 0) != 0 || pwrite(fd, text, (size_t)len, 0) != len) {
        (void)error_set_errno(err, "cannot write to data directory '%s'", path);
        (void)close(fd);
        return -1;
    }
    return fd;
}

static bool other_version(const struct store *store, uint32_t found, struct error *err)
{
    bool is_newer = found > STORE_SCHEMA_VERSION;

    (void)error_set(err, ERROR_CONFLICT,
                    "data directory '%s' was written by %s version of kpid (schema %u, this one "
                    "reads %d)",
                    store->path, is_newer ? "a newer" : "an old", found, STORE_SCHEMA_VERSION);
    return error_hint(err, is_newer ? "start that version, or another directory with this one"
                                    : "move it away or start with an empty directory");
}

/* Before anything is written: whether this is a database of ours, of a version that can be read.
 * `*version` is 0 when there is nothing in it yet. */
static bool check_schema(struct store *store, MDB_txn *txn, uint32_t *version, struct error *err)
{
    MDB_dbi root = 0;
    MDB_stat facts = {0};
    MDB_val key = store_value(STR("schema"));
    MDB_val value;

    int rc = mdb_dbi_open(txn, NULL, 0, &root);
    if (rc == 0)
        rc = mdb_stat(txn, root, &facts);
    if (rc != 0)
        return store_error(err, rc, "cannot read data directory '%s'", store->path);
    *version = 0;
    if (facts.ms_entries == 0)
        return true;
    rc = mdb_dbi_open(txn, DATABASE_NAMES[DATABASE_META], 0, &store->databases[DATABASE_META]);
    if (rc == 0)
        rc = mdb_get(txn, store->databases[DATABASE_META], &key, &value);
    if (rc == MDB_NOTFOUND || rc == MDB_INCOMPATIBLE || (rc == 0 && value.mv_size != 4))
        return error_set(err, ERROR_INVALID,
                         "data directory '%s' holds a database that is not kpid's", store->path);
    if (rc != 0)
        return store_error(err, rc, "cannot read data directory '%s'", store->path);
    struct reader reader = reader_of(store_bytes(&value));
    *version = read_u32(&reader);
    if (*version < MIGRATE_OLDEST_VERSION || *version > STORE_SCHEMA_VERSION)
        return other_version(store, *version, err);
    return true;
}

static bool write_first_meta(struct write_txn *txn, struct error *err)
{
    unsigned char origin[ORIGIN_SIZE];
    struct buf version = BUF_EMPTY;
    const struct str origin_bytes = {(const char *)origin, sizeof origin};

    if (getrandom(origin, sizeof origin, 0) != (ssize_t)sizeof origin)
        return error_set_errno(err, "cannot get random bytes");
    buf_u32(&version, STORE_SCHEMA_VERSION);
    bool ok =
        store_put(txn, DATABASE_META, store_value(STR("schema")), buf_view(&version), 0, err) &&
        store_put(txn, DATABASE_META, store_value(STR("origin")), origin_bytes, 0, err) &&
        meta_put(txn, "created_at", (uint64_t)clock_wall(), err) && meta_put(txn, "commit", 0, err);
    buf_fini(&version);
    return ok;
}

/* Opens (makes) the databases in one transaction, which is only committed for a new directory or
 * one that lacks a database. What an older version has written is brought to this one. */
static bool open_databases(struct store *store, struct error *err)
{
    struct write_txn txn = {.reader.store = store};
    uint32_t version = 0;

    int rc = mdb_txn_begin(store->env, NULL, 0, &txn.reader.txn);
    if (rc != 0)
        return store_error(err, rc, "cannot open data directory '%s'", store->path);
    if (!check_schema(store, txn.reader.txn, &version, err)) {
        mdb_txn_abort(txn.reader.txn);
        return false;
    }
    for (int i = 0; i < DATABASE_COUNT && rc == 0; i++)
        rc = mdb_dbi_open(txn.reader.txn, DATABASE_NAMES[i], MDB_CREATE, &store->databases[i]);
    if (rc != 0) {
        mdb_txn_abort(txn.reader.txn);
        return store_error(err, rc, "cannot open the databases of '%s'", store->path);
    }
    if (version == 0 && !write_first_meta(&txn, err)) {
        mdb_txn_abort(txn.reader.txn);
        return false;
    }
    bool is_old = version != 0 && version != STORE_SCHEMA_VERSION;
    bool is_unfinished = migrate_is_unfinished(&txn.reader);
    rc = mdb_txn_commit(txn.reader.txn);
    if (rc != 0)
        return store_error(err, rc, "cannot write to data directory '%s'", store->path);
    return !(is_old || is_unfinished) || migrate(store, version, err);
}

/* A file that ends within LMDB's two first pages holds nothing yet: its making was cut short, and
 * it is made anew. Unless it is somebody else's: LMDB's begins with its mark, or with zeros where
 * the power was cut. */
static void remove_unfinished(const struct store *store)
{
    enum { MARK_AT = 16, MARK_END = 20 };
    static const unsigned char mark[] = {0xDE, 0xC0, 0xEF, 0xBE};
    static const unsigned char zeros[] = {0, 0, 0, 0};
    unsigned char first[MARK_END] = {0};
    char file[PATH_BYTES + 16];
    struct stat facts;

    (void)snprintf(file, sizeof file, "%s/data.mdb", store->path);
    int fd = open(file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return;
    bool is_short = fstat(fd, &facts) == 0 && S_ISREG(facts.st_mode) &&
                    facts.st_size < 2 * (off_t)sysconf(_SC_PAGESIZE);
    bool is_ours = pread(fd, first, sizeof first, 0) >= 0 &&
                   (memcmp(first + MARK_AT, mark, sizeof mark) == 0 ||
                    memcmp(first + MARK_AT, zeros, sizeof zeros) == 0);
    (void)close(fd);
    if (is_short && is_ours)
        (void)unlink(file);
}

/* The databases as they are, for reading alone: a whole store had them before. */
static bool open_databases_to_read(struct store *store, struct error *err)
{
    MDB_txn *txn = NULL;
    uint32_t version = 0;

    int rc = mdb_txn_begin(store->env, NULL, MDB_RDONLY, &txn);
    if (rc != 0)
        return store_error(err, rc, "cannot read data directory '%s'", store->path);
    if (!check_schema(store, txn, &version, err)) {
        mdb_txn_abort(txn);
        return false;
    }
    for (int i = 0; i < DATABASE_COUNT && rc == 0; i++)
        rc = mdb_dbi_open(txn, DATABASE_NAMES[i], 0, &store->databases[i]);
    if (rc != 0) {
        mdb_txn_abort(txn);
        return store_error(err, rc, "cannot open the databases of '%s'", store->path);
    }
    rc = mdb_txn_commit(txn); /* keeps what was opened */
    return rc == 0 || store_error(err, rc, "cannot read data directory '%s'", store->path);
}

/* LMDB does not tell where it has mapped its file; the system does, by the file's path. */
static void find_map(struct store *store)
{
    char line[PATH_BYTES + 128];
    char *folder = realpath(store->path, NULL);
    FILE *maps = folder == NULL ? NULL : fopen("/proc/self/maps", "re");

    while (maps != NULL && store->map == NULL && fgets(line, sizeof line, maps) != NULL) {
        char *rest = NULL;
        uintptr_t from = strtoumax(line, &rest, 16);
        uintptr_t to = *rest == '-' ? strtoumax(rest + 1, &rest, 16) : 0;
        const char *path = strchr(rest, '/');
        size_t len = strlen(folder);
        if (path == NULL || to <= from || strncmp(path, folder, len) != 0 ||
            strcmp(path + len, "/data.mdb\n") != 0)
            continue;
        store->map = (void *)from; /* NOLINT(performance-no-int-to-ptr): as the system says it */
        store->map_bytes = to - from;
    }
    if (maps != NULL)
        (void)fclose(maps);
    free(folder);
}

/* Before the map is gone: then something else may be at its place. */
static void close_environment(struct store *store)
{
    store->map = NULL;
    if (store->env != NULL)
        mdb_env_close(store->env);
    store->env = NULL;
}

void store_let_go_of_pages(const struct store *store)
{
    if (store->map != NULL)
        (void)madvise(store->map, store->map_bytes, MADV_DONTNEED); /* only an advice */
}

/* `flags`: 0, or MDB_RDONLY. */
static bool open_environment(struct store *store, unsigned flags, struct error *err)
{
    int dead = 0;

    store->is_read_only = flags == MDB_RDONLY;
    if (!store->is_read_only)
        remove_unfinished(store);
    int rc = mdb_env_create(&store->env);
    if (rc == 0)
        rc = mdb_env_set_maxdbs(store->env, DATABASE_COUNT + OLD_DATABASES);
    if (rc == 0)
        rc = mdb_env_set_maxreaders(store->env, READERS_MAX);
    if (rc == 0)
        rc = mdb_env_set_mapsize(
            store->env, (size_t)((store->max_bytes + RESERVE_BYTES) / PAGE_FLOOR * PAGE_FLOOR));
    if (rc == 0)
        rc = mdb_env_open(store->env, store->path, MDB_NOTLS | MDB_NORDAHEAD | flags, 0600);
    if (rc == 0)
        rc = mdb_reader_check(store->env, &dead); /* slots of a process that was killed */
    if (rc == 0 &&
        (store->is_read_only ? open_databases_to_read(store, err) : open_databases(store, err))) {
        find_map(store);
        return true;
    }
    if (rc == MDB_INVALID || rc == MDB_VERSION_MISMATCH)
        (void)error_set(err, ERROR_CORRUPT, "'%s/data.mdb' is not a database that kpid can read",
                        store->path);
    else if (rc != 0)
        (void)store_error(err, rc, "cannot open data directory '%s'", store->path);
    if (rc == ENOMEM)
        (void)error_hint(err, "storage.max_size has to fit into the address space the process may "
                              "use (ulimit -v)");
    close_environment(store);
    return false;
}

/* What root makes in the directory of another user (kpictl verify, restore) is that user's: else
 * kpid could not open it any more. */
static void give_to_owner(const struct store *store)
{
    static const char *const names[] = {"lock", "lock.mdb", "data.mdb"};
    char file[PATH_BYTES + 16];
    struct stat owner;

    if (geteuid() != 0 || stat(store->path, &owner) != 0 || owner.st_uid == 0)
        return;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        (void)snprintf(file, sizeof file, "%s/%s", store->path, names[i]);
        int rc = lchown(file, owner.st_uid, owner.st_gid);
        (void)rc; /* what cannot be given away stays root's, and kpid says so */
    }
}

struct store *store_open(const struct store_options *options, struct error *err)
{
    if (options->max_size_bytes == 0 || options->max_size_bytes > UINT64_C(1) << 46) {
        (void)error_set(err, ERROR_INVALID, "storage.max_size is not between 1 B and 64 TiB");
        return NULL;
    }
    if (!prepare_directory(options->path, err))
        return NULL;
    int lock_fd = take_lock(options->path, err);
    if (lock_fd < 0)
        return NULL;
    struct store *store = memory_zero(1, sizeof *store);
    store->path = memory_copy(options->path, strlen(options->path));
    store->max_bytes = options->max_size_bytes;
    store->lock_fd = lock_fd;
    if (!open_environment(store, 0, err)) {
        store_close(store);
        return NULL;
    }
    give_to_owner(store);
    return store;
}

void store_close(struct store *store)
{
    if (store == NULL)
        return;
    assert((atomic_load(&store->gate) & ~STORE_GATE_CLOSED) == 0);
    close_environment(store);
    (void)close(store->lock_fd); /* last, so that nobody opens what we still have open */
    free(store->path);
    free(store);
}

/* Whether the data file may be written again; not by opening it, which would take LMDB's locks away
 * when it is closed. */
static bool is_writable(const struct store *store, struct error *err)
{
    char file[PATH_BYTES + 16];

    (void)snprintf(file, sizeof file, "%s/data.mdb", store->path);
    return access(file, W_OK) == 0 || error_set_errno(err, "cannot write to '%s'", file);
}

/* After a panic: LMDB lets nobody in again before the environment was closed and opened. Readers
 * that are in are waited for by trying again later; they end within 5 s. When it cannot be opened
 * for writing, as on a file system that became read-only, then for reading meanwhile. */
static bool reopen(struct store *store, struct error *err)
{
    struct error ignored;

    if (store->env != NULL && store->is_read_only && !is_writable(store, err))
        return false;
    uint32_t before = atomic_fetch_or(&store->gate, STORE_GATE_CLOSED);
    if ((before & ~STORE_GATE_CLOSED) != 0)
        return error_set(err, ERROR_UNAVAILABLE,
                         "data directory '%s' has to be reopened after an input/output error and "
                         "waits for its readers",
                         store->path);
    close_environment(store);
    bool ok = open_environment(store, 0, err);
    if (ok || open_environment(store, MDB_RDONLY, &ignored))
        (void)atomic_fetch_and(&store->gate, ~STORE_GATE_CLOSED);
    return ok;
}

/* --- transactions --- */

/* LMDB learns the number of the newest snapshot and then, in another step, takes what is in it from
 * the one of two pages that this number names. A reader that loses its core in between while two
 * transactions are committed takes what the second one has just written there: perhaps before it is
 * on the disk, and the next reader may be given the one before it. So such a reader begins anew.
 * test_reader_begins stops a reader at each instruction of it. */
static int check_snapshot(struct store *store, MDB_txn *txn)
{
    MDB_envinfo info;
    int rc = 0;

    for (int i = 0; i < SNAPSHOT_TRIES && rc == 0; i++) {
        if (mdb_env_info(store->env, &info) != 0 || info.me_last_txnid <= mdb_txn_id(txn) + 1)
            break;
        mdb_txn_reset(txn);
        rc = mdb_txn_renew(txn);
    }
    return rc;
}

/* Enters through the gate and begins; out again, with LMDB's answer, when it did not. */
static int begin_reading(struct store *store, MDB_txn **out)
{
    int rc = MDB_PANIC;

    *out = NULL;
    if ((atomic_fetch_add(&store->gate, 1) & STORE_GATE_CLOSED) == 0)
        rc = mdb_txn_begin(store->env, NULL, MDB_RDONLY, out);
    if (rc == 0)
        rc = check_snapshot(store, *out);
    if (rc != 0) {
        mdb_txn_abort(*out);
        (void)atomic_fetch_sub(&store->gate, 1);
    }
    return rc;
}

struct read_txn *read_txn_begin(struct store *store, struct error *err)
{
    static const struct timespec pause = {.tv_nsec = 1000000};
    MDB_txn *txn = NULL;
    int rc = begin_reading(store, &txn);

    /* Between a commit that panicked and the reopening that follows it is a moment. */
    for (int i = 0; i < REOPEN_TRIES && rc == MDB_PANIC; i++) {
        (void)nanosleep(&pause, NULL);
        rc = begin_reading(store, &txn);
    }
    if (rc == MDB_PANIC) {
        (void)error_set(err, ERROR_UNAVAILABLE,
                        "data directory '%s' is being reopened after an input/output error",
                        store->path);
        return NULL;
    }
    if (rc != 0) {
        (void)store_error(err, rc, "cannot read data directory '%s'", store->path);
        return NULL;
    }
    struct read_txn *reader = memory_alloc(sizeof *reader);
    *reader = (struct read_txn){store, txn, clock_mono() + READ_TXN_MS};
    return reader;
}

bool read_txn_refresh(struct read_txn *txn, struct error *err)
{
    mono_ms now = clock_mono();

    if (now < txn->deadline - READ_TXN_MS + READ_TXN_REFRESH_MS)
        return true;
    mdb_txn_reset(txn->txn);
    if ((atomic_load(&txn->store->gate) & STORE_GATE_CLOSED) != 0) /* it waits for this one */
        return error_set(err, ERROR_UNAVAILABLE,
                         "data directory '%s' is being reopened after an input/output error",
                         txn->store->path);
    int rc = mdb_txn_renew(txn->txn);
    if (rc == 0)
        rc = check_snapshot(txn->store, txn->txn);
    if (rc != 0)
        return store_error(err, rc, "cannot read data directory '%s'", txn->store->path);
    txn->deadline = now + READ_TXN_MS;
    return true;
}

bool read_txn_is_over(const struct read_txn *txn)
{
    return txn->deadline != 0 && clock_mono() >= txn->deadline;
}

bool read_txn_check(const struct read_txn *txn, struct error *err)
{
    return !read_txn_is_over(txn) ||
           error_set(err, ERROR_UNAVAILABLE,
                     "reading data directory '%s' takes longer than %d seconds", txn->store->path,
                     READ_TXN_MS / MS_PER_SECOND);
}

void read_txn_end(struct read_txn *txn)
{
    if (txn == NULL)
        return;
    mdb_txn_abort(txn->txn);
    (void)atomic_fetch_sub(&txn->store->gate, 1);
    free(txn);
}

struct read_txn *write_txn_reader(struct write_txn *txn)
{
    return &txn->reader;
}

/* mdb_txn_begin on the writer's thread, which reopens what has panicked. */
static int begin(struct store *store, MDB_txn *parent, unsigned flags, MDB_txn **out,
                 struct error *err)
{
    bool is_shut = store->env == NULL || (store->is_read_only && flags != MDB_RDONLY);
    int rc = is_shut ? MDB_PANIC : mdb_txn_begin(store->env, parent, flags, out);
    if (rc == MDB_PANIC && parent == NULL) {
        if (!reopen(store, err))
            return MDB_PANIC;
        rc = mdb_txn_begin(store->env, NULL, flags, out);
    }
    if (rc != 0)
        (void)store_error(err, rc, "cannot write to data directory '%s'", store->path);
    return rc;
}

bool write_txn_begin(struct store *store, struct write_txn *parent, struct write_txn *out,
                     struct error *err)
{
    *out = (struct write_txn){.reader.store = store, .is_inner = parent != NULL};
    return begin(store, parent == NULL ? NULL : parent->reader.txn, 0, &out->reader.txn, err) == 0;
}

/* After a commit that failed: when LMDB has panicked, readers get in again now and not with the
 * writer's next try. */
static void revive(struct store *store)
{
    struct error ignored;
    MDB_txn *probe = NULL;

    int rc = mdb_txn_begin(store->env, NULL, MDB_RDONLY, &probe);
    if (rc == 0)
        mdb_txn_abort(probe);
    if (rc == MDB_PANIC)
        (void)reopen(store, &ignored); /* else `begin` tries again */
}

bool write_txn_commit(struct write_txn *txn, struct error *err)
{
    struct store *store = txn->reader.store;

    int rc = mdb_txn_commit(txn->reader.txn);
    txn->reader.txn = NULL;
    if (rc != 0 && !txn->is_inner)
        revive(store);
    return rc == 0 || store_error(err, rc, "cannot write to data directory '%s'", store->path);
}

void write_txn_abort(struct write_txn *txn)
{
    mdb_txn_abort(txn->reader.txn);
    txn->reader.txn = NULL;
}

bool store_find(const struct read_txn *txn, enum database database, MDB_val key, struct str *out,
                bool *found, struct error *err)
{
    MDB_val value;

    *out = STR_EMPTY;
    int rc = mdb_get(txn->txn, txn->store->databases[database], &key, &value);
    *found = rc == 0;
    if (rc == 0)
        *out = store_bytes(&value);
    if (rc != 0 && rc != MDB_NOTFOUND)
        return store_error(err, rc, "cannot read data directory '%s'", txn->store->path);
    return true;
}

bool store_get(const struct read_txn *txn, enum database database, struct str key, struct str *out)
{
    struct error ignored;
    bool found = false;
    return store_find(txn, database, store_value(key), out, &found, &ignored) && found;
}

bool store_put(struct write_txn *txn, enum database database, MDB_val key, struct str value,
               unsigned flags, struct error *err)
{
    struct read_txn *reader = &txn->reader;
    MDB_val bytes = store_value(value);

    int rc = mdb_put(reader->txn, reader->store->databases[database], &key, &bytes, flags);
    if (rc != 0) {
        txn->storage_failed = true;
        return store_error(err, rc, "cannot write to data directory '%s'", reader->store->path);
    }
    txn->wrote = true;
    return true;
}

bool store_remove(struct write_txn *txn, enum database database, MDB_val key, struct error *err)
{
    struct read_txn *reader = &txn->reader;

    int rc = mdb_del(reader->txn, reader->store->databases[database], &key, NULL);
    if (rc == MDB_NOTFOUND)
        return true;
    if (rc != 0) {
        txn->storage_failed = true;
        return store_error(err, rc, "cannot write to data directory '%s'", reader->store->path);
    }
    txn->wrote = true;
    return true;
}

/* --- what is known of the whole --- */

uint64_t store_commit_number(struct read_txn *txn)
{
    return meta_get(txn, "commit", 0);
}

bool store_read_commit_number(struct store *store, uint64_t *out, struct error *err)
{
    struct read_txn reader = {.store = store};

    if (begin(store, NULL, MDB_RDONLY, &reader.txn, err) != 0)
        return false;
    *out = store_commit_number(&reader);
    mdb_txn_abort(reader.txn);
    return true;
}

void store_origin(struct read_txn *txn, char out[33])
{
    static const char digits[] = "0123456789abcdef";
    struct str bytes;

    (void)snprintf(out, 33, "%032d", 0);
    if (!store_get(txn, DATABASE_META, STR("origin"), &bytes) || bytes.len != ORIGIN_SIZE)
        return;
    for (size_t i = 0; i < ORIGIN_SIZE; i++) {
        unsigned char byte = (unsigned char)bytes.text[i];
        out[2 * i] = digits[byte >> 4];
        out[2 * i + 1] = digits[byte & 15];
    }
}

static uint64_t pages_of(const MDB_stat *facts)
{
    return (uint64_t)facts->ms_branch_pages + facts->ms_leaf_pages + facts->ms_overflow_pages;
}

/* The pages that hold something: free ones inside the file are room. */
void store_usage(struct read_txn *txn, struct store_usage *out)
{
    MDB_stat facts;
    uint64_t pages = 2; /* the two meta pages */
    uint64_t page_bytes = PAGE_FLOOR;

    *out = (struct store_usage){.max_bytes = txn->store->max_bytes};
    for (int i = 0; i < DATABASE_COUNT; i++) {
        if (mdb_stat(txn->txn, txn->store->databases[i], &facts) != 0)
            continue;
        pages += pages_of(&facts);
        page_bytes = facts.ms_psize;
        if (i == DATABASE_SERIES)
            out->series = facts.ms_entries;
    }
    out->used_bytes = pages * page_bytes;
}

bool store_has_room(struct store *store, struct error *err)
{
    MDB_envinfo info = {0};
    MDB_stat facts = {0};
    struct store_usage usage;
    struct read_txn reader = {.store = store};

    if (store->env == NULL)
        return true; /* whoever writes meets the real reason */
    if (mdb_env_info(store->env, &info) == 0 && mdb_env_stat(store->env, &facts) == 0 &&
        ((uint64_t)info.me_last_pgno + 1) * facts.ms_psize <= store->max_bytes)
        return true; /* the file is smaller: no need to count */
    if (mdb_txn_begin(store->env, NULL, MDB_RDONLY, &reader.txn) != 0)
        return true;
    store_usage(&reader, &usage);
    mdb_txn_abort(reader.txn);
    if (usage.used_bytes <= usage.max_bytes)
        return true;
    (void)error_set(err, ERROR_FULL,
                    "the store is full: it holds %llu bytes, storage.max_size is %llu, in '%s'",
                    (unsigned long long)usage.used_bytes, (unsigned long long)usage.max_bytes,
                    store->path); /* the path last: a log line may cut it */
    return error_hint(err, "raise storage.max_size, or keep less");
}
