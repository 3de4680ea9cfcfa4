#include "alert/hook.h"
#include "test.h"

static const char SECRET[] = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

static void kinds_are_found_by_name(void **state)
{
    (void)state;
    assert_ptr_equal(hook_kind_find(STR("webhook")), &HOOK_WEBHOOK);
    assert_ptr_equal(hook_kind_find(STR("slack")), &HOOK_SLACK);
    assert_null(hook_kind_find(STR("teams")));
}

static void urls_are_checked(void **state)
{
    static const struct {
        const char *url;
        bool allow_http;
        bool ok;
    } cases[] = {
        {"https://hooks.slack.com/services/T0/B0/secret", false, true},
        {"http://127.0.0.1:9099/alerts", false, true},
        {"http://127.3.2.1/", false, true},
        {"http://localhost:80/x", false, true},
        {"http://[::1]:8080/x", false, true},
        {"http://10.0.0.1/x", false, false},
        {"http://10.0.0.1/x", true, true},
        {"http://127.example.org/x", false, false},
        {"http://localhost.example.org/x", false, false},
        {"http://127.0.0.1@example.org/x", false, false},
        {"http://[::2]/x", false, false},
        {"ftp://example.org/x", true, false},
        {"file:///etc/passwd", true, false},
        {"gopher://127.0.0.1/x", true, false},
        {"hooks.slack.com/services", true, false},
        {"https://", true, false},
        {"https://example.org/a b", true, false},
        {"https://example.org/a\r\nX: y", true, false},
        {"", true, false},
        {NULL, true, false},
    };
    (void)state;
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        struct error err = ERROR_EMPTY;
        const struct hook hook = {.id = "chat", .kind = &HOOK_SLACK, .url = cases[i].url};
        if (hook_check(&hook, cases[i].allow_http, &err) != cases[i].ok)
            fail_msg("'%s' allow_http=%d: %s", cases[i].url, cases[i].allow_http, err.text);
    }
}

static void errors_never_quote_a_url_or_a_secret(void **state)
{
    static const char *const bad_secret[] = {"whsec_sEcReT"};
    struct error err = ERROR_EMPTY;
    const struct hook plain = {
        .id = "chat", .kind = &HOOK_SLACK, .url = "http://user:sEcReT@example.org/sEcReT?k=sEcReT"};
    const struct hook hook = {.id = "archive",
                              .kind = &HOOK_WEBHOOK,
                              .url = "https://example.org/",
                              .secrets = bad_secret,
                              .secret_count = 1};
    (void)state;
    assert_false(hook_check(&plain, false, &err));
    assert_null(strstr(err.text, "sEcReT"));
    assert_non_null(strstr(err.text, "http://example.org/ #"));
    assert_false(hook_check(&hook, false, &err));
    assert_null(strstr(err.text, "sEcReT"));
}

static void secrets_have_their_form(void **state)
{
    static const struct {
        const char *secret;
        bool ok;
    } cases[] = {
        {SECRET, true},
        {"whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", true}, /* 32 bytes */
        {"whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", false},            /* 23 */
        {"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS", false},             /* cut */
        {"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS!", false},            /* not base64 */
        {"whsec_ MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS", false},            /* a blank */
        {"whsec_MfKQ9r8GKY=rTwjUPD8ILPZIo2LaLaSw", false},            /* padding inside */
        {"MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", false},                  /* no prefix */
        {"whsec_", false},
        {"", false},
    };
    (void)state;
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        struct error err = ERROR_EMPTY;
        const char *secrets[] = {SECRET, cases[i].secret};
        const struct hook hook = {.id = "archive",
                                  .kind = &HOOK_WEBHOOK,
                                  .url = "https://example.org/",
                                  .secrets = secrets,
                                  .secret_count = 2};
        if (hook_check(&hook, false, &err) != cases[i].ok)
            fail_msg("secret %zu: %s", i, err.text);
    }
}

static void the_public_form_hides_all_but_the_host(void **state)
{
    static const char *const urls[] = {
        "https://hooks.slack.com/services/T000/B000/sEcReT",
        "https://sEcReT:sEcReT@hooks.slack.com/x?token=sEcReT#sEcReT",
    };
    char one[HOOK_URL_PUBLIC_SIZE];
    char other[HOOK_URL_PUBLIC_SIZE];
    (void)state;
    for (size_t i = 0; i < TEST_COUNT(urls); i++) {
        assert_ptr_equal(hook_url_public(urls[i], one), one);
        assert_null(strstr(one, "sEcReT"));
        assert_int_equal(strncmp(one, "https://hooks.slack.com/ #", 26), 0);
        assert_int_equal(strlen(one), 26 + 6);
        assert_int_equal(strspn(one + 26, "0123456789abcdef"), 6);
    }
    (void)hook_url_public(urls[0], other);
    assert_string_not_equal(one, other);
    (void)hook_url_public("not a url with sEcReT", one);
    assert_null(strstr(one, "sEcReT"));
    assert_string_equal(hook_url_public(NULL, one), "no url");
    assert_non_null(strstr(hook_url_public("http://127.0.0.1:81/x", one), "127.0.0.1:81/"));
}

static void the_backoff_doubles_to_its_limit(void **state)
{
    static const struct {
        uint32_t attempts;
        span_ms wait;
    } cases[] = {
        {1, 5000},
        {2, 10000},
        {3, 20000},
        {10, 2560000},
        {11, 3600000},
        {1000, 3600000},
        {UINT32_MAX, 3600000},
    };
    const struct hook hook = {.retry_first = 5000, .retry_max = MS_PER_HOUR, .jitter_percent = 20};
    (void)state;
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        assert_int_equal(hook_backoff(&hook, cases[i].attempts, 0), cases[i].wait);
        assert_int_equal(hook_backoff(&hook, cases[i].attempts, UINT32_MAX),
                         cases[i].wait * 120 / 100);
    }
    const struct hook endless = {.retry_first = INT64_MAX / 2, .retry_max = INT64_MAX};
    assert_int_equal(hook_backoff(&endless, 5, 0), HOOK_WAIT_MAX);
}

static void retry_after_is_seconds_or_a_date(void **state)
{
    const wall_ms now = INT64_C(1445412420000); /* Wed, 21 Oct 2015 07:27:00 GMT */
    static const struct {
        const char *value;
        bool ok;
        span_ms wait;
    } cases[] = {
        {"120", true, 120000},
        {" 1 ", true, 1000},
        {"0", false, 0}, /* or a receiver could make kpid send without a pause */
        {"0.25", true, 1000},
        {"1.5", true, 1500},
        {"-5", false, 0},
        {"999999999999", true, HOOK_WAIT_MAX},
        {"Wed, 21 Oct 2015 07:28:00 GMT", true, 60000},
        {"Wed, 21 Oct 2015 07:20:00 GMT", false, 0},
        {"Fri, 21 Oct 2033 07:28:00 GMT", true, HOOK_WAIT_MAX},
        {"soon", false, 0},
        {"", false, 0},
        {"1e999", false, 0},
        {"Wed, 21 Oct 2015 07:28:00 GMT and a very long tail that is no part of any date", false,
         0},
    };
    (void)state;
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        span_ms wait = -1;
        bool ok = hook_retry_after(str_of(cases[i].value), now, &wait);
        if (ok != cases[i].ok || (ok && wait != cases[i].wait))
            fail_msg("'%s': %d, %lld", cases[i].value, ok, (long long)wait);
    }
}

static void answers_have_their_class(void **state)
{
    static const struct {
        const struct hook_kind *kind;
        long status;
        const char *body;
        enum hook_result result;
    } cases[] = {
        {&HOOK_WEBHOOK, 0, "", HOOK_RETRY},
        {&HOOK_WEBHOOK, 200, "anything", HOOK_OK},
        {&HOOK_WEBHOOK, 204, "", HOOK_OK},
        {&HOOK_WEBHOOK, 301, "", HOOK_PERMANENT},
        {&HOOK_WEBHOOK, 400, "", HOOK_PERMANENT},
        {&HOOK_WEBHOOK, 401, "", HOOK_PERMANENT},
        {&HOOK_WEBHOOK, 404, "", HOOK_PERMANENT},
        {&HOOK_WEBHOOK, 408, "", HOOK_RETRY},
        {&HOOK_WEBHOOK, 410, "", HOOK_DISABLE},
        {&HOOK_WEBHOOK, 429, "", HOOK_RETRY},
        {&HOOK_WEBHOOK, 500, "", HOOK_RETRY},
        {&HOOK_WEBHOOK, 502, "", HOOK_RETRY},
        {&HOOK_WEBHOOK, 503, "", HOOK_RETRY},
        {&HOOK_SLACK, 0, "", HOOK_RETRY},
        {&HOOK_SLACK, 200, "ok", HOOK_OK},
        {&HOOK_SLACK, 200, "<html>log in</html>", HOOK_RETRY},
        {&HOOK_SLACK, 302, "", HOOK_PERMANENT},
        {&HOOK_SLACK, 400, "invalid_payload", HOOK_PERMANENT},
        {&HOOK_SLACK, 400, "invalid_token", HOOK_DISABLE},
        {&HOOK_SLACK, 403, "action_prohibited", HOOK_PERMANENT},
        {&HOOK_SLACK, 404, "no_service", HOOK_DISABLE},
        {&HOOK_SLACK, 410, "channel_is_archived", HOOK_DISABLE},
        {&HOOK_SLACK, 429, "rate_limited", HOOK_RETRY},
        {&HOOK_SLACK, 500, "rollup_error", HOOK_RETRY},
    };
    (void)state;
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        enum hook_result result = cases[i].kind->classify(cases[i].status, str_of(cases[i].body));
        if (result != cases[i].result)
            fail_msg("%s %ld '%s': %d", cases[i].kind->name, cases[i].status, cases[i].body,
                     (int)result);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kinds_are_found_by_name),
        cmocka_unit_test(urls_are_checked),
        cmocka_unit_test(errors_never_quote_a_url_or_a_secret),
        cmocka_unit_test(secrets_have_their_form),
        cmocka_unit_test(the_public_form_hides_all_but_the_host),
        cmocka_unit_test(the_backoff_doubles_to_its_limit),
        cmocka_unit_test(retry_after_is_seconds_or_a_date),
        cmocka_unit_test(answers_have_their_class),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
