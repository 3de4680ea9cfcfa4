#include "client.h"

#include <curl/curl.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/error.h"
#include "command.h"

enum { CONNECT_S = 5, ANSWER_S = 60, ANSWER_MAX = 64 * 1024 * 1024 };

void client_answer_fini(struct client_answer *answer)
{
    buf_fini(&answer->body);
    json_decref(answer->json);
    answer->json = NULL;
}

static void add_escaped(struct buf *path, const char *text)
{
    char *escaped = curl_easy_escape(NULL, text, 0);
    buf_text(path, escaped == NULL ? "" : escaped);
    curl_free(escaped);
}

void client_add_parameter(struct buf *path, const char *name, const char *value)
{
    if (value == NULL)
        return;
    bool first = path->len == 0 || memchr(path->bytes, '?', path->len) == NULL;
    buf_printf(path, "%c%s=", first ? '?' : '&', name);
    add_escaped(path, value);
}

void client_add_segment(struct buf *path, const char *text)
{
    buf_char(path, '/');
    add_escaped(path, text);
}

static size_t on_body(char *bytes, size_t size, size_t count, void *arg)
{
    struct buf *body = arg;
    if (size * count > ANSWER_MAX - body->len)
        return 0; /* curl gives up */
    buf_append(body, bytes, size * count);
    return size * count;
}

static int unreachable(const struct client *client, CURL *curl, CURLcode code)
{
    const char *where = client->url == NULL ? client->socket : client->url;
    const char *words = curl_easy_strerror(code);
    char system_words[100];
    long errnum = 0;

    (void)curl_easy_getinfo(curl, CURLINFO_OS_ERRNO, &errnum);
    if (code == CURLE_COULDNT_CONNECT && errnum != 0)
        words = error_errno_words((int)errnum, system_words, sizeof system_words);
    (void)fprintf(stderr, "kpictl: cannot reach kpid at '%s': %s\n", where, words);
    if (client->url == NULL && errnum == EACCES)
        (void)fprintf(stderr, "  hint: ask as root, or as a member of the socket's group\n");
    else if (client->url == NULL)
        (void)fprintf(stderr, "  hint: is it running, and is this its control socket? see "
                              "'--socket'\n");
    return EXIT_UNREACHABLE;
}

/* kpid's own words, from {"error":{...}}. */
static int refused(long status, struct str body)
{
    json_t *tree = json_loadb(body.text == NULL ? "" : body.text, body.len, 0, NULL);
    const json_t *error = json_object_get(tree, "error");
    const char *message = field_text(error, "message", NULL);
    const char *hint = field_text(error, "hint", NULL);

    if (message == NULL)
        (void)fprintf(stderr, "kpictl: kpid refused: HTTP status %ld\n", status);
    else
        (void)fprintf(stderr, "kpictl: %s\n", message);
    if (hint != NULL)
        (void)fprintf(stderr, "  hint: %s\n", hint);
    json_decref(tree);
    return EXIT_REFUSED;
}

static void set_options(CURL *curl, const struct client *client, const char *url, const char *body,
                        struct buf *out)
{
    (void)curl_easy_setopt(curl, CURLOPT_URL, url);
    if (client->url == NULL)
        (void)curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, client->socket);
    (void)curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    if (client->ca_file != NULL)
        (void)curl_easy_setopt(curl, CURLOPT_CAINFO, client->ca_file);
    if (client->cert_file != NULL)
        (void)curl_easy_setopt(curl, CURLOPT_SSLCERT, client->cert_file);
    if (client->key_file != NULL)
        (void)curl_easy_setopt(curl, CURLOPT_SSLKEY, client->key_file);
    (void)curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
    (void)curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_S);
    (void)curl_easy_setopt(curl, CURLOPT_TIMEOUT, (long)ANSWER_S);
    (void)curl_easy_setopt(curl, CURLOPT_USERAGENT, "kpictl/" KPID_VERSION);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEDATA, out);
    if (body != NULL) {
        (void)curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
        (void)curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)strlen(body));
    }
}

static int read_answer(struct client_answer *out)
{
    json_error_t mistake;

    out->json = json_loadb(out->body.len == 0 ? "" : out->body.bytes, out->body.len, 0, &mistake);
    if (json_is_object(out->json))
        return EXIT_DONE;
    (void)fprintf(stderr, "kpictl: the answer is not kpid's: line %d, column %d: %s\n",
                  mistake.line, mistake.column, out->json == NULL ? mistake.text : "not an object");
    return EXIT_UNREACHABLE;
}

bool client_read_token(const struct client *client, char *out)
{
    char words[100];

    out[0] = '\0';
    if (client->token_file == NULL)
        return true;
    FILE *file = fopen(client->token_file, "re");
    bool ok = file != NULL && fgets(out, CLIENT_TOKEN_SIZE, file) != NULL;
    int why = errno;
    if (file != NULL)
        (void)fclose(file);
    size_t len = strlen(out);
    while (len > 0 && (unsigned char)out[len - 1] <= ' ')
        len--;
    out[len] = '\0';
    if (ok && len > 0)
        return true;
    (void)fprintf(stderr, "kpictl: cannot read a token from '%s': %s\n", client->token_file,
                  file == NULL ? error_errno_words(why, words, sizeof words) : "it is empty");
    return false;
}

/* The token of a file into a header; false, with words on stderr, when there is none to be read. */
static bool add_token(const struct client *client, struct curl_slist **headers)
{
    char token[CLIENT_TOKEN_SIZE];
    char header[CLIENT_TOKEN_SIZE + 32];

    if (!client_read_token(client, token))
        return false;
    if (token[0] == '\0')
        return true;
    (void)snprintf(header, sizeof header, "Authorization: Bearer %s", token);
    *headers = curl_slist_append(*headers, header);
    return true;
}

/* Asks until kpid is not busy, or has been too often. */
static CURLcode perform(const struct client *client, CURL *curl, struct client_answer *out,
                        long *status)
{
    const struct timespec pause = {.tv_sec = 1};
    CURLcode code = CURLE_OK;

    for (unsigned tries = 0; tries <= client->busy_tries; tries++) {
        if (tries > 0) {
            (void)nanosleep(&pause, NULL);
            buf_clear(&out->body);
        }
        code = curl_easy_perform(curl);
        (void)curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, status);
        if (code != CURLE_OK || *status != 503)
            break;
    }
    return code;
}

int client_call(const struct client *client, const char *path, const char *body,
                struct client_answer *out)
{
    struct buf url = BUF_EMPTY;
    long status = 0;
    struct curl_slist *headers = NULL;

    *out = (struct client_answer){.body = BUF_EMPTY};
    if (!add_token(client, &headers))
        return EXIT_USAGE;
    if (body != NULL)
        headers = curl_slist_append(headers, "Content-Type: application/json");
    CURL *curl = curl_easy_init();
    buf_text(&url, client->url == NULL ? "http://localhost" : client->url);
    while (url.len > 0 && url.bytes[url.len - 1] == '/')
        url.len--;
    buf_text(&url, path);
    char *text = buf_take_text(&url);
    set_options(curl, client, text, body, &out->body);
    (void)curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);

    CURLcode code = perform(client, curl, out, &status);
    int exit_code = EXIT_DONE;
    if (code != CURLE_OK) {
        exit_code = unreachable(client, curl, code);
    } else {
        exit_code = status >= 200 && status < 300 ? read_answer(out)
                                                  : refused(status, buf_view(&out->body));
    }
    curl_slist_free_all(headers);
    curl_easy_cleanup(curl);
    free(text);
    if (exit_code != EXIT_DONE)
        client_answer_fini(out);
    return exit_code;
}

const char *field_text(const json_t *object, const char *name, const char *otherwise)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text == NULL ? otherwise : text;
}

long long field_count(const json_t *object, const char *name)
{
    return json_integer_value(json_object_get(object, name));
}
