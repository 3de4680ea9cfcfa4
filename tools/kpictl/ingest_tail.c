#include "ingest_tail.h"

#include <jansson.h>
#include <stdio.h>
#include <time.h>

#include "base/buf.h"

enum { POLL_NS = 250 * 1000 * 1000, SAMPLES_MAX = 1000 * 1000 };

/* A member of a unique metric may hold anything. */
static void print_visible(const char *text)
{
    struct buf out = BUF_EMPTY;

    buf_visible(&out, str_of(text));
    if (out.len > 0)
        (void)fwrite(out.bytes, 1, out.len, stdout);
    buf_fini(&out);
}

static void print_taken(const json_t *sample)
{
    const json_t *value = json_object_get(sample, "value");
    const json_t *change = json_object_get(sample, "change");
    const char *sign = change == NULL ? "" : "change ";
    const json_t *shown = change == NULL ? value : change;

    (void)printf("%s  %s  %s", field_text(sample, "kind", ""), field_text(sample, "series", ""),
                 sign);
    if (json_is_string(shown))
        print_visible(json_string_value(shown));
    else if (json_is_number(shown))
        (void)printf("%.10g", json_number_value(shown));
    double samples = json_number_value(json_object_get(sample, "samples"));
    if (samples > 1)
        (void)printf("  (%.10g samples)", samples);
    (void)printf("\n");
}

static void print_dropped(const json_t *sample, const char *reason)
{
    double samples = json_number_value(json_object_get(sample, "samples"));

    (void)printf("dropped %s: ", reason);
    print_visible(field_text(sample, "name", field_text(sample, "event", "")));
    if (samples > 1)
        (void)printf("  (%.10g samples)", samples);
    (void)printf("\n");
}

static void print_event(const json_t *sample, const char *title)
{
    (void)printf("event  %s  ", field_text(sample, "kind", ""));
    print_visible(title);
    (void)printf("\n");
}

static void print_sample(const json_t *sample)
{
    const char *rejected = field_text(sample, "rejected", NULL);
    const char *dropped = field_text(sample, "dropped", NULL);
    const char *event = field_text(sample, "event", NULL);
    const char *peer = field_text(sample, "peer", "");

    (void)printf("%s  %s  ", field_text(sample, "at", ""), field_text(sample, "listener", ""));
    if (rejected != NULL)
        (void)printf("rejected %s%s%s: \"%s\"\n", rejected, peer[0] == '\0' ? "" : " from ", peer,
                     field_text(sample, "example", ""));
    else if (dropped != NULL)
        print_dropped(sample, dropped);
    else if (event != NULL)
        print_event(sample, event);
    else
        print_taken(sample);
}

static void print_json(const json_t *sample)
{
    (void)json_dumpf(sample, stdout, JSON_COMPACT | JSON_ENSURE_ASCII);
    (void)printf("\n");
}

/* What is printed of one answer, at most `left`; how many. */
static long print_answer(const struct invocation *invocation, const json_t *answer, long left)
{
    const json_t *samples = json_object_get(answer, "samples");
    size_t i = 0;
    json_t *sample = NULL;

    json_array_foreach(samples, i, sample)
    {
        if ((long)i == left)
            break;
        if (invocation->json)
            print_json(sample);
        else
            print_sample(sample);
    }
    return (long)i;
}

static void say_skipped(const json_t *answer, long long *before)
{
    long long skipped = field_count(answer, "skipped");

    if (skipped > *before)
        (void)fprintf(stderr, "kpictl: %lld more samples are not shown\n", skipped - *before);
    *before = skipped;
}

enum exit_code ingest_tail(const struct invocation *invocation)
{
    const struct timespec pause = {.tv_nsec = POLL_NS};
    long left = SAMPLES_MAX;
    long long skipped = 0;
    long long next = 0;

    if (!option_number(invocation, "count", 1, SAMPLES_MAX, &left))
        return EXIT_USAGE;
    while (left > 0) {
        struct client_answer answer;
        struct buf path = BUF_EMPTY;
        char number[24];
        (void)snprintf(number, sizeof number, "%lld", next);
        buf_text(&path, "/api/v1/ingest/tail");
        client_add_parameter(&path, "after", number);
        client_add_parameter(&path, "rejected",
                             option(invocation, "rejected") == NULL ? NULL : "1");
        client_add_parameter(&path, "listener", option(invocation, "listener"));
        buf_char(&path, '\0');
        int code = client_call(&invocation->client, path.bytes, NULL, &answer);
        buf_fini(&path);
        if (code != EXIT_DONE)
            return (enum exit_code)code;
        left -= print_answer(invocation, answer.json, left);
        next = field_count(answer.json, "next");
        say_skipped(answer.json, &skipped);
        client_answer_fini(&answer);
        if (fflush(stdout) != 0)
            return EXIT_DONE; /* nobody reads it any more */
        if (left > 0)
            (void)nanosleep(&pause, NULL);
    }
    return EXIT_DONE;
}
