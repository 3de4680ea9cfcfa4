#include "kpi_text.h"

#include <jansson.h>
#include <stdio.h>

#include "base/calendar.h"
#include "client.h"

const char *kpi_words(const char *name, char *out)
{
    (void)snprintf(out, KPI_TEXT_SIZE, "%s", name);
    for (char *c = out; *c != '\0'; c++)
        if (*c == '_')
            *c = ' ';
    return out;
}

const char *kpi_value_text(const json_t *figure, char *out)
{
    const json_t *shown = json_object_get(figure, "shown");
    const char *value = field_text(shown, "value", json_string_value(shown));
    const char *why = field_text(figure, "null_reason", NULL);
    char words[KPI_TEXT_SIZE];

    if (value != NULL)
        (void)snprintf(out, KPI_TEXT_SIZE, "%s", value);
    else if (why != NULL)
        (void)snprintf(out, KPI_TEXT_SIZE, "no value (%s)", kpi_words(why, words));
    else
        (void)snprintf(out, KPI_TEXT_SIZE, "no value");
    return out;
}

struct calendar *kpi_calendar(const json_t *answer)
{
    enum { MONDAY = 1 };
    struct error err = ERROR_EMPTY;
    struct calendar *calendar =
        calendar_new(str_of(field_text(answer, "timezone", "UTC")), MONDAY, &err);

    /* kpid may know a zone that this machine does not. */
    return calendar != NULL ? calendar : calendar_new(STR("UTC"), MONDAY, &err);
}

const char *kpi_time_text(const struct calendar *calendar, const char *iso, char *out)
{
    wall_ms at = 0;

    if (iso == NULL || !calendar_parse(calendar, str_of(iso), false, &at))
        (void)snprintf(out, KPI_TEXT_SIZE, "%s", iso == NULL ? "-" : iso);
    else
        (void)calendar_format_short(calendar, at, out);
    return out;
}
