/* How datagrams that come quickly are read: by a clock, not each by itself. Whether they come
 * quickly is a matter of time, which stands still here until the clock ticks. */
#include <dirent.h>
#include <sched.h>
#include <stdatomic.h>

#include "collector.h"
#include "socket_folder.h"

static atomic_bool is_quick; /* it is no time from one datagram to the next */

mono_ms __real_clock_mono(void);
mono_ms __wrap_clock_mono(void);

mono_ms __wrap_clock_mono(void)
{
    return atomic_load(&is_quick) ? 1 : __real_clock_mono();
}

/* How many clocks of readers there are. */
static int clocks(void)
{
    int count = 0;
    DIR *open_files = opendir("/proc/self/fd");

    assert_non_null(open_files);
    for (const struct dirent *entry = readdir(open_files); entry != NULL;
         entry = readdir(open_files)) {
        char name[64];
        ssize_t len = readlinkat(dirfd(open_files), entry->d_name, name, sizeof name);
        count += len > 0 && str_equal((struct str){name, (size_t)len}, STR("anon_inode:[timerfd]"));
    }
    (void)closedir(open_files);
    return count;
}

static void wait_for_clocks(int count)
{
    mono_ms until = __real_clock_mono() + PATIENCE_S * 1000;
    while (clocks() != count && __real_clock_mono() < until)
        (void)sched_yield();
    assert_int_equal(clocks(), count);
}

/* Sends until a clock ticks; how many it were. */
static uint64_t flood(int fd)
{
    mono_ms until = __real_clock_mono() + PATIENCE_S * 1000;
    uint64_t sent = 0;

    assert_int_equal(clocks(), 0);
    atomic_store(&is_quick, true);
    for (; clocks() == 0 && __real_clock_mono() < until; sent++)
        say(fd, "hits:1|c");
    atomic_store(&is_quick, false);
    assert_int_equal(clocks(), 1);
    return sent;
}

/* Until all is stored but for what the kernel has counted as dropped. */
static void expect_all(struct collector *collector, struct ingest *ingest, uint64_t sent)
{
    mono_ms until = __real_clock_mono() + PATIENCE_S * 1000;
    uint64_t seen = 0;

    do {
        (void)sched_yield();
        seen = collector_total(collector).stored + facts_of(ingest, 0).kernel_drops;
    } while (seen < sent && __real_clock_mono() < until);
    assert_int_equal(seen, sent);
}

static void what_comes_quickly_is_read_by_a_clock_until_it_comes_slowly(void **state)
{
    (void)state;
    const struct listener_config listener = udp_listener();
    struct ingest_config config = config_for(&listener, 1);
    struct collector *collector = collector_new();
    struct ingest *ingest = must_start(collector, 1, &config);
    int fd = dial(facts_of(ingest, 0).listen);
    uint64_t sent = 0;

    for (int i = 0; i < 3; i++) {
        sent += flood(fd);
        for (int j = 0; j < 2000; j++, sent++)
            say(fd, "hits:1|c");
        expect_all(collector, ingest, sent);
        wait_for_clocks(0);
        say(fd, "hits:1|c"); /* and it wakes its reader again */
        expect_all(collector, ingest, ++sent);
    }
    assert_true(collector_get(collector, "hits").sum == (double)collector_total(collector).stored);
    (void)close(fd);
    ingest_free(ingest);
    collector_free(collector);
}

static void a_listener_may_go_while_its_clock_ticks(void **state)
{
    (void)state;
    const struct listener_config listeners[] = {udp_listener(), tcp_listener()};
    struct error err = ERROR_EMPTY;

    for (int i = 0; i < 2; i++) {
        struct ingest_config config = config_for(listeners, 2);
        struct collector *collector = collector_new();
        struct ingest *ingest = must_start(collector, 1, &config);
        int fd = dial(facts_of(ingest, 0).listen);
        (void)flood(fd);
        if (i == 0) {
            config = config_for(&listeners[1], 1);
            assert_true(ingest_reload(ingest, &config, &err));
            wait_for_clocks(0);
        }
        ingest_free(ingest);
        assert_int_equal(clocks(), 0);
        (void)close(fd);
        collector_free(collector);
    }
}

/* It holds a few datagrams and then lets its senders wait: for a clock they would wait longer. */
static void a_unix_socket_has_no_clock(void **state)
{
    (void)state;
    enum { DATAGRAMS = 5000 };
    const struct listener_config listener =
        listener_of(TRANSPORT_UNIXGRAM, path_of("gram"), "statsd unixgram");
    struct ingest_config config = config_for(&listener, 1);
    struct collector *collector = collector_new();
    struct ingest *ingest = must_start(collector, 1, &config);
    int fd = dial(facts_of(ingest, 0).listen);

    atomic_store(&is_quick, true);
    for (int i = 0; i < DATAGRAMS; i++)
        say(fd, "hits:1|c");
    atomic_store(&is_quick, false);
    collector_wait(collector, DATAGRAMS);
    assert_int_equal(clocks(), 0);
    (void)close(fd);
    ingest_free(ingest);
    collector_free(collector);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_comes_quickly_is_read_by_a_clock_until_it_comes_slowly),
        cmocka_unit_test(a_listener_may_go_while_its_clock_ticks),
        cmocka_unit_test(a_unix_socket_has_no_clock),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
