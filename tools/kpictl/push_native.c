/* Samples by kpid's own protocol, with libkpid-client. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "base/buf.h"
#include "base/memory.h"
#include "kpid_client.h"
#include "push_sink.h"
#include "series/metric.h"

enum {
    MEMORY_MAX = 4 << 20,
    LOOK_MS = 100, /* between two looks at signals and the time */
    DENIED_MS = 1000,
    FIRST_ANSWER_MS = 5 * 1000, /* until kpid welcomes */
    ANSWER_MS = 60 * 1000,      /* from one answer to the next */
};

/* Where the samples of a batch stood. */
struct sent_batch {
    TAILQ_ENTRY(sent_batch) link;
    uint64_t sequence;
    size_t count, capacity;
    uint64_t *lines;
};

TAILQ_HEAD(sent_batches, sent_batch);

struct native_sink {
    struct push_sink sink; /* first */
    struct kpid_client *client;
    struct sent_batches batches; /* in the order of their sequence, the one being filled too */
    enum kpid_kind kind;
    wall_ms at;              /* 0: now */
    struct buf texts;        /* of a sample, each with a NUL */
    mono_ms progress_at;     /* the last answer came, or nothing waited for one */
    uint64_t answered;       /* samples */
    uint64_t busy, welcomed; /* what the client counted then */
    mono_ms denied_at;       /* was asked for */
};

static struct native_sink *native_of(struct push_sink *sink)
{
    return (struct native_sink *)sink;
}

static unsigned long long number(uint64_t value)
{
    return value;
}

/* --- answers --- */

static void free_batch(struct sent_batch *batch)
{
    free(batch->lines);
    free(batch);
}

/* Of all samples of a batch. */
static void tell_refused(const struct sent_batch *batch, const char *why)
{
    uint64_t first = batch->lines[0];
    uint64_t last = batch->lines[batch->count - 1];

    if (first == last)
        push_tell(first, "%s", why);
    else
        push_tell(0, "lines %llu to %llu: %s", number(first), number(last), why);
}

static void tell_unnamed(const struct sent_batch *batch, uint64_t count)
{
    push_tell(0, "lines %llu to %llu: %llu more rejected; kpid names the first of a batch",
              number(batch->lines[0]), number(batch->lines[batch->count - 1]), number(count));
}

static void on_answer(const struct kpid_answer *answer, void *arg)
{
    struct native_sink *native = arg;
    struct push_counts *counts = &native->sink.counts;
    struct sent_batch *batch = TAILQ_FIRST(&native->batches);

    while (batch != NULL && batch->sequence != answer->sequence)
        batch = TAILQ_NEXT(batch, link);
    if (batch == NULL)
        return;
    if (answer->code != KPID_CODE_STORED) {
        counts->rejected += batch->count;
        tell_refused(batch, answer->message);
    } else if (answer->repeated) {
        counts->repeated += batch->count;
    } else {
        counts->stored += answer->stored;
        counts->dropped += answer->dropped;
        counts->rejected += answer->rejected;
        for (size_t i = 0; i < answer->example_count; i++) {
            const struct kpid_rejected *rejected = &answer->examples[i];
            if (rejected->sample < batch->count)
                push_tell(batch->lines[rejected->sample], "%s", rejected->message);
        }
        if (answer->rejected > answer->example_count)
            tell_unnamed(batch, answer->rejected - answer->example_count);
    }
    TAILQ_REMOVE(&native->batches, batch, link);
    free_batch(batch);
}

/* --- waiting --- */

static enum exit_code say_denied(const struct native_sink *native)
{
    const char *hint = kpid_client_hint(native->client);

    push_tell(0, "%s", kpid_client_trouble(native->client));
    if (hint[0] != '\0')
        (void)fprintf(stderr, "  hint: %s\n", hint);
    else if (native->sink.invocation->client.token_file == NULL)
        (void)fprintf(stderr, "  hint: see '--token-file'\n");
    return EXIT_REFUSED;
}

static enum exit_code say_silent(const struct native_sink *native,
                                 const struct kpid_client_stats *stats)
{
    const char *to = option(native->sink.invocation, "to");
    const char *trouble = kpid_client_trouble(native->client);
    const char *hint = kpid_client_hint(native->client);

    if (stats->connections > 0 && stats->busy > native->busy) {
        push_tell(0, "kpid at '%s' takes no samples now, since a minute", to);
        return EXIT_REFUSED;
    }
    push_tell(0, "cannot reach kpid at '%s': %s", to,
              trouble[0] == '\0' ? "it does not answer" : trouble);
    if (hint[0] == '\0' && stats->connections == 0)
        hint = "is it running, and is this a listener of 'protocol: native'?";
    if (hint[0] != '\0')
        (void)fprintf(stderr, "  hint: %s\n", hint);
    return EXIT_UNREACHABLE;
}

/* Whether to go on: not when kpid says no, or nothing at all for too long. */
static enum exit_code look(struct native_sink *native)
{
    struct kpid_client_stats stats = kpid_client_stats(native->client);
    uint64_t answered = stats.acknowledged + stats.refused;
    mono_ms now = clock_mono();

    if (stats.batches_waiting == 0 || answered != native->answered) {
        native->answered = answered;
        native->progress_at = now;
        native->busy = stats.busy;
        return EXIT_DONE;
    }
    if (stats.connections != native->welcomed) {
        /* The first welcome is an answer, too. */
        native->progress_at = native->welcomed == 0 ? now : native->progress_at;
        native->welcomed = stats.connections;
    }
    if (!kpid_client_is_connected(native->client) && now - native->denied_at >= DENIED_MS) {
        native->denied_at = now;
        enum kpid_result result = kpid_client_flush(native->client, 0);
        if (result == KPID_DENIED)
            return say_denied(native);
        if (result == KPID_UNTRUSTED)
            return say_silent(native, &stats);
        native->sink.batch_count = 0; /* it has ended the batch */
    }
    span_ms patience = stats.connections > 0 || stats.busy > 0 ? ANSWER_MS : FIRST_ANSWER_MS;
    if (now - native->progress_at < patience)
        return EXIT_DONE;
    return say_silent(native, &stats);
}

static enum exit_code wait_for_input(struct push_sink *sink, int timeout_ms, bool *can_read)
{
    struct native_sink *native = native_of(sink);
    int due = kpid_client_timeout_ms(native->client);

    if (kpid_client_stats(native->client).batches_waiting > 0 &&
        (timeout_ms < 0 || timeout_ms > LOOK_MS))
        timeout_ms = LOOK_MS;
    if (due >= 0 && (timeout_ms < 0 || due < timeout_ms))
        timeout_ms = due;
    *can_read =
        push_poll(kpid_client_fd(native->client), kpid_client_events(native->client), timeout_ms);
    kpid_client_work(native->client);
    return look(native);
}

static enum exit_code finish(struct push_sink *sink)
{
    struct native_sink *native = native_of(sink);
    enum exit_code code = EXIT_DONE;

    sink->batch_count = 0;
    while (code == EXIT_DONE && push_signal() == 0) {
        enum kpid_result result = kpid_client_flush(native->client, LOOK_MS);
        if (result == KPID_DENIED)
            return say_denied(native);
        if (result == KPID_UNTRUSTED) {
            struct kpid_client_stats stats = kpid_client_stats(native->client);
            return say_silent(native, &stats);
        }
        if (result != KPID_TIMEOUT)
            break;
        code = look(native);
    }
    return code;
}

/* --- samples --- */

static const char *keep_text(struct native_sink *native, struct str text)
{
    /* The room for all texts of a sample was made before, so that none moves. */
    const char *begin = native->texts.bytes + native->texts.len;

    buf_str(&native->texts, text);
    buf_char(&native->texts, '\0');
    return begin;
}

static size_t room_for(const struct push_sample *sample)
{
    size_t len = sample->name.len + sample->value.len + 2;

    for (size_t i = 0; i < sample->label_count; i++)
        len += sample->labels[i].name.len + sample->labels[i].value.len + 2;
    return len;
}

static void note_line(struct native_sink *native, uint64_t line)
{
    uint64_t sequence = kpid_client_stats(native->client).batches + 1;
    struct sent_batch *batch = TAILQ_LAST(&native->batches, sent_batches);

    if (batch == NULL || batch->sequence != sequence) {
        batch = memory_zero(1, sizeof *batch);
        batch->sequence = sequence;
        TAILQ_INSERT_TAIL(&native->batches, batch, link);
    }
    if (batch->count == batch->capacity) {
        batch->capacity = batch->capacity == 0 ? 16 : 2 * batch->capacity;
        batch->lines = memory_grow(batch->lines, batch->capacity, sizeof *batch->lines);
    }
    batch->lines[batch->count++] = line;
    native->sink.batch_count = batch->count;
}

static enum exit_code send_batch(struct push_sink *sink)
{
    struct native_sink *native = native_of(sink);

    kpid_client_send(native->client);
    sink->batch_count = 0;
    return look(native);
}

static enum exit_code add_to_client(struct native_sink *native, const struct kpid_sample *sample,
                                    uint64_t line)
{
    enum exit_code code = EXIT_DONE;

    while (code == EXIT_DONE && push_signal() == 0) {
        enum kpid_result result = kpid_client_add(native->client, sample);
        if (result == KPID_OK) {
            native->sink.counts.taken++;
            note_line(native, line);
            return EXIT_DONE;
        }
        if (result == KPID_INVALID) {
            native->sink.counts.bad++;
            push_tell(line, "the sample is longer than kpid's limit of frames");
            return EXIT_DONE;
        }
        native->sink.batch_count = 0; /* the library has ended it, to make room */
        kpid_client_wait(native->client, LOOK_MS);
        code = look(native);
    }
    return code;
}

static enum exit_code add(struct push_sink *sink, const struct push_sample *in, uint64_t line)
{
    struct native_sink *native = native_of(sink);
    struct kpid_label labels[PUSH_WORDS_MAX];
    char quoted[STR_QUOTED_SIZE];
    struct kpid_sample out = {
        .kind = native->kind, .time_ms = native->at, .labels = labels, .label_count = 0};

    if (native->kind != KPID_UNIQUE &&
        (!str_parse_double(in->value, &out.value) || !isfinite(out.value))) {
        sink->counts.bad++;
        push_tell(line, "not a decimal number: '%s'", str_quoted(in->value, quoted));
        return EXIT_DONE;
    }
    buf_clear(&native->texts);
    (void)buf_room(&native->texts, room_for(in));
    out.name = keep_text(native, in->name);
    if (native->kind == KPID_UNIQUE)
        out.member = keep_text(native, in->value);
    for (size_t i = 0; i < in->label_count; i++)
        labels[out.label_count++] = (struct kpid_label){keep_text(native, in->labels[i].name),
                                                        keep_text(native, in->labels[i].value)};
    return add_to_client(native, &out, line);
}

static struct push_waiting waiting(const struct push_sink *sink)
{
    const struct native_sink *native = (const struct native_sink *)sink;
    struct push_waiting out = {0};
    const struct sent_batch *batch = NULL;

    TAILQ_FOREACH(batch, &native->batches, link)
    {
        if (out.samples == 0)
            out.first_line = batch->lines[0];
        out.samples += batch->count;
        out.last_line = batch->lines[batch->count - 1];
    }
    return out;
}

/* --- beginning and end --- */

static void free_sink(struct push_sink *sink)
{
    struct native_sink *native = native_of(sink);
    struct sent_batch *batch = NULL;

    kpid_client_free(native->client);
    while ((batch = TAILQ_FIRST(&native->batches)) != NULL) {
        TAILQ_REMOVE(&native->batches, batch, link);
        free_batch(batch);
    }
    buf_fini(&native->texts);
    free(native);
}

static bool read_options(struct native_sink *native)
{
    const struct invocation *invocation = native->sink.invocation;
    const char *type = option(invocation, "type");
    const char *at = option(invocation, "at");
    enum metric_kind kind = METRIC_UNTYPED;
    bool has_offset = false;

    if (type != NULL && !metric_kind_parse(str_of(type), &kind)) {
        (void)usage_error(invocation, "unknown type '%s'", type);
        return false;
    }
    native->kind = kind == METRIC_UNTYPED ? KPID_UNTYPED : (enum kpid_kind)kind;
    if (at == NULL)
        return true;
    if (push_time_parse(str_of(at), &native->at, &has_offset) && has_offset)
        return true;
    (void)usage_error(invocation,
                      "with '--to' a time has an offset, as 2026-10-12T09:00:00+02:00; this has "
                      "none: '%s'",
                      at);
    return false;
}

static bool set_tls(struct native_sink *native)
{
    const struct client *files = &native->sink.invocation->client;
    const struct kpid_client_tls tls = {
        .ca_file = files->ca_file, .cert_file = files->cert_file, .key_file = files->key_file};

    if (tls.ca_file == NULL && tls.cert_file == NULL && tls.key_file == NULL)
        return true;
    if (kpid_client_set_tls(native->client, &tls))
        return true;
    push_tell(0, "%s", kpid_client_trouble(native->client));
    if (kpid_client_hint(native->client)[0] != '\0')
        (void)fprintf(stderr, "  hint: %s\n", kpid_client_hint(native->client));
    return false;
}

static bool make_client(struct native_sink *native)
{
    const struct invocation *invocation = native->sink.invocation;
    char token[CLIENT_TOKEN_SIZE] = "";
    struct kpid_client_options options = {
        .address = option(invocation, "to"),
        .name = "kpictl/" KPID_VERSION,
        /* Batches are ended here, so that their lines are known. */
        .batch_samples = 2 * (size_t)PUSH_BATCH_SAMPLES,
        .batch_ms = 3600 * 1000,
        .memory_max = MEMORY_MAX,
        .on_answer = on_answer,
        .arg = native,
    };

    if (!client_read_token(&invocation->client, token))
        return false;
    if (token[0] != '\0')
        options.token = token;
    native->client = kpid_client_new(&options);
    int why = errno;
    explicit_bzero(token, sizeof token);
    if (native->client != NULL)
        return set_tls(native);
    if (why == EINVAL)
        (void)usage_error(invocation,
                          "not an address: '%s' (tcp:HOST:PORT, tls:HOST:PORT or unix:PATH)",
                          options.address);
    else
        push_tell(0, "out of memory");
    return false;
}

struct push_sink *push_native_new(const struct invocation *invocation)
{
    static const struct push_way way = {.add = add,
                                        .send = send_batch,
                                        .wait = wait_for_input,
                                        .finish = finish,
                                        .waiting = waiting,
                                        .free = free_sink};
    struct native_sink *native = memory_zero(1, sizeof *native);

    native->sink = (struct push_sink){.way = &way, .invocation = invocation};
    TAILQ_INIT(&native->batches);
    native->progress_at = clock_mono();
    if (read_options(native) && make_client(native))
        return &native->sink;
    free_sink(&native->sink);
    return NULL;
}
