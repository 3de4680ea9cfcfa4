#include "fixture.h"
#include "series/random.h"
#include "store/annotation.h"
#include "store/backup.h"
#include "store/store_private.h"
#include "store/verify.h"

enum { KEPT_MAX = 1024 };

static void begin(struct fixture *fixture, struct write_txn *txn)
{
    struct error err = ERROR_EMPTY;
    if (!write_txn_begin(fixture->store, NULL, txn, &err))
        fail_msg("%s", err.text);
}

static void end(struct write_txn *txn)
{
    struct error err = ERROR_EMPTY;
    if (!write_txn_commit(txn, &err))
        fail_msg("%s", err.text);
}

static void add(struct write_txn *txn, wall_ms at, struct str title, struct str text)
{
    struct error err = ERROR_EMPTY;
    const struct annotation annotation = {.at = at, .title = title, .text = text};
    if (!annotations_add(txn, &annotation, 1, &err))
        fail_msg("%s", err.text);
}

/* --- what is read --- */

struct read {
    struct annotation_place places[KEPT_MAX];
    char titles[KEPT_MAX][16];
    size_t count;
    size_t limit;
};

static bool take(const struct annotation_place *place, const struct annotation *annotation,
                 void *arg)
{
    struct read *read = arg;

    assert_int_equal(place->at, annotation->at);
    assert_true(read->count < KEPT_MAX);
    read->places[read->count] = *place;
    (void)snprintf(read->titles[read->count], 16, "%.*s", STR_ARGS(annotation->title));
    read->count++;
    return read->count < read->limit;
}

static void read_notes(struct store *store, const struct annotation_query *query, size_t limit,
                       struct read *out)
{
    struct error err = ERROR_EMPTY;
    struct read_txn *txn = read_txn_begin(store, &err);

    assert_non_null(txn);
    out->count = 0;
    out->limit = limit;
    if (!annotations_read(txn, query, take, out, &err))
        fail_msg("%s", err.text);
    read_txn_end(txn);
}

static const struct annotation_query EVERYTHING = {WALL_NONE, WALL_NONE, NULL};

static void an_empty_store_has_none(void **state)
{
    struct fixture *fixture = *state;
    const struct annotation_query ranges[] = {
        EVERYTHING, {0, 10, NULL}, {WALL_NONE, 10, NULL}, {0, WALL_NONE, NULL}};
    struct read read;

    for (size_t i = 0; i < TEST_COUNT(ranges); i++) {
        read_notes(fixture->store, &ranges[i], KEPT_MAX, &read);
        assert_int_equal(read.count, 0);
    }
}

static void all_of_it_comes_back(void **state)
{
    struct fixture *fixture = *state;
    const struct annotation_place place = {-5, 1};
    struct annotation annotation = {.at = -5, /* before 1970 */
                                    .kind = ANNOTATION_ERROR,
                                    .is_low = true,
                                    .title = STR("title"),
                                    .text = STR("a\nb\0c"),
                                    .host = STR("host"),
                                    .key = STR("key"),
                                    .source = STR("source"),
                                    .tags = STR("a:b,c")};
    struct write_txn txn;
    struct error err = ERROR_EMPTY;
    struct schema_key key = SCHEMA_KEY_EMPTY;
    struct str row;
    struct annotation_place found;
    struct annotation back;

    begin(fixture, &txn);
    assert_true(annotations_add(&txn, &annotation, 1, &err));
    end(&txn);
    struct read_txn *reader = read_txn_begin(fixture->store, &err);
    schema_put_i64(&key, place.at);
    schema_put_u64(&key, place.number);
    const struct str name = {(const char *)key.bytes, key.len};
    assert_true(store_get(reader, DATABASE_ANNOTATIONS, name, &row));
    assert_true(annotation_row_of(name, row, &found, &back));
    assert_int_equal(found.at, -5);
    assert_int_equal(found.number, 1);
    assert_int_equal(back.kind, ANNOTATION_ERROR);
    assert_true(back.is_low);
    assert_true(str_is(back.title, "title"));
    assert_true(str_equal(back.text, annotation.text));
    assert_true(str_is(back.host, "host"));
    assert_true(str_is(back.key, "key"));
    assert_true(str_is(back.source, "source"));
    assert_true(str_is(back.tags, "a:b,c"));

    /* Whatever is missing of the row or key, or too much, is seen. */
    char bytes[200];
    memcpy(bytes, row.text, row.len);
    for (size_t len = 0; len < row.len; len++)
        assert_false(annotation_row_of(name, (struct str){bytes, len}, &found, &back));
    assert_false(annotation_row_of(name, (struct str){bytes, row.len + 1}, &found, &back));
    assert_false(annotation_row_of((struct str){name.text, 15}, row, &found, &back));
    bytes[0] = 2;
    assert_false(annotation_row_of(name, (struct str){bytes, row.len}, &found, &back));
    bytes[0] = 1;
    bytes[1] = ANNOTATION_KIND_COUNT;
    assert_false(annotation_row_of(name, (struct str){bytes, row.len}, &found, &back));
    read_txn_end(reader);
}

/* Against a list of all that was put in. */
static void any_range_is_read_in_pages_the_newest_first(void **state)
{
    struct fixture *fixture = *state;
    struct annotation_place model[300];
    uint64_t random = 7;
    struct write_txn txn;

    begin(fixture, &txn);
    for (uint64_t i = 0; i < TEST_COUNT(model); i++) {
        char title[16];
        model[i] = (struct annotation_place){(wall_ms)random_below(&random, 100), i + 1};
        (void)snprintf(title, sizeof title, "t%d", (int)i + 1);
        add(&txn, model[i].at, str_of(title), STR_EMPTY);
    }
    end(&txn);
    for (int round = 0; round < 300; round++) {
        struct annotation_place before = {0, 0};
        struct annotation_query query = EVERYTHING;
        size_t limit = 1 + random_below(&random, 50);
        size_t seen = 0;
        size_t wanted = 0;
        struct read read;
        struct annotation_place last = {INT64_MAX, UINT64_MAX};
        if (random_below(&random, 3) > 0)
            query.from = (wall_ms)random_below(&random, 110) - 5;
        if (random_below(&random, 3) > 0)
            query.to = (wall_ms)random_below(&random, 110) - 5;
        for (size_t i = 0; i < TEST_COUNT(model); i++)
            wanted += (query.from == WALL_NONE || model[i].at >= query.from) &&
                      (query.to == WALL_NONE || model[i].at < query.to);
        do {
            read_notes(fixture->store, &query, limit, &read);
            for (size_t i = 0; i < read.count; i++) {
                const struct annotation_place place = read.places[i];
                char title[16];
                assert_true(place.at < last.at ||
                            (place.at == last.at && place.number < last.number));
                assert_true(query.from == WALL_NONE || place.at >= query.from);
                assert_true(query.to == WALL_NONE || place.at < query.to);
                assert_int_equal(model[place.number - 1].at, place.at);
                (void)snprintf(title, sizeof title, "t%d", (int)place.number);
                assert_string_equal(read.titles[i], title);
                last = place;
            }
            seen += read.count;
            before = last;
            query.before = &before;
        } while (read.count == limit);
        assert_int_equal(seen, wanted);
    }
}

/* --- limits --- */

static size_t entries(struct store *store)
{
    struct error err = ERROR_EMPTY;
    struct read_txn *txn = read_txn_begin(store, &err);
    MDB_stat facts;
    assert_int_equal(mdb_stat(txn->txn, store->databases[DATABASE_ANNOTATIONS], &facts), 0);
    read_txn_end(txn);
    return facts.ms_entries;
}

static void the_oldest_go_when_there_are_too_many(void **state)
{
    struct fixture *fixture = *state;
    struct write_txn txn;
    struct read read;

    begin(fixture, &txn);
    for (int i = 0; i < ANNOTATIONS_MAX + 10; i++)
        add(&txn, i, STR("t"), STR_EMPTY);
    add(&txn, 3, STR("old"), STR_EMPTY); /* is the oldest now, so it goes itself */
    end(&txn);
    assert_int_equal(entries(fixture->store), ANNOTATIONS_MAX);
    read_notes(fixture->store, &(const struct annotation_query){WALL_NONE, 12, NULL}, KEPT_MAX,
               &read);
    assert_int_equal(read.count, 2);
    assert_int_equal(read.places[1].at, 10);
}

static void the_oldest_go_when_they_take_too_much(void **state)
{
    static char text[ANNOTATION_TEXT_MAX];
    struct fixture *fixture = *state;
    struct write_txn txn;
    struct read read;
    const int count = 2 * ANNOTATIONS_BYTES_MAX / ANNOTATION_TEXT_MAX;

    memset(text, 'x', sizeof text);
    begin(fixture, &txn);
    for (int i = 0; i < count; i++)
        add(&txn, i, STR("t"), (struct str){text, sizeof text});
    end(&txn);
    assert_in_range(entries(fixture->store), ANNOTATIONS_BYTES_MAX / (4 * ANNOTATION_TEXT_MAX),
                    ANNOTATIONS_BYTES_MAX / ANNOTATION_TEXT_MAX);
    read_notes(fixture->store, &EVERYTHING, 1, &read);
    assert_int_equal(read.places[0].at, count - 1);
}

static void what_is_too_old_is_taken_away_in_steps(void **state)
{
    struct fixture *fixture = *state;
    struct error err = ERROR_EMPTY;
    struct write_txn txn;
    size_t removed = 0;

    begin(fixture, &txn);
    for (int i = 0; i < 10; i++)
        add(&txn, i, STR("t"), STR_EMPTY);
    assert_true(annotations_expire(&txn, 7, 4, &removed, &err));
    assert_int_equal(removed, 4);
    assert_true(annotations_expire(&txn, 7, 4, &removed, &err));
    assert_int_equal(removed, 3);
    assert_true(annotations_expire(&txn, 7, 4, &removed, &err));
    assert_int_equal(removed, 0);
    assert_true(annotations_expire(&txn, INT64_MAX, 99, &removed, &err));
    assert_int_equal(removed, 3);
    assert_true(annotations_expire(&txn, INT64_MAX, 99, &removed, &err));
    assert_int_equal(removed, 0);
    end(&txn);
    assert_int_equal(entries(fixture->store), 0);
}

/* --- on the way --- */

static void drain(struct fixture *fixture)
{
    (void)mailbox_drain(thread_mailbox(writer_thread(fixture->writer)));
}

static struct delta *delta_with(const char *title)
{
    struct delta *delta = delta_new();
    const struct annotation annotation = {.at = 5, .title = str_of(title)};
    struct ledger counts = {.received = 1, .stored = 1};
    delta_add_annotation(delta, &annotation);
    delta_add_ledger(delta, STR("dogstatsd udp:x"), &counts);
    return delta;
}

static void a_delta_of_annotations_alone_is_committed_with_its_ledger(void **state)
{
    struct fixture *fixture = *state;
    struct read read;

    assert_true(writer_post_delta(fixture->writer, delta_with("one")));
    drain(fixture);
    fixture_reopen(fixture);
    assert_true(writer_post_delta(fixture->writer, delta_with("two")));
    drain(fixture);
    read_notes(fixture->store, &EVERYTHING, KEPT_MAX, &read);
    assert_int_equal(read.count, 2);
    assert_string_equal(read.titles[0], "two"); /* numbers go on after a restart */
    assert_string_equal(read.titles[1], "one");
}

static void a_batch_that_comes_again_is_noted_once(void **state)
{
    struct fixture *fixture = *state;
    struct read read;

    for (int i = 0; i < 3; i++) {
        struct delta *delta = delta_with("once");
        delta->identity = (struct delta_identity){.kind = IDENTITY_KEY, .name = {1, 2}};
        assert_true(writer_post_delta(fixture->writer, delta));
        drain(fixture);
    }
    read_notes(fixture->store, &EVERYTHING, KEPT_MAX, &read);
    assert_int_equal(read.count, 1);
}

static void a_backup_has_them(void **state)
{
    struct fixture *fixture = *state;
    struct error err = ERROR_EMPTY;
    char folder[64];
    char file[100];
    char target[100];
    struct backup_progress progress;
    struct restore_report report;
    struct read read;

    make_directory(folder);
    (void)snprintf(file, sizeof file, "%s/kpid.backup", folder);
    (void)snprintf(target, sizeof target, "%s/restored", folder);
    assert_true(writer_post_delta(fixture->writer, delta_with("kept")));
    drain(fixture);
    if (!backup_write(fixture->store, &(const struct backup_options){.file = file}, &progress,
                      &err) ||
        !backup_restore(file, target, &report, &err))
        fail_msg("%s", err.text);
    struct store *restored = store_open(&(const struct store_options){target, BIG_SIZE}, &err);
    assert_non_null(restored);
    read_notes(restored, &EVERYTHING, KEPT_MAX, &read);
    assert_int_equal(read.count, 1);
    assert_string_equal(read.titles[0], "kept");
    store_close(restored);
    remove_directory(target);
    remove_directory(folder);
}

static void count_finding(const struct verify_finding *finding, void *arg)
{
    if (strcmp(finding->what, "annotation") == 0)
        ++*(size_t *)arg;
}

static void verify_finds_what_is_damaged(void **state)
{
    struct fixture *fixture = *state;
    struct error err = ERROR_EMPTY;
    struct verify_counts counts;
    size_t findings = 0;
    const struct verify_options options = {.on_finding = count_finding, .arg = &findings};
    struct schema_key key = SCHEMA_KEY_EMPTY;
    struct write_txn txn;

    begin(fixture, &txn);
    add(&txn, 1, STR("whole"), STR_EMPTY);
    end(&txn);
    assert_true(verify_store(fixture->store, &options, &counts, &err));
    assert_int_equal(findings, 0);

    begin(fixture, &txn);
    schema_put_i64(&key, 2);
    schema_put_u64(&key, 1);
    assert_true(store_put(&txn, DATABASE_ANNOTATIONS, store_key(&key), STR("x"), 0, &err));
    assert_true(meta_put(&txn, "annotation", 0, &err));
    end(&txn);
    assert_true(verify_store(fixture->store, &options, &counts, &err));
    assert_int_equal(findings, 2); /* the damaged one, and a number that was never given */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(an_empty_store_has_none),
        STORE_TEST(all_of_it_comes_back),
        STORE_TEST(any_range_is_read_in_pages_the_newest_first),
        STORE_TEST(the_oldest_go_when_there_are_too_many),
        STORE_TEST(the_oldest_go_when_they_take_too_much),
        STORE_TEST(what_is_too_old_is_taken_away_in_steps),
        STORE_TEST(a_delta_of_annotations_alone_is_committed_with_its_ledger),
        STORE_TEST(a_batch_that_comes_again_is_noted_once),
        STORE_TEST(a_backup_has_them),
        STORE_TEST(verify_finds_what_is_damaged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
