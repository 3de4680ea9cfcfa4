/* What a kpid, or somebody else at its address, may say to libkpid-client: any frames, while
 * batches wait. Whatever it is, the samples that were added are answered, refused or waiting. The
 * input is frames, each behind one byte of its length. */
#include <stdlib.h>

#include "client_private.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

enum { BATCHES = 5, NOW_US = 1000000 };

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void on_answer(const struct kpid_answer *answer, void *arg)
{
    uint64_t *answered = arg;

    require(answer->samples == 2 && answer->sequence >= 1 && answer->sequence <= BATCHES);
    require(answer->code <= KPID_CODE_TOO_OLD && answer->message != NULL);
    for (size_t i = 0; i < answer->example_count; i++)
        require(answer->examples[i].sample < answer->samples && answer->examples[i].reason != NULL);
    *answered += answer->samples;
}

/* As if the batches were sent, but for the last one, of which a part was. */
static void pretend(struct kpid_client *client)
{
    struct kpid_batch *batch = NULL;

    client->link.state = LINK_UP;
    client->link.batches_max = BATCHES;
    client->link.sequence_sent = BATCHES;
    TAILQ_FOREACH(batch, &client->batches, link)
    {
        batch->is_under_way = true;
        batch->first_sent = 1;
        client->link.under_way++;
        client->link.sending = batch;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    uint64_t answered = 0;
    struct kpid_client *client =
        kpid_client_new(&(struct kpid_client_options){.address = "unix:/dev/null/none",
                                                      .batch_samples = 2,
                                                      .on_answer = on_answer,
                                                      .arg = &answered});

    require(client != NULL);
    for (int i = 0; i < 2 * BATCHES; i++)
        require(kpid_client_count(client, "n", NULL, 0, i) == KPID_OK);
    pretend(client);
    while (size > 0) {
        size_t len = bytes[0] < size ? bytes[0] : size - 1;
        if (!kpid_answer_take(client, bytes + 1, len, NOW_US))
            break;
        bytes += 1 + len;
        size -= 1 + len;
    }
    const struct kpid_client_stats stats = kpid_client_stats(client);
    require(stats.added == 2 * BATCHES && stats.waiting + answered == stats.added);
    require(stats.acknowledged + stats.refused == answered);
    require(client->link.under_way <= BATCHES);
    kpid_client_free(client);
    return 0;
}
