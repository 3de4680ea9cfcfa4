/* How bytes of a connection become lines and frames, and these samples: G5, G6, G9, D12, S15, I5,
 * I11, I30; and that the same samples by any protocol end in the same cells. */
#include <endian.h>
#include <stdio.h>
#include <stdlib.h>

#include "../series/random.h"
#include "ingest/stream_frame.h"
#include "series/shard.h"
#include "test.h"

enum { LINE_MAX_BYTES = 200, FRAME_MAX_BYTES = 1000, AREA_BYTES = 1 << 16, ROOM_BYTES = 1 << 20 };

static const int64_t NOW_US = INT64_C(1791788430000000);

/* A connection without a socket, and the shard behind it. */
struct scene {
    struct intake intake;
    struct ledger ledger;
    struct stream_cut cut;
    struct tail_room kept;
    char *area; /* of exactly the room that a worker gives */
    bool open;
};

static void begin_with(struct scene *scene, struct intake_dialect dialect, enum framing framing,
                       const struct metric_table *metrics)
{
    const struct shard_limits limits = {
        .series = 1000, .raw_keys = 2000, .max_future = MS_PER_HOUR, .max_past = MS_PER_DAY};

    *scene = (struct scene){.intake = {.shard = shard_new(&limits, metrics, 42),
                                       .metrics = metrics,
                                       .line_bytes_max = LINE_MAX_BYTES,
                                       .frame_bytes_max = FRAME_MAX_BYTES},
                            .kept = {.bytes_max = ROOM_BYTES},
                            .cut = {.framing = framing},
                            .area = malloc(LINE_MAX_BYTES + AREA_BYTES),
                            .open = true};
    assert_non_null(scene->area);
    scene->cut.room = &scene->kept;
    scene->intake.dialect = dialect;
}

static void begin(struct scene *scene, enum protocol protocol, enum transport transport)
{
    begin_with(scene, (struct intake_dialect){.protocol = protocol},
               framing_of(protocol, transport), NULL);
}

/* As if that had been read at once. */
static void say(struct scene *scene, struct str bytes)
{
    assert_true(bytes.len <= AREA_BYTES);
    memcpy(scene->area + LINE_MAX_BYTES, bytes.text, bytes.len);
    intake_begin(&scene->intake, &scene->ledger, scene->intake.dialect, NOW_US);
    scene->open =
        stream_cut_take(&scene->cut, &scene->intake, scene->area + LINE_MAX_BYTES, bytes.len);
    intake_end(&scene->intake);
    memset(scene->area, 'x', LINE_MAX_BYTES + AREA_BYTES);
    assert_true(ledger_balances(&scene->ledger));
}

static void hang_up(struct scene *scene, bool is_cut)
{
    intake_begin(&scene->intake, &scene->ledger, scene->intake.dialect, NOW_US);
    stream_cut_end(&scene->cut, &scene->intake, is_cut);
    intake_end(&scene->intake);
    assert_true(ledger_balances(&scene->ledger));
    assert_int_equal(scene->kept.bytes, 0);
}

static void finish(struct scene *scene)
{
    stream_cut_forget(&scene->cut);
    assert_int_equal(scene->kept.bytes, 0);
    intake_fini(&scene->intake);
    shard_free(scene->intake.shard);
    free(scene->area);
}

/* The cells of all series, as sorted text: key, count, sum, last and when. */
static int compare_lines(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static char *cells_of(struct scene *scene)
{
    struct delta *delta = shard_take_delta(scene->intake.shard);
    char **lines = calloc(delta->cell_count + 1, sizeof *lines);
    struct buf all = BUF_EMPTY;

    assert_non_null(lines);
    for (size_t i = 0; i < delta->cell_count; i++) {
        const struct aggregate *cell = &delta->cells[i].cell.aggregate;
        struct str key = delta->series[delta->cells[i].series].key;
        struct buf line = BUF_EMPTY;
        buf_printf(&line, "%d ", (int)series_key_kind(key));
        series_key_format(&line, key);
        buf_printf(&line, " %g %.17g %.17g %lld %lld\n", aggregate_count(cell), aggregate_sum(cell),
                   cell->last, (long long)cell->first_at, (long long)cell->last_at);
        lines[i] = buf_take_text(&line);
    }
    qsort(lines, delta->cell_count, sizeof *lines, compare_lines);
    for (size_t i = 0; i < delta->cell_count; i++) {
        buf_text(&all, lines[i]);
        free(lines[i]);
    }
    free(lines);
    delta_free(delta);
    return buf_take_text(&all);
}

static struct str big_endian(struct buf *out, const char *bytes, size_t len)
{
    uint32_t header = htobe32((uint32_t)len);

    buf_append(out, &header, sizeof header);
    buf_append(out, bytes, len);
    return buf_view(out);
}

/* --- which framing ---------------------------------------------------------------------------- */

static void framing_follows_from_protocol_and_transport(void **state) /* G9, D12, I5 */
{
    (void)state;
    assert_int_equal(framing_of(PROTOCOL_STATSD, TRANSPORT_TCP), FRAMING_LINES);
    assert_int_equal(framing_of(PROTOCOL_STATSD, TRANSPORT_UNIX), FRAMING_LINES);
    assert_int_equal(framing_of(PROTOCOL_GRAPHITE, TRANSPORT_TCP), FRAMING_LINES);
    assert_int_equal(framing_of(PROTOCOL_GRAPHITE_PICKLE, TRANSPORT_TCP), FRAMING_BIG_ENDIAN);
    assert_int_equal(framing_of(PROTOCOL_GRAPHITE_PICKLE, TRANSPORT_UNIX), FRAMING_BIG_ENDIAN);
    assert_int_equal(framing_of(PROTOCOL_DOGSTATSD, TRANSPORT_UNIX), FRAMING_LITTLE_ENDIAN);
    assert_int_equal(framing_of(PROTOCOL_INFLUX, TRANSPORT_TCP), FRAMING_INFLUX);
}

/* --- any pieces ------------------------------------------------------------------------------- */

#define GRAPHITE_TEXT                                                                              \
    "a.b 1 1791788400\r\na.b;k=v 2 1791788400\n\nfoo\na.b nan 1791788400\nlast.one 3 -1"
#define INFLUX_TEXT                                                                                \
    "cpu,host=a user=1,sys=2i,note=\"two\nlines, \\\"quoted\\\"\" 1791788400000000000\n"           \
    "# not a line \"\ncpu,host=b user=0.5\n\nbad\nm\\,x,k\\ y=v\\=1 up=t,w=\"a\" "                 \
    "1791788400000000000\r\nlast f=3"
#define PICKLE_ONE "(lp0\n(S'a.b'\np1\n(I1791788400\nF2.5\ntp2\ntp3\na."
#define PICKLE_BAD "cos\nsystem\n(S'true'\ntR."
#define PICKLE_TWO                                                                                 \
    "](U\1cJ\x70\x85\xccjK\5\x86\x86NU\1dJ\xff\xff\xff\xffK\6\x86\x86"                             \
    "e."

static void in_any_pieces_the_same_comes_out(void **state) /* G5, G9, I5, S15 */
{
    (void)state;
    struct buf pickles = BUF_EMPTY;
    (void)big_endian(&pickles, PICKLE_ONE, sizeof PICKLE_ONE - 1);
    (void)big_endian(&pickles, "", 0);
    (void)big_endian(&pickles, PICKLE_BAD, sizeof PICKLE_BAD - 1);
    (void)big_endian(&pickles, PICKLE_TWO, sizeof PICKLE_TWO - 1);
    const struct {
        enum protocol protocol;
        struct str bytes;
        uint64_t received, stored;
    } cases[] = {
        {PROTOCOL_GRAPHITE, STR(GRAPHITE_TEXT), 5, 3},
        {PROTOCOL_INFLUX, STR(INFLUX_TEXT), 8, 5},
        {PROTOCOL_GRAPHITE_PICKLE, buf_view(&pickles), 6, 3},
    };

    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        struct scene whole;
        begin(&whole, cases[i].protocol, TRANSPORT_TCP);
        say(&whole, cases[i].bytes);
        assert_true(whole.open);
        hang_up(&whole, false);
        assert_int_equal(whole.ledger.received, cases[i].received);
        assert_int_equal(whole.ledger.stored, cases[i].stored);
        char *cells = cells_of(&whole);
        for (size_t piece = 1; piece < cases[i].bytes.len; piece++) {
            struct scene pieces;
            begin(&pieces, cases[i].protocol, TRANSPORT_TCP);
            for (size_t at = 0; at < cases[i].bytes.len; at += piece) {
                size_t left = cases[i].bytes.len - at;
                say(&pieces, (struct str){cases[i].bytes.text + at, left < piece ? left : piece});
                assert_true(pieces.open);
            }
            hang_up(&pieces, false);
            assert_memory_equal(&pieces.ledger, &whole.ledger, sizeof whole.ledger);
            char *others = cells_of(&pieces);
            assert_string_equal(others, cells);
            free(others);
            finish(&pieces);
        }
        free(cells);
        finish(&whole);
    }
    buf_fini(&pickles);
}

/* --- one and the same ------------------------------------------------------------------------- */

static void the_same_samples_by_any_protocol_end_in_the_same_cells(void **state) /* FIG-8 */
{
    static const struct metric_definition definitions[] = {
        {.name = "sold_total", .has_kind = true, .kind = METRIC_COUNTER},
        {.name = "stock_now", .has_kind = true, .kind = METRIC_GAUGE},
        {.name = "paid_ms", .has_kind = true, .kind = METRIC_DISTRIBUTION},
        {.name = "seen_users", .has_kind = true, .kind = METRIC_UNIQUE}};
    static const struct {
        enum protocol protocol;
        const char *text;
        size_t len;
    } cases[] = {
#define SAID(protocol, text) {protocol, text, sizeof(text) - 1}
        SAID(PROTOCOL_STATSD, "sold_total:1|c|#b:2,a:1\nsold_total:2.5|c|#a:1,b:2\n"
                              "stock_now:7|g\nstock_now:3|g\npaid_ms:12|ms\npaid_ms:400|ms\n"
                              "seen_users:17|s\nseen_users:17|s\nseen_users:18|s\n"),
        SAID(PROTOCOL_GRAPHITE, "sold_total;a=1;b=2 1 -1\nsold_total;b=2;a=1 2.5 -1\n"
                                "stock_now 7 -1\nstock_now 3 1791788430\npaid_ms 12 -1\n"
                                "paid_ms 400 -1\nseen_users 17 -1\nseen_users 17 -1\n"
                                "seen_users 18 -1\n"),
        SAID(PROTOCOL_INFLUX, "sold,a=1,b=2 total=1\nsold,b=2,a=1 total=2.5 1791788430000000000\n"
                              "stock now=7\nstock now=3i\npaid ms=12u\npaid ms=400\n"
                              "seen users=17\nseen users=\"17\"\nseen users=\"18\"\n"),
        SAID(PROTOCOL_GRAPHITE_PICKLE,
             "(l(S'sold_total;a=1;b=2'\n(I-1\nI1\ntta(S'sold_total;b=2;a=1'\n(I-1\nF2.5\nt"
             "ta(S'stock_now'\n(I-1\nI7\ntta(S'stock_now'\n(I-1\nI3\ntta(S'paid_ms'\n(I-1\nI12\ntta"
             "(S'paid_ms'\n(S'-1'\nS' 400 '\ntta(S'seen_users'\n(I-1\nI17\ntta(S'seen_users'\n(I-1"
             "\nS'17'\ntta(S'seen_users'\n(I-1\nF18.0\ntta."),
#undef SAID
    };
    (void)state;
    struct metric_table metrics = {0};
    char *first = NULL;

    for (size_t i = 0; i < TEST_COUNT(definitions); i++)
        (void)table_add(&metrics.by_name, str_of(definitions[i].name),
                        (void *)(uintptr_t)&definitions[i]);
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        struct scene scene;
        begin_with(&scene, (struct intake_dialect){.protocol = cases[i].protocol},
                   framing_of(cases[i].protocol, TRANSPORT_TCP), &metrics);
        struct buf framed = BUF_EMPTY;
        struct str bytes = {cases[i].text, cases[i].len};
        if (cases[i].protocol == PROTOCOL_GRAPHITE_PICKLE)
            bytes = big_endian(&framed, cases[i].text, cases[i].len);
        say(&scene, bytes);
        buf_fini(&framed);
        hang_up(&scene, false);
        assert_int_equal(scene.ledger.received, 9);
        assert_int_equal(scene.ledger.stored, 9);
        char *cells = cells_of(&scene);
        if (first == NULL)
            first = cells;
        else
            assert_string_equal(cells, first);
        if (cells != first)
            free(cells);
        finish(&scene);
    }
    assert_non_null(strstr(first, "sold_total{a=\"1\",b=\"2\"} 2 3.5 2.5"));
    free(first);
    table_fini(&metrics.by_name);
}

/* --- InfluxDB lines --------------------------------------------------------------------------- */

static void influx_names_and_labels_with_escapes(void **state) /* I3, I11 */
{
    (void)state;
    struct scene scene;
    begin(&scene, PROTOCOL_INFLUX, TRANSPORT_TCP);

    say(&scene, STR("a\\,b,k\\=1=v\\,w\\ x f\\ g=1 1791788400000000000\n"
                    "a\\,b,c=d,k\\=1=v\\,w\\ x f\\ g=2,h=3 1791788400000000000\n"
                    "plain,k=v value=4 1791788400000000000\n"));
    char *cells = cells_of(&scene);
    assert_string_equal(
        cells, "6 \"a,b_f g\"{\"k=1\"=\"v,w x\"} 1 1 1 1791788400000 1791788400000\n"
               "6 \"a,b_f g\"{c=\"d\",\"k=1\"=\"v,w x\"} 1 2 2 1791788400000 1791788400000\n"
               "6 \"a,b_h\"{c=\"d\",\"k=1\"=\"v,w x\"} 1 3 3 1791788400000 1791788400000\n"
               "6 plain_value{k=\"v\"} 1 4 4 1791788400000 1791788400000\n");
    free(cells);
    finish(&scene);
}

static void influx_options_are_the_listeners(void **state) /* I11, I20 */
{
    (void)state;
    struct scene scene;
    begin_with(&scene,
               (struct intake_dialect){
                   .protocol = PROTOCOL_INFLUX, .skip_single_field = true, .precision = INFLUX_S},
               FRAMING_INFLUX, NULL);

    say(&scene, STR("a value=1 1791788400\nb value=1,other=2 1791788400\nc value=1 9\n"));
    assert_int_equal(scene.ledger.rejected[REJECT_bad_time], 1);
    char *cells = cells_of(&scene);
    assert_string_equal(cells, "6 a 1 1 1 1791788400000 1791788400000\n"
                               "6 b_other 1 2 2 1791788400000 1791788400000\n"
                               "6 b_value 1 1 1 1791788400000 1791788400000\n");
    free(cells);
    finish(&scene);
}

static void a_broken_influx_line_is_one_sample_and_texts_are_dropped(void **state) /* I11, I30 */
{
    (void)state;
    struct scene scene;
    begin(&scene, PROTOCOL_INFLUX, TRANSPORT_UDP);

    say(&scene, STR("a f=1,g=2,h=+3\nb f=1,t=\"x\",u=\"y\"\nc\nd,k= f=1\n"));
    assert_int_equal(scene.ledger.received, 6);
    assert_int_equal(scene.ledger.stored, 1);
    assert_int_equal(scene.ledger.dropped[DROP_string], 2);
    assert_int_equal(scene.ledger.rejected[REJECT_bad_number], 1);
    assert_int_equal(scene.ledger.rejected[REJECT_malformed], 1);
    assert_int_equal(scene.ledger.rejected[REJECT_bad_tags], 1);
    finish(&scene);
}

static void long_influx_names_are_rejected_and_many_fit(void **state)
{
    (void)state;
    struct scene scene;
    struct buf text = BUF_EMPTY;
    begin(&scene, PROTOCOL_INFLUX, TRANSPORT_TCP);

    scene.intake.line_bytes_max = 8000;
    for (int wide = 500; wide <= 2000; wide += 500) {
        for (int fields = 0; fields < 2; fields++) {
            buf_printf(&text, "%0*d,t\\ x=y %0*d=1\n", wide, fields, wide, 7);
            buf_printf(&text, "%0*d f=1\n", 1022 + fields * 1, 0); /* 1024, 1025 bytes */
        }
    }
    intake_begin(&scene.intake, &scene.ledger, scene.intake.dialect, NOW_US);
    intake_packet(&scene.intake, buf_view(&text));
    intake_end(&scene.intake);
    assert_int_equal(scene.ledger.received, 16);
    assert_int_equal(scene.ledger.stored, 2 + 4);
    assert_int_equal(scene.ledger.rejected[REJECT_bad_name], 10);
    buf_clear(&text);

    /* Names and tags of more samples than the scratch has room for. */
    for (int i = 0; i < 300; i++)
        buf_printf(&text, "%0900d,t\\ x=%01000d a=%d,b=%d,c=%d\n", i % 7, i % 3, i, i, i);
    scene.ledger = (struct ledger){0};
    intake_begin(&scene.intake, &scene.ledger, scene.intake.dialect, NOW_US);
    intake_packet(&scene.intake, buf_view(&text));
    intake_end(&scene.intake);
    assert_int_equal(scene.ledger.stored, 900);
    assert_int_equal(shard_series_count(scene.intake.shard), 2 + 1 + 21 * 3);
    buf_fini(&text);
    finish(&scene);
}

/* --- limits and endings ----------------------------------------------------------------------- */

static void a_line_that_is_too_long_closes_the_connection(void **state) /* S15, G5 */
{
    static const enum protocol protocols[] = {PROTOCOL_STATSD, PROTOCOL_GRAPHITE, PROTOCOL_INFLUX};
    (void)state;

    for (size_t i = 0; i < TEST_COUNT(protocols); i++) {
        for (int ended = 0; ended < 2; ended++) {
            struct scene scene;
            struct buf text = BUF_EMPTY;
            begin(&scene, protocols[i], TRANSPORT_TCP);
            buf_printf(&text, "a,b=c d=\"%0*d%s", LINE_MAX_BYTES, 0, ended ? "\"\n" : "");
            for (size_t at = 0; at < text.len && scene.open; at += 64) {
                size_t left = text.len - at;
                say(&scene, (struct str){text.bytes + at, left < 64 ? left : 64});
            }
            assert_false(scene.open);
            assert_int_equal(scene.ledger.received, 1);
            assert_int_equal(scene.ledger.rejected[REJECT_too_long], 1);
            buf_fini(&text);
            finish(&scene);
        }
    }
}

static void a_frame_that_is_too_long_closes_the_connection(void **state) /* G9, D12 */
{
    (void)state;
    for (size_t piece = 1; piece <= 9; piece++) {
        struct scene scene;
        static const char bytes[] = "\0\0\3\351(l.xx";
        begin(&scene, PROTOCOL_GRAPHITE_PICKLE, TRANSPORT_TCP);
        for (size_t at = 0; at < sizeof bytes - 1 && scene.open; at += piece) {
            size_t left = sizeof bytes - 1 - at;
            say(&scene, (struct str){bytes + at, left < piece ? left : piece});
        }
        assert_false(scene.open);
        assert_int_equal(scene.ledger.rejected[REJECT_too_long], 1);
        finish(&scene);
    }
}

static void packets_of_dogstatsd_have_their_length_little_endian(void **state) /* D12 */
{
    static const char packets[] = "\7\0\0\0a:1:2|c\0\0\0\0\16\0\0\0a:3|c\nb\na:4|c\n";
    (void)state;

    for (size_t piece = 1; piece < sizeof packets; piece++) {
        struct scene scene;
        begin(&scene, PROTOCOL_DOGSTATSD, TRANSPORT_UNIX);
        for (size_t at = 0; at < sizeof packets - 1; at += piece) {
            size_t left = sizeof packets - 1 - at;
            say(&scene, (struct str){packets + at, left < piece ? left : piece});
        }
        assert_int_equal(scene.ledger.stored, 4);
        assert_int_equal(scene.ledger.rejected[REJECT_malformed], 1);
        say(&scene, STR("\351\3\0\0a"));
        assert_false(scene.open);
        assert_int_equal(scene.ledger.rejected[REJECT_too_long], 1);
        finish(&scene);
    }
}

static void the_longest_frame_fits(void **state)
{
    (void)state;
    struct scene scene;
    struct buf frame = BUF_EMPTY;
    struct buf bytes = BUF_EMPTY;
    begin(&scene, PROTOCOL_GRAPHITE_PICKLE, TRANSPORT_TCP);

    buf_printf(&frame, "(l(S'");
    while (frame.len < FRAME_MAX_BYTES - 14)
        buf_char(&frame, 'a');
    buf_printf(&frame, "'\n(I-1\nI1\ntta.");
    assert_int_equal(frame.len, FRAME_MAX_BYTES);
    (void)big_endian(&bytes, frame.bytes, frame.len);
    say(&scene, buf_view(&bytes));
    for (size_t at = 0; at < bytes.len; at += 100)
        say(&scene, (struct str){bytes.bytes + at, bytes.len - at < 100 ? bytes.len - at : 100});
    assert_true(scene.open);
    assert_int_equal(scene.ledger.stored, 2);
    buf_fini(&frame);
    buf_fini(&bytes);
    finish(&scene);
}

static void a_frame_without_its_end_is_truncated(void **state) /* D12 */
{
    static const struct str parts[] = {{"\0", 1}, {"\0\0\0\5", 4}, {"\0\0\0\5(l(S", 8}};
    (void)state;

    for (size_t i = 0; i < TEST_COUNT(parts); i++) {
        struct scene scene;
        begin(&scene, PROTOCOL_GRAPHITE_PICKLE, TRANSPORT_TCP);
        say(&scene, parts[i]);
        assert_true(scene.open);
        assert_int_equal(scene.ledger.received, 0);
        hang_up(&scene, false);
        assert_int_equal(scene.ledger.received, 1);
        assert_int_equal(scene.ledger.rejected[REJECT_truncated], 1);
        finish(&scene);
    }
}

static void a_line_of_which_more_waits_is_truncated(void **state)
{
    static const enum protocol protocols[] = {PROTOCOL_STATSD, PROTOCOL_GRAPHITE, PROTOCOL_INFLUX};
    (void)state;

    for (size_t i = 0; i < TEST_COUNT(protocols); i++) {
        struct scene scene;
        begin(&scene, protocols[i], TRANSPORT_TCP);
        say(&scene, STR("a"));
        hang_up(&scene, true);
        assert_int_equal(scene.ledger.rejected[REJECT_truncated], 1);
        finish(&scene);
    }
}

/* --- room ------------------------------------------------------------------------------------- */

enum { LONG_BYTES = 10000 };

/* A pickle frame of LONG_BYTES with one sample. */
static void long_frame(struct buf *out)
{
    struct buf pickle = BUF_EMPTY;

    buf_printf(&pickle, "(l(S'a.b'\n(I-1\nS'");
    while (pickle.len < LONG_BYTES - 7)
        buf_char(&pickle, ' '); /* may stand in front of a number that is a text */
    buf_printf(&pickle, "1'\ntta.");
    assert_int_equal(pickle.len, LONG_BYTES);
    (void)big_endian(out, pickle.bytes, pickle.len);
    buf_fini(&pickle);
}

static void who_finds_no_room_reads_little_and_then_waits(void **state)
{
    (void)state;
    struct scene scene;
    struct buf frame = BUF_EMPTY;
    begin(&scene, PROTOCOL_GRAPHITE_PICKLE, TRANSPORT_TCP);
    long_frame(&frame);

    scene.intake.frame_bytes_max = LONG_BYTES;
    assert_int_equal(stream_cut_may_read(&scene.cut, &scene.intake, AREA_BYTES), AREA_BYTES);
    scene.kept.bytes = ROOM_BYTES - LONG_BYTES; /* others have it */
    size_t little = stream_cut_may_read(&scene.cut, &scene.intake, AREA_BYTES);
    assert_int_equal(little, TAIL_BYTES_FREE);
    say(&scene, (struct str){frame.bytes, 100});
    assert_int_equal(stream_cut_may_read(&scene.cut, &scene.intake, AREA_BYTES), little - 100);
    say(&scene, (struct str){frame.bytes + 100, little - 100});
    assert_true(scene.open);
    assert_int_equal(scene.kept.bytes, ROOM_BYTES - LONG_BYTES);
    assert_int_equal(stream_cut_may_read(&scene.cut, &scene.intake, AREA_BYTES), 0);
    assert_false(stream_cut_admit(&scene.cut, &scene.intake));

    scene.kept.bytes = ROOM_BYTES - frame.len; /* it just fits, but somebody else has waited */
    scene.kept.is_wanted = true;
    assert_int_equal(stream_cut_may_read(&scene.cut, &scene.intake, AREA_BYTES), 0);
    assert_true(stream_cut_admit(&scene.cut, &scene.intake));
    assert_true(scene.cut.is_new);
    assert_int_equal(scene.kept.bytes, ROOM_BYTES);
    size_t rest = stream_cut_may_read(&scene.cut, &scene.intake, AREA_BYTES);
    assert_int_equal(rest, frame.len - little + TAIL_BYTES_FREE); /* and little of the next one */
    say(&scene, (struct str){frame.bytes + little, frame.len - little});
    assert_true(scene.open);
    assert_int_equal(scene.ledger.stored, 1);
    assert_int_equal(scene.ledger.received, 1);
    assert_int_equal(scene.kept.bytes, ROOM_BYTES - frame.len);
    scene.kept.bytes = 0;
    buf_fini(&frame);
    finish(&scene);
}

static void what_fits_nowhere_has_all_the_room_alone(void **state)
{
    (void)state;
    struct scene scene;
    struct buf frame = BUF_EMPTY;
    begin(&scene, PROTOCOL_GRAPHITE_PICKLE, TRANSPORT_TCP);
    long_frame(&frame);

    scene.intake.frame_bytes_max = LONG_BYTES;
    scene.kept = (struct tail_room){.bytes_max = LONG_BYTES / 2, .bytes = 1};
    say(&scene, (struct str){frame.bytes, TAIL_BYTES_FREE});
    assert_int_equal(stream_cut_may_read(&scene.cut, &scene.intake, AREA_BYTES), 0);
    scene.kept.bytes = 0;
    assert_true(stream_cut_may_read(&scene.cut, &scene.intake, AREA_BYTES) > 0);
    say(&scene, (struct str){frame.bytes + TAIL_BYTES_FREE, frame.len - TAIL_BYTES_FREE});
    assert_int_equal(scene.ledger.stored, 1);
    buf_fini(&frame);
    finish(&scene);
}

static void short_lines_and_frames_need_no_room(void **state)
{
    (void)state;
    struct scene scene;

    begin(&scene, PROTOCOL_STATSD, TRANSPORT_TCP);
    scene.kept = (struct tail_room){.bytes_max = 1, .bytes = 1, .is_wanted = true};
    say(&scene, STR("a:1"));
    assert_int_equal(stream_cut_may_read(&scene.cut, &scene.intake, AREA_BYTES), AREA_BYTES);
    say(&scene, STR("|c\n"));
    assert_int_equal(scene.ledger.stored, 1);
    scene.kept.bytes = 0;
    finish(&scene);
}

/* Connections that share room for two frames and a bit, and are read in random pieces: each comes
 * out, and never is more kept than there is room for. */
static void in_little_room_everything_comes_out(void **state)
{
    (void)state;
    enum { CONNECTIONS = 20, FRAMES = 3 };
    struct scene *scenes = calloc(CONNECTIONS, sizeof *scenes);
    size_t at[CONNECTIONS] = {0};
    struct tail_room room = {.bytes_max = 5 * LONG_BYTES / 2};
    struct buf frame = BUF_EMPTY;
    struct buf all = BUF_EMPTY;
    uint64_t random = 7;
    size_t open = CONNECTIONS;
    size_t waits = 0;
    assert_non_null(scenes);
    long_frame(&frame);
    for (int i = 0; i < FRAMES; i++) {
        buf_append(&all, frame.bytes, frame.len);
        (void)big_endian(&all, PICKLE_ONE, sizeof PICKLE_ONE - 1);
    }
    for (size_t i = 0; i < CONNECTIONS; i++) {
        begin(&scenes[i], PROTOCOL_GRAPHITE_PICKLE, TRANSPORT_TCP);
        scenes[i].intake.frame_bytes_max = LONG_BYTES;
        scenes[i].cut.room = &room;
    }
    for (size_t turn = 0; open > 0; turn++) {
        size_t i = (size_t)random_below(&random, CONNECTIONS);
        size_t left = all.len - at[i];
        size_t size = 1 + (size_t)random_below(&random, 3000);
        assert_true(turn < 200000);
        if (left == 0)
            continue;
        size = stream_cut_may_read(&scenes[i].cut, &scenes[i].intake, size < left ? size : left);
        waits += size == 0;
        say(&scenes[i], (struct str){all.bytes + at[i], size});
        assert_true(scenes[i].open);
        assert_true(room.bytes <= room.bytes_max);
        assert_true(scenes[i].cut.tail_capacity <= TAIL_BYTES_FREE ||
                    scenes[i].cut.tail_capacity <= scenes[i].cut.promised);
        at[i] += size;
        open -= at[i] == all.len;
    }
    assert_true(waits > 0);
    assert_int_equal(room.bytes, 0);
    for (size_t i = 0; i < CONNECTIONS; i++) {
        assert_int_equal(scenes[i].ledger.stored, 2 * FRAMES);
        assert_int_equal(scenes[i].ledger.received, 2 * FRAMES);
        finish(&scenes[i]);
    }
    free(scenes);
    buf_fini(&frame);
    buf_fini(&all);
}

static void a_lower_limit_meets_what_was_kept(void **state)
{
    static const enum protocol protocols[] = {PROTOCOL_GRAPHITE, PROTOCOL_INFLUX};
    (void)state;
    struct scene scene;

    for (size_t i = 0; i < TEST_COUNT(protocols); i++) {
        begin(&scene, protocols[i], TRANSPORT_TCP);
        say(&scene, STR("a.long.name.that.has.no.end.yet"));
        scene.intake.line_bytes_max = 16;
        say(&scene, STR(" 1 -1\n"));
        assert_false(scene.open);
        assert_int_equal(scene.ledger.rejected[REJECT_too_long], 1);
        finish(&scene);
    }
    begin(&scene, PROTOCOL_GRAPHITE_PICKLE, TRANSPORT_TCP);
    say(&scene, STR("\0\0\0\x30(l"));
    scene.intake.frame_bytes_max = 16;
    say(&scene, STR("."));
    assert_false(scene.open);
    finish(&scene);
}

/* --- datagrams -------------------------------------------------------------------------------- */

static void a_datagram_has_many_lines(void **state) /* G6, I5 */
{
    static const struct {
        enum protocol protocol;
        const char *text;
        uint64_t received, stored;
    } cases[] = {
        {PROTOCOL_GRAPHITE, "a 1 -1\nb 2 -1\r\n\nfoo\nc 3 -1", 4, 3},
        {PROTOCOL_GRAPHITE, "a 1 -1\n", 1, 1},
        {PROTOCOL_GRAPHITE, "", 0, 0},
        {PROTOCOL_INFLUX, "a f=1\nb t=\"x\ny\",g=2\n# no\nc f=1,g=2", 5, 4},
        {PROTOCOL_INFLUX, "a f=1\nb t=\"never ends\nc f=1", 2, 1},
        {PROTOCOL_INFLUX, "\n\n", 0, 0},
    };
    (void)state;

    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        struct scene scene;
        begin(&scene, cases[i].protocol, TRANSPORT_UDP);
        intake_begin(&scene.intake, &scene.ledger, scene.intake.dialect, NOW_US);
        intake_packet(&scene.intake, str_of(cases[i].text));
        intake_end(&scene.intake);
        assert_true(ledger_balances(&scene.ledger));
        if (scene.ledger.received != cases[i].received || scene.ledger.stored != cases[i].stored)
            fail_msg("'%s': %d of %d", cases[i].text, (int)scene.ledger.stored,
                     (int)scene.ledger.received);
        finish(&scene);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(framing_follows_from_protocol_and_transport),
        cmocka_unit_test(in_any_pieces_the_same_comes_out),
        cmocka_unit_test(the_same_samples_by_any_protocol_end_in_the_same_cells),
        cmocka_unit_test(influx_names_and_labels_with_escapes),
        cmocka_unit_test(influx_options_are_the_listeners),
        cmocka_unit_test(a_broken_influx_line_is_one_sample_and_texts_are_dropped),
        cmocka_unit_test(long_influx_names_are_rejected_and_many_fit),
        cmocka_unit_test(a_line_that_is_too_long_closes_the_connection),
        cmocka_unit_test(a_frame_that_is_too_long_closes_the_connection),
        cmocka_unit_test(packets_of_dogstatsd_have_their_length_little_endian),
        cmocka_unit_test(the_longest_frame_fits),
        cmocka_unit_test(a_frame_without_its_end_is_truncated),
        cmocka_unit_test(a_line_of_which_more_waits_is_truncated),
        cmocka_unit_test(who_finds_no_room_reads_little_and_then_waits),
        cmocka_unit_test(what_fits_nowhere_has_all_the_room_alone),
        cmocka_unit_test(short_lines_and_frames_need_no_room),
        cmocka_unit_test(in_little_room_everything_comes_out),
        cmocka_unit_test(a_lower_limit_meets_what_was_kept),
        cmocka_unit_test(a_datagram_has_many_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
