/* POST /api/v1/store/import: what an export has told (store/export.h), line by line.
 *
 * Days come first, in a job of the writer; then the cells, as a batch like any other. Each part is
 * known by its body when it comes again. */
#include <stdlib.h>

#include "base/memory.h"
#include "store/day_import.h"
#include "web/cell_line.h"
#include "web/web_private.h"

/* An import that waits for its commits; comes back to the web thread as a message after each. */
struct waiting {
    struct writer_job job;  /* first: of the days */
    struct message message; /* back */
    struct web *web;
    struct http_request *request;
    struct day_import *days;
    struct delta *delta; /* NULL: there is none, or the writer has it */
    size_t lines;
    size_t cells;
    uint64_t dropped; /* samples of cells that were not stored: too old, or no room for series */
    bool is_new;      /* some part of it */
    struct error err; /* ERROR_NONE: it holds */
};

static void free_waiting(struct waiting *waiting)
{
    day_import_free(waiting->days);
    delta_free(waiting->delta);
    free(waiting);
}

static void reply(struct waiting *waiting)
{
    struct buf body = BUF_EMPTY;
    struct json json = json_to(&body);

    if (waiting->err.kind != ERROR_NONE) {
        /* What cannot be written is to be tried again, whatever the reason. */
        bool is_refused = waiting->err.kind == ERROR_INVALID || waiting->err.kind == ERROR_CONFLICT;
        http_reply_error(waiting->request, is_refused ? 0 : 503, &waiting->err);
    } else {
        json_open(&json, '{');
        json_field_u64(&json, "cells", waiting->cells);
        json_field_bool(&json, "repeated", !waiting->is_new);
        json_field_u64(&json, "too_old", waiting->days->too_old);
        json_field_u64(&json, "dropped", waiting->dropped);
        json_close(&json, '}');
        buf_char(&body, '\n');
        http_reply_json(waiting->request, 200, buf_view(&body));
        buf_fini(&body);
    }
    free_waiting(waiting);
}

static struct waiting *waiting_of(struct message *message)
{
    return (struct waiting *)((char *)message - offsetof(struct waiting, message));
}

static void on_answer(struct message *message, void *receiver)
{
    (void)receiver;
    reply(waiting_of(message));
}

/* --- cells --- */

/* On the writer's thread. */
static void on_stored(struct delta *delta, const struct error *err)
{
    struct waiting *waiting = delta->on_done_arg;

    if (err != NULL)
        waiting->err = *err;
    waiting->is_new = waiting->is_new || delta->outcome == DELTA_STORED;
    waiting->dropped = err == NULL && delta->outcome == DELTA_STORED ? delta->not_stored : 0;
    waiting->message.on_message = on_answer;
    mailbox_push_always(thread_mailbox(waiting->web->thread), &waiting->message);
}

/* Gives the cells to the writer; false when it takes none. */
static bool post_cells(struct waiting *waiting, struct error *err)
{
    struct delta *delta = waiting->delta;

    delta->on_done = on_stored;
    delta->on_done_arg = waiting;
    waiting->delta = NULL;
    if (writer_post_delta(waiting->web->options.writer, delta))
        return true;
    waiting->delta = delta;
    (void)error_set(err, ERROR_UNAVAILABLE, "the writer is busy, nothing was stored");
    return error_hint(err, "try again in a second");
}

/* --- days --- */

static bool run_days(struct writer_job *job, struct write_txn *txn, struct error *err)
{
    struct waiting *waiting = (struct waiting *)job;
    return writer_import_days(waiting->web->options.writer, txn, waiting->days, err);
}

static void on_days_answer(struct message *message, void *receiver)
{
    struct waiting *waiting = waiting_of(message);
    (void)receiver;

    waiting->is_new = waiting->err.kind == ERROR_NONE && !waiting->days->repeated;
    if (waiting->err.kind != ERROR_NONE || delta_is_empty(waiting->delta) ||
        !post_cells(waiting, &waiting->err))
        reply(waiting);
}

/* On the writer's thread. */
static void on_days_done(struct writer_job *job, const struct error *err)
{
    struct waiting *waiting = (struct waiting *)job;

    if (err != NULL)
        waiting->err = *err;
    waiting->message.on_message = on_days_answer;
    mailbox_push_always(thread_mailbox(waiting->web->thread), &waiting->message);
}

static void post_days(struct waiting *waiting)
{
    waiting->job.run = run_days;
    waiting->job.done = on_days_done;
    writer_post_job(waiting->web->options.writer, &waiting->job);
}

/* --- lines --- */

/* The lines of a series follow each other. */
static uint32_t series_of(struct delta *delta, struct str key)
{
    size_t count = delta->series_count;

    if (count > 0 && str_equal(delta->series[count - 1].key, key))
        return (uint32_t)(count - 1);
    return delta_add_series(delta, series_key_hash(key), key);
}

static void add_cell(struct delta *delta, struct cell_line *line)
{
    uint32_t series = series_of(delta, buf_view(&line->key));
    struct delta_cell *cell = delta_add_cell(delta, series, line->minute);

    cell->cell = line->cell;
    line->cell = (struct cell)CELL_EMPTY;
    if (cell->cell.distinct != NULL)
        delta->sketch_bytes += distinct_size_bytes(cell->cell.distinct);
    if (cell->cell.histogram != NULL)
        delta->sketch_bytes += histogram_size_bytes(cell->cell.histogram);
}

static bool add_line(struct waiting *waiting, struct str text, struct error *err)
{
    struct cell_line line;

    bool ok = cell_line_read(text, &line, err);
    if (ok) {
        waiting->cells += line.kind == CELL_LINE_CELL || line.kind == CELL_LINE_DAY;
        if (line.kind == CELL_LINE_CELL)
            add_cell(waiting->delta, &line);
        else if (line.kind == CELL_LINE_DAY)
            day_import_add_cell(waiting->days, buf_view(&line.key), &line.day, &line.cell);
        else if (line.kind == CELL_LINE_ZONE)
            day_import_add_zone(waiting->days, &line.zone);
        else
            day_import_add_metric(waiting->days, &line.metric);
    }
    cell_line_fini(&line);
    return ok;
}

/* False when a line is none: then nothing of the body counts. */
static bool read_lines(struct waiting *waiting, struct str body, struct error *err)
{
    for (size_t number = 1; body.len > 0; number++) {
        struct error why = ERROR_EMPTY;
        struct str line = str_trim(str_split(&body, '\n'));
        if (line.len > 0 && !add_line(waiting, line, &why))
            return error_set(err, ERROR_INVALID, "line %zu: %s", number, why.text);
    }
    return true;
}

/* The body itself is its identity: what was imported is not imported again within seven days. */
bool api_import(struct web *web, struct http_request *request, struct error *err)
{
    static const char *const known[] = {NULL};
    struct str body = http_request_body(request);

    if (!http_request_read_query(request, known, err))
        return false;
    struct waiting *waiting = memory_zero(1, sizeof *waiting);
    waiting->web = web;
    waiting->request = request;
    waiting->days = day_import_new();
    waiting->delta = delta_new();
    if (!read_lines(waiting, body, err)) {
        free_waiting(waiting);
        return false;
    }
    struct series_hash hash = series_key_hash(body);
    waiting->delta->identity =
        (struct delta_identity){.kind = IDENTITY_KEY, .name = hash, .body = hash};
    waiting->days->name = (struct series_hash){hash.high, ~hash.low};
    if (!day_import_is_empty(waiting->days)) {
        post_days(waiting);
        return true;
    }
    if (post_cells(waiting, err))
        return true;
    free_waiting(waiting);
    return false;
}
