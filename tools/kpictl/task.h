/* What kpid does on a thread of its own, and kpictl waits for: a backup, a verification. */
#pragma once

#include "command.h"

/* Begins a task (a POST of `body`) and waits for its end; `on_progress` is called with each look
 * at it. `out` is filled for "done" alone; what goes wrong is said on stderr. */
typedef void (*task_progress_fn)(const struct json_t *task);
enum exit_code task_run(const struct invocation *invocation, const char *path, const char *body,
                        task_progress_fn on_progress, struct client_answer *out);

/* Takes away what `on_progress` has printed on a terminal. */
void task_clear_line(void);
