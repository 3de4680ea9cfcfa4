/* Verify knows every table of records; and what it says of tokens. */
#include "store/fixture.h"
#include "store/record_rows.h"
#include "store/verify_json.h"
#include "web/record_tables.h"
#include "web/token_record.h"

static struct verify_counts look(struct fixture *fixture, struct told *told)
{
    return verify_rows_of(fixture->store, RECORD_TABLES, RECORD_TABLE_COUNT, told);
}

static void put_token(struct fixture *fixture, const char *name)
{
    struct token_record record = {.token.role = ROLE_EDITOR, .made_at = AT(MINUTE, 0)};
    struct write_txn txn;
    struct error err = ERROR_EMPTY;

    (void)snprintf(record.token.name, sizeof record.token.name, "%s", name);
    (void)snprintf(record.by, sizeof record.by, "user 0");
    assert_true(write_txn_begin(fixture->store, NULL, &txn, &err));
    assert_true(token_record_add(&txn, &record, &err));
    assert_true(write_txn_commit(&txn, &err));
}

static void each_table_has_who_knows_it(void **state)
{
    struct fixture *fixture = *state;
    struct told told;
    char where[64];

    for (int table = 0; table < RECORD_TABLE_COUNT; table++) {
        assert_int_equal(RECORD_TABLES[table].table, table);
        write_row(fixture->store, (enum record_table)table, STR("odd"), STR("?"));
        const struct verify_counts counts = look(fixture, &told);
        assert_int_equal(counts.records[table], 1);
        assert_int_equal(told.count, 1);
        (void)snprintf(where, sizeof where, "%s 'odd'",
                       verify_table_name((enum record_table)table));
        expect_told(&told, where, "its row is damaged");
        write_row(fixture->store, (enum record_table)table, STR("odd"), STR_EMPTY);
    }
}

static void a_token_is_whole(void **state)
{
    struct fixture *fixture = *state;
    struct buf row = BUF_EMPTY;
    struct told told;

    put_token(fixture, "ana");
    put_token(fixture, "ben");
    assert_int_equal(look(fixture, &told).records[RECORD_TOKEN], 2);
    expect_nothing_told(&told);
    assert_true(read_row(fixture->store, RECORD_TOKEN, STR("ben"), &row));
    for (size_t len = 1; len < row.len; len++) {
        write_row(fixture->store, RECORD_TOKEN, STR("ben"), (struct str){row.bytes, len});
        (void)look(fixture, &told);
        assert_int_equal(told.count, 1);
        expect_told(&told, "tokens 'ben'", "its row is damaged");
    }
    row.bytes[1] = ROLE_COUNT;
    write_row(fixture->store, RECORD_TOKEN, STR("ben"), buf_view(&row));
    (void)look(fixture, &told);
    expect_told(&told, "tokens 'ben'", "its row is damaged");
    buf_fini(&row);
}

static void the_counts_are_in_the_answer(void **state)
{
    struct fixture *fixture = *state;
    struct buf body = BUF_EMPTY;
    struct told told;

    put_token(fixture, "ana");
    write_row(fixture->store, RECORD_HOOK, STR("chat"), STR("?"));
    const struct verify_counts counts = look(fixture, &told);
    struct json json = json_to(&body);
    json_open(&json, '{');
    verify_json_result(&json, &counts, STR_EMPTY);
    json_close(&json, '}');
    buf_char(&body, '\0');
    assert_non_null(strstr(body.bytes, "\"found\":1,"));
    assert_non_null(strstr(body.bytes, "\"records\":{\"alert_state\":0,\"outbox\":0,\"event\":0,"
                                       "\"hook\":1,\"schedule\":0,\"declared\":0,\"figures\":0,"
                                       "\"tokens\":1}"));
    buf_fini(&body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(each_table_has_who_knows_it),
        STORE_TEST(a_token_is_whole),
        STORE_TEST(the_counts_are_in_the_answer),
    };
    return cmocka_run_group_tests_name("record_tables", tests, NULL, NULL);
}
