/* GET /api/v1/ingest, the ledger; POST /api/v1/push, samples that are answered when they are
 * committed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/counters.h"
#include "base/memory.h"
#include "ingest/push.h"
#include "web/web_private.h"

enum { LISTENERS_MAX = 1024, CLIENTS_SHOWN_MAX = 1024 };

struct lines {
    struct listener_line *items;
    size_t count, capacity;
    struct arena *arena;
};

static struct listener_line *add_line(struct lines *lines, struct str name)
{
    lines->items = arena_grow(lines->arena, lines->items, lines->count, &lines->capacity,
                              sizeof *lines->items);
    struct listener_line *line = &lines->items[lines->count++];
    *line = (struct listener_line){.name = arena_str(lines->arena, name)};
    return line;
}

static bool on_ledger(struct str name, const struct ledger *ledger, void *arg)
{
    struct lines *lines = arg;

    for (size_t i = 0; i < lines->count; i++) {
        if (str_equal(lines->items[i].name, name)) {
            lines->items[i].counts = *ledger;
            return true;
        }
    }
    struct listener_line *line = add_line(lines, name);
    line->counts = *ledger;
    struct str rest = line->name;
    line->protocol = str_split(&rest, ' ');
    line->listen = rest;
    return true;
}

/* Each listener gets all clients, of which write_clients shows its own. */
static void add_clients(struct web *web, const struct lines *lines)
{
    if (web->options.clients == NULL)
        return;
    struct web_client *clients = arena_array(lines->arena, CLIENTS_SHOWN_MAX, sizeof *clients);
    size_t count = web->options.clients(clients, CLIENTS_SHOWN_MAX, web->options.arg);
    for (size_t i = 0; i < lines->count; i++) {
        lines->items[i].clients = clients;
        lines->items[i].client_count = count;
    }
}

static void add_examples(struct web *web, const struct lines *lines)
{
    if (web->options.rejected == NULL)
        return;
    struct rejected_facts *facts = arena_array(lines->arena, LISTENERS_MAX, sizeof *facts);
    size_t count = web->options.rejected(facts, LISTENERS_MAX, web->options.arg);
    for (size_t i = 0; i < lines->count; i++) {
        for (size_t j = 0; j < count; j++) {
            if (str_is(lines->items[i].name, facts[j].listener))
                lines->items[i].examples = &facts[j].examples;
        }
    }
}

struct listener_line *listener_lines(struct web *web, struct read_txn *txn, struct arena *arena,
                                     size_t *count)
{
    struct lines lines = {.arena = arena};
    struct web_listener *facts = arena_array(arena, LISTENERS_MAX, sizeof *facts);
    size_t known = 0;

    if (web->options.listeners != NULL)
        known = web->options.listeners(facts, LISTENERS_MAX, web->options.arg);
    for (size_t i = 0; i < known && i < LISTENERS_MAX; i++) {
        struct listener_line *line = add_line(&lines, str_of(facts[i].name));
        line->protocol = arena_str(arena, str_of(facts[i].protocol));
        line->listen = arena_str(arena, str_of(facts[i].listen));
        line->is_inherited = facts[i].is_inherited;
        line->pending = facts[i].pending;
        line->kernel_drops = facts[i].kernel_drops;
        line->connections_denied = facts[i].connections_denied;
    }
    (void)query_ledgers(txn, on_ledger, &lines);
    add_clients(web, &lines);
    *count = lines.count;
    return lines.items;
}

static void write_clients(struct json *json, const struct listener_line *line)
{
    json_key(json, "client_drops");
    json_open(json, '[');
    for (size_t i = 0; i < line->client_count; i++) {
        const struct web_client *client = &line->clients[i];
        if (!str_is(line->name, client->listener))
            continue;
        json_open(json, '{');
        json_field_text(json, "client", client->name);
        json_field_text(json, "version", client->version);
        json_field_text(json, "transport", client->transport);
        json_field_u64(json, "packets", client->packets);
        json_field_u64(json, "bytes", client->bytes);
        json_field_u64(json, "metrics", client->metrics);
        json_close(json, '}');
    }
    json_close(json, ']');
}

/* The last samples that were rejected, the newest of each reason first. */
static void write_examples(struct json *json, const struct reject_examples *examples)
{
    char utc[CLOCK_TEXT_SIZE];

    json_key(json, "examples");
    json_open(json, '[');
    for (int i = 0; examples != NULL && i < REJECT_REASON_COUNT; i++) {
        for (int j = 0; j < TAIL_EXAMPLES && examples->of[i][j].at != 0; j++) {
            const struct reject_example *example = &examples->of[i][j];
            json_open(json, '{');
            json_field_text(json, "reason", reject_reason_name((enum reject_reason)i));
            json_field_text(json, "at", clock_format_utc(example->at, utc));
            if (example->peer[0] != '\0')
                json_field_text(json, "peer", example->peer);
            json_field_text(json, "example", example->text);
            json_close(json, '}');
        }
    }
    json_close(json, ']');
}

/* What it has brought, once it has brought something. */
static void write_series(const struct web *web, struct json *json, const struct listener_line *line)
{
    struct room_listener brought;

    if (web->options.room == NULL || !room_listener(web->options.room, line->name, &brought))
        return;
    json_field_u64(json, "series", brought.series);
    if (brought.allowed > 0)
        json_field_u64(json, "max_series", brought.allowed);
}

static void write_line(const struct web *web, struct json *json, const struct listener_line *line)
{
    const struct ledger *counts = &line->counts;

    json_open(json, '{');
    json_field_str(json, "protocol", line->protocol);
    json_field_str(json, "listen", line->listen);
    json_field_bool(json, "inherited", line->is_inherited);
    json_field_u64(json, "received", counts->received);
    json_field_u64(json, "stored", counts->stored);
    json_key(json, "rejected");
    json_open(json, '{');
    for (int i = 0; i < REJECT_REASON_COUNT; i++)
        if (counts->rejected[i] > 0)
            json_field_u64(json, reject_reason_name((enum reject_reason)i), counts->rejected[i]);
    json_close(json, '}');
    json_key(json, "dropped");
    json_open(json, '{');
    for (int i = 0; i < DROP_REASON_COUNT; i++)
        if (counts->dropped[i] > 0)
            json_field_u64(json, drop_reason_name((enum drop_reason)i), counts->dropped[i]);
    json_close(json, '}');
    json_field_u64(json, "pending", line->pending);
    json_field_u64(json, "kernel_drops", line->kernel_drops);
    json_field_u64(json, "connections_denied", line->connections_denied);
    write_series(web, json, line);
    write_clients(json, line);
    write_examples(json, line->examples);
    json_close(json, '}');
}

/* What was sent with each token since kpid started. */
static void write_token_usage(struct json *json, const struct token_table *tokens)
{
    json_key(json, "tokens");
    json_open(json, '[');
    for (size_t i = 0; i < token_table_count(tokens); i++) {
        const struct token *token = token_table_at(tokens, i);
        json_open(json, '{');
        json_field_text(json, "name", token->name);
        json_field_u64(json, "requests", atomic_load(&token->usage->requests));
        json_field_u64(json, "samples", atomic_load(&token->usage->samples));
        json_close(json, '}');
    }
    json_close(json, ']');
}

/* Metrics with too many series, those that cost most samples first. */
static void write_offenders(const struct web *web, struct json *json)
{
    struct room_offender offenders[ROOM_OFFENDERS_MAX];
    size_t count = web->options.room == NULL ? 0 : room_offenders(web->options.room, offenders);

    json_key(json, "offenders");
    json_open(json, '[');
    for (size_t i = 0; i < count; i++) {
        const struct room_offender *offender = &offenders[i];
        json_open(json, '{');
        json_field_text(json, "metric", offender->metric);
        json_field_text(json, "limit", room_limit_name(offender->limit));
        if (offender->label[0] != '\0')
            json_field_text(json, "label", offender->label);
        if (offender->listener[0] != '\0')
            json_field_text(json, "listener", offender->listener);
        json_field_u64(json, "allowed", offender->allowed);
        json_field_u64(json, "series", offender->series);
        json_field_u64(json, "samples", offender->samples);
        json_field_u64(json, "refused", offender->refused);
        json_close(json, '}');
    }
    json_close(json, ']');
}

bool api_ingest(struct web *web, struct http_request *request, struct error *err)
{
    static const char *const known[] = {NULL};
    struct answer answer;
    struct store_usage usage;
    size_t count = 0;

    if (!answer_begin(web, request, known, &answer, err))
        return answer_drop(&answer);
    struct arena *arena = http_request_arena(request);
    struct listener_line *lines = listener_lines(web, answer.txn, arena, &count);
    add_examples(web, &(const struct lines){.items = lines, .count = count, .arena = arena});
    store_usage(answer.txn, &usage);
    answer.json = json_to(&answer.body);
    json_open(&answer.json, '{');
    json_field_u64(&answer.json, "series", usage.series);
    json_key(&answer.json, "listeners");
    json_open(&answer.json, '[');
    for (size_t i = 0; i < count; i++)
        write_line(web, &answer.json, &lines[i]);
    json_close(&answer.json, ']');
    json_field_u64(&answer.json, "active_series", COUNTER_GET(series_active));
    write_offenders(web, &answer.json);
    write_token_usage(&answer.json, web->tokens);
    answer_certificates(&answer.json, web, answer.now);
    json_close(&answer.json, '}');
    return answer_send(request, &answer);
}

/* --- what comes now ------------------------------------------------------------------------- */

static bool read_after(const struct http_request *request, uint64_t *out, struct error *err)
{
    const char *text = http_request_query(request, "after");
    int64_t number = 0;

    *out = 0;
    if (text == NULL)
        return true;
    if (!str_parse_i64(str_of(text), &number) || number < 0)
        return error_set(err, ERROR_INVALID, "after is a number that was the last answer's 'next'");
    *out = (uint64_t)number;
    return true;
}

/* The names that fit. */
static void list_names(const struct web_listener *listeners, size_t count, struct error *err)
{
    char names[sizeof err->hint] = "";
    size_t len = 0;

    for (size_t i = 0; i < count; i++) {
        const char *before = i == 0 ? "" : ", ";
        size_t more = strlen(before) + strlen(listeners[i].name);
        if (len + more >= sizeof names - sizeof "there are: , and 1024 more") {
            (void)error_hint(err, "there are: %s, and %zu more", names, count - i);
            return;
        }
        (void)snprintf(names + len, sizeof names - len, "%s%s", before, listeners[i].name);
        len += more;
    }
    (void)error_hint(err, "there are: %s", count == 0 ? "none" : names);
}

/* Who waits for a listener that is not there would wait for ever. */
static bool check_listener(struct web *web, struct http_request *request, struct str part,
                           struct error *err)
{
    char quoted[STR_QUOTED_SIZE];
    size_t count = 0;

    if (part.len == 0 || web->options.listeners == NULL)
        return true;
    struct web_listener *listeners =
        arena_array(http_request_arena(request), LISTENERS_MAX, sizeof *listeners);
    count = web->options.listeners(listeners, LISTENERS_MAX, web->options.arg);
    count = count < LISTENERS_MAX ? count : LISTENERS_MAX;
    for (size_t i = 0; i < count; i++) {
        if (memmem(listeners[i].name, strlen(listeners[i].name), part.text, part.len) != NULL)
            return true;
    }
    (void)error_set(err, ERROR_NOT_FOUND, "no listener has '%s' in its name",
                    str_quoted(part, quoted));
    list_names(listeners, count, err);
    return false;
}

/* GET /api/v1/ingest/tail?after=N: {"next","skipped","samples":[...]}. */
bool api_ingest_tail(struct web *web, struct http_request *request, struct error *err)
{
    static const char *const known[] = {"after", "rejected", "listener", NULL};
    struct tail_request wanted = {0};
    struct tail_lines lines = {0};
    struct buf body = BUF_EMPTY;

    if (!http_request_read_query(request, known, err) || !read_after(request, &wanted.after, err))
        return false;
    const char *listener = http_request_query(request, "listener");
    wanted.listener = listener == NULL ? STR_EMPTY : str_of(listener);
    wanted.rejected = http_request_query(request, "rejected") != NULL;
    if (!check_listener(web, request, wanted.listener, err))
        return false;
    if (web->options.tail != NULL)
        web->options.tail(&wanted, &lines, web->options.arg);
    struct json json = json_to(&body);
    json_open(&json, '{');
    json_field_u64(&json, "next", lines.next);
    json_field_u64(&json, "skipped", lines.skipped);
    json_key(&json, "samples");
    json_open(&json, '[');
    for (size_t i = 0; i < lines.count; i++)
        json_raw(&json, (struct str){lines.items[i].json, lines.items[i].len});
    json_close(&json, ']');
    json_close(&json, '}');
    tail_lines_fini(&lines);
    http_reply_json(request, 200, buf_view(&body));
    buf_fini(&body);
    return true;
}

/* --- push ----------------------------------------------------------------------------------- */

/* A push that waits for its commit; comes back to the web thread as a message. */
struct waiting_push {
    struct message message; /* first */
    struct web *web;
    struct http_request *request;
    struct ledger counts;
    struct buf answer; /* when it is stored, or was before */
    int status;        /* with an error */
    struct error err;  /* ERROR_NONE: stored */
};

static void on_answer(struct message *message, void *receiver)
{
    struct waiting_push *push = (struct waiting_push *)message;
    (void)receiver;

    if (push->err.kind != ERROR_NONE)
        http_reply_error(push->request, push->status, &push->err);
    else
        http_reply_json(push->request, 200, buf_view(&push->answer));
    buf_fini(&push->answer);
    free(push);
}

struct str push_answer(struct delta *delta, uint64_t stored, uint64_t dropped)
{
    struct arena *arena = &delta->arena;

    if (dropped == 0)
        return str_of(arena_printf(arena, "{\"stored\":%llu}\n", (unsigned long long)stored));
    return str_of(arena_printf(arena, "{\"stored\":%llu,\"dropped\":%llu}\n",
                               (unsigned long long)stored, (unsigned long long)dropped));
}

/* On the writer's thread. */
static void on_counted(struct delta *delta)
{
    const struct waiting_push *push = delta->on_done_arg;
    uint64_t stored = push->counts.stored;
    uint64_t gone = delta->not_stored_now < stored ? delta->not_stored_now : stored;

    delta->answer = push_answer(delta, stored - gone, push->counts.received - (stored - gone));
}

/* On the writer's thread. */
static void on_done(struct delta *delta, const struct error *err)
{
    struct waiting_push *push = delta->on_done_arg;

    push->status = err == NULL ? 409 : 503;
    if (err != NULL)
        push->err = *err;
    else if (delta->outcome == DELTA_CONFLICT)
        (void)error_set(&push->err, ERROR_CONFLICT, "the id came before with another sample");
    else
        buf_str(&push->answer, delta->answer);
    mailbox_push_always(thread_mailbox(push->web->thread), &push->message);
}

void push_count_for(struct token_usage *usage, uint64_t samples)
{
    if (usage != NULL)
        (void)atomic_fetch_add_explicit(&usage->samples, samples, memory_order_relaxed);
}

/* A refused body is one sample received and rejected: the one that is wrong, or the body itself. */
void push_count_refused(struct web *web, enum reject_reason reason)
{
    web->refused.received++;
    web->refused.rejected[reason]++;
}

void push_flush_refused(struct web *web)
{
    if (ledger_is_empty(&web->refused) || (!web->stopping && !writer_has_room(web->options.writer)))
        return;
    struct delta *delta = delta_new();
    delta_add_ledger(delta, PUSH_LISTENER, &web->refused);
    (void)writer_post_delta(web->options.writer, delta); /* nobody waits, so it is always taken */
    web->refused = (struct ledger){0};
}

static enum metric_kind known_kind(struct str metric, void *arg)
{
    struct metric_facts facts;

    query_metric(arg, metric, &facts);
    for (int kind = 1; kind <= METRIC_KIND_MAX; kind++)
        if (facts.kinds == 1U << kind)
            return (enum metric_kind)kind;
    return 0;
}

void push_terms_read(struct web *web, struct read_txn *txn, struct push_terms *out)
{
    int64_t now_us = clock_wall_us();
    uint64_t arrival = web->last_arrival + 1;

    if (now_us > 0 && (uint64_t)now_us > arrival)
        arrival = (uint64_t)now_us;
    /* Names are a client's and could be made to collide with a seed that is guessed;
     * PUSH_SAMPLES_MAX bounds what that costs. */
    out->batch = (struct batch_rules){.metrics = web->config.kpis->metrics,
                                      .series_max = PUSH_SAMPLES_MAX,
                                      .max_future = web->config.max_future,
                                      .max_past = web->config.max_past,
                                      .seed = arrival,
                                      .listener = PUSH_LISTENER};
    out->rules = (struct push_rules){.batch = &out->batch,
                                     .kind_of = known_kind,
                                     .kind_arg = txn,
                                     .calendar = web->config.calendar,
                                     .now = clock_wall()};
    out->arrival = arrival;
}

static bool parse(struct web *web, struct http_request *request, struct read_txn *txn,
                  struct push *out, struct error *err)
{
    struct push_terms terms;

    push_terms_read(web, txn, &terms);
    if (!push_parse(http_request_body(request), &terms.rules, terms.arrival, out, err)) {
        push_count_refused(web, out->reason);
        return false;
    }
    web->last_arrival = terms.arrival + out->samples;
    return true;
}

bool api_push(struct web *web, struct http_request *request, struct error *err)
{
    static const char *const known[] = {NULL};
    struct push push;

    if (!http_request_read_query(request, known, err))
        return false;
    struct read_txn *txn = read_txn_begin(web->options.store, err);
    bool ok = txn != NULL && parse(web, request, txn, &push, err);
    read_txn_end(txn);
    if (!ok)
        return false;
    struct ledger counts = {.received = push.samples, .stored = push.samples};
    ledger_drop(&counts, DROP_unwanted, push.unwanted);
    ledger_drop(&counts, DROP_series_limit, push.limited);
    delta_add_ledger(push.delta, PUSH_LISTENER, &counts);

    struct waiting_push *waiting = memory_zero(1, sizeof *waiting);
    waiting->message.on_message = on_answer;
    waiting->web = web;
    waiting->request = request;
    waiting->counts = counts;
    push.delta->answer = push_answer(push.delta, counts.stored, counts.received - counts.stored);
    push.delta->on_counted = on_counted;
    push.delta->on_done = on_done;
    push.delta->on_done_arg = waiting;
    if (writer_post_delta(web->options.writer, push.delta)) {
        push_count_for(web->asker, counts.received);
        return true;
    }
    delta_free(push.delta);
    free(waiting);
    if (writer_is_failing(web->options.writer)) {
        (void)error_set(err, ERROR_UNAVAILABLE,
                        "nothing was stored: the store is full or cannot be written");
        return error_hint(err, "kpid's log says why");
    }
    (void)error_set(err, ERROR_UNAVAILABLE, "the writer is busy, nothing was stored");
    return error_hint(err, "try again in a second");
}
