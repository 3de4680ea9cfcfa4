/* Reads what is sent and does nothing with it but count newlines: what the machine itself needs to
 * take a load.
 *
 *   bench_sink tcp|unix|udp ADDRESS
 *
 * Prints "ready", then for each stream that ends, or for all datagrams once none came for half a
 * second, one line: lines, datagrams that the kernel dropped, seconds of CPU. */
#include <arpa/inet.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/str.h"

enum {
    READ_BYTES = 256 * 1024,
    SLOTS = 64,
    SLOT_BYTES = 65536,
    RECEIVE_BUFFER_BYTES = 8 << 20,
    QUIET_MS = 500,
};

static double cpu_s(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static size_t newlines(const char *bytes, size_t len)
{
    size_t count = 0;
    const char *end = bytes + len;

    for (const char *at = memchr(bytes, '\n', len); at != NULL;
         at = memchr(at + 1, '\n', (size_t)(end - at - 1)))
        count++;
    return count;
}

static int die(const char *what)
{
    perror(what);
    exit(1);
}

static void report(size_t lines, unsigned long drops, double cpu)
{
    (void)printf("%zu %lu %.6f\n", lines, drops, cpu);
    (void)fflush(stdout);
}

static void drain_streams(int listener)
{
    static char bytes[READ_BYTES];

    for (;;) {
        int fd = accept(listener, NULL, NULL);
        size_t lines = 0;
        double began = cpu_s();
        ssize_t got = 0;
        if (fd < 0)
            (void)die("accept");
        while ((got = recv(fd, bytes, sizeof bytes, 0)) > 0)
            lines += newlines(bytes, (size_t)got);
        report(lines, 0, cpu_s() - began);
        (void)close(fd);
    }
}

static unsigned long dropped(int fd)
{
    uint32_t memory[SK_MEMINFO_VARS] = {0};
    socklen_t len = sizeof memory;
    (void)getsockopt(fd, SOL_SOCKET, SO_MEMINFO, memory, &len);
    return memory[SK_MEMINFO_DROPS];
}

static void drain_datagrams(int fd)
{
    static struct mmsghdr headers[SLOTS];
    static struct iovec pieces[SLOTS];
    char *bytes = malloc((size_t)SLOTS * SLOT_BYTES);
    struct pollfd waiting = {.fd = fd, .events = POLLIN};
    size_t lines = 0;
    unsigned long drops_before = 0;
    double began = cpu_s();

    if (bytes == NULL)
        (void)die("malloc");
    for (int i = 0; i < SLOTS; i++) {
        pieces[i] = (struct iovec){bytes + (size_t)i * SLOT_BYTES, SLOT_BYTES};
        headers[i].msg_hdr.msg_iov = &pieces[i];
        headers[i].msg_hdr.msg_iovlen = 1;
    }
    for (;;) {
        if (poll(&waiting, 1, QUIET_MS) == 0) {
            if (lines > 0)
                report(lines, dropped(fd) - drops_before, cpu_s() - began);
            lines = 0;
            drops_before = dropped(fd);
            began = cpu_s();
            continue;
        }
        int got = recvmmsg(fd, headers, SLOTS, MSG_DONTWAIT, NULL);
        for (int i = 0; i < got; i++)
            lines += 1 + newlines(pieces[i].iov_base, headers[i].msg_len);
    }
}

int main(int argc, char **argv)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_un local;
    } address = {0};
    const int one = 1;
    const int buffer = RECEIVE_BUFFER_BYTES;
    uint64_t port = 0;

    if (argc != 3) {
        (void)fprintf(stderr, "usage: bench_sink tcp|unix|udp PORT|PATH\n");
        return 2;
    }
    bool is_unix = strcmp(argv[1], "unix") == 0;
    bool is_udp = strcmp(argv[1], "udp") == 0;
    socklen_t len = is_unix ? sizeof address.local : sizeof address.v4;
    if (is_unix) {
        address.local.sun_family = AF_UNIX;
        (void)snprintf(address.local.sun_path, sizeof address.local.sun_path, "%s", argv[2]);
    } else if (str_parse_u64(str_of(argv[2]), &port) && port > 0 && port <= UINT16_MAX) {
        address.v4 = (struct sockaddr_in){.sin_family = AF_INET,
                                          .sin_port = htons((uint16_t)port),
                                          .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    } else {
        return 2;
    }
    int fd = socket(address.any.sa_family, is_udp ? SOCK_DGRAM : SOCK_STREAM, 0);
    if (fd < 0)
        return die("socket");
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof buffer);
    if (!is_udp)
        (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, &address.any, len) != 0)
        return die("bind");
    if (!is_udp && listen(fd, SLOTS) != 0)
        return die("listen");
    (void)puts("ready");
    (void)fflush(stdout);
    if (is_udp)
        drain_datagrams(fd);
    else
        drain_streams(fd);
    return 0;
}
