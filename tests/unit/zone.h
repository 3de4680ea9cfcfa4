/* A calendar that a test cannot do without. */
#pragma once

#include "base/calendar.h"
#include "test.h"

static inline struct calendar *open_calendar(const char *zone, int week_start)
{
    struct error err = ERROR_EMPTY;
    struct calendar *calendar = calendar_new(str_of(zone), week_start, &err);
    if (calendar == NULL)
        fail_msg("%s", err.text);
    return calendar;
}
