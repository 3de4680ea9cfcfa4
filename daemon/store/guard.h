/* The guarded clock (design 4.10): what may be closed and expired, whatever the wall clock says.
 * Private to store/, but for what the writer shows of it.
 *
 * A mark follows the wall clock at most as fast as CLOCK_BOOTTIME runs. A jump of more than
 * GUARD_JUMP_MS either way between two ticks, a start before the stored mark or more than
 * GUARD_JUMP_MS after it (while the machine ran on: after where the mark would be by now), makes
 * the clock suspect: samples are taken and stamped, nothing is closed or expired, until the clock
 * has run evenly for GUARD_STABLE_MS or a person says that it is right. Then the mark is where the
 * clock is, also when that is earlier.
 *
 * What is kept follows a mark of its own, which a clock that is believed again moves back, but
 * ahead by GUARD_BELIEVED_MS at most: beyond that only a person moves it, so a start in 2055
 * expires nothing. Until then it runs on from where it was.
 *
 * Evenly: within 2 s and a 500th of the time that passed, so that a clock that is slewed does. A
 * smaller jump than GUARD_JUMP_MS only holds the mark back for a while. */
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
    struct guard_now even; /* since then the clock has run evenly */
    wall_ms expected;      /* where the wall clock should have been when it became suspect */
    wall_ms found;         /* and where it was */
};

/* The boot id is zero where the system has none. */
void guard_now_read(struct guard_now *out);

/* From what is stored; without a stored clock from the newest sample's time, if there is one. A
 * stored clock that cannot be is none. */
void guard_open(struct guard *guard, const struct read_txn *txn, const struct guard_now *now);

/* Once a second or so, between guard_open and guard_save. */
void guard_tick(struct guard *guard, const struct guard_now *now);

/* A person said that the clock is right: both marks are where it is, also ahead. */
void guard_accept(struct guard *guard, const struct guard_now *now);

/* True while nothing may be closed or expired; `why` gets the sentence and what to do. */
bool guard_is_suspect(const struct guard *guard, struct error *why);

/* As of the last tick. Once a minute is enough, and when kpid stops: what is lost by a crash only
 * makes the stored mark older. */
bool guard_save(const struct guard *guard, struct write_txn *txn, struct error *err);
