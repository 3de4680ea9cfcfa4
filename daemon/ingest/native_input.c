#include "ingest/native_input.h"

#include "base/memory.h"
#include "ingest/budget.h"
#include "ingest/native_answer.h"

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Of the frame that has begun; where that is not known, as much as is read at once. */
static size_t missing_of(const struct native_input *input)
{
    const struct buf *bytes = &input->bytes;

    if (bytes->len < NATIVE_LENGTH_SIZE)
        return NATIVE_READ_BYTES;
    size_t all = NATIVE_LENGTH_SIZE + native_frame_length((const unsigned char *)bytes->bytes);
    return all > bytes->len ? all - bytes->len : NATIVE_READ_BYTES;
}

/* Of a large frame as much again as there is, for the rest may never come. */
static size_t read_size(const struct native_input *input)
{
    size_t size = least(missing_of(input), input->bytes.len);
    size_t spare = input->bytes.capacity - input->bytes.len;

    size = least(size < NATIVE_READ_BYTES ? NATIVE_READ_BYTES : size, NATIVE_READ_BYTES_MAX);
    return spare >= NATIVE_READ_BYTES && spare < size ? spare : size;
}

/* What the frames on this worker would hold. Each worker has its own part of the budget, so that a
 * frame that finds no room can be given that of another one; one that is alone may always come to
 * its end. */
static bool fits(const struct ingest_worker *worker, const struct native_input *input, size_t more)
{
    const struct peer_room *room = &worker->frame_room;
    return room->held + more <= worker->frame_bytes_held_max || room->held == input->room.held;
}

static size_t growth(const struct native_input *input, size_t size)
{
    size_t grown = input->bytes.len + size;
    return grown > input->charged ? grown - input->charged : 0;
}

static bool has_room(const struct ingest_worker *worker, const struct native_input *input,
                     size_t size)
{
    size_t more = growth(input, size);
    return budget_has(worker, more) && fits(worker, input, more);
}

size_t native_input_may_read(const struct ingest_worker *worker, const struct native_input *input)
{
    size_t size = read_size(input);

    if (has_room(worker, input, size))
        return size;
    size = least(size, missing_of(input));
    if (has_room(worker, input, size))
        return size;
    return input->bytes.len < NATIVE_INPUT_FREE ? NATIVE_INPUT_FREE : 0;
}

struct native_input *native_input_find_yielding(const struct ingest_worker *worker,
                                                const struct native_input *input, mono_ms now)
{
    const struct peer_room *room = &worker->frame_room;
    mono_ms idle_since = now - NATIVE_IDLE_MS;
    size_t more = growth(input, least(read_size(input), missing_of(input)));

    if (fits(worker, input, more))
        return NULL;
    struct peer_holder *holder = peer_room_find_idle(room, &input->room, idle_since);
    if (holder == NULL && input->room.progress_at < idle_since)
        holder = peer_room_find_largest(room, &input->room, more);
    return (struct native_input *)holder;
}

char *native_input_at(struct native_input *input, size_t size)
{
    struct buf *bytes = &input->bytes;

    if (bytes->capacity - bytes->len < size) { /* no more than that: what is held is charged */
        bytes->capacity = bytes->len + size;
        bytes->bytes = memory_grow(bytes->bytes, bytes->capacity, 1);
    }
    return bytes->bytes + bytes->len;
}

static void give_back(struct buf *bytes)
{
    if (bytes->len == 0) {
        buf_fini(bytes);
    } else if (bytes->capacity > 2 * bytes->len + NATIVE_INPUT_FREE) {
        bytes->bytes = memory_grow(bytes->bytes, bytes->len, 1);
        bytes->capacity = bytes->len;
    }
}

void native_input_account(struct ingest_worker *worker, struct native_input *input, mono_ms now)
{
    give_back(&input->bytes);
    size_t held = input->bytes.capacity;
    if (held > input->charged) /* it is here already, so whatever there is */
        (void)budget_charge(worker, held - input->charged);
    else
        budget_release(worker, input->charged - held);
    input->charged = held;
    peer_room_hold(&worker->frame_room, &input->room, held >= NATIVE_INPUT_FREE ? held : 0, now);
    if (input->bytes.len >= input->grown + NATIVE_READ_BYTES)
        native_input_touch(worker, input, now);
}

void native_input_touch(struct ingest_worker *worker, struct native_input *input, mono_ms now)
{
    input->grown = input->bytes.len;
    peer_room_touch(&worker->frame_room, &input->room, now);
}

void native_input_forget(struct ingest_worker *worker, struct native_input *input)
{
    buf_fini(&input->bytes);
    native_input_account(worker, input, 0);
}
