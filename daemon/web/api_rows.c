/* POST /api/v1/import/rows: samples with an id each, one a line, each of which counts once.
 *
 *   {"name", "value", "labels", "type", "at", "id"}      as a sample of POST /api/v1/push
 *
 * Each row is a delta of its own, for a delta has one identity; the writer commits what has come in
 * one go. A part of the rows is posted at a time, so that a request fills neither the writer's
 * mailbox nor the web thread. The answer comes when all are stored:
 *
 *   {"taken":N, "stored":N, "repeated":N, "dropped":N, "rejected":[{"row":N, "reason":"..."}, ...]}
 *
 * Dropped are those that count nothing, the first time or again: by a rule of mapping, or since
 * their series had been there already. Rows count from 1. Those after the first `taken` ones were
 * not looked at, for the writer takes no more now: they are to be sent again. */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "web/web_private.h"

enum { ROWS_MAX = 5000, ROWS_AT_ONCE = 256 };

struct rows;

/* A row that is on its way to the writer. */
struct row {
    struct rows *rows;
    size_t number;
    enum delta_outcome outcome; /* the writer's until the message is back, and the next one */
    bool is_dropped;
    bool is_unwanted;
};

/* A request; comes back to the web thread as a message when all rows under way are done. */
struct rows {
    struct message message; /* first */
    struct web *web;
    struct http_request *request;
    struct token_usage *usage; /* of who sent it; NULL: without a token */
    char *text;                /* the body */
    struct str rest;
    size_t taken, stored, repeated, dropped;
    bool is_refused; /* the writer takes no more */
    struct buf rejected;
    struct json json; /* of `rejected` */
    struct row under_way[ROWS_AT_ONCE];
    size_t under_way_count;
    atomic_size_t waiting; /* rows under way, and one more while some are being posted */
    struct error err;      /* the writer's thread; of the last that failed */
};

static void reject(struct rows *rows, size_t number, const char *reason)
{
    json_open(&rows->json, '{');
    json_field_u64(&rows->json, "row", number);
    json_field_text(&rows->json, "reason", reason);
    json_close(&rows->json, '}');
}

/* --- one row --- */

/* A push of it alone, so that a row and a push with the same id are the same. */
static bool parse(struct rows *rows, const struct push_terms *terms, struct str line,
                  struct push *out, struct error *err)
{
    static const char prefix[] = "samples[0]";
    struct buf body = BUF_EMPTY;
    struct error why = ERROR_EMPTY;

    buf_text(&body, "{\"samples\":[");
    buf_str(&body, line);
    buf_text(&body, "]}");
    bool ok = push_parse(buf_view(&body), &terms->rules, rows->web->last_arrival + 1, out, &why);
    buf_fini(&body);
    if (!ok) {
        push_count_refused(rows->web, out->reason);
        const char *text = why.text;
        if (strncmp(text, prefix, sizeof prefix - 1) == 0)
            text += sizeof prefix; /* and the dot or colon */
        (void)error_set(err, ERROR_INVALID, "%s", text[0] == ' ' ? text + 1 : text);
        return why.hint[0] == '\0' ? false : error_hint(err, "%s", why.hint);
    }
    if (out->delta->identity.kind != IDENTITY_KEY) {
        push_count_refused(rows->web, REJECT_malformed);
        delta_free(out->delta);
        return error_set(err, ERROR_INVALID, "id: missing");
    }
    rows->web->last_arrival++;
    return true;
}

/* The last of a part sends the request back. On any thread. */
static void end_one(struct rows *rows)
{
    if (atomic_fetch_sub(&rows->waiting, 1) == 1)
        mailbox_push_always(thread_mailbox(rows->web->thread), &rows->message);
}

/* As a push of the row alone is answered. */
static struct str answer_of(struct delta *delta, bool is_stored)
{
    return push_answer(delta, is_stored ? 1 : 0, is_stored ? 0 : 1);
}

/* On the writer's thread. */
static void on_counted(struct delta *delta)
{
    const struct row *row = delta->on_done_arg;
    delta->answer = answer_of(delta, !row->is_unwanted && delta->not_stored_now == 0);
}

/* On the writer's thread. */
static void on_done(struct delta *delta, const struct error *err)
{
    struct row *row = delta->on_done_arg;
    struct rows *rows = row->rows;

    row->outcome = delta->outcome;
    row->is_dropped = str_equal(delta->answer, answer_of(delta, false));
    if (err != NULL)
        rows->err = *err;
    end_one(rows);
}

/* False: the writer takes no more. */
static bool post(struct rows *rows, struct push *push)
{
    struct ledger counts = {.received = 1, .stored = 1};
    struct row *row = &rows->under_way[rows->under_way_count];

    *row = (struct row){
        .rows = rows, .number = rows->taken + 1, .is_unwanted = push->unwanted + push->limited > 0};
    ledger_drop(&counts, DROP_unwanted, push->unwanted);
    ledger_drop(&counts, DROP_series_limit, push->limited);
    delta_add_ledger(push->delta, PUSH_LISTENER, &counts);
    push->delta->answer = answer_of(push->delta, !row->is_unwanted);
    push->delta->on_counted = on_counted;
    push->delta->on_done = on_done;
    push->delta->on_done_arg = row;
    (void)atomic_fetch_add(&rows->waiting, 1);
    if (writer_post_delta(rows->web->options.writer, push->delta)) {
        push_count_for(rows->usage, counts.received);
        rows->under_way_count++;
        return true;
    }
    (void)atomic_fetch_sub(&rows->waiting, 1); /* not the last: the part is being posted */
    delta_free(push->delta);
    rows->is_refused = true;
    return false;
}

/* --- parts --- */

static struct str next_line(struct str *rest)
{
    struct str line = str_split(rest, '\n');

    if (line.len > 0 && line.text[line.len - 1] == '\r')
        line.len--;
    return str_trim(line);
}

static void take_row(struct rows *rows, const struct push_terms *terms, struct str line)
{
    struct error why = ERROR_EMPTY;
    struct push push;
    char reason[sizeof why.text + sizeof why.hint + 4];

    if (!parse(rows, terms, line, &push, &why)) {
        (void)snprintf(reason, sizeof reason, why.hint[0] == '\0' ? "%s%s" : "%s (%s)", why.text,
                       why.hint);
        reject(rows, ++rows->taken, reason);
    } else if (post(rows, &push)) {
        rows->taken++;
    }
}

/* Posts the next rows; false, and nothing is under way, when the store cannot be read. */
static bool take_part(struct rows *rows, struct error *err)
{
    struct push_terms terms;
    struct read_txn *txn = read_txn_begin(rows->web->options.store, err);

    if (txn == NULL)
        return false;
    push_terms_read(rows->web, txn, &terms);
    rows->web->last_arrival = terms.arrival - 1;
    rows->under_way_count = 0;
    atomic_store(&rows->waiting, 1);
    for (size_t i = 0; i < ROWS_AT_ONCE && rows->rest.len > 0 && !rows->is_refused; i++) {
        struct str line = next_line(&rows->rest);
        if (line.len > 0)
            take_row(rows, &terms, line);
    }
    read_txn_end(txn);
    end_one(rows);
    return true;
}

static void free_rows(struct rows *rows)
{
    token_usage_release(rows->usage);
    buf_fini(&rows->rejected);
    free(rows->text);
    free(rows);
}

static void reply(struct rows *rows)
{
    struct buf body = BUF_EMPTY;
    struct json json = json_to(&body);

    if (rows->err.kind == ERROR_NONE && rows->is_refused && rows->taken == 0) {
        (void)error_set(&rows->err, ERROR_UNAVAILABLE, "the writer is busy, nothing was stored");
        (void)error_hint(&rows->err, "try again in a second");
    }
    if (rows->err.kind != ERROR_NONE) {
        http_reply_error(rows->request, 503, &rows->err);
    } else {
        json_open(&json, '{');
        json_field_u64(&json, "taken", rows->taken);
        json_field_u64(&json, "stored", rows->stored);
        json_field_u64(&json, "repeated", rows->repeated);
        json_field_u64(&json, "dropped", rows->dropped);
        json_close(&rows->json, ']');
        json_key(&json, "rejected");
        json_raw(&json, buf_view(&rows->rejected));
        json_close(&json, '}');
        buf_char(&body, '\n');
        http_reply_json(rows->request, 200, buf_view(&body));
        buf_fini(&body);
    }
    free_rows(rows);
}

/* All rows of the part are done. */
static void on_part(struct message *message, void *receiver)
{
    struct rows *rows = (struct rows *)message;
    (void)receiver;

    for (size_t i = 0; rows->err.kind == ERROR_NONE && i < rows->under_way_count; i++) {
        const struct row *row = &rows->under_way[i];
        if (row->outcome != DELTA_STORED && row->outcome != DELTA_REPEATED)
            reject(rows, row->number, "the id came before with another sample");
        else if (row->is_dropped)
            rows->dropped++;
        else if (row->outcome == DELTA_STORED)
            rows->stored++;
        else
            rows->repeated++;
    }
    bool is_over = rows->err.kind != ERROR_NONE || rows->is_refused || rows->rest.len == 0;
    if (is_over || !take_part(rows, &rows->err))
        reply(rows);
}

bool api_rows(struct web *web, struct http_request *request, struct error *err)
{
    static const char *const known[] = {NULL};
    struct str body = http_request_body(request);
    size_t lines = 0;

    if (!http_request_read_query(request, known, err))
        return false;
    for (struct str rest = body; rest.len > 0;)
        lines += next_line(&rest).len > 0;
    if (lines == 0 || lines > ROWS_MAX)
        return error_set(err, ERROR_INVALID, "a request has 1 to %d rows, not %zu", ROWS_MAX,
                         lines);
    struct rows *rows = memory_zero(1, sizeof *rows);
    rows->message.on_message = on_part;
    rows->web = web;
    rows->request = request;
    rows->usage = web->asker;
    token_usage_keep(rows->usage);
    rows->text = memory_copy(body.text, body.len);
    rows->rest = (struct str){rows->text, body.len};
    rows->json = json_to(&rows->rejected);
    json_open(&rows->json, '[');
    if (take_part(rows, err))
        return true;
    free_rows(rows);
    return false;
}
