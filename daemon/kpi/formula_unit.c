/* Which units go together in a formula, and what unit comes out (FIG-26, FIG-27). */
#include <math.h>
#include <string.h>

#include "kpi/formula_private.h"

static struct unit plain_unit(enum dimension dimension)
{
    return (struct unit){.dimension = dimension, .scale = 1, .name = ""};
}

static bool has_dimension(const struct unit *unit)
{
    return unit->dimension != DIMENSION_ANY && unit->dimension != DIMENSION_COUNT;
}

static const char *words(const struct unit *unit)
{
    if (unit->name[0] != '\0')
        return unit->name;
    return unit->dimension == DIMENSION_RATIO ? "a ratio" : "a count";
}

/* A side without unit takes the other's: its plain numbers are in that unit. */
static bool take_unit(struct operand *side, const struct unit *unit, struct arena *arena,
                      struct error *err)
{
    if (unit->scale == 1)
        return true;
    /* 1 - sum(a) / sum(b) and "1 - avg(load)" in %: fractions are plain numbers already. */
    if (unit->dimension == DIMENSION_RATIO && (side->is_constant || side->is_quotient))
        return true;
    if (side->is_constant) {
        (void)error_set(err, ERROR_INVALID, "a number beside '%s' needs its unit", unit->name);
        return error_hint(err, "write it as 5%s", unit->name);
    }
    struct formula_node *factor = arena_alloc(arena, sizeof *factor);
    struct formula_node *product = arena_alloc(arena, sizeof *product);
    factor->op = FORMULA_NUMBER;
    factor->number = unit->scale;
    factor->column = product->column = side->node->column;
    product->op = FORMULA_MULTIPLY;
    product->left = factor;
    product->right = side->node;
    side->node = product;
    return true;
}

static bool combine_sum(enum formula_op op, struct operand *left, struct operand *right,
                        struct arena *arena, struct unit *out, struct error *err)
{
    const char *verb = op == FORMULA_ADD ? "add" : "subtract";
    if (left->unit.dimension == DIMENSION_ANY) {
        *out = right->unit;
        return take_unit(left, &right->unit, arena, err);
    }
    *out = left->unit;
    if (right->unit.dimension == DIMENSION_ANY)
        return take_unit(right, &left->unit, arena, err);
    bool counts =
        left->unit.dimension == DIMENSION_COUNT && right->unit.dimension == DIMENSION_COUNT;
    if (!counts && !unit_is_same_dimension(&left->unit, &right->unit))
        return error_set(err, ERROR_INVALID, "cannot %s '%s' and '%s': their units differ", verb,
                         words(&left->unit), words(&right->unit));
    if (strcmp(left->unit.name, right->unit.name) != 0 && counts)
        *out = plain_unit(DIMENSION_COUNT); /* customers + leads */
    if (left->unit.dimension == DIMENSION_RATIO && left->unit.name[0] == '\0')
        *out = right->unit;
    return true;
}

static struct unit combine_product(const struct operand *left, const struct operand *right)
{
    bool left_has = has_dimension(&left->unit);
    bool right_has = has_dimension(&right->unit);
    if (left_has && right_has) {
        /* A share of something is still that something. */
        if (left->unit.dimension == DIMENSION_RATIO)
            return right->unit;
        if (right->unit.dimension == DIMENSION_RATIO)
            return left->unit;
        return plain_unit(DIMENSION_ANY);
    }
    if (left_has || right_has)
        return left_has ? left->unit : right->unit;
    return left->unit.dimension == DIMENSION_COUNT ? left->unit : right->unit;
}

static struct unit combine_quotient(const struct operand *left, const struct operand *right)
{
    if (right->is_constant && right->unit.dimension == DIMENSION_ANY)
        return left->unit;
    if (!has_dimension(&left->unit))
        return plain_unit(DIMENSION_ANY); /* signups / visits, requests / h */
    if (!has_dimension(&right->unit) || right->unit.dimension == DIMENSION_RATIO)
        return left->unit; /* EUR / customers */
    if (unit_is_same_dimension(&left->unit, &right->unit))
        return plain_unit(DIMENSION_RATIO);
    return plain_unit(DIMENSION_ANY);
}

bool formula_combine_units(enum formula_op op, struct operand *left, struct operand *right,
                           struct arena *arena, struct unit *out, struct error *err)
{
    switch (op) {
    case FORMULA_MULTIPLY:
        *out = combine_product(left, right);
        return true;
    case FORMULA_DIVIDE:
        *out = combine_quotient(left, right);
        return true;
    default:
        return combine_sum(op, left, right, arena, out, err);
    }
}

/* Whether a formula is a product with 100: the habit that would show 6.83 % as 683 %. */
static bool has_factor_100(const struct formula_node *node)
{
    switch (node->op) {
    case FORMULA_NUMBER:
        return node->number == 100;
    case FORMULA_MULTIPLY:
        return has_factor_100(node->left) || has_factor_100(node->right);
    case FORMULA_DIVIDE:
        return has_factor_100(node->left);
    default:
        return false;
    }
}

static bool can_be_shown(const struct formula *formula, const struct unit *unit)
{
    switch (formula->unit.dimension) {
    case DIMENSION_ANY:
        return true;
    case DIMENSION_COUNT:
        return !has_dimension(unit) || unit->dimension == DIMENSION_MONEY;
    case DIMENSION_RATIO:
        return unit->dimension == DIMENSION_RATIO || !has_dimension(unit);
    default:
        return unit_is_same_dimension(&formula->unit, unit) ||
               (formula->is_quotient && !has_dimension(unit));
    }
}

bool formula_set_unit(struct formula *formula, const struct unit *unit, struct error *err)
{
    formula->assumed = plain_unit(DIMENSION_ANY);
    if (unit->dimension == DIMENSION_ANY)
        return true;
    if (!can_be_shown(formula, unit))
        return error_set(err, ERROR_INVALID, "the figure is in '%s' and cannot be shown in '%s'",
                         words(&formula->unit), unit->name);
    if (unit->dimension == DIMENSION_RATIO && formula->is_quotient && formula->root != NULL &&
        has_factor_100(formula->root)) {
        (void)error_set(err, ERROR_INVALID, "a figure in '%s' is a fraction, not times 100",
                        unit->name);
        return error_hint(err, "leave out the 100: the unit multiplies when it shows");
    }
    bool is_fraction = unit->dimension == DIMENSION_RATIO && formula->is_quotient;
    if (formula->unit.dimension == DIMENSION_ANY && !is_fraction)
        formula->assumed = *unit;
    return true;
}
