/* Any bytes for a pickle: it is refused or is a list, every item of which is counted once, and the
 * same again when it is read again. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ingest/pickle.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

/* Reads all of the bytes of a text. */
static unsigned sum_of(struct str text)
{
    unsigned sum = 0;
    for (size_t i = 0; i < text.len; i++)
        sum += (unsigned char)text.text[i];
    return sum;
}

static void check_point(const struct pickle *pickle, size_t i, struct ledger *all)
{
    struct ledger ledger = {0};
    struct sample sample;
    enum reject_reason why = REJECT_NONE;

    enum graphite_result result = pickle_point(pickle, i, &sample, &ledger, &why);
    ledger.stored = result == GRAPHITE_SAMPLE;
    require(result != GRAPHITE_NOTHING && ledger.received == 1 && ledger_balances(&ledger));
    require((result == GRAPHITE_REJECTED) == (why != REJECT_NONE));
    ledger_merge(all, &ledger);
    volatile unsigned sum = sum_of(sample.name) + sum_of(sample.tags) + sum_of(sample.text);
    (void)sum;
    if (result != GRAPHITE_SAMPLE)
        return;
    require(isfinite(sample.value) && sample.name.len > 0 && sample.kind == METRIC_UNTYPED);
    require((sample.tags.len > 0) == (sample.tag_style == TAGS_SEMICOLON));
    double value = 0;
    if (sample.text.text != NULL)
        require(str_parse_double(sample.text, &value) && value == sample.value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct pickle *pickle;
    struct ledger ledgers[2] = {{0}, {0}};
    enum reject_reason whys[2] = {REJECT_NONE, REJECT_NONE};

    if (pickle == NULL)
        pickle = pickle_new();
    for (int round = 0; round < 2; round++) {
        bool ok = pickle_load(pickle, (struct str){(const char *)data, size}, &whys[round]);
        require(ok == (whys[round] == REJECT_NONE));
        require(ok || pickle_count(pickle) == 0);
        require(pickle_count(pickle) <= 2 * size);
        for (size_t i = 0; i < pickle_count(pickle); i++)
            check_point(pickle, i, &ledgers[round]);
        require(ledger_balances(&ledgers[round]));
        pickle_clear(pickle);
    }
    require(whys[0] == whys[1] && memcmp(&ledgers[0], &ledgers[1], sizeof ledgers[0]) == 0);
    return 0;
}
