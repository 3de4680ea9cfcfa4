#include "kpi/formula.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "kpi/formula_private.h"

enum { LABEL_MATCHES_MAX = 64, LABEL_VALUES_MAX = 256 };

static const char *const KEYWORDS[] = {"else", "per", "and", "or", NULL};

struct parser {
    struct scanner scanner;
    const struct metric_table *metrics;
    struct arena *arena;
    struct formula *formula;
    unsigned depth;
    unsigned nodes;
    struct error *err;
};

static bool parse_value(struct parser *parser, struct operand *out);

static struct formula_node *new_node(struct parser *parser, enum formula_op op, size_t column)
{
    struct formula_node *node = arena_alloc(parser->arena, sizeof *node);
    node->op = op;
    node->column = column;
    parser->nodes++;
    return node;
}

static bool check_size(struct parser *parser)
{
    if (parser->nodes <= FORMULA_NODES_MAX && parser->depth <= FORMULA_DEPTH_MAX)
        return true;
    return scanner_fail(scanner_column(&parser->scanner), parser->err,
                        "the formula has too many parts");
}

static bool expect(struct parser *parser, const char *symbol)
{
    char what[8];
    if (scanner_accept(&parser->scanner, symbol))
        return true;
    (void)snprintf(what, sizeof what, "'%s'", symbol);
    return scanner_expected(&parser->scanner, what, parser->err);
}

static void note_not_built(struct parser *parser, const char *what)
{
    if (parser->formula->not_built == NULL)
        parser->formula->not_built = what;
}

/* Puts "column N: " before an error that has no place yet. */
static bool place_error(struct parser *parser, size_t column, const struct error *error)
{
    (void)scanner_fail(column, parser->err, "%s", error->text);
    if (error->hint[0] != '\0')
        (void)error_hint(parser->err, "%s", error->hint);
    return false;
}

/* --- labels --- */

static bool parse_label_value(struct parser *parser, struct str *out)
{
    char next = scanner_peek(&parser->scanner);
    if (!scanner_name(&parser->scanner, parser->arena, out, parser->err))
        return false;
    if (out->len == 0 && next != '"' && next != '\'')
        return scanner_expected(&parser->scanner, "a value in quotes", parser->err);
    return true;
}

static bool parse_label_list(struct parser *parser, struct label_match *match)
{
    struct str *values = NULL;
    size_t capacity = 0;

    do {
        values = arena_grow(parser->arena, values, match->value_count, &capacity, sizeof *values);
        if (match->value_count == LABEL_VALUES_MAX)
            return scanner_fail(scanner_column(&parser->scanner), parser->err,
                                "more than %d values", LABEL_VALUES_MAX);
        if (!parse_label_value(parser, &values[match->value_count]))
            return false;
        match->value_count++;
    } while (scanner_accept(&parser->scanner, ","));
    match->values = values;
    return expect(parser, "]");
}

static bool parse_label_op(struct parser *parser, enum match_op *out)
{
    struct scanner *scanner = &parser->scanner;
    if (scanner_accept(scanner, "!="))
        *out = MATCH_NOT_EQUAL;
    else if (scanner_accept(scanner, "^="))
        *out = MATCH_PREFIX;
    else if (scanner_accept(scanner, "="))
        *out = MATCH_EQUAL;
    else if (scanner_accept_word(scanner, "in"))
        *out = MATCH_IN;
    else
        return scanner_expected(scanner, "=, !=, ^= or in", parser->err);
    return true;
}

static bool parse_label(struct parser *parser, struct label_match *match)
{
    if (!scanner_name(&parser->scanner, parser->arena, &match->label, parser->err))
        return false;
    if (match->label.len == 0)
        return scanner_expected(&parser->scanner, "a label", parser->err);
    if (!parse_label_op(parser, &match->op))
        return false;
    if (match->op == MATCH_IN && scanner_accept(&parser->scanner, "["))
        return parse_label_list(parser, match);
    struct str *value = arena_alloc(parser->arena, sizeof *value);
    match->values = value;
    match->value_count = 1;
    return parse_label_value(parser, value);
}

/* After "{". */
static bool parse_labels(struct parser *parser, struct selector *selector)
{
    struct label_match *matches = NULL;
    size_t count = 0;
    size_t capacity = 0;

    if (scanner_accept(&parser->scanner, "}"))
        return true;
    do {
        matches = arena_grow(parser->arena, matches, count, &capacity, sizeof *matches);
        if (count == LABEL_MATCHES_MAX)
            return scanner_fail(scanner_column(&parser->scanner), parser->err,
                                "more than %d labels", LABEL_MATCHES_MAX);
        memset(&matches[count], 0, sizeof matches[count]);
        if (!parse_label(parser, &matches[count]))
            return false;
        count++;
    } while (scanner_accept(&parser->scanner, ","));
    selector->matches = matches;
    selector->match_count = count;
    return expect(parser, "}");
}

/* --- calls --- */

static struct unit result_unit(const struct formula_function *function,
                               const struct unit *metric_unit)
{
    struct unit unit = {.dimension = DIMENSION_ANY, .scale = 1, .name = ""};
    switch (function->result) {
    case RESULT_METRIC:
        return *metric_unit;
    case RESULT_COUNT:
        unit.dimension = DIMENSION_COUNT;
        return unit;
    case RESULT_RATIO:
        unit.dimension = DIMENSION_RATIO;
        return unit;
    case RESULT_POINTS:
        unit.dimension = DIMENSION_POINTS;
        return unit;
    case RESULT_ANY:
    default:
        return unit;
    }
}

/* The two highest values are those of the range (FIG-22). */
static bool check_range(struct parser *parser, const struct formula_node *node)
{
    char quoted[STR_QUOTED_SIZE];
    if (node->function->id != FUNCTION_TOP2BOX || node->metric->has_range)
        return true;
    (void)scanner_fail(node->column, parser->err, "the range of '%s' is not declared",
                       str_quoted(node->selector.metric, quoted));
    return error_hint(parser->err, "declare it with the metric, as range: [ 1, 5 ]");
}

/* A declared metric's kind and unit; whether its kind has the function (FIG-8). */
static bool apply_definition(struct parser *parser, struct formula_node *node)
{
    char advice[256];
    const struct metric_definition *metric = metric_find(parser->metrics, node->selector.metric);
    (void)unit_parse(STR_EMPTY, &node->metric_unit);
    node->metric = metric;
    if (metric == NULL)
        return true;
    if (metric->unit != NULL)
        (void)unit_parse(str_of(metric->unit), &node->metric_unit);
    if (!metric->has_kind)
        return true;
    node->selector.kind = metric->kind;
    if ((node->function->kinds & (1U << metric->kind)) != 0)
        return check_range(parser, node);
    return scanner_fail(node->column, parser->err, "%s",
                        formula_function_advice(node->function, metric->kind, node->selector.metric,
                                                advice, sizeof advice));
}

static bool parse_metric(struct parser *parser, struct formula_node *node)
{
    struct scanner *scanner = &parser->scanner;
    size_t column = scanner_column(scanner);
    if (!scanner_name(scanner, parser->arena, &node->selector.metric, parser->err))
        return false;
    if (node->selector.metric.len == 0)
        return scanner_expected(scanner, "a metric", parser->err);
    if (!metric_name_is_valid(node->selector.metric))
        return scanner_fail(column, parser->err, "this is no name of a metric");
    char next = scanner_peek(scanner);
    if (next != '\0' && strchr("(+*/", next) != NULL) {
        (void)scanner_fail(column, parser->err, "%s() takes one metric, not a formula",
                           node->function->name);
        return error_hint(parser->err, "calculate with figures, as sum(a) / sum(b)");
    }
    return !scanner_accept(scanner, "{") || parse_labels(parser, &node->selector);
}

/* rate(x per h); of other functions it means nothing yet. */
static bool parse_per(struct parser *parser, struct formula_node *node, struct str name)
{
    struct unit unit;
    if (!scanner_accept_word(&parser->scanner, "per"))
        return true;
    size_t column = scanner_column(&parser->scanner);
    struct str word = scanner_word(&parser->scanner);
    if (!unit_parse(word, &unit) || unit.dimension != DIMENSION_TIME)
        return scanner_fail(column, parser->err, "'per' takes s, min, h or d");
    node->number = unit.scale;
    if (node->function->id != FUNCTION_RATE)
        note_not_built(parser,
                       arena_printf(parser->arena, "%.*s(... per %s)", STR_ARGS(name), unit.name));
    return true;
}

static bool parse_compared(struct parser *parser, struct formula_node *node)
{
    struct unit_number number;
    struct error error = ERROR_EMPTY;
    node->at_least = scanner_accept(&parser->scanner, ">=");
    if (!node->at_least && !scanner_accept(&parser->scanner, "<="))
        return scanner_expected(&parser->scanner, "'>=' or '<='", parser->err);
    size_t column = scanner_column(&parser->scanner);
    struct str text = scanner_number(&parser->scanner, KEYWORDS);
    if (text.len == 0)
        return scanner_expected(&parser->scanner, "a number", parser->err);
    if (!unit_read_number(text, &node->metric_unit, &number, &error))
        return place_error(parser, column, &error);
    if (!unit_is_same_dimension(&number.unit, &node->metric_unit))
        return scanner_fail(column, parser->err,
                            "the metric is in '%s', but this number is in '%s'",
                            node->metric_unit.name, number.unit.name);
    node->number = number.value;
    /* A metric without unit takes any: its samples are in the number's. */
    if (number.unit.dimension != DIMENSION_ANY && node->metric_unit.dimension != DIMENSION_ANY)
        node->number = unit_shown(&node->metric_unit, unit_base(&number.unit, number.value));
    return true;
}

/* After "name(" of a function over a metric. */
static bool parse_metric_call(struct parser *parser, struct formula_node *node, struct str name,
                              struct operand *out)
{
    if (!parse_metric(parser, node) || !apply_definition(parser, node))
        return false;
    node->number = 1;
    if (!parse_per(parser, node, name))
        return false;
    if (node->function->argument == ARGUMENT_COMPARED && !parse_compared(parser, node))
        return false;
    if (node->function->id == FUNCTION_PERCENTILE)
        (void)formula_function_quantile(name, &node->number);
    out->class = node->function->class;
    out->unit = result_unit(node->function, &node->metric_unit);
    if (node->function->needs_count)
        parser->formula->min_count = 20;
    return expect(parser, ")");
}

static bool parse_kpi_call(struct parser *parser, struct operand *out)
{
    struct str id;
    if (!scanner_name(&parser->scanner, parser->arena, &id, parser->err))
        return false;
    if (id.len == 0)
        return scanner_expected(&parser->scanner, "the id of a KPI", parser->err);
    out->class = FIGURE_MEAN;
    (void)unit_parse(STR_EMPTY, &out->unit);
    return expect(parser, ")");
}

static bool parse_value_call(struct parser *parser, struct operand *out)
{
    if (!parse_value(parser, out))
        return false;
    out->class = FIGURE_MEAN;
    out->is_constant = false;
    return expect(parser, ")");
}

static bool parse_arguments(struct parser *parser, struct formula_node *node, struct str name,
                            struct operand *out)
{
    switch (node->function->argument) {
    case ARGUMENT_KPI:
        return parse_kpi_call(parser, out);
    case ARGUMENT_VALUE:
        return parse_value_call(parser, out);
    case ARGUMENT_METRIC:
    case ARGUMENT_COMPARED:
    default:
        return parse_metric_call(parser, node, name, out);
    }
}

static bool fail_name(struct parser *parser, size_t column, struct str name)
{
    char quoted[STR_QUOTED_SIZE];
    (void)str_quoted(name, quoted);
    const struct formula_function *function = formula_function_find(name);
    if (scanner_peek(&parser->scanner) == '(') {
        (void)scanner_fail(column, parser->err, "unknown function '%s'", quoted);
        formula_function_hint(name, parser->err);
        return false;
    }
    if (function != NULL)
        return scanner_fail(column, parser->err, "'%s' needs parentheses after it", quoted);
    (void)scanner_fail(column, parser->err, "'%s' stands without a function", quoted);
    return error_hint(parser->err, "a metric is read by a function, as sum(%s)", quoted);
}

static bool parse_call(struct parser *parser, size_t column, struct str name, struct operand *out)
{
    const struct formula_function *function = formula_function_find(name);
    if (function == NULL || scanner_peek(&parser->scanner) != '(')
        return fail_name(parser, column, name);
    (void)scanner_accept(&parser->scanner, "(");
    struct formula_node *node = new_node(parser, FORMULA_CALL, column);
    node->function = function;
    if (!function->built) {
        node->op = FORMULA_NOT_BUILT;
        note_not_built(parser, arena_printf(parser->arena, "%.*s()", STR_ARGS(name)));
    }
    if (!parse_arguments(parser, node, name, out))
        return false;
    out->node = node;
    return true;
}

/* After "if": "(" cond ")" value else value. */
static bool parse_if(struct parser *parser, size_t column, struct operand *out)
{
    struct operand otherwise;
    memset(&otherwise, 0, sizeof otherwise);
    note_not_built(parser, "if");
    if (!expect(parser, "(") || !condition_skip(&parser->scanner, parser->arena, parser->err) ||
        !expect(parser, ")") || !parse_value(parser, out))
        return false;
    if (!scanner_accept_word(&parser->scanner, "else"))
        return scanner_expected(&parser->scanner, "'else'", parser->err);
    if (!parse_value(parser, &otherwise))
        return false;
    out->node = new_node(parser, FORMULA_NOT_BUILT, column);
    out->class = FIGURE_MEAN;
    out->is_constant = false;
    return true;
}

/* --- values --- */

static bool parse_number(struct parser *parser, size_t column, struct str text, struct operand *out)
{
    struct unit_number number;
    struct error error = ERROR_EMPTY;
    if (!unit_read_number(text, NULL, &number, &error))
        return place_error(parser, column, &error);
    out->node = new_node(parser, FORMULA_NUMBER, column);
    out->node->number = unit_base(&number.unit, number.value);
    out->unit = number.unit;
    out->class = FIGURE_LEVEL;
    out->is_constant = true;
    return true;
}

static bool parse_factor(struct parser *parser, struct operand *out)
{
    memset(out, 0, sizeof *out);
    if (!check_size(parser))
        return false;
    size_t column = scanner_column(&parser->scanner);
    if (scanner_accept(&parser->scanner, "("))
        return parse_value(parser, out) && expect(parser, ")");
    struct str text = scanner_number(&parser->scanner, KEYWORDS);
    if (text.len > 0)
        return parse_number(parser, column, text, out);
    struct str name = scanner_word(&parser->scanner);
    if (name.len == 0)
        return scanner_expected(&parser->scanner, "a function, a number or '('", parser->err);
    if (str_is(name, "if"))
        return parse_if(parser, column, out);
    return parse_call(parser, column, name, out);
}

/* The table at the head of figure-rules.md. */
static enum figure_class combine_class(enum formula_op op, const struct operand *left,
                                       const struct operand *right)
{
    if (left->is_constant && right->is_constant)
        return FIGURE_LEVEL;
    if (right->is_constant)
        return left->class;
    if (left->is_constant && op != FORMULA_DIVIDE)
        return right->class;
    if (op == FORMULA_MULTIPLY || op == FORMULA_DIVIDE || left->class == FIGURE_MEAN ||
        right->class == FIGURE_MEAN)
        return FIGURE_MEAN;
    return left->class == FIGURE_LEVEL || right->class == FIGURE_LEVEL ? FIGURE_LEVEL
                                                                       : FIGURE_TOTAL;
}

/* Makes `left` the operand of `left op right`. */
static bool combine(struct parser *parser, enum formula_op op, size_t column, struct operand *left,
                    struct operand *right)
{
    struct operand result;
    struct error error = ERROR_EMPTY;
    memset(&result, 0, sizeof result);
    if (!formula_combine_units(op, left, right, parser->arena, &result.unit, &error))
        return place_error(parser, column, &error);
    result.node = new_node(parser, op, column);
    result.node->left = left->node;
    result.node->right = right->node;
    result.class = combine_class(op, left, right);
    result.is_constant = left->is_constant && right->is_constant;
    result.is_quotient =
        left->is_quotient || right->is_quotient || (op == FORMULA_DIVIDE && !right->is_constant);
    *left = result;
    return check_size(parser);
}

/* Set for the root alone: whether `left / right` is a ratio, and what STA-4 asks of it. */
static void note_ratio(struct formula *formula, const struct operand *left,
                       const struct operand *right)
{
    enum dimension dimension = right->unit.dimension;
    formula->is_ratio = !left->is_constant && !right->is_constant && left->class != FIGURE_MEAN &&
                        right->class != FIGURE_MEAN;
    bool countable = dimension == DIMENSION_ANY || dimension == DIMENSION_COUNT;
    formula->min_denominator =
        formula->is_ratio && countable && right->class == FIGURE_TOTAL ? 30 : 1;
}

static bool parse_term(struct parser *parser, struct operand *out)
{
    struct operand right;
    if (!parse_factor(parser, out))
        return false;
    for (;;) {
        size_t column = scanner_column(&parser->scanner);
        enum formula_op op = FORMULA_MULTIPLY;
        if (scanner_accept(&parser->scanner, "/"))
            op = FORMULA_DIVIDE;
        else if (!scanner_accept(&parser->scanner, "*"))
            return true;
        if (!parse_factor(parser, &right))
            return false;
        struct operand left = *out;
        if (!combine(parser, op, column, out, &right))
            return false;
        if (op == FORMULA_DIVIDE)
            note_ratio(parser->formula, &left, &right);
    }
}

static bool parse_value(struct parser *parser, struct operand *out)
{
    struct operand right;
    parser->depth++;
    if (!check_size(parser) || !parse_term(parser, out))
        return false;
    for (;;) {
        size_t column = scanner_column(&parser->scanner);
        enum formula_op op = FORMULA_ADD;
        if (scanner_accept(&parser->scanner, "-"))
            op = FORMULA_SUBTRACT;
        else if (!scanner_accept(&parser->scanner, "+"))
            break;
        if (!parse_term(parser, &right) || !combine(parser, op, column, out, &right))
            return false;
    }
    parser->depth--;
    return true;
}

bool formula_parse(struct str text, const struct metric_table *metrics, struct arena *arena,
                   struct formula *out, struct error *err)
{
    struct operand root;
    struct parser parser = {
        .scanner = {text, 0}, .metrics = metrics, .arena = arena, .formula = out, .err = err};

    memset(out, 0, sizeof *out);
    out->text = arena_text(arena, text);
    out->min_denominator = 1;
    out->min_count = 1;
    (void)unit_parse(STR_EMPTY, &out->assumed);
    if (text.len > FORMULA_TEXT_MAX)
        return scanner_fail(FORMULA_TEXT_MAX, err, "the formula is longer than %d bytes",
                            FORMULA_TEXT_MAX);
    if (!parse_value(&parser, &root))
        return false;
    if (!scanner_is_end(&parser.scanner))
        return scanner_expected(&parser.scanner, "an operator or the end", err);
    assert(root.node != NULL);
    out->root = root.node;
    out->class = root.class;
    out->unit = root.unit;
    out->is_quotient = root.is_quotient;
    if (root.node->op != FORMULA_DIVIDE) {
        out->is_ratio = false;
        out->min_denominator = 1;
    }
    out->is_count = root.class == FIGURE_TOTAL && (root.unit.dimension == DIMENSION_ANY ||
                                                   root.unit.dimension == DIMENSION_COUNT);
    return true;
}
