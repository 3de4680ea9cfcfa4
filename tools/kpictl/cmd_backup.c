/* kpictl backup FILE: kpid writes it; this waits and shows how far it is. */
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/json.h"
#include "base/str.h"
#include "task.h"

enum { RATE_MAX = 1000 * 1000, BYTES_PER_MIB = 1 << 20 };

/* kpid runs in another folder. */
static bool absolute(const char *file, char out[PATH_MAX])
{
    char folder[PATH_MAX] = "";
    int len = 0;

    if (file[0] == '/')
        len = snprintf(out, PATH_MAX, "%s", file);
    else if (getcwd(folder, sizeof folder) != NULL)
        len = snprintf(out, PATH_MAX, "%s/%s", folder, file);
    if (len > 0 && len < PATH_MAX)
        return true;
    (void)fprintf(stderr, "kpictl: the path cannot be made out: '%.80s'\n", file);
    return false;
}

static void print_task(const json_t *task)
{
    (void)printf("%s: %.1f MiB, %lld records, the store as of commit %lld\n",
                 field_text(task, "file", ""), (double)field_count(task, "bytes") / BYTES_PER_MIB,
                 field_count(task, "records"), field_count(task, "commit"));
}

static void show_progress(const json_t *task)
{
    (void)fprintf(stderr, "\r%.1f MiB ", (double)field_count(task, "bytes") / BYTES_PER_MIB);
}

static enum exit_code run(const struct invocation *invocation)
{
    char file[PATH_MAX];
    long rate = 0;
    struct buf body = BUF_EMPTY;
    struct client_answer answer;

    if (!option_number(invocation, "rate", 1, RATE_MAX, &rate))
        return EXIT_USAGE;
    if (!absolute(invocation->operands[0], file))
        return EXIT_USAGE;
    struct json json = json_to(&body);
    json_open(&json, '{');
    json_field_text(&json, "file", file);
    if (rate > 0)
        json_field_u64(&json, "bytes_per_s", (uint64_t)rate * BYTES_PER_MIB);
    json_close(&json, '}');
    char *text = buf_take_text(&body);
    enum exit_code code =
        task_run(invocation, "/api/v1/store/backup", text, show_progress, &answer);
    free(text);
    if (code != EXIT_DONE)
        return code;
    if (invocation->json)
        (void)fwrite(answer.body.bytes, 1, answer.body.len, stdout);
    else
        print_task(answer.json);
    client_answer_fini(&answer);
    if (invocation->client.url == NULL && access(file, F_OK) != 0)
        (void)fprintf(stderr,
                      "kpictl: '%s' cannot be seen from here\n"
                      "  hint: kpid may have a /tmp of its own (PrivateTmp=)\n",
                      file);
    return EXIT_DONE;
}

const struct command COMMAND_BACKUP = {
    .name = "backup",
    .operands = "FILE",
    .help = "backs up the store of a running kpid",
    .more = "kpid writes the file, as its own user and with mode 0600; it is there when it is "
            "whole.\nAn existing file is not written over. Ending kpictl does not end the backup.",
    .operands_min = 1,
    .operands_max = 1,
    .options = {{"rate", 0, OPTION_TEXT, "N", "MiB a second at most (64)"}},
    .run = run,
};
