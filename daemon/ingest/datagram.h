/* Reads datagrams in batches. */
#pragma once

#include "ingest/ingest_worker.h"

/* Room for one batch; a worker has one for all its sockets. Slots take 64 KiB, so no UDP datagram
 * is ever cut (S16); a longer one of a Unix socket loses its last line. */
struct datagram_slots;

struct datagram_slots *datagram_slots_new(void);
void datagram_slots_free(struct datagram_slots *slots); /* NULL is fine */

/* Lets the kernel hand over what it got as one piece as one piece, if it can (UDP_GRO, udp(7)):
 * runs of datagrams of one size and one sender, which a relay or a network card made. They are cut
 * apart here. Before the part's socket is read. */
void datagram_prepare(const struct listener_part *part);

/* libevent's callback: reads of the part `arg`.
 *
 * To be woken for each datagram costs more than to take it, and costs its sender as much. So while
 * they come quickly over UDP it is a clock that wakes, each fifth of a millisecond, and they are
 * read many at once. The part's event changes sides with that. */
void datagram_on_readable(evutil_socket_t fd, short events, void *arg);

/* Takes what waits in the socket, in a bounded number of batches: how many datagrams it were. With
 * DATAGRAMS_AT_ONCE there may be more. */
enum { DATAGRAMS_PER_BATCH = 64, DATAGRAMS_AT_ONCE = 16 * DATAGRAMS_PER_BATCH };
unsigned datagram_read(struct listener_part *part);

/* Once the part's event is gone. */
void datagram_end_pace(struct listener_part *part);

/* What comes from now on is not for this socket of UDP any more, but for another one if one takes
 * the address; what has come can be read still. Not an inherited one: it is in use elsewhere. */
void datagram_leave(const struct listener_part *part);

/* Adds what the kernel has dropped since the last call to the part's counts. */
void datagram_count_drops(struct listener_part *part);
