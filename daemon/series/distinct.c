#include "series/distinct.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#define XXH_INLINE_ALL
#include <xxhash.h>

enum {
    HASH_BITS_LEFT = 64 - DISTINCT_PRECISION, /* what the register's number leaves of a hash */
    RANK_MAX = HASH_BITS_LEFT + 1,
    SPARSE_CAPACITY_MIN = 8,
    FORM_SPARSE = 1,
    FORM_DENSE = 2,
};

/* Either the sorted hashes or the registers. */
struct distinct {
    uint8_t *registers; /* NULL while sparse */
    uint64_t *hashes;   /* growing, unique; NULL when dense or empty */
    uint32_t count;
    uint32_t capacity;
};

struct distinct *distinct_new(void)
{
    return memory_zero(1, sizeof(struct distinct));
}

void distinct_free(struct distinct *distinct)
{
    if (distinct == NULL)
        return;
    free(distinct->registers);
    free(distinct->hashes);
    free(distinct);
}

static uint8_t *registers_copy(const uint8_t *registers)
{
    uint8_t *copy = memory_alloc(DISTINCT_REGISTERS);
    memcpy(copy, registers, DISTINCT_REGISTERS);
    return copy;
}

struct distinct *distinct_copy(const struct distinct *distinct)
{
    struct distinct *copy = distinct_new();
    if (distinct->registers != NULL) {
        copy->registers = registers_copy(distinct->registers);
    } else if (distinct->count > 0) {
        copy->hashes = memory_grow(NULL, distinct->count, sizeof *copy->hashes);
        memcpy(copy->hashes, distinct->hashes, distinct->count * sizeof *copy->hashes);
        copy->count = distinct->count;
        copy->capacity = distinct->count;
    }
    return copy;
}

/* The rank is the place of the first one bit after the register's number. */
static void count_in_register(uint8_t *registers, uint64_t hash)
{
    size_t number = hash >> HASH_BITS_LEFT;
    uint64_t rest = (hash << DISTINCT_PRECISION) | (UINT64_C(1) << (DISTINCT_PRECISION - 1));
    uint8_t rank = (uint8_t)(__builtin_clzll(rest) + 1);
    if (rank > registers[number])
        registers[number] = rank;
}

static void make_dense(struct distinct *distinct)
{
    distinct->registers = memory_zero(DISTINCT_REGISTERS, 1);
    for (uint32_t i = 0; i < distinct->count; i++)
        count_in_register(distinct->registers, distinct->hashes[i]);
    free(distinct->hashes);
    distinct->hashes = NULL;
    distinct->count = 0;
    distinct->capacity = 0;
}

/* The position of the first hash that is not less. */
static uint32_t position_of(const struct distinct *distinct, uint64_t hash)
{
    uint32_t low = 0;
    uint32_t high = distinct->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (distinct->hashes[middle] < hash)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void insert_at(struct distinct *distinct, uint32_t position, uint64_t hash)
{
    if (distinct->count == distinct->capacity) {
        uint32_t capacity = distinct->capacity == 0 ? SPARSE_CAPACITY_MIN : distinct->capacity * 2;
        distinct->hashes = memory_grow(distinct->hashes, capacity, sizeof *distinct->hashes);
        distinct->capacity = capacity;
    }
    uint64_t *slot = distinct->hashes + position;
    memmove(slot + 1, slot, (distinct->count - position) * sizeof *slot);
    *slot = hash;
    distinct->count++;
}

static void add_hash(struct distinct *distinct, uint64_t hash)
{
    if (distinct->registers == NULL) {
        uint32_t position = position_of(distinct, hash);
        if (position < distinct->count && distinct->hashes[position] == hash)
            return;
        if (distinct->count < DISTINCT_SPARSE_MAX) {
            insert_at(distinct, position, hash);
            return;
        }
        make_dense(distinct);
    }
    count_in_register(distinct->registers, hash);
}

void distinct_add(struct distinct *distinct, struct str member)
{
    add_hash(distinct, XXH3_64bits(member.text == NULL ? "" : member.text, member.len));
}

void distinct_merge(struct distinct *into, const struct distinct *from)
{
    if (from->registers == NULL) {
        for (uint32_t i = 0; i < from->count; i++)
            add_hash(into, from->hashes[i]);
        return;
    }
    if (into->registers == NULL)
        make_dense(into);
    for (size_t i = 0; i < DISTINCT_REGISTERS; i++) {
        if (from->registers[i] > into->registers[i])
            into->registers[i] = from->registers[i];
    }
}

/* The two series of Ertl's improved estimator (2017, algorithm 6), summed until nothing is added:
 * for the registers that are still 0, and for those that are full. */
static double sigma(double x)
{
    if (x == 1.0)
        return INFINITY;
    double y = 1.0;
    double z = x;
    double before = 0;
    do {
        x *= x;
        before = z;
        z += x * y;
        y += y;
    } while (z != before);
    return z;
}

static double tau(double x)
{
    if (x == 0.0 || x == 1.0)
        return 0.0;
    double y = 1.0;
    double z = 1.0 - x;
    double before = 0;
    do {
        x = sqrt(x);
        before = z;
        y *= 0.5;
        z -= (1.0 - x) * (1.0 - x) * y;
    } while (z != before);
    return z / 3.0;
}

double distinct_estimate(const struct distinct *distinct)
{
    const double registers = DISTINCT_REGISTERS;
    const double alpha = 0.72134752044448170368; /* 1 / (2 ln 2) */
    const double most = 18446744073709551616.0;  /* as many as there are hashes */
    uint32_t of_rank[RANK_MAX + 1] = {0};

    if (distinct->registers == NULL)
        return distinct->count;
    for (size_t i = 0; i < DISTINCT_REGISTERS; i++)
        of_rank[distinct->registers[i]]++;
    double z = registers * tau(1.0 - of_rank[RANK_MAX] / registers);
    for (int rank = HASH_BITS_LEFT; rank >= 1; rank--)
        z = 0.5 * (z + of_rank[rank]);
    z += registers * sigma(of_rank[0] / registers);
    return fmin(alpha * registers * registers / z, most);
}

size_t distinct_size_bytes(const struct distinct *distinct)
{
    size_t held = distinct->registers != NULL ? DISTINCT_REGISTERS
                                              : distinct->capacity * sizeof *distinct->hashes;
    return sizeof *distinct + held;
}

void distinct_encode(const struct distinct *distinct, struct buf *out)
{
    if (distinct->registers != NULL) {
        buf_u8(out, FORM_DENSE);
        buf_append(out, distinct->registers, DISTINCT_REGISTERS);
        return;
    }
    buf_u8(out, FORM_SPARSE);
    buf_u32(out, distinct->count);
    for (uint32_t i = 0; i < distinct->count; i++)
        buf_u64(out, distinct->hashes[i]);
}

static bool decode_sparse(struct distinct *distinct, struct reader *reader)
{
    uint32_t count = read_u32(reader);
    if (!reader->ok || count > DISTINCT_SPARSE_MAX || reader->left < count * sizeof(uint64_t))
        return false;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t hash = read_u64(reader);
        if (i > 0 && hash <= distinct->hashes[i - 1])
            return false;
        insert_at(distinct, i, hash);
    }
    return true;
}

static bool decode_dense(struct distinct *distinct, struct reader *reader)
{
    if (!reader->ok || reader->left < DISTINCT_REGISTERS)
        return false;
    for (size_t i = 0; i < DISTINCT_REGISTERS; i++) {
        if (reader->at[i] > RANK_MAX)
            return false;
    }
    distinct->registers = registers_copy(reader->at);
    reader->at += DISTINCT_REGISTERS;
    reader->left -= DISTINCT_REGISTERS;
    return true;
}

struct distinct *distinct_decode(struct reader *reader)
{
    struct distinct *distinct = distinct_new();
    uint8_t form = read_u8(reader);
    bool ok = false;

    if (form == FORM_SPARSE)
        ok = decode_sparse(distinct, reader);
    else if (form == FORM_DENSE)
        ok = decode_dense(distinct, reader);
    if (ok)
        return distinct;
    reader->ok = false;
    distinct_free(distinct);
    return NULL;
}
