#include "alert/outbox.h"

#include <string.h>

#include "alert/hook.h"
#include "base/table.h"

enum { OUTBOX_VERSION = 2, SEQUENCE_BYTES = 8, ERROR_TEXT_MAX = 255 };

/* --- bytes --------------------------------------------------------------------------------------
 */

struct outbox_key {
    unsigned char bytes[OUTBOX_HOOK_MAX + 1 + SEQUENCE_BYTES];
    size_t len;
};

/* Big-endian, so that records are in the order of their sequence. */
static void append_sequence(struct outbox_key *key, uint64_t sequence)
{
    for (int i = SEQUENCE_BYTES - 1; i >= 0; i--)
        key->bytes[key->len++] = (unsigned char)(sequence >> (8 * i));
}

static uint64_t read_sequence(const char *bytes)
{
    uint64_t sequence = 0;
    for (size_t i = 0; i < SEQUENCE_BYTES; i++)
        sequence = sequence << 8 | (unsigned char)bytes[i];
    return sequence;
}

/* The prefix of all entries of a hook; empty when no hook can have that id. */
static struct outbox_key hook_prefix(struct str hook)
{
    struct outbox_key key = {.len = 0};
    if (hook.len == 0 || hook.len > OUTBOX_HOOK_MAX)
        return key;
    memcpy(key.bytes, hook.text, hook.len);
    key.bytes[hook.len] = '\0';
    key.len = hook.len + 1;
    return key;
}

static struct outbox_key entry_key(struct str hook, uint64_t sequence)
{
    struct outbox_key key = hook_prefix(hook);
    append_sequence(&key, sequence);
    return key;
}

static struct str key_view(const struct outbox_key *key)
{
    return (struct str){(const char *)key->bytes, key->len};
}

static struct str cut_error(struct str why)
{
    if (why.len <= ERROR_TEXT_MAX)
        return why;
    size_t len = ERROR_TEXT_MAX;
    while (len > 0 && ((unsigned char)why.text[len] & 0xC0) == 0x80) /* not inside a character */
        len--;
    return (struct str){why.text, len};
}

static void encode_entry(const struct outbox_entry *entry, struct buf *out)
{
    struct buf event = BUF_EMPTY;

    event_encode(&entry->event, &event);
    buf_u8(out, OUTBOX_VERSION);
    buf_u8(out, (uint8_t)entry->state);
    buf_u32(out, entry->attempts);
    buf_i64(out, entry->queued_at);
    buf_i64(out, entry->tried_at);
    buf_i64(out, entry->next_try);
    buf_block(out, cut_error(entry->last_error));
    buf_block(out, buf_view(&event));
    buf_fini(&event);
}

bool outbox_entry_decode(struct str key, struct str value, struct outbox_entry *out)
{
    struct reader reader = reader_of(value);

    *out = (struct outbox_entry){0};
    if (key.len < 2 + SEQUENCE_BYTES || key.text[key.len - SEQUENCE_BYTES - 1] != '\0')
        return false;
    out->hook = (struct str){key.text, key.len - SEQUENCE_BYTES - 1};
    out->sequence = read_sequence(key.text + key.len - SEQUENCE_BYTES);
    uint8_t version = read_u8(&reader);
    uint8_t state = read_u8(&reader);
    out->attempts = read_u32(&reader);
    out->queued_at = read_i64(&reader);
    out->tried_at = read_i64(&reader);
    out->next_try = read_i64(&reader);
    out->last_error = read_block(&reader);
    struct str event = read_block(&reader);
    if (!reader.ok || reader.left != 0 || version != OUTBOX_VERSION || state > OUTBOX_DEAD)
        return false;
    out->state = (enum outbox_state)state;
    return event_decode(event, &out->event);
}

/* --- what is known of a hook --------------------------------------------------------------------
 */

struct hook_record {
    struct outbox_facts facts;
    struct outbox_wait pause;
};

static bool decode_hook(struct str value, struct hook_record *out)
{
    struct reader reader = reader_of(value);

    uint8_t version = read_u8(&reader);
    out->facts.pending = read_u64(&reader);
    out->facts.dead = read_u64(&reader);
    out->facts.sent = read_u64(&reader);
    out->facts.sent_at = read_i64(&reader);
    out->pause.from = read_i64(&reader);
    out->pause.until = read_i64(&reader);
    struct str why = read_block(&reader);
    if (!reader.ok || reader.left != 0 || version != OUTBOX_VERSION || why.len > ERROR_TEXT_MAX)
        return false;
    if (why.len > 0)
        memcpy(out->facts.last_error, why.text, why.len);
    out->facts.last_error[why.len] = '\0';
    return true;
}

bool outbox_facts_decode(struct str value, struct outbox_facts *out)
{
    struct hook_record record = {0};

    if (!decode_hook(value, &record))
        return false;
    *out = record.facts;
    return true;
}

static struct hook_record load_hook(struct read_txn *txn, struct str hook)
{
    struct hook_record record = {.facts.sent_at = WALL_NONE, .pause = {WALL_NONE, WALL_NONE}};
    struct hook_record stored = record;
    struct str value;

    if (hook.len > 0 && record_get(txn, RECORD_HOOK, hook, &value) && decode_hook(value, &stored))
        return stored;
    return record;
}

static bool store_hook(struct write_txn *txn, struct str hook, const struct hook_record *record,
                       struct error *err)
{
    struct buf value = BUF_EMPTY;

    buf_u8(&value, OUTBOX_VERSION);
    buf_u64(&value, record->facts.pending);
    buf_u64(&value, record->facts.dead);
    buf_u64(&value, record->facts.sent);
    buf_i64(&value, record->facts.sent_at);
    buf_i64(&value, record->pause.from);
    buf_i64(&value, record->pause.until);
    buf_block(&value, str_of(record->facts.last_error));
    bool ok = record_put(txn, RECORD_HOOK, hook, buf_view(&value), err);
    buf_fini(&value);
    return ok;
}

static void note_error(struct hook_record *record, struct str why)
{
    struct str cut = cut_error(why);
    if (cut.len > 0)
        memcpy(record->facts.last_error, cut.text, cut.len);
    record->facts.last_error[cut.len] = '\0';
}

void outbox_facts(struct read_txn *txn, struct str hook, struct outbox_facts *out)
{
    *out = load_hook(txn, hook).facts;
}

struct hook_scan {
    outbox_hook_fn on_hook;
    void *arg;
};

static bool visit_hook(struct str key, struct str value, void *arg)
{
    const struct hook_scan *scan = arg;
    struct hook_record record = {0};

    if (!decode_hook(value, &record) || record.facts.pending == 0)
        return true;
    return scan->on_hook(key, scan->arg);
}

void outbox_hooks(struct read_txn *txn, outbox_hook_fn on_hook, void *arg)
{
    struct hook_scan scan = {on_hook, arg};
    record_scan(txn, RECORD_HOOK, STR_EMPTY, visit_hook, &scan);
}

/* --- entries ------------------------------------------------------------------------------------
 */

static bool put_entry(struct write_txn *txn, const struct outbox_entry *entry, struct error *err)
{
    struct buf value = BUF_EMPTY;
    struct outbox_key key = entry_key(entry->hook, entry->sequence);

    encode_entry(entry, &value);
    bool ok = record_put(txn, RECORD_OUTBOX, key_view(&key), buf_view(&value), err);
    buf_fini(&value);
    return ok;
}

struct dead_scan {
    struct outbox_key oldest;
};

static bool visit_dead(struct str key, struct str value, void *arg)
{
    struct dead_scan *scan = arg;
    struct outbox_entry entry;

    if (!outbox_entry_decode(key, value, &entry) || entry.state != OUTBOX_DEAD)
        return true;
    scan->oldest = entry_key(entry.hook, entry.sequence);
    return false;
}

/* Counts one more dead entry and lets go of the oldest one when there are too many. */
static bool count_dead(struct write_txn *txn, struct str hook, struct hook_record *record,
                       struct error *err)
{
    struct dead_scan scan = {.oldest.len = 0};
    struct outbox_key prefix = hook_prefix(hook);

    record->facts.dead++;
    if (record->facts.dead <= OUTBOX_DEAD_MAX)
        return true;
    record_scan(write_txn_reader(txn), RECORD_OUTBOX, key_view(&prefix), visit_dead, &scan);
    if (scan.oldest.len == 0)
        return true;
    record->facts.dead--;
    return record_remove(txn, RECORD_OUTBOX, key_view(&scan.oldest), err);
}

static bool queue_for_hook(struct write_txn *txn, struct str hook, struct outbox_entry *entry,
                           struct error *err)
{
    struct hook_record record = load_hook(write_txn_reader(txn), hook);

    entry->hook = hook;
    entry->state = OUTBOX_QUEUED;
    entry->last_error = STR_EMPTY;
    if (record.facts.pending < OUTBOX_PENDING_MAX) {
        record.facts.pending++;
    } else {
        entry->state = OUTBOX_DEAD;
        entry->last_error = STR("too many messages wait for the hook");
        note_error(&record, entry->last_error);
        if (!count_dead(txn, hook, &record, err))
            return false;
    }
    return put_entry(txn, entry, err) && store_hook(txn, hook, &record, err);
}

bool outbox_event_sequence(struct str key, uint64_t *out)
{
    if (key.len != SEQUENCE_BYTES)
        return false;
    *out = read_sequence(key.text);
    return *out > 0;
}

bool outbox_event_get(struct read_txn *txn, uint64_t sequence, struct str *value)
{
    struct outbox_key key = {.len = 0};

    append_sequence(&key, sequence);
    return record_get(txn, RECORD_EVENT, key_view(&key), value);
}

/* The number of the next event. The history always keeps the newest one, so it has the last. */
static uint64_t next_sequence(struct read_txn *txn)
{
    struct str key;
    struct str value;

    if (!record_last(txn, RECORD_EVENT, STR_EMPTY, &key, &value) || key.len != SEQUENCE_BYTES)
        return 1;
    return read_sequence(key.text) + 1;
}

static bool add_to_history(struct write_txn *txn, const struct event *event, uint64_t sequence,
                           struct error *err)
{
    struct buf value = BUF_EMPTY;
    struct outbox_key key = {.len = 0};

    append_sequence(&key, sequence);
    event_encode(event, &value);
    bool ok = record_put(txn, RECORD_EVENT, key_view(&key), buf_view(&value), err);
    buf_fini(&value);
    if (!ok || sequence <= OUTBOX_HISTORY_MAX)
        return ok;
    key.len = 0;
    append_sequence(&key, sequence - OUTBOX_HISTORY_MAX);
    return record_remove(txn, RECORD_EVENT, key_view(&key), err);
}

static bool is_repeated(const char *const *hooks, size_t at)
{
    for (size_t i = 0; i < at; i++) {
        if (strcmp(hooks[i], hooks[at]) == 0)
            return true;
    }
    return false;
}

bool outbox_push(struct write_txn *txn, struct event *event, const char *const *hooks,
                 size_t hook_count, wall_ms now, struct error *err)
{
    if (event->id[0] == '\0')
        event_new_id(event->id);
    struct outbox_entry entry = {.sequence = next_sequence(write_txn_reader(txn)),
                                 .queued_at = now,
                                 .tried_at = now,
                                 .next_try = now,
                                 .event = *event};

    if (!add_to_history(txn, event, entry.sequence, err))
        return false;
    for (size_t i = 0; i < hook_count; i++) {
        struct str hook = str_of(hooks[i]);
        if (hook.len == 0 || hook.len > OUTBOX_HOOK_MAX)
            return error_set(err, ERROR_INVALID, "a hook's id has %zu bytes, not 1 to %d", hook.len,
                             OUTBOX_HOOK_MAX);
        if (!is_repeated(hooks, i) && !queue_for_hook(txn, hook, &entry, err))
            return false;
    }
    return true;
}

/* --- what is due --------------------------------------------------------------------------------
 */

/* After a clock was set back, what waits for a time it will not reach soon is due now. Clocks are
 * slewed all the time, so a little is no matter. */
static bool is_over(struct outbox_wait wait, wall_ms now)
{
    return wait.until == WALL_NONE || wait.until <= now || wait.from - MS_PER_MINUTE > now;
}

/* Visits the queued entries of a hook that are the first of their rule. */
struct front_scan {
    struct table rules; /* those of the entries seen so far */
    bool (*on_entry)(const struct outbox_entry *entry, void *arg);
    void *arg;
};

static bool visit_front(struct str key, struct str value, void *arg)
{
    static char seen;
    struct front_scan *scan = arg;
    struct outbox_entry entry;

    if (!outbox_entry_decode(key, value, &entry) || entry.state != OUTBOX_QUEUED)
        return true;
    struct str line = entry.event.rule.len > 0 ? entry.event.rule : entry.event.kpi;
    if (!table_add(&scan->rules, line, &seen))
        return true; /* behind one of the same rule */
    return scan->on_entry(&entry, scan->arg);
}

static void scan_fronts(struct read_txn *txn, struct str hook,
                        bool (*on_entry)(const struct outbox_entry *entry, void *arg), void *arg)
{
    struct front_scan scan = {.rules = TABLE_EMPTY, .on_entry = on_entry, .arg = arg};
    struct outbox_key prefix = hook_prefix(hook);

    if (prefix.len == 0)
        return;
    record_scan(txn, RECORD_OUTBOX, key_view(&prefix), visit_front, &scan);
    table_fini(&scan.rules);
}

/* A copy that outlives the transaction. */
static void copy_entry(const struct outbox_entry *entry, struct arena *arena,
                       struct outbox_entry *out)
{
    struct buf value = BUF_EMPTY;
    struct outbox_key key = entry_key(entry->hook, entry->sequence);

    encode_entry(entry, &value);
    (void)outbox_entry_decode(arena_str(arena, key_view(&key)), arena_str(arena, buf_view(&value)),
                              out);
    buf_fini(&value);
}

struct due_scan {
    wall_ms now;
    size_t max;
    struct arena *arena;
    struct outbox_entry *out;
    size_t count;
};

static bool take_due(const struct outbox_entry *entry, void *arg)
{
    struct due_scan *scan = arg;

    if (is_over((struct outbox_wait){entry->tried_at, entry->next_try}, scan->now))
        copy_entry(entry, scan->arena, &scan->out[scan->count++]);
    return scan->count < scan->max;
}

size_t outbox_due(struct read_txn *txn, struct str hook, wall_ms now, size_t max,
                  struct arena *arena, struct outbox_entry *out)
{
    struct due_scan scan = {.now = now, .max = max, .arena = arena, .out = out};
    struct hook_record record = load_hook(txn, hook);

    if (max > 0 && record.facts.pending > 0 && is_over(record.pause, now))
        scan_fronts(txn, hook, take_due, &scan);
    return scan.count;
}

static bool take_earliest(const struct outbox_entry *entry, void *arg)
{
    wall_ms *earliest = arg;

    if (*earliest == WALL_NONE || entry->next_try < *earliest)
        *earliest = entry->next_try;
    return true;
}

wall_ms outbox_next_try(struct read_txn *txn, struct str hook)
{
    wall_ms earliest = WALL_NONE;
    struct hook_record record = load_hook(txn, hook);

    if (record.facts.pending > 0)
        scan_fronts(txn, hook, take_earliest, &earliest);
    if (earliest == WALL_NONE)
        return WALL_NONE;
    return record.pause.until > earliest ? record.pause.until : earliest;
}

struct expired_scan {
    wall_ms before;
    struct arena *arena;
    struct outbox_entry *out;
    bool found;
};

static bool take_expired(const struct outbox_entry *entry, void *arg)
{
    struct expired_scan *scan = arg;

    if (entry->queued_at > scan->before)
        return true;
    copy_entry(entry, scan->arena, scan->out);
    scan->found = true;
    return false;
}

bool outbox_expired(struct read_txn *txn, struct str hook, wall_ms before, struct arena *arena,
                    struct outbox_entry *out)
{
    struct expired_scan scan = {.before = before, .arena = arena, .out = out};

    scan_fronts(txn, hook, take_expired, &scan);
    return scan.found;
}

/* --- what became of an attempt ------------------------------------------------------------------
 */

/* The queued entry, copied into `arena`, as writing moves what a transaction has read. */
static bool find_queued(struct write_txn *txn, struct str hook, uint64_t sequence,
                        struct arena *arena, struct outbox_entry *out)
{
    struct outbox_key key = entry_key(hook, sequence);
    struct outbox_entry entry;
    struct str value;

    if (!record_get(write_txn_reader(txn), RECORD_OUTBOX, key_view(&key), &value) ||
        !outbox_entry_decode(key_view(&key), value, &entry) || entry.state != OUTBOX_QUEUED)
        return false;
    copy_entry(&entry, arena, out);
    return true;
}

bool outbox_ack(struct write_txn *txn, struct str hook, uint64_t sequence, wall_ms now,
                struct error *err)
{
    struct arena arena = ARENA_EMPTY;
    struct outbox_entry entry;
    bool ok = true;

    if (find_queued(txn, hook, sequence, &arena, &entry)) {
        struct outbox_key key = entry_key(hook, sequence);
        struct hook_record record = load_hook(write_txn_reader(txn), hook);
        if (record.facts.pending > 0)
            record.facts.pending--;
        record.facts.sent++;
        record.facts.sent_at = now;
        record.facts.last_error[0] = '\0';
        ok = record_remove(txn, RECORD_OUTBOX, key_view(&key), err) &&
             store_hook(txn, hook, &record, err);
    }
    arena_fini(&arena);
    return ok;
}

bool outbox_postpone(struct write_txn *txn, struct str hook, uint64_t sequence,
                     struct outbox_wait wait, struct str why, struct error *err)
{
    struct arena arena = ARENA_EMPTY;
    struct outbox_entry entry;
    bool ok = true;

    if (find_queued(txn, hook, sequence, &arena, &entry)) {
        struct hook_record record = load_hook(write_txn_reader(txn), hook);
        note_error(&record, why);
        entry.attempts++;
        entry.tried_at = wait.from;
        entry.next_try = wait.until;
        entry.last_error = why;
        ok = put_entry(txn, &entry, err) && store_hook(txn, hook, &record, err);
    }
    arena_fini(&arena);
    return ok;
}

bool outbox_bury(struct write_txn *txn, struct str hook, uint64_t sequence, struct str why,
                 struct error *err)
{
    struct arena arena = ARENA_EMPTY;
    struct outbox_entry entry;
    bool ok = true;

    if (find_queued(txn, hook, sequence, &arena, &entry)) {
        struct hook_record record = load_hook(write_txn_reader(txn), hook);
        if (record.facts.pending > 0)
            record.facts.pending--;
        note_error(&record, why);
        entry.attempts++;
        entry.state = OUTBOX_DEAD;
        entry.last_error = why;
        ok = put_entry(txn, &entry, err) && count_dead(txn, hook, &record, err) &&
             store_hook(txn, hook, &record, err);
    }
    arena_fini(&arena);
    return ok;
}

bool outbox_pause(struct write_txn *txn, struct str hook, struct outbox_wait wait,
                  struct error *err)
{
    struct hook_record record = load_hook(write_txn_reader(txn), hook);

    record.pause = wait;
    return store_hook(txn, hook, &record, err);
}
