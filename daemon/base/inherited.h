/* Sockets that were opened by whoever started kpid, as systemd does for a socket unit: the protocol
 * of sd_listen_fds(3).
 *
 * They come as descriptors from 3 on; LISTEN_PID says for whom, LISTEN_FDS how many, LISTEN_FDNAMES
 * how they are called. Whoever is to listen on an address takes the socket that is bound to it, and
 * closes it like one of its own; the address it has in the file system stays. Main thread, before
 * others run. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/error.h"
#include "base/str.h"

enum { INHERITED_MAX = 256, INHERITED_FIRST = 3, INHERITED_SHOWN_SIZE = 128 };

struct inherited_socket {
    int fd; /* nonblocking, closed by exec; -1: it was taken */
    int number;
    char name[STR_QUOTED_SIZE]; /* for people; empty without LISTEN_FDNAMES */
    /* "udp:127.0.0.1:8125", "unix:/run/x", "tcp:[::1]:80"; may be "" */
    char shown[INHERITED_SHOWN_SIZE];
    const char *unfit; /* why nobody can take it; NULL: one could */
    int type;          /* SOCK_STREAM, listening, or SOCK_DGRAM */
    struct sockaddr_storage address;
};

struct inherited {
    size_t count;
    struct inherited_socket sockets[INHERITED_MAX];
};

/* The variables, NULL where they are not set, and the descriptor that is the first. */
struct inherited_variables {
    const char *pid, *fds, *names;
    int first;
};

/* What the variables say to the process `own`: an empty set if they are not for it or not there.
 * NULL when they make no sense: no numbers, other than LISTEN_FDS names, too many, a descriptor
 * that is not open. A descriptor that is open but nothing to listen on is in the set, as unfit. */
struct inherited *inherited_parse(const struct inherited_variables *variables, uint64_t own,
                                  struct error *err);

/* The same of this process's own; they are unset, so that no child takes them for its. */
struct inherited *inherited_open(struct error *err);

/* The socket of that type which is bound to the address, now the caller's; -1 if there is none.
 * Addresses of IPv6 are the same whatever their scope. `inherited` may be NULL: there is none. */
int inherited_take(struct inherited *inherited, const struct sockaddr *address, int type);

/* Closes what was not taken; NULL is fine. */
void inherited_free(struct inherited *inherited);
