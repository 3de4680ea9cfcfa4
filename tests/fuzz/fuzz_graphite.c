/* Any bytes on a Graphite socket: every line is counted once, and a sample points into its line and
 * is what a slow reading of the rules says. */
#include "fuzz_line.h"
#include "ingest/graphite.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_blank(char c)
{
    return c != '\0' && strchr(" \t\v\f\r\x1c\x1d\x1e\x1f", c) != NULL;
}

/* The words of a line, at most four of them are told. */
static size_t words_of(struct str line, struct str words[4])
{
    size_t count = 0;
    size_t at = 0;

    while (at < line.len) {
        size_t begin = at;
        while (at < line.len && !is_blank(line.text[at]))
            at++;
        if (at > begin && count < 4)
            words[count++] = (struct str){line.text + begin, at - begin};
        at++;
    }
    return count;
}

static void check_sample(const struct sample *sample, const struct str words[4])
{
    struct str tags = words[0];
    struct str name = str_split(&tags, ';');
    double seconds = 0;

    require(str_equal(sample->name, name) && name.len > 0);
    require(str_equal(sample->tags, tags));
    require((tags.len > 0) == (sample->tag_style == TAGS_SEMICOLON));
    require(str_equal(sample->text, words[1]));
    require(isfinite(sample->value) && sample->weight == WEIGHT_ONE);
    require(sample->kind == METRIC_UNTYPED && sample->form == SAMPLE_VALUE);
    require(str_parse_double(words[2], &seconds));
    if (seconds == -1)
        require(sample->at == WALL_NONE);
    else
        require(fabs((double)sample->at - seconds * 1000) <= 0.5 + fabs(seconds) * 1e-12);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str rest = {(const char *)data, size};

    while (rest.len > 0) {
        struct str line = str_split(&rest, '\n');
        struct ledger ledger = {0};
        struct sample sample;
        struct str words[4];
        enum reject_reason why = REJECT_NONE;
        size_t count = words_of(line, words);

        enum graphite_result result = graphite_parse(line, &sample, &ledger, &why);
        ledger.stored = result == GRAPHITE_SAMPLE;
        require(ledger_balances(&ledger));
        require(ledger.received == (count > 0));
        require((result == GRAPHITE_NOTHING) == (count == 0));
        require((result == GRAPHITE_REJECTED) == (why != REJECT_NONE));
        if (result == GRAPHITE_REJECTED)
            require(ledger.rejected[why] == 1);
        if (count > 0 && count != 3)
            require(why == REJECT_malformed);
        if (result == GRAPHITE_SAMPLE) {
            require_inside(sample.name, line);
            require_inside(sample.tags, line);
            check_sample(&sample, words);
        }
    }
    return 0;
}
