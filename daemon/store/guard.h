/* The guarded clock (design 4.10): what may be closed and expired, whatever the wall clock says.
 * Private to store/, but for what the writer shows of it.
 *
 * A high-water mark follows the wall clock at most as fast as CLOCK_BOOTTIME runs. A jump of more
 * than GUARD_JUMP_MS either way, or a start before the newest commit or more than that after the
 * mark, makes the clock suspect: samples are taken and stamped, nothing is closed or expired, until
 * the clock has run evenly for GUARD_STABLE_MS or a person says that it is right. What is kept
 * follows a mark of its own: a jump of more than GUARD_BELIEVED_MS ahead is never believed there
 * without a person, so a start in 2055 expires nothing. */
#pragma once

#include "store/store_private.h"

#define GUARD_JUMP_MS     (INT64_C(10) * MS_PER_MINUTE)
#define GUARD_STABLE_MS   (INT64_C(10) * MS_PER_MINUTE)
#define GUARD_BELIEVED_MS (INT64_C(31) * MS_PER_DAY)

enum { GUARD_BOOT_ID_SIZE = 16 };

/* What the clocks say; an argument everywhere, so that tests set it. */
struct guard_now {
    wall_ms wall;
    mono_ms boot; /* CLOCK_BOOTTIME */
    unsigned char boot_id[GUARD_BOOT_ID_SIZE];
};

struct guard {
    wall_ms mark;      /* closing may come up to here; WALL_NONE: nothing is known yet */
    wall_ms keep_mark; /* retention counts back from here */
    struct guard_now last;
    bool suspect;
    mono_ms stable_since;
    wall_ms expected; /* where the wall clock was when it became suspect, for the sentence */
};

void guard_now_read(struct guard_now *out);

/* From what is stored and the newest commit's samples' time. */
void guard_open(struct guard *guard, const struct read_txn *txn, const struct guard_now *now);
void guard_tick(struct guard *guard, const struct guard_now *now);

/* A person said that the clock is right. */
void guard_accept(struct guard *guard, const struct guard_now *now);

/* True while nothing may be closed or expired; `why` gets the sentence and what to do. */
bool guard_is_suspect(const struct guard *guard, struct error *why);

bool guard_save(const struct guard *guard, struct write_txn *txn, struct error *err);
