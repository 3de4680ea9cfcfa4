/* Opens the sockets of a listener.
 *
 * TCP and UDP have one socket a thread, which the kernel shares the load out to (SO_REUSEPORT); a
 * Unix socket is one for all. Everything here is for the main thread. */
#pragma once

#include "ingest/ingest.h"

enum { INGEST_THREADS_MAX = 64 };

struct listener_sockets {
    enum transport transport;
    unsigned count; /* 1 for a Unix socket, else one a thread */
    int fds[INGEST_THREADS_MAX];
    char listen[200];              /* "udp:127.0.0.1:8125" with the real port */
    unsigned receive_buffer_bytes; /* of a UDP socket, as granted; else 0 */
    /* of a Unix socket's file, so that only our own is removed */
    char path[108]; /* where it is now */
    uint64_t device;
    uint64_t inode;
};

/* What is asked for; net.core.rmem_max decides what is granted. */
enum { RECEIVE_BUFFER_BYTES = 8 << 20 };

/* Opens and binds all sockets, nonblocking; streams listen. A port that anybody has is an error, so
 * is a path that is no socket or on which somebody answers; a socket file that nobody answers on is
 * replaced. An IPv6 address takes IPv6 alone, so that "[::]:8125" and "0.0.0.0:8125" can stand
 * beside each other. On failure nothing stays open. */
bool listener_open(struct listener_sockets *out, const struct listener_config *config,
                   unsigned threads, struct error *err);

/* The same for a Unix socket whose path another listener of ours still has: its file is made beside
 * it, as PATH.new, until listener_swap. */
bool listener_open_beside(struct listener_sockets *out, const struct listener_config *config,
                          struct error *err);

/* Each of two Unix sockets gets the other's path, at once: there is always one of them on it. The
 * same call undoes it. */
bool listener_swap(struct listener_sockets *one, struct listener_sockets *other, struct error *err);

/* Sets the mode of a Unix socket's file; other sockets have none. */
bool listener_set_mode(const struct listener_sockets *sockets, unsigned mode, struct error *err);

/* Closes them all and removes the Unix socket's file if it is still the one that was made. */
void listener_close(struct listener_sockets *sockets);

bool transport_is_stream(enum transport transport);
bool transport_is_unix(enum transport transport);
