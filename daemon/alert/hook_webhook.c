/* POST of the event's JSON, signed by the rules of Standard Webhooks 1.0.0 (hooks.md 3.11). */
#include "alert/hook_webhook.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <string.h>

#include "alert/hook.h"

enum { KEY_BYTES_MIN = 24, KEY_BYTES_MAX = 64, KEY_TEXT_MAX = 88, HASH_BYTES = 32 };

static const char SECRET_PREFIX[] = "whsec_";

struct webhook_key {
    unsigned char bytes[KEY_TEXT_MAX];
    size_t len;
};

static bool is_base64(struct str text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.text[i];
        bool ok = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
                  c == '+' || c == '/';
        if (!ok)
            return false;
    }
    return true;
}

static bool decode_secret(const char *secret, struct webhook_key *out)
{
    struct str text = str_of(secret);

    if (!str_starts_with(text, SECRET_PREFIX))
        return false;
    text.text += sizeof SECRET_PREFIX - 1;
    text.len -= sizeof SECRET_PREFIX - 1;
    if (text.len == 0 || text.len % 4 != 0 || text.len > KEY_TEXT_MAX)
        return false;

    size_t padding = 0;
    while (padding < 2 && text.text[text.len - 1 - padding] == '=')
        padding++;
    if (!is_base64((struct str){text.text, text.len - padding}))
        return false;
    int len = EVP_DecodeBlock(out->bytes, (const unsigned char *)text.text, (int)text.len);
    if (len < 0)
        return false;
    out->len = (size_t)len - padding; /* OpenSSL counts the padding as bytes */
    return out->len >= KEY_BYTES_MIN && out->len <= KEY_BYTES_MAX;
}

static bool refuse_secret(struct error *err)
{
    (void)error_set(err, ERROR_INVALID,
                    "a webhook's secret is not 'whsec_' and the base64 of %d to %d bytes",
                    KEY_BYTES_MIN, KEY_BYTES_MAX);
    return error_hint(err, "one is made by: echo \"whsec_$(openssl rand -base64 32)\"");
}

bool webhook_secret_check(const char *secret, struct error *err)
{
    struct webhook_key key;
    bool ok = decode_secret(secret, &key);

    OPENSSL_cleanse(&key, sizeof key);
    return ok || refuse_secret(err);
}

bool webhook_sign(const char *secret, const struct webhook_message *message,
                  char out[WEBHOOK_SIGNATURE_SIZE], struct error *err)
{
    struct webhook_key key;
    struct buf content = BUF_EMPTY;
    unsigned char hash[HASH_BYTES];
    unsigned hash_len = 0;

    if (!decode_secret(secret, &key)) {
        OPENSSL_cleanse(&key, sizeof key);
        return refuse_secret(err);
    }
    buf_str(&content, message->id);
    buf_printf(&content, ".%lld.", (long long)message->timestamp_s);
    buf_str(&content, message->body);
    const unsigned char *made =
        HMAC(EVP_sha256(), key.bytes, (int)key.len, (const unsigned char *)content.bytes,
             content.len, hash, &hash_len);
    OPENSSL_cleanse(&key, sizeof key);
    buf_fini(&content);
    if (made == NULL || hash_len != sizeof hash)
        return error_set(err, ERROR_SYSTEM, "cannot sign a message: HMAC-SHA256 is not available");
    unsigned char text[WEBHOOK_SIGNATURE_SIZE];
    (void)EVP_EncodeBlock(text, hash, sizeof hash);
    (void)snprintf(out, WEBHOOK_SIGNATURE_SIZE, "v1,%s", (const char *)text);
    return true;
}

/* All secrets sign, so that a receiver that knows the old or the new one can check (rotation). */
static bool add_signatures(const struct hook *hook, const struct webhook_message *message,
                           struct hook_request *out, struct error *err)
{
    char *header = out->headers[out->header_count];
    size_t size = sizeof out->headers[0];
    size_t len = (size_t)snprintf(header, size, "webhook-signature:");

    for (size_t i = 0; i < hook->secret_count; i++) {
        char signature[WEBHOOK_SIGNATURE_SIZE];
        if (!webhook_sign(hook->secrets[i], message, signature, err))
            return false;
        if (len + 1 + WEBHOOK_SIGNATURE_SIZE > size)
            return error_set(err, ERROR_INVALID, "hook '%s' has too many secrets", hook->id);
        len += (size_t)snprintf(header + len, size - len, " %s", signature);
    }
    out->header_count++;
    return true;
}

static bool render(const struct hook *hook, const struct event *event, wall_ms now,
                   struct hook_request *out, struct error *err)
{
    struct json json = json_to(&out->body);
    char id[sizeof event->id + 4];

    event_json(event, &json);
    (void)snprintf(id, sizeof id, "msg_%s", event->id);
    struct webhook_message message = {str_of(id), now / MS_PER_SECOND, buf_view(&out->body)};
    (void)snprintf(out->headers[out->header_count++], sizeof out->headers[0], "webhook-id: %s", id);
    (void)snprintf(out->headers[out->header_count++], sizeof out->headers[0],
                   "webhook-timestamp: %lld", (long long)message.timestamp_s);
    if (hook->secret_count == 0)
        return true;
    return add_signatures(hook, &message, out, err);
}

static enum hook_result classify(long status, struct str body)
{
    (void)body;
    if (status >= 200 && status < 300)
        return HOOK_OK;
    if (status == 410)
        return HOOK_DISABLE;
    if (status == 0 || status == 408 || status == 429 || status >= 500)
        return HOOK_RETRY;
    return HOOK_PERMANENT;
}

const struct hook_kind HOOK_WEBHOOK = {"webhook", render, classify};
