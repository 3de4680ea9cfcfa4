#include <stdio.h>
#include <string.h>

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

static void what_is_taken_out_balances_and_so_does_the_rest(void **state)
{
    (void)state;
    static const struct {
        uint64_t most, stored;
    } cases[] = {{0, 0}, {3, 3}, {7, 7}, {8, 7}, {UINT64_MAX, 7}};

    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        struct ledger from = {.received = 12, .stored = 7};
        from.rejected[REJECT_too_long] = 3;
        from.dropped[DROP_unwanted] = 2;
        struct ledger taken = ledger_take(&from, cases[i].most);
        assert_int_equal(taken.stored, cases[i].stored);
        assert_int_equal(taken.received, 5 + cases[i].stored);
        assert_int_equal(taken.rejected[REJECT_too_long], 3);
        assert_int_equal(from.stored, 7 - cases[i].stored);
        assert_true(ledger_balances(&taken) && ledger_balances(&from));
    }
}

/* The next reason that the manual explains, in its section of them: a name, and a sentence after
 * it. False: there are no more. */
static bool next_explained(FILE *manual, char *name, size_t size)
{
    static const char item[] = ".It Li ";
    char line[256];

    while (fgets(line, sizeof line, manual) != NULL && strncmp(line, ".Sh ", 4) != 0) {
        if (strncmp(line, item, strlen(item)) != 0)
            continue;
        line[strcspn(line, "\n")] = '\0';
        (void)snprintf(name, size, "%s", line + strlen(item));
        if (fgets(line, sizeof line, manual) == NULL || line[0] == '.' || strlen(line) < 8)
            fail_msg("the manual has no sentence for '%s'", name);
        return true;
    }
    return false;
}

static void the_manual_explains_every_reason(void **state)
{
    char path[1024];
    char line[256];
    char name[256];
    const char *end = strstr(__FILE__, "tests/unit/series");
    (void)state;

    assert_non_null(end);
    (void)snprintf(path, sizeof path, "%.*sdocs/kpictl.1", (int)(end - __FILE__), __FILE__);
    FILE *manual = fopen(path, "re");
    assert_non_null(manual);
    do
        assert_non_null(fgets(line, sizeof line, manual));
    while (strcmp(line, ".Sh REASONS\n") != 0);
    for (int i = 0; i < REJECT_REASON_COUNT + DROP_REASON_COUNT; i++) {
        const char *wanted = i < REJECT_REASON_COUNT
                                 ? reject_reason_name((enum reject_reason)i)
                                 : drop_reason_name((enum drop_reason)(i - REJECT_REASON_COUNT));
        if (!next_explained(manual, name, sizeof name))
            fail_msg("docs/kpictl.1 does not explain '%s'", wanted);
        assert_string_equal(name, wanted);
    }
    if (next_explained(manual, name, sizeof name))
        fail_msg("docs/kpictl.1 explains '%s', which is no reason", name);
    (void)fclose(manual);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reasons_have_their_stable_names),
        cmocka_unit_test(received_is_stored_plus_rejected_plus_dropped),
        cmocka_unit_test(merging_adds_every_count),
        cmocka_unit_test(what_is_taken_out_balances_and_so_does_the_rest),
        cmocka_unit_test(the_manual_explains_every_reason),
        cmocka_unit_test(a_ledger_with_any_count_is_not_empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
