#include "alert/transfer.h"

#include <assert.h>
#include <curl/curl.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

struct transfers {
    struct event_base *base;
    CURLM *multi;
    struct event *timer;
};

struct transfer {
    struct transfers *transfers;
    CURL *easy;
    struct curl_slist *headers;
    transfer_done_fn on_done;
    void *arg;
    char failure[CURL_ERROR_SIZE];
    char answer[TRANSFER_ANSWER_MAX];
    size_t answer_len;
    bool cut; /* the answer was longer */
};

static void free_transfer(struct transfer *transfer)
{
    (void)curl_multi_remove_handle(transfer->transfers->multi, transfer->easy);
    curl_easy_cleanup(transfer->easy);
    curl_slist_free_all(transfer->headers);
    free(transfer);
}

/* --- the end of a transfer ----------------------------------------------------------------------
 */

static void finish(struct transfer *transfer, CURLcode code)
{
    struct transfer_answer answer = {.body = {transfer->answer, transfer->answer_len}};
    struct curl_header *header = NULL;

    /* libcurl calls it a write error that the rest of a long answer was refused. */
    if (code == CURLE_OK || (code == CURLE_WRITE_ERROR && transfer->cut)) {
        (void)curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &answer.status);
        if (curl_easy_header(transfer->easy, "Retry-After", 0, CURLH_HEADER, -1, &header) ==
            CURLHE_OK)
            answer.retry_after = str_of(header->value);
    }
    if (answer.status == 0)
        answer.failure =
            transfer->failure[0] != '\0' ? transfer->failure : curl_easy_strerror(code);
    transfer->on_done(&answer, transfer->arg);
    free_transfer(transfer);
}

static void finish_all(struct transfers *transfers)
{
    int left = 0;
    const CURLMsg *message = NULL;

    while ((message = curl_multi_info_read(transfers->multi, &left)) != NULL) {
        struct transfer *transfer = NULL;
        CURLcode code = message->data.result;
        if (message->msg != CURLMSG_DONE)
            continue;
        (void)curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&transfer);
        finish(transfer, code);
    }
}

/* --- libcurl's sockets and timer on the event base ----------------------------------------------
 */

static void on_ready(evutil_socket_t fd, short events, void *arg)
{
    struct transfers *transfers = arg;
    int running = 0;
    int actions = ((events & EV_READ) != 0 ? CURL_CSELECT_IN : 0) |
                  ((events & EV_WRITE) != 0 ? CURL_CSELECT_OUT : 0);

    (void)curl_multi_socket_action(transfers->multi, fd, actions, &running);
    finish_all(transfers);
}

static void on_timer(evutil_socket_t fd, short events, void *arg)
{
    struct transfers *transfers = arg;
    int running = 0;
    (void)fd;
    (void)events;

    (void)curl_multi_socket_action(transfers->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    finish_all(transfers);
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_event)
{
    struct transfers *transfers = arg;
    struct event *event = socket_event;
    (void)easy;

    if (event != NULL)
        event_free(event);
    event = NULL;
    if (what != CURL_POLL_REMOVE) {
        int events = EV_PERSIST | ((what & CURL_POLL_IN) != 0 ? EV_READ : 0) |
                     ((what & CURL_POLL_OUT) != 0 ? EV_WRITE : 0);
        event = event_new(transfers->base, fd, (short)events, on_ready, transfers);
        int rc = event == NULL ? -1 : event_add(event, NULL);
        assert(rc == 0);
        (void)rc;
    }
    (void)curl_multi_assign(transfers->multi, fd, event);
    return 0;
}

static int on_timeout(CURLM *multi, long timeout_ms, void *arg)
{
    struct transfers *transfers = arg;
    struct timeval wait = {.tv_sec = timeout_ms / MS_PER_SECOND,
                           .tv_usec = timeout_ms % MS_PER_SECOND * 1000};
    (void)multi;

    if (timeout_ms < 0)
        (void)event_del(transfers->timer);
    else
        (void)event_add(transfers->timer, &wait);
    return 0;
}

struct transfers *transfers_new(struct event_base *base)
{
    struct transfers *transfers = memory_zero(1, sizeof *transfers);
    int rc = (int)curl_global_init(CURL_GLOBAL_DEFAULT);

    assert(rc == 0);
    transfers->base = base;
    transfers->multi = curl_multi_init();
    transfers->timer = evtimer_new(base, on_timer, transfers);
    assert(transfers->multi != NULL && transfers->timer != NULL);
    rc |= (int)curl_multi_setopt(transfers->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    rc |= (int)curl_multi_setopt(transfers->multi, CURLMOPT_SOCKETDATA, transfers);
    rc |= (int)curl_multi_setopt(transfers->multi, CURLMOPT_TIMERFUNCTION, on_timeout);
    rc |= (int)curl_multi_setopt(transfers->multi, CURLMOPT_TIMERDATA, transfers);
    assert(rc == 0);
    return transfers;
}

void transfers_free(struct transfers *transfers)
{
    if (transfers == NULL)
        return;
    (void)curl_multi_cleanup(transfers->multi);
    event_free(transfers->timer);
    free(transfers);
    curl_global_cleanup();
}

/* --- the start of a transfer --------------------------------------------------------------------
 */

static size_t on_answer(char *bytes, size_t size, size_t count, void *arg)
{
    struct transfer *transfer = arg;
    size_t len = size * count;
    size_t room = sizeof transfer->answer - transfer->answer_len;
    size_t kept = len < room ? len : room;

    if (kept > 0)
        memcpy(transfer->answer + transfer->answer_len, bytes, kept);
    transfer->answer_len += kept;
    transfer->cut = kept < len;
    return transfer->cut ? CURL_WRITEFUNC_ERROR : len;
}

static void add_header(struct transfer *transfer, const char *header)
{
    struct curl_slist *longer = curl_slist_append(transfer->headers, header);
    if (longer == NULL)
        abort(); /* out of memory */
    transfer->headers = longer;
}

/* None of these can fail but for want of memory, and without one of them a message could go where
 * it must not: hence the assertion. */
static void set_options(struct transfer *transfer, const struct transfer_request *request)
{
    CURL *easy = transfer->easy;
    span_ms timeout = request->timeout > 0 ? request->timeout : 1; /* 0 would be endless */
    int rc = 0;

    rc |= (int)curl_easy_setopt(easy, CURLOPT_PRIVATE, transfer);
    rc |= (int)curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer->failure);
    rc |= (int)curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    rc |= (int)curl_easy_setopt(easy, CURLOPT_NOPROGRESS, 1L);
    rc |= (int)curl_easy_setopt(easy, CURLOPT_URL, request->url);
    rc |= (int)curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    rc |= (int)curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    rc |= (int)curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L);
    rc |= (int)curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L);
    rc |= (int)curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    rc |= (int)curl_easy_setopt(easy, CURLOPT_PROXY, "");
    rc |= (int)curl_easy_setopt(easy, CURLOPT_NOPROXY, "*");
    rc |= (int)curl_easy_setopt(easy, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    rc |= (int)curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)timeout);
    /* A name that is still being looked up must not hold up the end, of a transfer or of kpid. */
    rc |= (int)curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
    rc |= (int)curl_easy_setopt(easy, CURLOPT_USERAGENT, "kpid/" KPID_VERSION);
    rc |= (int)curl_easy_setopt(easy, CURLOPT_HTTPHEADER, transfer->headers);
    rc |= (int)curl_easy_setopt(easy, CURLOPT_POST, 1L);
    rc |= (int)curl_easy_setopt(easy, CURLOPT_POSTFIELDS, request->body.text);
    rc |= (int)curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body.len);
    rc |= (int)curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_answer);
    rc |= (int)curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer);
    assert(rc == 0);
}

struct transfer *transfer_start(struct transfers *transfers, const struct transfer_request *request,
                                transfer_done_fn on_done, void *arg)
{
    struct transfer *transfer = memory_zero(1, sizeof *transfer);

    transfer->transfers = transfers;
    transfer->on_done = on_done;
    transfer->arg = arg;
    transfer->easy = curl_easy_init();
    assert(transfer->easy != NULL);
    add_header(transfer, "Content-Type: application/json");
    add_header(transfer, "Expect:"); /* a body this small is not announced first */
    for (size_t i = 0; i < request->header_count; i++)
        add_header(transfer, request->headers[i]);
    set_options(transfer, request);
    int rc = (int)curl_multi_add_handle(transfers->multi, transfer->easy);
    assert(rc == 0);
    (void)rc;
    return transfer;
}

void transfer_cancel(struct transfer *transfer)
{
    free_transfer(transfer);
}
