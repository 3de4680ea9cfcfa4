#include "store/guard.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum { EVEN_MS = 2000, EVEN_SHARE = 500, BOOT_ID_TEXT = 64 };

/* 9999-12-31: beyond it nothing that is stored can be a time. */
#define WALL_LIMIT INT64_C(253402300800000)

/* --- the clocks --- */

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

void guard_now_read(struct guard_now *out)
{
    char text[BOOT_ID_TEXT];
    size_t digits = 0;

    *out = (struct guard_now){.wall = clock_wall(), .boot = clock_mono()};
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    ssize_t len = read(fd, text, sizeof text);
    (void)close(fd);
    for (ssize_t i = 0; i < len && digits < 2 * sizeof out->boot_id; i++) {
        int digit = hex_digit(text[i]);
        if (digit < 0)
            continue;
        unsigned char *byte = &out->boot_id[digits++ / 2];
        *byte = (unsigned char)(*byte << 4 | digit);
    }
}

/* --- what is stored --- */

struct kept_clock {
    wall_ms mark;
    mono_ms boot;
    unsigned char boot_id[GUARD_BOOT_ID_SIZE];
    wall_ms keep_mark;
};

static bool is_time(int64_t value)
{
    return value > -WALL_LIMIT && value < WALL_LIMIT;
}

static bool load(const struct read_txn *txn, struct kept_clock *out)
{
    struct str bytes;

    if (!store_get(txn, DATABASE_META, STR("clock"), &bytes))
        return false;
    struct reader reader = reader_of(bytes);
    out->mark = read_i64(&reader);
    out->boot = read_i64(&reader);
    if (!reader.ok || reader.left != GUARD_BOOT_ID_SIZE + sizeof(int64_t))
        return false;
    memcpy(out->boot_id, reader.at, GUARD_BOOT_ID_SIZE);
    reader.at += GUARD_BOOT_ID_SIZE;
    reader.left -= GUARD_BOOT_ID_SIZE;
    out->keep_mark = read_i64(&reader);
    return is_time(out->mark) && is_time(out->keep_mark) && out->boot >= 0 && is_time(out->boot);
}

bool guard_save(const struct guard *guard, struct write_txn *txn, struct error *err)
{
    struct buf bytes = BUF_EMPTY;

    buf_i64(&bytes, guard->mark);
    buf_i64(&bytes, guard->last.boot);
    buf_append(&bytes, guard->last.boot_id, GUARD_BOOT_ID_SIZE);
    buf_i64(&bytes, guard->keep_mark);
    bool ok = store_put(txn, DATABASE_META, store_value(STR("clock")), buf_view(&bytes), 0, err);
    buf_fini(&bytes);
    return ok;
}

/* --- what is believed --- */

static void suspect(struct guard *guard, const struct guard_now *now, wall_ms expected)
{
    guard->even = *now;
    if (!guard->suspect) {
        guard->expected = expected;
        guard->found = now->wall;
    }
    guard->suspect = true;
}

/* Where a mark is after `elapsed`: as fast as that at most, not beyond the clock, never back. */
static wall_ms follow(wall_ms mark, wall_ms wall, span_ms elapsed)
{
    wall_ms reached = mark + elapsed < wall ? mark + elapsed : wall;
    return reached > mark ? reached : mark;
}

static void believe(struct guard *guard, const struct guard_now *now)
{
    guard->suspect = false;
    guard->mark = now->wall;
    if (now->wall - guard->keep_mark <= GUARD_BELIEVED_MS)
        guard->keep_mark = now->wall;
}

void guard_open(struct guard *guard, const struct read_txn *txn, const struct guard_now *now)
{
    struct kept_clock kept;
    wall_ms newest = (wall_ms)meta_get(txn, "newest", (uint64_t)WALL_NONE);

    *guard = (struct guard){.mark = now->wall, .keep_mark = now->wall, .last = *now, .even = *now};
    if (!load(txn, &kept)) {
        if (!is_time(newest))
            return; /* a new store: there is nothing to compare with, and nothing to lose */
        guard->mark = newest;
        guard->keep_mark = newest;
        if (now->wall < newest || now->wall - newest > GUARD_JUMP_MS)
            suspect(guard, now, newest);
        else
            believe(guard, now);
        return;
    }
    bool ran_on =
        memcmp(kept.boot_id, now->boot_id, GUARD_BOOT_ID_SIZE) == 0 && now->boot >= kept.boot;
    span_ms elapsed = ran_on ? now->boot - kept.boot : 0;
    guard->mark = kept.mark;
    guard->keep_mark = follow(kept.keep_mark, now->wall, elapsed);
    if (now->wall < kept.mark - EVEN_MS || now->wall < kept.mark + elapsed - GUARD_JUMP_MS ||
        now->wall > kept.mark + elapsed + GUARD_JUMP_MS) {
        suspect(guard, now, kept.mark + elapsed);
        guard->mark = follow(kept.mark, now->wall, elapsed);
        return;
    }
    believe(guard, now);
}

void guard_tick(struct guard *guard, const struct guard_now *now)
{
    span_ms elapsed = now->boot > guard->last.boot ? now->boot - guard->last.boot : 0;
    span_ms jump = now->wall - guard->last.wall - elapsed;
    span_ms even_for = now->boot - guard->even.boot;
    span_ms drift = now->wall - guard->even.wall - even_for;
    span_ms allowed = EVEN_MS + even_for / EVEN_SHARE;

    if (jump > GUARD_JUMP_MS || jump < -GUARD_JUMP_MS)
        suspect(guard, now, guard->last.wall + elapsed);
    else if (drift > allowed || drift < -allowed)
        guard->even = *now;
    guard->mark = follow(guard->mark, now->wall, elapsed);
    guard->keep_mark = follow(guard->keep_mark, now->wall, elapsed);
    guard->last = *now;
    if (now->boot - guard->even.boot >= GUARD_STABLE_MS)
        believe(guard, now);
}

void guard_accept(struct guard *guard, const struct guard_now *now)
{
    guard->suspect = false;
    guard->mark = now->wall;
    guard->keep_mark = now->wall;
    guard->last = *now;
    guard->even = *now;
}

bool guard_is_suspect(const struct guard *guard, struct error *why)
{
    char found[CLOCK_TEXT_SIZE];
    char expected[CLOCK_TEXT_SIZE];

    if (!guard->suspect)
        return false;
    (void)error_set(why, ERROR_UNAVAILABLE,
                    "the clock may be wrong: it said %s where %s was expected; nothing is closed "
                    "or expired",
                    clock_format_utc(guard->found, found),
                    clock_format_utc(guard->expected, expected));
    (void)error_hint(why, "it is believed when it has run evenly for 10 minutes, or at once by "
                          "'kpictl clock accept'");
    return true;
}

static bool keeps_more(wall_ms wall, wall_ms keep_mark, struct error *why)
{
    char mark[CLOCK_TEXT_SIZE];
    char now[CLOCK_TEXT_SIZE];

    if (wall - keep_mark <= GUARD_BELIEVED_MS)
        return false;
    (void)error_set(why, ERROR_UNAVAILABLE,
                    "the clock went ahead by more than 31 days: retention counts from %s, not "
                    "from %s",
                    clock_format_utc(keep_mark, mark), clock_format_utc(wall, now));
    (void)error_hint(why, "if the clock is right, 'kpictl clock accept' says so");
    return true;
}

wall_ms store_time(struct read_txn *txn)
{
    struct kept_clock kept;
    return load(txn, &kept) ? kept.keep_mark : WALL_NONE;
}

bool store_keeps_more(struct read_txn *txn, struct error *why)
{
    struct kept_clock kept;
    return load(txn, &kept) && keeps_more(kept.mark, kept.keep_mark, why);
}
