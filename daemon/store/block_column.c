#include "store/block_column.h"

#include <assert.h>

enum column_kind {
    COLUMN_ZERO,
    COLUMN_CONSTANT,
    COLUMN_PLAIN,   /* + order of differences, 0 to 2 */
    COLUMN_PATCHED, /* the same */
};

enum { KIND_BITS = 3, ORDERS = 3, KIND_FIRST_PATCHED = COLUMN_PLAIN + ORDERS };

/* Fewer values than this are not searched for exceptions. */
enum { PATCHED_MIN = 8, CENTRE_SAMPLES = 9 };

/* How digits of one base go into groups of bits. */
struct radix {
    uint64_t span;    /* the largest digit */
    uint64_t inverse; /* about 2^64 / (span + 1), for division; groups of one digit have none */
    unsigned digits;  /* in a group */
    unsigned bits;    /* of a group */
};

/* What is to be written: a scale and which values do not fit it. */
struct packing {
    uint64_t base;
    uint64_t span;
    uint64_t step;
    size_t exceptions;
    size_t bits; /* all of it */
};

struct column_plan {
    unsigned kind;
    unsigned order;
    struct packing packing;
    size_t bits;
};

struct column_work column_work_of(struct arena *arena, size_t count)
{
    uint64_t *room = arena_array(arena, count, 3 * sizeof *room);
    return (struct column_work){room, room + count, room + 2 * count};
}

/* --- digits ------------------------------------------------------------------------------------
 */

static struct radix radix_of(uint64_t span)
{
    struct radix radix = {span, 0, 1, bits_length(span)};
    const unsigned __int128 limit = (unsigned __int128)1 << 64;

    /* Of a power of two each digit takes its bits exactly; of 2^32 and more no two fit. */
    if ((span & (span + 1)) == 0 || span >> 32 != 0)
        return radix;
    uint64_t range = span + 1;
    unsigned __int128 power = range;
    for (unsigned digits = 2; power * range <= limit; digits++) {
        power *= range;
        unsigned bits = bits_length((uint64_t)(power - 1));
        if (bits * radix.digits < radix.bits * digits) {
            radix.digits = digits;
            radix.bits = bits;
        }
    }
    radix.inverse = UINT64_MAX / range;
    return radix;
}

/* The bits of a group that the values end in. */
static unsigned short_group_bits(const struct radix *radix, size_t digits)
{
    uint64_t largest = 0;

    for (size_t i = 0; i < digits; i++)
        largest = largest * (radix->span + 1) + radix->span;
    return bits_length(largest);
}

static size_t digits_bits(uint64_t span, size_t count)
{
    struct radix radix = radix_of(span);
    return count / radix.digits * radix.bits + short_group_bits(&radix, count % radix.digits);
}

static uint64_t digit_of(uint64_t value, const struct packing *packing)
{
    uint64_t distance = value - packing->base;

    if (packing->step != 1)
        distance /= packing->step;
    /* An exception is out of reach; what is in its place is not used. */
    return distance > packing->span ? 0 : distance;
}

static void put_digits(struct bit_writer *writer, const uint64_t *values, size_t count,
                       const struct packing *packing)
{
    if (packing->span == 0)
        return;
    struct radix radix = radix_of(packing->span);
    for (size_t done = 0; done < count; done += radix.digits) {
        size_t left = count - done;
        size_t digits = left < radix.digits ? left : radix.digits;
        uint64_t group = 0;
        for (size_t i = digits; i > 0; i--)
            group = group * (packing->span + 1) + digit_of(values[done + i - 1], packing);
        bits_put(writer, group,
                 digits == radix.digits ? radix.bits : short_group_bits(&radix, digits));
    }
}

/* Divides by multiplying. With i the inverse, R the range: x / R - x * i / 2^64 <= x / 2^64 < 1, so
 * the estimate is at most one too small. */
static uint64_t take_digit(uint64_t *group, const struct radix *radix)
{
    uint64_t range = radix->span + 1;
    uint64_t quotient = (uint64_t)(((unsigned __int128)*group * radix->inverse) >> 64);
    uint64_t digit = *group - quotient * range;

    if (digit >= range) {
        digit -= range;
        quotient++;
    }
    *group = quotient;
    return digit;
}

static void get_group(struct bit_reader *reader, const struct radix *radix, unsigned bits,
                      uint64_t *out, size_t digits)
{
    uint64_t group = bits_get(reader, bits);

    for (size_t i = 0; i + 1 < digits; i++)
        out[i] = take_digit(&group, radix);
    out[digits - 1] = group;
    if (group > radix->span)
        reader->ok = false;
}

static void get_digits(struct bit_reader *reader, uint64_t span, uint64_t *out, size_t count)
{
    if (span == 0) {
        memset(out, 0, count * sizeof *out);
        return;
    }
    struct radix radix = radix_of(span);
    size_t done = 0;
    for (; count - done >= radix.digits; done += radix.digits)
        get_group(reader, &radix, radix.bits, out + done, radix.digits);
    if (done < count)
        get_group(reader, &radix, short_group_bits(&radix, count - done), out + done, count - done);
}

/* --- plain -------------------------------------------------------------------------------------
 */

static uint64_t common_divisor(uint64_t a, uint64_t b)
{
    while (b != 0) {
        uint64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

static size_t scale_bits(const struct packing *packing)
{
    return 1 + (packing->step == 1 ? 0 : bits_of_number(packing->step)) +
           bits_of_number(bits_fold(packing->base)) + bits_of_number(packing->span);
}

/* The scale for values of which the lowest and the highest distance from `centre` are known (as
 * signed numbers) and of which those in between are to fit. */
static struct packing scale_between(const uint64_t *values, size_t count, uint64_t centre,
                                    const int64_t distances[2])
{
    struct packing packing = {.base = centre + (uint64_t)distances[0]};
    uint64_t span = (uint64_t)distances[1] - (uint64_t)distances[0];
    uint64_t step = 0;

    for (size_t i = 0; i < count && step != 1; i++) {
        uint64_t distance = values[i] - packing.base;
        if (distance <= span)
            step = common_divisor(distance, step);
    }
    packing.step = step == 0 ? 1 : step;
    packing.span = span / packing.step;
    return packing;
}

static struct packing plan_plain(const uint64_t *values, size_t count)
{
    int64_t ends[2] = {(int64_t)values[0], (int64_t)values[0]};

    for (size_t i = 1; i < count; i++) {
        int64_t value = (int64_t)values[i];
        ends[0] = value < ends[0] ? value : ends[0];
        ends[1] = value > ends[1] ? value : ends[1];
    }
    struct packing packing = scale_between(values, count, 0, ends);
    packing.bits = scale_bits(&packing) + digits_bits(packing.span, count);
    return packing;
}

static void put_plain(struct bit_writer *writer, const uint64_t *values, size_t count,
                      const struct packing *packing)
{
    bits_put(writer, packing->step != 1, 1);
    if (packing->step != 1)
        bits_put_number(writer, packing->step);
    bits_put_signed(writer, (int64_t)packing->base);
    bits_put_number(writer, packing->span);
    put_digits(writer, values, count, packing);
}

/* Returns the base. */
static uint64_t get_plain(struct bit_reader *reader, uint64_t *out, size_t count)
{
    uint64_t step = bits_get(reader, 1) == 1 ? bits_get_number(reader) : 1;
    uint64_t base = (uint64_t)bits_get_signed(reader);
    uint64_t span = bits_get_number(reader);

    get_digits(reader, span, out, count);
    for (size_t i = 0; i < count; i++)
        out[i] = base + out[i] * step;
    return base;
}

/* --- patched -----------------------------------------------------------------------------------
 */

/* The middle one of a few, spread over all. */
static uint64_t typical_value(const uint64_t *values, size_t count)
{
    int64_t sorted[CENTRE_SAMPLES];

    for (size_t i = 0; i < CENTRE_SAMPLES; i++) {
        int64_t value = (int64_t)values[i * (count - 1) / (CENTRE_SAMPLES - 1)];
        size_t at = i;
        for (; at > 0 && sorted[at - 1] > value; at--)
            sorted[at] = sorted[at - 1];
        sorted[at] = value;
    }
    return (uint64_t)sorted[CENTRE_SAMPLES / 2];
}

/* The width of window around `centre` with the fewest bits in all, by a guess at what an exception
 * costs; 64 is a window without exceptions. */
static unsigned best_window(const uint64_t *values, size_t count, uint64_t centre)
{
    size_t of_length[65] = {0};
    unsigned longest = 0;
    unsigned best = 64;
    size_t best_bits = SIZE_MAX;

    for (size_t i = 0; i < count; i++) {
        unsigned length = bits_length(bits_fold(values[i] - centre));
        of_length[length]++;
        longest = length > longest ? length : longest;
    }
    size_t inside = 0;
    for (unsigned width = 0; width < longest; width++) {
        inside += of_length[width];
        size_t outside = count - inside;
        size_t bits = count * width + outside * (longest + bits_length(count / outside) + 1);
        if (bits < best_bits) {
            best_bits = bits;
            best = width;
        }
    }
    return best_bits < count * longest ? best : 64;
}

/* What the scale does not reach goes into positions and exceptions; returns how many. */
static size_t take_exceptions(const uint64_t *values, size_t count, const struct packing *packing,
                              struct column_work *work)
{
    uint64_t reach = packing->span * packing->step;
    size_t found = 0;
    size_t after = 0;

    for (size_t i = 0; i < count; i++) {
        uint64_t distance = values[i] - packing->base;
        if (distance <= reach)
            continue;
        work->positions[found] = i - after;
        work->exceptions[found] = distance;
        found++;
        after = i + 1;
    }
    return found;
}

/* `bits` is SIZE_MAX if there is nothing to gain. */
static struct packing plan_patched(const uint64_t *values, size_t count, struct column_work *work)
{
    struct packing none = {.bits = SIZE_MAX};
    int64_t ends[2] = {INT64_MAX, INT64_MIN};

    if (count < PATCHED_MIN)
        return none;
    uint64_t centre = typical_value(values, count);
    unsigned window = best_window(values, count, centre);
    if (window == 64)
        return none;
    for (size_t i = 0; i < count; i++) {
        int64_t distance = (int64_t)(values[i] - centre);
        if (bits_length(bits_fold((uint64_t)distance)) > window)
            continue;
        ends[0] = distance < ends[0] ? distance : ends[0];
        ends[1] = distance > ends[1] ? distance : ends[1];
    }
    struct packing packing = scale_between(values, count, centre, ends);
    packing.exceptions = take_exceptions(values, count, &packing, work);
    packing.bits = bits_of_number(packing.exceptions) +
                   plan_plain(work->positions, packing.exceptions).bits +
                   plan_plain(work->exceptions, packing.exceptions).bits + scale_bits(&packing) +
                   digits_bits(packing.span, count);
    return packing;
}

static void put_patched(struct bit_writer *writer, const uint64_t *values, size_t count,
                        const struct packing *packing, struct column_work *work)
{
    size_t found = take_exceptions(values, count, packing, work);
    struct packing positions = plan_plain(work->positions, found);
    struct packing exceptions = plan_plain(work->exceptions, found);

    bits_put_number(writer, found);
    put_plain(writer, work->positions, found, &positions);
    put_plain(writer, work->exceptions, found, &exceptions);
    put_plain(writer, values, count, packing);
}

static void get_patched(struct bit_reader *reader, uint64_t *out, size_t count,
                        struct column_work *work)
{
    uint64_t found = bits_get_number(reader);

    if (found == 0 || found > count) {
        reader->ok = false;
        return;
    }
    (void)get_plain(reader, work->positions, found);
    (void)get_plain(reader, work->exceptions, found);
    uint64_t base = get_plain(reader, out, count);
    size_t at = 0;
    for (size_t i = 0; i < found; i++) {
        if (work->positions[i] >= count - at) {
            reader->ok = false;
            return;
        }
        at += work->positions[i];
        out[at] = base + work->exceptions[i];
        at++;
    }
}

/* --- columns -----------------------------------------------------------------------------------
 */

/* The differences of an order, of which there are `order` fewer than values. */
static const uint64_t *differences_of(const uint64_t *values, size_t count, unsigned order,
                                      struct column_work *work)
{
    const uint64_t *from = values;

    for (unsigned done = 0; done < order; done++) {
        for (size_t i = 0; i + done + 1 < count; i++)
            work->differences[i] = from[i + 1] - from[i];
        from = work->differences;
    }
    return from;
}

static uint64_t head_of(const uint64_t *values, unsigned number)
{
    return number == 0 ? values[0] : values[1] - values[0];
}

static bool all_same(const uint64_t *values, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        if (values[i] != values[0])
            return false;
    }
    return true;
}

static struct column_plan plan_column(const uint64_t *values, size_t count,
                                      struct column_work *work)
{
    struct column_plan best = {.bits = SIZE_MAX};

    if (all_same(values, count)) {
        best.kind = values[0] == 0 ? COLUMN_ZERO : COLUMN_CONSTANT;
        best.bits = KIND_BITS + (values[0] == 0 ? 0 : bits_of_number(bits_fold(values[0])));
        return best;
    }
    size_t heads = 0;
    for (unsigned order = 0; order < ORDERS && order < count; order++) {
        const uint64_t *from = differences_of(values, count, order, work);
        struct packing plain = plan_plain(from, count - order);
        struct packing patched = plan_patched(from, count - order, work);
        bool is_patched = patched.bits < plain.bits;
        struct column_plan plan = {
            .kind = (is_patched ? KIND_FIRST_PATCHED : COLUMN_PLAIN) + order,
            .order = order,
            .packing = is_patched ? patched : plain,
        };
        plan.bits = KIND_BITS + heads + plan.packing.bits;
        if (plan.bits < best.bits)
            best = plan;
        if (order + 1 < count)
            heads += bits_of_number(bits_fold(head_of(values, order)));
    }
    return best;
}

static void put_planned(struct bit_writer *writer, const uint64_t *values, size_t count,
                        const struct column_plan *plan, struct column_work *work)
{
    bits_put(writer, plan->kind, KIND_BITS);
    if (plan->kind == COLUMN_CONSTANT)
        bits_put_signed(writer, (int64_t)values[0]);
    if (plan->kind <= COLUMN_CONSTANT)
        return;
    for (unsigned i = 0; i < plan->order; i++)
        bits_put_signed(writer, (int64_t)head_of(values, i));
    const uint64_t *from = differences_of(values, count, plan->order, work);
    if (plan->packing.exceptions > 0)
        put_patched(writer, from, count - plan->order, &plan->packing, work);
    else
        put_plain(writer, from, count - plan->order, &plan->packing);
}

void column_put(struct bit_writer *writer, const uint64_t *values, size_t count,
                struct column_work *work)
{
    if (count == 0)
        return;
    struct column_plan plan = plan_column(values, count, work);
    put_planned(writer, values, count, &plan, work);
}

void column_put_best(struct bit_writer *writer, const uint64_t *const *candidates,
                     unsigned candidate_count, size_t count, struct column_work *work)
{
    struct column_plan best = {.bits = SIZE_MAX};
    unsigned chosen = 0;

    assert(candidate_count >= 2 && candidate_count <= 4);
    if (count == 0)
        return;
    for (unsigned i = 0; i < candidate_count; i++) {
        struct column_plan plan = plan_column(candidates[i], count, work);
        if (plan.bits < best.bits) {
            best = plan;
            chosen = i;
        }
    }
    bits_put(writer, chosen, candidate_count > 2 ? 2 : 1);
    put_planned(writer, candidates[chosen], count, &best, work);
}

size_t column_bits(const uint64_t *values, size_t count, struct column_work *work)
{
    return count == 0 ? 0 : plan_column(values, count, work).bits;
}

void column_get(struct bit_reader *reader, uint64_t *out, size_t count, struct column_work *work)
{
    uint64_t heads[ORDERS] = {0};

    if (count == 0)
        return;
    unsigned kind = (unsigned)bits_get(reader, KIND_BITS);
    if (kind <= COLUMN_CONSTANT) {
        uint64_t value = kind == COLUMN_ZERO ? 0 : (uint64_t)bits_get_signed(reader);
        for (size_t i = 0; i < count; i++)
            out[i] = value;
        return;
    }
    unsigned order = (kind - COLUMN_PLAIN) % ORDERS;
    if (order >= count) {
        reader->ok = false;
        return;
    }
    for (unsigned i = 0; i < order; i++)
        heads[i] = (uint64_t)bits_get_signed(reader);
    if (kind >= KIND_FIRST_PATCHED)
        get_patched(reader, out + order, count - order, work);
    else
        (void)get_plain(reader, out + order, count - order);
    for (unsigned i = order; i > 0; i--) {
        out[i - 1] = heads[i - 1];
        for (size_t j = i; j < count; j++)
            out[j] += out[j - 1];
    }
}

/* --- xor ---------------------------------------------------------------------------------------
 */

/* The bits that differed when they were last written out: what comes next may reuse their place. */
struct window {
    unsigned front; /* zeros before them */
    unsigned length;
};

enum { WINDOW_BITS = 6 };

/* Whether the window has to be moved for these bits; then it is. The narrower one pays for itself
 * later, if the old one is much too wide. */
static bool window_move(struct window *window, uint64_t differing)
{
    unsigned front = (unsigned)__builtin_clzll(differing);
    unsigned back = (unsigned)__builtin_ctzll(differing);
    unsigned length = 64 - front - back;

    if (window->length > 0 && front >= window->front &&
        back >= 64 - window->front - window->length && window->length <= length + 2 * WINDOW_BITS)
        return false;
    *window = (struct window){front, length};
    return true;
}

static unsigned window_shift(const struct window *window)
{
    return 64 - window->front - window->length;
}

size_t column_xor_bits(const uint64_t *values, size_t count)
{
    struct window window = {0};
    size_t bits = 64;

    for (size_t i = 1; i < count; i++) {
        uint64_t differing = values[i] ^ values[i - 1];
        if (differing == 0)
            bits += 1;
        else if (window_move(&window, differing))
            bits += 2 + 2 * WINDOW_BITS + window.length;
        else
            bits += 2 + window.length;
    }
    return count == 0 ? 0 : bits;
}

void column_put_xor(struct bit_writer *writer, const uint64_t *values, size_t count)
{
    struct window window = {0};

    if (count == 0)
        return;
    bits_put(writer, values[0], 64);
    for (size_t i = 1; i < count; i++) {
        uint64_t differing = values[i] ^ values[i - 1];
        bits_put(writer, differing != 0, 1);
        if (differing == 0)
            continue;
        bool moved = window_move(&window, differing);
        bits_put(writer, moved, 1);
        if (moved) {
            bits_put(writer, window.front, WINDOW_BITS);
            bits_put(writer, window.length - 1, WINDOW_BITS);
        }
        bits_put(writer, differing >> window_shift(&window), window.length);
    }
}

void column_get_xor(struct bit_reader *reader, uint64_t *out, size_t count)
{
    struct window window = {0, 64};

    if (count == 0)
        return;
    out[0] = bits_get(reader, 64);
    for (size_t i = 1; i < count; i++) {
        out[i] = out[i - 1];
        if (bits_get(reader, 1) == 0)
            continue;
        if (bits_get(reader, 1) == 1) {
            window.front = (unsigned)bits_get(reader, WINDOW_BITS);
            window.length = (unsigned)bits_get(reader, WINDOW_BITS) + 1;
        }
        if (window.front + window.length > 64) {
            reader->ok = false;
            return;
        }
        out[i] ^= bits_get(reader, window.length) << window_shift(&window);
    }
}
