#include "kpid_client.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "client_private.h"

enum {
    MS = 1000,
    BATCH_SAMPLES = 1000,
    BATCH_MS = 100,
    BATCH_MS_MAX = 3600 * 1000,
    MEMORY_BYTES = 16 << 20,
};

/* --- helpers ----------------------------------------------------------------------------------
 */

static int64_t microseconds(clockid_t clock)
{
    struct timespec now = {0};

    (void)clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

mono_us kpid_client_now(void)
{
    return microseconds(CLOCK_MONOTONIC);
}

/* xorshift64* of Marsaglia and Vigna: to spread tries over time. */
uint64_t kpid_client_random(struct kpid_client *client)
{
    uint64_t x = client->random;

    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    client->random = x;
    return x * UINT64_C(0x2545F4914F6CDD1D);
}

void kpid_client_say(struct kpid_client *client, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(client->trouble, sizeof client->trouble, format, arguments);
    va_end(arguments);
    client->hint[0] = '\0';
}

void kpid_client_say_errno(struct kpid_client *client, const char *what, int errnum)
{
    const char *words = strerrordesc_np(errnum);

    kpid_client_say(client, "%s: %s", what, words == NULL ? "unknown error" : words);
}

void kpid_client_advise(struct kpid_client *client, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(client->hint, sizeof client->hint, format, arguments);
    va_end(arguments);
}

const char *kpid_result_words(enum kpid_result result)
{
    static const char *const words[] = {
        [KPID_OK] = "done",
        [KPID_INVALID] = "not a sample",
        [KPID_FULL] = "too much waits for kpid's answer",
        [KPID_NO_MEMORY] = "out of memory",
        [KPID_TIMEOUT] = "not all is answered yet",
        [KPID_DENIED] = "kpid does not let this client speak",
        [KPID_REFUSED] = "not all is stored",
        [KPID_UNTRUSTED] = "what answers cannot show that it is kpid",
    };

    return (unsigned)result < sizeof words / sizeof words[0] ? words[result] : "unknown result";
}

/* --- a client ---------------------------------------------------------------------------------
 */

static bool copy_text(char *out, size_t size, const char *text, size_t len)
{
    if (len == 0 || len >= size)
        return false;
    memcpy(out, text, len);
    out[len] = '\0';
    return true;
}

static bool set_tcp(struct kpid_client *client, const char *text)
{
    const char *colon = strrchr(text, ':');
    size_t len = colon == NULL ? 0 : (size_t)(colon - text);

    if (len > 2 && text[0] == '[' && text[len - 1] == ']') {
        text++;
        len -= 2;
    } else if (memchr(text, ':', len) != NULL) {
        return false; /* an IPv6 address without brackets */
    }
    return colon != NULL && copy_text(client->host, sizeof client->host, text, len) &&
           copy_text(client->port, sizeof client->port, colon + 1, strlen(colon + 1)) &&
           strspn(client->port, "0123456789") == strlen(client->port);
}

static bool set_address(struct kpid_client *client, const char *address)
{
    if (address == NULL)
        return false;
    client->tls.is_wanted = strncmp(address, "tls:", 4) == 0;
    if (client->tls.is_wanted || strncmp(address, "tcp:", 4) == 0) {
        (void)snprintf(client->peer, sizeof client->peer, "%s", address + 4);
        return set_tcp(client, address + 4);
    }
    client->is_local = true;
    client->path.sun_family = AF_UNIX;
    return strncmp(address, "unix:", 5) == 0 &&
           copy_text(client->path.sun_path, sizeof client->path.sun_path, address + 5,
                     strlen(address + 5));
}

static size_t length(const char *text)
{
    return text == NULL ? 0 : strlen(text);
}

static bool set_options(struct kpid_client *client, const struct kpid_client_options *options)
{
    client->batch_age = (mono_us)MS * (options->batch_ms == 0 ? BATCH_MS : options->batch_ms);
    client->memory_max = options->memory_max == 0 ? MEMORY_BYTES : options->memory_max;
    client->on_answer = options->on_answer;
    client->arg = options->arg;
    return set_address(client, options->address) && options->batch_ms <= BATCH_MS_MAX &&
           options->batch_samples <= KPID_BATCH_SAMPLES_MAX &&
           client->memory_max >= KPID_MEMORY_MIN &&
           length(options->token) + length(options->name) <= KPID_NAMES_MAX;
}

/* False with errno. */
static bool set_up(struct kpid_client *client, const struct kpid_client_options *options)
{
    struct kpid_client_options filled = *options;
    unsigned char producer[KPID_PRODUCER_SIZE];
    uint64_t epoch = options->epoch;
    size_t samples = options->batch_samples == 0 ? BATCH_SAMPLES : options->batch_samples;

    if (getrandom(producer, sizeof producer, 0) != sizeof producer ||
        getrandom(&client->random, sizeof client->random, 0) != sizeof client->random)
        return false;
    client->random |= 1; /* never 0 */
    if (filled.producer == NULL)
        filled.producer = producer;
    if (epoch == 0)
        epoch = (uint64_t)(microseconds(CLOCK_REALTIME) / MS);
    if (!kpid_batch_init(&client->open, samples, FRAME_BYTES_MAX, (uint32_t)client->random) ||
        !kpid_link_init(client, &filled, epoch)) {
        errno = ENOMEM;
        return false;
    }
    return true;
}

struct kpid_client *kpid_client_new(const struct kpid_client_options *options)
{
    struct kpid_client *client = calloc(1, sizeof *client);

    if (client == NULL)
        return NULL;
    TAILQ_INIT(&client->batches);
    client->next_sequence = 1;
    client->link.fd = -1;
    if (!set_options(client, options)) {
        free(client);
        errno = EINVAL;
        return NULL;
    }
    if (!set_up(client, options)) {
        int errnum = errno;
        kpid_client_free(client);
        errno = errnum;
        return NULL;
    }
    return client;
}

/* What is behind '%' is no name, but the device to it. */
static bool is_name(const char *text)
{
    return strcspn(text, "%") > 0 && strlen(text) < HOST_SIZE;
}

bool kpid_client_set_tls(struct kpid_client *client, const struct kpid_client_tls *files)
{
    char *name = NULL;

    if (client->is_calling)
        return false;
    if (!client->tls.is_wanted) {
        kpid_client_say(client, "the address of this client is not one of TLS");
        kpid_client_advise(client, "write it as tls:HOST:PORT");
        return false;
    }
    if (files->name != NULL && !is_name(files->name)) {
        kpid_client_say(client, "a certificate cannot be for '%s'", files->name);
        return false;
    }
    if (files->name != NULL && (name = strdup(files->name)) == NULL) {
        kpid_client_say(client, "out of memory");
        return false;
    }
    if (!kpid_tls_load(client, files)) {
        free(name);
        return false;
    }
    free(client->tls.name);
    client->tls.name = name;
    return true;
}

void kpid_client_free(struct kpid_client *client)
{
    struct kpid_batch *batch = NULL;

    if (client == NULL)
        return;
    while ((batch = TAILQ_FIRST(&client->batches)) != NULL) {
        TAILQ_REMOVE(&client->batches, batch, link);
        free(batch);
    }
    kpid_link_fini(client);
    kpid_batch_fini(&client->open);
    free(client);
}

/* --- batches ----------------------------------------------------------------------------------
 */

static size_t size_of(size_t frame_len)
{
    return sizeof(struct kpid_batch) + frame_len;
}

/* Ends the batch that is being filled. False: no memory; it stays. */
static bool complete(struct kpid_client *client)
{
    struct open_batch *open = &client->open;
    uint64_t sequence = client->next_sequence;

    if (open->sample_count == 0)
        return true;
    size_t len = kpid_batch_size(open, sequence);
    struct kpid_batch *batch = malloc(size_of(LENGTH_SIZE + len));
    if (batch == NULL)
        return false;
    *batch = (struct kpid_batch){
        .sequence = sequence,
        .samples = (uint32_t)open->sample_count,
        .in_order = open->in_order,
        .len = LENGTH_SIZE + len,
    };
    for (int i = 0; i < LENGTH_SIZE; i++)
        batch->frame[i] = (unsigned char)(len >> (8 * (LENGTH_SIZE - 1 - i)));
    kpid_batch_pack(open, sequence, batch->frame + LENGTH_SIZE);
    kpid_batch_clear(open);
    client->next_sequence++;
    client->stats.batches++;
    client->stats.batches_waiting++;
    client->stats.bytes += size_of(batch->len);
    TAILQ_INSERT_TAIL(&client->batches, batch, link);
    return true;
}

static void count(struct kpid_client *client, const struct kpid_answer *answer)
{
    struct kpid_client_stats *stats = &client->stats;

    stats->waiting -= answer->samples;
    if (answer->code != KPID_CODE_STORED) {
        stats->refused += answer->samples;
        stats->uncertain += answer->code == KPID_CODE_TOO_OLD ? answer->samples : 0;
        client->has_refused = true;
        return;
    }
    stats->acknowledged += answer->samples;
    if (answer->repeated) {
        stats->repeated += answer->samples;
        return;
    }
    stats->stored += answer->stored;
    stats->rejected += answer->rejected;
    stats->dropped += answer->dropped;
    client->has_refused |= answer->rejected > 0;
}

void kpid_client_answered(struct kpid_client *client, struct kpid_batch *batch,
                          struct kpid_answer *answer)
{
    answer->sequence = batch->sequence;
    answer->samples = batch->samples;
    answer->took_us = (uint64_t)(kpid_client_now() - batch->first_sent);
    TAILQ_REMOVE(&client->batches, batch, link);
    client->stats.batches_waiting--;
    client->stats.bytes -= size_of(batch->len);
    free(batch);
    count(client, answer);
    if (client->on_answer == NULL)
        return;
    client->is_calling = true;
    client->on_answer(answer, client->arg);
    client->is_calling = false;
}

/* --- samples ----------------------------------------------------------------------------------
 */

static bool is_due(const struct kpid_client *client, mono_us now)
{
    return client->open.sample_count > 0 && now - client->open_since >= client->batch_age;
}

static size_t bytes_held(const struct kpid_client *client)
{
    bool is_open = client->open.sample_count > 0;
    return client->stats.bytes + (is_open ? size_of(client->open.bytes) : 0);
}

static bool has_room(const struct kpid_client *client, size_t cost)
{
    size_t begin = client->open.sample_count > 0 ? 0 : size_of(BATCH_FRAME_BYTES);
    return bytes_held(client) + begin + cost <= client->memory_max;
}

/* Room for a sample in the batch that is being filled, and in memory. */
static enum kpid_result make_room(struct kpid_client *client, size_t cost)
{
    struct open_batch *open = &client->open;

    if (open->bytes + cost > open->bytes_max && !complete(client))
        return KPID_NO_MEMORY;
    if (has_room(client, cost))
        return KPID_OK;
    /* What is complete takes less room than what it could have become. */
    if (!complete(client))
        return KPID_NO_MEMORY;
    kpid_link_work(client, kpid_client_now());
    return has_room(client, cost) ? KPID_OK : KPID_FULL;
}

static enum kpid_result add(struct kpid_client *client, const struct kpid_sample *sample,
                            mono_us now)
{
    struct open_batch *open = &client->open;
    size_t cost = kpid_batch_cost(sample);

    if (cost == SIZE_MAX || cost > client->memory_max ||
        cost + BATCH_FRAME_BYTES > open->bytes_max || client->is_calling)
        return KPID_INVALID;
    enum kpid_result result = make_room(client, cost);
    if (result != KPID_OK)
        return result;
    int64_t time_ms =
        sample->time_ms != 0 ? sample->time_ms : microseconds(CLOCK_REALTIME_COARSE) / MS;
    bool is_first = open->sample_count == 0;
    if (!kpid_batch_add(open, sample, time_ms))
        return KPID_NO_MEMORY;
    if (is_first)
        client->open_since = now;
    client->stats.added++;
    client->stats.waiting++;
    return KPID_OK;
}

enum kpid_result kpid_client_add(struct kpid_client *client, const struct kpid_sample *sample)
{
    mono_us now = microseconds(CLOCK_MONOTONIC_COARSE);
    enum kpid_result result = add(client, sample, now);

    if (result == KPID_FULL || result == KPID_NO_MEMORY)
        client->stats.full++;
    if (result != KPID_OK)
        return result;
    if (client->open.sample_count == client->open.samples_max || is_due(client, now))
        kpid_client_send(client);
    return KPID_OK;
}

static enum kpid_result add_value(struct kpid_client *client, const char *name,
                                  const struct kpid_label *labels, size_t label_count,
                                  enum kpid_kind kind, double value)
{
    const struct kpid_sample sample = {
        .name = name, .labels = labels, .label_count = label_count, .kind = kind, .value = value};

    return kpid_client_add(client, &sample);
}

enum kpid_result kpid_client_count(struct kpid_client *client, const char *name,
                                   const struct kpid_label *labels, size_t label_count,
                                   double increment)
{
    return add_value(client, name, labels, label_count, KPID_COUNTER, increment);
}

enum kpid_result kpid_client_gauge(struct kpid_client *client, const char *name,
                                   const struct kpid_label *labels, size_t label_count,
                                   double level)
{
    return add_value(client, name, labels, label_count, KPID_GAUGE, level);
}

enum kpid_result kpid_client_gauge_add(struct kpid_client *client, const char *name,
                                       const struct kpid_label *labels, size_t label_count,
                                       double change)
{
    const struct kpid_sample sample = {.name = name,
                                       .labels = labels,
                                       .label_count = label_count,
                                       .kind = KPID_GAUGE,
                                       .form = KPID_CHANGE,
                                       .value = change};

    return kpid_client_add(client, &sample);
}

enum kpid_result kpid_client_observe(struct kpid_client *client, const char *name,
                                     const struct kpid_label *labels, size_t label_count,
                                     double value)
{
    return add_value(client, name, labels, label_count, KPID_DISTRIBUTION, value);
}

enum kpid_result kpid_client_unique(struct kpid_client *client, const char *name,
                                    const struct kpid_label *labels, size_t label_count,
                                    const char *member)
{
    const struct kpid_sample sample = {.name = name,
                                       .labels = labels,
                                       .label_count = label_count,
                                       .kind = KPID_UNIQUE,
                                       .member = member};

    return kpid_client_add(client, &sample);
}

enum kpid_result kpid_client_score(struct kpid_client *client, const char *name,
                                   const struct kpid_label *labels, size_t label_count,
                                   double score)
{
    return add_value(client, name, labels, label_count, KPID_SCORE, score);
}

/* --- sending ----------------------------------------------------------------------------------
 */

void kpid_client_send(struct kpid_client *client)
{
    if (client->is_calling)
        return;
    (void)complete(client); /* without memory it is tried again */
    kpid_link_work(client, kpid_client_now());
}

void kpid_client_work(struct kpid_client *client)
{
    mono_us now = kpid_client_now();

    if (client->is_calling)
        return;
    if (is_due(client, now))
        (void)complete(client);
    kpid_link_work(client, now);
}

static mono_us due(const struct kpid_client *client)
{
    mono_us link = kpid_link_due(client);

    if (client->open.sample_count > 0 && client->open_since + client->batch_age < link)
        return client->open_since + client->batch_age;
    return link;
}

int kpid_client_timeout_ms(const struct kpid_client *client)
{
    mono_us now = kpid_client_now();
    mono_us at = due(client);

    if (at == NEVER)
        return -1;
    return at <= now ? 0 : (int)((at - now + MS - 1) / MS);
}

void kpid_client_wait(struct kpid_client *client, unsigned timeout_ms)
{
    struct pollfd waiting = {.fd = client->link.fd, .events = kpid_link_events(client)};
    int due_ms = kpid_client_timeout_ms(client);
    int ms = timeout_ms > INT32_MAX ? INT32_MAX : (int)timeout_ms;

    if (client->is_calling)
        return;
    if (due_ms >= 0 && due_ms < ms)
        ms = due_ms;
    (void)poll(&waiting, 1, ms); /* without a socket it is only the time */
    kpid_client_work(client);
}

enum kpid_result kpid_client_flush(struct kpid_client *client, unsigned timeout_ms)
{
    mono_us until = kpid_client_now() + (mono_us)timeout_ms * MS;

    if (client->is_calling)
        return KPID_INVALID;
    kpid_client_send(client);
    while (client->stats.waiting > 0) {
        mono_us left = until - kpid_client_now();
        if (client->link.is_denied)
            return KPID_DENIED;
        if (client->tls.is_untrusted)
            return KPID_UNTRUSTED;
        if (left <= 0)
            return KPID_TIMEOUT;
        kpid_client_wait(client, (unsigned)((left + MS - 1) / MS));
        if (client->open.sample_count > 0)
            kpid_client_send(client);
    }
    bool ok = !client->has_refused;
    client->has_refused = false;
    return ok ? KPID_OK : KPID_REFUSED;
}

/* --- for callers ------------------------------------------------------------------------------
 */

int kpid_client_fd(const struct kpid_client *client)
{
    return client->link.fd;
}

short kpid_client_events(const struct kpid_client *client)
{
    if (client->link.fd < 0)
        return 0;
    return kpid_link_events(client);
}

struct kpid_client_stats kpid_client_stats(const struct kpid_client *client)
{
    struct kpid_client_stats stats = client->stats;

    stats.bytes = bytes_held(client);
    return stats;
}

bool kpid_client_is_connected(const struct kpid_client *client)
{
    return client->link.state == LINK_UP;
}

const char *kpid_client_trouble(const struct kpid_client *client)
{
    return client->trouble;
}

const char *kpid_client_hint(const struct kpid_client *client)
{
    return client->hint;
}
