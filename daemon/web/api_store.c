/* What is asked of the store's cells and of its clock: GET /api/v1/store/export, POST
 * /api/v1/store/import, GET and POST /api/v1/store/clock. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "store/export.h"
#include "web/cell_line.h"
#include "web/web_private.h"

enum { PAGE_BYTES = 512 * 1024 };

/* --- export --------------------------------------------------------------------------------- */

/* "WINDOW.ID.AT", as the page before has given it. */
static bool parse_place(const char *text, struct export_place *out, struct error *err)
{
    struct str rest = str_of(text);
    uint64_t id = 0;

    *out = (struct export_place){0};
    if (text == NULL)
        return true;
    if (str_parse_i64(str_split(&rest, '.'), &out->window) &&
        str_parse_u64(str_split(&rest, '.'), &id) && id <= UINT32_MAX &&
        str_parse_i64(rest, &out->at)) {
        out->id = (uint32_t)id;
        out->is_set = true;
        return true;
    }
    return error_set(err, ERROR_INVALID, "'after' is not what a page before has given");
}

static bool parse_time(const struct web *web, struct http_request *request, const char *name,
                       wall_ms *out, struct error *err)
{
    const char *text = http_request_query(request, name);

    *out = WALL_NONE;
    if (text == NULL ||
        calendar_parse(web->config.calendar, str_of(text), strcmp(name, "to") == 0, out))
        return true;
    return error_set(err, ERROR_INVALID, "'%s' is not a time: '%.80s'", name, text);
}

static bool on_cell(const struct export_cell *cell, void *arg)
{
    struct buf *lines = arg;

    if (lines->len >= PAGE_BYTES)
        return false;
    cell_line_write(lines, cell->key, cell->from, cell->width, cell->cell);
    return true;
}

bool api_export(struct web *web, struct http_request *request, struct error *err)
{
    static const char *const known[] = {"metric", "from", "to", "after", NULL};
    struct answer answer;
    struct buf lines = BUF_EMPTY;
    struct export export = {.on_cell = on_cell, .arg = &lines};
    char text[80];
    bool more = false;

    if (!answer_begin(web, request, known, &answer, err) ||
        !parse_time(web, request, "from", &export.range.from, err) ||
        !parse_time(web, request, "to", &export.range.to, err) ||
        !parse_place(http_request_query(request, "after"), &export.place, err))
        return answer_drop(&answer);
    export.range.metric = str_of(http_request_query(request, "metric"));
    if (!export_page(answer.txn, &export, &more, err)) {
        buf_fini(&lines);
        return answer_drop(&answer);
    }
    answer.json = json_to(&answer.body);
    json_open(&answer.json, '{');
    json_field_str(&answer.json, "lines", buf_view(&lines));
    buf_fini(&lines);
    (void)snprintf(text, sizeof text, "%lld.%u.%lld", (long long)export.place.window,
                   export.place.id, (long long)export.place.at);
    json_field_text(&answer.json, "after", more ? text : NULL);
    json_close(&answer.json, '}');
    return answer_send(request, &answer);
}

/* --- import --------------------------------------------------------------------------------- */

/* An import or a job that waits for its commit; comes back to the web thread as a message. */
struct waiting {
    struct message message; /* first */
    struct web *web;
    struct http_request *request;
    size_t cells;
    bool repeated;
    struct error err; /* ERROR_NONE: it holds */
};

static void on_import_answer(struct message *message, void *receiver)
{
    struct waiting *waiting = (struct waiting *)message;
    struct buf body = BUF_EMPTY;
    (void)receiver;

    if (waiting->err.kind != ERROR_NONE) {
        http_reply_error(waiting->request, 503, &waiting->err);
    } else {
        buf_printf(&body, "{\"cells\":%zu,\"repeated\":%s}\n", waiting->cells,
                   waiting->repeated ? "true" : "false");
        http_reply_json(waiting->request, 200, buf_view(&body));
        buf_fini(&body);
    }
    free(waiting);
}

/* On the writer's thread. */
static void on_imported(struct delta *delta, const struct error *err)
{
    struct waiting *waiting = delta->on_done_arg;

    if (err != NULL)
        waiting->err = *err;
    waiting->repeated = err == NULL && delta->outcome != DELTA_STORED;
    mailbox_push_always(thread_mailbox(waiting->web->thread), &waiting->message);
}

/* The lines of a series follow each other. */
static uint32_t series_of(struct delta *delta, struct str key)
{
    size_t count = delta->series_count;

    if (count > 0 && str_equal(delta->series[count - 1].key, key))
        return (uint32_t)(count - 1);
    return delta_add_series(delta, series_key_hash(key), key);
}

static bool add_line(struct delta *delta, struct str text, struct error *err)
{
    struct cell_line line;

    bool ok = cell_line_read(text, &line, err);
    if (ok) {
        struct str key = buf_view(&line.key);
        uint32_t series = series_of(delta, key);
        struct delta_cell *cell = delta_add_cell(delta, series, line.minute);
        cell->cell = line.cell;
        line.cell = (struct cell)CELL_EMPTY;
        if (cell->cell.distinct != NULL)
            delta->sketch_bytes += distinct_size_bytes(cell->cell.distinct);
        if (cell->cell.histogram != NULL)
            delta->sketch_bytes += histogram_size_bytes(cell->cell.histogram);
    }
    cell_line_fini(&line);
    return ok;
}

/* NULL when a line is none: then nothing of the body counts. */
static struct delta *read_lines(struct str body, size_t *cells, struct error *err)
{
    struct delta *delta = delta_new();

    *cells = 0;
    for (size_t number = 1; body.len > 0; number++) {
        struct error why = ERROR_EMPTY;
        struct str line = str_trim(str_split(&body, '\n'));
        if (line.len == 0)
            continue;
        if (!add_line(delta, line, &why)) {
            (void)error_set(err, ERROR_INVALID, "line %zu: %s", number, why.text);
            delta_free(delta);
            return NULL;
        }
        (*cells)++;
    }
    return delta;
}

/* The body itself is its identity: what was imported is not imported again within seven days. */
bool api_import(struct web *web, struct http_request *request, struct error *err)
{
    static const char *const known[] = {NULL};
    struct str body = http_request_body(request);
    size_t cells = 0;

    if (!http_request_read_query(request, known, err))
        return false;
    struct delta *delta = read_lines(body, &cells, err);
    if (delta == NULL)
        return false;
    struct waiting *waiting = memory_zero(1, sizeof *waiting);
    waiting->message.on_message = on_import_answer;
    waiting->web = web;
    waiting->request = request;
    waiting->cells = cells;
    delta->identity.kind = IDENTITY_KEY;
    delta->identity.name = series_key_hash(body);
    delta->identity.body = delta->identity.name;
    delta->on_done = on_imported;
    delta->on_done_arg = waiting;
    if (writer_post_delta(web->options.writer, delta))
        return true;
    delta_free(delta);
    free(waiting);
    (void)error_set(err, ERROR_UNAVAILABLE, "the writer is busy, nothing was stored");
    return error_hint(err, "try again in a second");
}

/* --- the clock ------------------------------------------------------------------------------ */

struct clock_job {
    struct writer_job job; /* first */
    struct message message;
    struct web *web;
    struct http_request *request;
    struct error err;
};

static void reply_clock(struct web *web, struct http_request *request)
{
    struct buf body = BUF_EMPTY;
    struct json json = json_to(&body);
    struct error why = ERROR_EMPTY;
    bool is_suspect = writer_clock_is_suspect(web->options.writer, &why);
    bool keeps_more = false;

    if (!is_suspect) {
        struct error ignored;
        struct read_txn *txn = read_txn_begin(web->options.store, &ignored);
        keeps_more = txn != NULL && store_keeps_more(txn, &why);
        read_txn_end(txn);
    }
    json_open(&json, '{');
    json_field_bool(&json, "suspect", is_suspect);
    json_field_bool(&json, "keeps_more", keeps_more);
    json_field_text(&json, "reason", why.kind != ERROR_NONE ? why.text : NULL);
    json_field_text(&json, "hint", why.kind != ERROR_NONE ? why.hint : NULL);
    json_close(&json, '}');
    buf_char(&body, '\n');
    http_reply_json(request, 200, buf_view(&body));
    buf_fini(&body);
}

bool api_clock(struct web *web, struct http_request *request, struct error *err)
{
    static const char *const known[] = {NULL};

    if (!http_request_read_query(request, known, err))
        return false;
    reply_clock(web, request);
    return true;
}

static struct clock_job *clock_job_of(struct message *message)
{
    return (struct clock_job *)((char *)message - offsetof(struct clock_job, message));
}

static void on_clock_answer(struct message *message, void *receiver)
{
    struct clock_job *job = clock_job_of(message);
    (void)receiver;

    if (job->err.kind != ERROR_NONE)
        http_reply_error(job->request, 503, &job->err);
    else
        reply_clock(job->web, job->request);
    free(job);
}

static bool run_clock_job(struct writer_job *job, struct write_txn *txn, struct error *err)
{
    return writer_accept_clock(((struct clock_job *)job)->web->options.writer, txn, err);
}

/* On the writer's thread. */
static void on_clock_done(struct writer_job *writer_job, const struct error *err)
{
    struct clock_job *job = (struct clock_job *)writer_job;

    if (err != NULL)
        job->err = *err;
    mailbox_push_always(thread_mailbox(job->web->thread), &job->message);
}

bool api_clock_accept(struct web *web, struct http_request *request, struct error *err)
{
    json_t *body = request_object(request, err);

    if (body == NULL)
        return false;
    bool accept = json_is_true(json_object_get(body, "accept"));
    json_decref(body);
    if (!accept)
        return error_set(err, ERROR_INVALID, "'accept' is not true");
    struct clock_job *job = memory_zero(1, sizeof *job);
    job->job.run = run_clock_job;
    job->job.done = on_clock_done;
    job->message.on_message = on_clock_answer;
    job->web = web;
    job->request = request;
    writer_post_job(web->options.writer, &job->job);
    return true;
}
