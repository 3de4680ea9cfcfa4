/* The symbols of one request of remote write 2.0, and how its series are spelt with them.
 *
 * A series refers to its labels' texts by numbers that are others in each request. So that a series
 * is known again (series/series_cache.h), each number stands for that which the cache has for the
 * text: it is the same in all requests, and of no other text. A symbol is looked up once in a
 * request, and only if a label refers to it. A sender of the same series lists their symbols in the
 * same order, so most are found without a look-up.
 *
 * Texts are borrowed from the request; one thread. */
#pragma once

#include "base/error.h"
#include "ingest/remote_labels.h"
#include "series/batch.h"

enum { REMOTE_SYMBOLS_MAX = 1024 * 1024 };

struct remote_symbol {
    struct str text;
    enum remote_text kind;
};

struct remote_symbols {
    struct remote_symbol *items;
    size_t count, capacity;
    uint32_t *numbers; /* the cache's, and what else symbol_number says; NULL until one is asked */
};

#define REMOTE_SYMBOLS_EMPTY                                                                       \
    {                                                                                              \
        0                                                                                          \
    }

void remote_symbols_fini(struct remote_symbols *symbols);

size_t remote_symbols_size_bytes(const struct remote_symbols *symbols);

/* P6: the first one is empty (ERROR_INVALID); more than REMOTE_SYMBOLS_MAX are ERROR_FULL. All are
 * added before a series is spelt. */
bool remote_symbols_add(struct remote_symbols *symbols, struct str text, struct error *err);

/* As many as most series have; what has more is not remembered. */
enum { REMOTE_SPELT_MAX = 2 * (LABELS_MAX + 1) };

/* A series' references as the cache's numbers: equal for the same texts in the same order, and for
 * no others. (Also where a value is missing: such a series is never stored.) */
struct remote_spelt {
    uint32_t numbers[REMOTE_SPELT_MAX];
    size_t count;
};

enum remote_spelling {
    REMOTE_SPELT,     /* `out` is it */
    REMOTE_NEW,       /* a text is new to the cache: so is the series */
    REMOTE_UNSPELLED, /* these are no references of a series that may be remembered */
};

/* Spells a series by its packed references. What is new to the cache is added to it when it
 * `may_add`; then REMOTE_NEW says that there is no room. */
enum remote_spelling remote_symbols_spell(struct remote_symbols *symbols, struct batch *batch,
                                          struct str packed, bool may_add,
                                          struct remote_spelt *out);
