/* kpictl show KPI: one KPI, readable. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/calendar.h"
#include "command.h"
#include "kpi_text.h"

static void line(const char *name, const char *text)
{
    if (text != NULL)
        (void)printf("  %-10s %s\n", name, text);
}

static void print_targets(const json_t *kpi)
{
    char words[KPI_TEXT_SIZE];
    char kind[KPI_TEXT_SIZE];
    size_t i = 0;
    json_t *target = NULL;

    json_array_foreach(json_object_get(kpi, "targets"), i, target)
    {
        if (field_text(target, "not_built", NULL) != NULL) {
            line("target",
                 field_text(target, "not_built", NULL)); /* its numbers mean nothing yet */
            continue;
        }
        (void)printf("  %-10s %s %s each %s: %s\n", "target",
                     kpi_words(field_text(target, "kind", ""), kind),
                     field_text(target, "shown", "-"), field_text(target, "every", "period"),
                     kpi_words(field_text(target, "status", ""), words));
    }
}

static void print_card(const json_t *kpi)
{
    const json_t *shown = json_object_get(kpi, "shown");
    const json_t *period = json_object_get(kpi, "period");
    const json_t *last = json_object_get(kpi, "last");
    const json_t *coverage = json_object_get(kpi, "coverage");
    const json_t *runs = json_object_get(kpi, "evaluate");
    const char *id = field_text(kpi, "id", "");
    const char *title = field_text(kpi, "title", "");
    const char *reason = field_text(kpi, "reason", NULL);
    const char *detail = field_text(kpi, "detail", NULL);
    struct calendar *calendar = kpi_calendar(kpi);
    char value[KPI_TEXT_SIZE];
    char words[KPI_TEXT_SIZE];
    char from[KPI_TEXT_SIZE];
    char to[KPI_TEXT_SIZE];

    (void)printf("%s: %s%s%s\n", id, strcmp(id, title) == 0 ? "" : title,
                 strcmp(id, title) == 0 ? "" : ": ",
                 kpi_words(field_text(kpi, "status", ""), words));
    line("reason", reason);
    line("value", kpi_value_text(kpi, value));
    if (reason == NULL || detail == NULL || strcmp(reason, detail) != 0)
        line("detail", detail);
    line("as of", field_text(shown, "as_of", NULL));
    (void)printf("  %-10s %s, %s to %s\n", "period", field_text(period, "name", "-"),
                 kpi_time_text(calendar, field_text(period, "from", NULL), from),
                 kpi_time_text(calendar, field_text(period, "to", NULL), to));
    print_targets(kpi);
    line("expected", field_text(shown, "expected", NULL));
    (void)printf("  %-10s %s: %s", "last", field_text(json_object_get(last, "period"), "name", "-"),
                 field_text(shown, "last", "no value"));
    (void)printf(", %s\n", kpi_words(field_text(last, "status", "-"), words));
    line("formula", field_text(kpi, "formula", NULL));
    line("define", field_text(kpi, "define", NULL));
    line("why", field_text(kpi, "why", NULL));
    line("owner", field_text(kpi, "owner", NULL));
    if (runs != NULL) {
        line("judged", kpi_time_text(calendar, field_text(runs, "last_run", NULL), from));
        line("next", kpi_time_text(calendar, field_text(runs, "next_run", NULL), to));
    }
    line("data", json_is_true(json_object_get(coverage, "complete"))
                     ? "complete"
                     : "not complete: part of the period is not heard or not kept");
    if (json_is_true(json_object_get(coverage, "mixed_sources")))
        line("mixed", "two senders wrote one series of a source, so the figure is partial");
    calendar_free(calendar);
}

static enum exit_code run(const struct invocation *invocation)
{
    struct buf path = BUF_EMPTY;

    buf_text(&path, "/api/v1/kpis");
    client_add_segment(&path, invocation->operands[0]);
    char *text = buf_take_text(&path);
    enum exit_code code = ask_and_print(invocation, text, NULL, print_card);
    free(text);
    return code;
}

const struct command COMMAND_SHOW = {
    .name = "show",
    .operands = "KPI",
    .help = "one KPI: its figure, targets, formula and words",
    .operands_min = 1,
    .operands_max = 1,
    .run = run,
};
