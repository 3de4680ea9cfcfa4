/* What the commands that do not ask kpid share: zones and times from options. */
#pragma once

#include "base/calendar.h"
#include "command.h"

/* Says the error on stderr, with its hint. EXIT_USAGE. */
enum exit_code offline_error(const struct error *err);

/* The calendar of `--tz`, the host's zone without it. NULL, with words on stderr. The caller frees
 * it. */
struct calendar *offline_calendar(const struct invocation *invocation);

/* The time of an option; `*out` is left alone when it is not given. False, with words on stderr. */
bool offline_time(const struct invocation *invocation, const struct calendar *calendar,
                  const char *name, bool as_end, wall_ms *out);
