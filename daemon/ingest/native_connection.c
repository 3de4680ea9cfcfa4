#include "ingest/native_connection.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/counters.h"
#include "base/memory.h"
#include "ingest/budget.h"
#include "ingest/channel.h"
#include "ingest/native_answer.h"
#include "ingest/native_input.h"

enum {
    OUTPUT_BYTES = 64 * 1024, /* of answers that wait to be read */
    STALLED_US = 20 * 1000,   /* until it is looked again whether there is room */
    RETRY_AFTER_MS = 1000,
    LINGER_BYTES = 64 * 1024 * 1024,
    LINGER_MS = 10 * 1000,
    DRAIN_PAUSE_NS = 1000 * 1000,
};

enum native_state {
    NATIVE_GREETING,  /* the Hello is to come */
    NATIVE_OPEN,      /* batches */
    NATIVE_ENDING,    /* batches are still to be answered, then the last error is said */
    NATIVE_LINGERING, /* nothing more is said; what comes is dropped */
};

/* A batch that is on its way. */
struct native_reply {
    struct message message; /* first: it comes back by mailbox */
    TAILQ_ENTRY(native_reply) link;
    struct native_connection *connection; /* NULL: it has gone */
    struct ingest_worker *worker;
    struct listener *listener;
    struct listener_counts *counts;
    uint64_t received;
    size_t charged;
    struct native_ack ack; /* when it is stored; its examples are the reply's */

    /* set by the sink's thread */
    bool failed;
    enum delta_outcome outcome;
    uint64_t not_stored;
};

TAILQ_HEAD(native_reply_list, native_reply);

struct native_connection {
    struct native_input in; /* first: it comes back by native_input_find_yielding */
    TAILQ_ENTRY(native_connection) link;
    struct listener_part *part;
    struct channel channel;
    struct event *readable;
    struct event *writable;
    struct event *turn; /* to go on with what is here already */
    enum native_state state;
    struct delta_identity identity; /* of its batches */
    struct token_usage *usage;      /* of its token; NULL without */
    struct buf out;                 /* answers; up to `sent` the socket has them */
    size_t sent;
    struct native_reply_list replies;
    unsigned waiting;           /* replies */
    struct native_error ending; /* while NATIVE_ENDING: what is said then */
    bool is_stalled;            /* a frame has to wait until it may be taken */
    bool wants_room;            /* the rest of a frame has to wait until it may be read */
    bool has_more;              /* to be read, which the socket does not show */
    bool at_end;                /* the client says no more */
    mono_ms since;    /* of the state; of the frame's first bytes; else of when it last spoke */
    mono_ms wrote_at; /* when the socket last took bytes, or had none to take */
    size_t dropped;   /* bytes, while lingering */
    struct sockaddr_storage address;
    char peer[PEER_TEXT_SIZE];
};

static struct ingest_worker *worker_of(const struct native_connection *connection)
{
    return connection->part->worker;
}

/* --- ends -------------------------------------------------------------------------------------
 */

/* What is refused as a whole is one sample received and rejected. */
static void count_refused(struct native_connection *connection, enum reject_reason why)
{
    intake_reject(worker_begin(connection->part), why, STR_EMPTY);
    worker_end(connection->part, connection->peer);
}

/* Of a client that has gone; what kpid itself cuts off at a stop is sent again. */
static bool was_in_frame(const struct native_connection *connection)
{
    return connection->state == NATIVE_OPEN && connection->in.bytes.len > 0 && connection->at_end;
}

static void end_connection(struct native_connection *connection)
{
    struct ingest_worker *worker = worker_of(connection);
    struct native_reply *reply = NULL;

    if (was_in_frame(connection))
        count_refused(connection, REJECT_truncated);
    while ((reply = TAILQ_FIRST(&connection->replies)) != NULL) {
        TAILQ_REMOVE(&connection->replies, reply, link);
        reply->connection = NULL;
        worker->native_waiting--;
    }
    native_input_forget(worker_of(connection), &connection->in);
    token_usage_release(connection->usage);
    TAILQ_REMOVE(&worker->native_connections, connection, link);
    worker_connection_closed(connection->part, connection->channel.fd);
    event_free(connection->readable);
    event_free(connection->writable);
    event_free(connection->turn);
    channel_close(&connection->channel);
    buf_fini(&connection->out);
    free(connection);
}

/* --- saying -----------------------------------------------------------------------------------
 */

static bool has_output(const struct native_connection *connection)
{
    return connection->sent < connection->out.len;
}

/* Gives the socket what it takes now; false: the client has gone. */
static bool flush(struct native_connection *connection)
{
    struct buf *out = &connection->out;

    while (has_output(connection)) {
        ssize_t sent = channel_write(&connection->channel, out->bytes + connection->sent,
                                     out->len - connection->sent);
        if (sent < 0 && errno == EAGAIN) {
            (void)event_add(connection->writable, NULL);
            return true;
        }
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent <= 0)
            return false;
        connection->sent += (size_t)sent;
        connection->wrote_at = clock_mono();
    }
    buf_fini(out);
    connection->sent = 0;
    return true;
}

/* Room for an answer; how long the socket takes none is counted from the first one on. */
static struct buf *answer(struct native_connection *connection)
{
    if (!has_output(connection))
        connection->wrote_at = clock_mono();
    return &connection->out;
}

/* The connection ends with these words, once what was taken before is answered. */
static void end_with(struct native_connection *connection, const struct native_error *err)
{
    connection->state = NATIVE_ENDING;
    connection->ending = *err;
    connection->ending.sequence = 0;
    connection->is_stalled = false;
    connection->wants_room = false;
    native_input_forget(worker_of(connection), &connection->in);
}

/* When all is answered: says why it ends, and that nothing follows. False: the client has gone. */
static bool say_goodbye(struct native_connection *connection)
{
    if (connection->state == NATIVE_ENDING && connection->waiting == 0) {
        native_say_error(answer(connection), &connection->ending);
        connection->state = NATIVE_LINGERING;
        connection->since = clock_mono();
        if (!flush(connection))
            return false;
        if (!has_output(connection))
            return !connection->at_end && shutdown(connection->channel.fd, SHUT_WR) == 0;
    }
    return true;
}

/* --- the sink's word --------------------------------------------------------------------------
 */

static void go_on(struct native_connection *connection);

static void answer_batch(struct native_connection *connection, struct native_reply *reply)
{
    struct native_ack *ack = &reply->ack;
    struct native_error error;

    if (reply->failed) {
        (void)native_refuse(&error, ack->sequence, NATIVE_BUSY,
                            "nothing was stored: the store is full or cannot be written");
        error.retry_after_ms = RETRY_AFTER_MS;
        native_say_error(answer(connection), &error);
        return;
    }
    if (reply->outcome == DELTA_TOO_OLD || reply->outcome == DELTA_CONFLICT) {
        (void)native_refuse(&error, ack->sequence, NATIVE_TOO_OLD,
                            "the sequence or the epoch is older than what is remembered");
        native_say_error(answer(connection), &error);
        return;
    }
    ack->repeated = reply->outcome == DELTA_REPEATED;
    uint64_t not_stored = reply->not_stored < ack->stored ? reply->not_stored : ack->stored;
    ack->stored -= not_stored;
    ack->dropped += not_stored;
    native_say_ack(answer(connection), ack);
}

static void free_reply(struct native_reply *reply)
{
    free((void *)reply->ack.examples);
    free(reply);
}

static void on_reply(struct message *message, void *receiver)
{
    struct native_reply *reply = (struct native_reply *)message;
    struct native_connection *connection = reply->connection;
    (void)receiver;

    budget_release(reply->worker, reply->charged);
    if (connection != NULL) {
        TAILQ_REMOVE(&connection->replies, reply, link);
        connection->waiting--;
        reply->worker->native_waiting--;
        connection->since = clock_mono();
        answer_batch(connection, reply);
    }
    free_reply(reply);
    if (connection != NULL)
        go_on(connection);
}

/* On the sink's thread. */
static void on_done(struct delta *delta, const struct error *err)
{
    struct native_reply *reply = delta->on_done_arg;

    (void)atomic_fetch_add_explicit(&reply->counts->settled, reply->received, memory_order_release);
    (void)atomic_fetch_sub(&reply->listener->users, 1);
    reply->failed = err != NULL;
    reply->outcome = delta->outcome;
    reply->not_stored = delta->not_stored;
    reply->message.on_message = on_reply;
    mailbox_push_always(thread_mailbox(reply->worker->thread), &reply->message);
}

/* --- batches ----------------------------------------------------------------------------------
 */

static uint64_t sum_of(const uint64_t *counts, size_t count)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < count; i++)
        sum += counts[i];
    return sum;
}

static uint64_t rejected_of(const struct ledger *counts)
{
    return sum_of(counts->rejected, REJECT_REASON_COUNT);
}

static struct native_reply *reply_new(struct native_connection *connection,
                                      const struct native_batch *batch, size_t charged)
{
    struct listener_part *part = connection->part;
    struct native_reply *reply = memory_zero(1, sizeof *reply);
    struct native_example *examples = NULL;

    if (batch->example_count > 0) {
        examples = memory_alloc(batch->example_count * sizeof *examples);
        memcpy(examples, batch->examples, batch->example_count * sizeof *examples);
    }
    reply->connection = connection;
    reply->worker = part->worker;
    reply->listener = part->listener;
    reply->counts = part->counts;
    reply->received = batch->counts.received;
    reply->charged = charged;
    reply->ack = (struct native_ack){.sequence = batch->sequence,
                                     .stored = batch->counts.stored,
                                     .rejected = rejected_of(&batch->counts),
                                     .dropped = sum_of(batch->counts.dropped, DROP_REASON_COUNT),
                                     .examples = examples,
                                     .example_count = batch->example_count};
    return reply;
}

/* Hands it to the sink; false: that takes nothing now, and nothing of it is counted. */
static bool post(struct native_connection *connection, struct native_batch *batch, size_t charged)
{
    struct ingest_worker *worker = worker_of(connection);
    struct delta *delta = batch_take(batch->batch);
    struct native_reply *reply = reply_new(connection, batch, charged);
    int64_t received = (int64_t)reply->received;

    batch->batch = NULL;
    worker_show_batch(connection->part, delta);
    delta_add_ledger(delta, str_of(connection->part->name), &batch->counts);
    delta->identity = connection->identity;
    delta->identity.sequence = batch->sequence;
    delta->on_done = on_done;
    delta->on_done_arg = reply;
    worker_count_batch(connection->part, received);
    if (worker->sink.post(delta, worker->sink.arg)) {
        if (connection->usage != NULL)
            (void)atomic_fetch_add_explicit(&connection->usage->samples, (uint64_t)received,
                                            memory_order_relaxed);
        /* The sink may be done with it, but its message waits for this thread. */
        TAILQ_INSERT_TAIL(&connection->replies, reply, link);
        connection->waiting++;
        worker->native_waiting++;
        return true;
    }
    worker_count_batch(connection->part, -received);
    free_reply(reply);
    delta_free(delta);
    return false;
}

static void refuse_busy(struct native_connection *connection, uint64_t sequence)
{
    struct native_error error;

    (void)native_refuse(&error, sequence, NATIVE_BUSY, "too much waits to be stored; try again");
    error.retry_after_ms = RETRY_AFTER_MS;
    COUNTER_ADD(ingest_batches_refused, 1);
    native_say_error(answer(connection), &error);
}

static void log_rejected(struct native_connection *connection, const struct native_batch *batch)
{
    const struct native_example *first = &batch->examples[0];
    struct listener_part *part = connection->part;

    for (size_t i = 0; i < batch->example_count; i++) {
        const struct native_example *example = &batch->examples[i];
        const struct tail_rejected rejected = {example->reason, example->message, connection->peer,
                                               1};
        worker_show_rejected(part, &rejected);
    }
    if (batch->example_count > 0)
        log_repeated(&part->rejected_log, clock_mono(), "lines_rejected",
                     rejected_of(&batch->counts), "listener=\"%s\" reason=%s%s%s example=\"%s\"",
                     part->name, reject_reason_name(first->reason),
                     connection->peer[0] == '\0' ? "" : " peer=", connection->peer, first->message);
}

/* Of what is dropped nobody keeps an example. */
static void show_dropped(struct native_connection *connection, const struct native_batch *batch)
{
    for (int i = 0; i < DROP_REASON_COUNT; i++) {
        const struct tail_dropped dropped = {(enum drop_reason)i, STR_EMPTY,
                                             batch->counts.dropped[i]};
        if (dropped.count > 0)
            worker_show_dropped(connection->part, &dropped);
    }
}

static void take_batch(struct native_connection *connection, struct str bytes)
{
    struct ingest_worker *worker = worker_of(connection);
    const struct native_request request = {.rules = &connection->part->batch_rules,
                                           .held_max = worker->body_budget / 2,
                                           .now_us = clock_wall_us(),
                                           .last_arrival = &worker->last_arrival};
    struct native_error error;
    struct native_batch batch;

    COUNTER_ADD(ingest_batches, 1);
    if (!native_read_batch(worker->native_reader, bytes, &request, &batch, &error)) {
        count_refused(connection,
                      error.code == NATIVE_TOO_LARGE ? REJECT_too_long : REJECT_malformed);
        if (error.sequence == 0)
            end_with(connection, &error);
        else
            native_say_error(answer(connection), &error);
        return;
    }
    size_t held = batch_size_bytes(batch.batch) + sizeof(struct native_reply) +
                  batch.example_count * sizeof batch.examples[0];
    bool has_room = budget_try_charge(worker, held);
    if (has_room && post(connection, &batch, held)) {
        log_rejected(connection, &batch);
        show_dropped(connection, &batch);
        return;
    }
    if (has_room)
        budget_release(worker, held);
    batch_free(batch.batch);
    refuse_busy(connection, batch.sequence);
}

/* --- hello ------------------------------------------------------------------------------------
 */

/* Whether the listener takes samples of who says this. */
static bool native_may_speak(struct native_connection *connection, const struct native_hello *hello,
                             struct native_error *err)
{
    const struct sockaddr *peer = (const struct sockaddr *)&connection->address;
    const struct token *token = NULL;
    struct error why = ERROR_EMPTY;
    enum access_verdict verdict = part_check_token(connection->part, hello->token, peer, &token);

    if (verdict == ACCESS_GRANTED) {
        connection->usage = token == NULL ? NULL : token->usage;
        token_usage_keep(connection->usage);
        return true;
    }
    access_explain(verdict, token, &why);
    return native_refuse(err, 0, NATIVE_DENIED, "%s (%s)", why.text, why.hint);
}

static void take_hello(struct native_connection *connection, struct str bytes)
{
    struct ingest_worker *worker = worker_of(connection);
    struct native_hello hello;
    struct native_error error;

    if (!native_read_hello(worker->native_reader, bytes, &hello, &error)) {
        count_refused(connection, REJECT_malformed);
        end_with(connection, &error);
        return;
    }
    if (!native_may_speak(connection, &hello, &error)) {
        count_refused(connection, REJECT_denied);
        end_with(connection, &error);
        return;
    }
    connection->identity = hello.identity;
    connection->state = NATIVE_OPEN;
    native_say_welcome(answer(connection), worker->settings.frame_bytes_max, NATIVE_BATCHES_MAX);
}

/* --- frames -----------------------------------------------------------------------------------
 */

/* How long a frame may be. */
static size_t frame_max(const struct native_connection *connection)
{
    size_t max = worker_of(connection)->settings.frame_bytes_max;
    return connection->state == NATIVE_GREETING && max > NATIVE_HELLO_MAX ? NATIVE_HELLO_MAX : max;
}

/* Whether another batch may be taken. */
static bool may_take(const struct native_connection *connection)
{
    const struct ingest_worker *worker = worker_of(connection);

    if (connection->state == NATIVE_GREETING)
        return true;
    return connection->waiting < NATIVE_BATCHES_MAX && connection->part->fd >= 0 &&
           connection->out.len - connection->sent <= OUTPUT_BYTES &&
           worker->sink.has_room(worker->sink.arg);
}

static void refuse_length(struct native_connection *connection, size_t len)
{
    struct native_error error;

    (void)native_refuse(&error, 0, NATIVE_TOO_LARGE, "a frame of %zu bytes is longer than %zu", len,
                        frame_max(connection));
    count_refused(connection, REJECT_too_long);
    end_with(connection, &error);
}

/* Takes the frame at `at`; 0: it is not all there, or has to wait. */
static size_t take_frame(struct native_connection *connection, size_t at)
{
    struct str rest = {connection->in.bytes.bytes + at, connection->in.bytes.len - at};

    connection->is_stalled = false;
    if (rest.len < NATIVE_LENGTH_SIZE)
        return 0;
    size_t len = native_frame_length((const unsigned char *)rest.text);
    if (len > frame_max(connection)) {
        refuse_length(connection, len);
        return 0;
    }
    if (!may_take(connection)) {
        connection->is_stalled = true;
        return 0;
    }
    if (rest.len - NATIVE_LENGTH_SIZE < len)
        return 0;
    struct str frame = {rest.text + NATIVE_LENGTH_SIZE, len};
    if (connection->state == NATIVE_GREETING)
        take_hello(connection, frame);
    else
        take_batch(connection, frame);
    return NATIVE_LENGTH_SIZE + len;
}

static bool takes_frames(const struct native_connection *connection)
{
    return connection->state == NATIVE_GREETING || connection->state == NATIVE_OPEN;
}

/* Takes what is here and may be taken. */
static void take_frames(struct native_connection *connection)
{
    struct buf *in = &connection->in.bytes;
    size_t at = 0;
    size_t taken = 1;

    while (takes_frames(connection) && taken > 0) {
        taken = take_frame(connection, at);
        at += taken;
    }
    if (!takes_frames(connection))
        return;
    mono_ms now = clock_mono();
    if (at > 0) {
        connection->since = now;
        in->len -= at;
        memmove(in->bytes, in->bytes + at, in->len);
    }
    native_input_account(worker_of(connection), &connection->in, now);
    if (at > 0 || connection->is_stalled)
        native_input_touch(worker_of(connection), &connection->in, now);
}

/* --- reading ----------------------------------------------------------------------------------
 */

/* Its frame is not read to its end. What is said happens at its own turn, for this one is that of
 * another connection. */
static void give_way(struct native_connection *connection)
{
    static const struct timeval at_once = {0};
    struct native_error error;

    (void)native_refuse(&error, 0, NATIVE_BUSY, "others need the room that the frame takes");
    error.retry_after_ms = RETRY_AFTER_MS;
    count_refused(connection, REJECT_too_slow);
    end_with(connection, &error);
    (void)event_del(connection->readable);
    (void)event_add(connection->turn, &at_once);
}

/* How much may be read now; 0: nothing, until there is room. Where frames wait for each other, some
 * have to come again, so that the others come to their end. */
static size_t may_read(struct native_connection *connection)
{
    struct ingest_worker *worker = worker_of(connection);
    struct native_input *other = NULL;

    if (!takes_frames(connection))
        return NATIVE_READ_BYTES;
    size_t size = native_input_may_read(worker, &connection->in);
    while (size == 0 &&
           (other = native_input_find_yielding(worker, &connection->in, clock_mono())) != NULL) {
        give_way((struct native_connection *)other);
        size = native_input_may_read(worker, &connection->in);
    }
    return size;
}

/* Reads once; false: the connection is broken. */
static bool read_once(struct native_connection *connection, size_t size)
{
    struct buf *in = &connection->in.bytes;
    bool more = false;
    bool was_empty = in->len == 0;

    ssize_t got =
        channel_read(&connection->channel, native_input_at(&connection->in, size), size, &more);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
        if (in->len == 0)
            buf_fini(in);
        return true;
    }
    connection->at_end = got <= 0;
    connection->has_more = more;
    if (got < 0)
        return false;
    in->len += (size_t)got;
    if (was_empty && takes_frames(connection))
        connection->since = clock_mono();
    if (in->len == 0)
        buf_fini(in);
    return true;
}

static bool drop_input(struct native_connection *connection)
{
    connection->dropped += connection->in.bytes.len;
    buf_fini(&connection->in.bytes);
    return !connection->at_end && connection->dropped <= LINGER_BYTES;
}

/* It looks again soon whether there is room; an answer of its own wakes it earlier. */
static void set_reading(struct native_connection *connection)
{
    static const struct timeval at_once = {0};
    static const struct timeval soon = {.tv_usec = STALLED_US};
    bool waits = connection->is_stalled || connection->wants_room;
    bool reads = !waits && !connection->at_end && connection->state != NATIVE_ENDING;

    if (reads)
        (void)event_add(connection->readable, NULL);
    else
        (void)event_del(connection->readable);
    if (waits)
        (void)event_add(connection->turn, &soon);
    else if (reads && connection->has_more)
        (void)event_add(connection->turn, &at_once);
}

/* Whether all that came is answered, and nothing more comes: of a client that says no more, or
 * where the listener is not in the configuration any more. */
static bool is_over(const struct native_connection *connection)
{
    bool is_last = connection->at_end || connection->part->fd < 0;
    bool is_waited_for = connection->is_stalled && connection->part->fd >= 0;

    return is_last && takes_frames(connection) && connection->waiting == 0 && !is_waited_for &&
           !has_output(connection);
}

/* Does what can be done now. The connection may be gone afterwards. */
static void go_on(struct native_connection *connection)
{
    bool ok = true;

    if (takes_frames(connection))
        take_frames(connection);
    else if (connection->state == NATIVE_LINGERING)
        ok = drop_input(connection);
    ok = ok && flush(connection) && say_goodbye(connection) && !is_over(connection);
    if (ok)
        set_reading(connection);
    else
        end_connection(connection);
}

static void on_readable(evutil_socket_t fd, short events, void *arg)
{
    struct native_connection *connection = arg;
    size_t size = may_read(connection);
    bool wanted_room = connection->wants_room;
    (void)fd;
    (void)events;

    connection->wants_room = size == 0;
    if (wanted_room && size > 0) /* its time counts from when there is room */
        connection->since = clock_mono();
    if (size == 0 || read_once(connection, size))
        go_on(connection);
    else
        end_connection(connection);
}

static void on_turn(evutil_socket_t fd, short events, void *arg)
{
    struct native_connection *connection = arg;

    if (connection->is_stalled || connection->at_end || connection->state == NATIVE_ENDING)
        go_on(connection);
    else
        on_readable(fd, events, arg);
}

/* The last words may be out only now. */
static void on_writable(evutil_socket_t fd, short events, void *arg)
{
    struct native_connection *connection = arg;
    (void)fd;
    (void)events;

    bool was_last = connection->state == NATIVE_LINGERING && has_output(connection);
    bool ok = flush(connection);
    if (ok && was_last && !has_output(connection))
        ok = !connection->at_end && shutdown(connection->channel.fd, SHUT_WR) == 0;
    if (ok)
        go_on(connection);
    else
        end_connection(connection);
}

/* --- all of them ------------------------------------------------------------------------------ */

void native_connection_open(struct listener_part *part, int fd, SSL *ssl,
                            const struct sockaddr *peer)
{
    struct ingest_worker *worker = part->worker;
    struct event_base *base = thread_base(worker->thread);
    struct native_connection *connection = memory_zero(1, sizeof *connection);
    const int one = 1;

    if (part->listener->sockets.transport == TRANSPORT_TCP) {
        (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    }
    if (worker->native_reader == NULL)
        worker->native_reader = native_reader_new();
    connection->part = part;
    connection->channel = channel_of(fd, ssl);
    connection->in.room.place = peer_places_find(&worker->peer_places, fd);
    TAILQ_INIT(&connection->replies);
    (void)peer_format(peer, connection->peer);
    memcpy(&connection->address, peer,
           peer->sa_family == AF_INET6  ? sizeof(struct sockaddr_in6)
           : peer->sa_family == AF_INET ? sizeof(struct sockaddr_in)
                                        : sizeof peer->sa_family);
    connection->readable = event_new(base, fd, EV_READ | EV_PERSIST, on_readable, connection);
    connection->writable = event_new(base, fd, EV_WRITE, on_writable, connection);
    connection->turn = evtimer_new(base, on_turn, connection);
    assert(connection->readable != NULL && connection->writable != NULL &&
           connection->turn != NULL);
    connection->since = connection->wrote_at = clock_mono();
    TAILQ_INSERT_TAIL(&worker->native_connections, connection, link);
    worker_connection_opened(part);
    on_readable(fd, EV_READ, connection); /* TLS may have read on */
}

enum lateness { NOT_LATE, LATE_END, LATE_WORDS };

static enum lateness lateness_of(const struct native_connection *connection, mono_ms now)
{
    const struct worker_settings *settings = &worker_of(connection)->settings;
    span_ms age = now - connection->since;

    if (is_over(connection) ||
        (has_output(connection) && now - connection->wrote_at > settings->request_timeout))
        return LATE_END;
    switch (connection->state) {
    case NATIVE_GREETING:
        return age > settings->request_timeout ? LATE_WORDS : NOT_LATE;
    case NATIVE_LINGERING:
        return age > LINGER_MS ? LATE_END : NOT_LATE;
    case NATIVE_ENDING:
        return NOT_LATE;
    case NATIVE_OPEN:
        break;
    }
    if (connection->waiting > 0 || connection->is_stalled || connection->wants_room)
        return NOT_LATE;
    if (connection->in.bytes.len > 0)
        return age > settings->request_timeout ? LATE_WORDS : NOT_LATE;
    return settings->idle_timeout > 0 && age > settings->idle_timeout ? LATE_END : NOT_LATE;
}

void native_expire(struct ingest_worker *worker, mono_ms now)
{
    struct native_connection *next = NULL;
    struct native_error error;

    for (struct native_connection *c = TAILQ_FIRST(&worker->native_connections); c != NULL;
         c = next) {
        next = TAILQ_NEXT(c, link);
        enum lateness late = lateness_of(c, now);
        if (late == LATE_END)
            end_connection(c);
        if (late != LATE_WORDS)
            continue;
        (void)native_refuse(&error, 0, NATIVE_BUSY, "a frame took longer than %lld s",
                            (long long)worker->settings.request_timeout / MS_PER_SECOND);
        error.retry_after_ms = RETRY_AFTER_MS;
        count_refused(c, REJECT_truncated);
        end_with(c, &error);
        go_on(c);
    }
}

void native_check_tokens(struct ingest_worker *worker)
{
    struct native_connection *next = NULL;
    struct native_error error;

    for (struct native_connection *c = TAILQ_FIRST(&worker->native_connections); c != NULL;
         c = next) {
        next = TAILQ_NEXT(c, link);
        const char *why = part_why_denied(c->part, c->usage);
        if (c->state != NATIVE_OPEN || why == NULL)
            continue;
        (void)native_refuse(&error, 0, NATIVE_DENIED, "%s", why);
        if (c->in.bytes.len > 0) /* of a batch that nobody takes now */
            count_refused(c, REJECT_denied);
        end_with(c, &error);
        go_on(c);
    }
}

void native_drain(struct ingest_worker *worker, mono_ms until)
{
    const struct timespec pause = {.tv_nsec = DRAIN_PAUSE_NS};

    while (worker->native_waiting > 0 && clock_mono() < until) {
        if (mailbox_drain(thread_mailbox(worker->thread)) == 0)
            (void)nanosleep(&pause, NULL);
    }
}

void native_end_all(struct ingest_worker *worker)
{
    struct native_connection *next = NULL;

    for (struct native_connection *c = TAILQ_FIRST(&worker->native_connections); c != NULL;
         c = next) {
        next = TAILQ_NEXT(c, link);
        (void)flush(c);
        (void)shutdown(c->channel.fd, SHUT_RDWR);
        end_connection(c);
    }
}
