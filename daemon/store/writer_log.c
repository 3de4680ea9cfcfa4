#include "store/writer_log.h"

#include "base/counters.h"

static void say_over_limit(struct writer_log *log, const struct census_group *over)
{
    if (over == NULL || over->samples + over->refused == 0)
        return;
    COUNTER_ADD(samples_over_limit, over->samples);
    COUNTER_ADD(series_refused, over->refused);
    if (over->samples + over->refused_samples == 0)
        return; /* what they sent does not count: too old */
    log_repeated(&log->over_limit, clock_mono(), "over_series_limit",
                 over->samples + over->refused_samples,
                 "metric=\"%s\" limit=%s%s%s%s joined_other=%llu refused=%llu", over->metric,
                 room_limit_name(over->limit), over->listener[0] == '\0' ? "" : " listener=\"",
                 over->listener, over->listener[0] == '\0' ? "" : "\"",
                 (unsigned long long)over->samples, (unsigned long long)over->refused_samples);
}

void writer_log_commit(struct writer_log *log, const struct journal_report *report,
                       uint64_t unreadable, const struct census_group *over)
{
    COUNTER_ADD(cells_written, report->cells);
    COUNTER_ADD(series_created, report->series_created);
    COUNTER_ADD(mixed_points, report->mixed);
    COUNTER_ADD(samples_late, report->late);
    say_over_limit(log, over);
    if (report->collisions + report->unknown > 0)
        log_repeated(&log->refused_cells, clock_mono(), "cells_refused",
                     report->collisions + report->unknown, "collisions=%llu unknown=%llu",
                     (unsigned long long)report->collisions, (unsigned long long)report->unknown);
    if (report->mixed > 0)
        log_repeated(&log->mixed_sources, clock_mono(), "mixed_sources", report->mixed,
                     "metric=\"%s\"", report->mixed_metric);
    if (unreadable > 0)
        log_repeated(&log->unreadable, clock_mono(), "stored_value_unreadable", unreadable,
                     "action=\"begun anew\"");
}

void writer_log_tick(struct writer_log *log, mono_ms now)
{
    log_repeat_tick(&log->commit_failures, now);
    log_repeat_tick(&log->upkeep_failures, now);
    log_repeat_tick(&log->refused_cells, now);
    log_repeat_tick(&log->mixed_sources, now);
    log_repeat_tick(&log->unreadable, now);
    log_repeat_tick(&log->over_limit, now);
}
