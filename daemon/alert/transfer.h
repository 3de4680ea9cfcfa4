/* POST requests by libcurl's multi interface on an event base. One thread: the base's.
 *
 * TLS is verified (1.2 or newer), redirects are not followed, no proxy is taken from the
 * environment, and no more than TRANSFER_ANSWER_MAX bytes of an answer are read. */
#pragma once

#include "base/clock.h"
#include "base/str.h"

struct event_base;
struct transfers;
struct transfer;

enum { TRANSFER_ANSWER_MAX = 4096 };

struct transfer_request {
    const char *url;
    const char *const *headers; /* "Name: value", beside content type and user agent */
    size_t header_count;
    struct str body; /* borrowed until the transfer is over */
    span_ms timeout;
};

struct transfer_answer {
    long status;            /* 0: no answer */
    struct str body;        /* the first TRANSFER_ANSWER_MAX bytes */
    struct str retry_after; /* the header's value; empty without */
    const char *failure;    /* why there is no answer; NULL if there is one */
};

/* The transfer is over and freed when this returns. */
typedef void (*transfer_done_fn)(const struct transfer_answer *answer, void *arg);

struct transfers *transfers_new(struct event_base *base);
void transfers_free(struct transfers *transfers); /* no transfer is under way; NULL is fine */

struct transfer *transfer_start(struct transfers *transfers, const struct transfer_request *request,
                                transfer_done_fn on_done, void *arg);

/* `on_done` will not be called. */
void transfer_cancel(struct transfer *transfer);
