/* Lines of DogStatsD into an intake: samples to the shard, service checks as gauges, events as
 * annotations that go with the next hand-over. */
#pragma once

#include "ingest/client_drops.h"
#include "series/delta.h"

struct intake;

/* A thread takes so many events in a minute of their arrival, and keeps so many while the store has
 * no room; the others are dropped as event_limit. */
enum { EVENTS_PER_MINUTE_MAX = 1000, EVENTS_WAITING_MAX = 2000, CHECKS_REMEMBERED = 1024 };

/* What a thread remembers of events and checks. */
struct dogstatsd_notes {
    struct delta *annotations; /* that wait; NULL: none do */
    int64_t minute;            /* of the newest arrival, and how many came in it */
    uint32_t in_minute;
    /* The last status of checks, each where its hash puts it: of two at one place the older one is
     * forgotten. */
    struct {
        uint64_t hash;
        uint8_t status;
    } checks[CHECKS_REMEMBERED];
};

struct dogstatsd_notes *dogstatsd_notes_new(void);
void dogstatsd_notes_free(struct dogstatsd_notes *notes); /* NULL is fine */

/* The annotations that wait, as a delta of nothing else, which is the caller's; NULL: none do. */
struct delta *dogstatsd_take_annotations(struct dogstatsd_notes *notes);

/* Takes one line. */
void dogstatsd_take(struct intake *intake, struct str text);
