/* Cron expressions and schedules from any bytes: a mistake or a schedule whose next run is later.
 */
#include <stdlib.h>

#include "schedule/schedule.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static struct calendar *calendar;
    struct error err = ERROR_EMPTY;
    if (calendar == NULL) {
        calendar = calendar_new(STR("Europe/Berlin"), 1, &err);
        if (calendar == NULL)
            abort();
    }

    struct arena arena = ARENA_EMPTY;
    struct schedule schedule;
    const wall_ms after = INT64_C(1793000000000); /* three days before the clocks go back */
    struct str text = {(const char *)bytes, size};
    if (schedule_parse(text, calendar, &arena, &schedule, &err)) {
        wall_ms next = schedule_next(&schedule, after);
        if (next != WALL_NONE && next <= after)
            abort();
    } else if (err.text[0] == '\0') {
        abort();
    }
    arena_fini(&arena);
    return 0;
}
