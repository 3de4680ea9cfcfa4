/* What of the store takes long, on a thread of its own: POST /api/v1/store/backup, POST
 * /api/v1/store/verify, GET /api/v1/store/task. One at a time. */
#include <jansson.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "store/backup.h"
#include "store/verify_json.h"
#include "web/record_tables.h"
#include "web/web_private.h"

enum { FILE_NAME_MAX = 4000, FINDINGS_TOLD = 100 };

enum task_kind { TASK_BACKUP, TASK_VERIFY };
enum task_state { TASK_NONE, TASK_RUNNING, TASK_DONE, TASK_FAILED };

struct store_task {
    struct message message; /* first; under way while the state is TASK_RUNNING */

    /* set once at start */
    struct store *store;
    struct thread *thread;
    bool is_started;

    /* the web thread's; the task's thread reads them while it runs */
    enum task_kind kind;
    char *file;
    uint64_t bytes_per_s;

    /* shared */
    _Atomic int state;
    _Atomic bool stop;
    _Atomic uint64_t bytes, records;
    _Atomic int64_t longest_ms;
    _Atomic unsigned step, steps;

    /* the task's thread's while it runs, then the web thread's */
    struct backup_progress backup;
    struct verify_counts counts;
    struct buf findings; /* objects of JSON, with commas between them */
    struct error err;
};

/* --- on the task's thread ------------------------------------------------------------------- */

static bool on_backup_progress(const struct backup_progress *progress, void *arg)
{
    struct store_task *task = arg;

    atomic_store(&task->bytes, progress->bytes);
    atomic_store(&task->records, progress->records);
    atomic_store(&task->longest_ms, progress->longest_ms);
    return !atomic_load(&task->stop);
}

static bool run_backup(struct store_task *task)
{
    const struct backup_options options = {.file = task->file,
                                           .bytes_per_s = task->bytes_per_s,
                                           .on_progress = on_backup_progress,
                                           .arg = task};
    return backup_write(task->store, &options, &task->backup, &task->err);
}

static bool on_verify_progress(const struct verify_progress *progress, void *arg)
{
    struct store_task *task = arg;

    atomic_store(&task->step, progress->number);
    atomic_store(&task->steps, progress->count);
    return !atomic_load(&task->stop);
}

static void on_finding(const struct verify_finding *finding, void *arg)
{
    struct store_task *task = arg;
    verify_json_finding(&task->findings, finding);
}

static bool run_verify(struct store_task *task)
{
    const struct verify_options options = {.told_max = FINDINGS_TOLD,
                                           .tables = RECORD_TABLES,
                                           .table_count = RECORD_TABLE_COUNT,
                                           .on_finding = on_finding,
                                           .on_progress = on_verify_progress,
                                           .arg = task};
    return verify_store(task->store, &options, &task->counts, &task->err);
}

static void on_begin(struct message *message, void *receiver)
{
    struct store_task *task = receiver;
    (void)message;

    bool ok = task->kind == TASK_BACKUP ? run_backup(task) : run_verify(task);
    atomic_store(&task->state, ok ? TASK_DONE : TASK_FAILED);
}

/* --- on the web thread ---------------------------------------------------------------------- */

struct store_task *store_task_new(struct store *store)
{
    struct store_task *task = memory_zero(1, sizeof *task);
    task->store = store;
    task->thread = thread_new("store-task", 1, task, NULL);
    return task;
}

void store_task_free(struct store_task *task)
{
    if (task == NULL)
        return;
    atomic_store(&task->stop, true);
    thread_free(task->thread);
    buf_fini(&task->findings);
    free(task->file);
    free(task);
}

/* Makes the task ready for another one, which begin_task begins. */
static bool prepare_task(struct store_task *task, enum task_kind kind, struct error *err)
{
    if (atomic_load(&task->state) == TASK_RUNNING) {
        (void)error_set(err, ERROR_CONFLICT, "a %s is under way",
                        task->kind == TASK_BACKUP ? "backup" : "verification");
        return error_hint(err, "wait until it is done");
    }
    if (!task->is_started && !thread_start(task->thread, err))
        return false;
    task->is_started = true;
    task->kind = kind;
    free(task->file);
    task->file = NULL;
    task->backup = (struct backup_progress){0};
    task->counts = (struct verify_counts){0};
    buf_clear(&task->findings);
    task->err = (struct error)ERROR_EMPTY;
    atomic_store(&task->bytes, 0);
    atomic_store(&task->records, 0);
    atomic_store(&task->longest_ms, 0);
    atomic_store(&task->step, 0);
    atomic_store(&task->steps, 0);
    return true;
}

static void begin_task(struct store_task *task)
{
    atomic_store(&task->state, TASK_RUNNING);
    task->message.on_message = on_begin;
    mailbox_push_always(thread_mailbox(task->thread), &task->message);
}

static void put_backup(struct json *json, struct store_task *task, bool is_done)
{
    json_field_text(json, "file", task->file);
    json_field_u64(json, "bytes", atomic_load(&task->bytes));
    json_field_u64(json, "records", atomic_load(&task->records));
    json_field_u64(json, "longest_snapshot_ms", (uint64_t)atomic_load(&task->longest_ms));
    if (is_done)
        json_field_u64(json, "commit", task->backup.commit);
}

static void put_error(struct json *json, const struct error *err)
{
    json_key(json, "error");
    json_open(json, '{');
    json_field_text(json, "kind", error_kind_name(err->kind));
    json_field_text(json, "message", err->text);
    json_field_text(json, "hint", err->hint[0] == '\0' ? NULL : err->hint);
    json_close(json, '}');
}

static void reply_task(struct web *web, struct http_request *request, int status)
{
    static const char *const states[] = {"none", "running", "done", "failed"};
    struct store_task *task = web->task;
    struct buf body = BUF_EMPTY;
    struct json json = json_to(&body);
    int state = atomic_load(&task->state);

    json_open(&json, '{');
    json_field_text(&json, "state", states[state]);
    if (state != TASK_NONE)
        json_field_text(&json, "task", task->kind == TASK_BACKUP ? "backup" : "verify");
    if (state != TASK_NONE && task->kind == TASK_BACKUP)
        put_backup(&json, task, state == TASK_DONE);
    if (state == TASK_RUNNING && task->kind == TASK_VERIFY) {
        json_field_u64(&json, "step", atomic_load(&task->step));
        json_field_u64(&json, "steps", atomic_load(&task->steps));
    }
    if (state == TASK_DONE && task->kind == TASK_VERIFY)
        verify_json_result(&json, &task->counts, buf_view(&task->findings));
    if (state == TASK_FAILED)
        put_error(&json, &task->err);
    json_close(&json, '}');
    buf_char(&body, '\n');
    http_reply_json(request, status, buf_view(&body));
    buf_fini(&body);
}

struct json_t *request_object(struct http_request *request, struct error *err)
{
    static const char *const known[] = {NULL};
    struct str body = http_request_body(request);
    json_error_t mistake;

    if (!http_request_read_query(request, known, err))
        return NULL;
    json_t *object =
        json_loadb(body.text == NULL ? "" : body.text, body.len, JSON_REJECT_DUPLICATES, &mistake);
    if (json_is_object(object))
        return object;
    (void)error_set(err, ERROR_INVALID, "the body is not a JSON object: %s",
                    object == NULL ? mistake.text : "it is something else");
    json_decref(object);
    return NULL;
}

bool api_backup(struct web *web, struct http_request *request, struct error *err)
{
    json_t *body = request_object(request, err);
    const char *file = json_string_value(json_object_get(body, "file"));
    const json_t *rate = json_object_get(body, "bytes_per_s");
    bool ok = body != NULL;

    if (ok && (file == NULL || file[0] != '/' || strlen(file) > FILE_NAME_MAX)) {
        (void)error_set(err, ERROR_INVALID, "'file' is not the path of a file from '/' on");
        ok = false;
    }
    if (ok && rate != NULL && (!json_is_integer(rate) || json_integer_value(rate) < 1)) {
        (void)error_set(err, ERROR_INVALID, "'bytes_per_s' is not a whole number above 0");
        ok = false;
    }
    ok = ok && prepare_task(web->task, TASK_BACKUP, err);
    if (ok) {
        web->task->file = memory_copy(file, strlen(file));
        web->task->bytes_per_s = rate == NULL ? 0 : (uint64_t)json_integer_value(rate);
        begin_task(web->task);
        reply_task(web, request, 202);
    }
    json_decref(body);
    return ok;
}

bool api_verify(struct web *web, struct http_request *request, struct error *err)
{
    static const char *const known[] = {NULL};

    if (!http_request_read_query(request, known, err) || !prepare_task(web->task, TASK_VERIFY, err))
        return false;
    begin_task(web->task);
    reply_task(web, request, 202);
    return true;
}

bool api_task(struct web *web, struct http_request *request, struct error *err)
{
    static const char *const known[] = {NULL};

    if (!http_request_read_query(request, known, err))
        return false;
    reply_task(web, request, 200);
    return true;
}
