/* One write over HTTP, whatever its format (body.h): its body becomes a delta of its own, which the
 * sink answers when it is committed (design 5).
 *
 * All on the thread of its listener part, but for the sink's word, which comes back as a message.
 * What a body makes kpid hold is charged to one budget for all of ingest until it is answered. */
#pragma once

#include "ingest/http_answer.h"
#include "ingest/http_reader.h"
#include "ingest/http_route.h"
#include "ingest/ingest_worker.h"

struct http_write;

/* On the worker's thread, once, when the answer is there. */
typedef void (*http_answered_fn)(struct http_answer *answer, void *arg);

/* Begins a write, or NULL and `answer` says why not, before any of the body was read: too large
 * (413), no room (503), a bad key (400), an encoding or a type that is not known (415). */
struct http_write *http_write_new(struct listener_part *part, const struct http_route *route,
                                  const struct http_head *head, const char *peer,
                                  struct http_answer *answer);
/* Whose token the request had; NULL: none is asked for. Its name is part of the scope of an
 * Idempotency-Key, and what the write has counts for it. */
void http_write_set_token(struct http_write *write, const struct token *token);
void http_write_free(struct http_write *write); /* NULL is fine */

/* Takes bytes as they were sent. False: `answer` says what is wrong with them, and nothing of the
 * write is stored. */
bool http_write_take(struct http_write *write, struct str bytes, struct http_answer *answer);

/* How many bytes the body has so far, inflated. */
size_t http_write_length(const struct http_write *write);

/* The body is there; the write is freed. One whose token was revoked since it began is refused.
 * NULL: `answer` is the answer already. Else `on_answered` is called later, unless the reply was
 * forgotten by then. */
struct http_reply;
struct http_reply *http_write_end(struct http_write *write, http_answered_fn on_answered, void *arg,
                                  struct http_answer *answer);
void http_reply_forget(struct http_reply *reply);

/* What is charged to the budget of bodies. */
size_t http_write_charged(const struct http_write *write);
size_t http_reply_charged(const struct http_reply *reply);

/* What is wrong with the request is not its body; said as its format says it. */
void http_write_refuse(const struct http_write *write, struct http_answer *answer, unsigned status,
                       const char *words);

/* The client has gone, or was too slow: counted as truncated. */
void http_write_abandon(struct http_write *write);
