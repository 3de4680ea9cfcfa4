#include "ingest/datagram.h"

#include <assert.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/memory.h"

enum {
    SLOT_BYTES = 64 * 1024,
    SLOT_STRIDE = SLOT_BYTES + 3 * 64, /* at powers of two all would share a few cache lines */
    TICK_NS = 200000,
    /* Readers that are woken more often than once in 50 us get the clock, and lose it when it
     * brings less than two datagrams a tick. */
    PACE_WAKES = 256,
    PACE_MS = 12,
    PACE_TICKS = 64,
};

union peer {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

union control {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(sizeof(int))]; /* the size of the datagrams in the slot */
};

struct datagram_slots {
    struct mmsghdr headers[DATAGRAMS_PER_BATCH];
    struct iovec pieces[DATAGRAMS_PER_BATCH];
    union peer peers[DATAGRAMS_PER_BATCH];
    union control controls[DATAGRAMS_PER_BATCH];
    char *bytes; /* touched, so in memory, only as far as datagrams reach */
};

struct datagram_slots *datagram_slots_new(void)
{
    struct datagram_slots *slots = memory_zero(1, sizeof *slots);

    slots->bytes = memory_alloc((size_t)DATAGRAMS_PER_BATCH * SLOT_STRIDE);
    for (size_t i = 0; i < DATAGRAMS_PER_BATCH; i++) {
        slots->pieces[i].iov_base = slots->bytes + i * SLOT_STRIDE;
        slots->pieces[i].iov_len = SLOT_BYTES;
        slots->headers[i].msg_hdr.msg_iov = &slots->pieces[i];
        slots->headers[i].msg_hdr.msg_iovlen = 1;
    }
    return slots;
}

void datagram_slots_free(struct datagram_slots *slots)
{
    if (slots == NULL)
        return;
    free(slots->bytes);
    free(slots);
}

void datagram_prepare(const struct listener_part *part)
{
    const int yes = 1;
    if (part->listener->sockets.transport == TRANSPORT_UDP)
        (void)setsockopt(part->fd, SOL_UDP, UDP_GRO, &yes,
                         sizeof yes); /* older kernels: one each */
}

/* The size of each datagram in a slot but the last, which may be shorter. */
static size_t size_of_each(const struct mmsghdr *header)
{
    const struct cmsghdr *control = CMSG_FIRSTHDR(&header->msg_hdr);
    int size = 0;

    if (control != NULL && control->cmsg_level == SOL_UDP && control->cmsg_type == UDP_GRO)
        memcpy(&size, CMSG_DATA(control), sizeof size);
    return size > 0 ? (size_t)size : SLOT_BYTES;
}

static void take_all(struct intake *intake, const struct mmsghdr *header)
{
    struct str left = {header->msg_hdr.msg_iov->iov_base, header->msg_len};
    const size_t each = size_of_each(header);

    for (; left.len > each; left = (struct str){left.text + each, left.len - each})
        intake_packet(intake, (struct str){left.text, each});
    intake_packet(intake, left);
}

/* Of a datagram that was cut (S16) the last line is rejected, whatever of it arrived. */
static void take_datagram(struct intake *intake, const struct mmsghdr *header)
{
    struct str bytes = {header->msg_hdr.msg_iov->iov_base, header->msg_len};

    intake->peer = header->msg_hdr.msg_namelen == 0 ? NULL : header->msg_hdr.msg_name;
    if ((header->msg_hdr.msg_flags & MSG_TRUNC) == 0) {
        take_all(intake, header);
        return;
    }
    const char *newline = bytes.len == 0 ? NULL : memrchr(bytes.text, '\n', bytes.len);
    size_t whole = newline == NULL ? 0 : (size_t)(newline - bytes.text) + 1;
    intake_packet(intake, (struct str){bytes.text, whole});
    intake_reject(intake, REJECT_truncated, (struct str){bytes.text + whole, bytes.len - whole});
}

static bool is_allowed(const struct listener_part *part, const struct mmsghdr *header)
{
    return header->msg_hdr.msg_namelen > 0 && part_lets_speak(part, -1, header->msg_hdr.msg_name);
}

/* One sample a datagram received and rejected, whatever is in it: nobody has looked. */
static void deny_datagram(struct intake *intake, const struct mmsghdr *header)
{
    intake->peer = header->msg_hdr.msg_namelen == 0 ? NULL : header->msg_hdr.msg_name;
    for (size_t at = 0; at == 0 || at < header->msg_len; at += size_of_each(header))
        intake_reject(intake, REJECT_denied, STR_EMPTY);
}

static unsigned read_batch(struct listener_part *part)
{
    struct datagram_slots *slots = part->worker->datagram_slots;
    bool asks_who = !part->is_flooded || part->allow_count > 0;

    for (size_t i = 0; i < DATAGRAMS_PER_BATCH; i++) {
        struct msghdr *header = &slots->headers[i].msg_hdr;
        header->msg_name = asks_who ? &slots->peers[i] : NULL;
        header->msg_namelen = asks_who ? sizeof slots->peers[i] : 0;
        header->msg_control = slots->controls[i].bytes;
        header->msg_controllen = sizeof slots->controls[i].bytes;
    }
    int received = recvmmsg(part->fd, slots->headers, DATAGRAMS_PER_BATCH, MSG_DONTWAIT, NULL);
    if (received <= 0)
        return 0; /* nothing there; other errors come again or were the sender's */
    struct intake *intake = worker_begin(part);
    for (int i = 0; i < received; i++) { /* what the call returned, never the array's size */
        if (part->allow_count == 0 || is_allowed(part, &slots->headers[i]))
            take_datagram(intake, &slots->headers[i]);
        else
            deny_datagram(intake, &slots->headers[i]);
    }
    worker_end(part, NULL);
    part->is_flooded = received == DATAGRAMS_PER_BATCH && intake->rejected == 0;
    return (unsigned)received;
}

unsigned datagram_read(struct listener_part *part)
{
    unsigned count = 0;
    unsigned last = DATAGRAMS_PER_BATCH;

    /* Bounded, so that one busy socket cannot keep the others and the flush timer waiting. */
    while (count < DATAGRAMS_AT_ONCE && last == DATAGRAMS_PER_BATCH && !part->worker->is_paused) {
        last = read_batch(part);
        count += last;
    }
    return count;
}

/* The part's event waits for `fd` from now on. */
static void wait_for(struct listener_part *part, int fd, event_callback_fn callback)
{
    (void)event_del(part->readable);
    int rc = event_assign(part->readable, thread_base(part->worker->thread), fd,
                          EV_READ | EV_PERSIST, callback, part);
    if (rc == 0 && !part->worker->is_paused)
        rc = event_add(part->readable, NULL);
    assert(rc == 0);
    (void)rc;
}

static void on_tick(evutil_socket_t fd, short events, void *arg)
{
    struct listener_part *part = arg;
    struct datagram_pace *pace = &part->pace;
    uint64_t ticks = 0;

    (void)events;
    if (read(fd, &ticks, sizeof ticks) < 0)
        return;
    pace->datagrams += datagram_read(part);
    if (++pace->turns < PACE_TICKS)
        return;
    if (pace->datagrams < 2 * PACE_TICKS) {
        wait_for(part, part->fd, datagram_on_readable);
        datagram_end_pace(part);
    }
    pace->turns = 0;
    pace->datagrams = 0;
}

/* Without a descriptor for the clock all stays as it is. */
static void begin_pace(struct listener_part *part)
{
    static const struct itimerspec ticks = {.it_interval.tv_nsec = TICK_NS,
                                            .it_value.tv_nsec = TICK_NS};
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);

    if (fd < 0)
        return;
    if (timerfd_settime(fd, 0, &ticks, NULL) != 0) {
        (void)close(fd);
        return;
    }
    part->pace.clock_fd = fd;
    part->pace.datagrams = 0;
    wait_for(part, fd, on_tick);
}

void datagram_end_pace(struct listener_part *part)
{
    if (part->pace.clock_fd >= 0)
        (void)close(part->pace.clock_fd);
    part->pace.clock_fd = -1;
}

void datagram_on_readable(evutil_socket_t fd, short events, void *arg)
{
    struct listener_part *part = arg;
    struct datagram_pace *pace = &part->pace;

    (void)fd;
    (void)events;
    (void)datagram_read(part);
    if (++pace->turns < PACE_WAKES)
        return;
    mono_ms now = clock_mono();
    bool quickly = now - pace->began <= PACE_MS;
    pace->turns = 0;
    pace->began = now;
    /* A Unix socket holds so few that its senders would wait. */
    if (quickly && part->listener->sockets.transport == TRANSPORT_UDP)
        begin_pace(part);
}

/* A socket that is connected takes datagrams of its peer alone; its own address is nobody else's.
 */
void datagram_leave(const struct listener_part *part)
{
    const struct listener_sockets *sockets = &part->listener->sockets;
    union peer own = {.any.sa_family = AF_UNSPEC};
    socklen_t len = sizeof own;

    if (sockets->transport != TRANSPORT_UDP || sockets->is_inherited)
        return;
    if (getsockname(part->fd, &own.any, &len) == 0)
        (void)connect(part->fd, &own.any, len); /* else what comes is lost with the socket */
}

void datagram_count_drops(struct listener_part *part)
{
    uint32_t drops = listener_drops(part->fd);
    uint32_t more = drops - part->kernel_drops_seen; /* it wraps around */

    part->kernel_drops_seen = drops;
    if (more > 0)
        (void)atomic_fetch_add_explicit(&part->counts->kernel_drops, more, memory_order_relaxed);
}
