/* A batch that is being filled: columns of samples, and the texts and series that they refer to,
 * each once. */
#pragma once

#include <kpid.pb-c.h>

#include "kpid_client.h"

/* Which entry has a hash; the entries keep theirs. */
struct batch_index {
    uint32_t *slots; /* an entry's number + 1; 0: free */
    size_t size;     /* a power of two */
};

struct batch_symbol {
    size_t at; /* in the texts, with a zero behind it */
    uint32_t len;
    uint32_t hash;
};

struct batch_series {
    Kpid__V1__Series message; /* but for its labels' place */
    size_t labels_at;
    uint32_t hash;
};

struct open_batch {
    /* set once: arrays of as many as a batch may have */
    size_t samples_max;
    size_t bytes_max; /* of a frame; may become less */
    uint32_t seed;    /* of hashes, so that nobody can choose texts that collide */
    struct batch_series *series;
    Kpid__V1__Series **series_pointers;
    uint32_t *sample_series;
    double *values;
    int64_t *times;
    uint64_t *weights;
    uint32_t *members;

    /* grow */
    struct batch_symbol *symbols;
    ProtobufCBinaryData *symbol_pointers;
    uint32_t *labels;
    char *texts;
    size_t symbol_capacity, label_capacity, text_capacity;
    struct batch_index symbol_index, series_index;

    /* of this batch */
    size_t sample_count, series_count, symbol_count, label_count, text_len;
    size_t bytes; /* its frame takes at most so many */
    int64_t last_time;
    bool has_weights, has_members;
    bool in_order; /* has forms that come in the order of time */
};

/* False: no memory; kpid_batch_fini is due all the same. */
bool kpid_batch_init(struct open_batch *batch, size_t samples_max, size_t bytes_max, uint32_t seed);
void kpid_batch_fini(struct open_batch *batch);
void kpid_batch_clear(struct open_batch *batch);

/* What a sample adds to a frame at most, and what a frame has without. SIZE_MAX: it is invalid. */
size_t kpid_batch_cost(const struct kpid_sample *sample);
enum { BATCH_FRAME_BYTES = 64 };

/* Takes a sample for which there is room, at the time `time_ms`. False: no memory; then it was not
 * taken. */
bool kpid_batch_add(struct open_batch *batch, const struct kpid_sample *sample, int64_t time_ms);

/* The bytes of its message, then the message itself; it stays as it is. */
size_t kpid_batch_size(struct open_batch *batch, uint64_t sequence);
void kpid_batch_pack(struct open_batch *batch, uint64_t sequence, unsigned char *out);
