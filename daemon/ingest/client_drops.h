/* What clients of DogStatsD say that they have dropped themselves (D14): they send it along as
 * metrics "datadog.dogstatsd.client.*". Those are stored like any others; beside them the drops are
 * counted here, for each client of a listener, so that `kpictl ingest` can show them.
 *
 * One table for each listener and thread: that thread alone writes it, any thread reads it. */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

#include "series/sample.h"

enum { CLIENTS_MAX = 64, CLIENT_WORD_SIZE = 32 };

/* A client is what its tags say: client, client_version and client_transport. Beyond CLIENTS_MAX of
 * them the others are one together, named "other". */
struct client {
    char name[CLIENT_WORD_SIZE];
    char version[CLIENT_WORD_SIZE];
    char transport[CLIENT_WORD_SIZE];
    _Atomic uint64_t packets, bytes, metrics; /* dropped since start */
};

struct client_table {
    _Atomic uint32_t count; /* those before do not change their names */
    struct client clients[CLIENTS_MAX + 1];
};

/* Where a table is, once there is one. */
typedef _Atomic(struct client_table *) client_table_place;

/* Whether a metric is one of those; worth asking first, for it is cheap. */
bool client_drops_is_name(struct str name);

/* Counts what the sample says, if it is about drops. */
void client_drops_take(client_table_place *place, const struct sample *sample);

/* One client's drops, of all threads of a listener. */
struct client_drops {
    char name[CLIENT_WORD_SIZE];
    char version[CLIENT_WORD_SIZE];
    char transport[CLIENT_WORD_SIZE];
    uint64_t packets, bytes, metrics;
};

/* Adds a table's clients to `count` of them, of which `max` fit; returns how many there are now. */
size_t client_drops_add(client_table_place *place, struct client_drops *out, size_t count,
                        size_t max);
