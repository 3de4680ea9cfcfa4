/* The client's side of HTTP/1.1, as far as a load needs it: bodies out, statuses in. */
#pragma once

#include "base/error.h"
#include "base/str.h"

struct http_target {
    const char *host;    /* for the Host header */
    const char *path;    /* with its query */
    const char *headers; /* more of them, each with its end of line */
};

/* Sends one POST with `body` on a connection that stays open. */
bool http_post(int fd, const struct http_target *target, struct str body, struct error *err);

/* Reads the answer to the oldest POST that has none yet; what follows its head is skipped. False
 * when the connection ended or what came is no answer. */
bool http_answer(int fd, unsigned *status, struct error *err);
