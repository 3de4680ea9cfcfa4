#include "kpi/condition.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "kpi/formula_private.h"

enum { CONDITION_TEXT_MAX = 4096, CONDITION_NODES_MAX = 256, CONDITION_DEPTH_MAX = 40 };

enum condition_op {
    CONDITION_BREACHED,
    CONDITION_NUMBER, /* field cmp number */
    CONDITION_STATUS, /* status cmp name */
    CONDITION_NOT,
    CONDITION_AND,
    CONDITION_OR,
    CONDITION_NOT_BUILT,
};

enum condition_field { FIELD_VALUE, FIELD_EXPECTED, FIELD_PACE, FIELD_OTHER };

enum comparison {
    COMPARE_LESS,
    COMPARE_LESS_EQUAL,
    COMPARE_GREATER,
    COMPARE_GREATER_EQUAL,
    COMPARE_EQUAL,
    COMPARE_NOT_EQUAL,
};

struct condition_node {
    enum condition_op op;
    enum condition_field field;
    enum comparison comparison;
    double number; /* base units */
    enum kpi_status_code code;
    const struct condition_node *left; /* of NOT the only one */
    const struct condition_node *right;
};

static const char *const KEYWORDS[] = {"and", "or", "not", "else", "over", NULL};

/* "also.x" and "forecast.p50" are matched by their beginning. */
static const char *const FIELDS[] = {"breached", "value",    "expected", "pace",  "status",
                                     "no_data",  "progress", "p_hit",    "kpi",   "budget_used",
                                     "change",   "age",      "not",      "also.", "forecast.p50"};

struct condition_parser {
    struct scanner *scanner;
    const struct unit *unit;
    struct arena *arena;
    const char *not_built;
    unsigned depth;
    unsigned nodes;
    struct error *err;
};

static bool parse_or(struct condition_parser *parser, const struct condition_node **out);

static struct condition_node *new_node(struct condition_parser *parser, enum condition_op op)
{
    struct condition_node *node = arena_alloc(parser->arena, sizeof *node);
    node->op = op;
    parser->nodes++;
    return node;
}

static bool check_size(struct condition_parser *parser)
{
    if (parser->nodes <= CONDITION_NODES_MAX && parser->depth <= CONDITION_DEPTH_MAX)
        return true;
    return scanner_fail(scanner_column(parser->scanner), parser->err,
                        "the condition has too many parts");
}

static bool expect(struct condition_parser *parser, const char *symbol)
{
    char what[8];
    if (scanner_accept(parser->scanner, symbol))
        return true;
    (void)snprintf(what, sizeof what, "'%s'", symbol);
    return scanner_expected(parser->scanner, what, parser->err);
}

static void note_not_built(struct condition_parser *parser, struct condition_node *node,
                           const char *what)
{
    node->op = CONDITION_NOT_BUILT;
    if (parser->not_built == NULL)
        parser->not_built = what;
}

static bool parse_comparison(struct condition_parser *parser, enum comparison *out)
{
    static const struct {
        const char *symbol;
        enum comparison comparison;
    } comparisons[] = {
        {"<=", COMPARE_LESS_EQUAL}, {">=", COMPARE_GREATER_EQUAL}, {"==", COMPARE_EQUAL},
        {"!=", COMPARE_NOT_EQUAL},  {"<", COMPARE_LESS},           {">", COMPARE_GREATER},
    };
    for (size_t i = 0; i < sizeof comparisons / sizeof comparisons[0]; i++) {
        if (scanner_accept(parser->scanner, comparisons[i].symbol)) {
            *out = comparisons[i].comparison;
            return true;
        }
    }
    (void)scanner_expected(parser->scanner, "<, <=, >, >=, == or !=", parser->err);
    if (scanner_peek(parser->scanner) == '=')
        (void)error_hint(parser->err, "equal is written ==");
    return false;
}

static bool parse_number(struct condition_parser *parser, const struct unit *unit, double *out)
{
    struct error error = ERROR_EMPTY;
    bool relative = false;
    size_t column = scanner_column(parser->scanner);
    struct str text = scanner_number(parser->scanner, KEYWORDS);
    if (text.len == 0)
        return scanner_expected(parser->scanner, "a number", parser->err);
    if (unit_parse_number(text, unit, out, &relative, &error))
        return true;
    (void)scanner_fail(column, parser->err, "%s", error.text);
    if (error.hint[0] != '\0')
        (void)error_hint(parser->err, "%s", error.hint);
    return false;
}

static bool parse_number_test(struct condition_parser *parser, struct condition_node *node,
                              enum condition_field field)
{
    static const struct unit any = {DIMENSION_ANY, 1, ""};
    bool in_unit = field == FIELD_VALUE || field == FIELD_EXPECTED;
    node->field = field;
    return parse_comparison(parser, &node->comparison) &&
           parse_number(parser, in_unit ? parser->unit : &any, &node->number);
}

static bool parse_status_name(struct condition_parser *parser, enum kpi_status_code *out)
{
    const char *names[KPI_MISSED + 1];
    char quoted[STR_QUOTED_SIZE];
    size_t column = scanner_column(parser->scanner);
    struct str name = scanner_word(parser->scanner);
    if (name.len == 0)
        return scanner_expected(parser->scanner, "a status, as behind", parser->err);
    if (kpi_status_parse(name, out))
        return true;
    for (size_t i = 0; i <= KPI_MISSED; i++)
        names[i] = kpi_status_name((enum kpi_status_code)i);
    (void)scanner_fail(column, parser->err, "unknown status '%s'", str_quoted(name, quoted));
    const char *nearest = str_nearest(name, names, KPI_MISSED + 1);
    if (nearest != NULL)
        (void)error_hint(parser->err, "did you mean '%s'?", nearest);
    return false;
}

static bool parse_status_test(struct condition_parser *parser, struct condition_node *node)
{
    struct str id;
    node->op = CONDITION_STATUS;
    if (scanner_accept(parser->scanner, "(")) {
        note_not_built(parser, node, "status(...)");
        if (!scanner_name(parser->scanner, parser->arena, &id, parser->err))
            return false;
        if (id.len == 0)
            return scanner_expected(parser->scanner, "the id of a KPI", parser->err);
        if (!expect(parser, ")"))
            return false;
    }
    size_t column = scanner_column(parser->scanner);
    if (!parse_comparison(parser, &node->comparison))
        return false;
    if (node->comparison != COMPARE_EQUAL && node->comparison != COMPARE_NOT_EQUAL)
        return scanner_fail(column, parser->err, "a status is compared by == or !=");
    return parse_status_name(parser, &node->code);
}

static bool parse_duration(struct condition_parser *parser)
{
    size_t column = scanner_column(parser->scanner);
    struct str text = scanner_duration(parser->scanner);
    span_ms span = 0;
    if (text.len == 0)
        return scanner_expected(parser->scanner, "a duration, as 15m", parser->err);
    bool words = text.text[text.len - 1] == 's' || text.text[text.len - 1] == 'y' ||
                 text.text[text.len - 1] == 'r'; /* "2 business days", "1 business hour" */
    if (!str_parse_span(text, &span) && !(words && memchr(text.text, ' ', text.len) != NULL))
        return scanner_fail(column, parser->err, "this is no duration: write it as 90s or 1h30m");
    return true;
}

/* change(duration) | change(kpi [over duration]) */
static bool parse_change(struct condition_parser *parser)
{
    struct str id;
    if (!expect(parser, "("))
        return false;
    char next = scanner_peek(parser->scanner);
    if (next >= '0' && next <= '9')
        return parse_duration(parser) && expect(parser, ")");
    if (!scanner_name(parser->scanner, parser->arena, &id, parser->err))
        return false;
    if (id.len == 0)
        return scanner_expected(parser->scanner, "a duration or the id of a KPI", parser->err);
    if (scanner_accept_word(parser->scanner, "over") && !parse_duration(parser))
        return false;
    return expect(parser, ")");
}

/* kpi id, or kpi(id) as formulas write it */
static bool parse_kpi(struct condition_parser *parser)
{
    struct str id;
    bool bracket = scanner_accept(parser->scanner, "(");
    if (!scanner_name(parser->scanner, parser->arena, &id, parser->err))
        return false;
    if (id.len == 0)
        return scanner_expected(parser->scanner, "the id of a KPI", parser->err);
    return !bracket || expect(parser, ")");
}

static bool is_number_field(struct str word)
{
    static const char *const names[] = {"progress",     "p_hit",        "budget_used", "age",
                                        "forecast.p10", "forecast.p50", "forecast.p90"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (str_is(word, names[i]))
            return true;
    }
    return str_starts_with(word, "also.") && word.len > 5;
}

/* Fields this version cannot judge: they are read all the same. */
static bool parse_other_field(struct condition_parser *parser, struct condition_node *node,
                              struct str word, size_t column)
{
    char quoted[STR_QUOTED_SIZE];
    note_not_built(parser, node, arena_text(parser->arena, word));
    if (is_number_field(word))
        return parse_number_test(parser, node, FIELD_OTHER);
    if (str_is(word, "no_data"))
        return expect(parser, "(") && parse_duration(parser) && expect(parser, ")");
    if (str_is(word, "change"))
        return parse_change(parser) && parse_number_test(parser, node, FIELD_OTHER);
    if (str_is(word, "kpi"))
        return parse_kpi(parser) && parse_number_test(parser, node, FIELD_OTHER);
    (void)scanner_fail(column, parser->err, "unknown field '%s'", str_quoted(word, quoted));
    const char *nearest = str_nearest(word, FIELDS, sizeof FIELDS / sizeof FIELDS[0]);
    if (nearest != NULL)
        (void)error_hint(parser->err, "did you mean '%s'?", nearest);
    else
        (void)error_hint(parser->err, "fields are breached, value, expected, pace and status");
    return false;
}

static bool parse_value_test(struct condition_parser *parser, struct condition_node *node)
{
    if (scanner_accept(parser->scanner, "(")) {
        if (!parse_duration(parser) || !expect(parser, ")") ||
            !parse_number_test(parser, node, FIELD_VALUE))
            return false;
        note_not_built(parser, node, "value(...)");
        return true;
    }
    return parse_number_test(parser, node, FIELD_VALUE);
}

static bool parse_test(struct condition_parser *parser, const struct condition_node **out)
{
    size_t column = scanner_column(parser->scanner);
    struct str word = scanner_word(parser->scanner);
    if (word.len == 0)
        return scanner_expected(parser->scanner, "a condition, as 'breached' or 'value > 5'",
                                parser->err);
    struct condition_node *node = new_node(parser, CONDITION_NUMBER);
    *out = node;
    if (str_is(word, "breached")) {
        node->op = CONDITION_BREACHED;
        return true;
    }
    if (str_is(word, "value"))
        return parse_value_test(parser, node);
    if (str_is(word, "expected"))
        return parse_number_test(parser, node, FIELD_EXPECTED);
    if (str_is(word, "pace"))
        return parse_number_test(parser, node, FIELD_PACE);
    if (str_is(word, "status"))
        return parse_status_test(parser, node);
    return parse_other_field(parser, node, word, column);
}

static bool parse_not(struct condition_parser *parser, const struct condition_node **out)
{
    bool ok = true;
    parser->depth++;
    if (!check_size(parser))
        return false;
    if (scanner_accept_word(parser->scanner, "not")) {
        struct condition_node *node = new_node(parser, CONDITION_NOT);
        *out = node;
        ok = parse_not(parser, &node->left);
    } else if (scanner_accept(parser->scanner, "(")) {
        ok = parse_or(parser, out) && expect(parser, ")");
    } else {
        ok = parse_test(parser, out);
    }
    parser->depth--;
    return ok;
}

static bool parse_and(struct condition_parser *parser, const struct condition_node **out)
{
    if (!parse_not(parser, out))
        return false;
    while (scanner_accept_word(parser->scanner, "and")) {
        struct condition_node *node = new_node(parser, CONDITION_AND);
        node->left = *out;
        *out = node;
        if (!check_size(parser) || !parse_not(parser, &node->right))
            return false;
    }
    return true;
}

static bool parse_or(struct condition_parser *parser, const struct condition_node **out)
{
    if (!parse_and(parser, out))
        return false;
    while (scanner_accept_word(parser->scanner, "or")) {
        struct condition_node *node = new_node(parser, CONDITION_OR);
        node->left = *out;
        *out = node;
        if (!check_size(parser) || !parse_and(parser, &node->right))
            return false;
    }
    return true;
}

bool condition_parse(struct str text, const struct unit *unit, struct arena *arena,
                     struct condition *out, struct error *err)
{
    struct scanner scanner = {text, 0};
    struct condition_parser parser = {
        .scanner = &scanner, .unit = unit, .arena = arena, .err = err};

    memset(out, 0, sizeof *out);
    out->text = arena_text(arena, text);
    if (text.len > CONDITION_TEXT_MAX)
        return scanner_fail(CONDITION_TEXT_MAX, err, "the condition is longer than %d bytes",
                            CONDITION_TEXT_MAX);
    if (!parse_or(&parser, &out->root))
        return false;
    if (!scanner_is_end(&scanner))
        return scanner_expected(&scanner, "'and', 'or' or the end", err);
    out->not_built = parser.not_built;
    return true;
}

bool condition_skip(struct scanner *scanner, struct arena *arena, struct error *err)
{
    static const struct unit any = {DIMENSION_ANY, 1, ""};
    const struct condition_node *root = NULL;
    struct condition_parser parser = {.scanner = scanner, .unit = &any, .arena = arena, .err = err};
    return parse_or(&parser, &root);
}

/* --- judging --- */

static enum truth truth_of(bool value)
{
    return value ? TRUTH_TRUE : TRUTH_FALSE;
}

static enum truth compare(double value, enum comparison comparison, double number)
{
    if (!isfinite(value))
        return TRUTH_UNKNOWN;
    switch (comparison) {
    case COMPARE_LESS:
        return truth_of(value < number);
    case COMPARE_LESS_EQUAL:
        return truth_of(value <= number);
    case COMPARE_GREATER:
        return truth_of(value > number);
    case COMPARE_GREATER_EQUAL:
        return truth_of(value >= number);
    case COMPARE_EQUAL:
        return truth_of(value == number);
    case COMPARE_NOT_EQUAL:
    default:
        return truth_of(value != number);
    }
}

/* Statuses that say nothing of the number (ALR-1). */
static bool is_unknown(enum kpi_status_code code)
{
    return code == KPI_DRAFT || code == KPI_PAUSED || code == KPI_NO_DATA ||
           code == KPI_INSUFFICIENT;
}

static enum truth judge_number(const struct condition_node *node, const struct kpi_status *status,
                               const struct target_status *target)
{
    /* A rule on the KPI alone does not ask how its targets stand: one may be a draft. */
    if (target != NULL ? is_unknown(target->code) : !kpi_is_judged(status->kpi))
        return TRUTH_UNKNOWN;
    switch (node->field) {
    case FIELD_VALUE:
        if (status->figure.is_null || status->figure.stale ||
            !kpi_figure_is_sufficient(status->kpi, &status->figure))
            return TRUTH_UNKNOWN;
        return compare(status->figure.value, node->comparison, node->number);
    case FIELD_EXPECTED:
        return target == NULL ? TRUTH_UNKNOWN
                              : compare(target->expected, node->comparison, node->number);
    case FIELD_PACE:
        return target == NULL ? TRUTH_UNKNOWN
                              : compare(target->pace, node->comparison, node->number);
    case FIELD_OTHER:
    default:
        return TRUTH_UNKNOWN;
    }
}

static enum truth judge_status(const struct condition_node *node, enum kpi_status_code code)
{
    /* Asking for no_data is answered; "status != on_track" is not when nothing is known. */
    if (is_unknown(code) && !is_unknown(node->code))
        return TRUTH_UNKNOWN;
    return truth_of((code == node->code) == (node->comparison == COMPARE_EQUAL));
}

static enum truth judge_node(const struct condition_node *node, const struct kpi_status *status,
                             const struct target_status *target)
{
    enum truth left = TRUTH_UNKNOWN;
    enum truth right = TRUTH_UNKNOWN;

    switch (node->op) {
    case CONDITION_BREACHED:
        return target == NULL ? TRUTH_UNKNOWN : target->breached;
    case CONDITION_NUMBER:
        return judge_number(node, status, target);
    case CONDITION_STATUS:
        return judge_status(node, target != NULL ? target->code : status->code);
    case CONDITION_NOT:
        left = judge_node(node->left, status, target);
        return left == TRUTH_UNKNOWN ? left : truth_of(left == TRUTH_FALSE);
    case CONDITION_AND:
        left = judge_node(node->left, status, target);
        right = judge_node(node->right, status, target);
        if (left == TRUTH_FALSE || right == TRUTH_FALSE)
            return TRUTH_FALSE;
        return left == TRUTH_TRUE && right == TRUTH_TRUE ? TRUTH_TRUE : TRUTH_UNKNOWN;
    case CONDITION_OR:
        left = judge_node(node->left, status, target);
        right = judge_node(node->right, status, target);
        if (left == TRUTH_TRUE || right == TRUTH_TRUE)
            return TRUTH_TRUE;
        return left == TRUTH_FALSE && right == TRUTH_FALSE ? TRUTH_FALSE : TRUTH_UNKNOWN;
    case CONDITION_NOT_BUILT:
    default:
        return TRUTH_UNKNOWN;
    }
}

enum truth condition_judge(const struct condition *condition, const struct kpi_status *status,
                           const struct target_status *target)
{
    return judge_node(condition->root, status, target);
}

bool condition_is_breached(const struct condition *condition)
{
    return condition->root != NULL && condition->root->op == CONDITION_BREACHED;
}

static bool reads_value(const struct condition_node *node)
{
    if (node == NULL)
        return false;
    if (node->op == CONDITION_NUMBER && node->field == FIELD_VALUE)
        return true;
    return reads_value(node->left) || reads_value(node->right);
}

bool condition_reads_value(const struct condition *condition)
{
    return reads_value(condition->root);
}
