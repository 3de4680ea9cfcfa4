/* Reads what is sent and does nothing with it but count newlines: what the machine itself needs to
 * take a load.
 *
 *   bench_sink tcp|unix|udp|udp-gro ADDRESS [SOCKETS]
 *
 * udp-gro lets the kernel hand over runs of datagrams in one piece (UDP_GRO, udp(7)). SOCKETS, for
 * datagrams: so many sockets on one port (SO_REUSEPORT), all read by the one thread.
 *
 * Prints "ready", then for each stream that ends, or for all datagrams once none came for half a
 * second, one line: lines, datagrams that the kernel dropped, seconds of CPU. */
#include <arpa/inet.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/udp.h>
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
    SOCKETS_MAX = 64,
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

struct slots {
    struct mmsghdr headers[SLOTS];
    struct iovec pieces[SLOTS];
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control[SLOTS];
};

static unsigned long dropped(const struct pollfd *sockets, size_t count)
{
    unsigned long sum = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t memory[SK_MEMINFO_VARS] = {0};
        socklen_t len = sizeof memory;
        (void)getsockopt(sockets[i].fd, SOL_SOCKET, SO_MEMINFO, memory, &len);
        sum += memory[SK_MEMINFO_DROPS];
    }
    return sum;
}

/* How many datagrams lie in what one slot got. */
static size_t datagrams_in(struct msghdr *header, size_t len)
{
    for (struct cmsghdr *at = CMSG_FIRSTHDR(header); at != NULL; at = CMSG_NXTHDR(header, at)) {
        int segment = 0;
        if (at->cmsg_level != SOL_UDP || at->cmsg_type != UDP_GRO)
            continue;
        memcpy(&segment, CMSG_DATA(at), sizeof segment);
        if (segment > 0)
            return (len + (size_t)segment - 1) / (size_t)segment;
    }
    return 1;
}

static struct slots *slots_new(void)
{
    struct slots *slots = calloc(1, sizeof *slots);
    char *bytes = malloc((size_t)SLOTS * SLOT_BYTES);

    if (slots == NULL || bytes == NULL)
        (void)die("malloc");
    for (int i = 0; i < SLOTS; i++) {
        slots->pieces[i] = (struct iovec){bytes + (size_t)i * SLOT_BYTES, SLOT_BYTES};
        slots->headers[i].msg_hdr.msg_iov = &slots->pieces[i];
        slots->headers[i].msg_hdr.msg_iovlen = 1;
    }
    return slots;
}

static size_t drain_socket(int fd, struct slots *slots, bool with_segments)
{
    size_t lines = 0;
    for (int i = 0; i < SLOTS && with_segments; i++) {
        slots->headers[i].msg_hdr.msg_control = slots->control[i].bytes;
        slots->headers[i].msg_hdr.msg_controllen = sizeof slots->control[i].bytes;
    }
    int got = recvmmsg(fd, slots->headers, SLOTS, MSG_DONTWAIT, NULL);
    for (int i = 0; i < got; i++)
        lines += datagrams_in(&slots->headers[i].msg_hdr, slots->headers[i].msg_len) +
                 newlines(slots->pieces[i].iov_base, slots->headers[i].msg_len);
    return lines;
}

static void drain_datagrams(struct pollfd *sockets, size_t count, bool with_segments)
{
    struct slots *slots = slots_new();
    size_t lines = 0;
    unsigned long drops_before = 0;
    double began = cpu_s();

    for (;;) {
        if (poll(sockets, count, QUIET_MS) == 0) {
            if (lines > 0)
                report(lines, dropped(sockets, count) - drops_before, cpu_s() - began);
            lines = 0;
            drops_before = dropped(sockets, count);
            began = cpu_s();
            continue;
        }
        for (size_t i = 0; i < count; i++) {
            if ((sockets[i].revents & POLLIN) != 0)
                lines += drain_socket(sockets[i].fd, slots, with_segments);
        }
    }
}

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_un local;
};

static int open_socket(const union address *address, int type)
{
    const int one = 1;
    const int buffer = RECEIVE_BUFFER_BYTES;
    socklen_t len = address->any.sa_family == AF_UNIX ? sizeof address->local : sizeof address->v4;
    int fd = socket(address->any.sa_family, type, 0);

    if (fd < 0)
        return die("socket");
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof buffer);
    (void)setsockopt(fd, SOL_SOCKET, type == SOCK_DGRAM ? SO_REUSEPORT : SO_REUSEADDR, &one,
                     sizeof one);
    if (bind(fd, &address->any, len) != 0)
        return die("bind");
    if (type == SOCK_STREAM && listen(fd, SLOTS) != 0)
        return die("listen");
    return fd;
}

static bool parse_address(const char *transport, const char *text, union address *out)
{
    uint64_t port = 0;

    if (strcmp(transport, "unix") == 0) {
        out->local.sun_family = AF_UNIX;
        (void)snprintf(out->local.sun_path, sizeof out->local.sun_path, "%s", text);
        return true;
    }
    if (!str_parse_u64(str_of(text), &port) || port == 0 || port > UINT16_MAX)
        return false;
    out->v4 = (struct sockaddr_in){.sin_family = AF_INET,
                                   .sin_port = htons((uint16_t)port),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    return true;
}

int main(int argc, char **argv)
{
    union address address = {0};
    struct pollfd sockets[SOCKETS_MAX] = {{0}};
    uint64_t count = 1;
    const int one = 1;

    if (argc < 3 || !parse_address(argv[1], argv[2], &address) ||
        (argc > 3 && (!str_parse_u64(str_of(argv[3]), &count) || count > SOCKETS_MAX))) {
        (void)fprintf(stderr, "usage: bench_sink tcp|unix|udp|udp-gro PORT|PATH [SOCKETS]\n");
        return 2;
    }
    bool with_segments = strcmp(argv[1], "udp-gro") == 0;
    bool is_udp = with_segments || strcmp(argv[1], "udp") == 0;
    for (size_t i = 0; i < count; i++) {
        sockets[i].fd = open_socket(&address, is_udp ? SOCK_DGRAM : SOCK_STREAM);
        sockets[i].events = POLLIN;
        if (with_segments && setsockopt(sockets[i].fd, SOL_UDP, UDP_GRO, &one, sizeof one) != 0)
            return die("UDP_GRO");
    }
    (void)puts("ready");
    (void)fflush(stdout);
    if (is_udp)
        drain_datagrams(sockets, count, with_segments);
    else
        drain_streams(sockets[0].fd);
    return 0;
}
