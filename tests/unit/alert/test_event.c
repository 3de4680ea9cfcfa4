#include "alert/event.h"

/* jansson's constant of that name is not needed here, and base/json.h has one of its own. */
#include <jansson.h>

#include "fixture.h"

static void assert_texts_equal(const struct event *a, const struct event *b)
{
    const struct str pairs[][2] = {
        {a->alert_id, b->alert_id},
        {a->rule, b->rule},
        {a->kpi, b->kpi},
        {a->title, b->title},
        {a->severity, b->severity},
        {a->status, b->status},
        {a->unit, b->unit},
        {a->value_text, b->value_text},
        {a->target_text, b->target_text},
        {a->period, b->period},
        {a->reason, b->reason},
        {a->text, b->text},
        {a->action, b->action},
        {a->runbook, b->runbook},
        {a->period_from_text, b->period_from_text},
        {a->period_to_text, b->period_to_text},
        {a->at_text, b->at_text},
        {a->old_value_text, b->old_value_text},
        {a->old_status, b->old_status},
    };
    for (size_t i = 0; i < TEST_COUNT(pairs); i++)
        assert_true(str_equal(pairs[i][0], pairs[i][1]));
}

static void an_event_survives_its_encoding(void **state)
{
    struct event event = event_of_rule("churn-breach", EVENT_ENDED);
    struct event back;
    struct buf bytes = BUF_EMPTY;
    (void)state;
    event.reason = STR("period_end");
    event_new_id(event.id);
    event_encode(&event, &bytes);
    assert_true(event_decode(buf_view(&bytes), &back));
    assert_string_equal(back.id, event.id);
    assert_int_equal(back.type, EVENT_ENDED);
    assert_int_equal(back.at, event.at);
    assert_int_equal(back.period_from, event.period_from);
    assert_int_equal(back.period_to, event.period_to);
    assert_true(back.has_value && back.value == 2.4);
    assert_true(back.has_target && back.target == 2);
    assert_texts_equal(&event, &back);
    buf_fini(&bytes);
}

static struct event restated_event(void)
{
    struct event event = event_of_rule("", EVENT_RESTATED);
    event.has_old_value = true;
    event.old_value = 1.9;
    event.old_value_text = STR("1.9 %");
    event.old_status = STR("hit");
    event.status = STR("missed");
    event.reason = STR("late_samples");
    return event;
}

static void a_restatement_says_what_was_said_before(void **state)
{
    struct event event = restated_event();
    struct event back;
    struct buf bytes = BUF_EMPTY;
    (void)state;
    event_encode(&event, &bytes);
    assert_true(event_decode(buf_view(&bytes), &back));
    assert_int_equal(back.type, EVENT_RESTATED);
    assert_true(back.has_old_value && back.old_value == 1.9);
    assert_texts_equal(&event, &back);
    buf_clear(&bytes);
    event.has_old_value = false;
    event_encode(&event, &bytes);
    assert_true(event_decode(buf_view(&bytes), &back));
    assert_false(back.has_old_value);
    buf_fini(&bytes);
}

/* The first version ended before what was said before a restatement. */
static void events_of_the_first_version_are_still_read(void **state)
{
    struct event event = event_of_rule("churn-breach", EVENT_ENDED);
    struct event back;
    struct buf bytes = BUF_EMPTY;
    (void)state;
    event_encode(&event, &bytes);
    bytes.bytes[0] = 1;
    bytes.len -= 8 + 4 + 4;
    assert_true(event_decode(buf_view(&bytes), &back));
    assert_texts_equal(&event, &back);
    assert_false(back.has_old_value);
    assert_false(event_decode((struct str){bytes.bytes, bytes.len - 1}, &back));
    bytes.bytes[0] = 3;
    assert_false(event_decode(buf_view(&bytes), &back));
    buf_fini(&bytes);
}

static void cut_or_longer_bytes_are_refused(void **state)
{
    struct event event = event_of_rule("churn-breach", EVENT_FIRING);
    struct event back;
    struct buf bytes = BUF_EMPTY;
    (void)state;
    event_new_id(event.id);
    event_encode(&event, &bytes);
    for (size_t len = 0; len < bytes.len; len++) {
        char *copy = memory_copy(bytes.bytes, len); /* so that reading past it is seen */
        assert_false(event_decode((struct str){copy, len}, &back));
        free(copy);
    }
    buf_char(&bytes, 'x');
    assert_false(event_decode(buf_view(&bytes), &back));
    buf_fini(&bytes);
}

static void changed_bytes_never_break_the_reader(void **state)
{
    struct event event = event_of_rule("churn-breach", EVENT_FIRING);
    struct event back;
    struct buf bytes = BUF_EMPTY;
    (void)state;
    event_new_id(event.id);
    event_encode(&event, &bytes);
    for (size_t i = 0; i < bytes.len; i++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            char *copy = memory_copy(bytes.bytes, bytes.len);
            copy[i] = (char)(copy[i] ^ (1 << bit));
            if (event_decode((struct str){copy, bytes.len}, &back)) {
                struct buf out = BUF_EMPTY;
                struct json json = json_to(&out);
                event_json(&back, &json);
                buf_fini(&out);
            }
            free(copy);
        }
    }
    buf_fini(&bytes);
}

static void ids_are_random_hex(void **state)
{
    char one[33];
    char other[33];
    (void)state;
    event_new_id(one);
    event_new_id(other);
    assert_int_equal(strlen(one), 32);
    assert_int_equal(strspn(one, "0123456789abcdef"), 32);
    assert_string_not_equal(one, other);
}

static json_t *parse_event(const struct event *event)
{
    struct buf out = BUF_EMPTY;
    struct json json = json_to(&out);
    event_json(event, &json);
    json_error_t error;
    json_t *root = json_loadb(out.bytes, out.len, JSON_REJECT_DUPLICATES, &error);
    if (root == NULL)
        fail_msg("%s in %.*s", error.text, (int)out.len, out.bytes);
    buf_fini(&out);
    return root;
}

static const char *text_at(const json_t *object, const char *name)
{
    return json_string_value(json_object_get(object, name));
}

static void the_json_has_the_agreed_shape(void **state)
{
    struct event event = event_of_rule("churn-breach", EVENT_FIRING);
    (void)state;
    event_new_id(event.id);
    json_t *root = parse_event(&event);
    assert_string_equal(text_at(root, "type"), "kpi.alert.firing");
    assert_string_equal(text_at(root, "timestamp"), "2026-10-28T02:05:00+01:00");
    const json_t *data = json_object_get(root, "data");
    assert_string_equal(text_at(data, "id"), event.id);
    assert_string_equal(text_at(data, "rule"), "churn-breach");
    assert_string_equal(text_at(data, "kpi"), "churn");
    assert_string_equal(text_at(data, "severity"), "critical");
    assert_string_equal(text_at(data, "text"), "Churn: 2.4 %, target 2 % (2026-10)");
    assert_string_equal(text_at(data, "unit"), "%");
    assert_true(json_number_value(json_object_get(data, "value")) == 2.4);
    const json_t *target = json_object_get(data, "target");
    assert_true(json_number_value(json_object_get(target, "to")) == 2);
    const json_t *period = json_object_get(data, "period");
    assert_string_equal(text_at(period, "name"), "2026-10");
    assert_string_equal(text_at(period, "from"), "2026-10-01T00:00:00+02:00");
    assert_true(json_is_null(json_object_get(data, "reason")));
    assert_true(json_is_null(json_object_get(data, "old")));
    json_decref(root);
}

static void the_json_of_a_restatement_has_both_figures(void **state)
{
    struct event event = restated_event();
    (void)state;
    json_t *root = parse_event(&event);
    assert_string_equal(text_at(root, "type"), "kpi.period.restated");
    const json_t *data = json_object_get(root, "data");
    const json_t *old = json_object_get(data, "old");
    assert_true(json_number_value(json_object_get(data, "value")) == 2.4);
    assert_true(json_number_value(json_object_get(old, "value")) == 1.9);
    assert_string_equal(text_at(old, "value_text"), "1.9 %");
    assert_string_equal(text_at(old, "status"), "hit");
    assert_string_equal(text_at(data, "status"), "missed");
    assert_true(json_is_null(json_object_get(data, "rule")));
    json_decref(root);
    event.has_old_value = false;
    root = parse_event(&event);
    old = json_object_get(json_object_get(root, "data"), "old");
    assert_true(json_is_null(json_object_get(old, "value")));
    json_decref(root);
}

static void what_does_not_exist_is_null_and_never_zero(void **state)
{
    struct event event = {.type = EVENT_TEST, .at = INT64_C(1614265330000)};
    (void)state;
    json_t *root = parse_event(&event);
    const json_t *data = json_object_get(root, "data");
    assert_string_equal(text_at(root, "type"), "kpid.test");
    assert_string_equal(text_at(root, "timestamp"), "2021-02-25T15:02:10Z");
    assert_true(json_is_null(json_object_get(data, "value")));
    assert_true(json_is_null(json_object_get(data, "target")));
    assert_true(json_is_null(json_object_get(data, "period")));
    assert_true(json_is_null(json_object_get(data, "rule")));
    json_decref(root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_event_survives_its_encoding),
        cmocka_unit_test(a_restatement_says_what_was_said_before),
        cmocka_unit_test(events_of_the_first_version_are_still_read),
        cmocka_unit_test(cut_or_longer_bytes_are_refused),
        cmocka_unit_test(changed_bytes_never_break_the_reader),
        cmocka_unit_test(ids_are_random_hex),
        cmocka_unit_test(the_json_has_the_agreed_shape),
        cmocka_unit_test(the_json_of_a_restatement_has_both_figures),
        cmocka_unit_test(what_does_not_exist_is_null_and_never_zero),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
