#include "alert/outbox.h"
#include "fixture.h"

static void push_at(struct fixture *fixture, const char *hook, const char *rule,
                    enum event_type type, wall_ms now)
{
    struct push push = {.rule = rule, .type = type, .hooks = {hook}, .hook_count = 1, .now = now};
    assert_true(write_in(fixture, run_push, &push));
}

/* What is due, as "rule:sequence" with blanks between. */
static const char *due_at(struct fixture *fixture, const char *hook, wall_ms now)
{
    static char text[400];
    struct outbox_entry entries[10];
    struct arena arena = ARENA_EMPTY;
    struct read_txn *txn = read_begin(fixture);
    size_t count = outbox_due(txn, str_of(hook), now, TEST_COUNT(entries), &arena, entries);
    read_txn_end(txn); /* the entries are copies */

    text[0] = '\0';
    for (size_t i = 0; i < count; i++) {
        size_t len = strlen(text);
        (void)snprintf(text + len, sizeof text - len, "%s%.*s:%llu", i == 0 ? "" : " ",
                       STR_ARGS(entries[i].event.rule), (unsigned long long)entries[i].sequence);
    }
    arena_fini(&arena);
    return text;
}

static wall_ms next_try(struct fixture *fixture, const char *hook)
{
    struct read_txn *txn = read_begin(fixture);
    wall_ms at = outbox_next_try(txn, str_of(hook));
    read_txn_end(txn);
    return at;
}

enum attempt_kind { ACK, POSTPONE, BURY, PAUSE };

struct attempt {
    enum attempt_kind kind;
    const char *hook;
    uint64_t sequence;
    wall_ms at;
};

static bool run_attempt(struct write_txn *txn, void *arg, struct error *err)
{
    const struct attempt *attempt = arg;
    struct str hook = str_of(attempt->hook);
    switch (attempt->kind) {
    case ACK:
        return outbox_ack(txn, hook, attempt->sequence, attempt->at, err);
    case POSTPONE:
        return outbox_postpone(txn, hook, attempt->sequence, (struct outbox_wait){NOW, attempt->at},
                               STR("status 500"), err);
    case BURY:
        return outbox_bury(txn, hook, attempt->sequence, STR("status 400"), err);
    case PAUSE:
        return outbox_pause(txn, hook, (struct outbox_wait){NOW, attempt->at}, err);
    }
    return false;
}

static void attempt(struct fixture *fixture, enum attempt_kind kind, const char *hook,
                    uint64_t sequence, wall_ms at)
{
    struct attempt what = {kind, hook, sequence, at};
    assert_true(write_in(fixture, run_attempt, &what));
}

static void an_event_is_queued_for_each_hook_with_one_id(void **state)
{
    struct fixture *fixture = *state;
    struct push push = {.rule = "r1",
                        .type = EVENT_FIRING,
                        .hooks = {"chat", "archive", "chat"},
                        .hook_count = 3,
                        .now = NOW};
    struct outbox_entry entry;
    struct arena arena = ARENA_EMPTY;
    assert_true(write_in(fixture, run_push, &push));
    assert_int_equal(strlen(push.id), 32);
    assert_string_equal(due_at(fixture, "chat", NOW), "r1:1");
    assert_string_equal(due_at(fixture, "archive", NOW), "r1:1");
    assert_string_equal(due_at(fixture, "cha", NOW), "");
    assert_int_equal(facts_of(fixture, "chat").pending, 1);

    struct read_txn *txn = read_begin(fixture);
    assert_int_equal(outbox_due(txn, STR("archive"), NOW, 1, &arena, &entry), 1);
    read_txn_end(txn);
    assert_string_equal(entry.event.id, push.id);
    assert_true(str_is(entry.hook, "archive"));
    assert_int_equal(entry.attempts, 0);
    assert_int_equal(entry.queued_at, NOW);
    assert_true(str_is(entry.event.text, "Churn: 2.4 %, target 2 % (2026-10)"));
    arena_fini(&arena);
}

static void an_event_without_hooks_is_history_only(void **state)
{
    struct fixture *fixture = *state;
    struct push push = {.rule = "r1", .type = EVENT_FIRING, .now = NOW};
    struct str key;
    struct str value;
    struct event event;
    assert_true(write_in(fixture, run_push, &push));
    struct read_txn *txn = read_begin(fixture);
    assert_false(record_last(txn, RECORD_OUTBOX, STR_EMPTY, &key, &value));
    assert_true(record_last(txn, RECORD_EVENT, STR_EMPTY, &key, &value));
    assert_true(event_decode(value, &event));
    assert_string_equal(event.id, push.id);
    read_txn_end(txn);
}

static void entries_of_one_rule_leave_in_their_order(void **state)
{
    struct fixture *fixture = *state;
    push_at(fixture, "chat", "r1", EVENT_FIRING, NOW);
    push_at(fixture, "chat", "r1", EVENT_RESOLVED, NOW);
    push_at(fixture, "chat", "r2", EVENT_FIRING, NOW);
    assert_string_equal(due_at(fixture, "chat", NOW), "r1:1 r2:3");

    attempt(fixture, POSTPONE, "chat", 1, NOW + 5000); /* resolved waits for firing */
    assert_string_equal(due_at(fixture, "chat", NOW), "r2:3");
    attempt(fixture, ACK, "chat", 3, NOW);
    assert_string_equal(due_at(fixture, "chat", NOW), "");
    assert_int_equal(next_try(fixture, "chat"), NOW + 5000);
    assert_string_equal(due_at(fixture, "chat", NOW + 5000), "r1:1");
    attempt(fixture, ACK, "chat", 1, NOW + 5000);
    assert_string_equal(due_at(fixture, "chat", NOW + 5000), "r1:2");
    attempt(fixture, ACK, "chat", 2, NOW + 5000);
    assert_int_equal(next_try(fixture, "chat"), WALL_NONE);
}

static void a_hook_does_not_wait_for_another(void **state)
{
    struct fixture *fixture = *state;
    struct push push = {.rule = "r1",
                        .type = EVENT_FIRING,
                        .hooks = {"chat", "chat2"},
                        .hook_count = 2,
                        .now = NOW};
    assert_true(write_in(fixture, run_push, &push));
    attempt(fixture, POSTPONE, "chat", 1, NOW + 5000);
    assert_string_equal(due_at(fixture, "chat", NOW), "");
    assert_string_equal(due_at(fixture, "chat2", NOW), "r1:1");
}

static void facts_tell_what_became_of_the_attempts(void **state)
{
    struct fixture *fixture = *state;
    for (int i = 0; i < 3; i++)
        push_at(fixture, "chat", "r1", EVENT_FIRING, NOW);
    attempt(fixture, POSTPONE, "chat", 1, NOW + 5000);
    struct outbox_facts facts = facts_of(fixture, "chat");
    assert_int_equal(facts.pending, 3);
    assert_string_equal(facts.last_error, "status 500");
    assert_int_equal(facts.sent_at, WALL_NONE);

    attempt(fixture, ACK, "chat", 1, NOW + 5000);
    facts = facts_of(fixture, "chat");
    assert_int_equal(facts.pending, 2);
    assert_int_equal(facts.sent, 1);
    assert_int_equal(facts.sent_at, NOW + 5000);
    assert_string_equal(facts.last_error, "");

    attempt(fixture, BURY, "chat", 2, 0);
    facts = facts_of(fixture, "chat");
    assert_int_equal(facts.pending, 1);
    assert_int_equal(facts.dead, 1);
    assert_string_equal(facts.last_error, "status 400");
    assert_string_equal(due_at(fixture, "chat", NOW), "r1:3");
}

static void what_is_not_queued_is_not_counted_again(void **state)
{
    struct fixture *fixture = *state;
    push_at(fixture, "chat", "r1", EVENT_FIRING, NOW);
    attempt(fixture, ACK, "chat", 1, NOW);
    attempt(fixture, ACK, "chat", 1, NOW);
    attempt(fixture, BURY, "chat", 1, 0);
    attempt(fixture, POSTPONE, "chat", 7, NOW);
    struct outbox_facts facts = facts_of(fixture, "chat");
    assert_int_equal(facts.sent, 1);
    assert_int_equal(facts.pending, 0);
    assert_int_equal(facts.dead, 0);
}

static void attempts_and_reason_are_kept_with_the_entry(void **state)
{
    struct fixture *fixture = *state;
    struct outbox_entry entry;
    struct arena arena = ARENA_EMPTY;
    push_at(fixture, "chat", "r1", EVENT_FIRING, NOW);
    attempt(fixture, POSTPONE, "chat", 1, NOW + 1);
    attempt(fixture, POSTPONE, "chat", 1, NOW + 2);
    fixture_close(fixture);
    fixture_open(fixture); /* over a restart */
    struct read_txn *txn = read_begin(fixture);
    assert_int_equal(outbox_due(txn, STR("chat"), NOW + 2, 1, &arena, &entry), 1);
    read_txn_end(txn);
    assert_int_equal(entry.attempts, 2);
    assert_int_equal(entry.queued_at, NOW);
    assert_true(str_is(entry.last_error, "status 500"));
    arena_fini(&arena);
}

static void a_paused_hook_has_nothing_due(void **state)
{
    struct fixture *fixture = *state;
    push_at(fixture, "chat", "r1", EVENT_FIRING, NOW);
    push_at(fixture, "chat", "r2", EVENT_FIRING, NOW);
    attempt(fixture, PAUSE, "chat", 0, NOW + 60000);
    assert_string_equal(due_at(fixture, "chat", NOW + 59999), "");
    assert_int_equal(next_try(fixture, "chat"), NOW + 60000);
    assert_string_equal(due_at(fixture, "chat", NOW + 60000), "r1:1 r2:2");
}

static void a_clock_that_was_set_back_holds_nothing_up(void **state)
{
    struct fixture *fixture = *state;
    push_at(fixture, "chat", "r1", EVENT_FIRING, NOW);
    assert_string_equal(due_at(fixture, "chat", NOW - 2 * (wall_ms)MS_PER_HOUR), "r1:1");
    attempt(fixture, POSTPONE, "chat", 1, NOW + 5000);
    assert_string_equal(due_at(fixture, "chat", NOW - 1000), ""); /* slewed, not set */
    assert_string_equal(due_at(fixture, "chat", NOW - 2 * (wall_ms)MS_PER_HOUR), "r1:1");
    attempt(fixture, PAUSE, "chat", 0, NOW + 20 * (wall_ms)MS_PER_HOUR);
    assert_string_equal(due_at(fixture, "chat", NOW + 19 * (wall_ms)MS_PER_HOUR), "");
    assert_string_equal(due_at(fixture, "chat", NOW - 2 * (wall_ms)MS_PER_HOUR), "r1:1");
}

static void only_as_many_as_asked_for_are_due(void **state)
{
    struct fixture *fixture = *state;
    struct outbox_entry entries[2];
    struct arena arena = ARENA_EMPTY;
    push_at(fixture, "chat", "r1", EVENT_FIRING, NOW);
    push_at(fixture, "chat", "r2", EVENT_FIRING, NOW);
    push_at(fixture, "chat", "r3", EVENT_FIRING, NOW);
    struct read_txn *txn = read_begin(fixture);
    assert_int_equal(outbox_due(txn, STR("chat"), NOW, 2, &arena, entries), 2);
    assert_int_equal(outbox_due(txn, STR("chat"), NOW, 0, &arena, entries), 0);
    read_txn_end(txn);
    assert_int_equal(entries[1].sequence, 2);
    arena_fini(&arena);
}

static bool note_hook(struct str hook, void *arg)
{
    char *names = arg;
    size_t len = strlen(names);
    (void)snprintf(names + len, 100 - len, "%.*s ", STR_ARGS(hook));
    return true;
}

static void hooks_with_something_queued_are_listed(void **state)
{
    struct fixture *fixture = *state;
    char names[100] = "";
    struct outbox_entry entry;
    struct arena arena = ARENA_EMPTY;
    push_at(fixture, "chat", "r1", EVENT_FIRING, NOW);
    push_at(fixture, "archive", "r1", EVENT_FIRING, NOW);
    push_at(fixture, "gone", "r1", EVENT_FIRING, NOW);
    attempt(fixture, ACK, "archive", 2, NOW);
    struct read_txn *txn = read_begin(fixture);
    outbox_hooks(txn, note_hook, names);
    assert_string_equal(names, "chat gone ");
    assert_false(outbox_expired(txn, STR("gone"), NOW - 1, &arena, &entry));
    assert_true(outbox_expired(txn, STR("gone"), NOW, &arena, &entry));
    assert_int_equal(entry.sequence, 3);
    read_txn_end(txn);
    arena_fini(&arena);
}

static bool push_many(struct write_txn *txn, void *arg, struct error *err)
{
    const char *const hooks[] = {"chat"};
    const int *count = arg;
    for (int i = 0; i < *count; i++) {
        struct event event = event_of_rule("r1", EVENT_FIRING);
        if (!outbox_push(txn, &event, hooks, 1, NOW + i, err))
            return false;
    }
    return true;
}

static bool bury_many(struct write_txn *txn, void *arg, struct error *err)
{
    const int *count = arg;
    for (int i = 1; i <= *count; i++) {
        if (!outbox_bury(txn, STR("chat"), (uint64_t)i, STR("status 400"), err))
            return false;
    }
    return true;
}

static bool count_record(struct str key, struct str value, void *arg)
{
    size_t *count = arg;
    (void)key;
    (void)value;
    (*count)++;
    return true;
}

static size_t count_records(struct fixture *fixture, enum record_table table)
{
    size_t count = 0;
    struct read_txn *txn = read_begin(fixture);
    record_scan(txn, table, STR_EMPTY, count_record, &count);
    read_txn_end(txn);
    return count;
}

static void everything_that_grows_has_its_limit(void **state)
{
    struct fixture *fixture = *state;
    int count = OUTBOX_PENDING_MAX + 5;
    assert_true(write_in(fixture, push_many, &count));
    struct outbox_facts facts = facts_of(fixture, "chat");
    assert_int_equal(facts.pending, OUTBOX_PENDING_MAX);
    assert_int_equal(facts.dead, 5);
    assert_string_equal(facts.last_error, "too many messages wait for the hook");
    assert_int_equal(count_records(fixture, RECORD_EVENT), OUTBOX_HISTORY_MAX);

    count = OUTBOX_DEAD_MAX + 10;
    assert_true(write_in(fixture, bury_many, &count));
    facts = facts_of(fixture, "chat");
    assert_int_equal(facts.dead, OUTBOX_DEAD_MAX);
    assert_int_equal(facts.pending, OUTBOX_PENDING_MAX - count);
    assert_int_equal(count_records(fixture, RECORD_OUTBOX), facts.pending + facts.dead);
}

static void a_name_that_no_hook_can_have_is_refused(void **state)
{
    struct fixture *fixture = *state;
    static char name[OUTBOX_HOOK_MAX + 2];
    struct push push = {.rule = "r1", .hooks = {name}, .hook_count = 1, .now = NOW};
    memset(name, 'a', OUTBOX_HOOK_MAX + 1);
    assert_false(write_in(fixture, run_push, &push));
    assert_string_equal(due_at(fixture, name, NOW), "");
    assert_int_equal(count_records(fixture, RECORD_EVENT), 0);
    name[OUTBOX_HOOK_MAX] = '\0';
    assert_true(write_in(fixture, run_push, &push));
    assert_string_equal(due_at(fixture, name, NOW), "r1:1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(an_event_is_queued_for_each_hook_with_one_id),
        STORE_TEST(an_event_without_hooks_is_history_only),
        STORE_TEST(entries_of_one_rule_leave_in_their_order),
        STORE_TEST(a_hook_does_not_wait_for_another),
        STORE_TEST(facts_tell_what_became_of_the_attempts),
        STORE_TEST(what_is_not_queued_is_not_counted_again),
        STORE_TEST(attempts_and_reason_are_kept_with_the_entry),
        STORE_TEST(a_paused_hook_has_nothing_due),
        STORE_TEST(a_clock_that_was_set_back_holds_nothing_up),
        STORE_TEST(only_as_many_as_asked_for_are_due),
        STORE_TEST(hooks_with_something_queued_are_listed),
        STORE_TEST(everything_that_grows_has_its_limit),
        STORE_TEST(a_name_that_no_hook_can_have_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
