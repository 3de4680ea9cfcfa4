#include "ingest/http_write.h"

#include <stdlib.h>

#include "base/counters.h"
#include "base/memory.h"
#include "ingest/influx_body.h"

struct http_write {
    struct listener_part *part;
    enum http_dialect dialect;
    struct http_body *body;
    struct influx_body *lines;
    struct buf key;
    size_t charged;
    char peer[PEER_TEXT_SIZE];
};

/* A batch that is on its way. */
struct http_reply {
    struct message message; /* first: it comes back by mailbox */
    struct ingest_worker *worker;
    struct listener *listener;
    struct listener_counts *counts;
    uint64_t received;
    size_t charged;
    enum http_dialect dialect;
    http_answered_fn on_answered; /* NULL: nobody waits any more */
    void *arg;

    /* set by the sink's thread */
    bool failed;
    enum delta_outcome outcome;
    struct buf kept; /* the delta's answer */
};

/* --- the budget -------------------------------------------------------------------------------
 */

static void release(struct ingest_worker *worker, size_t bytes)
{
    (void)atomic_fetch_sub_explicit(&worker->shared->body_bytes, bytes, memory_order_relaxed);
    COUNTER_SUB(ingest_body_bytes, bytes);
}

/* Charges what the write holds now; false when there is no room for it. */
static bool charge(struct http_write *write)
{
    struct ingest_worker *worker = write->part->worker;
    size_t held =
        sizeof *write + http_body_size_bytes(write->body) + influx_body_size_bytes(write->lines);
    size_t length = http_body_length(write->body);

    held = held < length ? length : held;
    if (held <= write->charged)
        return true;
    size_t more = held - write->charged;
    size_t before =
        atomic_fetch_add_explicit(&worker->shared->body_bytes, more, memory_order_relaxed);
    COUNTER_ADD(ingest_body_bytes, more);
    write->charged = held;
    return before + more <= worker->body_budget;
}

/* --- beginning --------------------------------------------------------------------------------
 */

/* What can be said before the body is read. */
static bool may_begin(struct listener_part *part, const struct http_head *head,
                      struct http_answer *answer)
{
    const struct ingest_worker *worker = part->worker;
    size_t limit = worker->settings.body_bytes_max;
    size_t held = atomic_load_explicit(&worker->shared->body_bytes, memory_order_relaxed);

    if (head->from_page) {
        http_answer_set(answer, 403, "requests of web pages are not taken (Origin)");
    } else if (head->bad_key) {
        http_answer_set(answer, 400, "an Idempotency-Key has 1 to %d bytes and is given once",
                        HTTP_KEY_MAX);
    } else if (head->unknown_encoding) {
        http_answer_set(answer, 415,
                        "the Content-Encoding is neither gzip nor identity, or "
                        "the Transfer-Encoding is not chunked");
    } else if (head->length > limit) {
        http_answer_set(answer, 413, "the body is larger than %zu bytes", limit);
    } else if (!worker->sink.has_room(worker->sink.arg)) {
        http_answer_busy(answer, "what arrives cannot be stored now; try again");
    } else if (held + head->length > worker->body_budget) {
        http_answer_busy(answer, "too many bodies are under way; try again");
    } else {
        return true;
    }
    return false;
}

/* A body that is refused as a whole is one sample received and rejected. */
static void count_refused(struct listener_part *part, enum reject_reason why, const char *peer)
{
    intake_reject(worker_begin(part), why, STR_EMPTY);
    worker_end(part, peer);
}

struct http_write *http_write_new(struct listener_part *part, const struct http_head *head,
                                  const char *peer, struct http_answer *answer)
{
    struct ingest_worker *worker = part->worker;

    if (!may_begin(part, head, answer)) {
        if (answer->status == 413)
            count_refused(part, REJECT_too_long, peer);
        return NULL;
    }
    const struct influx_request request = {
        .rules = &worker->settings.batch_rules,
        .line_bytes_max = worker->settings.line_bytes_max,
        .precision = influx_precision_of(http_query_find(head->query, "precision")),
        .skip_single_field = part->skip_single_field,
        .now_us = clock_wall_us(),
        .last_arrival = &worker->last_arrival};
    struct http_write *write = memory_zero(1, sizeof *write);
    write->part = part;
    write->dialect = answer->dialect;
    write->body = http_body_new(head->encoding, worker->settings.body_bytes_max, head->key.len > 0);
    write->lines = influx_body_new(&request);
    buf_str(&write->key, head->key);
    (void)snprintf(write->peer, sizeof write->peer, "%s", peer);
    if (charge(write))
        return write;
    http_answer_busy(answer, "too many bodies are under way; try again");
    http_write_free(write);
    return NULL;
}

void http_write_free(struct http_write *write)
{
    if (write == NULL)
        return;
    release(write->part->worker, write->charged);
    http_body_free(write->body);
    influx_body_free(write->lines);
    buf_fini(&write->key);
    free(write);
}

void http_write_abandon(struct http_write *write)
{
    count_refused(write->part, REJECT_truncated, write->peer);
    http_write_free(write);
}

size_t http_write_length(const struct http_write *write)
{
    return http_body_length(write->body);
}

/* --- the body --------------------------------------------------------------------------------- */

static void on_bytes(struct str bytes, void *arg)
{
    struct http_write *write = arg;
    influx_body_take(write->lines, bytes);
}

static void refuse(struct http_write *write, const struct error *err, struct http_answer *answer)
{
    bool too_large = err->kind == ERROR_FULL;

    http_answer_set(answer, too_large ? 413 : 400, "%s", err->text);
    count_refused(write->part, too_large ? REJECT_too_long : REJECT_malformed, write->peer);
}

bool http_write_take(struct http_write *write, struct str bytes, struct http_answer *answer)
{
    struct error err = ERROR_EMPTY;

    if (!http_body_take(write->body, bytes, on_bytes, write, &err)) {
        refuse(write, &err, answer);
        return false;
    }
    if (charge(write))
        return true;
    if (write->charged > write->part->worker->body_budget / 2) {
        (void)error_set(&err, ERROR_FULL,
                        "the body has too many series and times for one request; send less");
        refuse(write, &err, answer);
    } else {
        http_answer_busy(answer, "too many bodies are under way; try again");
    }
    return false;
}

/* --- the sink's word --------------------------------------------------------------------------
 */

static void on_reply(struct message *message, void *receiver)
{
    struct http_reply *reply = (struct http_reply *)message;
    struct http_answer answer = {.dialect = reply->dialect};
    (void)receiver;

    release(reply->worker, reply->charged);
    if (reply->failed) {
        http_answer_busy(&answer, "nothing was stored: the store is full or cannot be written");
    } else if (reply->outcome == DELTA_CONFLICT) {
        http_answer_set(&answer, 422,
                        "the Idempotency-Key came before with another body or precision");
    } else if (!http_answer_decode(buf_view(&reply->kept), &answer)) {
        answer.status = 204; /* stored before, with an answer that was not kept */
    }
    if (reply->on_answered != NULL)
        reply->on_answered(&answer, reply->arg);
    http_answer_fini(&answer);
    buf_fini(&reply->kept);
    free(reply);
}

/* On the sink's thread. */
static void on_done(struct delta *delta, const struct error *err)
{
    struct http_reply *reply = delta->on_done_arg;

    (void)atomic_fetch_add_explicit(&reply->counts->settled, reply->received, memory_order_release);
    (void)atomic_fetch_sub(&reply->listener->users, 1);
    reply->failed = err != NULL;
    reply->outcome = delta->outcome;
    buf_str(&reply->kept, delta->answer);
    reply->message.on_message = on_reply;
    mailbox_push_always(thread_mailbox(reply->worker->thread), &reply->message);
}

void http_reply_forget(struct http_reply *reply)
{
    reply->on_answered = NULL;
}

/* --- the end of the body ----------------------------------------------------------------------
 */

/* The same lines in another unit are another batch. */
static struct series_hash batch_hash(const struct http_write *write)
{
    struct series_hash hash = http_body_hash(write->body);
    hash.low ^= (uint64_t)write->lines->request.precision;
    return hash;
}

static void identify(const struct http_write *write, struct delta *delta)
{
    struct buf scope = BUF_EMPTY;

    if (write->key.len == 0)
        return;
    buf_block(&scope, str_of(write->part->name));
    buf_block(&scope, STR_EMPTY); /* the token */
    buf_block(&scope, buf_view(&write->key));
    delta->identity = (struct delta_identity){
        .kind = IDENTITY_KEY, .name = series_key_hash(buf_view(&scope)), .body = batch_hash(write)};
    buf_fini(&scope);
}

static void log_rejected(const struct http_write *write)
{
    const struct influx_body *lines = write->lines;
    struct listener_part *part = write->part;
    uint64_t rejected = 0;

    for (int i = 0; i < REJECT_REASON_COUNT; i++)
        rejected += lines->counts.rejected[i];
    if (rejected > 0)
        log_repeated(&part->rejected_log, clock_mono(), "lines_rejected", rejected,
                     "listener=\"%s\" reason=%s%s%s example=\"%s\"", part->name,
                     reject_reason_name(lines->shown[0].reason),
                     write->peer[0] == '\0' ? "" : " peer=", write->peer, lines->shown[0].example);
}

/* The answer that is given when the delta is stored. */
static void make_answer(const struct http_write *write, struct http_answer *answer)
{
    struct buf words = BUF_EMPTY;
    struct buf list = BUF_EMPTY;

    unsigned status = influx_body_verdict(write->lines, &words, &list);
    if (status == 204)
        answer->status = status;
    else
        http_answer_mistake(answer, status, buf_view(&words), buf_view(&list));
    buf_fini(&words);
    buf_fini(&list);
}

static struct http_reply *reply_new(struct http_write *write)
{
    struct listener_part *part = write->part;
    struct http_reply *reply = memory_zero(1, sizeof *reply);

    reply->worker = part->worker;
    reply->listener = part->listener;
    reply->counts = part->counts;
    reply->received = write->lines->counts.received;
    reply->dialect = write->dialect;
    reply->charged = write->charged;
    write->charged = 0;
    return reply;
}

/* The delta of a write, which has its counts and what is answered when it is stored. */
static struct delta *delta_of(struct http_write *write, const struct http_answer *answer)
{
    struct buf kept = BUF_EMPTY;
    struct delta *delta = batch_take(write->lines->batch);

    write->lines->batch = NULL;
    http_answer_encode(answer, &kept);
    delta->answer = arena_str(&delta->arena, buf_view(&kept));
    buf_fini(&kept);
    delta_add_ledger(delta, str_of(write->part->name), &write->lines->counts);
    identify(write, delta);
    return delta;
}

/* NULL: the sink does not take it, and nothing of it is counted. */
static struct http_reply *post(struct http_write *write, struct delta *delta,
                               http_answered_fn on_answered, void *arg)
{
    struct ingest_worker *worker = write->part->worker;
    struct http_reply *reply = reply_new(write);
    int64_t received = (int64_t)reply->received;

    reply->on_answered = on_answered;
    reply->arg = arg;
    delta->on_done = on_done;
    delta->on_done_arg = reply;
    worker_count_batch(write->part, received);
    if (worker->sink.post(delta, worker->sink.arg))
        return reply; /* the sink may be done with it, but its message waits for this thread */
    worker_count_batch(write->part, -received);
    release(worker, reply->charged);
    free(reply);
    delta_free(delta);
    return NULL;
}

struct http_reply *http_write_end(struct http_write *write, http_answered_fn on_answered, void *arg,
                                  struct http_answer *answer)
{
    struct error err = ERROR_EMPTY;
    struct http_reply *reply = NULL;

    if (!http_body_end(write->body, &err)) {
        refuse(write, &err, answer);
        http_write_free(write);
        return NULL;
    }
    influx_body_end(write->lines);
    make_answer(write, answer);
    if (write->lines->counts.received > 0 || write->key.len > 0) {
        log_rejected(write);
        reply = post(write, delta_of(write, answer), on_answered, arg);
        if (reply == NULL)
            http_answer_busy(answer, "too much waits to be stored; try again");
    }
    http_write_free(write);
    return reply;
}
