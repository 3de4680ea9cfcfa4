#include "task.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define POLL_NS 100000000L

void task_clear_line(void)
{
    if (isatty(STDERR_FILENO))
        (void)fprintf(stderr, "\r%30s\r", "");
}

static enum exit_code failed(const json_t *task)
{
    const json_t *error = json_object_get(task, "error");
    const char *hint = field_text(error, "hint", NULL);

    (void)fprintf(stderr, "kpictl: %s\n",
                  field_text(error, "message", "kpid was started anew meanwhile"));
    if (hint != NULL)
        (void)fprintf(stderr, "  hint: %s\n", hint);
    return EXIT_REFUSED;
}

enum exit_code task_run(const struct invocation *invocation, const char *path, const char *body,
                        task_progress_fn on_progress, struct client_answer *out)
{
    const struct timespec pause = {.tv_nsec = POLL_NS};

    int code = client_call(&invocation->client, path, body, out);
    while (code == EXIT_DONE) {
        const char *state = field_text(out->json, "state", "");
        if (strcmp(state, "running") != 0) {
            task_clear_line();
            if (strcmp(state, "done") == 0)
                return EXIT_DONE;
            code = (int)failed(out->json);
            client_answer_fini(out);
            break;
        }
        if (isatty(STDERR_FILENO))
            on_progress(out->json);
        client_answer_fini(out);
        (void)nanosleep(&pause, NULL);
        code = client_call(&invocation->client, "/api/v1/store/task", NULL, out);
    }
    return (enum exit_code)code;
}
