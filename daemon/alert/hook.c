#include "alert/hook.h"

#include <curl/curl.h>
#include <math.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "alert/hook_webhook.h"

static const struct hook_kind *const KINDS[] = {&HOOK_SLACK, &HOOK_WEBHOOK};

const struct hook_kind *hook_kind_find(struct str name)
{
    for (size_t i = 0; i < sizeof KINDS / sizeof KINDS[0]; i++) {
        if (str_is(name, KINDS[i]->name))
            return KINDS[i];
    }
    return NULL;
}

const struct hook *hook_find(const struct hook_set *set, struct str id)
{
    for (size_t i = 0; i < set->count; i++) {
        if (str_is(id, set->hooks[i].id))
            return &set->hooks[i];
    }
    return NULL;
}

span_ms hook_backoff(const struct hook *hook, uint32_t attempts, uint32_t random)
{
    span_ms max = hook->retry_max < HOOK_WAIT_MAX ? hook->retry_max : HOOK_WAIT_MAX;
    span_ms wait = hook->retry_first;

    for (uint32_t i = 1; i < attempts && wait < max; i++)
        wait *= 2;
    if (wait > max)
        wait = max;
    if (hook->jitter_percent > 0)
        wait += (span_ms)((double)wait * hook->jitter_percent / 100 * random / UINT32_MAX);
    return wait < HOOK_WAIT_MAX ? wait : HOOK_WAIT_MAX;
}

static bool parse_date(struct str value, wall_ms *out)
{
    char text[64];

    if (value.len >= sizeof text)
        return false;
    memcpy(text, value.text, value.len);
    text[value.len] = '\0';
    time_t seconds = curl_getdate(text, NULL);
    if (seconds < 0)
        return false;
    *out = (wall_ms)seconds * MS_PER_SECOND;
    return true;
}

bool hook_retry_after(struct str value, wall_ms now, span_ms *out)
{
    struct str text = str_trim(value);
    double seconds = 0;
    wall_ms until = 0;
    double wait = 0;

    if (text.len == 0)
        return false;
    if (str_parse_double(text, &seconds))
        wait = seconds * MS_PER_SECOND;
    else if (parse_date(text, &until))
        wait = (double)(until - now);
    else
        return false;
    if (!(wait > 0))
        return false;
    *out = (span_ms)ceil(fmin(fmax(wait, MS_PER_SECOND), HOOK_WAIT_MAX));
    return true;
}

/* --- addresses ----------------------------------------------------------------------------------
 */

/* The parts of a URL that may be shown. */
struct address {
    char scheme[8];
    char host[256];
    char port[8]; /* empty: the scheme's own */
};

static bool copy_part(CURLU *parts, CURLUPart part, unsigned flags, char *out, size_t size)
{
    char *text = NULL;

    if (curl_url_get(parts, part, &text, flags) != CURLUE_OK)
        return false;
    int len = snprintf(out, size, "%s", text);
    curl_free(text);
    return len > 0 && (size_t)len < size;
}

static bool parse_url(const char *url, struct address *out)
{
    CURLU *parts = curl_url();

    *out = (struct address){0};
    bool ok = parts != NULL &&
              curl_url_set(parts, CURLUPART_URL, url, CURLU_NON_SUPPORT_SCHEME) == CURLUE_OK &&
              copy_part(parts, CURLUPART_SCHEME, 0, out->scheme, sizeof out->scheme) &&
              copy_part(parts, CURLUPART_HOST, 0, out->host, sizeof out->host);
    if (ok && !copy_part(parts, CURLUPART_PORT, 0, out->port, sizeof out->port))
        out->port[0] = '\0';
    curl_url_cleanup(parts);
    return ok;
}

const char *hook_url_public(const char *url, char *out)
{
    struct address address;
    unsigned char hash[EVP_MAX_MD_SIZE] = {0};
    unsigned hash_len = 0;

    if (url == NULL) {
        (void)snprintf(out, HOOK_URL_PUBLIC_SIZE, "no url");
        return out;
    }
    (void)EVP_Digest(url, strlen(url), hash, &hash_len, EVP_sha256(), NULL);
    if (!parse_url(url, &address))
        (void)snprintf(out, HOOK_URL_PUBLIC_SIZE, "a url that cannot be read #%02x%02x%02x",
                       hash[0], hash[1], hash[2]);
    else
        (void)snprintf(out, HOOK_URL_PUBLIC_SIZE, "%s://%s%s%s/ #%02x%02x%02x", address.scheme,
                       address.host, address.port[0] == '\0' ? "" : ":", address.port, hash[0],
                       hash[1], hash[2]);
    return out;
}

/* 127.0.0.0/8 as libcurl normalises it, ::1, and the name that RFC 6761 binds to them. */
static bool is_loopback(const char *host)
{
    struct str text = str_of(host);

    if (str_is(text, "localhost") || str_is(text, "[::1]"))
        return true;
    if (!str_starts_with(text, "127."))
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.text[i] != '.' && (text.text[i] < '0' || text.text[i] > '9'))
            return false; /* 127.example.org is a name */
    }
    return true;
}

static bool check_url(const struct hook *hook, bool allow_http, struct error *err)
{
    struct address address;
    char shown[HOOK_URL_PUBLIC_SIZE];

    if (hook->url == NULL || hook->url[0] == '\0')
        return error_set(err, ERROR_INVALID, "hook '%s' has no url", hook->id);
    if (strlen(hook->url) > HOOK_URL_MAX)
        return error_set(err, ERROR_INVALID, "the url of hook '%s' is longer than %d bytes",
                         hook->id, HOOK_URL_MAX);
    for (const char *c = hook->url; *c != '\0'; c++) {
        if ((unsigned char)*c <= ' ' || *c == 0x7F)
            return error_set(err, ERROR_INVALID,
                             "the url of hook '%s' holds blanks or control characters", hook->id);
    }
    if (strstr(hook->url, "://") == NULL || !parse_url(hook->url, &address))
        return error_set(err, ERROR_INVALID, "the url of hook '%s' cannot be read", hook->id);
    if (strcmp(address.scheme, "https") == 0)
        return true;
    (void)hook_url_public(hook->url, shown);
    if (strcmp(address.scheme, "http") != 0)
        return error_set(err, ERROR_INVALID, "the url of hook '%s' is neither https nor http: '%s'",
                         hook->id, shown);
    if (allow_http || is_loopback(address.host))
        return true;
    (void)error_set(err, ERROR_INVALID, "the url of hook '%s' is not https: '%s'", hook->id, shown);
    return error_hint(err, "messages would travel unencrypted; 'allow_http: true' allows it");
}

bool hook_check(const struct hook *hook, bool allow_http, struct error *err)
{
    if (!check_url(hook, allow_http, err))
        return false;
    if (hook->secret_count > HOOK_SECRETS_MAX)
        return error_set(err, ERROR_INVALID, "hook '%s' has %zu secrets, more than %d", hook->id,
                         hook->secret_count, HOOK_SECRETS_MAX);
    for (size_t i = 0; i < hook->secret_count; i++) {
        if (!webhook_secret_check(hook->secrets[i], err))
            return false;
    }
    return true;
}
