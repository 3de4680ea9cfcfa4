/* Hooks: where events go. To add one: write hook_NAME.c with a `struct hook_kind`, add it to the
 * table in hook.c, describe its keys in config/schema.c. */
#pragma once

#include "alert/event.h"
#include "base/buf.h"

struct hook_kind;

/* One hook of the configuration. */
struct hook {
    const char *id;
    const struct hook_kind *kind;
    const char *url;            /* a secret: never logged; see hook_url_public */
    const char *const *secrets; /* webhook: "whsec_..." of which all sign, the newest first */
    size_t secret_count;
    span_ms timeout;
    span_ms retry_first; /* 5 s, doubling to retry_max (1 h), given up after give_up (24 h) */
    span_ms retry_max;
    span_ms give_up;
    unsigned jitter_percent;
    const char *base_url; /* server.http.base_url for links; NULL without */
};

struct hook_set {
    const struct hook *hooks;
    size_t count;
    const char *const *defaults; /* defaults.hooks: what no rule routes */
    size_t default_count;
};

const struct hook *hook_find(const struct hook_set *set, struct str id);

/* What is sent: filled by render, sent by the dispatcher. */
struct hook_request {
    struct buf body;
    char headers[6][600]; /* "Name: value"; Content-Type is always application/json */
    size_t header_count;
};

enum hook_result {
    HOOK_OK,
    HOOK_RETRY,     /* later; Retry-After wins over the backoff */
    HOOK_PERMANENT, /* this entry can never be delivered */
    HOOK_DISABLE,   /* the hook itself is gone: as permanent, and said loudly */
};

struct hook_kind {
    const char *name; /* "slack" */
    /* Writes the request for one attempt at `now`; the event's id is the same in every attempt. */
    bool (*render)(const struct hook *hook, const struct event *event, wall_ms now,
                   struct hook_request *out, struct error *err);
    /* The answer's class (hooks.md 3.14); `status` 0: no answer. */
    enum hook_result (*classify)(long status, struct str body);
};

extern const struct hook_kind HOOK_WEBHOOK; /* hook_webhook.c: Standard Webhooks 1.0.0 */
extern const struct hook_kind HOOK_SLACK;   /* hook_slack.c */

const struct hook_kind *hook_kind_find(struct str name); /* NULL when not built */

/* Checks what the configuration gave: the form of secrets ("whsec_" and base64 of 24 to 64 bytes,
 * at most HOOK_SECRETS_MAX) and of the URL (https, or http to loopback or with `allow_http`). The
 * error never quotes a secret or the URL. */
enum { HOOK_SECRETS_MAX = 8, HOOK_URL_MAX = 4000 };
bool hook_check(const struct hook *hook, bool allow_http, struct error *err);

/* How long to wait after attempt number `attempts` (from 1) failed: retry_first, doubling to
 * retry_max, and up to jitter_percent longer by `random`; never more than HOOK_WAIT_MAX. */
enum { HOOK_WAIT_MAX = MS_PER_DAY };
span_ms hook_backoff(const struct hook *hook, uint32_t attempts, uint32_t random);

/* HTTP's Retry-After: seconds or an HTTP date, taken as 1 second to HOOK_WAIT_MAX from `now`; false
 * when it is neither, or asks for no wait at all: then the backoff counts. */
bool hook_retry_after(struct str value, wall_ms now, span_ms *out);

/* "https://host/ #a1b2c3": scheme, host and the first 6 characters of a hash, for logs and lists.
 */
enum { HOOK_URL_PUBLIC_SIZE = 300 };
const char *hook_url_public(const char *url, char *out);
