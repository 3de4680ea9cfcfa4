/* kpictl verify: whether all that is stored is as it should be; asks kpid, or looks into a data
 * directory itself. */
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "offline.h"
#include "store/verify_json.h"
#include "task.h"
#include "web/record_tables.h"

enum { TOLD_MAX = 100 };

#define ROOM_BYTES (UINT64_C(64) << 20)

static void show_progress(const json_t *task)
{
    (void)fprintf(stderr, "\rstep %lld of %lld ", field_count(task, "step"),
                  field_count(task, "steps"));
}

static long long count_records(const json_t *result)
{
    long long count = 0;
    const char *table = NULL;
    json_t *value = NULL;

    json_object_foreach(json_object_get(result, "records"), table, value)
    {
        count += json_integer_value(value);
    }
    return count;
}

/* 1 when something is wrong. */
static enum exit_code print_result(const struct invocation *invocation, const json_t *result)
{
    long long found = field_count(result, "found");
    size_t i = 0;
    json_t *finding = NULL;

    if (invocation->json) {
        char *text = json_dumps(result, JSON_COMPACT);
        (void)printf("%s\n", text);
        free(text);
        return found > 0 ? EXIT_FINDING : EXIT_DONE;
    }
    json_array_foreach(json_object_get(result, "findings"), i, finding)
    {
        (void)printf("%s: %s\n", field_text(finding, "where", ""), field_text(finding, "text", ""));
    }
    if ((long long)i < found)
        (void)printf("and %lld more\n", found - (long long)i);
    long long records = count_records(result);
    (void)printf("%lld found wrong in %lld series, %lld cells of %lld runs, %lld points of %lld "
                 "partitions, %lld records and %lld other rows\n",
                 found, field_count(result, "series"), field_count(result, "cells"),
                 field_count(result, "runs"), field_count(result, "points"),
                 field_count(result, "partitions"), records, field_count(result, "rows") - records);
    return found > 0 ? EXIT_FINDING : EXIT_DONE;
}

static void on_finding(const struct verify_finding *finding, void *arg)
{
    verify_json_finding(arg, finding);
}

/* NULL with words on stderr. */
static json_t *verify_directory(const char *directory, struct error *err)
{
    char path[PATH_MAX];
    struct stat facts;
    struct verify_counts counts;
    struct buf items = BUF_EMPTY;
    struct buf body = BUF_EMPTY;
    json_t *result = NULL;

    int len = snprintf(path, sizeof path, "%s/data.mdb", directory);
    if (len < 0 || (size_t)len >= sizeof path || stat(path, &facts) != 0) {
        (void)error_set(err, ERROR_NOT_FOUND, "'%.200s' is no data directory", directory);
        return NULL;
    }
    const struct store_options options = {.path = directory,
                                          .max_size_bytes = (uint64_t)facts.st_size + ROOM_BYTES};
    struct store *store = store_open(&options, err);
    if (store == NULL)
        return NULL;
    const struct verify_options verify = {.told_max = TOLD_MAX,
                                          .tables = RECORD_TABLES,
                                          .table_count = RECORD_TABLE_COUNT,
                                          .on_finding = on_finding,
                                          .arg = &items};
    if (verify_store(store, &verify, &counts, err)) {
        struct json json = json_to(&body);
        json_open(&json, '{');
        verify_json_result(&json, &counts, buf_view(&items));
        json_close(&json, '}');
        result = json_loadb(body.bytes, body.len, 0, NULL);
    }
    store_close(store);
    buf_fini(&items);
    buf_fini(&body);
    return result;
}

static enum exit_code run(const struct invocation *invocation)
{
    struct client_answer answer;
    struct error err = ERROR_EMPTY;

    if (invocation->operand_count == 0) {
        enum exit_code code =
            task_run(invocation, "/api/v1/store/verify", "", show_progress, &answer);
        if (code != EXIT_DONE)
            return code;
        code = print_result(invocation, answer.json);
        client_answer_fini(&answer);
        return code;
    }
    json_t *result = verify_directory(invocation->operands[0], &err);
    if (result == NULL) {
        (void)offline_error(&err);
        return EXIT_REFUSED;
    }
    enum exit_code code = print_result(invocation, result);
    json_decref(result);
    return code;
}

const struct command COMMAND_VERIFY = {
    .name = "verify",
    .operands = "[DIRECTORY]",
    .help = "looks through everything that is stored; the exit code is 1 when something is wrong",
    .more = "Asks a running kpid; with a directory it looks into that itself, while kpid is "
            "stopped.",
    .operands_max = 1,
    .run = run,
};
