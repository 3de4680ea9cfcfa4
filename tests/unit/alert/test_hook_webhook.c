#include "alert/hook.h"
#include "alert/hook_webhook.h"
#include "fixture.h"

static const char SECRET[] = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
static const char OTHER[] = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

static void the_vector_of_standard_webhooks_is_met(void **state)
{
    const struct webhook_message message = {STR("msg_p5jXN8AQM9LWM0D4loKWxJek"), 1614265330,
                                            STR("{\"test\": 2432232314}")};
    char signature[WEBHOOK_SIGNATURE_SIZE];
    struct error err = ERROR_EMPTY;
    (void)state;
    assert_true(webhook_sign(SECRET, &message, signature, &err));
    assert_string_equal(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
}

static void a_secret_of_another_form_signs_nothing(void **state)
{
    const struct webhook_message message = {STR("msg_1"), 1, STR("{}")};
    char signature[WEBHOOK_SIGNATURE_SIZE];
    struct error err = ERROR_EMPTY;
    (void)state;
    assert_false(webhook_sign("whsec_c2hvcnQ=", &message, signature, &err));
    assert_int_equal(err.kind, ERROR_INVALID);
    assert_null(strstr(err.text, "c2hvcnQ"));
}

/* What a receiver does: the header's value for this secret over id, timestamp and body. */
static void assert_signed_by(const char *secret, const struct hook_request *request,
                             const char *signatures)
{
    struct webhook_message message = {str_of(request->headers[0] + strlen("webhook-id: ")), 0,
                                      buf_view(&request->body)};
    char signature[WEBHOOK_SIGNATURE_SIZE];
    struct error err = ERROR_EMPTY;
    assert_true(str_parse_i64(str_of(request->headers[1] + strlen("webhook-timestamp: ")),
                              &message.timestamp_s));
    assert_true(webhook_sign(secret, &message, signature, &err));
    assert_non_null(strstr(signatures, signature));
}

static void all_secrets_sign_the_same_message(void **state)
{
    const char *secrets[] = {SECRET, OTHER};
    const struct hook hook = {
        .id = "archive", .kind = &HOOK_WEBHOOK, .secrets = secrets, .secret_count = 2};
    struct event event = event_of_rule("churn-breach", EVENT_FIRING);
    struct hook_request request = {.body = BUF_EMPTY};
    struct error err = ERROR_EMPTY;
    char id[64];
    (void)state;
    event_new_id(event.id);
    assert_true(HOOK_WEBHOOK.render(&hook, &event, NOW + 999, &request, &err));
    assert_int_equal(request.header_count, 3);
    (void)snprintf(id, sizeof id, "webhook-id: msg_%s", event.id);
    assert_string_equal(request.headers[0], id);
    assert_string_equal(request.headers[1], "webhook-timestamp: 1793149500");
    const char *signatures = request.headers[2];
    assert_int_equal(strncmp(signatures, "webhook-signature: v1,", 22), 0);
    assert_signed_by(SECRET, &request, signatures);
    assert_signed_by(OTHER, &request, signatures);
    buf_fini(&request.body);
}

static void as_many_secrets_as_allowed_fit_the_header(void **state)
{
    const char *secrets[HOOK_SECRETS_MAX];
    const struct hook hook = {.id = "archive",
                              .kind = &HOOK_WEBHOOK,
                              .secrets = secrets,
                              .secret_count = HOOK_SECRETS_MAX};
    struct event event = event_of_rule("churn-breach", EVENT_FIRING);
    struct hook_request request = {.body = BUF_EMPTY};
    struct error err = ERROR_EMPTY;
    (void)state;
    for (size_t i = 0; i < HOOK_SECRETS_MAX; i++)
        secrets[i] = SECRET;
    assert_true(HOOK_WEBHOOK.render(&hook, &event, NOW, &request, &err));
    assert_int_equal(strlen(request.headers[2]), 18 + HOOK_SECRETS_MAX * 48);
    buf_fini(&request.body);
}

static void without_secrets_nothing_is_signed(void **state)
{
    const struct hook hook = {.id = "demo", .kind = &HOOK_WEBHOOK};
    struct event event = event_of_rule("churn-breach", EVENT_FIRING);
    struct hook_request request = {.body = BUF_EMPTY};
    struct error err = ERROR_EMPTY;
    (void)state;
    assert_true(HOOK_WEBHOOK.render(&hook, &event, NOW, &request, &err));
    assert_int_equal(request.header_count, 2);
    buf_fini(&request.body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_vector_of_standard_webhooks_is_met),
        cmocka_unit_test(a_secret_of_another_form_signs_nothing),
        cmocka_unit_test(all_secrets_sign_the_same_message),
        cmocka_unit_test(as_many_secrets_as_allowed_fit_the_header),
        cmocka_unit_test(without_secrets_nothing_is_signed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
