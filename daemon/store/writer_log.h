/* What the writer says of its commits: counters and log lines, repeated ones summed up. Private to
 * store/. */
#pragma once

#include "base/log.h"
#include "store/census.h"
#include "store/journal.h"

struct writer_log {
    struct log_repeat commit_failures;
    struct log_repeat upkeep_failures;
    struct log_repeat refused_cells;
    struct log_repeat mixed_sources;
    struct log_repeat unreadable;
    struct log_repeat over_limit;
};

/* Of a commit that holds. `over` NULL: it had no input. */
void writer_log_commit(struct writer_log *log, const struct journal_report *report,
                       uint64_t unreadable, const struct census_group *over);

/* Once a second. */
void writer_log_tick(struct writer_log *log, mono_ms now);
