#include "ingest/body.h"

#include <stdio.h>

void body_init(struct body *body, const struct body_format *format,
               const struct body_request *request)
{
    uint64_t now_us = request->now_us > 0 ? (uint64_t)request->now_us : 0;

    *body = (struct body){
        .format = format, .batch = batch_new(request->rules), .refused_for = REJECT_NONE};
    if (*request->last_arrival < now_us)
        *request->last_arrival = now_us;
}

void body_fini(struct body *body)
{
    batch_free(body->batch);
    body->batch = NULL;
}

void body_reject(struct body *body, enum reject_reason reason, uint64_t place, struct str example,
                 const char *words)
{
    body->counts.received++;
    body->counts.rejected[reason]++;
    body_show(body, reason, place, example, words);
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
}

uint64_t body_rejected(const struct body *body)
{
    uint64_t rejected = 0;

    for (int i = 0; i < REJECT_REASON_COUNT; i++)
        rejected += body->counts.rejected[i];
    return rejected;
}
