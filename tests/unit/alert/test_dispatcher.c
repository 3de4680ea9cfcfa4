/* The dispatcher against a real HTTP receiver in this process. Every wait is for a condition; the
 * deadline only ends a test that would hang. */
#include <arpa/inet.h>
#include <assert.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>

#include "alert/dispatcher.h"
#include "alert/hook_webhook.h"
#include "base/counters.h"
#include "fixture.h"

enum { DEADLINE_MS = 30000, REQUESTS_MAX = 32, BODY_MAX = 4000 };

static const char SECRET[] = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
static const char *const SECRETS[] = {SECRET};

/* --- the receiver ---------------------------------------------------------------------------- */

struct request {
    char path[100];
    char id[100];
    char timestamp[40];
    char signature[100];
    char agent[60];
    char type[60];
    char body[BODY_MAX];
};

struct reply {
    int status; /* 0: the request is left without an answer */
    const char *header;
    const char *value;
    size_t body_bytes;
};

struct receiver {
    struct thread *thread;
    struct evhttp *http;
    uint16_t port;

    /* under lock */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct request requests[REQUESTS_MAX];
    size_t count;
    struct reply script[REQUESTS_MAX]; /* the last one goes on */
    size_t script_count;
};

static void copy_header(struct evhttp_request *http, const char *name, char *out, size_t size)
{
    const char *value = evhttp_find_header(evhttp_request_get_input_headers(http), name);
    (void)snprintf(out, size, "%s", value == NULL ? "" : value);
}

static void send_reply(struct evhttp_request *http, const struct reply *reply)
{
    struct evbuffer *body = evbuffer_new();
    if (reply->header != NULL)
        (void)evhttp_add_header(evhttp_request_get_output_headers(http), reply->header,
                                reply->value);
    for (size_t i = 0; i < reply->body_bytes; i++)
        (void)evbuffer_add(body, "x", 1);
    evhttp_send_reply(http, reply->status, "as told", body);
    evbuffer_free(body);
}

static void on_request(struct evhttp_request *http, void *arg)
{
    struct receiver *receiver = arg;
    struct evbuffer *input = evhttp_request_get_input_buffer(http);

    (void)pthread_mutex_lock(&receiver->lock);
    assert(receiver->count < REQUESTS_MAX);
    struct request *request = &receiver->requests[receiver->count];
    (void)snprintf(request->path, sizeof request->path, "%s", evhttp_request_get_uri(http));
    copy_header(http, "webhook-id", request->id, sizeof request->id);
    copy_header(http, "webhook-timestamp", request->timestamp, sizeof request->timestamp);
    copy_header(http, "webhook-signature", request->signature, sizeof request->signature);
    copy_header(http, "User-Agent", request->agent, sizeof request->agent);
    copy_header(http, "Content-Type", request->type, sizeof request->type);
    ev_ssize_t len = evbuffer_remove(input, request->body, BODY_MAX - 1);
    request->body[len < 0 ? 0 : len] = '\0';
    size_t at =
        receiver->count < receiver->script_count ? receiver->count : receiver->script_count - 1;
    struct reply reply = receiver->script[at];
    receiver->count++;
    (void)pthread_cond_broadcast(&receiver->changed);
    (void)pthread_mutex_unlock(&receiver->lock);
    if (reply.status != 0)
        send_reply(http, &reply);
}

/* Port 0: a free one, noted in `port`. */
static void receiver_listen(struct receiver *receiver)
{
    struct error err = ERROR_EMPTY;
    struct sockaddr_in address;
    socklen_t size = sizeof address;

    receiver->thread = thread_new("receiver", 8, receiver, NULL);
    receiver->http = evhttp_new(thread_base(receiver->thread));
    evhttp_set_gencb(receiver->http, on_request, receiver);
    struct evhttp_bound_socket *bound =
        evhttp_bind_socket_with_handle(receiver->http, "127.0.0.1", receiver->port);
    assert_non_null(bound);
    assert_int_equal(
        getsockname(evhttp_bound_socket_get_fd(bound), (struct sockaddr *)&address, &size), 0);
    receiver->port = ntohs(address.sin_port);
    assert_true(thread_start(receiver->thread, &err));
}

static void receiver_close(struct receiver *receiver)
{
    thread_stop(receiver->thread);
    evhttp_free(receiver->http);
    thread_free(receiver->thread);
}

static void receiver_start(struct receiver *receiver, const struct reply *script, size_t count)
{
    memset(receiver, 0, sizeof *receiver);
    (void)pthread_mutex_init(&receiver->lock, NULL);
    (void)pthread_cond_init(&receiver->changed, NULL);
    memcpy(receiver->script, script, count * sizeof *script);
    receiver->script_count = count;
    receiver_listen(receiver);
}

static struct request wait_for_request(struct receiver *receiver, size_t number)
{
    struct timespec until;
    int rc = 0;

    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += DEADLINE_MS / 1000;
    (void)pthread_mutex_lock(&receiver->lock);
    while (receiver->count < number && rc == 0)
        rc = pthread_cond_timedwait(&receiver->changed, &receiver->lock, &until);
    struct request request = receiver->requests[number - 1];
    (void)pthread_mutex_unlock(&receiver->lock);
    if (rc != 0)
        fail_msg("request %zu did not come", number);
    return request;
}

static size_t received(struct receiver *receiver)
{
    (void)pthread_mutex_lock(&receiver->lock);
    size_t count = receiver->count;
    (void)pthread_mutex_unlock(&receiver->lock);
    return count;
}

/* --- the daemon's part ----------------------------------------------------------------------- */

struct scene {
    struct fixture *store;
    struct receiver receiver;
    char urls[2][100];
    struct hook hooks[2]; /* "chat" and "other" */
    struct hook_set set;
    struct dispatcher *dispatcher;
};

static void set_url(struct scene *scene, size_t hook, const struct receiver *receiver,
                    const char *path)
{
    (void)snprintf(scene->urls[hook], sizeof scene->urls[hook], "http://127.0.0.1:%u%s",
                   receiver->port, path);
    scene->hooks[hook].url = scene->urls[hook];
}

static void scene_setup(struct scene *scene, void **state, const struct reply *script, size_t count)
{
    struct error err = ERROR_EMPTY;
    static const char *const ids[] = {"chat", "other"};

    memset(scene, 0, sizeof *scene);
    scene->store = *state;
    receiver_start(&scene->receiver, script, count);
    for (size_t i = 0; i < 2; i++) {
        scene->hooks[i] = (struct hook){.id = ids[i],
                                        .kind = &HOOK_WEBHOOK,
                                        .secrets = SECRETS,
                                        .secret_count = 1,
                                        .timeout = 20 * MS_PER_SECOND,
                                        .retry_first = 20,
                                        .retry_max = 100,
                                        .give_up = MS_PER_DAY,
                                        .jitter_percent = 20};
        set_url(scene, i, &scene->receiver, i == 0 ? "/chat" : "/other");
    }
    scene->set = (struct hook_set){.hooks = scene->hooks, .count = 2};
    assert_true(writer_start(scene->store->writer, &err));
}

static void start_dispatcher(struct scene *scene)
{
    struct error err = ERROR_EMPTY;
    scene->dispatcher = dispatcher_new(scene->store->store, scene->store->writer, &scene->set);
    assert_true(dispatcher_start(scene->dispatcher, &err));
}

/* In the order in which app does it. */
static void scene_teardown(struct scene *scene)
{
    dispatcher_stop(scene->dispatcher);
    writer_stop(scene->store->writer);
    dispatcher_free(scene->dispatcher);
    receiver_close(&scene->receiver);
}

typedef bool (*condition_fn)(struct scene *scene);

/* For what has no condition variable: looks again until it holds. */
static void wait_until(struct scene *scene, condition_fn holds, const char *what)
{
    mono_ms until = clock_mono() + DEADLINE_MS;
    while (!holds(scene)) {
        if (clock_mono() > until)
            fail_msg("it never came that %s", what);
        (void)poll(NULL, 0, 1);
    }
}

static void push_old(struct scene *scene, const char *hook, const char *rule, enum event_type type,
                     wall_ms now)
{
    struct push push = {.rule = rule, .type = type, .hooks = {hook}, .hook_count = 1, .now = now};
    struct write_job write = {
        .job.run = run_write_job, .job.done = on_write_done, .call = run_push, .arg = &push};
    writer_post_job(scene->store->writer, &write.job);
    while (write.answer == 0)
        (void)poll(NULL, 0, 1);
    assert_int_equal(write.answer, 1);
    if (scene->dispatcher != NULL)
        dispatcher_wake(scene->dispatcher);
}

static void push(struct scene *scene, const char *hook, const char *rule, enum event_type type)
{
    push_old(scene, hook, rule, type, clock_wall());
}

static bool one_is_sent(struct scene *scene)
{
    return facts_of(scene->store, "chat").sent == 1;
}

static bool three_are_sent(struct scene *scene)
{
    return facts_of(scene->store, "chat").sent == 3;
}

static bool one_is_dead(struct scene *scene)
{
    return facts_of(scene->store, "chat").dead == 1;
}

static bool one_has_failed(struct scene *scene)
{
    return facts_of(scene->store, "chat").last_error[0] != '\0';
}

static struct outbox_entry first_entry(struct scene *scene, struct arena *arena, const char *hook)
{
    struct outbox_entry entry;
    struct read_txn *txn = read_begin(scene->store);
    assert_true(outbox_expired(txn, str_of(hook), INT64_MAX, arena, &entry));
    read_txn_end(txn);
    return entry;
}

static void assert_signed(const struct request *request)
{
    struct webhook_message message = {str_of(request->id), 0, str_of(request->body)};
    char signature[WEBHOOK_SIGNATURE_SIZE];
    struct error err = ERROR_EMPTY;
    assert_true(str_parse_i64(str_of(request->timestamp), &message.timestamp_s));
    assert_true(webhook_sign(SECRET, &message, signature, &err));
    assert_string_equal(request->signature, signature);
}

/* --- tests ----------------------------------------------------------------------------------- */

static const struct reply OK[] = {{.status = 200}};

static void a_message_arrives_once_and_signed(void **state)
{
    struct scene scene;
    uint64_t sent = COUNTER_GET(messages_sent);
    scene_setup(&scene, state, OK, 1);
    start_dispatcher(&scene);
    push(&scene, "chat", "r1", EVENT_FIRING);
    struct request request = wait_for_request(&scene.receiver, 1);
    assert_string_equal(request.path, "/chat");
    assert_string_equal(request.type, "application/json");
    assert_string_equal(request.agent, "kpid/" KPID_VERSION);
    assert_int_equal(strncmp(request.id, "msg_", 4), 0);
    assert_non_null(strstr(request.body, "\"type\":\"kpi.alert.firing\""));
    assert_signed(&request);
    wait_until(&scene, one_is_sent, "the message is acknowledged");
    assert_int_equal(facts_of(scene.store, "chat").pending, 0);
    scene_teardown(&scene);
    assert_int_equal(received(&scene.receiver), 1);
    assert_int_equal(COUNTER_GET(messages_sent) - sent, 1);
}

static void a_failed_attempt_is_repeated_with_the_same_id(void **state)
{
    static const struct reply script[] = {{.status = 500}, {.status = 503}, {.status = 204}};
    struct scene scene;
    uint64_t failed = COUNTER_GET(messages_failed);
    scene_setup(&scene, state, script, 3);
    start_dispatcher(&scene);
    push(&scene, "chat", "r1", EVENT_FIRING);
    struct request last = wait_for_request(&scene.receiver, 3);
    wait_until(&scene, one_is_sent, "the message is acknowledged");
    scene_teardown(&scene);
    assert_string_equal(scene.receiver.requests[0].id, last.id);
    assert_string_equal(scene.receiver.requests[1].id, last.id);
    assert_signed(&last);
    assert_int_equal(received(&scene.receiver), 3);
    assert_int_equal(COUNTER_GET(messages_failed) - failed, 2);
    assert_string_equal(facts_of(scene.store, "chat").last_error, "");
}

static void messages_of_one_rule_arrive_in_their_order(void **state)
{
    static const struct reply script[] = {{.status = 500}, {.status = 200}};
    struct scene scene;
    scene_setup(&scene, state, script, 2);
    push(&scene, "chat", "r1", EVENT_FIRING);
    push(&scene, "chat", "r1", EVENT_RESOLVED);
    push(&scene, "chat", "r1", EVENT_ENDED);
    start_dispatcher(&scene);
    wait_until(&scene, three_are_sent, "all are acknowledged");
    scene_teardown(&scene);
    static const char *const types[] = {"kpi.alert.firing", "kpi.alert.firing",
                                        "kpi.alert.resolved", "kpi.alert.ended"};
    assert_int_equal(received(&scene.receiver), TEST_COUNT(types));
    for (size_t i = 0; i < TEST_COUNT(types); i++)
        assert_non_null(strstr(scene.receiver.requests[i].body, types[i]));
}

static void retry_after_holds_the_whole_hook(void **state)
{
    static const struct reply script[] = {
        {.status = 429, .header = "Retry-After", .value = "3600"}};
    struct scene scene;
    struct arena arena = ARENA_EMPTY;
    wall_ms before = clock_wall();
    scene_setup(&scene, state, script, 1);
    start_dispatcher(&scene);
    push(&scene, "chat", "r1", EVENT_FIRING);
    wait_until(&scene, one_has_failed, "the attempt has failed");
    push(&scene, "chat", "r2", EVENT_FIRING);  /* must wait as well */
    push(&scene, "other", "r1", EVENT_FIRING); /* this one shows that the outbox was looked at */
    struct request second = wait_for_request(&scene.receiver, 2);
    assert_string_equal(second.path, "/other");
    struct outbox_entry entry = first_entry(&scene, &arena, "chat");
    assert_true(entry.next_try >= before + 3600 * MS_PER_SECOND);
    assert_true(entry.next_try <= clock_wall() + 3600 * MS_PER_SECOND);
    assert_int_equal(facts_of(scene.store, "chat").pending, 2);
    scene_teardown(&scene);
    assert_int_equal(received(&scene.receiver), 2);
    arena_fini(&arena);
}

static void a_receiver_that_was_down_gets_the_message_once(void **state)
{
    struct scene scene;
    scene_setup(&scene, state, OK, 1);
    receiver_close(&scene.receiver);
    start_dispatcher(&scene);
    push(&scene, "chat", "r1", EVENT_FIRING);
    wait_until(&scene, one_has_failed, "an attempt has failed");
    receiver_listen(&scene.receiver); /* on the same port */
    (void)wait_for_request(&scene.receiver, 1);
    wait_until(&scene, one_is_sent, "the message is acknowledged");
    scene_teardown(&scene);
    assert_int_equal(received(&scene.receiver), 1);
}

static void a_hook_that_is_gone_buries_the_message(void **state)
{
    static const struct reply script[] = {{.status = 410}};
    struct scene scene;
    uint64_t dead = COUNTER_GET(messages_dead);
    scene_setup(&scene, state, script, 1);
    start_dispatcher(&scene);
    push(&scene, "chat", "r1", EVENT_FIRING);
    wait_until(&scene, one_is_dead, "the message is given up");
    assert_string_equal(facts_of(scene.store, "chat").last_error, "status 410");
    scene_teardown(&scene);
    assert_int_equal(received(&scene.receiver), 1);
    assert_int_equal(COUNTER_GET(messages_dead) - dead, 1);
}

static void a_redirect_is_not_followed(void **state)
{
    struct scene scene;
    struct reply script[] = {{.status = 302, .header = "Location", .value = "/elsewhere"}};
    scene_setup(&scene, state, script, 1);
    start_dispatcher(&scene);
    push(&scene, "chat", "r1", EVENT_FIRING);
    wait_until(&scene, one_is_dead, "the message is given up");
    scene_teardown(&scene);
    assert_int_equal(received(&scene.receiver), 1);
}

static void a_message_is_given_up_when_its_time_is_over(void **state)
{
    static const struct reply script[] = {{.status = 500}};
    struct scene scene;
    scene_setup(&scene, state, script, 1);
    push_old(&scene, "chat", "r1", EVENT_FIRING, clock_wall() - MS_PER_DAY);
    start_dispatcher(&scene);
    wait_until(&scene, one_is_dead, "the message is given up");
    assert_string_equal(facts_of(scene.store, "chat").last_error, "status 500");
    assert_int_equal(facts_of(scene.store, "chat").pending, 0);
    scene_teardown(&scene);
    assert_int_equal(received(&scene.receiver), 1); /* it had one chance more */
}

static void the_last_try_is_when_the_time_is_over(void **state)
{
    static const struct reply script[] = {{.status = 500}};
    struct scene scene;
    struct arena arena = ARENA_EMPTY;
    wall_ms queued_at = clock_wall() - 23 * (wall_ms)MS_PER_HOUR;
    scene_setup(&scene, state, script, 1);
    scene.hooks[0].retry_first = 2 * MS_PER_HOUR;
    scene.hooks[0].retry_max = 2 * MS_PER_HOUR;
    push_old(&scene, "chat", "r1", EVENT_FIRING, queued_at);
    start_dispatcher(&scene);
    wait_until(&scene, one_has_failed, "the attempt has failed");
    struct outbox_entry entry = first_entry(&scene, &arena, "chat");
    assert_int_equal(entry.attempts, 1);
    assert_int_equal(entry.next_try, queued_at + MS_PER_DAY);
    scene_teardown(&scene);
    arena_fini(&arena);
}

static void a_receiver_that_is_silent_is_not_waited_for_long(void **state)
{
    static const struct reply script[] = {{.status = 0}, {.status = 200}};
    struct scene scene;
    scene_setup(&scene, state, script, 2);
    scene.hooks[0].timeout = 50;
    start_dispatcher(&scene);
    push(&scene, "chat", "r1", EVENT_FIRING);
    wait_until(&scene, one_is_sent, "the message is acknowledged");
    scene_teardown(&scene);
    assert_true(received(&scene.receiver) >= 2);
}

static void a_silent_receiver_holds_up_no_other_hook(void **state)
{
    static const struct reply script[] = {{.status = 0}, {.status = 200}};
    struct scene scene;
    scene_setup(&scene, state, script, 2);
    start_dispatcher(&scene);
    push(&scene, "other", "r1", EVENT_FIRING);
    (void)wait_for_request(&scene.receiver, 1);
    push(&scene, "chat", "r1", EVENT_FIRING);
    wait_until(&scene, one_is_sent, "the other hook's message is acknowledged");
    assert_int_equal(facts_of(scene.store, "other").pending, 1);
    scene_teardown(&scene);
}

static void of_a_long_answer_only_the_beginning_is_read(void **state)
{
    static const struct reply script[] = {{.status = 200, .body_bytes = 3 << 20}};
    struct scene scene;
    scene_setup(&scene, state, script, 1);
    start_dispatcher(&scene);
    push(&scene, "chat", "r1", EVENT_FIRING);
    wait_until(&scene, one_is_sent, "the message is acknowledged");
    scene_teardown(&scene);
    assert_int_equal(received(&scene.receiver), 1);
}

/* The linker sends the dispatcher's acknowledgements through here. */
bool __real_outbox_ack(struct write_txn *txn, struct str hook, uint64_t sequence, wall_ms now,
                       struct error *err);
bool __wrap_outbox_ack(struct write_txn *txn, struct str hook, uint64_t sequence, wall_ms now,
                       struct error *err);

static atomic_int acks_to_refuse;
static atomic_int acks_refused;

bool __wrap_outbox_ack(struct write_txn *txn, struct str hook, uint64_t sequence, wall_ms now,
                       struct error *err)
{
    if (atomic_load(&acks_refused) < atomic_load(&acks_to_refuse)) {
        (void)atomic_fetch_add(&acks_refused, 1);
        return error_set(err, ERROR_CORRUPT, "the outbox cannot be written");
    }
    return __real_outbox_ack(txn, hook, sequence, now, err);
}

static void what_cannot_be_acknowledged_is_not_sent_again(void **state)
{
    struct scene scene;
    scene_setup(&scene, state, OK, 1);
    start_dispatcher(&scene);
    atomic_store(&acks_to_refuse, 1);
    push(&scene, "chat", "r1", EVENT_FIRING);
    wait_until(&scene, one_is_sent, "the message is acknowledged");
    assert_int_equal(atomic_load(&acks_refused), 1);
    scene_teardown(&scene);
    assert_int_equal(received(&scene.receiver), 1);
    atomic_store(&acks_to_refuse, 0);
    atomic_store(&acks_refused, 0);
}

static void what_was_never_acknowledged_stays_queued(void **state)
{
    struct scene scene;
    scene_setup(&scene, state, OK, 1);
    start_dispatcher(&scene);
    atomic_store(&acks_to_refuse, 1000);
    push(&scene, "chat", "r1", EVENT_FIRING);
    (void)wait_for_request(&scene.receiver, 1);
    while (atomic_load(&acks_refused) == 0)
        (void)poll(NULL, 0, 1);
    scene_teardown(&scene);
    assert_int_equal(facts_of(scene.store, "chat").pending, 1);
    atomic_store(&acks_to_refuse, 0);
    atomic_store(&acks_refused, 0);
}

static void what_was_pending_is_delivered_after_a_restart(void **state)
{
    static const struct reply script[] = {{.status = 0}, {.status = 200}};
    struct scene scene;
    scene_setup(&scene, state, script, 2);
    start_dispatcher(&scene);
    push(&scene, "chat", "r1", EVENT_FIRING);
    struct request first = wait_for_request(&scene.receiver, 1);
    dispatcher_stop(scene.dispatcher); /* amid the transfer */
    writer_stop(scene.store->writer);
    dispatcher_free(scene.dispatcher);
    fixture_close(scene.store);

    struct error err = ERROR_EMPTY;
    fixture_open(scene.store);
    assert_true(writer_start(scene.store->writer, &err));
    assert_int_equal(facts_of(scene.store, "chat").pending, 1);
    start_dispatcher(&scene);
    struct request second = wait_for_request(&scene.receiver, 2);
    assert_string_equal(first.id, second.id);
    assert_string_equal(first.body, second.body);
    wait_until(&scene, one_is_sent, "the message is acknowledged");
    scene_teardown(&scene);
}

static void a_reload_sends_what_is_pending_to_the_new_address(void **state)
{
    static const struct reply silent[] = {{.status = 0}};
    struct scene scene;
    struct receiver other;
    char url[100];
    scene_setup(&scene, state, silent, 1);
    receiver_start(&other, OK, 1);
    start_dispatcher(&scene);
    push(&scene, "chat", "r1", EVENT_FIRING);
    struct request first = wait_for_request(&scene.receiver, 1);

    (void)snprintf(url, sizeof url, "http://127.0.0.1:%u/new", other.port);
    struct hook moved = scene.hooks[0];
    moved.url = url;
    const struct hook_set set = {.hooks = &moved, .count = 1};
    dispatcher_reload(scene.dispatcher, &set);
    memset(scene.hooks, 0, sizeof scene.hooks); /* the old ones are no longer used */
    struct request second = wait_for_request(&other, 1);
    assert_string_equal(second.path, "/new");
    assert_string_equal(first.id, second.id);
    wait_until(&scene, one_is_sent, "the message is acknowledged");
    scene_teardown(&scene);
    receiver_close(&other);
}

static bool vanished_is_dead(struct scene *scene)
{
    return facts_of(scene->store, "vanished").dead == 1;
}

static void messages_of_a_hook_that_vanished_wait_a_day(void **state)
{
    struct scene scene;
    scene_setup(&scene, state, OK, 1);
    push_old(&scene, "vanished", "r1", EVENT_FIRING, clock_wall() - 25 * (wall_ms)MS_PER_HOUR);
    push(&scene, "vanished", "r2", EVENT_FIRING);
    start_dispatcher(&scene);
    wait_until(&scene, vanished_is_dead, "the old one is given up");
    struct outbox_facts facts = facts_of(scene.store, "vanished");
    assert_int_equal(facts.pending, 1);
    assert_string_equal(facts.last_error, "the hook is no longer in the configuration");
    scene_teardown(&scene);
    assert_int_equal(received(&scene.receiver), 0);
}

static void slack_gets_its_blocks(void **state)
{
    struct scene scene;
    scene_setup(&scene, state, OK, 1);
    scene.hooks[0].kind = &HOOK_SLACK;
    start_dispatcher(&scene);
    push(&scene, "chat", "r1", EVENT_FIRING);
    struct request request = wait_for_request(&scene.receiver, 1);
    assert_non_null(strstr(request.body, "\"blocks\":[{\"type\":\"header\""));
    assert_string_equal(request.signature, "");
    wait_until(&scene, one_is_sent, "the message is acknowledged");
    scene_teardown(&scene);
}

static void a_dispatcher_that_never_ran_is_freed(void **state)
{
    struct scene scene;
    scene_setup(&scene, state, OK, 1);
    scene.dispatcher = dispatcher_new(scene.store->store, scene.store->writer, &scene.set);
    dispatcher_wake(scene.dispatcher);
    scene_teardown(&scene);
    dispatcher_free(NULL);
}

int main(void)
{
    /* A proxy of the environment must not be used: nothing listens there. */
    (void)setenv("http_proxy", "http://127.0.0.1:1", 1);
    (void)setenv("all_proxy", "http://127.0.0.1:1", 1);
    const struct CMUnitTest tests[] = {
        STORE_TEST(a_message_arrives_once_and_signed),
        STORE_TEST(a_failed_attempt_is_repeated_with_the_same_id),
        STORE_TEST(messages_of_one_rule_arrive_in_their_order),
        STORE_TEST(retry_after_holds_the_whole_hook),
        STORE_TEST(a_receiver_that_was_down_gets_the_message_once),
        STORE_TEST(a_hook_that_is_gone_buries_the_message),
        STORE_TEST(a_redirect_is_not_followed),
        STORE_TEST(a_message_is_given_up_when_its_time_is_over),
        STORE_TEST(the_last_try_is_when_the_time_is_over),
        STORE_TEST(a_receiver_that_is_silent_is_not_waited_for_long),
        STORE_TEST(a_silent_receiver_holds_up_no_other_hook),
        STORE_TEST(of_a_long_answer_only_the_beginning_is_read),
        STORE_TEST(what_cannot_be_acknowledged_is_not_sent_again),
        STORE_TEST(what_was_never_acknowledged_stays_queued),
        STORE_TEST(what_was_pending_is_delivered_after_a_restart),
        STORE_TEST(a_reload_sends_what_is_pending_to_the_new_address),
        STORE_TEST(messages_of_a_hook_that_vanished_wait_a_day),
        STORE_TEST(slack_gets_its_blocks),
        STORE_TEST(a_dispatcher_that_never_ran_is_freed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
