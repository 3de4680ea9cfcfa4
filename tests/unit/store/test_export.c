#include "fixture.h"
#include "store/export.h"

enum { CELLS_MAX = 4000 };

/* What was visited, in its order: a line for each cell. */
struct visited {
    struct buf lines;
    size_t cells;
    size_t page_cells; /* of this page */
    size_t page_max;
};

static bool on_cell(const struct export_cell *cell, void *arg)
{
    struct visited *visited = arg;

    if (visited->page_cells == visited->page_max)
        return false;
    visited->page_cells++;
    visited->cells++;
    buf_str(&visited->lines, cell->key);
    buf_i64(&visited->lines, cell->from);
    buf_i64(&visited->lines, cell->width);
    cell_encode(cell->cell, &visited->lines);
    buf_char(&visited->lines, '\n');
    return true;
}

/* All pages; each in a snapshot of its own. */
static struct visited walk(struct fixture *fixture, const struct export_range *range,
                           size_t page_max)
{
    struct visited visited = {.page_max = page_max};
    static const struct export_sink sink = {.on_cell = on_cell};
    struct export export = {.range = *range, .sink = &sink};
    struct error err = ERROR_EMPTY;
    bool more = true;

    export.arg = &visited;
    for (int pages = 0; more; pages++) {
        struct read_txn *txn = read_begin(fixture);
        visited.page_cells = 0;
        if (!export_page(txn, &export, &more, &err))
            fail_msg("%s", err.text);
        read_txn_end(txn);
        assert_true(pages < 2 * CELLS_MAX);
    }
    return visited;
}

#define ALL                                                                                        \
    {                                                                                              \
        STR_EMPTY, STR_EMPTY, WALL_NONE, WALL_NONE                                                 \
    }

/* Three series over two days and more, with gaps of many windows. */
static size_t fill(struct fixture *fixture)
{
    static const char *const labels[] = {"a=1", "a=2", ""};
    size_t cells = 0;
    unsigned seed = 3;

    for (uint32_t round = 0; round < 4; round++) {
        struct delta *delta = delta_new();
        for (size_t i = 0; i < TEST_COUNT(labels); i++) {
            uint32_t series = add_series(delta, i == 2 ? METRIC_GAUGE : METRIC_COUNTER,
                                         i == 2 ? "level" : "orders", labels[i]);
            for (int64_t minute = 0; minute < 3000; minute += 7) {
                seed = seed * 1103515245 + 12345;
                if ((minute + round) % 4 != 0 || (minute > 900 && minute < 2000))
                    continue;
                add_sample(delta, series, (double)(seed >> 20), AT(MINUTE + minute, seed >> 27));
                cells++;
            }
        }
        post(fixture, delta);
        commit(fixture);
    }
    return cells;
}

static void pages_of_any_size_are_the_whole(void **state)
{
    static const size_t sizes[] = {1, 2, 7, 100, 333};
    const struct export_range all = ALL;
    size_t cells = fill(*state);
    struct visited whole = walk(*state, &all, SIZE_MAX);

    assert_int_equal(whole.cells, cells);
    for (size_t i = 0; i < TEST_COUNT(sizes); i++) {
        struct visited paged = walk(*state, &all, sizes[i]);
        assert_int_equal(paged.cells, cells);
        assert_int_equal(paged.lines.len, whole.lines.len);
        assert_memory_equal(paged.lines.bytes, whole.lines.bytes, whole.lines.len);
        buf_fini(&paged.lines);
    }
    buf_fini(&whole.lines);
}

static void a_metric_and_a_range_are_a_part(void **state)
{
    const struct export_range orders = {STR("orders"), STR_EMPTY, WALL_NONE, WALL_NONE};
    const struct export_range level = {STR("level"), STR_EMPTY, WALL_NONE, WALL_NONE};
    const struct export_range unknown = {STR("unknown"), STR_EMPTY, WALL_NONE, WALL_NONE};
    const struct export_range from = {STR_EMPTY, STR_EMPTY, AT(MINUTE + 500, 0), WALL_NONE};
    const struct export_range to = {STR_EMPTY, STR_EMPTY, WALL_NONE, AT(MINUTE + 500, 0)};
    const struct export_range nothing = {STR_EMPTY, STR_EMPTY, AT(MINUTE + 1000, 0),
                                         AT(MINUTE + 1900, 0)};
    const struct export_range backwards = {STR_EMPTY, STR_EMPTY, AT(MINUTE + 1900, 0),
                                           AT(MINUTE, 0)};
    const struct export_range far = {STR_EMPTY, STR_EMPTY, INT64_MIN + 1, INT64_MAX};
    const struct export_range *parts[] = {&orders, &level,   &unknown,   &from,
                                          &to,     &nothing, &backwards, &far};
    size_t counts[TEST_COUNT(parts)];
    size_t cells = fill(*state);

    for (size_t i = 0; i < TEST_COUNT(parts); i++) {
        struct visited visited = walk(*state, parts[i], 50);
        counts[i] = visited.cells;
        buf_fini(&visited.lines);
    }
    assert_int_equal(counts[0], cells / 3 * 2);
    assert_int_equal(counts[1], cells / 3);
    assert_int_equal(counts[2], 0);
    assert_int_equal(counts[3] + counts[4], cells);
    assert_true(counts[3] > 0 && counts[4] > 0);
    assert_int_equal(counts[5], 0);
    assert_int_equal(counts[6], 0);
    assert_int_equal(counts[7], cells);
}

static void an_empty_store_has_nothing(void **state)
{
    const struct export_range all = ALL;
    struct visited visited = walk(*state, &all, 1);

    assert_int_equal(visited.cells, 0);
    buf_fini(&visited.lines);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(pages_of_any_size_are_the_whole),
        STORE_TEST(a_metric_and_a_range_are_a_part),
        STORE_TEST(an_empty_store_has_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
