/* A whole ingest over real sockets, whose sink does with batches what the test says: for tests of
 * what is answered when. */
#pragma once

#include "base/counters.h"
#include "collector.h"

/* What the sink does with batches that somebody waits for. */
enum mode { STORE, FAIL, REPEAT, TOO_OLD, CONFLICT, DUPLICATE, REFUSE, HOLD };

enum { HELD_MAX = 128 };

static struct scene {
    struct collector *collector;
    struct listener_config listener;
    struct listener_config listeners[2]; /* it and a stream's, where a test wants that */
    struct ingest_config config;
    struct ingest_options options;
    struct ingest *ingest;
    char listen[200];

    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t changed;
    enum mode mode;
    unsigned posted;
    struct delta_identity identities[HELD_MAX];
    struct delta *held[HELD_MAX];
    unsigned held_count;
} scene;

static inline void finish(struct delta *delta, enum mode mode)
{
    const struct error full = {ERROR_FULL, "no room", ""};

    switch (mode) {
    case FAIL:
        delta->on_done(delta, &full);
        delta_free(delta);
        return;
    case REPEAT:
    case TOO_OLD:
    case CONFLICT:
        delta->outcome = mode == REPEAT    ? DELTA_REPEATED
                         : mode == TOO_OLD ? DELTA_TOO_OLD
                                           : DELTA_CONFLICT;
        delta->on_done(delta, NULL);
        delta_free(delta);
        return;
    case DUPLICATE:
        delta->not_stored = 1;
        (void)collector_post(delta, scene.collector);
        return;
    default:
        (void)collector_post(delta, scene.collector);
    }
}

static inline bool post(struct delta *delta, void *arg)
{
    (void)arg;
    if (!delta_is_waited_for(delta))
        return collector_post(delta, scene.collector);
    (void)pthread_mutex_lock(&scene.lock);
    enum mode mode = scene.mode;
    if (scene.posted < HELD_MAX)
        scene.identities[scene.posted] = delta->identity;
    scene.posted++;
    if (mode == HOLD) {
        assert_true(scene.held_count < HELD_MAX);
        scene.held[scene.held_count++] = delta;
    }
    (void)pthread_cond_broadcast(&scene.changed);
    (void)pthread_mutex_unlock(&scene.lock);
    if (mode == REFUSE)
        return false;
    if (mode != HOLD)
        finish(delta, mode);
    return true;
}

static inline void set_mode(enum mode mode)
{
    (void)pthread_mutex_lock(&scene.lock);
    scene.mode = mode;
    (void)pthread_mutex_unlock(&scene.lock);
}

static inline unsigned posted(void)
{
    (void)pthread_mutex_lock(&scene.lock);
    unsigned count = scene.posted;
    (void)pthread_mutex_unlock(&scene.lock);
    return count;
}

static inline void wait_posted(unsigned count)
{
    struct timespec until = patience();
    int rc = 0;

    (void)pthread_mutex_lock(&scene.lock);
    while (scene.posted < count && rc == 0)
        rc = pthread_cond_timedwait(&scene.changed, &scene.lock, &until);
    (void)pthread_mutex_unlock(&scene.lock);
    assert_int_equal(rc, 0);
}

/* The sink's word on the newest batch it holds. */
static inline void release_newest(enum mode mode)
{
    (void)pthread_mutex_lock(&scene.lock);
    assert_true(scene.held_count > 0);
    struct delta *delta = scene.held[--scene.held_count];
    (void)pthread_mutex_unlock(&scene.lock);
    finish(delta, mode);
}

/* The same on all of them. */
static inline void release_all(enum mode mode)
{
    (void)pthread_mutex_lock(&scene.lock);
    unsigned count = scene.held_count;
    scene.held_count = 0;
    (void)pthread_mutex_unlock(&scene.lock);
    for (unsigned i = 0; i < count; i++)
        finish(scene.held[i], mode);
}

/* With one listener, as a test's setup; more may be set until `start`. */
static inline void scene_init(const struct listener_config *listener)
{
    memset(&scene, 0, sizeof scene);
    (void)pthread_mutex_init(&scene.lock, NULL);
    (void)pthread_cond_init(&scene.changed, NULL);
    scene.collector = collector_new();
    scene.listener = *listener;
    scene.config = config_for(&scene.listener, 1);
    scene.config.request_timeout = MS_PER_MINUTE;
    scene.config.idle_timeout = MS_PER_HOUR;
    scene.options = options_for(scene.collector, 2);
    scene.options.sink =
        (struct delta_sink){.has_room = collector_has_room, .post = post, .arg = scene.collector};
}

static inline void start(void)
{
    struct error err = ERROR_EMPTY;

    scene.ingest = ingest_start(&scene.options, &scene.config, &err);
    if (scene.ingest == NULL)
        fail_msg("%s", err.text);
    struct listener_facts facts = facts_of(scene.ingest, 0);
    (void)snprintf(scene.listen, sizeof scene.listen, "%s", facts.listen);
}

/* One thread, with a listener of a stream besides, and a sink that holds what comes. */
static inline void start_beside_stream(void)
{
    scene.listeners[0] = scene.listener;
    scene.listeners[1] = tcp_listener();
    scene.config.listeners = scene.listeners;
    scene.config.listener_count = 2;
    scene.options.threads = 1;
    start();
    set_mode(HOLD);
}

/* The streams of a thread end before it waits for its answers. */
static inline void *release_during_stop(void *arg)
{
    const int *stream = arg;
    wait_until_closed(*stream);
    release_all(STORE);
    return NULL;
}

/* After start_beside_stream: the sink has stored what it holds when ingest has begun to stop. */
static inline void stop_and_release(void)
{
    pthread_t thread;
    struct listener_facts facts = facts_of(scene.ingest, 1);
    int stream = dial(facts.listen);

    say(stream, "up:1|c\n");
    collector_wait(scene.collector, 1);
    assert_int_equal(pthread_create(&thread, NULL, release_during_stop, &stream), 0);
    ingest_stop(scene.ingest, PATIENCE_S * 1000);
    (void)pthread_join(thread, NULL);
}

static inline int teardown(void **state)
{
    (void)state;
    ingest_free(scene.ingest);
    collector_free(scene.collector);
    (void)pthread_cond_destroy(&scene.changed);
    (void)pthread_mutex_destroy(&scene.lock);
    assert_int_equal(COUNTER_GET(ingest_body_bytes), 0);
    return 0;
}
