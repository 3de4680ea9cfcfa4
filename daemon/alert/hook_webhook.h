/* Signatures of Standard Webhooks 1.0.0. */
#pragma once

#include "base/error.h"
#include "base/str.h"

/* "v1," and the base64 of HMAC-SHA256(secret, id "." timestamp "." body), with a NUL, in `out`.
 * `secret` is "whsec_" and the base64 of 24 to 64 bytes; the error never quotes it. */
enum { WEBHOOK_SIGNATURE_SIZE = 48 };
struct webhook_message {
    struct str id;
    int64_t timestamp_s;
    struct str body;
};
bool webhook_sign(const char *secret, const struct webhook_message *message,
                  char out[WEBHOOK_SIGNATURE_SIZE], struct error *err);

/* Whether the secret has that form. */
bool webhook_secret_check(const char *secret, struct error *err);
