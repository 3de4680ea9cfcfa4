/* kpictl cron next EXPR: when a schedule runs. Does not ask kpid. */
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "offline.h"
#include "schedule/schedule.h"

enum { RUNS_DEFAULT = 10, RUNS_MAX = 1000, MONDAY = 1 };

/* A schedule with what it borrows. */
struct plan {
    struct arena arena;
    struct schedule schedule;
    struct calendar *calendar; /* of --tz */
    struct calendar *own;      /* of the expression's CRON_TZ; NULL without */
};

static void plan_fini(struct plan *plan)
{
    calendar_free(plan->calendar);
    calendar_free(plan->own);
    arena_fini(&plan->arena);
}

/* A cron expression, or "every 5m". */
static bool plan_read(struct plan *plan, struct str text, struct error *err)
{
    struct cron cron;

    if (str_starts_with(text, "every "))
        return schedule_parse(text, plan->calendar, &plan->arena, &plan->schedule, err);
    if (!cron_parse(text, &plan->arena, &cron, err))
        return false;
    if (cron.zone.len > 0) {
        plan->own = calendar_new(cron.zone, MONDAY, err);
        if (plan->own == NULL)
            return false;
    }
    plan->schedule = (struct schedule){.kind = SCHEDULE_CRON,
                                       .cron = cron,
                                       .calendar = cron.zone.len > 0 ? plan->own : plan->calendar};
    return true;
}

static void print_runs(const struct plan *plan, wall_ms from, long count, bool as_json)
{
    struct buf out = BUF_EMPTY;
    struct json json = json_to(&out);
    char text[CLOCK_TEXT_SIZE];
    wall_ms at = from;

    json_open(&json, '{');
    json_key(&json, "next");
    json_open(&json, '[');
    for (long i = 0; i < count; i++) {
        at = schedule_next(&plan->schedule, at);
        if (at == WALL_NONE)
            break;
        json_text(&json, calendar_format(plan->schedule.calendar, at, text));
        if (!as_json)
            (void)printf("%s\n", calendar_format_short(plan->schedule.calendar, at, text));
    }
    json_close(&json, ']');
    json_close(&json, '}');
    if (as_json)
        (void)printf("%.*s\n", STR_ARGS(buf_view(&out)));
    buf_fini(&out);
}

static enum exit_code run(const struct invocation *invocation)
{
    struct plan plan = {.arena = ARENA_EMPTY};
    struct error err = ERROR_EMPTY;
    wall_ms from = clock_wall();
    long count = RUNS_DEFAULT;
    enum exit_code code = EXIT_USAGE;

    if (strcmp(invocation->operands[0], "next") != 0)
        return usage_error(invocation, "'cron' can 'next', not '%s'", invocation->operands[0]);
    plan.calendar = offline_calendar(invocation);
    if (plan.calendar != NULL && option_number(invocation, "number", 1, RUNS_MAX, &count) &&
        offline_time(invocation, plan.calendar, "from", false, &from)) {
        if (plan_read(&plan, str_of(invocation->operands[1]), &err)) {
            print_runs(&plan, from, count, invocation->json);
            code = EXIT_DONE;
        } else {
            code = offline_error(&err);
        }
    }
    plan_fini(&plan);
    return code;
}

const struct command COMMAND_CRON = {
    .name = "cron",
    .operands = "next EXPR",
    .help = "when a schedule runs: kpictl cron next '30 2 * * *' --tz Europe/Berlin",
    .more = "Does not ask kpid. Five fields with Debian's semantics, or 'every 5m'.",
    .operands_min = 2,
    .operands_max = 2,
    .options = {{"tz", 0, OPTION_TEXT, "ZONE", "time zone (the host's)"},
                {"from", 0, OPTION_TEXT, "T", "the first run after this (now)"},
                {"number", 'n', OPTION_TEXT, "N", "how many runs (10)"}},
    .run = run,
};
