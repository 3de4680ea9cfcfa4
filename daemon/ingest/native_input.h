/* What a native connection has read and not taken yet, and the room for it.
 *
 * It is charged to the budget of bodies and frames as it comes, whatever is announced. Up to
 * NATIVE_INPUT_FREE of each connection need no room. Beyond that the frames without an end of a
 * worker share a part of the budget, so that bodies and batches always have the rest; a frame that
 * finds no room there is not read on until there is some, or others give way to it. On the worker's
 * thread. */
#pragma once

#include "base/buf.h"
#include "ingest/ingest_worker.h"

enum {
    NATIVE_INPUT_FREE = 4 * 1024,
    NATIVE_READ_BYTES = 64 * 1024,   /* at a time, and for a large frame NATIVE_READ_BYTES_MAX */
    NATIVE_READ_BYTES_MAX = 1 << 20, /* of one turn; then others have theirs */
    NATIVE_IDLE_MS = 1000,           /* with less than NATIVE_READ_BYTES more a frame gives way */
};

/* Starts zeroed, but for the place of its peer (peer_places_find). */
struct native_input {
    struct peer_holder room; /* first: it comes back by the worker's frame_room */
    struct buf bytes;
    size_t charged;
    size_t grown; /* bytes there were at its last progress */
};

/* How many bytes may be read now. 0: the frame has to wait for room, which
 * native_input_find_yielding may help to. */
size_t native_input_may_read(const struct ingest_worker *worker, const struct native_input *input);

/* Whose frame gives way to this one: one that stands still, of the peer that holds most; if none
 * does and this one has waited for as long, any frame of that peer, if its own holds less. NULL:
 * none, or there is room without that. */
struct native_input *native_input_find_yielding(const struct ingest_worker *worker,
                                                const struct native_input *input, mono_ms now);

/* Where so many bytes are read to; they are then added to bytes.len. */
char *native_input_at(struct native_input *input, size_t size);

/* After each change of `bytes`: gives back what it does not need, and charges what is kept. */
void native_input_account(struct ingest_worker *worker, struct native_input *input, mono_ms now);

/* A frame of it was taken, or cannot be for reasons that are not its client's. */
void native_input_touch(struct ingest_worker *worker, struct native_input *input, mono_ms now);

/* Nothing of it is taken any more. */
void native_input_forget(struct ingest_worker *worker, struct native_input *input);
