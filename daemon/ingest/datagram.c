#include "ingest/datagram.h"

#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/memory.h"

enum {
    SLOT_BYTES = 64 * 1024,
    SLOT_STRIDE = SLOT_BYTES + 3 * 64, /* at powers of two all would share a few cache lines */
    DATAGRAMS_PER_BATCH = 64,
    BATCHES_PER_WAKEUP = 16,
};

union peer {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

struct datagram_slots {
    struct mmsghdr headers[DATAGRAMS_PER_BATCH];
    struct iovec pieces[DATAGRAMS_PER_BATCH];
    union peer peers[DATAGRAMS_PER_BATCH];
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

/* Of a datagram that was cut (S16) the last line is rejected, whatever of it arrived. */
static void take_datagram(struct intake *intake, const struct mmsghdr *header)
{
    struct str bytes = {header->msg_hdr.msg_iov->iov_base, header->msg_len};

    intake->peer = header->msg_hdr.msg_namelen == 0 ? NULL : header->msg_hdr.msg_name;
    if ((header->msg_hdr.msg_flags & MSG_TRUNC) == 0) {
        intake_packet(intake, bytes);
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

/* One sample received and rejected, whatever is in it: nobody has looked. */
static void deny_datagram(struct intake *intake, const struct mmsghdr *header)
{
    intake->peer = header->msg_hdr.msg_namelen == 0 ? NULL : header->msg_hdr.msg_name;
    intake_reject(intake, REJECT_denied, STR_EMPTY);
}

bool datagram_read_batch(struct listener_part *part)
{
    struct datagram_slots *slots = part->worker->datagram_slots;
    bool asks_who = !part->is_flooded || part->allow_count > 0;

    for (size_t i = 0; i < DATAGRAMS_PER_BATCH; i++) {
        struct msghdr *header = &slots->headers[i].msg_hdr;
        header->msg_name = asks_who ? &slots->peers[i] : NULL;
        header->msg_namelen = asks_who ? sizeof slots->peers[i] : 0;
    }
    int received = recvmmsg(part->fd, slots->headers, DATAGRAMS_PER_BATCH, MSG_DONTWAIT, NULL);
    if (received <= 0)
        return false; /* nothing there; other errors come again or were the sender's */
    struct intake *intake = worker_begin(part);
    for (int i = 0; i < received; i++) { /* what the call returned, never the array's size */
        if (part->allow_count == 0 || is_allowed(part, &slots->headers[i]))
            take_datagram(intake, &slots->headers[i]);
        else
            deny_datagram(intake, &slots->headers[i]);
    }
    worker_end(part, NULL);
    part->is_flooded = received == DATAGRAMS_PER_BATCH && intake->rejected == 0;
    return received == DATAGRAMS_PER_BATCH;
}

void datagram_on_readable(evutil_socket_t fd, short events, void *arg)
{
    struct listener_part *part = arg;
    (void)fd;
    (void)events;

    /* Bounded, so that one busy socket cannot keep the others and the flush timer waiting. */
    bool more = true;
    for (int i = 0; i < BATCHES_PER_WAKEUP && more && !part->worker->is_paused; i++)
        more = datagram_read_batch(part);
}

void datagram_count_drops(struct listener_part *part)
{
    uint32_t info[SK_MEMINFO_VARS] = {0};
    socklen_t len = sizeof info;

    if (getsockopt(part->fd, SOL_SOCKET, SO_MEMINFO, info, &len) != 0 ||
        len < (SK_MEMINFO_DROPS + 1) * sizeof info[0])
        return;
    uint32_t more = info[SK_MEMINFO_DROPS] - part->kernel_drops_seen; /* it wraps around */
    part->kernel_drops_seen = info[SK_MEMINFO_DROPS];
    if (more > 0)
        (void)atomic_fetch_add_explicit(&part->counts->kernel_drops, more, memory_order_relaxed);
}
