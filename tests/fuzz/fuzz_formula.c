/* Formulas and conditions as people and clients write them: any text is refused with its column or
 * gives an expression; a formula that is built can be asked for its unit. */
#include <stdlib.h>
#include <string.h>

#include "kpi/condition.h"
#include "kpi/formula.h"
#include "series/series_key.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct metric_definition definitions[] = {
    {.name = "a", .has_kind = true, .kind = METRIC_COUNTER, .unit = "EUR"},
    {.name = "g", .has_kind = true, .kind = METRIC_GAUGE, .unit = "%"},
    {.name = "d", .has_kind = true, .kind = METRIC_DISTRIBUTION, .unit = "ms"},
    {.name = "u", .has_kind = true, .kind = METRIC_UNIQUE},
    {.name = "s", .has_kind = true, .kind = METRIC_SCORE},
};

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void require_words(const struct error *err)
{
    require(err->kind == ERROR_INVALID);
    require(strncmp(err->text, "column ", 7) == 0);
}

static void try_formula(struct str text, const struct metric_table *metrics, struct arena *arena)
{
    struct formula formula;
    struct unit unit;
    struct error err = ERROR_EMPTY;

    if (!formula_parse(text, metrics, arena, &formula, &err)) {
        require_words(&err);
        return;
    }
    require(formula.root != NULL);
    require(unit_parse(STR("%"), &unit));
    require(formula_set_unit(&formula, &unit, &err) || err.kind == ERROR_INVALID);
}

static bool may_stand_in_key(struct str text)
{
    return text.len == 0 ||
           (memchr(text.text, 0, text.len) == NULL && memchr(text.text, 1, text.len) == NULL);
}

/* What is shown of a series is a selector of it: its metric, a label's name and its value, a line
 * each. */
static void try_series(struct str text, struct arena *arena)
{
    struct str value = text;
    struct str metric = str_split(&value, '\n');
    const struct label label = {str_split(&value, '\n'), value};
    struct buf key = BUF_EMPTY;
    struct buf shown = BUF_EMPTY;
    struct formula formula;
    struct error err = ERROR_EMPTY;

    if (!metric_name_is_valid(metric) || label.name.len == 0 || !may_stand_in_key(label.name) ||
        !may_stand_in_key(value))
        return;
    series_key_write(&key, METRIC_COUNTER, metric, &label, 1);
    buf_text(&shown, "count(");
    series_key_format(&shown, buf_view(&key));
    buf_char(&shown, ')');
    require(str_is_utf8(buf_view(&shown)));
    if (shown.len <= FORMULA_TEXT_MAX) {
        require(formula_parse(buf_view(&shown), NULL, arena, &formula, &err));
        const struct selector *selector = &formula.root->selector;
        require(str_equal(selector->metric, metric) && selector->match_count == 1);
        require(str_equal(selector->matches[0].label, label.name));
        require(selector->matches[0].op == MATCH_EQUAL && selector->matches[0].value_count == 1);
        require(str_equal(selector->matches[0].values[0], value));
    }
    buf_fini(&shown);
    buf_fini(&key);
}

static void try_condition(struct str text, const char *unit_name, struct arena *arena)
{
    struct condition condition;
    struct unit unit;
    struct error err = ERROR_EMPTY;
    const struct kpi kpi = {.min_denominator = 1, .min_count = 1};
    const struct kpi_status status = {.kpi = &kpi, .code = KPI_BEHIND};
    const struct target_status target = {.code = KPI_BEHIND, .breached = TRUTH_TRUE};

    require(unit_parse(str_of(unit_name), &unit));
    if (!condition_parse(text, &unit, arena, &condition, &err)) {
        require_words(&err);
        return;
    }
    require(condition.root != NULL);
    enum truth alone = condition_judge(&condition, &status, NULL);
    enum truth judged = condition_judge(&condition, &status, &target);
    require(alone <= TRUTH_UNKNOWN && judged <= TRUTH_UNKNOWN);
    if (condition_is_breached(&condition))
        require(judged == TRUTH_TRUE && alone == TRUTH_UNKNOWN);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct metric_table metrics = {.by_name = TABLE_EMPTY};
    struct arena arena = ARENA_EMPTY;
    const struct str text = {(const char *)data, size};

    for (size_t i = 0; i < sizeof definitions / sizeof definitions[0]; i++)
        require(table_add(&metrics.by_name, str_of(definitions[i].name), &definitions[i]));
    try_formula(text, &metrics, &arena);
    try_formula(text, NULL, &arena);
    try_series(text, &arena);
    try_condition(text, "%", &arena);
    try_condition(text, "h", &arena);
    table_fini(&metrics.by_name);
    arena_fini(&arena);
    return 0;
}
