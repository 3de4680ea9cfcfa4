#include "ingest/http_write.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "ingest/budget.h"

struct http_write {
    struct listener_part *part;
    const struct body_format *format;
    enum http_dialect dialect;
    struct http_body *bytes;
    struct body *body;
    struct buf key;
    struct token_usage *usage; /* of the token; NULL without */
    char token[TOKEN_NAME_MAX + 1];
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
    uint64_t limited; /* dropped as beyond a limit of series before it was posted */
    size_t charged;
    const struct body_format *format;
    struct http_answer answer;    /* when it is stored */
    http_answered_fn on_answered; /* NULL: nobody waits any more */
    void *arg;

    /* set by the sink's thread */
    bool failed;
    enum delta_outcome outcome;
    struct ledger_drops drops; /* of DELTA_STORED */
    struct buf kept;           /* of DELTA_REPEATED: what was answered then */
};

/* --- the budget -------------------------------------------------------------------------------
 */

/* Charges what the write holds now; false when there is no room for it. */
static bool charge(struct http_write *write)
{
    size_t held =
        sizeof *write + http_body_size_bytes(write->bytes) + write->format->size_bytes(write->body);
    size_t length = http_body_length(write->bytes);

    held = held < length ? length : held;
    if (held <= write->charged)
        return true;
    size_t more = held - write->charged;

    write->charged = held;
    return budget_charge(write->part->worker, more);
}

size_t http_write_charged(const struct http_write *write)
{
    return write->charged;
}

size_t http_reply_charged(const struct http_reply *reply)
{
    return reply->charged;
}

/* --- refusals ---------------------------------------------------------------------------------
 */

/* As the format says it; the answer has its dialect. */
__attribute__((format(printf, 4, 5))) static void refuse(const struct body_format *format,
                                                         struct http_answer *answer,
                                                         unsigned status, const char *text, ...)
{
    char words[600];
    va_list arguments;

    va_start(arguments, text);
    (void)vsnprintf(words, sizeof words, text, arguments);
    va_end(arguments);
    if (format->refusal != NULL)
        format->refusal(answer, status, str_of(words));
    else
        http_answer_mistake(answer, status, str_of(words), STR_EMPTY);
    if (status == 503 || status == 429)
        answer->retry_after_s = HTTP_RETRY_AFTER_S;
}

void http_write_refuse(const struct http_write *write, struct http_answer *answer, unsigned status,
                       const char *words)
{
    refuse(write->format, answer, status, "%s", words);
}

static void refuse_busy(const struct body_format *format, struct http_answer *answer)
{
    refuse(format, answer, 503, "too many bodies are under way; try again");
}

/* --- beginning --------------------------------------------------------------------------------
 */

static bool is_encoding_taken(const struct http_route *route, const struct http_head *head,
                              struct http_answer *answer)
{
    if (head->unknown_transfer)
        refuse(route->format, answer, 415, "the Transfer-Encoding is not chunked");
    else if (head->unknown_encoding || (route->encodings >> head->encoding & 1) == 0)
        refuse(route->format, answer, 415, "the Content-Encoding is not %s",
               route->encodings == 1 << HTTP_SNAPPY ? "snappy" : "gzip or identity");
    else
        return true;
    return false;
}

/* What can be said before the body is read, and before its format is asked. */
static bool may_begin(struct listener_part *part, const struct http_route *route,
                      const struct http_head *head, struct http_answer *answer)
{
    const struct ingest_worker *worker = part->worker;
    const struct body_format *format = route->format;
    size_t limit = worker->settings.body_bytes_max;
    size_t held = atomic_load_explicit(&worker->shared->body_bytes, memory_order_relaxed);

    if (!is_encoding_taken(route, head, answer))
        return false;
    if (head->from_page)
        refuse(format, answer, 403, "requests of web pages are not taken (Origin)");
    else if (head->bad_key)
        refuse(format, answer, 400, "an Idempotency-Key has 1 to %d bytes and is given once",
               HTTP_KEY_MAX);
    else if (head->twice != NULL)
        refuse(format, answer, 400, "the header %s is given twice", head->twice);
    else if (head->length > limit)
        refuse(format, answer, 413, "the body is larger than %zu bytes", limit);
    else if (!worker->sink.has_room(worker->sink.arg))
        refuse(format, answer, 503, "what arrives cannot be stored now; try again");
    else if (held + head->length > worker->body_budget)
        refuse_busy(format, answer);
    else
        return true;
    return false;
}

/* A body that is refused as a whole is one sample received and rejected. */
static void count_refused(struct listener_part *part, enum reject_reason why, const char *peer)
{
    intake_reject(worker_begin(part), why, STR_EMPTY);
    worker_end(part, peer);
}

static struct body *open_body(struct listener_part *part, const struct http_route *route,
                              const struct http_head *head, struct http_answer *answer)
{
    struct ingest_worker *worker = part->worker;
    const struct body_request request = {.head = head,
                                         .rules = &part->batch_rules,
                                         .line_bytes_max = worker->settings.line_bytes_max,
                                         .body_bytes_max = worker->settings.body_bytes_max,
                                         .held_max = worker->body_budget / 2,
                                         .skip_single_field = part->skip_single_field,
                                         .resource_labels = part->resource_labels,
                                         .calendar = &worker->settings.calendar,
                                         .now_us = clock_wall_us(),
                                         .last_arrival = &worker->last_arrival,
                                         .pause = {worker_read_datagrams, worker},
                                         .cache = worker->series_cache};
    return route->format->open(&request, answer);
}

struct http_write *http_write_new(struct listener_part *part, const struct http_route *route,
                                  const struct http_head *head, const char *peer,
                                  struct http_answer *answer)
{
    const struct body_format *format = route->format;

    if (!may_begin(part, route, head, answer)) {
        if (answer->status == 413)
            count_refused(part, REJECT_too_long, peer);
        return NULL;
    }
    struct body *body = open_body(part, route, head, answer);
    if (body == NULL)
        return NULL;
    struct http_write *write = memory_zero(1, sizeof *write);
    write->part = part;
    write->format = format;
    write->dialect = answer->dialect;
    write->body = body;
    write->bytes = http_body_new(head->encoding, part->worker->settings.body_bytes_max,
                                 head->key.len > 0 || format->has_ids);
    http_body_expect(write->bytes, head->length);
    buf_str(&write->key, head->key);
    (void)snprintf(write->peer, sizeof write->peer, "%s", peer);
    if (charge(write))
        return write;
    refuse_busy(format, answer);
    http_write_free(write);
    return NULL;
}

void http_write_set_token(struct http_write *write, const struct token *token)
{
    if (token == NULL)
        return;
    (void)snprintf(write->token, sizeof write->token, "%s", token->name);
    write->usage = token->usage;
    token_usage_keep(write->usage);
}

void http_write_free(struct http_write *write)
{
    if (write == NULL)
        return;
    budget_release(write->part->worker, write->charged);
    http_body_free(write->bytes);
    write->format->close(write->body);
    buf_fini(&write->key);
    token_usage_release(write->usage);
    free(write);
}

void http_write_abandon(struct http_write *write)
{
    count_refused(write->part, REJECT_truncated, write->peer);
    http_write_free(write);
}

size_t http_write_length(const struct http_write *write)
{
    return http_body_length(write->bytes);
}

/* --- the body --------------------------------------------------------------------------------- */

static bool on_bytes(struct str bytes, void *arg, struct error *err)
{
    struct http_write *write = arg;
    bool ok = write->format->take(write->body, bytes, err);
    body_pause(&write->body->pause);
    return ok;
}

static void refuse_body(const struct http_write *write, const struct error *err,
                        struct http_answer *answer)
{
    bool too_large = err->kind == ERROR_FULL;
    enum reject_reason why = write->body->refused_for;

    if (why == REJECT_NONE)
        why = too_large ? REJECT_too_long : REJECT_malformed;
    refuse(write->format, answer, too_large ? 413 : 400, "%s%s%s%s", err->text,
           err->hint[0] == '\0' ? "" : " (", err->hint, err->hint[0] == '\0' ? "" : ")");
    count_refused(write->part, why, write->peer);
}

/* What was taken is charged; false: there is no room for it. */
static bool has_room(struct http_write *write, struct http_answer *answer)
{
    struct error err = ERROR_EMPTY;

    if (charge(write))
        return true;
    if (write->charged > write->part->worker->body_budget / 2) {
        (void)error_set(&err, ERROR_FULL,
                        "the body has too many series and times for one request; send less");
        refuse_body(write, &err, answer);
    } else {
        refuse_busy(write->format, answer);
    }
    return false;
}

bool http_write_take(struct http_write *write, struct str bytes, struct http_answer *answer)
{
    struct error err = ERROR_EMPTY;

    if (http_body_take(write->bytes, bytes, on_bytes, write, &err))
        return has_room(write, answer);
    refuse_body(write, &err, answer);
    return false;
}

/* --- the sink's word --------------------------------------------------------------------------
 */

/* What the sink's word means for the answer, which says that all is stored. */
static void judge(struct http_reply *reply)
{
    struct http_answer *answer = &reply->answer;
    enum http_dialect dialect = answer->dialect;

    if (!reply->failed && reply->outcome == DELTA_STORED) {
        http_answer_drop(answer, &reply->drops, reply->limited);
        return;
    }
    http_answer_fini(answer);
    *answer = (struct http_answer){.dialect = dialect};
    if (reply->failed)
        refuse(reply->format, answer, 503,
               "nothing was stored: the store is full or cannot be written");
    else if (reply->outcome == DELTA_CONFLICT)
        refuse(reply->format, answer, 422, "the %s came before with another body or precision",
               reply->format->has_ids ? "id or Idempotency-Key" : "Idempotency-Key");
    else if (!http_answer_decode(buf_view(&reply->kept), answer))
        http_answer_stored(answer, STR_EMPTY); /* stored before, what was answered is not known */
}

static void on_reply(struct message *message, void *receiver)
{
    struct http_reply *reply = (struct http_reply *)message;
    (void)receiver;

    budget_release(reply->worker, reply->charged);
    judge(reply);
    if (reply->on_answered != NULL)
        reply->on_answered(&reply->answer, reply->arg);
    http_answer_fini(&reply->answer);
    buf_fini(&reply->kept);
    free(reply);
}

static void keep_answer(struct delta *delta, const struct http_answer *answer)
{
    struct buf kept = BUF_EMPTY;

    http_answer_encode(answer, &kept);
    delta->answer = arena_str(&delta->arena, buf_view(&kept));
    buf_fini(&kept);
}

/* On the sink's thread, while nobody touches the reply's answer: that of a resend is the same. */
static void on_counted(struct delta *delta)
{
    const struct http_reply *reply = delta->on_done_arg;
    struct http_answer answer = reply->answer;

    answer.words = answer.body = answer.list = (struct buf)BUF_EMPTY;
    buf_str(&answer.words, buf_view(&reply->answer.words));
    http_answer_drop(&answer, &delta->drops_now, reply->limited);
    keep_answer(delta, &answer);
    http_answer_fini(&answer);
}

/* On the sink's thread. */
static void on_done(struct delta *delta, const struct error *err)
{
    struct http_reply *reply = delta->on_done_arg;

    (void)atomic_fetch_add_explicit(&reply->counts->settled, reply->received, memory_order_release);
    (void)atomic_fetch_sub(&reply->listener->users, 1);
    reply->failed = err != NULL;
    reply->outcome = delta->outcome;
    reply->drops = delta->drops;
    if (delta->outcome == DELTA_REPEATED)
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

/* The same bytes in another unit are another batch. */
static struct series_hash batch_hash(const struct http_write *write)
{
    struct series_hash hash = http_body_hash(write->bytes);
    hash.low ^= write->body->variant;
    return hash;
}

static bool has_identity(const struct http_write *write)
{
    return write->key.len > 0 || write->body->id.len > 0;
}

static void identify(const struct http_write *write, struct delta *delta)
{
    struct buf scope = BUF_EMPTY;
    bool has_key = write->key.len > 0;

    buf_block(&scope, str_of(write->part->name));
    buf_block(&scope, str_of(write->token));
    buf_block(&scope, has_key ? buf_view(&write->key) : write->body->id);
    if (!has_key)
        buf_block(&scope, STR("id")); /* is no key */
    delta->identity = (struct delta_identity){
        .kind = IDENTITY_KEY, .name = series_key_hash(buf_view(&scope)), .body = batch_hash(write)};
    buf_fini(&scope);
}

static void log_rejected(const struct http_write *write)
{
    const struct body_example *first = &write->body->examples[0];
    struct listener_part *part = write->part;

    for (size_t i = 0; i < write->body->example_count; i++) {
        const struct body_example *example = &write->body->examples[i];
        const struct tail_rejected rejected = {example->reason, example->example, write->peer, 1};
        worker_show_rejected(part, &rejected);
    }
    if (write->body->example_count > 0)
        log_repeated(&part->rejected_log, clock_mono(), "lines_rejected",
                     body_rejected(write->body), "listener=\"%s\" reason=%s%s%s example=\"%s\"",
                     part->name, reject_reason_name(first->reason),
                     write->peer[0] == '\0' ? "" : " peer=", write->peer, first->example);
}

/* The name of one that was dropped, where the format has kept it. */
static struct str dropped_name(const struct body *body, enum drop_reason reason)
{
    for (size_t i = 0; i < body->drop_count; i++) {
        if (body->drops[i].reason == reason)
            return (struct str){body->drops[i].name, body->drops[i].name_len};
    }
    return STR_EMPTY;
}

/* What was dropped while it was read. */
static void show_dropped(const struct http_write *write)
{
    const struct body *body = write->body;

    for (int i = 0; i < DROP_REASON_COUNT; i++) {
        enum drop_reason reason = (enum drop_reason)i;
        const struct tail_dropped dropped = {reason, dropped_name(body, reason),
                                             body->counts.dropped[i]};
        if (dropped.count > 0)
            worker_show_dropped(write->part, &dropped);
    }
}

static struct http_reply *reply_new(struct http_write *write)
{
    struct listener_part *part = write->part;
    struct http_reply *reply = memory_zero(1, sizeof *reply);

    reply->worker = part->worker;
    reply->listener = part->listener;
    reply->counts = part->counts;
    reply->received = write->body->counts.received;
    reply->limited = write->body->counts.dropped[DROP_series_limit];
    reply->format = write->format;
    reply->charged = write->charged;
    write->charged = 0;
    return reply;
}

/* The delta of a write, with its counts and what is answered when it comes again. */
static struct delta *delta_of(struct http_write *write, const struct http_answer *answer)
{
    struct delta *delta = batch_take(write->body->batch);

    write->body->batch = NULL;
    worker_show_batch(write->part, delta);
    delta_add_ledger(delta, str_of(write->part->name), &write->body->counts);
    if (!has_identity(write))
        return delta;
    identify(write, delta);
    keep_answer(delta, answer);
    delta->on_counted = on_counted;
    return delta;
}

/* NULL: the sink does not take it, and nothing of it is counted. Else the answer is the reply's. */
static struct http_reply *post(struct http_write *write, struct http_answer *answer,
                               http_answered_fn on_answered, void *arg)
{
    struct delta *delta = delta_of(write, answer);
    struct ingest_worker *worker = write->part->worker;
    struct http_reply *reply = reply_new(write);
    int64_t received = (int64_t)reply->received;

    reply->answer = *answer;
    reply->on_answered = on_answered;
    reply->arg = arg;
    delta->on_done = on_done;
    delta->on_done_arg = reply;
    worker_count_batch(write->part, received);
    if (worker->sink.post(delta, worker->sink.arg)) {
        if (write->usage != NULL)
            (void)atomic_fetch_add_explicit(&write->usage->samples, (uint64_t)received,
                                            memory_order_relaxed);
        *answer = (struct http_answer)HTTP_ANSWER_EMPTY;
        return reply; /* the sink may be done with it, but its message waits for this thread */
    }
    worker_count_batch(write->part, -received);
    budget_release(worker, reply->charged);
    free(reply);
    delta_free(delta);
    return NULL;
}

/* False: `answer` says why the body is refused. */
static bool end_body(struct http_write *write, struct http_answer *answer)
{
    struct error err = ERROR_EMPTY;

    if (http_body_end(write->bytes, on_bytes, write, &err) && write->format->end(write->body, &err))
        return has_room(write, answer);
    refuse_body(write, &err, answer);
    return false;
}

/* A body takes as long as its sender likes, and its token may be revoked meanwhile. */
static bool may_still_write(const struct http_write *write, struct http_answer *answer)
{
    const char *why = part_why_denied(write->part, write->usage);

    if (why == NULL)
        return true;
    refuse(write->format, answer, 401, "%s", why);
    count_refused(write->part, REJECT_denied, write->peer);
    return false;
}

struct http_reply *http_write_end(struct http_write *write, http_answered_fn on_answered, void *arg,
                                  struct http_answer *answer)
{
    struct http_reply *reply = NULL;

    if (may_still_write(write, answer) && end_body(write, answer)) {
        ledger_drop(&write->body->counts, DROP_unwanted, batch_unwanted(write->body->batch));
        write->format->verdict(write->body, answer);
        if (write->body->counts.received > 0 || write->key.len > 0) {
            log_rejected(write);
            show_dropped(write);
            reply = post(write, answer, on_answered, arg);
            if (reply == NULL)
                refuse(write->format, answer, 503, "too much waits to be stored; try again");
        }
    }
    http_write_free(write);
    return reply;
}
