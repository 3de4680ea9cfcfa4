/* What verify says of alert states, the outbox, the history and hooks. */
#include "alert/alert_state.h"
#include "alert/alert_verify.h"
#include "fixture.h"
#include "store/record_rows.h"

static const struct verify_table TABLES[] = {
    {RECORD_ALERT_STATE, alert_verify_state},
    {RECORD_OUTBOX, alert_verify_entry},
    {RECORD_EVENT, alert_verify_event},
    {RECORD_HOOK, alert_verify_hook},
};

/* Keys of the history. */
#define EVENT(number) STR("\0\0\0\0\0\0\0" number)

static struct verify_counts look(struct fixture *fixture, struct told *told)
{
    return verify_rows_of(fixture->store, TABLES, TEST_COUNT(TABLES), told);
}

static void push(struct fixture *fixture, const char *rule)
{
    struct push push = {.rule = rule,
                        .type = EVENT_FIRING,
                        .hooks = {"pager", "chat"},
                        .hook_count = 2,
                        .now = NOW};
    assert_true(write_in(fixture, run_push, &push));
}

static bool run_bury(struct write_txn *txn, void *arg, struct error *err)
{
    const uint64_t *sequence = arg;
    return outbox_bury(txn, STR("pager"), *sequence, STR("status 400"), err);
}

static bool run_ack(struct write_txn *txn, void *arg, struct error *err)
{
    const uint64_t *sequence = arg;
    return outbox_ack(txn, STR("pager"), *sequence, NOW, err);
}

static void put_state(struct fixture *fixture, const char *rule, enum alert_phase phase)
{
    struct alert_state state = ALERT_STATE_EMPTY;
    struct buf value = BUF_EMPTY;

    state.phase = phase;
    state.since = NOW;
    (void)snprintf(state.alert_id, sizeof state.alert_id, "0123456789abcdef0123456789abcdef");
    alert_state_encode(&state, &value);
    write_row(fixture->store, RECORD_ALERT_STATE, str_of(rule), buf_view(&value));
    buf_fini(&value);
}

/* Four events: 1 waits, 2 is dead, 3 was sent by the pager, 4 waits. */
static void fill(struct fixture *fixture)
{
    uint64_t dead = 2;
    uint64_t sent = 3;

    push(fixture, "churn.high");
    push(fixture, "signups.low");
    push(fixture, "revenue.low");
    push(fixture, "churn.high");
    assert_true(write_in(fixture, run_bury, &dead));
    assert_true(write_in(fixture, run_ack, &sent));
    put_state(fixture, "churn.high", ALERT_FIRING);
    put_state(fixture, "signups.low", ALERT_PENDING);
}

static void what_kpid_writes_is_sound(void **state)
{
    struct fixture *fixture = *state;
    struct told told;

    fill(fixture);
    const struct verify_counts counts = look(fixture, &told);
    expect_nothing_told(&told);
    assert_int_equal(counts.records[RECORD_ALERT_STATE], 2);
    assert_int_equal(counts.records[RECORD_OUTBOX], 3 + 4);
    assert_int_equal(counts.records[RECORD_EVENT], 4);
    assert_int_equal(counts.records[RECORD_HOOK], 2);
}

struct damage {
    enum record_table table;
    struct str key;
    struct str value; /* instead of what is there; empty: it is lost; CUT: but its last byte */
    const char *where;
    const char *text;
};

#define CUT                                                                                        \
    {                                                                                              \
        "cut", 3                                                                                   \
    }

static void what_is_damaged_is_said(void **state)
{
    static const struct damage damages[] = {
        {RECORD_ALERT_STATE,
         {"churn.high", 10},
         CUT,
         "alert_state 'churn.high'",
         "its row is damaged"},
        {RECORD_ALERT_STATE, {"new", 3}, {"\2", 1}, "alert_state 'new'", "its row is damaged"},
        {RECORD_OUTBOX,
         {"pager\0\0\0\0\0\0\0\0\1", 14},
         CUT,
         "outbox 'pager' 0000000000000001",
         "its row is damaged"},
        {RECORD_OUTBOX,
         {"pager\0\0\0\0\0\0\0\0\1", 14},
         CUT,
         "hook 'pager'",
         "1 messages wait in the outbox, it says 2"},
        {RECORD_OUTBOX,
         {"pager\0\0\0\0\0\0\0\0\4", 14},
         {NULL, 0},
         "hook 'pager'",
         "1 messages wait in the outbox, it says 2"},
        {RECORD_OUTBOX,
         {"pager\0\0\0\0\0\0\0\0\2", 14},
         {NULL, 0},
         "hook 'pager'",
         "0 dead messages are in the outbox, it says 1"},
        {RECORD_OUTBOX, {"x", 1}, {"?", 1}, "outbox 'x'", "its row is damaged"},
        {RECORD_EVENT,
         {"\0\0\0\0\0\0\0\2", 8},
         CUT,
         "event 0000000000000002",
         "its row is damaged"},
        {RECORD_EVENT,
         {"\0\0\0\0\0\0\0\0", 8},
         {"?", 1},
         "event 0000000000000000",
         "its row is damaged"},
        {RECORD_EVENT, {"short", 5}, {"?", 1}, "event 'short'", "its row is damaged"},
        {RECORD_EVENT,
         {"\0\0\0\0\0\0\0\2", 8},
         {NULL, 0},
         "outbox 'pager' 0000000000000002",
         "event 2, which it is of, is not in the history"},
        {RECORD_EVENT,
         {"\0\0\0\0\0\0\0\4", 8},
         {NULL, 0},
         "outbox 'chat' 0000000000000004",
         "it is of event 4, and the newest is 3"},
        {RECORD_HOOK, {"chat", 4}, CUT, "hook 'chat'", "its row is damaged"},
        {RECORD_HOOK,
         {"chat", 4},
         {NULL, 0},
         "outbox 'chat' 0000000000000003",
         "its hook has no row, so nobody sends it"},
    };
    struct fixture *fixture = *state;
    struct buf before = BUF_EMPTY;
    struct told told;

    fill(fixture);
    for (size_t i = 0; i < TEST_COUNT(damages); i++) {
        const struct damage *damage = &damages[i];
        struct str value = damage->value;
        (void)read_row(fixture->store, damage->table, damage->key, &before);
        if (str_is(value, "cut"))
            value = (struct str){before.bytes, before.len - 1};
        write_row(fixture->store, damage->table, damage->key, value);
        (void)look(fixture, &told);
        expect_told(&told, damage->where, damage->text);
        write_row(fixture->store, damage->table, damage->key, buf_view(&before));
        (void)look(fixture, &told);
        expect_nothing_told(&told);
    }
    buf_fini(&before);
}

static void a_rule_that_is_inactive_has_no_state(void **state)
{
    struct fixture *fixture = *state;
    struct told told;

    put_state(fixture, "churn.high", ALERT_INACTIVE);
    (void)look(fixture, &told);
    assert_int_equal(told.count, 1);
    expect_told(&told, "alert_state 'churn.high'", "a rule that is inactive has no row");
}

/* The message of one event under the number of another one. */
static void an_entry_is_of_its_event(void **state)
{
    struct fixture *fixture = *state;
    struct buf first = BUF_EMPTY;
    struct buf second = BUF_EMPTY;
    struct event of_first;
    struct event of_second;
    struct told told;
    char text[200];

    fill(fixture);
    assert_true(read_row(fixture->store, RECORD_OUTBOX, STR("chat\0\0\0\0\0\0\0\0\1"), &first));
    write_row(fixture->store, RECORD_OUTBOX, STR("chat\0\0\0\0\0\0\0\0\2"), buf_view(&first));
    assert_true(read_row(fixture->store, RECORD_EVENT, EVENT("\1"), &first));
    assert_true(read_row(fixture->store, RECORD_EVENT, EVENT("\2"), &second));
    assert_true(event_decode(buf_view(&first), &of_first));
    assert_true(event_decode(buf_view(&second), &of_second));
    (void)look(fixture, &told);
    assert_int_equal(told.count, 1);
    (void)snprintf(text, sizeof text, "event 2 has the id '%s', its own has '%s'", of_second.id,
                   of_first.id);
    expect_told(&told, "outbox 'chat' 0000000000000002", text);
    buf_fini(&first);
    buf_fini(&second);
}

/* Then nobody knows where the history begins. */
static void a_damaged_history_is_told_once(void **state)
{
    struct fixture *fixture = *state;
    struct told told;

    fill(fixture);
    write_row(fixture->store, RECORD_EVENT, STR("\0"), STR("?"));
    write_row(fixture->store, RECORD_EVENT, EVENT("\1"), STR_EMPTY);
    write_row(fixture->store, RECORD_EVENT, EVENT("\2"), STR_EMPTY);
    (void)look(fixture, &told);
    assert_int_equal(told.count, 1);
    expect_told(&told, "event 00", "its row is damaged");
}

/* The history keeps the newest events; what waits for long outlives its own. */
static void what_the_history_forgot_may_wait(void **state)
{
    struct fixture *fixture = *state;
    struct told told;

    fill(fixture);
    write_row(fixture->store, RECORD_EVENT, EVENT("\1"), STR_EMPTY);
    (void)look(fixture, &told);
    expect_nothing_told(&told);
    write_row(fixture->store, RECORD_EVENT, EVENT("\2"), STR_EMPTY);
    write_row(fixture->store, RECORD_EVENT, EVENT("\3"), STR_EMPTY);
    (void)look(fixture, &told);
    expect_nothing_told(&told);
    /* The newest one is always there: the next would get its number. */
    write_row(fixture->store, RECORD_EVENT, EVENT("\4"), STR_EMPTY);
    (void)look(fixture, &told);
    expect_told(&told, "outbox 'pager' 0000000000000001", "it is of event 1, and the newest is 0");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(what_kpid_writes_is_sound),
        STORE_TEST(what_is_damaged_is_said),
        STORE_TEST(a_rule_that_is_inactive_has_no_state),
        STORE_TEST(an_entry_is_of_its_event),
        STORE_TEST(a_damaged_history_is_told_once),
        STORE_TEST(what_the_history_forgot_may_wait),
    };
    return cmocka_run_group_tests_name("alert_verify", tests, NULL, NULL);
}
