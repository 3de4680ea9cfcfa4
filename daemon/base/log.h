/* The log: one line for each event, on stderr.
 *
 * A line is a level, one event name and key=value pairs. With JOURNAL_STREAM set (systemd) it
 * starts with systemd's level prefix, else with the time. Safe from any thread. Libraries do not
 * log: who handles an error logs it, once. */
#pragma once

#include <stdbool.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/str.h"

enum log_level {
    LOG_LEVEL_ERROR, /* someone must act */
    LOG_LEVEL_WARN,  /* kpid coped */
    LOG_LEVEL_INFO,  /* start, stop, reload, changes of status */
};

/* Set once at start, before other threads run. */
void log_open(void);

__attribute__((format(printf, 2, 3))) void log_error(const char *event, const char *format, ...);
__attribute__((format(printf, 2, 3))) void log_warn(const char *event, const char *format, ...);
__attribute__((format(printf, 2, 3))) void log_info(const char *event, const char *format, ...);

/* `event reason="..."`, with hint="..." if there is one. */
void log_failure(enum log_level level, const char *event, const struct error *err);

/* The counting form, for whatever a client or a dead disk can repeat: the first is logged at once,
 * then one line with the sum each minute while it goes on, then "over". One per event and cause,
 * owned by one thread; zeroed at start. */
struct log_repeat {
    uint64_t total;      /* since it began */
    uint64_t unreported; /* since the last line */
    mono_ms last_line_at;
    mono_ms last_seen_at;
    bool active;
    char what[64];    /* the event's name */
    char fields[384]; /* key=value pairs of the newest one */
};

/* Counts `count` more of `event`; `format` gives the other key=value pairs, an example among them.
 */
__attribute__((format(printf, 5, 6))) void log_repeated(struct log_repeat *repeat, mono_ms now,
                                                        const char *event, uint64_t count,
                                                        const char *format, ...);

/* Called from the owner's timer: prints the sum that is due, and "over" after a quiet minute. */
void log_repeat_tick(struct log_repeat *repeat, mono_ms now);
