/* Who answers what, and the stubs of /query. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ingest/http_query.h"
#include "ingest/http_route.h"
#include "test.h"

static void each_protocol_has_its_paths(void **state)
{
    static const struct {
        enum protocol protocol;
        enum http_method method;
        const char *path;
        int kind; /* -1: answered with `status` */
        unsigned status;
        const char *says;
    } cases[] = {
        {PROTOCOL_INFLUX, HTTP_POST, "/write", ROUTE_WRITE, 0, ""},        /* I20 */
        {PROTOCOL_INFLUX, HTTP_POST, "/api/v2/write", ROUTE_WRITE, 0, ""}, /* I21 */
        {PROTOCOL_INFLUX, HTTP_POST, "/api/v3/write_lp", ROUTE_WRITE, 0, ""},
        {PROTOCOL_INFLUX, HTTP_GET, "/query", ROUTE_QUERY, 0, ""}, /* I28 */
        {PROTOCOL_INFLUX, HTTP_POST, "/query", ROUTE_QUERY, 0, ""},
        {PROTOCOL_INFLUX, HTTP_HEAD, "/ping", ROUTE_PING, 0, ""},    /* I27 */
        {PROTOCOL_INFLUX, HTTP_GET, "/health", ROUTE_HEALTH, 0, ""}, /* I29 */
        {PROTOCOL_INFLUX, HTTP_PUT, "/query", -1, 405, "/query is not for PUT"},
        {PROTOCOL_INFLUX, HTTP_POST, "/push", -1, 404, "nothing is at '/push'"},
        {PROTOCOL_INFLUX, HTTP_SOURCE, "/write", -1, 405, "SOURCE"}, /* the last method there is */
        {PROTOCOL_PROMETHEUS, HTTP_POST, "/api/v1/write", ROUTE_WRITE, 0, ""}, /* P1 */
        {PROTOCOL_PROMETHEUS, HTTP_POST, "/receive", ROUTE_WRITE, 0, ""},
        {PROTOCOL_PROMETHEUS, HTTP_POST, "", ROUTE_WRITE, 0, ""},
        {PROTOCOL_PROMETHEUS, HTTP_GET, "/health", -1, 405, "/health is not for GET\n"},
        {PROTOCOL_PROMETHEUS, HTTP_OPTIONS, "/api/v1/write", -1, 204, ""},
        {PROTOCOL_OTLP, HTTP_POST, "/v1/metrics", ROUTE_WRITE, 0, ""}, /* O1 */
        {PROTOCOL_OTLP, HTTP_GET, "/v1/metrics", -1, 405, "/v1/metrics is not for GET"},
        {PROTOCOL_OTLP, HTTP_POST, "/v1/traces", -1, 404, "POST /v1/metrics"},
        {PROTOCOL_JSON, HTTP_POST, "/push", ROUTE_WRITE, 0, ""},
        {PROTOCOL_JSON, HTTP_GET, "/push", -1, 405, "{\"error\":\"/push is not for GET\"}"},
        {PROTOCOL_JSON, HTTP_POST, "/write", -1, 404, "POST /push"},
        {PROTOCOL_COLLECTD, HTTP_POST, "/collectd", ROUTE_WRITE, 0, ""},
        {PROTOCOL_COLLECTD, HTTP_POST, "/", ROUTE_WRITE, 0, ""},
        {PROTOCOL_COLLECTD, HTTP_GET, "/", -1, 405, "{\"error\":\"/ is not for GET\"}"},
    };
    (void)state;

    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        const struct http_head head = {.method = cases[i].method, .path = str_of(cases[i].path)};
        struct http_answer answer = HTTP_ANSWER_EMPTY;
        const struct http_route *route = http_route_find(cases[i].protocol, &head, &answer);
        assert_int_equal(answer.status, cases[i].status);
        if ((route == NULL) != (cases[i].kind < 0))
            fail_msg("%s", cases[i].path);
        if (route != NULL) {
            assert_int_equal(route->kind, cases[i].kind);
            assert_int_equal(route->kind == ROUTE_WRITE, route->format != NULL);
        }
        buf_char(&answer.body, '\0');
        if (strstr(answer.body.bytes, cases[i].says) == NULL)
            fail_msg("no '%s' in '%s'", cases[i].says, answer.body.bytes);
        http_answer_fini(&answer);
    }
}

/* --- /query (I28) ----------------------------------------------------------------------------- */

static char *ask(struct http_databases *databases, const char *query, const char *form)
{
    struct http_answer answer = HTTP_ANSWER_EMPTY;

    http_query_answer(databases, str_of(query), str_of(form), &answer);
    buf_printf(&answer.words, " %u ", answer.status);
    buf_str(&answer.words, buf_view(&answer.body));
    buf_fini(&answer.body);
    return buf_take_text(&answer.words);
}

#define LIST(names)                                                                                \
    " 200 {\"results\":[{\"statement_id\":0,\"series\":[{\"name\":\"databases\",\"columns\":"      \
    "[\"name\"],\"values\":[" names "]}]}]}\n"
#define NOTHING " 200 {\"results\":[]}\n"

static void clients_find_the_database_they_made(void **state)
{
    static const struct {
        const char *query;
        const char *form;
        const char *answer;
    } cases[] = {
        {"q=SHOW%20DATABASES", "", LIST("")},
        {"q=CREATE+DATABASE+%22telegraf%22", "", NOTHING},
        {"q=SHOW+DATABASES", "", LIST("[\"telegraf\"]")},
        {"", "q=create+database+open_nti%3B", NOTHING},
        {"db=x&epoch=ms", "pretty=true&q=show+databases%3b+",
         LIST("[\"telegraf\"],[\"open_nti\"]")},
        {"q=CREATE+DATABASE+telegraf+WITH+DURATION+30d", "", NOTHING}, /* it is there */
        {"q=CREATE+DATABASE+%22a%5C%22b%22", "", NOTHING},
        {"q=CREATE+DATABASE", "", NOTHING},
        {"q=CREATE+DATABASE+%22%22", "", NOTHING},
        {"q=CREATE+DATABASE+%ff", "", NOTHING}, /* no UTF-8 */
        {"q=DROP+DATABASE+telegraf", "", NOTHING},
        {"q=SELECT+*+FROM+cpu", "", NOTHING},
        {"q=SHOW", "", NOTHING},
        {"q=+SHOW%0ADATABASES", "", LIST("[\"telegraf\"],[\"open_nti\"],[\"a\\\"b\"]")},
        {"", "",
         "missing required parameter \"q\" 400 {\"error\":\"missing required parameter "
         "\\\"q\\\"\"}\n"},
        {"q=%2", "",
         "the parameter \"q\" is not encoded as a form's 400 {\"error\":\"the parameter "
         "\\\"q\\\" is not encoded as a form's\"}\n"},
    };
    struct http_databases databases = {0};
    (void)state;

    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        char *answer = ask(&databases, cases[i].query, cases[i].form);
        assert_string_equal(answer, cases[i].answer);
        free(answer);
    }
}

static void a_database_that_is_written_to_is_there(void **state)
{
    static const char *const queries[] = {"db=my%20db&precision=s",
                                          "precision=s&bucket=b%2Fweek",
                                          "db=my+db",
                                          "bucket=&db=",
                                          "db=%zz",
                                          ""};
    struct http_databases databases = {0};
    (void)state;

    for (size_t i = 0; i < TEST_COUNT(queries); i++)
        http_databases_add_written(&databases, str_of(queries[i]));
    char *answer = ask(&databases, "q=SHOW+DATABASES", "");
    assert_string_equal(answer, LIST("[\"my db\"],[\"b\"]"));
    free(answer);
}

static void names_have_a_limit(void **state)
{
    struct http_databases databases = {0};
    char name[DATABASE_NAME_MAX + 2];
    (void)state;

    memset(name, 'n', sizeof name);
    http_databases_add(&databases, (struct str){name, DATABASE_NAME_MAX + 1});
    assert_int_equal(atomic_load(&databases.claimed), 0);
    http_databases_add(&databases, (struct str){name, DATABASE_NAME_MAX});
    for (int i = 0; i < 3 * DATABASES_MAX; i++) {
        int len = snprintf(name, sizeof name, "db%d", i);
        http_databases_add(&databases, (struct str){name, (size_t)len});
    }
    assert_int_equal(atomic_load(&databases.claimed), DATABASES_MAX);
    char *answer = ask(&databases, "q=SHOW+DATABASES", "");
    assert_non_null(strstr(answer, "[\"db62\"]]"));
    free(answer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_protocol_has_its_paths),
        cmocka_unit_test(clients_find_the_database_they_made),
        cmocka_unit_test(a_database_that_is_written_to_is_there),
        cmocka_unit_test(names_have_a_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
