/* Room for long lines and frames without an end: who finds none waits and loses nothing, and nobody
 * keeps it from others for ever. */
#include "base/counters.h"
#include "collector.h"
#include "socket_path.h"

enum {
    LONG_BYTES = 20000,
    ROOM_BYTES = 7 * LONG_BYTES / 2, /* for three of them */
    HOLDERS = 3,
    CONNECTIONS = 20,
    BEGUN_BYTES = 6000, /* need room */
};

/* --- what is said ------------------------------------------------------------------------------
 */

/* Each makes one line or frame of LONG_BYTES. */
static void say_packed(struct buf *out) /* statsd: the samples are counted one by one */
{
    buf_text(out, "a:1");
    while (out->len < LONG_BYTES - 4)
        buf_text(out, ":1");
    buf_text(out, "|c\n");
}

static void say_influx(struct buf *out)
{
    buf_text(out, "a t=\"");
    while (out->len < LONG_BYTES - 8)
        buf_char(out, out->len % 100 == 0 ? '\n' : 'x');
    buf_text(out, "\",f=1\n");
}

static void say_pickle(struct buf *out)
{
    uint32_t len = htonl(LONG_BYTES - 4);

    buf_append(out, &len, sizeof len);
    buf_text(out, "(l(S'a'\n(I-1\nS'");
    while (out->len < LONG_BYTES - 7)
        buf_char(out, ' ');
    buf_text(out, "1'\ntta.");
}

static void say_packets(struct buf *out)
{
    uint32_t len = htole32(LONG_BYTES - 4);

    buf_append(out, &len, sizeof len);
    while (out->len + 6 < LONG_BYTES)
        buf_text(out, "a:1|c\n");
    while (out->len < LONG_BYTES)
        buf_char(out, '\n');
}

static const struct dialect {
    enum protocol protocol;
    enum transport transport;
    void (*say)(struct buf *out);
    unsigned stored, dropped; /* samples */
} dialects[] = {
    {PROTOCOL_STATSD, TRANSPORT_TCP, say_packed, (LONG_BYTES - 4) / 2, 0},
    {PROTOCOL_INFLUX, TRANSPORT_TCP, say_influx, 1, 1},
    {PROTOCOL_GRAPHITE_PICKLE, TRANSPORT_TCP, say_pickle, 1, 0},
    {PROTOCOL_DOGSTATSD, TRANSPORT_UNIX, say_packets, (LONG_BYTES - 4) / 6, 0},
};

static const struct dialect *const pickles = &dialects[2];

/* --- the scene ---------------------------------------------------------------------------------
 */

struct scene {
    const struct dialect *dialect;
    struct collector *collector;
    struct listener_config listener;
    struct ingest_config config;
    struct ingest_options options;
    struct ingest *ingest;
    struct buf bytes; /* one line or frame */
    char listen[200];
};

static void prepare(struct scene *scene, const struct dialect *dialect)
{
    *scene = (struct scene){
        .dialect = dialect,
        .collector = collector_new(),
        .listener = {.protocol = dialect->protocol,
                     .transport = dialect->transport,
                     .address = dialect->transport == TRANSPORT_TCP ? "127.0.0.1:0" : socket_path,
                     .name = "listener"}};
    scene->config = config_for(&scene->listener, 1);
    scene->config.line_bytes_max = LONG_BYTES;
    scene->config.frame_bytes_max = LONG_BYTES;
    scene->config.request_timeout = MS_PER_DAY;
    scene->options = options_for(scene->collector, 1);
    scene->options.tail_bytes_max = ROOM_BYTES;
    dialect->say(&scene->bytes);
    assert_true(scene->bytes.len > LONG_BYTES - 10 && scene->bytes.len <= LONG_BYTES + 1);
}

static void start(struct scene *scene)
{
    struct error err = ERROR_EMPTY;

    scene->ingest = ingest_start(&scene->options, &scene->config, &err);
    if (scene->ingest == NULL)
        fail_msg("%s (%s)", err.text, err.hint);
    struct listener_facts facts = facts_of(scene->ingest, 0);
    (void)snprintf(scene->listen, sizeof scene->listen, "%s", facts.listen);
}

static void finish(struct scene *scene)
{
    ingest_free(scene->ingest);
    assert_int_equal(COUNTER_GET(connections_waiting), 0);
    collector_free(scene->collector);
    buf_fini(&scene->bytes);
}

static unsigned samples(const struct scene *scene)
{
    return scene->dialect->stored + scene->dialect->dropped;
}

/* All but the last byte, which ends the line or frame; the kernel takes it, whoever reads. */
static int begin_one(const struct scene *scene)
{
    int fd = dial(scene->listen);

    say_bytes(fd, scene->bytes.bytes, scene->bytes.len - 1);
    return fd;
}

static void end_one(const struct scene *scene, int fd)
{
    say_bytes(fd, scene->bytes.bytes + scene->bytes.len - 1, 1);
}

/* In small pieces, so that each is read alone. */
static void say_to_all(const int *fds, size_t count, struct str bytes)
{
    const struct timespec pause = {.tv_nsec = 1000000};

    for (size_t i = 0; i < count; i++)
        say_bytes(fds[i], bytes.text, bytes.len);
    (void)nanosleep(&pause, NULL);
}

/* So many that have begun and hold all the room there is. */
static void fill_room(const struct scene *scene, int *fds, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        fds[i] = begin_one(scene);
        if (i >= HOLDERS)
            wait_for_counter(&counters.connections_waiting, i + 1 - HOLDERS);
    }
}

/* --- who waits ---------------------------------------------------------------------------------
 */

static void long_lines_and_frames_of_many_connections_all_come_out(void **state) /* G12 */
{
    (void)state;
    enum { PIECE = 700 };
    int fds[CONNECTIONS];

    for (size_t d = 0; d < TEST_COUNT(dialects); d++) {
        struct scene scene;
        prepare(&scene, &dialects[d]);
        start(&scene);
        uint64_t waits = COUNTER_GET(connection_waits);
        for (int i = 0; i < CONNECTIONS; i++)
            fds[i] = dial(scene.listen);
        size_t all = scene.bytes.len - 1;
        for (size_t at = 0; at < all; at += PIECE) {
            for (int i = 0; i < CONNECTIONS; i++)
                say_bytes(fds[i], scene.bytes.bytes + at, all - at < PIECE ? all - at : PIECE);
        }
        wait_for_counter(&counters.connections_waiting, CONNECTIONS - HOLDERS);
        assert_true(COUNTER_GET(connection_waits) >= waits + CONNECTIONS - HOLDERS);
        for (int i = CONNECTIONS - 1; i >= 0; i--) /* those that wait first */
            end_one(&scene, fds[i]);
        collector_wait(scene.collector, (uint64_t)CONNECTIONS * samples(&scene));
        struct ledger total = collector_total(scene.collector);
        assert_int_equal(total.stored, CONNECTIONS * scene.dialect->stored);
        assert_int_equal(total.dropped[DROP_string], CONNECTIONS * scene.dialect->dropped);
        for (int i = 0; i < CONNECTIONS; i++)
            (void)close(fds[i]);
        finish(&scene);
    }
}

static void short_ones_are_read_while_long_ones_wait(void **state)
{
    (void)state;
    enum { SHORT = 200 };
    int fds[CONNECTIONS];
    char text[8192];
    size_t len = 0;
    struct scene scene;
    prepare(&scene, &dialects[0]);
    start(&scene);
    fill_room(&scene, fds, CONNECTIONS);

    for (int i = 0; i < SHORT; i++)
        len += (size_t)snprintf(text + len, sizeof text - len, "a.name.of.thirty.bytes.%d:1|c\n",
                                i % 10);
    int fd = dial(scene.listen);
    say_bytes(fd, text, len);
    collector_wait(scene.collector, SHORT);
    assert_int_equal(COUNTER_GET(connections_waiting), CONNECTIONS - HOLDERS);
    for (int i = 0; i < CONNECTIONS; i++)
        end_one(&scene, fds[i]);
    collector_wait(scene.collector, SHORT + (uint64_t)CONNECTIONS * samples(&scene));
    for (int i = 0; i < CONNECTIONS; i++)
        (void)close(fds[i]);
    (void)close(fd);
    finish(&scene);
}

static void who_hangs_up_while_it_waits_has_said_what_it_said(void **state) /* S15 */
{
    (void)state;
    int fds[HOLDERS + 1];
    struct scene scene;
    prepare(&scene, &dialects[0]);
    start(&scene);

    fill_room(&scene, fds, HOLDERS + 1);
    (void)close(fds[HOLDERS]); /* a line without its newline is a line */
    (void)close(fds[0]);
    collector_wait(scene.collector, 2 * (uint64_t)samples(&scene));
    for (int i = 1; i < HOLDERS; i++) {
        end_one(&scene, fds[i]);
        (void)close(fds[i]);
    }
    collector_wait(scene.collector, (HOLDERS + 1) * (uint64_t)samples(&scene));
    assert_int_equal(collector_total(scene.collector).stored, (HOLDERS + 1) * samples(&scene));
    finish(&scene);
}

static void who_waits_is_not_idle(void **state)
{
    (void)state;
    enum { IDLE_MS = 60 };
    int fds[HOLDERS + 1];
    struct scene scene;
    prepare(&scene, pickles);
    scene.config.idle_timeout = IDLE_MS;
    start(&scene);

    /* Those that hold the room say a byte now and then, for several times as long. */
    for (int i = 0; i < HOLDERS; i++) {
        fds[i] = dial(scene.listen);
        say_bytes(fds[i], scene.bytes.bytes, BEGUN_BYTES);
    }
    wait_for_counter(&counters.connections_waiting, 0);
    fds[HOLDERS] = begin_one(&scene);
    wait_for_counter(&counters.connections_waiting, 1);
    size_t at = BEGUN_BYTES;
    for (mono_ms until = clock_mono() + 4 * IDLE_MS; clock_mono() < until; at++)
        say_to_all(fds, HOLDERS, (struct str){scene.bytes.bytes + at, 1});
    assert_true(at < scene.bytes.len - 1);
    assert_int_equal(COUNTER_GET(connections_waiting), 1);
    say_to_all(fds, HOLDERS, (struct str){scene.bytes.bytes + at, scene.bytes.len - at});
    end_one(&scene, fds[HOLDERS]);
    collector_wait(scene.collector, HOLDERS + 1);
    assert_int_equal(collector_total(scene.collector).stored, HOLDERS + 1);
    for (int i = 0; i <= HOLDERS; i++)
        (void)close(fds[i]);
    finish(&scene);
}

/* --- who lets others wait ----------------------------------------------------------------------
 */

/* Waits until so many were ended as too slow, and returns the counts. */
static struct ledger wait_for_slow(const struct scene *scene, uint64_t slow, uint64_t stored)
{
    const struct timespec pause = {.tv_nsec = 1000000};
    mono_ms until = clock_mono() + PATIENCE_S * 1000;
    struct ledger total = collector_total(scene->collector);

    while ((total.rejected[REJECT_too_slow] < slow || total.stored < stored) &&
           clock_mono() < until) {
        (void)nanosleep(&pause, NULL);
        total = collector_total(scene->collector);
    }
    return total;
}

static void who_never_ends_does_not_keep_the_room_for_ever(void **state)
{
    (void)state;
    enum { HOSTILE = 64, PATIENT_MS = 20 };

    for (size_t d = 0; d < TEST_COUNT(dialects); d++) {
        struct scene scene;
        struct capture capture;
        int fds[HOSTILE];
        prepare(&scene, &dialects[d]);
        scene.config.request_timeout = PATIENT_MS;
        capture_begin(&capture);
        start(&scene);
        for (int i = 0; i < HOSTILE; i++)
            fds[i] = begin_one(&scene);
        int good = begin_one(&scene);
        end_one(&scene, good);
        struct ledger total = wait_for_slow(&scene, HOSTILE - HOLDERS, scene.dialect->stored);
        capture_wait(&capture, "listener=\"listener\" reason=too_slow");
        capture_end(&capture);
        wait_for_counter(&counters.connections_waiting, 0);
        assert_int_equal(total.stored, scene.dialect->stored);
        assert_int_equal(total.dropped[DROP_string], scene.dialect->dropped);
        assert_in_range(total.rejected[REJECT_too_slow], HOSTILE - HOLDERS, HOSTILE - 1);
        assert_int_equal(total.received, samples(&scene) + total.rejected[REJECT_too_slow]);
        assert_int_equal(facts_of(scene.ingest, 0).connections,
                         HOSTILE + 1 - total.rejected[REJECT_too_slow]);
        for (int i = 0; i < HOSTILE; i++)
            (void)close(fds[i]);
        (void)close(good);
        finish(&scene);
    }
}

static void a_byte_now_and_then_does_not_help(void **state)
{
    (void)state;
    enum { PATIENT_MS = 20 };
    int fds[HOLDERS];
    struct scene scene;
    prepare(&scene, pickles);
    scene.config.request_timeout = PATIENT_MS;
    start(&scene);

    for (int i = 0; i < HOLDERS; i++) {
        fds[i] = dial(scene.listen);
        say_bytes(fds[i], scene.bytes.bytes, BEGUN_BYTES);
    }
    int good = begin_one(&scene);
    end_one(&scene, good);
    for (size_t at = BEGUN_BYTES; collector_total(scene.collector).stored == 0; at++) {
        assert_true(at < scene.bytes.len - 1);
        for (int i = 0; i < HOLDERS; i++) /* one of them is closed at last */
            (void)send(fds[i], scene.bytes.bytes + at, 1, MSG_NOSIGNAL);
        say_to_all(NULL, 0, STR_EMPTY);
    }
    struct ledger total = wait_for_slow(&scene, 1, 1);
    assert_int_equal(total.rejected[REJECT_too_slow], 1);
    assert_int_equal(total.received, 2);
    for (int i = 0; i < HOLDERS; i++)
        (void)close(fds[i]);
    (void)close(good);
    finish(&scene);
}

static void while_nobody_waits_everybody_may_take_long(void **state)
{
    (void)state;
    enum { PATIENT_MS = 10 };
    int fds[HOLDERS];

    for (size_t d = 0; d < TEST_COUNT(dialects); d++) {
        struct scene scene;
        prepare(&scene, &dialects[d]);
        scene.config.request_timeout = PATIENT_MS;
        start(&scene);
        for (int i = 0; i < HOLDERS; i++)
            fds[i] = begin_one(&scene);
        for (mono_ms until = clock_mono() + 5 * PATIENT_MS; clock_mono() < until;)
            say_to_all(NULL, 0, STR_EMPTY);
        for (int i = 0; i < HOLDERS; i++)
            end_one(&scene, fds[i]);
        collector_wait(scene.collector, HOLDERS * (uint64_t)samples(&scene));
        assert_int_equal(collector_total(scene.collector).stored, HOLDERS * scene.dialect->stored);
        for (int i = 0; i < HOLDERS; i++)
            (void)close(fds[i]);
        finish(&scene);
    }
}

/* --- a stop, a pause, a reload -----------------------------------------------------------------
 */

static void a_stop_takes_what_waits_and_not_all_the_time(void **state)
{
    (void)state;
    enum { GOOD = 10, DRAIN_MS = 30000 };
    int holders[HOLDERS];
    int fds[GOOD];

    for (size_t d = 0; d < TEST_COUNT(dialects); d++) {
        struct scene scene;
        prepare(&scene, &dialects[d]);
        start(&scene);
        fill_room(&scene, holders, HOLDERS);
        for (int i = 0; i < GOOD; i++) {
            fds[i] = begin_one(&scene);
            wait_for_counter(&counters.connections_waiting, (uint64_t)i + 1);
            end_one(&scene, fds[i]);
        }
        mono_ms began = clock_mono();
        ingest_stop(scene.ingest, DRAIN_MS);
        assert_true(clock_mono() - began < DRAIN_MS / 2);
        struct ledger total = collector_total(scene.collector);
        bool is_line = d < 2; /* a line without its newline is one (S15) */
        unsigned ones = is_line ? GOOD + HOLDERS : GOOD;
        assert_int_equal(total.stored, ones * scene.dialect->stored);
        assert_int_equal(total.rejected[REJECT_too_slow], 0);
        for (int i = 0; i < GOOD; i++)
            (void)close(fds[i]);
        for (int i = 0; i < HOLDERS; i++)
            (void)close(holders[i]);
        finish(&scene);
    }
}

static void a_stop_waits_no_longer_than_it_may(void **state)
{
    (void)state;
    enum { MANY = 60, DRAIN_MS = 200 };
    int fds[MANY];
    struct scene scene;
    prepare(&scene, pickles);
    start(&scene);

    fill_room(&scene, fds, MANY); /* none of which ever ends */
    mono_ms began = clock_mono();
    ingest_stop(scene.ingest, DRAIN_MS);
    assert_true(clock_mono() - began < 20 * DRAIN_MS);
    struct ledger total = collector_total(scene.collector);
    assert_int_equal(total.received, MANY);
    assert_int_equal(total.rejected[REJECT_truncated], MANY);
    for (int i = 0; i < MANY; i++)
        (void)close(fds[i]);
    finish(&scene);
}

static void a_pause_keeps_who_waits_and_who_has_begun(void **state)
{
    (void)state;
    enum { PATIENT_MS = 20 };
    int fds[HOLDERS + 2];
    struct scene scene;
    prepare(&scene, pickles);
    scene.options.pending_bytes_max = 1;
    scene.config.request_timeout = MS_PER_DAY;
    start(&scene);

    collector_set_room(scene.collector, false);
    fill_room(&scene, fds, HOLDERS + 2);
    end_one(&scene, fds[0]); /* past the budget: nothing is read from here on */
    for (int looks = 0; COUNTER_GET(ingest_paused) == 0; looks++) {
        assert_true(looks < PATIENCE_S * 1000);
        say_to_all(NULL, 0, STR_EMPTY);
    }
    scene.config.request_timeout = PATIENT_MS;
    struct error err = ERROR_EMPTY;
    assert_true(ingest_reload(scene.ingest, &scene.config, &err));
    for (int i = 1; i < HOLDERS + 2; i++)
        end_one(&scene, fds[i]);
    for (mono_ms until = clock_mono() + 5 * PATIENT_MS; clock_mono() < until;)
        say_to_all(NULL, 0, STR_EMPTY);
    collector_set_room(scene.collector, true);
    collector_wait(scene.collector, HOLDERS + 2);
    assert_int_equal(collector_total(scene.collector).stored, HOLDERS + 2);
    for (int i = 0; i < HOLDERS + 2; i++)
        (void)close(fds[i]);
    finish(&scene);
}

static void a_reload_may_change_every_limit_meanwhile(void **state)
{
    (void)state;
    static const size_t limits[] = {4 * LONG_BYTES, LONG_BYTES, 100 * LONG_BYTES};
    int fds[HOLDERS + 5];

    for (size_t d = 0; d < TEST_COUNT(dialects); d++) {
        struct scene scene;
        struct error err = ERROR_EMPTY;
        prepare(&scene, &dialects[d]);
        start(&scene);
        fill_room(&scene, fds, HOLDERS + 5);
        for (size_t i = 0; i < TEST_COUNT(limits); i++) {
            scene.config.line_bytes_max = limits[i];
            scene.config.frame_bytes_max = limits[i];
            scene.config.listener_count =
                i == 1 ? 0 : 1; /* its connections are read to their end */
            assert_true(ingest_reload(scene.ingest, &scene.config, &err));
        }
        for (int i = HOLDERS + 4; i >= 0; i--)
            end_one(&scene, fds[i]);
        collector_wait(scene.collector, (HOLDERS + 5) * (uint64_t)samples(&scene));
        assert_int_equal(collector_total(scene.collector).stored,
                         (HOLDERS + 5) * scene.dialect->stored);
        for (int i = 0; i < HOLDERS + 5; i++)
            (void)close(fds[i]);
        finish(&scene);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(long_lines_and_frames_of_many_connections_all_come_out),
        cmocka_unit_test(short_ones_are_read_while_long_ones_wait),
        cmocka_unit_test(who_hangs_up_while_it_waits_has_said_what_it_said),
        cmocka_unit_test(who_waits_is_not_idle),
        cmocka_unit_test(who_never_ends_does_not_keep_the_room_for_ever),
        cmocka_unit_test(a_byte_now_and_then_does_not_help),
        cmocka_unit_test(while_nobody_waits_everybody_may_take_long),
        cmocka_unit_test(a_stop_takes_what_waits_and_not_all_the_time),
        cmocka_unit_test(a_stop_waits_no_longer_than_it_may),
        cmocka_unit_test(a_pause_keeps_who_waits_and_who_has_begun),
        cmocka_unit_test(a_reload_may_change_every_limit_meanwhile),
    };
    return cmocka_run_group_tests(tests, make_path, remove_path);
}
