#include "native.h"

#include <kpid_client.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/memory.h"

enum {
    WAITING_MAX = 128, /* batches of a connection, without an answer */
    HOSTS = 1000,
    LABELS = 3,
    TEXT_SIZE = 16,
    NAME_SIZE = MIX_PREFIX_MAX + 16,
    MEMORY_BYTES = 256 << 20,
    PATIENCE_S = 60,      /* without any answer */
    FIRST_PATIENCE_S = 3, /* without a connection so far */
    TOKEN_SIZE = 1024,
};

struct native_sender {
    const struct load_options *options;
    const struct payload *payload;
    struct sender_result *result;
    struct kpid_client *clients[CONNECTIONS_MAX];
    unsigned client_count;
    double started;
    double heard; /* the last answer */
    uint64_t added;
    bool is_welcome;

    /* the texts of names and labels, made before the clock starts */
    char names[LOAD_KINDS][NAME_SIZE];
    char hosts[HOSTS][TEXT_SIZE];
    char (*ids)[TEXT_SIZE]; /* by number of the series */

    uint32_t *took_us; /* of each answer */
    size_t took_count, took_capacity;
    char refused[256]; /* why a batch or a sample was; "" */
};

static void on_answer(const struct kpid_answer *answer, void *arg)
{
    struct native_sender *sender = arg;

    if (sender->took_count == sender->took_capacity) {
        sender->took_capacity = sender->took_capacity == 0 ? 1024 : sender->took_capacity * 2;
        sender->took_us =
            memory_grow(sender->took_us, sender->took_capacity, sizeof *sender->took_us);
    }
    sender->took_us[sender->took_count++] =
        answer->took_us > UINT32_MAX ? UINT32_MAX : (uint32_t)answer->took_us;
    sender->heard = monotonic_s();
    if (answer->code != KPID_CODE_STORED)
        (void)snprintf(sender->refused, sizeof sender->refused, "%s", answer->message);
    else if (answer->rejected > 0)
        (void)snprintf(sender->refused, sizeof sender->refused, "%s",
                       answer->example_count > 0 ? answer->examples[0].message : "rejected");
    else
        sender->result->samples += answer->samples;
}

/* --- before the clock starts ------------------------------------------------------------------ */

static void make_texts(struct native_sender *sender)
{
    const struct mix_options *mix = &sender->options->payload.mix;

    for (int i = 0; i < LOAD_KINDS; i++)
        (void)snprintf(sender->names[i], NAME_SIZE, "%s_api_%s", mix->prefix,
                       mix_kind_name((enum load_kind)i));
    for (unsigned i = 0; i < HOSTS; i++)
        (void)snprintf(sender->hosts[i], TEXT_SIZE, "host%03u", i);
    sender->ids = memory_zero(mix->series, TEXT_SIZE);
    for (uint32_t i = 0; i < mix->series; i++)
        (void)snprintf(sender->ids[i], TEXT_SIZE, "%07u", i);
}

/* Without blanks at its end; "" without a file. */
static bool read_token(const char *path, char out[static TOKEN_SIZE], struct error *err)
{
    out[0] = '\0';
    if (path == NULL)
        return true;
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return error_set_errno(err, "cannot read a token from '%s'", path);
    bool ok = fgets(out, TOKEN_SIZE, file) != NULL;
    (void)fclose(file);
    size_t len = strlen(out);
    while (len > 0 && (unsigned char)out[len - 1] <= ' ')
        len--;
    out[len] = '\0';
    return (ok && len > 0) ||
           error_set(err, ERROR_INVALID, "cannot read a token from '%s': it is empty", path);
}

static bool set_tls(struct kpid_client *client, const struct sender_options *options,
                    struct error *err)
{
    const struct kpid_client_tls files = {.ca_file = options->ca_file,
                                          .cert_file = options->cert_file,
                                          .key_file = options->key_file,
                                          .name = options->tls_name};

    if (options->transport != LOAD_TLS || kpid_client_set_tls(client, &files))
        return true;
    return error_set(err, ERROR_INVALID, "%s", kpid_client_trouble(client));
}

static bool open_clients(struct native_sender *sender, const char *token, struct error *err)
{
    const struct sender_options *options = &sender->options->sender;
    size_t batch = sender->options->payload.unit_bytes / sizeof(struct load_sample);
    char address[256];

    (void)snprintf(address, sizeof address, "%s:%s", load_transport_name(options->transport),
                   options->address);
    const struct kpid_client_options how = {.address = address,
                                            .token = token[0] != '\0' ? token : NULL,
                                            .name = "kpiload " KPID_VERSION,
                                            .batch_samples = batch > 0 ? batch : 1,
                                            .memory_max = MEMORY_BYTES,
                                            .on_answer = on_answer,
                                            .arg = sender};
    for (unsigned i = 0; i < options->connections; i++) {
        sender->clients[i] = kpid_client_new(&how);
        if (sender->clients[i] == NULL)
            return error_set_errno(err, "cannot send batches to '%s'", options->address);
        sender->client_count++;
        if (!set_tls(sender->clients[i], options, err))
            return false;
    }
    return true;
}

/* --- sending ---------------------------------------------------------------------------------- */

/* Waits for at most `most_s` until something can be done for a connection, and does it for all. */
static void wait_for_any(struct native_sender *sender, double most_s)
{
    struct pollfd waiting[CONNECTIONS_MAX];

    for (unsigned i = 0; i < sender->client_count; i++) {
        int due_ms = kpid_client_timeout_ms(sender->clients[i]);
        waiting[i] = (struct pollfd){.fd = kpid_client_fd(sender->clients[i]),
                                     .events = kpid_client_events(sender->clients[i])};
        if (due_ms >= 0 && due_ms * 1e-3 < most_s)
            most_s = due_ms * 1e-3;
    }
    struct timespec span = {.tv_sec = (time_t)most_s};
    span.tv_nsec = (long)((most_s - (double)span.tv_sec) * 1e9);
    (void)ppoll(waiting, sender->client_count, &span, NULL);
    for (unsigned i = 0; i < sender->client_count; i++)
        kpid_client_work(sender->clients[i]);
}

/* Whether kpid still answers, and took all so far. */
static bool is_well(struct native_sender *sender, const struct kpid_client *client,
                    struct error *err)
{
    const char *address = sender->options->sender.address;

    if (sender->refused[0] != '\0')
        return error_set(err, ERROR_INVALID, "'%s' refuses samples: %s", address, sender->refused);
    sender->is_welcome = sender->is_welcome || kpid_client_is_connected(client);
    if (monotonic_s() - sender->heard < (sender->is_welcome ? PATIENCE_S : FIRST_PATIENCE_S))
        return true;
    const char *trouble = kpid_client_trouble(client);
    const char *hint = kpid_client_hint(client);
    (void)error_set(err, ERROR_SYSTEM, "'%s' does not answer%s%s", address,
                    trouble[0] == '\0' ? "" : ": ", trouble);
    return hint[0] == '\0' ? false : error_hint(err, "%s", hint);
}

/* Until no more than `batches` of a connection wait. */
static bool wait_for_answers(struct native_sender *sender, const struct kpid_client *client,
                             uint64_t batches, struct error *err)
{
    if (kpid_client_stats(client).batches_waiting == 0)
        sender->heard = monotonic_s(); /* nothing is to be heard */
    while (kpid_client_stats(client).batches_waiting > batches) {
        if (!is_well(sender, client, err))
            return false;
        wait_for_any(sender, 0.1);
    }
    return true;
}

/* Takes answers until the next batch is due. */
static void pace(struct native_sender *sender)
{
    double rate = sender->options->sender.rate;

    if (rate <= 0)
        return;
    double due = sender->started + (double)sender->added / rate;
    double left = due - monotonic_s();
    while (left > 0) {
        wait_for_any(sender, left);
        left = due - monotonic_s();
    }
}

static bool send_batch(struct native_sender *sender, struct kpid_client *client,
                       const struct payload_unit *unit, struct error *err)
{
    static const enum kpid_kind kinds[LOAD_KINDS] = {
        [LOAD_COUNTER] = KPID_COUNTER, [LOAD_TIMER] = KPID_DISTRIBUTION, [LOAD_GAUGE] = KPID_GAUGE};
    struct kpid_label labels[LABELS] = {{"dc", "dc1"}, {"host", NULL}, {"id", NULL}};
    struct load_sample load;

    for (uint32_t i = 0; i < unit->samples; i++) {
        memcpy(&load, sender->payload->bytes.bytes + unit->offset + i * sizeof load, sizeof load);
        labels[1].value = sender->hosts[load.mix.series % HOSTS];
        labels[2].value = sender->ids[load.mix.series];
        const struct kpid_sample sample = {.name = sender->names[load.mix.kind],
                                           .labels = labels,
                                           .label_count = LABELS,
                                           .kind = kinds[load.mix.kind],
                                           .value = (double)load.mix.hundredths / 100,
                                           .time_ms = load.at * 1000};
        enum kpid_result result = kpid_client_add(client, &sample);
        if (result != KPID_OK)
            return error_set(err, ERROR_SYSTEM, "a sample cannot be sent: %s",
                             kpid_result_words(result));
    }
    sender->added += unit->samples;
    kpid_client_send(client);
    return true;
}

/* Batches go round the connections. */
static bool send_all(struct native_sender *sender, struct error *err)
{
    const struct payload *payload = sender->payload;
    unsigned next = 0;

    for (uint64_t round = 0; round < sender->options->repeat; round++) {
        for (size_t i = 0; i < payload->unit_count; i++) {
            struct kpid_client *client = sender->clients[next];
            next = next + 1 < sender->client_count ? next + 1 : 0;
            pace(sender);
            if (!wait_for_answers(sender, client, WAITING_MAX, err) ||
                !send_batch(sender, client, &payload->units[i], err))
                return false;
        }
    }
    for (unsigned i = 0; i < sender->client_count; i++) {
        if (!wait_for_answers(sender, sender->clients[i], 0, err))
            return false;
    }
    return sender->refused[0] == '\0' || is_well(sender, sender->clients[0], err);
}

/* --- a run ------------------------------------------------------------------------------------ */

static int compare_spans(const void *left, const void *right)
{
    uint32_t a = *(const uint32_t *)left;
    uint32_t b = *(const uint32_t *)right;
    return (a > b) - (a < b);
}

static void finish(struct native_sender *sender)
{
    struct sender_result *result = sender->result;

    result->seconds = monotonic_s() - sender->started;
    result->drained = result->seconds;
    result->peer_closed = true;
    result->units = sender->took_count;
    for (unsigned i = 0; i < sender->client_count; i++) {
        const struct kpid_client_stats stats = kpid_client_stats(sender->clients[i]);
        result->bytes += stats.sent_bytes;
        result->errors += stats.resent;
    }
    if (sender->took_count == 0)
        return;
    qsort(sender->took_us, sender->took_count, sizeof *sender->took_us, compare_spans);
    result->has_latency = true;
    size_t middle = sender->took_count / 2;
    size_t last = sender->took_count - 1 - sender->took_count / 100;
    result->p50_ms = sender->took_us[middle] * 1e-3;
    result->p99_ms = sender->took_us[last] * 1e-3;
}

bool native_run(const struct load_options *options, const struct payload *payload,
                struct sender_result *result, struct error *err)
{
    struct native_sender *sender = memory_zero(1, sizeof *sender);
    char token[TOKEN_SIZE];

    *sender = (struct native_sender){.options = options, .payload = payload, .result = result};
    *result = (struct sender_result){0};
    make_texts(sender);
    bool ok = sender_check_address(&options->sender, err) &&
              read_token(options->sender.token_file, token, err) &&
              open_clients(sender, token, err);
    explicit_bzero(token, sizeof token);
    sender->started = monotonic_s();
    sender->heard = sender->started;
    ok = ok && send_all(sender, err);
    finish(sender);
    for (unsigned i = 0; i < sender->client_count; i++)
        kpid_client_free(sender->clients[i]);
    free(sender->took_us);
    free(sender->ids);
    free(sender);
    return ok;
}
