#include <fcntl.h>
#include <lmdb.h>
#include <signal.h>
#include <sys/wait.h>

#include "fixture.h"

static struct store *open_at(const char *path, struct error *err)
{
    const struct store_options options = {path, BIG_SIZE};
    return store_open(&options, err);
}

static void expect_refusal(const char *path, enum error_kind kind, const char *text)
{
    struct error err = ERROR_EMPTY;
    struct store *store = open_at(path, &err);
    assert_null(store);
    if (strstr(err.text, text) == NULL)
        fail_msg("'%s' does not say '%s'", err.text, text);
    assert_int_equal(err.kind, kind);
}

/* --- opening --- */

static void a_directory_is_made_when_its_parent_exists(void **state)
{
    struct fixture *fixture = *state;
    struct error err = ERROR_EMPTY;
    struct stat facts;
    char path[128];

    (void)snprintf(path, sizeof path, "%s/new", fixture->path);
    struct store *store = open_at(path, &err);
    assert_non_null(store);
    store_close(store);
    assert_int_equal(stat(path, &facts), 0);
    assert_int_equal(facts.st_mode & 07777, 0700);
    remove_directory(path);

    (void)snprintf(path, sizeof path, "%s/neither/nor", fixture->path);
    expect_refusal(path, ERROR_NOT_FOUND, "cannot make data directory '");
}

static void a_second_open_is_refused_with_the_pid_of_the_first(void **state)
{
    struct fixture *fixture = *state;
    char text[200];
    (void)snprintf(text, sizeof text, "data directory '%s' is in use by another kpid (pid %d)",
                   fixture->path, (int)getpid());
    expect_refusal(fixture->path, ERROR_CONFLICT, text);

    /* The first one is not disturbed, and after it the directory is free. */
    post(fixture, one_sample(METRIC_COUNTER, "orders", "", 3, AT(MINUTE, 5)));
    commit(fixture);
    fixture_reopen(fixture);
    assert_same(sum_of(fixture, "orders"), 3);
}

static void a_file_is_not_a_directory(void **state)
{
    struct fixture *fixture = *state;
    char path[128];
    (void)snprintf(path, sizeof path, "%s/lock", fixture->path);
    expect_refusal(path, ERROR_INVALID, "/lock' is not a directory");
}

static void a_directory_that_is_not_writable_is_said(void **state)
{
    struct fixture *fixture = *state;
    char path[128];
    bool is_root = geteuid() == 0;

    (void)snprintf(path, sizeof path, "%s/locked", fixture->path);
    assert_int_equal(mkdir(path, 0555), 0);
    if (is_root) {
        assert_int_equal(chmod(fixture->path, 0755), 0);
        assert_int_equal(seteuid(65534), 0);
    }
    expect_refusal(path, ERROR_DENIED, "/locked' is not writable: Permission denied");
    if (is_root)
        assert_int_equal(seteuid(0), 0);
    assert_int_equal(rmdir(path), 0);
}

static void sizes_that_mean_nothing_are_refused(void **state)
{
    struct fixture *fixture = *state;
    struct error err = ERROR_EMPTY;
    const struct store_options none = {fixture->path, 0};
    const struct store_options huge = {fixture->path, UINT64_MAX};
    assert_null(store_open(&none, &err));
    assert_null(store_open(&huge, &err));
    assert_int_equal(err.kind, ERROR_INVALID);
}

/* Writes into the closed store's file as somebody else would. */
static void put_raw(const char *path, const char *database, struct str key, struct str value)
{
    MDB_env *env = NULL;
    MDB_txn *txn = NULL;
    MDB_dbi dbi = 0;
    MDB_val name = {key.len, (void *)key.text};
    MDB_val bytes = {value.len, (void *)value.text};

    assert_int_equal(mdb_env_create(&env), 0);
    assert_int_equal(mdb_env_set_maxdbs(env, 64), 0);
    assert_int_equal(mdb_env_open(env, path, 0, 0600), 0);
    assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
    assert_int_equal(mdb_dbi_open(txn, database, MDB_CREATE, &dbi), 0);
    assert_int_equal(mdb_put(txn, dbi, &name, &bytes, 0), 0);
    assert_int_equal(mdb_txn_commit(txn), 0);
    mdb_env_close(env);
}

static void another_schema_version_is_refused_and_left_alone(void **state)
{
    struct fixture *fixture = *state;
    struct error err = ERROR_EMPTY;
    post(fixture, one_sample(METRIC_COUNTER, "orders", "", 3, AT(MINUTE, 5)));
    commit(fixture);
    fixture_close(fixture);

    static const struct {
        const char *version;
        const char *text;
        const char *hint;
    } cases[] = {
        {"\x63\0\0\0", "was written by a newer version of kpid (schema 99, this one reads 5)",
         "start that version"},
        {"\x01\0\0\0", "was written by an old version of kpid (schema 1, this one reads 5)",
         "move it away or start with an empty directory"},
    };
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        put_raw(fixture->path, "meta", STR("schema"), (struct str){cases[i].version, 4});
        assert_null(open_at(fixture->path, &err));
        assert_int_equal(err.kind, ERROR_CONFLICT);
        assert_non_null(strstr(err.text, cases[i].text));
        assert_non_null(strstr(err.hint, cases[i].hint));
    }

    put_raw(fixture->path, "meta", STR("schema"), STR("\x05\0\0\0"));
    fixture_open(fixture);
    assert_same(sum_of(fixture, "orders"), 3);
}

static void a_database_of_somebody_else_is_refused(void **state)
{
    (void)state;
    char path[64];
    make_directory(path);
    put_raw(path, "passwords", STR("a"), STR("b"));
    expect_refusal(path, ERROR_INVALID, "holds a database that is not kpid's");
    remove_directory(path);
}

static void a_file_that_is_no_database_is_refused(void **state)
{
    (void)state;
    char path[64];
    char file[80];
    char page[8192];

    make_directory(path);
    (void)snprintf(file, sizeof file, "%s/data.mdb", path);
    int fd = open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    memset(page, 'x', sizeof page);
    assert_int_equal(write(fd, page, sizeof page), sizeof page);
    (void)close(fd);
    expect_refusal(path, ERROR_CORRUPT, "/data.mdb' is not a database that kpid can read");
    remove_directory(path);
}

/* --- what is known of the whole --- */

static void the_origin_is_random_and_stays(void **state)
{
    struct fixture *fixture = *state;
    struct error err = ERROR_EMPTY;
    char origin[33];
    char again[33];
    char other[33];
    char path[64];

    struct read_txn *txn = read_begin(fixture);
    store_origin(txn, origin);
    read_txn_end(txn);
    fixture_reopen(fixture);
    txn = read_begin(fixture);
    store_origin(txn, again);
    read_txn_end(txn);
    assert_string_equal(origin, again);
    assert_int_equal(strspn(origin, "0123456789abcdef"), 32);

    make_directory(path);
    struct store *store = open_at(path, &err);
    txn = read_txn_begin(store, &err);
    store_origin(txn, other);
    read_txn_end(txn);
    store_close(store);
    remove_directory(path);
    assert_string_not_equal(origin, other);
}

static void an_empty_store_knows_nothing(void **state)
{
    struct fixture *fixture = *state;
    struct store_usage usage;
    struct metric_facts facts;
    struct read_txn *txn = read_begin(fixture);
    assert_int_equal(store_commit_number(txn), 0);
    assert_int_equal(query_newest(txn), WALL_NONE);
    query_metric(txn, STR("orders"), &facts);
    assert_false(facts.seen);
    store_usage(txn, &usage);
    assert_int_equal(usage.series, 0);
    assert_int_equal(usage.max_bytes, BIG_SIZE);
    assert_in_range(usage.used_bytes, 1, 100000);
    read_txn_end(txn);
}

static void a_snapshot_does_not_see_later_commits(void **state)
{
    struct fixture *fixture = *state;
    post(fixture, one_sample(METRIC_COUNTER, "orders", "", 3, AT(MINUTE, 5)));
    commit(fixture);
    struct read_txn *before = read_begin(fixture);
    post(fixture, one_sample(METRIC_COUNTER, "orders", "", 4, AT(MINUTE, 6)));
    commit(fixture);
    struct read_txn *after = read_begin(fixture);

    struct aggregate old =
        read_in(before, METRIC_COUNTER, "orders", AT(MINUTE, 0), AT(MINUTE + 1, 0));
    struct aggregate new =
        read_in(after, METRIC_COUNTER, "orders", AT(MINUTE, 0), AT(MINUTE + 1, 0));
    assert_same(aggregate_sum(&old), 3);
    assert_same(aggregate_sum(&new), 7);
    assert_int_equal(store_commit_number(before), 1);
    assert_int_equal(store_commit_number(after), 2);
    read_txn_end(before);
    read_txn_end(after);
}

/* Overwrites the first value of a database of the closed store. */
static void rot(const char *path, const char *database)
{
    MDB_env *env = NULL;
    MDB_txn *txn = NULL;
    MDB_dbi dbi = 0;
    MDB_cursor *cursor = NULL;
    MDB_val key;
    MDB_val bytes;

    assert_int_equal(mdb_env_create(&env), 0);
    assert_int_equal(mdb_env_set_maxdbs(env, 64), 0);
    assert_int_equal(mdb_env_open(env, path, 0, 0600), 0);
    assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
    assert_int_equal(mdb_dbi_open(txn, database, 0, &dbi), 0);
    assert_int_equal(mdb_cursor_open(txn, dbi, &cursor), 0);
    assert_int_equal(mdb_cursor_get(cursor, &key, &bytes, MDB_FIRST), 0);
    char *rotten = memory_copy(bytes.mv_data, bytes.mv_size);
    rotten[bytes.mv_size / 2] ^= 1;
    bytes.mv_data = rotten;
    assert_int_equal(mdb_cursor_put(cursor, &key, &bytes, MDB_CURRENT), 0);
    mdb_cursor_close(cursor);
    assert_int_equal(mdb_txn_commit(txn), 0);
    mdb_env_close(env);
    free(rotten);
}

/* Bytes that rotted: who reads them is told, and input and other figures go on.
 */
static void a_cell_that_cannot_be_read_is_an_error_and_input_goes_on(void **state)
{
    struct fixture *fixture = *state;
    struct arena arena = ARENA_EMPTY;
    struct error err = ERROR_EMPTY;
    struct coverage coverage = COVERAGE_EMPTY;
    struct cell cell = CELL_EMPTY;
    struct level_sample level;
    const struct selector selector = {.metric = STR("stock"), .kind = METRIC_GAUGE};
    struct query query = {.from = AT(MINUTE, 0), .to = AT(MINUTE + 1, 0)};

    post(fixture, one_sample(METRIC_GAUGE, "stock", "", 3, AT(MINUTE, 5)));
    commit(fixture);
    fixture_close(fixture);
    rot(fixture->path, "journal");
    fixture_open(fixture);

    struct read_txn *txn = read_begin(fixture);
    query.series = query_select(txn, &selector, &arena, &query.series_count);
    for (int merge = 0; merge < 2; merge++) {
        query.merge_series = merge == 1;
        assert_false(query_cells(txn, &query, keep_cell, &cell, &coverage, &err));
        assert_int_equal(err.kind, ERROR_CORRUPT);
        assert_true(err.text[0] != '\0');
    }
    assert_false(query_level(txn, 1, AT(MINUTE, 30), &level, &coverage, &err));
    read_txn_end(txn);
    arena_fini(&arena);

    post(fixture, one_sample(METRIC_GAUGE, "stock", "", 7, AT(MINUTE + 60, 6)));
    commit(fixture);
    assert_same(last_in(fixture, "stock", MINUTE + 60), 7);
}

/* --- kill -9 --- */

struct pipe_answer {
    int fd;
};

static void on_done_tell(struct delta *delta, const struct error *err)
{
    const struct pipe_answer *answer = delta->on_done_arg;
    char byte = err == NULL ? 'y' : 'n';
    ssize_t written = write(answer->fd, &byte, 1);
    (void)written;
}

/* Commits one acknowledged delta after the other until it is killed. */
_Noreturn static void commit_until_killed(const char *path, int fd)
{
    struct fixture fixture = {.max_size = BIG_SIZE};
    struct pipe_answer answer = {fd};
    (void)snprintf(fixture.path, sizeof fixture.path, "%s", path);
    fixture_open(&fixture);
    for (int i = 0;; i++) {
        struct delta *delta = one_sample(METRIC_COUNTER, "orders", "", 1, AT(MINUTE + i, 0));
        add_counts(delta, "statsd udp", 1, 0);
        delta->on_done = on_done_tell;
        delta->on_done_arg = &answer;
        post(&fixture, delta);
        commit(&fixture);
    }
}

static bool keep_stored(struct str listener, const struct ledger *ledger, void *arg)
{
    (void)listener;
    assert_true(ledger_balances(ledger));
    *(uint64_t *)arg = ledger->stored;
    return true;
}

static void nothing_acknowledged_is_lost_by_a_kill(void **state)
{
    struct fixture *fixture = *state;
    enum { ACKNOWLEDGED = 25 };
    int ends[2];
    char byte = 0;
    int heard = 0;
    uint64_t stored = 0;

    fixture_close(fixture);
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)close(ends[0]);
        commit_until_killed(fixture->path, ends[1]);
    }
    (void)close(ends[1]);
    while (heard < ACKNOWLEDGED && read(ends[0], &byte, 1) == 1 && byte == 'y')
        heard++;
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_int_equal(heard, ACKNOWLEDGED);
    while (read(ends[0], &byte, 1) == 1)
        heard++;
    (void)close(ends[0]);

    /* The last commit may have been done without the word of it coming through.
     */
    fixture_open(fixture);
    double sum = sum_of(fixture, "orders");
    assert_true(sum == heard || sum == heard + 1);
    struct read_txn *txn = read_begin(fixture);
    query_ledgers(txn, keep_stored, &stored);
    assert_int_equal(store_commit_number(txn), stored);
    read_txn_end(txn);
    assert_same(sum, (double)stored);
}

/* As root looks into the directory of kpid's own user. */
static void what_root_makes_is_the_directory_owners(void **state)
{
    enum { SOMEBODY = 12345 };
    static const char *const names[] = {"lock", "lock.mdb", "data.mdb"};
    struct fixture *fixture = *state;

    if (geteuid() != 0)
        skip();
    fixture_close(fixture);
    assert_int_equal(chown(fixture->path, SOMEBODY, SOMEBODY), 0);
    fixture_open(fixture);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char file[128];
        struct stat facts;
        (void)snprintf(file, sizeof file, "%s/%s", fixture->path, names[i]);
        assert_int_equal(stat(file, &facts), 0);
        assert_int_equal(facts.st_uid, SOMEBODY);
        assert_int_equal(facts.st_gid, SOMEBODY);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(what_root_makes_is_the_directory_owners),
        STORE_TEST(a_directory_is_made_when_its_parent_exists),
        STORE_TEST(a_second_open_is_refused_with_the_pid_of_the_first),
        STORE_TEST(a_file_is_not_a_directory),
        STORE_TEST(a_directory_that_is_not_writable_is_said),
        STORE_TEST(sizes_that_mean_nothing_are_refused),
        STORE_TEST(another_schema_version_is_refused_and_left_alone),
        STORE_TEST(a_database_of_somebody_else_is_refused),
        STORE_TEST(a_file_that_is_no_database_is_refused),
        STORE_TEST(the_origin_is_random_and_stays),
        STORE_TEST(an_empty_store_knows_nothing),
        STORE_TEST(a_snapshot_does_not_see_later_commits),
        STORE_TEST(a_cell_that_cannot_be_read_is_an_error_and_input_goes_on),
        STORE_TEST(nothing_acknowledged_is_lost_by_a_kill),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
