#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LINE_BYTES = 1024, QUIET_MS = 60 * 1000 };

static bool under_systemd; /* set once at start */

void log_open(void)
{
    /* No other thread runs yet. NOLINTNEXTLINE(concurrency-mt-unsafe) */
    under_systemd = getenv("JOURNAL_STREAM") != NULL;
}

static size_t write_prefix(enum log_level level, char *line, size_t size)
{
    static const char *const names[] = {"error", "warn", "info"};
    static const int priorities[] = {3, 4, 6};
    char at[CLOCK_TEXT_SIZE];
    int len = 0;

    if (under_systemd)
        len = snprintf(line, size, "<%d>%-5s ", priorities[level], names[level]);
    else
        len = snprintf(line, size, "%s %-5s ", clock_format_utc(clock_wall() / 1000 * 1000, at),
                       names[level]);
    return len < 0 ? 0 : (size_t)len;
}

/* One write a line, so that lines of several threads do not mix. */
__attribute__((format(printf, 3, 0))) static void write_line(enum log_level level,
                                                             const char *event, const char *format,
                                                             va_list args)
{
    char line[LINE_BYTES];
    size_t used = write_prefix(level, line, sizeof line);
    int len = snprintf(line + used, sizeof line - used, "%s ", event);

    used += len < 0 ? 0 : (size_t)len;
    if (used < sizeof line) {
        len = vsnprintf(line + used, sizeof line - used, format, args);
        used += len < 0 ? 0 : (size_t)len;
    }
    if (used > sizeof line - 2)
        used = sizeof line - 2;
    while (used > 0 && line[used - 1] == ' ')
        used--;
    for (size_t i = 0; i < used; i++) {
        if (line[i] == '\n')
            line[i] = ' ';
    }
    line[used++] = '\n';
    ssize_t written = write(STDERR_FILENO, line, used);
    (void)written; /* nobody is left to be told */
}

void log_error(const char *event, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    write_line(LOG_LEVEL_ERROR, event, format, args);
    va_end(args);
}

void log_warn(const char *event, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    write_line(LOG_LEVEL_WARN, event, format, args);
    va_end(args);
}

void log_info(const char *event, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    write_line(LOG_LEVEL_INFO, event, format, args);
    va_end(args);
}

void log_failure(enum log_level level, const char *event, const struct error *err)
{
    char hint[sizeof err->hint + 16] = "";

    if (err->hint[0] != '\0')
        (void)snprintf(hint, sizeof hint, " hint=\"%s\"", err->hint);
    if (level == LOG_LEVEL_ERROR)
        log_error(event, "reason=\"%s\"%s", err->text, hint);
    else if (level == LOG_LEVEL_WARN)
        log_warn(event, "reason=\"%s\"%s", err->text, hint);
    else
        log_info(event, "reason=\"%s\"%s", err->text, hint);
}

static void print_repeat(struct log_repeat *repeat, mono_ms now)
{
    log_warn(repeat->what, "count=%llu total=%llu %s", (unsigned long long)repeat->unreported,
             (unsigned long long)repeat->total, repeat->fields);
    repeat->unreported = 0;
    repeat->last_line_at = now;
}

void log_repeated(struct log_repeat *repeat, mono_ms now, const char *event, uint64_t count,
                  const char *format, ...)
{
    va_list args;

    if (!repeat->active)
        *repeat = (struct log_repeat){.active = true, .last_line_at = now - QUIET_MS};
    (void)snprintf(repeat->what, sizeof repeat->what, "%s", event);
    va_start(args, format);
    (void)vsnprintf(repeat->fields, sizeof repeat->fields, format, args);
    va_end(args);
    repeat->total += count;
    repeat->unreported += count;
    repeat->last_seen_at = now;
    if (now - repeat->last_line_at >= QUIET_MS)
        print_repeat(repeat, now);
}

void log_repeat_tick(struct log_repeat *repeat, mono_ms now)
{
    if (!repeat->active)
        return;
    if (repeat->unreported > 0 && now - repeat->last_line_at >= QUIET_MS)
        print_repeat(repeat, now);
    if (now - repeat->last_seen_at < QUIET_MS)
        return;
    log_info(repeat->what, "over total=%llu", (unsigned long long)repeat->total);
    repeat->active = false;
}
