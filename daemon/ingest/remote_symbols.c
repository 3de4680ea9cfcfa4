#include "ingest/remote_symbols.h"

#include <stdlib.h>

#include "base/memory.h"
#include "base/wire.h"

/* What stands for a symbol that has no number of the cache's; all of those are greater. */
enum { NUMBER_UNASKED = 0, NUMBER_NEW = 1 };
_Static_assert((int)NUMBER_NEW < (int)SERIES_CACHE_CONTEXTS, "they are told from contexts");

void remote_symbols_fini(struct remote_symbols *symbols)
{
    free(symbols->items);
    free(symbols->numbers);
    *symbols = (struct remote_symbols)REMOTE_SYMBOLS_EMPTY;
}

size_t remote_symbols_size_bytes(const struct remote_symbols *symbols)
{
    return symbols->capacity * sizeof *symbols->items +
           (symbols->numbers == NULL ? 0 : symbols->count * sizeof *symbols->numbers);
}

bool remote_symbols_add(struct remote_symbols *symbols, struct str text, struct error *err)
{
    if (symbols->count == REMOTE_SYMBOLS_MAX)
        return error_set(err, ERROR_FULL, "the body has more than %d symbols", REMOTE_SYMBOLS_MAX);
    if (symbols->count == 0 && text.len > 0)
        return error_set(err, ERROR_INVALID, "the first symbol is not empty");
    if (symbols->count == symbols->capacity) {
        symbols->capacity = symbols->capacity == 0 ? 256 : 2 * symbols->capacity;
        symbols->items = memory_grow(symbols->items, symbols->capacity, sizeof *symbols->items);
    }
    symbols->items[symbols->count++] =
        (struct remote_symbol){.text = text, .kind = remote_text_of(text)};
    return true;
}

/* The number of a symbol that has none yet; NUMBER_NEW. What is longer than all labels may be is no
 * text of theirs. */
static uint32_t look_up(struct remote_symbols *symbols, struct batch *batch, uint32_t symbol,
                        bool may_add)
{
    struct str text = symbols->items[symbol].text;
    uint32_t *number = &symbols->numbers[symbol];
    uint64_t context = 0;

    if (*number == NUMBER_NEW && !may_add)
        return NUMBER_NEW;
    if (text.len <= LABEL_BYTES_MAX)
        context = may_add ? batch_context(batch, text) : batch_find_context(batch, text);
    *number = context == 0 || context > UINT32_MAX ? NUMBER_NEW : (uint32_t)context;
    return *number;
}

enum remote_spelling remote_symbols_spell(struct remote_symbols *symbols, struct batch *batch,
                                          struct str packed, bool may_add, struct remote_spelt *out)
{
    struct wire wire = wire_of(packed);
    size_t count = 0;

    if (symbols->numbers == NULL)
        symbols->numbers = memory_zero(symbols->count + 1, sizeof *symbols->numbers);
    while (wire_more(&wire)) {
        uint32_t symbol = (uint32_t)wire_varint(&wire);
        if (symbol >= symbols->count || count == REMOTE_SPELT_MAX)
            return REMOTE_UNSPELLED;
        uint32_t number = symbols->numbers[symbol];
        if (number <= NUMBER_NEW) {
            number = look_up(symbols, batch, symbol, may_add);
            if (number == NUMBER_NEW)
                return REMOTE_NEW;
        }
        out->numbers[count++] = number;
    }
    out->count = count;
    return wire.ok ? REMOTE_SPELT : REMOTE_UNSPELLED;
}
