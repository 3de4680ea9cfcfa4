/* kpictl metrics: what comes in, and of whom; and series that join `__other__`. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "listing.h"
#include "series/series_key.h"

enum { NUMBER_SIZE = 24, NAMES_SHOWN = 400, ANSWER_SIZE = 16 };

static const char *number(long long value, char *out)
{
    (void)snprintf(out, NUMBER_SIZE, "%lld", value);
    return out;
}

/* "a b c" of a list of names, each as it stands in a selector; the caller frees it. */
static char *joined(const json_t *list)
{
    struct buf out = BUF_EMPTY;
    size_t i = 0;
    json_t *item = NULL;

    json_array_foreach(list, i, item)
    {
        size_t before = out.len;
        buf_text(&out, i == 0 ? "" : " ");
        series_key_format_name(&out, str_of(json_string_value(item)));
        if (out.len < NAMES_SHOWN)
            continue;
        out.len = before;
        break;
    }
    return buf_take_text(&out);
}

/* --- list and top --- */

static const struct listing_column COLUMNS[] = {
    {"METRIC", false}, {"KINDS", false}, {"SERIES", true},  {"ACTIVE", true},
    {"SAMPLES", true}, {"LAST", false},  {"LABELS", false},
};

enum { COLUMN_COUNT = sizeof COLUMNS / sizeof COLUMNS[0] };

static void add_metric(struct listing *listing, const json_t *metric)
{
    char numbers[3][NUMBER_SIZE];
    struct buf name = BUF_EMPTY;
    char *kinds = joined(json_object_get(metric, "kinds"));
    char *labels = joined(json_object_get(metric, "labels"));

    series_key_format_name(&name, str_of(field_text(metric, "metric", "")));
    buf_char(&name, '\0');
    const char *const cells[COLUMN_COUNT] = {
        name.bytes,
        kinds,
        number(field_count(metric, "series"), numbers[0]),
        number(field_count(metric, "active_series"), numbers[1]),
        number(field_count(metric, "samples"), numbers[2]),
        field_text(metric, "last", "-"),
        labels,
    };
    listing_add(listing, cells);
    buf_fini(&name);
    free(kinds);
    free(labels);
}

static void print_metrics(const json_t *answer)
{
    bool is_list = json_object_get(answer, "more") != NULL;
    struct listing *listing = listing_new(COLUMNS, COLUMN_COUNT - (is_list ? 0 : 1));
    size_t i = 0;
    json_t *metric = NULL;

    json_array_foreach(json_object_get(answer, "metrics"), i, metric)
    {
        add_metric(listing, metric);
    }
    if (i == 0)
        (void)printf("no metrics\n");
    else
        listing_print(listing);
    listing_free(listing);
    if (i > 0)
        (void)printf("ACTIVE: series of the last 24 hours; SAMPLES: of the last %.0f minutes\n",
                     json_number_value(json_object_get(answer, "window_s")) / 60);
    if (json_is_true(json_object_get(answer, "more")))
        (void)printf("there are more: --limit N, --prefix TEXT\n");
    if (field_count(answer, "unwanted_series") > 0)
        (void)printf("%lld series wait to join __other__ of their metric\n",
                     field_count(answer, "unwanted_series"));
}

static enum exit_code ask(const struct invocation *invocation, const char *path,
                          const char *const *names, print_answer_fn print)
{
    struct buf text = BUF_EMPTY;

    buf_text(&text, path);
    for (size_t i = 0; names[i] != NULL; i++)
        client_add_parameter(&text, names[i], option(invocation, names[i]));
    if (invocation->operand_count > 1)
        client_add_parameter(&text, "selector", invocation->operands[1]);
    buf_char(&text, '\0');
    enum exit_code code = ask_and_print(invocation, text.bytes, NULL, print);
    buf_fini(&text);
    return code;
}

/* --- series --- */

static const struct listing_column SERIES_COLUMNS[] = {
    {"SERIES", false}, {"KIND", false}, {"LAST", false}, {"VALUE", true}};

enum { SERIES_COLUMN_COUNT = sizeof SERIES_COLUMNS / sizeof SERIES_COLUMNS[0] };

static void print_series(const json_t *answer)
{
    struct listing *listing = listing_new(SERIES_COLUMNS, SERIES_COLUMN_COUNT);
    char value[NUMBER_SIZE];
    size_t i = 0;
    json_t *series = NULL;

    json_array_foreach(json_object_get(answer, "series"), i, series)
    {
        const json_t *last = json_object_get(series, "value");
        (void)snprintf(value, sizeof value, "%.10g", json_number_value(last));
        const char *const cells[SERIES_COLUMN_COUNT] = {
            field_text(series, "series", ""), field_text(series, "kind", ""),
            field_text(series, "last", "-"), json_is_number(last) ? value : "-"};
        listing_add(listing, cells);
    }
    if (i == 0)
        (void)printf("no series\n");
    else
        listing_print(listing);
    listing_free(listing);
    if (json_is_true(json_object_get(answer, "more")))
        (void)printf("%zu of %lld series: --limit N\n", i, field_count(answer, "count"));
}

/* --- drop-series --- */

static int drop(const struct invocation *invocation, bool is_dry, struct client_answer *out)
{
    json_t *body =
        json_pack("{s:s, s:b}", "selector", invocation->operands[1], "dry_run", (int)is_dry);
    char *text = body == NULL ? NULL : json_dumps(body, JSON_COMPACT);
    int code = EXIT_USAGE;

    if (text == NULL)
        (void)usage_error(invocation, "the selector is not in UTF-8");
    else
        code = client_call(&invocation->client, "/api/v1/metrics/drop", text, out);
    free(text);
    json_decref(body);
    return code;
}

static bool is_confirmed(long long series)
{
    char answer[ANSWER_SIZE] = "";

    (void)fprintf(stderr,
                  "%lld series go: what they counted joins __other__ of their metric, and nobody "
                  "can take them apart again.\nGo on? [y/N] ",
                  series);
    return fgets(answer, sizeof answer, stdin) != NULL &&
           (strcmp(answer, "y\n") == 0 || strcmp(answer, "yes\n") == 0);
}

static enum exit_code drop_series(const struct invocation *invocation)
{
    struct client_answer answer;
    bool is_dry = option(invocation, "dry-run") != NULL;
    int code = drop(invocation, true, &answer);

    if (code != EXIT_DONE)
        return (enum exit_code)code;
    long long series = field_count(answer.json, "series");
    if (!is_dry && series > 0) {
        client_answer_fini(&answer);
        if (option(invocation, "yes") == NULL && !is_confirmed(series)) {
            (void)fprintf(stderr, "kpictl: nothing was changed\n");
            return EXIT_FINDING;
        }
        code = drop(invocation, false, &answer);
        if (code != EXIT_DONE)
            return (enum exit_code)code;
        series = field_count(answer.json, "series");
    }
    if (invocation->json)
        (void)fwrite(answer.body.bytes, 1, answer.body.len, stdout);
    else if (is_dry || series == 0)
        (void)printf("%lld series would go\n", series);
    else
        (void)printf("%lld series join __other__ of their metric, each within half an hour of its "
                     "last sample\n",
                     series);
    client_answer_fini(&answer);
    return EXIT_DONE;
}

/* --- the command --- */

static enum exit_code run(const struct invocation *invocation)
{
    static const char *const list_options[] = {"prefix", "limit", NULL};
    static const char *const top_options[] = {"by", "limit", NULL};
    static const char *const series_options[] = {"limit", NULL};
    const char *what = invocation->operands[0];
    bool is_series = strcmp(what, "series") == 0;
    bool is_drop = strcmp(what, "drop-series") == 0;

    if ((is_series || is_drop) != (invocation->operand_count == 2))
        return usage_error(invocation, "'metrics %s' %s", what,
                           is_series || is_drop ? "needs a selector" : "takes nothing more");
    if (strcmp(what, "list") == 0)
        return ask(invocation, "/api/v1/metrics", list_options, print_metrics);
    if (strcmp(what, "top") == 0)
        return ask(invocation, "/api/v1/metrics/top", top_options, print_metrics);
    if (is_series)
        return ask(invocation, "/api/v1/metrics/series", series_options, print_series);
    if (is_drop)
        return drop_series(invocation);
    return usage_error(invocation, "'metrics' knows list, top, series and drop-series, not '%s'",
                       what);
}

const struct command COMMAND_METRICS = {
    .name = "metrics",
    .operands = "list|top|series|drop-series [SELECTOR]",
    .help = "what comes in, and of whom; series that join __other__",
    .more =
        "A selector is a metric, with filters of labels if any: 'orders{plan=\"pro\"}'.\n"
        "What 'list' and 'series' show is one: odd names stand in quotes, and there \\\", \\\\, \\n,\n"
        "\\r, \\t and \\xNN for what cannot be shown.\n"
        "'drop-series' asks before it does anything.",
    .operands_min = 1,
    .operands_max = 2,
    .options = {{"prefix", 0, OPTION_TEXT, "TEXT", "list: metrics whose names begin so"},
                {"by", 0, OPTION_TEXT, "WHAT", "top: by samples (default) or series"},
                {"limit", 'n', OPTION_TEXT, "N", "so many at most"},
                {"yes", 'y', OPTION_FLAG, NULL, "drop-series: do not ask"},
                {"dry-run", 0, OPTION_FLAG, NULL, "drop-series: say how many, and no more"}},
    .run = run,
};
