/* What kpid says: a welcome, and what became of batches. */
#include <stdlib.h>
#include <string.h>

#include "client_private.h"

enum {
    MS = 1000,
    BUSY_MIN_MS = 10,
    BUSY_MAX_MS = 60 * 1000,
    EXAMPLES_MAX = 16,
    BACKOFF_FIRST_US = 100 * MS,
};

static const char *words_of(const char *message)
{
    return message[0] != '\0' ? message : "without a reason";
}

/* --- welcome ----------------------------------------------------------------------------------
 */

static bool take_welcome(struct kpid_client *client, const Kpid__V1__Welcome *welcome)
{
    struct kpid_link *link = &client->link;

    if (link->state != LINK_GREETING || link->written < link->hello_len) {
        kpid_client_say(client, "kpid welcomes a client that it did not hear");
        return false;
    }
    link->state = LINK_UP;
    link->written = 0;
    link->is_denied = false;
    link->batches_max = welcome->batches_max > 0 ? welcome->batches_max : 1;
    link->frame_bytes_max = welcome->frame_bytes_max;
    if (link->frame_bytes_max < client->open.bytes_max)
        client->open.bytes_max = link->frame_bytes_max;
    client->stats.connections++;
    return true;
}

/* --- batches ----------------------------------------------------------------------------------
 */

/* The batch with a sequence, that was sent and has no answer on this connection; NULL. */
static struct kpid_batch *find(struct kpid_client *client, uint64_t sequence)
{
    struct kpid_batch *batch = NULL;

    TAILQ_FOREACH(batch, &client->batches, link)
    {
        if (batch->sequence == sequence)
            return batch->is_under_way && batch != client->link.sending ? batch : NULL;
    }
    return NULL;
}

/* Any batch that was sent, or begun, and has no answer; NULL. */
static struct kpid_batch *find_under_way(struct kpid_client *client)
{
    struct kpid_batch *batch = TAILQ_FIRST(&client->batches);

    while (batch != NULL && !batch->is_under_way)
        batch = TAILQ_NEXT(batch, link);
    return batch;
}

/* Nothing is to be known of it on this connection any more. */
static void settle(struct kpid_client *client, struct kpid_batch *batch)
{
    batch->is_under_way = false;
    client->link.under_way--;
}

static void take_ack(struct kpid_client *client, const Kpid__V1__Ack *ack)
{
    struct kpid_batch *batch = find(client, ack->sequence);
    struct kpid_rejected examples[EXAMPLES_MAX];
    struct kpid_answer answer = {.code = KPID_CODE_STORED, .message = "", .examples = examples};

    if (batch == NULL)
        return;
    answer.repeated = ack->repeated;
    answer.stored = ack->stored;
    answer.rejected = ack->rejected;
    answer.dropped = ack->dropped;
    for (size_t i = 0; i < ack->n_examples && answer.example_count < EXAMPLES_MAX; i++) {
        if (ack->examples[i]->sample >= batch->samples)
            continue;
        examples[answer.example_count++] =
            (struct kpid_rejected){.sample = ack->examples[i]->sample,
                                   .reason = ack->examples[i]->reason,
                                   .message = ack->examples[i]->message};
    }
    settle(client, batch);
    client->link.backoff = BACKOFF_FIRST_US;
    kpid_client_answered(client, batch, &answer);
}

static void refuse(struct kpid_client *client, struct kpid_batch *batch,
                   const Kpid__V1__Error *error)
{
    struct kpid_answer answer = {.code = KPID_CODE_MALFORMED, .message = error->message};

    if (error->code > KPID__V1__CODE__MALFORMED && error->code <= KPID__V1__CODE__TOO_OLD)
        answer.code = (enum kpid_code)error->code;
    kpid_client_say(client, "kpid refuses a batch: %s", words_of(error->message));
    settle(client, batch);
    kpid_client_answered(client, batch, &answer);
}

static void pause_sending(struct kpid_client *client, uint32_t ms, mono_us now)
{
    mono_us span = ms < BUSY_MIN_MS ? BUSY_MIN_MS : ms > BUSY_MAX_MS ? BUSY_MAX_MS : ms;

    client->stats.busy++;
    if (client->link.busy_until < now + span * MS)
        client->link.busy_until = now + span * MS;
}

/* The connection ends. Where kpid did not like a batch but does not say which, those that it has
 * not answered are sent one at a time from now on, until it is found. */
static void end_by(struct kpid_client *client, const Kpid__V1__Error *error, mono_us now)
{
    struct kpid_link *link = &client->link;
    bool blames =
        error->code == KPID__V1__CODE__MALFORMED || error->code == KPID__V1__CODE__TOO_LARGE;

    if (error->code == KPID__V1__CODE__BUSY)
        pause_sending(client, error->retry_after_ms, now);
    if (error->code == KPID__V1__CODE__DENIED)
        link->is_denied = true;
    if (blames && link->under_way > 1)
        link->careful_until = link->sequence_sent;
    if (blames && link->under_way == 1) {
        link->sending = NULL;
        refuse(client, find_under_way(client), error);
    }
    kpid_client_say(client, "kpid says: %s", words_of(error->message));
}

static bool take_error(struct kpid_client *client, const Kpid__V1__Error *error, mono_us now)
{
    struct kpid_batch *batch = NULL;

    if (error->sequence == 0) {
        end_by(client, error, now);
        return false;
    }
    batch = find(client, error->sequence);
    if (batch == NULL)
        return true;
    if (error->code != KPID__V1__CODE__BUSY) {
        refuse(client, batch, error);
        return true;
    }
    settle(client, batch);
    pause_sending(client, error->retry_after_ms, now);
    return true;
}

bool kpid_answer_take(struct kpid_client *client, const unsigned char *bytes, size_t len,
                      mono_us now)
{
    Kpid__V1__ServerFrame *frame = kpid__v1__server_frame__unpack(NULL, len, bytes);
    bool ok = true;

    if (frame == NULL) {
        kpid_client_say(client, "what answers does not speak kpid's protocol");
        return false;
    }
    switch (frame->kind_case) {
    case KPID__V1__SERVER_FRAME__KIND_WELCOME:
        ok = take_welcome(client, frame->welcome);
        break;
    case KPID__V1__SERVER_FRAME__KIND_ACK:
        take_ack(client, frame->ack);
        break;
    case KPID__V1__SERVER_FRAME__KIND_ERROR:
        ok = take_error(client, frame->error, now);
        break;
    default:
        break; /* of a later version */
    }
    kpid__v1__server_frame__free_unpacked(frame, NULL);
    return ok;
}
