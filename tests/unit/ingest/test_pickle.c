/* The rules G9 and G10 of wire-formats.md. The frames below were written by Python's own pickle. */
#include <math.h>
#include <stdlib.h>

#include "base/buf.h"
#include "ingest/pickle.h"
#include "test.h"

struct frame {
    const char *bytes;
    size_t len;
};

#define FRAME(text)                                                                                \
    {                                                                                              \
        text, sizeof(text) - 1                                                                     \
    }

static int make(void **state)
{
    *state = pickle_new();
    return 0;
}

static int unmake(void **state)
{
    pickle_free(*state);
    return 0;
}

static void assert_str(struct str got, const char *want)
{
    if (!str_is(got, want))
        fail_msg("got '%.*s', want '%s'", STR_ARGS(got), want);
}

/* Loads a copy of exactly the frame's bytes, so that a read behind them is found; the caller frees
 * it when it is done with the points. */
static char *load(struct pickle *pickle, const char *bytes, size_t len, enum reject_reason *why)
{
    char *copy = malloc(len > 0 ? len : 1);

    assert_non_null(copy);
    memcpy(copy, bytes, len);
    *why = REJECT_NONE;
    if (pickle_load(pickle, (struct str){copy, len}, why))
        assert_int_equal(*why, REJECT_NONE);
    else
        assert_int_not_equal(*why, REJECT_NONE);
    return copy;
}

struct point {
    enum graphite_result result;
    enum reject_reason why;
    struct sample sample;
};

static struct point point_of(const struct pickle *pickle, size_t i)
{
    struct ledger ledger = {0};
    struct point point = {.why = REJECT_NONE};

    point.result = pickle_point(pickle, i, &point.sample, &ledger, &point.why);
    assert_int_equal(ledger.received, 1);
    if (point.result == GRAPHITE_REJECTED)
        assert_int_equal(ledger.rejected[point.why], 1);
    if (point.result == GRAPHITE_DROPPED)
        assert_int_equal(ledger.dropped[DROP_not_finite], 1);
    return point;
}

/* --- protocols 0 to 5 ------------------------------------------------------------------------- */

/* [("a.b", (1791788430, 1.5)), ("a.c;k=v", (1791788430.25, 7)), ("\u00e4.d", ("1791788430",
 * "2.5"))] */
static const struct frame DATA[] = {
    FRAME("(lp0\012(Va.b\012p1\012(I1791788430\012F1.5\012tp2\012tp3\012a(Va.c;k=v\012p4\012(F1"
          "791788430.25\012I7\012tp5\012tp6\012a(V\344.d\012p7\012(V1791788430\012p8\012V2.5"
          "\012p9\012tp10\012tp11\012a."),
    FRAME("]q\000((X\003\000\000\000a.bq\001(J\216\205\314jG\077\370\000\000\000\000\000\000tq"
          "\002tq\003(X\007\000\000\000a.c;k=vq\004(GA\332\263!c\220\000\000K\007tq\005tq\006(X"
          "\004\000\000\000\303\244.dq\007(X\012\000\000\0001791788430q\010X\003\000\000\0002.5"
          "q\011tq\012tq\013e."),
    FRAME("\200\002]q\000(X\003\000\000\000a.bq\001J\216\205\314jG\077\370\000\000\000\000\000"
          "\000\206q\002\206q\003X\007\000\000\000a.c;k=vq\004GA\332\263!c\220\000\000K\007\206"
          "q\005\206q\006X\004\000\000\000\303\244.dq\007X\012\000\000\0001791788430q\010X\003"
          "\000\000\0002.5q\011\206q\012\206q\013e."),
    FRAME("\200\003]q\000(X\003\000\000\000a.bq\001J\216\205\314jG\077\370\000\000\000\000\000"
          "\000\206q\002\206q\003X\007\000\000\000a.c;k=vq\004GA\332\263!c\220\000\000K\007\206"
          "q\005\206q\006X\004\000\000\000\303\244.dq\007X\012\000\000\0001791788430q\010X\003"
          "\000\000\0002.5q\011\206q\012\206q\013e."),
    FRAME("\200\004\225T\000\000\000\000\000\000\000]\224(\214\003a.b\224J\216\205\314jG\077"
          "\370\000\000\000\000\000\000\206\224\206\224\214\007a.c;k=v\224GA\332\263!c\220\000"
          "\000K\007\206\224\206\224\214\004\303\244.d\224\214\0121791788430\224\214\0032.5\224"
          "\206\224\206\224e."),
    FRAME("\200\005\225T\000\000\000\000\000\000\000]\224(\214\003a.b\224J\216\205\314jG\077"
          "\370\000\000\000\000\000\000\206\224\206\224\214\007a.c;k=v\224GA\332\263!c\220\000"
          "\000K\007\206\224\206\224\214\004\303\244.d\224\214\0121791788430\224\214\0032.5\224"
          "\206\224\206\224e."),
};

static const struct frame NUMBERS[] = {
    FRAME("(lp0\012(Va\012p1\012(I1\012L1099511627776L\012tp2\012tp3\012a(g1\012(I-1\012I-3\012"
          "tp4\012tp5\012a(g1\012(I1\012L1180591620717411303424L\012tp6\012tp7\012a(g1\012(I1"
          "\012I01\012tp8\012tp9\012a(g1\012(I1\012L-9223372036854775808L\012tp10\012tp11\012a("
          "g1\012(I1\012I-70000\012tp12\012tp13\012a."),
    FRAME("]q\000((X\001\000\000\000aq\001(K\001L1099511627776L\012tq\002tq\003(h\001(J\377\377"
          "\377\377J\375\377\377\377tq\004tq\005(h\001(K\001L1180591620717411303424L\012tq\006t"
          "q\007(h\001(K\001I01\012tq\010tq\011(h\001(K\001L-9223372036854775808L\012tq\012tq"
          "\013(h\001(K\001J\220\356\376\377tq\014tq\015e."),
    FRAME("\200\002]q\000(X\001\000\000\000aq\001K\001\212\006\000\000\000\000\000\001\206q\002"
          "\206q\003h\001J\377\377\377\377J\375\377\377\377\206q\004\206q\005h\001K\001\212\011"
          "\000\000\000\000\000\000\000\000@\206q\006\206q\007h\001K\001\210\206q\010\206q\011h"
          "\001K\001\212\010\000\000\000\000\000\000\000\200\206q\012\206q\013h\001K\001J\220"
          "\356\376\377\206q\014\206q\015e."),
    FRAME("\200\003]q\000(X\001\000\000\000aq\001K\001\212\006\000\000\000\000\000\001\206q\002"
          "\206q\003h\001J\377\377\377\377J\375\377\377\377\206q\004\206q\005h\001K\001\212\011"
          "\000\000\000\000\000\000\000\000@\206q\006\206q\007h\001K\001\210\206q\010\206q\011h"
          "\001K\001\212\010\000\000\000\000\000\000\000\200\206q\012\206q\013h\001K\001J\220"
          "\356\376\377\206q\014\206q\015e."),
    FRAME("\200\004\225b\000\000\000\000\000\000\000]\224(\214\001a\224K\001\212\006\000\000"
          "\000\000\000\001\206\224\206\224h\001J\377\377\377\377J\375\377\377\377\206\224\206"
          "\224h\001K\001\212\011\000\000\000\000\000\000\000\000@\206\224\206\224h\001K\001"
          "\210\206\224\206\224h\001K\001\212\010\000\000\000\000\000\000\000\200\206\224\206"
          "\224h\001K\001J\220\356\376\377\206\224\206\224e."),
    FRAME("\200\005\225b\000\000\000\000\000\000\000]\224(\214\001a\224K\001\212\006\000\000"
          "\000\000\000\001\206\224\206\224h\001J\377\377\377\377J\375\377\377\377\206\224\206"
          "\224h\001K\001\212\011\000\000\000\000\000\000\000\000@\206\224\206\224h\001K\001"
          "\210\206\224\206\224h\001K\001\212\010\000\000\000\000\000\000\000\200\206\224\206"
          "\224h\001K\001J\220\356\376\377\206\224\206\224e."),
};

static void each_protocol_says_the_same(void **state) /* G9 */
{
    struct pickle *pickle = *state;

    for (size_t i = 0; i < TEST_COUNT(DATA); i++) {
        enum reject_reason why = REJECT_NONE;
        char *bytes = load(pickle, DATA[i].bytes, DATA[i].len, &why);
        assert_int_equal(why, REJECT_NONE);
        assert_int_equal(pickle_count(pickle), 3);
        struct point points[] = {point_of(pickle, 0), point_of(pickle, 1), point_of(pickle, 2)};
        for (size_t p = 0; p < 3; p++) {
            assert_int_equal(points[p].result, GRAPHITE_SAMPLE);
            assert_int_equal(points[p].sample.kind, METRIC_UNTYPED);
            assert_int_equal(points[p].sample.weight, WEIGHT_ONE);
        }
        assert_str(points[0].sample.name, "a.b");
        assert_true(points[0].sample.value == 1.5);
        assert_int_equal(points[0].sample.at, INT64_C(1791788430000));
        assert_null(points[0].sample.text.text);
        assert_str(points[1].sample.name, "a.c");
        assert_str(points[1].sample.tags, "k=v");
        assert_int_equal(points[1].sample.tag_style, TAGS_SEMICOLON);
        assert_true(points[1].sample.value == 7);
        assert_int_equal(points[1].sample.at, INT64_C(1791788430250));
        assert_str(points[2].sample.name, "\xc3\xa4.d");
        assert_true(points[2].sample.value == 2.5);
        assert_str(points[2].sample.text, "2.5");
        free(bytes);
    }
}

static void integers_of_any_length_are_numbers(void **state) /* G9 */
{
    static const double values[] = {0x1p40, -3, 0x1p70, 1, -0x1p63, -70000};
    struct pickle *pickle = *state;

    for (size_t i = 0; i < TEST_COUNT(NUMBERS); i++) {
        enum reject_reason why = REJECT_NONE;
        char *bytes = load(pickle, NUMBERS[i].bytes, NUMBERS[i].len, &why);
        assert_int_equal(why, REJECT_NONE);
        assert_int_equal(pickle_count(pickle), TEST_COUNT(values));
        for (size_t p = 0; p < TEST_COUNT(values); p++) {
            struct point point = point_of(pickle, p);
            assert_int_equal(point.result, GRAPHITE_SAMPLE);
            assert_true(point.sample.value == values[p]);
            assert_int_equal(point.sample.at, p == 1 ? WALL_NONE : 1000); /* G3 */
        }
        free(bytes);
    }
}

/* What is between `front`, as "(lp0\n", and its end, item by item. */
static void every_form_of_an_item(void **state) /* G9 */
{
    static const struct {
        const char *label;
        struct frame frame;
        enum graphite_result result;
        enum reject_reason why;
        double value;
        const char *name;
    } cases[] = {
        {"lists for tuples", FRAME("](](U\1a](K\1K\2eee."), GRAPHITE_SAMPLE, REJECT_NONE, 2, "a"},
        {"LIST", FRAME("((U\1a(K\1K\2lll."), GRAPHITE_SAMPLE, REJECT_NONE, 2, "a"},
        {"TUPLE of all", FRAME("((U\1a(K\1K\2ttt."), GRAPHITE_SAMPLE, REJECT_NONE, 2, "a"},
        {"one APPEND each",
         FRAME("]U\1aK\1K\2\x86\x86"
               "a."),
         GRAPHITE_SAMPLE, REJECT_NONE, 2, "a"},
        {"Python 2 text", FRAME("(lp0\n(S'a.b'\np1\n(I1\nF2.5\ntp2\ntp3\na."), GRAPHITE_SAMPLE,
         REJECT_NONE, 2.5, "a.b"},
        {"its escapes", FRAME("(l(S\"a\\x41\\'\\\\\\t\"\n(I1\nI2\ntta."), GRAPHITE_SAMPLE,
         REJECT_NONE, 2, "aA'\\\t"},
        {"unicode escapes", FRAME("(l(V\\u00e4\\U0001F600\\\\x\\q\n(I1\nI2\ntta."), GRAPHITE_SAMPLE,
         REJECT_NONE, 2, "\xc3\xa4\xf0\x9f\x98\x80\\\\x\\q"},
        {"bytes",
         FRAME("]C\1aK\1C\1"
               "5\x86\x86"
               "a."),
         GRAPHITE_SAMPLE, REJECT_NONE, 5, "a"},
        {"blanks around a number",
         FRAME("]U\1aK\1U\4 5 \t\x86\x86"
               "a."),
         GRAPHITE_SAMPLE, REJECT_NONE, 5, "a"},
        {"DUP and POP",
         FRAME("]U\1aK\1K\2\x86\x86"
               "2"
               "0a."),
         GRAPHITE_SAMPLE, REJECT_NONE, 2, "a"},
        {"what is left below",
         FRAME("K\7]U\1aK\1K\2\x86\x86"
               "a."),
         GRAPHITE_SAMPLE, REJECT_NONE, 2, "a"},
        {"NaN in a float",
         FRAME("]U\1aK\1G\177\370\0\0\0\0\0\0\x86\x86"
               "a."),
         GRAPHITE_DROPPED, REJECT_NONE, 0, "a"},
        {"NaN in text", FRAME("(l(S'a'\n(I1\nFnan\ntta."), GRAPHITE_DROPPED, REJECT_NONE, 0, "a"},
        {"infinity", FRAME("(l(S'a'\n(I1\nF-inf\ntta."), GRAPHITE_REJECTED, REJECT_bad_number, 0,
         "a"},
        {"None for a value",
         FRAME("]U\1aK\1N\x86\x86"
               "a."),
         GRAPHITE_REJECTED, REJECT_bad_number, 0, "a"},
        {"words for a value",
         FRAME("]U\1aK\1U\2hi\x86\x86"
               "a."),
         GRAPHITE_REJECTED, REJECT_bad_number, 0, "a"},
        {"a list for a value",
         FRAME("]U\1aK\1]\x86\x86"
               "a."),
         GRAPHITE_REJECTED, REJECT_bad_number, 0, "a"},
        {"None for a time",
         FRAME("]U\1aNK\1\x86\x86"
               "a."),
         GRAPHITE_REJECTED, REJECT_malformed, 0, "a"},
        {"an endless time",
         FRAME("]U\1aU\0041e99K\1\x86\x86"
               "a."),
         GRAPHITE_REJECTED, REJECT_bad_time, 0, "a"},
        {"a number for a path",
         FRAME("]K\5K\1K\2\x86\x86"
               "a."),
         GRAPHITE_REJECTED, REJECT_malformed, 0, ""},
        {"an empty path",
         FRAME("]U\0K\1K\2\x86\x86"
               "a."),
         GRAPHITE_REJECTED, REJECT_bad_name, 0, ""},
        {"empty tags",
         FRAME("]U\2a;K\1K\2\x86\x86"
               "a."),
         GRAPHITE_REJECTED, REJECT_bad_tags, 0, "a"},
        {"three of a path",
         FRAME("]U\1aK\1K\2\x87"
               "a."),
         GRAPHITE_REJECTED, REJECT_malformed, 0, ""},
        {"three of a pair",
         FRAME("]U\1aK\1K\2K\3\x87\x86"
               "a."),
         GRAPHITE_REJECTED, REJECT_malformed, 0, "a"},
        {"the pair alone",
         FRAME("]K\1K\2\x86"
               "a."),
         GRAPHITE_REJECTED, REJECT_malformed, 0, ""},
        {"no tuple", FRAME("]K\1a."), GRAPHITE_REJECTED, REJECT_malformed, 0, ""},
        {"an empty tuple", FRAME("])a."), GRAPHITE_REJECTED, REJECT_malformed, 0, ""},
    };
    struct pickle *pickle = *state;

    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        enum reject_reason why = REJECT_NONE;
        char *bytes = load(pickle, cases[i].frame.bytes, cases[i].frame.len, &why);
        if (why != REJECT_NONE || pickle_count(pickle) != 1)
            fail_msg("%s: refused for %d, %zu items", cases[i].label, (int)why,
                     pickle_count(pickle));
        struct point point = point_of(pickle, 0);
        if (point.result != cases[i].result || point.why != cases[i].why)
            fail_msg("%s: %d for %d", cases[i].label, (int)point.result, (int)point.why);
        assert_str(point.sample.name, cases[i].name);
        if (point.result == GRAPHITE_SAMPLE)
            assert_true(point.sample.value == cases[i].value);
        free(bytes);
    }
}

static void a_bad_item_leaves_the_others_alone(void **state) /* G9 */
{
    static const struct frame frame = FRAME("](U\1aK\1K\2\x86\x86NU\1bK\1N\x86\x86U\1cK\1K\3\x86"
                                            "\x86"
                                            "e.");
    struct pickle *pickle = *state;
    enum reject_reason why = REJECT_NONE;
    char *bytes = load(pickle, frame.bytes, frame.len, &why);

    assert_int_equal(pickle_count(pickle), 4);
    assert_int_equal(point_of(pickle, 0).result, GRAPHITE_SAMPLE);
    assert_int_equal(point_of(pickle, 1).result, GRAPHITE_REJECTED);
    assert_int_equal(point_of(pickle, 2).result, GRAPHITE_REJECTED);
    assert_str(point_of(pickle, 3).sample.name, "c");
    free(bytes);
}

/* --- what is refused as a whole --------------------------------------------------------------- */

static void what_names_or_calls_something_is_refused(void **state) /* G10 */
{
    static const struct {
        const char *label;
        struct frame frame;
    } cases[] = {
        {"GLOBAL", FRAME("cos\nsystem\n(S'true'\ntR.")},
        {"STACK_GLOBAL", FRAME("\x80\4\x8c\2os\x8c\6system\x93\x8c\4true\x85R.")},
        {"REDUCE", FRAME("]U\1aU\1bR.")},
        {"BUILD", FRAME("]]b.")},
        {"INST", FRAME("(S'x'\nios\nsystem\n.")},
        {"OBJ", FRAME("(U\1aU\1bo.")},
        {"NEWOBJ", FRAME("]U\1a)\x81.")},
        {"NEWOBJ_EX", FRAME("]U\1a)}\x92.")},
        {"EXT1", FRAME("\x82\1.")},
        {"EXT2", FRAME("\x83\1\0.")},
        {"EXT4", FRAME("\x84\1\0\0\0.")},
        {"PERSID", FRAME("Px\n.")},
        {"BINPERSID", FRAME("U\1aQ.")},
        {"DICT", FRAME("(d.")},
        {"EMPTY_DICT", FRAME("}.")},
        {"SETITEMS", FRAME("}(u.")},
        {"EMPTY_SET", FRAME("\x8f.")},
        {"FROZENSET", FRAME("(\x91.")},
        {"BYTEARRAY8", FRAME("\x96\1\0\0\0\0\0\0\0a.")},
        {"NEXT_BUFFER", FRAME("\x97.")},
        {"behind good points", FRAME("]U\1aK\1K\2\x86\x86"
                                     "acos\nsystem\n.")},
    };
    struct pickle *pickle = *state;

    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        enum reject_reason why = REJECT_NONE;
        char *bytes = load(pickle, cases[i].frame.bytes, cases[i].frame.len, &why);
        if (why != REJECT_malformed)
            fail_msg("%s: %d", cases[i].label, (int)why);
        assert_int_equal(pickle_count(pickle), 0);
        free(bytes);
    }
}

static void what_no_pickler_writes_is_refused(void **state) /* G9, G10 */
{
    static const struct frame cases[] = {
        FRAME(""),
        FRAME("."),
        FRAME("]"),
        FRAME("N."),
        FRAME("U\1a."),
        FRAME("(."),
        FRAME("(("),
        FRAME("\x80\6]."),
        FRAME("\x80"),
        FRAME("a."),
        FRAME("]a."),
        FRAME("K\1a."),
        FRAME("](K\1a."),
        FRAME("(a."),
        FRAME("]("),
        FRAME("e."),
        FRAME("(e."),
        FRAME("(K\1e."),
        FRAME(")(K\1e."),
        FRAME(")K\1a."),
        FRAME("t."),
        FRAME("l."),
        FRAME("\x85."),
        FRAME("K\1\x86."),
        FRAME("K\1(\x86."),
        FRAME("0."),
        FRAME("1."),
        FRAME("2."),
        FRAME("(2."),
        FRAME("q\0."),
        FRAME("(q\0."),
        FRAME("h\0."),
        FRAME("]q\1h\0."),
        FRAME("j\0\0\0\1."),
        FRAME("g1\n."),
        FRAME("gx\n."),
        FRAME("g\n."),
        FRAME("g-1\n."),
        FRAME("]px\n."),
        FRAME("X\377\377\377\377a."),
        FRAME("X\5\0\0\0a."),
        FRAME("\x8d\377\377\377\377\377\377\377\377a."),
        FRAME("U\5a."),
        FRAME("S'a\n."),
        FRAME("S'\n."),
        FRAME("Sa\n."),
        FRAME("S'a\"\n."),
        FRAME("S'\\x4'\n]."),
        FRAME("S'\\q'\n]."),
        FRAME("S'\\'\n]."),
        FRAME("V\\u12\n]."),
        FRAME("V\\ud800\n]."),
        FRAME("V\\U00110000\n]."),
        FRAME("Va"),
        FRAME("I\n]."),
        FRAME("I1.5\n]."),
        FRAME("I-\n]."),
        FRAME("Inan\n]."),
        FRAME("F\n]."),
        FRAME("Fxyz\n]."),
        FRAME("L5x\n]."),
        FRAME("G\0\0."),
        FRAME("J\0."),
        FRAME("\x8a\5a."),
        FRAME("\x95\0\0."),
        FRAME("put a.b 1 2\n"),
    };
    struct pickle *pickle = *state;

    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        enum reject_reason why = REJECT_NONE;
        char *bytes = load(pickle, cases[i].bytes, cases[i].len, &why);
        if (why != REJECT_malformed && why != REJECT_too_long)
            fail_msg("case %zu: %d", i, (int)why);
        assert_int_equal(pickle_count(pickle), 0);
        free(bytes);
    }
}

static void a_pickle_that_is_cut_anywhere_is_refused(void **state)
{
    struct pickle *pickle = *state;

    for (size_t i = 0; i < TEST_COUNT(DATA); i++) {
        for (size_t len = 0; len < DATA[i].len; len++) {
            enum reject_reason why = REJECT_NONE;
            char *bytes = load(pickle, DATA[i].bytes, len, &why);
            assert_int_equal(why, REJECT_malformed);
            free(bytes);
        }
    }
}

static void what_grows_has_a_limit(void **state) /* G10 */
{
    static const struct {
        const char *label;
        struct frame front;
        struct frame again;
        size_t times;
    } cases[] = {
        {"marks", FRAME(""), FRAME("("), 3 << 20},
        {"a deep list", FRAME(""), FRAME("]"), 3 << 20},
        {"values on the stack", FRAME("]("), FRAME("N"), 3 << 20},
        {"tuples", FRAME("]"), FRAME(")0"), 3 << 20},
        {"cells", FRAME("N"), FRAME("\x85"), 3 << 20},
        {"a list that is moved again and again", FRAME("]"), FRAME("]q\1h\1q\2Na0"), 1 << 20},
        {"memo", FRAME("N"), FRAME("\x94"), 3 << 20},
        {"a far place of the memo", FRAME("Nr\xff\xff\7\0"), FRAME("."), 1},
        {"a long text", FRAME("U\1aX\0\0\2\0"), FRAME("a"), 3 << 20},
        {"a long number", FRAME("I"), FRAME("9"), 3 << 20},
        {"a long long", FRAME("\x8b\0\1\0\0"), FRAME("a"), 1000},
    };
    struct pickle *pickle = *state;

    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        struct buf frame = BUF_EMPTY;
        enum reject_reason why = REJECT_NONE;
        buf_append(&frame, cases[i].front.bytes, cases[i].front.len);
        for (size_t t = 0; t < cases[i].times; t++)
            buf_append(&frame, cases[i].again.bytes, cases[i].again.len);
        buf_text(&frame, "\n]."); /* ends what may be open, and would be fine */
        if (pickle_load(pickle, buf_view(&frame), &why) || why != REJECT_too_long)
            fail_msg("%s: %d", cases[i].label, (int)why);
        buf_fini(&frame);
    }
}

static void a_list_may_hold_itself(void **state) /* G10: nothing recurses */
{
    static const struct frame frame = FRAME("]q\0h\0a.");
    static const struct frame deep = FRAME("]q\0q\1h\0h\1\x86"
                                           "ah\0h\0h\0\x86\x86"
                                           "a.");
    struct pickle *pickle = *state;
    enum reject_reason why = REJECT_NONE;

    char *bytes = load(pickle, frame.bytes, frame.len, &why);
    assert_int_equal(pickle_count(pickle), 1);
    assert_int_equal(point_of(pickle, 0).result, GRAPHITE_REJECTED);
    free(bytes);
    bytes = load(pickle, deep.bytes, deep.len, &why);
    assert_int_equal(why, REJECT_NONE);
    for (size_t i = 0; i < pickle_count(pickle); i++)
        assert_int_equal(point_of(pickle, i).result, GRAPHITE_REJECTED);
    free(bytes);
}

static void many_points_fit(void **state)
{
    enum { POINTS = 50 * 1000 };
    struct pickle *pickle = *state;
    struct buf frame = BUF_EMPTY;
    enum reject_reason why = REJECT_NONE;

    buf_append(&frame, "\x80\2]q\0", 5);
    for (unsigned i = 0; i < POINTS; i++) { /* one by one, as protocol 0 and 1 of lists do */
        buf_printf(&frame, "(Vservers.web%05u.requests\np%u\n(I1791788430\nI%u\ntp%u\nta", i,
                   2 * i + 1, i, 2 * i + 2);
    }
    buf_char(&frame, '.');
    assert_true(pickle_load(pickle, buf_view(&frame), &why));
    assert_int_equal(pickle_count(pickle), POINTS);
    for (size_t i = 0; i < POINTS; i += 7) {
        struct point point = point_of(pickle, i);
        assert_int_equal(point.result, GRAPHITE_SAMPLE);
        assert_true(point.sample.value == (double)i);
    }
    buf_fini(&frame);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_protocol_says_the_same, make, unmake),
        cmocka_unit_test_setup_teardown(integers_of_any_length_are_numbers, make, unmake),
        cmocka_unit_test_setup_teardown(every_form_of_an_item, make, unmake),
        cmocka_unit_test_setup_teardown(a_bad_item_leaves_the_others_alone, make, unmake),
        cmocka_unit_test_setup_teardown(what_names_or_calls_something_is_refused, make, unmake),
        cmocka_unit_test_setup_teardown(what_no_pickler_writes_is_refused, make, unmake),
        cmocka_unit_test_setup_teardown(a_pickle_that_is_cut_anywhere_is_refused, make, unmake),
        cmocka_unit_test_setup_teardown(what_grows_has_a_limit, make, unmake),
        cmocka_unit_test_setup_teardown(a_list_may_hold_itself, make, unmake),
        cmocka_unit_test_setup_teardown(many_points_fit, make, unmake),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
