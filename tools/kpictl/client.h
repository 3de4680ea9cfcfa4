/* Talks to kpid: HTTP by libcurl over the control socket, or to an address. */
#pragma once

#include <stdbool.h>

#include "base/buf.h"

struct json_t; /* jansson.h */

struct client {
    const char *socket;
    const char *url;        /* NULL: over the socket */
    const char *token_file; /* NULL: none is shown */
    const char *ca_file;    /* NULL: the system's authorities */
    const char *cert_file;  /* NULL: no certificate is shown */
    const char *key_file;   /* NULL: it is in `cert_file`, too */
    unsigned busy_tries;    /* again each second while kpid answers 503 */
};

struct client_answer {
    struct buf body;     /* as kpid sent it */
    struct json_t *json; /* the same, read; an object */
};

/* The token of the client's file, without blanks at its end; empty when there is no file. False,
 * with words on stderr, when none can be read. `out` takes CLIENT_TOKEN_SIZE bytes. */
enum { CLIENT_TOKEN_SIZE = 1024 };
bool client_read_token(const struct client *client, char *out);

void client_answer_fini(struct client_answer *answer);

/* Adds "?name=value" or "&name=value" to a path, escaped; nothing when `value` is NULL. */
void client_add_parameter(struct buf *path, const char *name, const char *value);
/* Adds a segment to a path, escaped. */
void client_add_segment(struct buf *path, const char *text);

/* One request; a POST when `body` is not NULL. What goes wrong is said on stderr. Returns the exit
 * code: done, not reachable or refused. `out` is filled for "done" alone. */
int client_call(const struct client *client, const char *path, const char *body,
                struct client_answer *out);

/* Fields of an answer: a text, a number, or `otherwise`. */
const char *field_text(const struct json_t *object, const char *name, const char *otherwise);
long long field_count(const struct json_t *object, const char *name);
