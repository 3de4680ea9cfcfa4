#include "ingest/body.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

void body_init(struct body *body, const struct body_format *format,
               const struct body_request *request)
{
    uint64_t now_us = request->now_us > 0 ? (uint64_t)request->now_us : 0;

    *body = (struct body){.format = format,
                          .batch = batch_new(request->rules),
                          .refused_for = REJECT_NONE,
                          .until_look = BODY_LOOK_POINTS,
                          .pause = request->pause};
    if (*request->last_arrival < now_us)
        *request->last_arrival = now_us;
}

void body_fini(struct body *body)
{
    batch_free(body->batch);
    free(body->drops);
    body->batch = NULL;
    body->drops = NULL;
}

/* The first one of each reason is shown. */
static void show_drop(struct body *body, enum drop_reason reason, struct str name)
{
    if (body->drop_count == BODY_DROPS)
        return;
    if (body->drops == NULL)
        body->drops = memory_zero(BODY_DROPS, sizeof *body->drops);
    struct body_drop *drop = &body->drops[body->drop_count++];
    drop->reason = reason;
    drop->name_len = name.len < sizeof drop->name ? name.len : sizeof drop->name;
    if (drop->name_len > 0)
        memcpy(drop->name, name.text, drop->name_len);
}

void body_drop(struct body *body, enum drop_reason reason, struct str name)
{
    body->counts.received++;
    if (body->counts.dropped[reason]++ == 0)
        show_drop(body, reason, name);
}

void body_reject(struct body *body, enum reject_reason reason, uint64_t place, struct str example,
                 const char *words)
{
    if (reason == REJECT_series_limit) {
        body_drop(body, DROP_series_limit, STR_EMPTY);
        return;
    }
    body->counts.received++;
    body->counts.rejected[reason]++;
    body_show(body, reason, place, example, words);
}

void body_reject_point(struct body *body, enum reject_reason reason, uint64_t place,
                       const struct batch_point *point, const char *words)
{
    struct buf key = BUF_EMPTY;
    struct buf text = BUF_EMPTY;

    if (reason == REJECT_series_limit) {
        body_drop(body, DROP_series_limit, point->name);
        return;
    }
    if (body->example_count < BODY_EXAMPLES) {
        series_key_write(&key, METRIC_UNTYPED, point->name, point->labels, point->label_count);
        series_key_format(&text, buf_view(&key));
    }
    body_reject(body, reason, place, buf_view(&text), words);
    buf_fini(&key);
    buf_fini(&text);
}

const char *body_words_of(enum reject_reason reason)
{
    switch (reason) {
    case REJECT_bad_name:
        return "the metric's name is too long or has control characters";
    case REJECT_bad_time:
        return "the time is too far in the future or the past";
    case REJECT_out_of_range:
        return "the score is outside its range or not a whole number";
    case REJECT_unsupported:
        return "the metric is declared to be of a kind that takes no histogram";
    default:
        return "it cannot be counted";
    }
}

void body_show(struct body *body, enum reject_reason reason, uint64_t place, struct str example,
               const char *words)
{
    if (body->example_count == BODY_EXAMPLES)
        return;
    struct body_example *shown = &body->examples[body->example_count++];
    shown->place = place;
    shown->reason = reason;
    (void)snprintf(shown->words, sizeof shown->words, "%s", words);
    (void)str_quoted(example, shown->example);
    (void)str_printable(example, shown->shown);
}

uint64_t body_rejected(const struct body *body)
{
    uint64_t rejected = 0;

    for (int i = 0; i < REJECT_REASON_COUNT; i++)
        rejected += body->counts.rejected[i];
    return rejected;
}

void body_word_mistakes(const struct body *body, const struct body_tally *tally, struct buf *out)
{
    const struct body_example *first = &body->examples[0];
    const char *before = " (";

    buf_printf(out, "%llu of %llu %s rejected", (unsigned long long)tally->rejected,
               (unsigned long long)tally->received, tally->many);
    for (int i = 0; i < REJECT_REASON_COUNT; i++) {
        if (body->counts.rejected[i] == 0)
            continue;
        buf_printf(out, "%s%s %llu", before, reject_reason_name((enum reject_reason)i),
                   (unsigned long long)body->counts.rejected[i]);
        before = ", ";
    }
    buf_printf(out, ")%s; %s %llu, '%s': %s",
               body->counts.stored > 0 ? ", the others are taken" : "", tally->one,
               (unsigned long long)first->place, first->shown, first->words);
}

bool body_looks_within(struct body *body, size_t held_max, struct error *err)
{
    body->until_look = BODY_LOOK_POINTS;
    body_pause(&body->pause);
    return body->format->size_bytes(body) <= held_max ||
           error_set(err, ERROR_FULL,
                     "the body has too many series and times for one request; send less");
}
