#include <stdlib.h>

#include "test.h"
#include "web/router.h"

/* The handlers are not called here, so that nothing but their places in the table counts. */
static bool first(struct web *web, struct http_request *request, struct error *err)
{
    (void)web;
    (void)request;
    (void)err;
    return true;
}

static const struct route TABLE[] = {
    {"GET", "/healthz", first, RIGHT_READ},         {"GET", "/api/v1/status", first, RIGHT_READ},
    {"GET", "/api/v1/kpis/:id", first, RIGHT_READ}, {"POST", "/api/v1/kpis/:id", first, RIGHT_EDIT},
    {"POST", "/api/v1/push", first, RIGHT_EDIT},
};

enum { TABLE_COUNT = TEST_COUNT(TABLE) };

static void paths_and_methods_find_their_route(void **state)
{
    static const struct {
        const char *method;
        const char *path;
        enum route_match match;
        int route;
        const char *parameter;
    } cases[] = {
        {"GET", "/healthz", ROUTE_FOUND, 0, ""},
        {"HEAD", "/healthz", ROUTE_FOUND, 0, ""},
        {"POST", "/healthz", ROUTE_NO_METHOD, 0, ""},
        {"get", "/healthz", ROUTE_NO_METHOD, 0, ""},
        {"GET", "/healthz/", ROUTE_NO_PATH, 0, ""},
        {"GET", "healthz", ROUTE_NO_PATH, 0, ""},
        {"GET", "//healthz", ROUTE_NO_PATH, 0, ""},
        {"GET", "/", ROUTE_NO_PATH, 0, ""},
        {"GET", "", ROUTE_NO_PATH, 0, ""},
        {"GET", "/api/v1", ROUTE_NO_PATH, 0, ""},
        {"GET", "/api/v1/status", ROUTE_FOUND, 1, ""},
        {"GET", "/api/v1/status/x", ROUTE_NO_PATH, 0, ""},
        {"GET", "/api/v1/kpis/signups", ROUTE_FOUND, 2, "signups"},
        {"POST", "/api/v1/kpis/a%2fb", ROUTE_FOUND, 3, "a%2fb"},
        {"GET", "/api/v1/kpis/", ROUTE_NO_PATH, 0, ""},
        {"GET", "/api/v1/kpis", ROUTE_NO_PATH, 0, ""},
        {"GET", "/api/v1/kpis/x/", ROUTE_NO_PATH, 0, ""},
        {"GET", "/api/v1/kpis/x/y", ROUTE_NO_PATH, 0, ""},
        {"PUT", "/api/v1/kpis/x", ROUTE_NO_METHOD, 0, ""},
    };
    (void)state;

    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        const struct route *route = NULL;
        struct str parameter;
        enum route_match match = router_find(TABLE, TABLE_COUNT, str_of(cases[i].method),
                                             str_of(cases[i].path), &route, &parameter);
        if (match != cases[i].match)
            fail_msg("%s '%s': %d", cases[i].method, cases[i].path, match);
        if (match == ROUTE_FOUND) {
            assert_ptr_equal(route, &TABLE[cases[i].route]);
            assert_true(str_is(parameter, cases[i].parameter));
        }
    }
}

static void methods_of_a_path_are_listed(void **state)
{
    struct buf out = BUF_EMPTY;
    (void)state;

    router_methods(TABLE, TABLE_COUNT, STR("/api/v1/kpis/x"), &out);
    assert_true(str_is(buf_view(&out), "GET, POST"));
    buf_clear(&out);
    router_methods(TABLE, TABLE_COUNT, STR("/nothing"), &out);
    assert_int_equal(out.len, 0);
    buf_fini(&out);
}

static void a_path_that_is_nearly_right_is_guessed(void **state)
{
    (void)state;
    assert_string_equal(router_nearest(TABLE, TABLE_COUNT, STR("/api/v1/stats")), "/api/v1/status");
    assert_null(router_nearest(TABLE, TABLE_COUNT, STR("/favicon.ico")));
}

static void the_table_has_each_path_once_for_a_method(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROUTE_COUNT; i++) {
        assert_non_null(ROUTES[i].handler);
        if (strcmp(ROUTES[i].method, "GET") != 0) /* what changes something needs a right */
            assert_true(ROUTES[i].right != RIGHT_READ && ROUTES[i].right != RIGHT_NONE);
        for (size_t j = 0; j < i; j++)
            assert_false(strcmp(ROUTES[i].path, ROUTES[j].path) == 0 &&
                         strcmp(ROUTES[i].method, ROUTES[j].method) == 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_and_methods_find_their_route),
        cmocka_unit_test(methods_of_a_path_are_listed),
        cmocka_unit_test(a_path_that_is_nearly_right_is_guessed),
        cmocka_unit_test(the_table_has_each_path_once_for_a_method),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
