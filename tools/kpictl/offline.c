#include "offline.h"

#include <stdio.h>

enum { MONDAY = 1 };

enum exit_code offline_error(const struct error *err)
{
    (void)fprintf(stderr, "kpictl: %s\n", err->text);
    if (err->hint[0] != '\0')
        (void)fprintf(stderr, "  hint: %s\n", err->hint);
    return EXIT_USAGE;
}

struct calendar *offline_calendar(const struct invocation *invocation)
{
    struct error err = ERROR_EMPTY;
    struct calendar *calendar = calendar_new(str_of(option(invocation, "tz")), MONDAY, &err);

    if (calendar == NULL)
        (void)offline_error(&err);
    return calendar;
}

bool offline_time(const struct invocation *invocation, const struct calendar *calendar,
                  const char *name, bool as_end, wall_ms *out)
{
    const char *text = option(invocation, name);

    if (text == NULL || calendar_parse(calendar, str_of(text), as_end, out))
        return true;
    (void)usage_error(invocation, "'--%s' is not a time: '%s'", name, text);
    (void)fprintf(stderr, "  hint: as 2026-10-12, 2026-10-12T09:00 or 2026-10-12T09:00:00+02:00\n");
    return false;
}
