/* What a reload does with sockets: whose they are, what is spoken on them, and that it is all or
 * nothing. */
#include <sched.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include "collector.h"
#include "socket_folder.h"

/* --- a real ingest -----------------------------------------------------------------------------
 */

static struct ingest_config config_with(const struct listener_config *listeners, size_t count)
{
    struct ingest_config config = config_for(listeners, count);
    config.body_bytes_max = 4096;
    config.request_timeout = MS_PER_MINUTE;
    return config;
}

struct scene {
    struct collector *collector;
    struct ingest *ingest;
    char listen[200]; /* of the first listener */
    uint64_t sent;
};

static struct scene begin(const struct listener_config *listeners, size_t count)
{
    struct ingest_config config = config_with(listeners, count);
    struct scene scene = {.collector = collector_new()};

    scene.ingest = must_start(scene.collector, 2, &config);
    (void)snprintf(scene.listen, sizeof scene.listen, "%s", facts_of(scene.ingest, 0).listen);
    return scene;
}

static void end(struct scene *scene)
{
    ingest_free(scene->ingest);
    collector_free(scene->collector);
}

static void must_reload(struct scene *scene, const struct listener_config *listeners, size_t count)
{
    struct ingest_config config = config_with(listeners, count);
    struct error err = ERROR_EMPTY;

    if (!ingest_reload(scene->ingest, &config, &err))
        fail_msg("%s (%s)", err.text, err.hint);
}

static struct error must_refuse(struct scene *scene, const struct listener_config *listeners,
                                size_t count)
{
    struct ingest_config config = config_with(listeners, count);
    struct error err = ERROR_EMPTY;

    assert_false(ingest_reload(scene->ingest, &config, &err));
    return err;
}

static void expect_words(const char *text, const char *words)
{
    if (strstr(text, words) == NULL)
        fail_msg("it says '%s', want '%s'", text, words);
}

/* Says it on a connection of its own, and waits until so many samples more were handed over. */
static void send_to(struct scene *scene, const char *listen, const char *text, uint64_t samples)
{
    int fd = dial(listen);
    say(fd, text);
    (void)close(fd);
    scene->sent += samples;
    collector_wait(scene->collector, scene->sent);
}

static unsigned mode_of(const char *path)
{
    struct stat status;
    assert_int_equal(lstat(path, &status), 0);
    return status.st_mode & 07777;
}

static ino_t inode_of(const char *path)
{
    struct stat status;
    assert_int_equal(lstat(path, &status), 0);
    return status.st_ino;
}

static void write_file(const char *path, unsigned mode)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    (void)fputs("precious", file);
    (void)fclose(file);
    assert_int_equal(chmod(path, mode), 0);
}

static int bind_to(const char *path, int type)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, type, 0);

    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    if (type == SOCK_STREAM)
        assert_int_equal(listen(fd, 1), 0);
    return fd;
}

/* --- the files of Unix sockets -----------------------------------------------------------------
 */

static const enum transport UNIX_KINDS[] = {TRANSPORT_UNIX, TRANSPORT_UNIXGRAM};

static void what_lies_in_a_sockets_place_is_never_changed(void **state)
{
    (void)state;
    for (size_t i = 0; i < TEST_COUNT(UNIX_KINDS); i++) {
        struct listener_config listener = listener_of(UNIX_KINDS[i], path_of("s"), "statsd unix");
        const char *path = listener.address;
        const char *precious = path_of("precious");
        listener.mode = 0666;
        struct scene scene = begin(&listener, 1);

        /* a link, which chmod would follow */
        write_file(precious, 0600);
        assert_int_equal(unlink(path), 0);
        assert_int_equal(symlink(precious, path), 0);
        struct error err = must_refuse(&scene, &listener, 1);
        expect_words(err.text, path);
        assert_int_equal(mode_of(precious), 0600);

        /* another name of a file */
        assert_int_equal(unlink(path), 0);
        assert_int_equal(link(precious, path), 0);
        err = must_refuse(&scene, &listener, 1);
        expect_words(err.text, "the file is no socket");
        assert_int_equal(mode_of(precious), 0600);

        /* somebody else's socket */
        assert_int_equal(unlink(path), 0);
        int other = bind_to(path, i == 0 ? SOCK_STREAM : SOCK_DGRAM);
        assert_int_equal(chmod(path, 0600), 0);
        err = must_refuse(&scene, &listener, 1);
        expect_words(err.text, "somebody answers");
        assert_int_equal(mode_of(path), 0600);
        (void)close(other);

        end(&scene);
        assert_int_equal(mode_of(path), 0600); /* it was not kpid's to remove */
        assert_int_equal(unlink(path), 0);
        assert_int_equal(unlink(precious), 0);
    }
}

static void a_change_of_kind_leaves_what_lies_in_the_sockets_place(void **state)
{
    (void)state;
    struct listener_config listener = listener_of(TRANSPORT_UNIX, path_of("s"), "statsd unix");
    struct scene scene = begin(&listener, 1);

    assert_int_equal(unlink(listener.address), 0);
    write_file(listener.address, 0600);
    listener.transport = TRANSPORT_UNIXGRAM;
    struct error err = must_refuse(&scene, &listener, 1);
    expect_words(err.text, "the file is no socket");
    assert_int_equal(mode_of(listener.address), 0600);
    assert_int_equal(unlink(listener.address), 0);
    must_reload(&scene, &listener, 1);
    send_to(&scene, facts_of(scene.ingest, 0).listen, "a:1|c", 1);
    end(&scene);
}

/* What is put where the socket was; the new one takes its place. */
enum remains { NOTHING, STALE_STREAM, STALE_DATAGRAMS };

static void a_socket_whose_file_is_gone_is_made_anew(void **state)
{
    (void)state;
    for (size_t i = 0; i < TEST_COUNT(UNIX_KINDS) * 3; i++) {
        struct listener_config listener = listener_of(UNIX_KINDS[i % 2], path_of("s"), "statsd");
        enum remains remains = (enum remains)(i / 2);
        listener.mode = 0622;
        struct scene scene = begin(&listener, 1);
        int before = dial(scene.listen);
        say(before, "a:1|c\n");
        scene.sent = 1;
        collector_wait(scene.collector, scene.sent);

        assert_int_equal(unlink(listener.address), 0);
        if (remains != NOTHING)
            (void)close(
                bind_to(listener.address, remains == STALE_STREAM ? SOCK_STREAM : SOCK_DGRAM));
        must_reload(&scene, &listener, 1);
        assert_int_equal(mode_of(listener.address), 0622);
        send_to(&scene, scene.listen, "a:1|c\n", 1);
        if (listener.transport == TRANSPORT_UNIX) { /* a stream goes on */
            say(before, "a:1|c\n");
            scene.sent++;
            collector_wait(scene.collector, scene.sent);
        }
        (void)close(before);

        /* From here on it is a listener like any other. */
        ino_t inode = inode_of(listener.address);
        listener.mode = 0660;
        must_reload(&scene, &listener, 1);
        assert_int_equal(inode_of(listener.address), inode);
        assert_int_equal(mode_of(listener.address), 0660);
        assert_true(collector_get(scene.collector, "a").sum == (double)scene.sent);
        end(&scene);
    }
}

static void a_reload_that_fails_leaves_files_and_modes_alone(void **state)
{
    (void)state;
    struct listener_config listeners[] = {
        listener_of(TRANSPORT_UNIX, path_of("kept"), "statsd kept"),
        listener_of(TRANSPORT_UNIX, path_of("lost"), "statsd lost"),
        listener_of(TRANSPORT_UNIX, path_of("replaced"), "statsd replaced")};
    struct scene scene = begin(listeners, 2);
    struct stat status;

    /* The second listener's file is made anew and gone again; the third cannot be opened. */
    assert_int_equal(unlink(listeners[1].address), 0);
    write_file(listeners[2].address, 0600);
    listeners[0].mode = 0666;
    (void)must_refuse(&scene, listeners, 3);
    assert_int_equal(mode_of(listeners[0].address), 0660);
    assert_int_equal(lstat(listeners[1].address, &status), -1);
    send_to(&scene, scene.listen, "a:1|c\n", 1);
    assert_int_equal(unlink(listeners[2].address), 0);
    must_reload(&scene, listeners, 3);
    assert_int_equal(mode_of(listeners[0].address), 0666);
    end(&scene);
}

/* --- another protocol on the same address ------------------------------------------------------
 */

struct spoken {
    enum protocol protocol;
    enum transport transport;
    const char *text;  /* one sample of a */
    const char *reply; /* how the answer begins; NULL: there is none */
};

#define HTTP(target, length, body)                                                                 \
    "POST " target " HTTP/1.1\r\nHost: kpid\r\nContent-Length: " length "\r\n\r\n" body

static const struct spoken STATSD_UDP = {PROTOCOL_STATSD, TRANSPORT_UDP, "a:1|c", NULL};
static const struct spoken DOGSTATSD_UDP = {PROTOCOL_DOGSTATSD, TRANSPORT_UDP, "a:1|c|#x:y", NULL};
static const struct spoken STATSD_TCP = {PROTOCOL_STATSD, TRANSPORT_TCP, "a:1|c\n", NULL};
static const struct spoken INFLUX_TCP = {PROTOCOL_INFLUX, TRANSPORT_TCP, "a value=1i\n", NULL};
static const struct spoken INFLUX_HTTP = {PROTOCOL_INFLUX, TRANSPORT_HTTP,
                                          HTTP("/write?db=x", "10", "a value=1i"), "HTTP/1.1 204"};
static const struct spoken JSON_HTTP = {
    PROTOCOL_JSON, TRANSPORT_HTTP,
    HTTP("/push", "53", "{\"samples\":[{\"name\":\"a\",\"value\":1,\"type\":\"counter\"}]}"),
    "HTTP/1.1 200"};
static const struct spoken STATSD_UNIX = {PROTOCOL_STATSD, TRANSPORT_UNIX, "a:1|c\n", NULL};
static const struct spoken INFLUX_UNIX = {PROTOCOL_INFLUX, TRANSPORT_UNIX, "a value=1i\n", NULL};
static const struct spoken STATSD_GRAM = {PROTOCOL_STATSD, TRANSPORT_UNIXGRAM, "a:1|c", NULL};
static const struct spoken DOGSTATSD_GRAM = {PROTOCOL_DOGSTATSD, TRANSPORT_UNIXGRAM, "a:1|c|#x:y",
                                             NULL};

static void speak(struct scene *scene, int fd, const struct spoken *spoken)
{
    char reply[32] = "";

    say(fd, spoken->text);
    if (spoken->reply != NULL) {
        ssize_t got = recv(fd, reply, strlen(spoken->reply), MSG_WAITALL);
        assert_int_equal(got, strlen(spoken->reply));
        assert_string_equal(reply, spoken->reply);
    }
    scene->sent++;
    collector_wait(scene->collector, scene->sent);
    assert_int_equal(collector_total(scene->collector).stored, scene->sent);
}

static struct listener_config listener_that_speaks(const struct spoken *spoken, const char *address)
{
    struct listener_config listener = listener_of(spoken->transport, address, "listener");
    listener.protocol = spoken->protocol;
    return listener;
}

static void another_protocol_takes_a_socket_over(void **state)
{
    (void)state;
    static const struct spoken *const cases[][2] = {
        {&STATSD_UDP, &DOGSTATSD_UDP},   {&STATSD_TCP, &INFLUX_TCP},  {&STATSD_TCP, &INFLUX_HTTP},
        {&INFLUX_HTTP, &JSON_HTTP},      {&INFLUX_TCP, &INFLUX_HTTP}, {&STATSD_UNIX, &INFLUX_UNIX},
        {&STATSD_GRAM, &DOGSTATSD_GRAM},
    };

    for (size_t i = 0; i < TEST_COUNT(cases) * 2; i++) {
        const struct spoken *old = cases[i / 2][i % 2];
        const struct spoken *new = cases[i / 2][1 - i % 2];
        bool is_stream = old->transport != TRANSPORT_UDP && old->transport != TRANSPORT_UNIXGRAM;
        bool is_unix = old->transport == TRANSPORT_UNIX || old->transport == TRANSPORT_UNIXGRAM;
        const struct listener_config before =
            listener_that_speaks(old, is_unix ? path_of("s") : "127.0.0.1:0");
        struct scene scene = begin(&before, 1);
        char *address = strchr(scene.listen, ':') + 1;
        int old_fd = dial(scene.listen);
        speak(&scene, old_fd, old);

        /* Not with a listener that cannot be opened: then nothing changes. */
        struct listener_config after[] = {
            listener_that_speaks(new, address),
            listener_of(TRANSPORT_UNIX, "/nonexistent/folder/s", "statsd wrong")};
        after[0].mode = 0600;
        (void)must_refuse(&scene, after, 2);
        assert_string_equal(facts_of(scene.ingest, 0).protocol, protocol_name(old->protocol));
        int between = dial(scene.listen);
        speak(&scene, between, old);
        (void)close(between);
        assert_true(!is_unix || mode_of(address) == 0660);

        must_reload(&scene, after, 1);
        struct listener_facts facts = facts_of(scene.ingest, 0);
        assert_string_equal(facts.protocol, protocol_name(new->protocol));
        assert_string_equal(strchr(facts.listen, ':') + 1, address);
        assert_int_equal(ingest_listeners(scene.ingest, &facts, 1), 1);
        assert_true(!is_unix || mode_of(address) == 0600);
        int new_fd = dial(facts.listen);
        speak(&scene, new_fd, new);
        if (!is_stream) /* who has connected a datagram socket does not notice */
            speak(&scene, old_fd, new);
        else if (old->reply == NULL) /* a stream is read to its end, in what it has begun */
            speak(&scene, old_fd, old);
        (void)close(new_fd);
        (void)close(old_fd);
        must_reload(&scene, after, 0); /* and the address is free again */
        assert_true(old->transport == TRANSPORT_UDP || try_dial(scene.listen) == -1);
        end(&scene);
    }
}

/* Says a line on a connection of its own, or a datagram, again and again. */
struct talker {
    struct collector *collector;
    const char *listen;
    _Atomic bool stop;
    _Atomic unsigned refused;
    uint64_t sent;
};

static bool say_once(struct talker *talker, int *datagrams)
{
    static const char line[] = "a:1|c\n";
    bool is_datagram = strncmp(talker->listen, "udp", 3) == 0;
    int fd = *datagrams;

    if (fd < 0)
        fd = try_dial(talker->listen);
    if (fd < 0)
        return false;
    bool ok = send(fd, line, sizeof line - 1, MSG_NOSIGNAL) == (ssize_t)sizeof line - 1;
    if (is_datagram)
        *datagrams = fd;
    else
        (void)close(fd);
    return ok;
}

static void *say_on(void *arg)
{
    enum { AHEAD = 50 }; /* of what was handed over, so that nothing overflows */
    struct talker *talker = arg;
    int datagrams = -1;

    while (!atomic_load(&talker->stop)) {
        if (collector_total(talker->collector).received + AHEAD <= talker->sent)
            (void)sched_yield();
        else if (say_once(talker, &datagrams))
            talker->sent++;
        else
            (void)atomic_fetch_add(&talker->refused, 1);
    }
    if (datagrams >= 0)
        (void)close(datagrams);
    return NULL;
}

/* Reloads one and the other in turn while a client speaks what both understand. */
static void reload_in_turns(struct scene *scene, const struct listener_config *one,
                            const struct listener_config *other, const char *listen)
{
    enum { RELOADS = 30 };
    struct talker talker = {.collector = scene->collector, .listen = listen};
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, say_on, &talker), 0);
    for (int i = 0; i < RELOADS; i++) {
        must_reload(scene, i % 2 == 0 ? other : one, 1);
        uint64_t seen = collector_total(scene->collector).received;
        while (collector_total(scene->collector).received == seen)
            (void)sched_yield();
    }
    atomic_store(&talker.stop, true);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(talker.refused, 0);
    collector_wait(scene->collector, talker.sent);
    assert_true(collector_get(scene->collector, "a").sum == (double)talker.sent);
}

static void nothing_is_refused_or_lost_while_the_protocol_changes(void **state)
{
    (void)state;
    for (enum transport transport = TRANSPORT_UDP; transport <= TRANSPORT_TCP; transport++) {
        struct listener_config one = listener_of(transport, "127.0.0.1:0", "listener");
        struct scene scene = begin(&one, 1);
        one.address = strchr(scene.listen, ':') + 1;
        struct listener_config other = one;
        other.protocol = PROTOCOL_DOGSTATSD;
        reload_in_turns(&scene, &one, &other, scene.listen);
        end(&scene);
    }
}

/* --- other addresses of the same port ----------------------------------------------------------
 */

/* The same port on 127.0.0.2. */
static int dial_elsewhere(const char *listen)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = inet_addr("127.0.0.2")};
    uint64_t port = 0;
    int fd = socket(AF_INET, strncmp(listen, "udp", 3) == 0 ? SOCK_DGRAM : SOCK_STREAM, 0);

    assert_true(str_parse_u64(str_of(strrchr(listen, ':') + 1), &port));
    to.sin_port = htons((uint16_t)port);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

static void an_address_becomes_wider_and_narrower(void **state)
{
    (void)state;
    static const struct spoken *const cases[] = {&STATSD_UDP, &STATSD_TCP, &INFLUX_HTTP};

    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        struct listener_config listener = listener_that_speaks(cases[i], "127.0.0.1:0");
        struct scene scene = begin(&listener, 1);
        char wide[64];
        (void)snprintf(wide, sizeof wide, "0.0.0.0:%s", strrchr(scene.listen, ':') + 1);

        for (int turn = 0; turn < 2; turn++) {
            const struct listener_config wider[] = {
                listener_that_speaks(cases[i], wide),
                listener_of(TRANSPORT_UNIX, "/nonexistent/folder/s", "statsd wrong")};
            (void)must_refuse(&scene, wider, 2);
            int fd = dial(scene.listen);
            speak(&scene, fd, cases[i]);
            (void)close(fd);

            must_reload(&scene, wider, 1);
            assert_string_equal(strchr(facts_of(scene.ingest, 0).listen, ':') + 1, wide);
            fd = dial_elsewhere(scene.listen);
            speak(&scene, fd, cases[i]);
            (void)close(fd);
            fd = dial(scene.listen);
            speak(&scene, fd, cases[i]);
            (void)close(fd);

            listener.address = strchr(scene.listen, ':') + 1;
            must_reload(&scene, &listener, 1);
            fd = dial(scene.listen);
            speak(&scene, fd, cases[i]);
            (void)close(fd);
        }
        end(&scene);
    }
}

static void no_datagram_is_lost_while_an_address_becomes_wider_and_narrower(void **state)
{
    (void)state;
    struct listener_config narrow = udp_listener();
    struct scene scene = begin(&narrow, 1);
    char wide[64];

    narrow.address = strchr(scene.listen, ':') + 1;
    (void)snprintf(wide, sizeof wide, "0.0.0.0:%s", strrchr(scene.listen, ':') + 1);
    const struct listener_config wider = listener_of(TRANSPORT_UDP, wide, "statsd udp");
    reload_in_turns(&scene, &narrow, &wider, scene.listen);
    end(&scene);
}

static void a_port_that_kpid_has_itself_is_called_that(void **state)
{
    (void)state;
    for (enum transport transport = TRANSPORT_UDP; transport <= TRANSPORT_TCP; transport++) {
        struct listener_config listeners[2] = {listener_of(transport, "127.0.0.1:0", "one"),
                                               listener_of(transport, "", "two")};
        struct scene scene = begin(listeners, 1);
        char wide[64];

        listeners[0].address = strchr(scene.listen, ':') + 1;
        (void)snprintf(wide, sizeof wide, "0.0.0.0:%s", strrchr(scene.listen, ':') + 1);
        listeners[1].address = wide;
        struct error err = must_refuse(&scene, listeners, 2);
        expect_words(err.text, wide);
        expect_words(err.hint, "kpid itself");
        expect_words(err.hint, scene.listen);

        /* Not even when what is spoken changes, and the listener goes on under another name. */
        listeners[0].protocol = PROTOCOL_DOGSTATSD;
        err = must_refuse(&scene, listeners, 2);
        expect_words(err.hint, "kpid itself");
        send_to(&scene, scene.listen, "a:1|c\n", 1);
        end(&scene);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_lies_in_a_sockets_place_is_never_changed),
        cmocka_unit_test(a_change_of_kind_leaves_what_lies_in_the_sockets_place),
        cmocka_unit_test(a_socket_whose_file_is_gone_is_made_anew),
        cmocka_unit_test(a_reload_that_fails_leaves_files_and_modes_alone),
        cmocka_unit_test(another_protocol_takes_a_socket_over),
        cmocka_unit_test(nothing_is_refused_or_lost_while_the_protocol_changes),
        cmocka_unit_test(an_address_becomes_wider_and_narrower),
        cmocka_unit_test(no_datagram_is_lost_while_an_address_becomes_wider_and_narrower),
        cmocka_unit_test(a_port_that_kpid_has_itself_is_called_that),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
