/* The index of the catalogue: a multimap from 128-bit keys to ids of series, made of sorted runs.
 *
 * A run is only appended, and nobody reads it before it is listed in index_runs. Each covers the
 * series that were made after those of the run before it, so the ids of one key stand in order when
 * the runs are read by number. Series up to the id in meta "indexed" are in it; those after it are
 * few and found by reading the series themselves. A series that was removed (store/removed.h) is
 * named until its run is merged.
 *
 * What a series is found by: two bits that say what it is and 126 of an XXH3-128; a value stands
 * under its label, by its text.
 *   index_series_key   0, seed 0  the series' key: its name at the interfaces (series/series_key.h)
 *   index_metric_key   1, no hash text: metric, kind (1 byte): all series of it
 *   index_value_key    2, seed 2  label; text: the value
 * So the names, which are looked up many at a time, stand together, and so do the metrics, in the
 * order of their names, and the values of a label that begin alike: a prefix is a range. A value of
 * more than INDEX_VALUE_MAX bytes is cut to as many, and 0x01 and the 16 bytes of its XXH3-128
 * follow (no value has this byte). A metric's name that is longer is cut in the same way, and 0x0f
 * and the first 15 bytes of the hash stand before the kind (no name has a byte as small as these).
 * The empty value is the same as a label that is not there, and not in the index.
 *
 * Private to store/. */
#pragma once

#include "store/index_chunk.h"
#include "store/store_private.h"

struct index_entry {
    struct index_key key;
    uint32_t id;
};

enum {
    INDEX_ENTRIES_MAX = 2 + LABELS_MAX, /* of one series */
    INDEX_VALUE_MAX = INDEX_TEXT_MAX - 1 - INDEX_HASH_SIZE,
};

/* All entries of a series, into `out` of INDEX_ENTRIES_MAX; returns how many. The first is that of
 * its name, the second that of its metric. Their texts point into `key` or the arena. */
size_t index_entries_of(uint32_t id, struct str key, struct arena *arena, struct index_entry *out);

struct series_hash index_series_key(struct series_hash name);

/* The text is made in the arena. */
struct index_key index_metric_key(enum metric_kind kind, struct str metric, struct arena *arena);

/* What of a metric's key stands before its kind: the name, or what is left of a long one and its
 * hash, which is made in the arena. Metrics stand in the index in the order of these. */
struct str index_metric_stem(struct str metric, struct arena *arena);

/* Takes a key apart; false when it is not that of a metric. The stem is the name unless that was
 * cut, and points into the key. */
struct index_metric {
    struct str stem;
    enum metric_kind kind;
    bool is_cut;
};
bool index_metric_of(struct index_key key, struct index_metric *out);

/* The value is not empty; a long one is cut into the arena. */
struct index_key index_value_key(struct str label, struct str value, struct arena *arena);

/* --- the list of runs --- */

struct index_run {
    uint64_t number;
    uint64_t entries;
    uint64_t bytes;
};

struct index_runs {
    struct index_run *items; /* owned, by number; NULL when there is none */
    size_t count;
};

/* index_runs_fini frees them in any state. */
bool index_runs_read(struct index_runs *runs, const struct read_txn *txn, struct error *err);
void index_runs_fini(struct index_runs *runs);

bool index_add_run(struct write_txn *txn, const struct index_run *run, struct error *err);

/* Takes it off the list; its chunks are garbage (store/parts.h) from then on. */
bool index_remove_run(struct write_txn *txn, const struct index_run *run, struct error *err);

/* A number that no run had. */
bool index_next_run(struct write_txn *txn, uint64_t *out, struct error *err);

/* Series up to this id are in the listed runs. */
uint32_t index_end(const struct read_txn *txn);
bool index_set_end(struct write_txn *txn, uint32_t id, struct error *err);

/* Empties all of it: it is made anew from the series. */
bool index_clear(struct write_txn *txn, struct error *err);

/* --- writing a run --- */

struct index_writer {
    struct index_chunk_writer chunk;
    struct index_run run; /* the number is set by who begins; the rest grows */
};

/* In growing order of (key, id). */
bool index_writer_add(struct index_writer *writer, struct write_txn *txn, struct index_key key,
                      uint32_t id, struct error *err);

/* Writes the chunk that is not full yet: at the end, and before each commit on the way. */
bool index_writer_flush(struct index_writer *writer, struct write_txn *txn, struct error *err);

/* --- reading a run --- */

/* Goes through a run key by key; a key whose ids span chunks comes once for each. Borrows the
 * transaction, which may write meanwhile. Stays where it is: its key points into it. */
struct index_cursor {
    const struct read_txn *txn;
    MDB_cursor *cursor;
    uint64_t number;
    bool in_place;        /* nothing is written while it is in use: chunks need not be copied */
    bool has;             /* there is a current key */
    bool goes_on;         /* it is the same as the one before */
    struct index_key key; /* the current one */
    uint32_t from_id;     /* ids before it are not asked for */
    struct index_chunk chunk;
    struct index_place place; /* in the chunk */
    char bytes[INDEX_CHUNK_BYTES_MAX];
};

/* Stands nowhere. index_cursor_fini frees it in any state. */
bool index_cursor_init(struct index_cursor *cursor, const struct read_txn *txn, uint64_t number,
                       struct error *err);
void index_cursor_fini(struct index_cursor *cursor);

/* To the first place at or after (key, id). Quick when that is in the chunk at hand. */
bool index_cursor_seek(struct index_cursor *cursor, struct index_key key, uint32_t id,
                       struct error *err);
bool index_cursor_next(struct index_cursor *cursor, struct error *err);

/* The ids of the current key in this chunk, from the one that was sought; `out` takes
 * INDEX_CHUNK_IDS_MAX. There may be none. */
bool index_cursor_ids(const struct index_cursor *cursor, uint32_t *out, size_t *count,
                      struct error *err);

/* --- looking up: nothing is written to the index meanwhile --- */

/* Ids in growing order. */
struct id_list {
    uint32_t *ids; /* owned; NULL while empty */
    size_t count;
    size_t capacity;
};

#define ID_LIST_EMPTY                                                                              \
    {                                                                                              \
        0                                                                                          \
    }

void id_list_fini(struct id_list *list);
void id_list_reserve(struct id_list *list, size_t more);
void id_list_add(struct id_list *list, uint32_t id);

/* All ids that the runs have for a key, into `out` over what it held; those of removed series too.
 */
bool index_find(const struct read_txn *txn, const struct index_runs *runs, struct index_key key,
                struct id_list *out, struct error *err);

/* Whether the runs have more than `limit` ids for a key, those of removed series too. */
bool index_has_more(const struct read_txn *txn, const struct index_runs *runs, struct index_key key,
                    size_t limit, bool *out, struct error *err);

/* Sets marks[i] to 1 where the runs have list->ids[i] for the key. Reads no more of what they have
 * than is near to an id of the list. */
bool index_mark(const struct read_txn *txn, const struct index_runs *runs, struct index_key key,
                const struct id_list *list, unsigned char *marks, struct error *err);

/* Adds to the set what the runs have for a key. Reads no more of it than is near to the set. */
bool index_add(const struct read_txn *txn, const struct index_runs *runs, struct index_key key,
               struct id_set *out, struct error *err);

/* The same of all values of a label that begin with `prefix`, of at most INDEX_VALUE_MAX bytes;
 * with the empty one the series that have the label. */
struct index_prefix {
    struct str label;
    struct str prefix;
};
bool index_add_prefix(const struct read_txn *txn, const struct index_runs *runs,
                      const struct index_prefix *prefix, struct id_set *out, struct error *err);

/* Looks up many keys without texts at once; `keys` grow. Visits what is found; return false to
 * stop. */
typedef bool (*index_fn)(size_t key, uint32_t id, void *arg);
bool index_find_all(const struct read_txn *txn, const struct series_hash *keys, size_t count,
                    index_fn on_id, void *arg, struct error *err);
