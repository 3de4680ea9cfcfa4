/* Opens the sockets of a listener.
 *
 * TCP and UDP have one socket a thread, which the kernel shares the load out to (SO_REUSEPORT); a
 * Unix socket, and one that was inherited, is one for all. Everything here is for the main thread.
 */
#pragma once

#include "base/inherited.h"
#include "base/socket_file.h"
#include "ingest/ingest.h"

enum { INGEST_THREADS_MAX = 64 };

struct listener_sockets {
    enum transport transport;
    bool is_inherited; /* opened by whoever started kpid; its file, if any, is not ours */
    unsigned count;    /* 1 for a Unix socket and an inherited one, else one a thread */
    int fds[INGEST_THREADS_MAX];
    char listen[200];              /* "udp:127.0.0.1:8125" with the real port */
    unsigned receive_buffer_bytes; /* of a UDP socket, as granted; else 0 */
    uint32_t drops_before;         /* datagrams the kernel dropped before it was ours */
    struct socket_file file;       /* of a Unix socket that we opened ourselves */
    unsigned mode;                 /* of the file, as it was set last */
};

/* What is asked for; net.core.rmem_max decides what is granted. */
enum { RECEIVE_BUFFER_BYTES = 8 << 20 };

/* Opens and binds all sockets, nonblocking; streams listen. A port that anybody has is an error, so
 * is a path that is no socket or on which somebody answers; a socket file that nobody answers on is
 * replaced. An address that is in use is ERROR_CONFLICT. An IPv6 address takes IPv6 alone, so that
 * "[::]:8125" and "0.0.0.0:8125" can stand beside each other. On failure nothing stays open. */
bool listener_open(struct listener_sockets *out, const struct listener_config *config,
                   unsigned threads, struct error *err);

/* Takes the inherited socket that is bound to the address, as it is: its buffer and, of an IPv6
 * address, whether it takes IPv4 too are for whoever opened it to say. False: there is none, or no
 * such address. `inherited` may be NULL. The mode of its file is for listener_set_mode. */
bool listener_take(struct listener_sockets *out, const struct listener_config *config,
                   struct inherited *inherited);

/* Whether the file of a Unix socket is still where it was made: somebody may have removed it, or
 * put something else there. True of a socket that has none, or whose file is not ours. */
bool listener_has_file(const struct listener_sockets *sockets);

/* How the sockets stand to the address that a listener is to have. */
enum listener_relation {
    LISTENER_APART,
    LISTENER_IN_THE_WAY, /* a port of all addresses and of one of them; a Unix socket of the other
                          * kind: both cannot be opened */
    LISTENER_SAME,       /* sockets of the same kind on just that address */
};
enum listener_relation listener_relation_of(const struct listener_sockets *sockets,
                                            const struct listener_config *config);

/* The same sockets once more, for another listener that takes their address over: what waits in
 * them is for whoever reads first. Their file is for listener_give_file. */
bool listener_share(struct listener_sockets *out, const struct listener_sockets *sockets,
                    enum transport transport, struct error *err);

/* From here on the file is the other's, to change and to remove. */
void listener_give_file(struct listener_sockets *from, struct listener_sockets *to);

/* The same as listener_open where listeners of ours, which are to be closed soon, are in the way: a
 * port is shared with them until then, if they opened it themselves; the file of a Unix socket is
 * made beside theirs, as PATH.new, until listener_swap. */
bool listener_open_beside(struct listener_sockets *out, const struct listener_config *config,
                          unsigned threads, struct error *err);

/* Each of two Unix sockets gets the other's path, at once: there is always one of them on it. The
 * same call undoes it. */
bool listener_swap(struct listener_sockets *one, struct listener_sockets *other, struct error *err);

/* Sets the mode of a Unix socket's file, and of nothing else: an error if something else is on its
 * path, whatever that is or points to; other sockets have none. The file of an inherited one stays
 * as it is: an error if it lets more people in than the mode would. */
bool listener_set_mode(struct listener_sockets *sockets, unsigned mode, struct error *err);

/* Closes them all and removes the Unix socket's file if it is still the one that was made. */
void listener_close(struct listener_sockets *sockets);

/* Says that bind or listen has failed with errno, and what to do; returns false. */
bool listener_explain_bind(const char *address, struct error *err);

/* Datagrams the kernel has dropped since the socket was made (SO_MEMINFO); the count wraps around.
 */
uint32_t listener_drops(int fd);

bool transport_is_stream(enum transport transport);
bool transport_is_unix(enum transport transport);
