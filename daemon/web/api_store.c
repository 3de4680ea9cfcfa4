/* What is asked of the store's cells and of its clock: GET /api/v1/store/export, GET and POST
 * /api/v1/store/clock. */
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

/* "CALENDAR.WINDOW.ID.AT", as the page before has given it. */
static bool parse_place(const char *text, struct export_place *out, struct error *err)
{
    struct str rest = str_of(text);
    uint64_t calendar = 0;
    uint64_t id = 0;

    *out = (struct export_place){0};
    if (text == NULL)
        return true;
    if (str_parse_u64(str_split(&rest, '.'), &calendar) && calendar <= UINT16_MAX &&
        str_parse_i64(str_split(&rest, '.'), &out->window) &&
        str_parse_u64(str_split(&rest, '.'), &id) && id <= UINT32_MAX &&
        str_parse_i64(rest, &out->at)) {
        out->calendar = (uint32_t)calendar;
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

/* The lines of a page. */
struct page {
    struct buf lines;
    size_t cells; /* and days */
};

static bool is_full(struct page *page)
{
    if (page->cells > 0 && page->lines.len >= PAGE_BYTES)
        return true;
    page->cells++;
    return false;
}

static void on_zone(const struct export_zone *zone, void *arg)
{
    cell_line_write_zone(&((struct page *)arg)->lines, zone);
}

static void on_metric(const struct export_metric *metric, void *arg)
{
    cell_line_write_metric(&((struct page *)arg)->lines, metric);
}

static bool on_day(const struct export_day *day, void *arg)
{
    struct page *page = arg;

    if (is_full(page))
        return false;
    cell_line_write_day(&page->lines, day);
    return true;
}

static bool on_cell(const struct export_cell *cell, void *arg)
{
    struct page *page = arg;

    if (is_full(page))
        return false;
    cell_line_write(&page->lines, cell);
    return true;
}

static const struct export_sink LINES = {on_zone, on_metric, on_day, on_cell};

bool api_export(struct web *web, struct http_request *request, struct error *err)
{
    static const char *const known[] = {"metric", "zone", "from", "to", "after", NULL};
    struct answer answer;
    struct page page = {.lines = BUF_EMPTY};
    struct export export = {.sink = &LINES, .arg = &page};
    char text[100];
    bool more = false;

    if (!answer_begin(web, request, known, &answer, err) ||
        !parse_time(web, request, "from", &export.range.from, err) ||
        !parse_time(web, request, "to", &export.range.to, err) ||
        !parse_place(http_request_query(request, "after"), &export.place, err))
        return answer_drop(&answer);
    export.range.metric = str_of(http_request_query(request, "metric"));
    export.range.zone = str_of(http_request_query(request, "zone"));
    if (!export_page(answer.txn, &export, &more, err)) {
        buf_fini(&page.lines);
        return answer_drop(&answer);
    }
    answer.json = json_to(&answer.body);
    json_open(&answer.json, '{');
    json_field_str(&answer.json, "lines", buf_view(&page.lines));
    buf_fini(&page.lines);
    (void)snprintf(text, sizeof text, "%u.%lld.%u.%lld", export.place.calendar,
                   (long long)export.place.window, export.place.id, (long long)export.place.at);
    json_field_text(&answer.json, "after", more ? text : NULL);
    json_close(&answer.json, '}');
    return answer_send(request, &answer);
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
