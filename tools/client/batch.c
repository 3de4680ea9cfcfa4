#include "batch.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    SYMBOLS_FIRST = 256, /* room for so many at first; a power of two */
    TEXTS_FIRST = 4096,
    /* What protobuf makes of it, at most: a tag and numbers of up to 10 bytes, or 5 of 32 bits. */
    SAMPLE_BYTES = 5 + 8 + 10 + 10 + 5,
    SERIES_BYTES = 40,
    LABEL_BYTES = 10,
    SYMBOL_BYTES = 6,
};

static const double WEIGHT_ONE = 65536;
static const double RATE_MIN = 1.0 / 4294967296.0;

/* --- memory ----------------------------------------------------------------------------------- */

/* Room for `wanted` elements in an array that doubles. */
static bool grow(void **array, size_t *capacity, size_t wanted, size_t size)
{
    size_t more = *capacity;

    if (wanted <= *capacity)
        return true;
    while (more < wanted)
        more *= 2;
    void *moved = realloc(*array, more * size);
    if (moved == NULL)
        return false;
    *array = moved;
    *capacity = more;
    return true;
}

static bool index_init(struct batch_index *index, size_t entries)
{
    index->size = 16;
    while (index->size < 2 * entries)
        index->size *= 2;
    index->slots = calloc(index->size, sizeof *index->slots);
    return index->slots != NULL;
}

/* Where the search for a hash goes on after `slot`. */
static size_t next_slot(const struct batch_index *index, size_t slot)
{
    return (slot + 1) & (index->size - 1);
}

static void index_put(struct batch_index *index, uint32_t hash, size_t entry)
{
    size_t slot = hash & (index->size - 1);

    while (index->slots[slot] != 0)
        slot = next_slot(index, slot);
    index->slots[slot] = (uint32_t)entry + 1;
}

static void index_clear(struct batch_index *index)
{
    memset(index->slots, 0, index->size * sizeof *index->slots);
}

bool kpid_batch_init(struct open_batch *batch, size_t samples_max, size_t bytes_max, uint32_t seed)
{
    *batch = (struct open_batch){.samples_max = samples_max, .bytes_max = bytes_max, .seed = seed};
    batch->series = calloc(samples_max, sizeof *batch->series);
    batch->series_pointers = calloc(samples_max, sizeof(Kpid__V1__Series *));
    batch->sample_series = calloc(samples_max, sizeof *batch->sample_series);
    batch->values = calloc(samples_max, sizeof *batch->values);
    batch->times = calloc(samples_max, sizeof *batch->times);
    batch->weights = calloc(samples_max, sizeof *batch->weights);
    batch->members = calloc(samples_max, sizeof *batch->members);
    batch->symbols = calloc(SYMBOLS_FIRST, sizeof *batch->symbols);
    batch->symbol_pointers = calloc(SYMBOLS_FIRST, sizeof *batch->symbol_pointers);
    batch->labels = calloc(SYMBOLS_FIRST, sizeof *batch->labels);
    batch->texts = calloc(TEXTS_FIRST, 1);
    batch->symbol_capacity = SYMBOLS_FIRST;
    batch->label_capacity = SYMBOLS_FIRST;
    batch->text_capacity = TEXTS_FIRST;
    bool ok = index_init(&batch->symbol_index, SYMBOLS_FIRST) &&
              index_init(&batch->series_index, samples_max);
    ok = ok && batch->series != NULL && batch->series_pointers != NULL &&
         batch->sample_series != NULL && batch->values != NULL && batch->times != NULL &&
         batch->weights != NULL && batch->members != NULL && batch->symbols != NULL &&
         batch->symbol_pointers != NULL && batch->labels != NULL && batch->texts != NULL;
    if (ok)
        kpid_batch_clear(batch);
    return ok;
}

void kpid_batch_fini(struct open_batch *batch)
{
    free(batch->series);
    free(batch->series_pointers);
    free(batch->sample_series);
    free(batch->values);
    free(batch->times);
    free(batch->weights);
    free(batch->members);
    free(batch->symbols);
    free(batch->symbol_pointers);
    free(batch->labels);
    free(batch->texts);
    free(batch->symbol_index.slots);
    free(batch->series_index.slots);
}

void kpid_batch_clear(struct open_batch *batch)
{
    index_clear(&batch->symbol_index);
    index_clear(&batch->series_index);
    batch->sample_count = 0;
    batch->series_count = 0;
    batch->label_count = 0;
    batch->text_len = 1; /* the first symbol is empty, and is not looked for */
    batch->texts[0] = '\0';
    batch->symbols[0] = (struct batch_symbol){0};
    batch->symbol_count = 1;
    batch->bytes = BATCH_FRAME_BYTES;
    batch->last_time = 0;
    batch->has_weights = false;
    batch->has_members = false;
    batch->in_order = false;
}

/* --- hashes -----------------------------------------------------------------------------------
 */

static const uint32_t HASH_PRIME = 0x01000193; /* of FNV-1a */

static uint32_t hash_byte(uint32_t hash, unsigned char byte)
{
    return (hash ^ byte) * HASH_PRIME;
}

/* With the zero at its end. */
static uint32_t hash_text(uint32_t hash, const char *text)
{
    for (; *text != '\0'; text++)
        hash = hash_byte(hash, (unsigned char)*text);
    return hash_byte(hash, 0);
}

static uint32_t hash_series(uint32_t seed, const struct kpid_sample *sample)
{
    uint32_t hash = hash_text(seed, sample->name);

    hash = hash_byte(hash, (unsigned char)((unsigned)sample->kind << 4 | (unsigned)sample->form));
    for (size_t i = 0; i < sample->label_count; i++) {
        hash = hash_text(hash, sample->labels[i].name);
        hash = hash_text(hash, sample->labels[i].value);
    }
    return hash;
}

/* --- symbols ----------------------------------------------------------------------------------
 */

static bool symbol_is(const struct open_batch *batch, uint32_t symbol, const char *text)
{
    return strcmp(batch->texts + batch->symbols[symbol].at, text) == 0;
}

static bool grow_symbols(struct open_batch *batch)
{
    size_t capacity = batch->symbol_capacity;
    struct batch_index larger;

    if (batch->symbol_count < capacity)
        return true;
    if (!grow((void **)&batch->symbol_pointers, &capacity, batch->symbol_count + 1,
              sizeof *batch->symbol_pointers))
        return false;
    if (!index_init(&larger, capacity))
        return false;
    if (!grow((void **)&batch->symbols, &batch->symbol_capacity, batch->symbol_count + 1,
              sizeof *batch->symbols)) {
        free(larger.slots);
        return false;
    }
    free(batch->symbol_index.slots);
    batch->symbol_index = larger;
    for (size_t i = 1; i < batch->symbol_count; i++)
        index_put(&batch->symbol_index, batch->symbols[i].hash, i);
    return true;
}

/* The number of a text, which may be new. */
static bool find_symbol(struct open_batch *batch, const char *text, uint32_t *out)
{
    const struct batch_index *index = &batch->symbol_index;
    uint32_t hash = hash_text(batch->seed, text);

    *out = 0;
    if (text[0] == '\0')
        return true;
    for (size_t slot = hash & (index->size - 1); index->slots[slot] != 0;
         slot = next_slot(index, slot)) {
        *out = index->slots[slot] - 1;
        if (batch->symbols[*out].hash == hash && symbol_is(batch, *out, text))
            return true;
    }
    size_t len = strlen(text);
    if (!grow_symbols(batch) ||
        !grow((void **)&batch->texts, &batch->text_capacity, batch->text_len + len + 1, 1))
        return false;
    memcpy(batch->texts + batch->text_len, text, len + 1);
    *out = (uint32_t)batch->symbol_count;
    batch->symbols[batch->symbol_count++] = (struct batch_symbol){
        .at = batch->text_len,
        .len = (uint32_t)len,
        .hash = hash,
    };
    index_put(&batch->symbol_index, hash, *out);
    batch->text_len += len + 1;
    batch->bytes += len + SYMBOL_BYTES;
    return true;
}

/* --- series -----------------------------------------------------------------------------------
 */

static bool series_is(const struct open_batch *batch, const struct batch_series *series,
                      const struct kpid_sample *sample)
{
    const uint32_t *labels = batch->labels + series->labels_at;

    if ((int)series->message.kind != (int)sample->kind ||
        (int)series->message.form != (int)sample->form ||
        series->message.start != sample->start_ms ||
        series->message.n_labels != 2 * sample->label_count ||
        !symbol_is(batch, series->message.name, sample->name))
        return false;
    for (size_t i = 0; i < sample->label_count; i++) {
        if (!symbol_is(batch, labels[2 * i], sample->labels[i].name) ||
            !symbol_is(batch, labels[2 * i + 1], sample->labels[i].value))
            return false;
    }
    return true;
}

static bool add_series(struct open_batch *batch, const struct kpid_sample *sample, uint32_t hash)
{
    struct batch_series *series = &batch->series[batch->series_count];
    size_t at = batch->label_count;
    uint32_t symbol = 0;

    *series = (struct batch_series){.hash = hash, .labels_at = at};
    kpid__v1__series__init(&series->message);
    if (!find_symbol(batch, sample->name, &series->message.name) ||
        !grow((void **)&batch->labels, &batch->label_capacity, at + 2 * sample->label_count,
              sizeof *batch->labels))
        return false;
    for (size_t i = 0; i < sample->label_count; i++) {
        if (!find_symbol(batch, sample->labels[i].name, &symbol))
            return false;
        batch->labels[at++] = symbol;
        if (!find_symbol(batch, sample->labels[i].value, &symbol))
            return false;
        batch->labels[at++] = symbol;
    }
    series->message.n_labels = 2 * sample->label_count;
    series->message.kind = (Kpid__V1__Kind)sample->kind;
    series->message.form = (Kpid__V1__Form)sample->form;
    series->message.start = sample->start_ms;
    batch->label_count = at;
    batch->bytes += SERIES_BYTES + LABEL_BYTES * sample->label_count;
    index_put(&batch->series_index, hash, batch->series_count++);
    return true;
}

static bool find_series(struct open_batch *batch, const struct kpid_sample *sample, uint32_t *out)
{
    const struct batch_index *index = &batch->series_index;
    uint32_t hash = hash_series(batch->seed, sample);

    for (size_t slot = hash & (index->size - 1); index->slots[slot] != 0;
         slot = next_slot(index, slot)) {
        *out = index->slots[slot] - 1;
        if (batch->series[*out].hash == hash && series_is(batch, &batch->series[*out], sample))
            return true;
    }
    *out = (uint32_t)batch->series_count;
    return add_series(batch, sample, hash);
}

/* --- samples ----------------------------------------------------------------------------------
 */

/* The bytes of a text, up to the most that a batch may have; 0 when there is none. */
static bool add_cost(size_t *cost, const char *text)
{
    if (text == NULL)
        return false;
    *cost += SYMBOL_BYTES + strlen(text);
    return true;
}

size_t kpid_batch_cost(const struct kpid_sample *sample)
{
    size_t cost = SAMPLE_BYTES + SERIES_BYTES;

    if (!add_cost(&cost, sample->name) || sample->name[0] == '\0' ||
        (unsigned)sample->kind > KPID_SCORE || (unsigned)sample->form > KPID_INCREMENT)
        return SIZE_MAX;
    if (sample->kind == KPID_UNIQUE ? !add_cost(&cost, sample->member) : !isfinite(sample->value))
        return SIZE_MAX;
    if (sample->rate != 0 && !(sample->rate >= RATE_MIN && sample->rate <= 1))
        return SIZE_MAX;
    if (sample->label_count > 0 && sample->labels == NULL)
        return SIZE_MAX;
    for (size_t i = 0; i < sample->label_count; i++) {
        cost += LABEL_BYTES;
        if (!add_cost(&cost, sample->labels[i].name) || !add_cost(&cost, sample->labels[i].value))
            return SIZE_MAX;
    }
    return cost;
}

bool kpid_batch_add(struct open_batch *batch, const struct kpid_sample *sample, int64_t time_ms)
{
    size_t at = batch->sample_count;
    bool is_member = sample->kind == KPID_UNIQUE;
    double weight = sample->rate == 0 ? WEIGHT_ONE : WEIGHT_ONE / sample->rate;
    uint32_t member = 0;

    if ((is_member && !find_symbol(batch, sample->member, &member)) ||
        !find_series(batch, sample, &batch->sample_series[at]))
        return false;
    batch->values[at] = is_member ? 0 : sample->value;
    batch->times[at] = (int64_t)((uint64_t)time_ms - (uint64_t)batch->last_time);
    batch->weights[at] = (uint64_t)(weight + 0.5);
    batch->members[at] = member;
    batch->last_time = time_ms;
    batch->has_weights |= sample->rate != 0 && sample->rate != 1;
    batch->has_members |= is_member;
    batch->in_order |= sample->form == KPID_CUMULATIVE || sample->form == KPID_INCREMENT;
    batch->bytes += SAMPLE_BYTES;
    batch->sample_count++;
    return true;
}

/* --- the message ------------------------------------------------------------------------------
 */

/* Fills in what depends on where the arrays are now. */
static void make_message(struct open_batch *batch, uint64_t sequence, Kpid__V1__Batch *out)
{
    for (size_t i = 0; i < batch->symbol_count; i++)
        batch->symbol_pointers[i] = (ProtobufCBinaryData){
            .len = batch->symbols[i].len,
            .data = (unsigned char *)batch->texts + batch->symbols[i].at,
        };
    for (size_t i = 0; i < batch->series_count; i++) {
        batch->series[i].message.labels = batch->labels + batch->series[i].labels_at;
        batch->series_pointers[i] = &batch->series[i].message;
    }
    kpid__v1__batch__init(out);
    out->sequence = sequence;
    out->n_symbols = batch->symbol_count;
    out->symbols = batch->symbol_pointers;
    out->n_series = batch->series_count;
    out->series = batch->series_pointers;
    out->n_sample_series = batch->sample_count;
    out->sample_series = batch->sample_series;
    out->n_values = batch->sample_count;
    out->values = batch->values;
    out->n_times = batch->sample_count;
    out->times = batch->times;
    out->n_weights = batch->has_weights ? batch->sample_count : 0;
    out->weights = batch->weights;
    out->n_members = batch->has_members ? batch->sample_count : 0;
    out->members = batch->members;
}

size_t kpid_batch_size(struct open_batch *batch, uint64_t sequence)
{
    Kpid__V1__Batch message;
    Kpid__V1__ClientFrame frame = KPID__V1__CLIENT_FRAME__INIT;

    make_message(batch, sequence, &message);
    frame.kind_case = KPID__V1__CLIENT_FRAME__KIND_BATCH;
    frame.batch = &message;
    return kpid__v1__client_frame__get_packed_size(&frame);
}

void kpid_batch_pack(struct open_batch *batch, uint64_t sequence, unsigned char *out)
{
    Kpid__V1__Batch message;
    Kpid__V1__ClientFrame frame = KPID__V1__CLIENT_FRAME__INIT;

    make_message(batch, sequence, &message);
    frame.kind_case = KPID__V1__CLIENT_FRAME__KIND_BATCH;
    frame.batch = &message;
    (void)kpid__v1__client_frame__pack(&frame, out);
}
