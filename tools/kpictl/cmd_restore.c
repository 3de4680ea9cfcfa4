/* kpictl restore, compact: what is done to a data directory while kpid is stopped. */
#include <stdio.h>
#include <unistd.h>

#include "base/json.h"
#include "offline.h"
#include "store/backup.h"

enum { BYTES_PER_MIB = 1 << 20 };

static enum exit_code refused(const struct error *err)
{
    (void)offline_error(err);
    return EXIT_REFUSED;
}

static void print_json(struct buf *body)
{
    (void)printf("%.*s\n", STR_ARGS(buf_view(body)));
    buf_fini(body);
}

static enum exit_code run_restore(const struct invocation *invocation)
{
    const char *directory = option(invocation, "to");
    struct restore_report report;
    struct error err = ERROR_EMPTY;
    char begun[CLOCK_TEXT_SIZE];
    struct buf body = BUF_EMPTY;

    if (directory == NULL)
        return usage_error(invocation, "'restore' needs --to DIRECTORY");
    if (!backup_restore(invocation->operands[0], directory, &report, &err))
        return refused(&err);
    (void)clock_format_utc(report.begun_at, begun);
    if (!invocation->json) {
        (void)printf("%s: %llu records, the store as of commit %llu, backed up %s\n", directory,
                     (unsigned long long)report.records, (unsigned long long)report.commit, begun);
        return EXIT_DONE;
    }
    struct json json = json_to(&body);
    json_open(&json, '{');
    json_field_text(&json, "directory", directory);
    json_field_u64(&json, "records", report.records);
    json_field_u64(&json, "commit", report.commit);
    json_field_text(&json, "begun_at", begun);
    json_close(&json, '}');
    print_json(&body);
    return EXIT_DONE;
}

static enum exit_code run_compact(const struct invocation *invocation)
{
    const char *directory = invocation->operands[0];
    struct error err = ERROR_EMPTY;
    struct buf body = BUF_EMPTY;
    uint64_t before = 0;
    uint64_t after = 0;

    if (!backup_compact(directory, &before, &after, &err))
        return refused(&err);
    if (!invocation->json) {
        (void)printf("%s: %.1f MiB, was %.1f MiB\n", directory, (double)after / BYTES_PER_MIB,
                     (double)before / BYTES_PER_MIB);
        return EXIT_DONE;
    }
    struct json json = json_to(&body);
    json_open(&json, '{');
    json_field_u64(&json, "before", before);
    json_field_u64(&json, "after", after);
    json_close(&json, '}');
    print_json(&body);
    return EXIT_DONE;
}

const struct command COMMAND_RESTORE = {
    .name = "restore",
    .operands = "FILE",
    .help = "makes a data directory of a backup",
    .more = "Does not ask kpid. All of the file is checked first; the directory has to be empty "
            "or not there.\nRun it as kpid's user, or as root: the store gets the directory's "
            "owner.",
    .operands_min = 1,
    .operands_max = 1,
    .options = {{"to", 0, OPTION_TEXT, "DIR", "the directory (storage.path)"}},
    .run = run_restore,
};

const struct command COMMAND_COMPACT = {
    .name = "compact",
    .operands = "DIRECTORY",
    .help = "writes a store anew without its free pages, while kpid is stopped",
    .more = "kpid must not run on the directory, and cannot be started on it meanwhile. It takes "
            "room for a copy.",
    .operands_min = 1,
    .operands_max = 1,
    .run = run_compact,
};
