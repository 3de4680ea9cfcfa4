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

/* libevent's callback: a bounded number of batches of the part `arg`. */
void datagram_on_readable(evutil_socket_t fd, short events, void *arg);

/* Reads one batch; false when nothing is left for now. */
bool datagram_read_batch(struct listener_part *part);

/* What comes from now on is not for this socket of UDP any more, but for another one if one takes
 * the address; what has come can be read still. Not an inherited one: it is in use elsewhere. */
void datagram_leave(const struct listener_part *part);

/* Adds what the kernel has dropped since the last call to the part's counts. */
void datagram_count_drops(struct listener_part *part);
