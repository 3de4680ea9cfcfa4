/* jansson's constant of that name is not needed here, and base/json.h has one of its own. */
#include <jansson.h>

#include "alert/hook.h"
#include "fixture.h"

static json_t *render(const struct hook *hook, const struct event *event)
{
    struct hook_request request = {.body = BUF_EMPTY};
    struct error err = ERROR_EMPTY;
    json_error_t error;
    assert_true(HOOK_SLACK.render(hook, event, NOW, &request, &err));
    assert_int_equal(request.header_count, 0);
    json_t *root = json_loadb(request.body.bytes, request.body.len, JSON_REJECT_DUPLICATES, &error);
    if (root == NULL)
        fail_msg("%s", error.text);
    buf_fini(&request.body);
    return root;
}

static const json_t *block_of(const json_t *root, const char *type)
{
    size_t i = 0;
    const json_t *block = NULL;
    json_array_foreach(json_object_get(root, "blocks"), i, block)
    {
        if (strcmp(json_string_value(json_object_get(block, "type")), type) == 0)
            return block;
    }
    return NULL;
}

static const char *text_of(const json_t *object)
{
    return json_string_value(json_object_get(object, "text"));
}

static const char *header_of(const json_t *root)
{
    return text_of(json_object_get(block_of(root, "header"), "text"));
}

static void a_message_has_its_parts(void **state)
{
    const struct hook hook = {
        .id = "chat", .kind = &HOOK_SLACK, .base_url = "https://kpi.acme.example/"};
    struct event event = event_of_rule("churn-breach", EVENT_FIRING);
    (void)state;
    json_t *root = render(&hook, &event);
    assert_string_equal(text_of(root), "[critical] Churn: 2.4 %, target 2 % (2026-10)");
    assert_string_equal(header_of(root), "[critical] Churn");
    const json_t *section = block_of(root, "section");
    assert_string_equal(text_of(json_object_get(section, "text")),
                        "Churn: 2.4 %, target 2 % (2026-10)");
    assert_int_equal(json_array_size(json_object_get(section, "fields")), 4);
    const json_t *buttons = json_object_get(block_of(root, "actions"), "elements");
    assert_string_equal(json_string_value(json_object_get(json_array_get(buttons, 0), "url")),
                        "https://kpi.acme.example/k/churn");
    assert_string_equal(json_string_value(json_object_get(json_array_get(buttons, 1), "url")),
                        "https://wiki.acme.example/churn");
    const json_t *context = json_object_get(block_of(root, "context"), "elements");
    assert_non_null(strstr(text_of(json_array_get(context, 0)), "rule churn-breach"));
    json_decref(root);
}

static void the_header_says_what_happened(void **state)
{
    static const struct {
        enum event_type type;
        const char *header;
    } cases[] = {
        {EVENT_FIRING, "[critical] Churn"},   {EVENT_RESOLVED, "[resolved] Churn"},
        {EVENT_ENDED, "[ended] Churn"},       {EVENT_TEST, "[test] Churn"},
        {EVENT_RESTATED, "[restated] Churn"},
    };
    const struct hook hook = {.id = "chat", .kind = &HOOK_SLACK};
    (void)state;
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        struct event event = event_of_rule("churn-breach", cases[i].type);
        json_t *root = render(&hook, &event);
        assert_string_equal(header_of(root), cases[i].header);
        json_decref(root);
    }
}

static void only_the_three_characters_are_escaped(void **state)
{
    const struct hook hook = {.id = "chat", .kind = &HOOK_SLACK};
    struct event event = event_of_rule("churn-breach", EVENT_FIRING);
    (void)state;
    event.text = STR("<!channel> a & b > \"c\" 'd' 5 €");
    event.title = STR("R&D");
    json_t *root = render(&hook, &event);
    assert_string_equal(text_of(root), "[critical] &lt;!channel&gt; a &amp; b &gt; \"c\" 'd' 5 €");
    assert_string_equal(header_of(root), "[critical] R&amp;D");
    json_decref(root);
}

static void a_bare_event_is_a_valid_message(void **state)
{
    const struct hook hook = {.id = "chat", .kind = &HOOK_SLACK};
    const struct event event = {.type = EVENT_TEST, .at = NOW};
    (void)state;
    json_t *root = render(&hook, &event);
    const json_t *section = block_of(root, "section");
    assert_int_not_equal(strlen(text_of(json_object_get(section, "text"))), 0);
    assert_null(json_object_get(section, "fields"));
    assert_null(block_of(root, "actions"));
    json_decref(root);
}

static size_t characters(const char *text)
{
    size_t count = 0;
    for (; *text != '\0'; text++)
        count += ((unsigned char)*text & 0xC0) != 0x80;
    return count;
}

static void assert_whole_characters(const char *text)
{
    assert_true(str_is_utf8(str_of(text)));
    for (const char *c = strchr(text, '&'); c != NULL; c = strchr(c + 1, '&'))
        assert_true(strncmp(c, "&amp;", 5) == 0 || strncmp(c, "&lt;", 4) == 0);
}

/* Sums all texts of blocks, checking each against Slack's limit of its place. */
static size_t check_limits(const json_t *root)
{
    size_t total = 0;
    size_t i = 0;
    const json_t *block = NULL;
    const json_t *blocks = json_object_get(root, "blocks");
    assert_true(json_array_size(blocks) <= 50);
    json_array_foreach(blocks, i, block)
    {
        bool is_header = strcmp(json_string_value(json_object_get(block, "type")), "header") == 0;
        const json_t *text = json_object_get(block, "text");
        if (text != NULL) {
            assert_true(characters(text_of(text)) <= (is_header ? 150 : 3000));
            assert_whole_characters(text_of(text));
            total += characters(text_of(text));
        }
        size_t j = 0;
        const json_t *field = NULL;
        json_array_foreach(json_object_get(block, "fields"), j, field)
        {
            assert_true(j < 10 && characters(text_of(field)) <= 2000);
            total += characters(text_of(field));
        }
        json_array_foreach(json_object_get(block, "elements"), j, field)
        {
            const char *url = json_string_value(json_object_get(field, "url"));
            assert_true(url == NULL || strlen(url) <= 3000);
        }
    }
    return total;
}

static void long_texts_are_cut_within_the_limits(void **state)
{
    static const char *const pieces[] = {"&", "€", "<a", "x"};
    const struct hook hook = {
        .id = "chat", .kind = &HOOK_SLACK, .base_url = "https://kpi.acme.example"};
    (void)state;
    for (size_t i = 0; i < TEST_COUNT(pieces); i++) {
        struct buf text = BUF_EMPTY;
        struct event event = event_of_rule("churn-breach", EVENT_FIRING);
        while (text.len < 20000)
            buf_text(&text, pieces[i]);
        event.text = buf_view(&text);
        event.title = buf_view(&text);
        event.action = buf_view(&text);
        event.runbook = buf_view(&text);
        event.period = buf_view(&text);
        event.rule = buf_view(&text);
        event.value_text = buf_view(&text);
        json_t *root = render(&hook, &event);
        assert_true(check_limits(root) < 13000);
        assert_true(characters(text_of(root)) <= 40000);
        assert_whole_characters(text_of(root));
        assert_non_null(strstr(header_of(root), "..."));
        json_decref(root);
        buf_fini(&text);
    }
}

static void a_text_that_just_fits_is_not_cut(void **state)
{
    const struct hook hook = {.id = "chat", .kind = &HOOK_SLACK};
    struct event event = event_of_rule("churn-breach", EVENT_FIRING);
    char title[200];
    (void)state;
    memset(title, 'x', sizeof title);
    event.title = (struct str){title, 150 - strlen("[critical] ")};
    json_t *root = render(&hook, &event);
    assert_int_equal(strlen(header_of(root)), 150);
    assert_null(strstr(header_of(root), "..."));
    json_decref(root);
    event.title.len++;
    root = render(&hook, &event);
    assert_int_equal(strlen(header_of(root)), 150);
    assert_string_equal(header_of(root) + 147, "...");
    json_decref(root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_has_its_parts),
        cmocka_unit_test(the_header_says_what_happened),
        cmocka_unit_test(only_the_three_characters_are_escaped),
        cmocka_unit_test(a_bare_event_is_a_valid_message),
        cmocka_unit_test(long_texts_are_cut_within_the_limits),
        cmocka_unit_test(a_text_that_just_fits_is_not_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
