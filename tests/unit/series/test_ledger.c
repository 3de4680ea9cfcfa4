#include "series/ledger.h"
#include "test.h"

static void reasons_have_their_stable_names(void **state)
{
    (void)state;
    assert_string_equal(reject_reason_name(REJECT_malformed), "malformed");
    assert_string_equal(reject_reason_name(REJECT_series_limit), "series_limit");
    assert_string_equal(drop_reason_name(DROP_duplicate), "duplicate");
    assert_null(reject_reason_name(REJECT_NONE));
    assert_null(reject_reason_name(REJECT_REASON_COUNT));
    assert_null(drop_reason_name(DROP_REASON_COUNT));
}

static void received_is_stored_plus_rejected_plus_dropped(void **state)
{
    (void)state;
    struct ledger ledger = {.received = 6, .stored = 3};
    ledger.rejected[REJECT_bad_rate] = 1;
    ledger.rejected[REJECT_too_long] = 1;
    assert_false(ledger_balances(&ledger));
    ledger.dropped[DROP_duplicate] = 1;
    assert_true(ledger_balances(&ledger));
    ledger.stored++;
    assert_false(ledger_balances(&ledger));
}

static void merging_adds_every_count(void **state)
{
    (void)state;
    struct ledger into = {.received = 1, .stored = 1};
    struct ledger from = {.received = 2 + REJECT_REASON_COUNT + DROP_REASON_COUNT, .stored = 2};
    for (int i = 0; i < REJECT_REASON_COUNT; i++)
        from.rejected[i] = 1;
    for (int i = 0; i < DROP_REASON_COUNT; i++)
        from.dropped[i] = 1;
    ledger_merge(&into, &from);
    ledger_merge(&into, &from);
    assert_int_equal(into.received, 1 + 2 * from.received);
    assert_int_equal(into.stored, 5);
    for (int i = 0; i < REJECT_REASON_COUNT; i++)
        assert_int_equal(into.rejected[i], 2);
    for (int i = 0; i < DROP_REASON_COUNT; i++)
        assert_int_equal(into.dropped[i], 2);
    assert_true(ledger_balances(&into));
}

static void a_ledger_with_any_count_is_not_empty(void **state)
{
    (void)state;
    struct ledger empty = {0};
    struct ledger rejected = {0};
    struct ledger received = {.received = 1};
    rejected.rejected[REJECT_bad_time] = 1;
    assert_true(ledger_is_empty(&empty));
    assert_true(ledger_balances(&empty));
    assert_false(ledger_is_empty(&rejected));
    assert_false(ledger_is_empty(&received));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reasons_have_their_stable_names),
        cmocka_unit_test(received_is_stored_plus_rejected_plus_dropped),
        cmocka_unit_test(merging_adds_every_count),
        cmocka_unit_test(a_ledger_with_any_count_is_not_empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
