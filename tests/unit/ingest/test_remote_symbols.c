/* The symbols of requests of remote write 2.0, and how series are spelt with them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ingest/remote_symbols.h"
#include "test.h"

static const struct batch_rules RULES = {.series_max = 100, .seed = 42};

/* What comes in one request, beside a cache that knows other requests too. */
struct request {
    struct remote_symbols symbols;
    struct batch *batch;
};

static void begin(struct request *request, struct series_cache *cache, const char *texts)
{
    struct str rest = str_of(texts);
    struct error err;

    *request = (struct request){.symbols = REMOTE_SYMBOLS_EMPTY, .batch = batch_new(&RULES)};
    batch_use(request->batch, cache, 100);
    assert_true(remote_symbols_add(&request->symbols, STR_EMPTY, &err));
    while (rest.len > 0)
        assert_true(remote_symbols_add(&request->symbols, str_split(&rest, ' '), &err));
}

static void end(struct request *request)
{
    remote_symbols_fini(&request->symbols);
    batch_free(request->batch);
}

static enum remote_spelling spell(struct request *request, struct str packed, bool may_add,
                                  struct remote_spelt *out)
{
    return remote_symbols_spell(&request->symbols, request->batch, packed, may_add, out);
}

static bool are_equal(const struct remote_spelt *a, const struct remote_spelt *b)
{
    return a->count == b->count &&
           memcmp(a->numbers, b->numbers, a->count * sizeof a->numbers[0]) == 0;
}

static void the_same_texts_are_spelt_alike_whatever_their_numbers(void **state)
{
    (void)state;
    struct series_cache *cache = series_cache_new(RULES.seed, 1 << 20);
    struct request request;
    struct remote_spelt first;
    struct remote_spelt second;

    begin(&request, cache, "a x b y");
    assert_int_equal(spell(&request, STR("\1\2\3\0"), false, &first), REMOTE_NEW);
    assert_int_equal(spell(&request, STR("\1\2\3\0"), true, &first), REMOTE_SPELT);
    assert_int_equal(first.count, 4);
    assert_int_equal(spell(&request, STR("\1\2\3\0"), false, &second), REMOTE_SPELT);
    assert_true(are_equal(&first, &second));
    assert_int_equal(spell(&request, STR("\1\2\3\4"), false, &second), REMOTE_NEW); /* y is */
    assert_int_equal(spell(&request, STR("\3\0\1\2"), false, &second), REMOTE_SPELT);
    assert_false(are_equal(&first, &second));
    assert_int_equal(spell(&request, STR("\1\2\3\1"), false, &second), REMOTE_SPELT);
    assert_false(are_equal(&first, &second));
    end(&request);
    begin(&request, cache, "b y ab x a b");
    assert_int_equal(spell(&request, STR("\5\4\1\0"), false, &second), REMOTE_SPELT);
    assert_true(are_equal(&first, &second));
    assert_int_equal(spell(&request, STR("\5\4\6\0"), false, &second), REMOTE_SPELT);
    assert_true(are_equal(&first, &second));
    assert_int_equal(spell(&request, STR("\3\4\1\0"), false, &second), REMOTE_NEW);
    end(&request);
    series_cache_free(cache);
}

static void what_are_no_references_is_not_spelt(void **state)
{
    (void)state;
    struct series_cache *cache = series_cache_new(RULES.seed, 1 << 20);
    struct request request;
    struct remote_spelt out;
    char many[REMOTE_SPELT_MAX + 1];

    begin(&request, cache, "a x");
    assert_int_equal(spell(&request, STR("\1\2"), true, &out), REMOTE_SPELT);
    assert_int_equal(spell(&request, STR("\1\3"), true, &out), REMOTE_UNSPELLED);
    assert_int_equal(spell(&request, STR("\1\377\377\377\377\17"), true, &out), REMOTE_UNSPELLED);
    assert_int_equal(spell(&request, STR("\1\202"), true, &out), REMOTE_UNSPELLED); /* half */
    /* The upper bits of a uint32 are not looked at, as anywhere. */
    assert_int_equal(spell(&request, STR("\1\202\200\200\200\20"), true, &out), REMOTE_SPELT);
    memset(many, 1, sizeof many);
    assert_int_equal(spell(&request, (struct str){many, REMOTE_SPELT_MAX}, true, &out),
                     REMOTE_SPELT);
    assert_int_equal(out.count, REMOTE_SPELT_MAX);
    assert_int_equal(spell(&request, (struct str){many, REMOTE_SPELT_MAX + 1}, true, &out),
                     REMOTE_UNSPELLED);
    end(&request);
    series_cache_free(cache);
}

static void without_room_or_a_cache_all_is_new(void **state)
{
    (void)state;
    struct series_cache *full = series_cache_new(RULES.seed, 100);
    struct series_cache *cache = series_cache_new(RULES.seed, 1 << 20);
    struct request request;
    struct remote_spelt out;

    for (unsigned i = 0; i < 3; i++) {
        begin(&request, i == 0 ? full : i == 1 ? NULL : cache, "a");
        if (i == 2) { /* another batch began, so this one has none any more */
            assert_int_equal(spell(&request, STR("\1\1"), true, &out), REMOTE_SPELT);
            (void)series_cache_begin(cache);
            series_cache_forget(cache);
        }
        assert_int_equal(spell(&request, STR("\1\0"), true, &out), REMOTE_NEW);
        end(&request);
    }
    series_cache_free(full);
    series_cache_free(cache);
}

static void a_text_that_no_label_may_be_takes_no_room(void **state)
{
    (void)state;
    struct series_cache *cache = series_cache_new(RULES.seed, 1 << 20);
    char text[LABEL_BYTES_MAX + 1];
    struct request request;
    struct remote_spelt out;
    struct error err;

    begin(&request, cache, "a");
    memset(text, 'x', sizeof text);
    assert_true(remote_symbols_add(&request.symbols, (struct str){text, sizeof text}, &err));
    assert_true(remote_symbols_add(&request.symbols, (struct str){text, sizeof text - 1}, &err));
    assert_int_equal(spell(&request, STR("\1\2"), true, &out), REMOTE_NEW);
    assert_int_equal(spell(&request, STR("\1\3"), true, &out), REMOTE_SPELT);
    end(&request);
    series_cache_free(cache);
}

static void the_first_symbol_is_empty(void **state)
{
    (void)state;
    struct remote_symbols symbols = REMOTE_SYMBOLS_EMPTY;
    struct error err;

    assert_false(remote_symbols_add(&symbols, STR("x"), &err));
    assert_int_equal(err.kind, ERROR_INVALID);
    assert_true(remote_symbols_add(&symbols, STR_EMPTY, &err));
    assert_true(remote_symbols_add(&symbols, STR("x\xff"), &err));
    assert_int_equal(symbols.items[0].kind, REMOTE_TEXT_PLAIN);
    assert_int_equal(symbols.items[1].kind, REMOTE_TEXT_FOREIGN);
    assert_true(remote_symbols_size_bytes(&symbols) >= 2 * sizeof(struct remote_symbol));
    remote_symbols_fini(&symbols);
    assert_int_equal(remote_symbols_size_bytes(&symbols), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_texts_are_spelt_alike_whatever_their_numbers),
        cmocka_unit_test(what_are_no_references_is_not_spelt),
        cmocka_unit_test(without_room_or_a_cache_all_is_new),
        cmocka_unit_test(a_text_that_no_label_may_be_takes_no_room),
        cmocka_unit_test(the_first_symbol_is_empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
