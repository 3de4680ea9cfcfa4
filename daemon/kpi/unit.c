#include "kpi/unit.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

struct known_unit {
    const char *text;
    enum dimension dimension;
    double scale;
    const char *name;
};

static const struct known_unit KNOWN_UNITS[] = {
    {"%", DIMENSION_RATIO, 0.01, "%"},
    {"percent", DIMENSION_RATIO, 0.01, "%"},
    {"ms", DIMENSION_TIME, 0.001, "ms"},
    {"s", DIMENSION_TIME, 1, "s"},
    {"min", DIMENSION_TIME, 60, "min"},
    {"h", DIMENSION_TIME, 3600, "h"},
    {"d", DIMENSION_TIME, 86400, "d"},
    {"B", DIMENSION_BYTES, 1, "B"},
    {"KB", DIMENSION_BYTES, 1e3, "KB"},
    {"kB", DIMENSION_BYTES, 1e3, "KB"},
    {"MB", DIMENSION_BYTES, 1e6, "MB"},
    {"GB", DIMENSION_BYTES, 1e9, "GB"},
    {"TB", DIMENSION_BYTES, 1e12, "TB"},
    {"KiB", DIMENSION_BYTES, 1024, "KiB"},
    {"MiB", DIMENSION_BYTES, 1048576, "MiB"},
    {"GiB", DIMENSION_BYTES, 1073741824, "GiB"},
    {"TiB", DIMENSION_BYTES, 1099511627776, "TiB"},
    {"points", DIMENSION_POINTS, 1, "points"},
};

/* As durations write them; only where the figure is a time, since "m" may be a noun elsewhere. */
static const struct known_unit DURATION_UNITS[] = {
    {"m", DIMENSION_TIME, 60, "min"},
    {"w", DIMENSION_TIME, 604800, "w"},
};

static const struct unit UNIT_ANY = {DIMENSION_ANY, 1, ""};

static void set_unit(struct unit *out, enum dimension dimension, double scale, struct str name)
{
    memset(out, 0, sizeof *out);
    out->dimension = dimension;
    out->scale = scale;
    if (name.len > 0)
        memcpy(out->name, name.text, name.len);
}

static bool find_unit(const struct known_unit *units, size_t count, struct str text,
                      struct unit *out)
{
    for (size_t i = 0; i < count; i++) {
        if (str_is(text, units[i].text)) {
            set_unit(out, units[i].dimension, units[i].scale, str_of(units[i].name));
            return true;
        }
    }
    return false;
}

static bool is_currency(struct str text)
{
    if (text.len != 3)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.text[i] < 'A' || text.text[i] > 'Z')
            return false;
    }
    return true;
}

/* A unit with a dimension; false for nouns. */
static bool find_dimension(struct str text, struct unit *out)
{
    if (find_unit(KNOWN_UNITS, sizeof KNOWN_UNITS / sizeof KNOWN_UNITS[0], text, out))
        return true;
    if (!is_currency(text))
        return false;
    set_unit(out, DIMENSION_MONEY, 1, text);
    return true;
}

bool unit_parse(struct str text, struct unit *out)
{
    text = str_trim(text);
    *out = UNIT_ANY;
    if (text.len == 0)
        return true;
    if (text.len >= sizeof out->name || !str_is_utf8(text))
        return false;
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.text[i];
        if (c < 0x20 || c == 0x7f)
            return false;
    }
    if (!find_dimension(text, out))
        set_unit(out, DIMENSION_COUNT, 1, text);
    return true;
}

static struct str str_from(struct str text, size_t at)
{
    return (struct str){text.text + at, text.len - at};
}

/* The unit that letters after a number mean, a leading K, M or G not counted. */
static bool suffix_unit(struct str suffix, const struct unit *near, struct unit *out)
{
    *out = UNIT_ANY;
    if (suffix.len == 0)
        return true;
    if (near != NULL && near->name[0] != '\0' && str_is(suffix, near->name)) {
        *out = *near;
        return true;
    }
    if (find_dimension(suffix, out))
        return true;
    if (str_is(suffix, "pp")) {
        set_unit(out, DIMENSION_RATIO, 0.01, STR("pp"));
        return true;
    }
    return near != NULL && near->dimension == DIMENSION_TIME &&
           find_unit(DURATION_UNITS, sizeof DURATION_UNITS / sizeof DURATION_UNITS[0], suffix, out);
}

static double multiplier(char letter)
{
    switch (letter) {
    case 'K':
        return 1e3;
    case 'M':
        return 1e6;
    case 'G':
        return 1e9;
    default:
        return 0;
    }
}

static bool read_suffix(struct str suffix, const struct unit *near, struct unit_number *out)
{
    if (suffix_unit(suffix, near, &out->unit))
        return true;
    double times = multiplier(suffix.text[0]);
    if (times > 0) {
        struct str rest = str_trim(str_from(suffix, 1));
        bool apart = rest.len > 0 && rest.len < suffix.len - 1;
        if (suffix_unit(rest, near, &out->unit) || (apart && unit_parse(rest, &out->unit))) {
            out->value *= times;
            return true;
        }
    }
    return unit_parse(suffix, &out->unit);
}

static bool not_a_number(struct str text, struct error *err)
{
    char quoted[STR_QUOTED_SIZE];
    return error_set(err, ERROR_INVALID, "'%s' is not a number", str_quoted(text, quoted));
}

bool unit_read_number(struct str text, const struct unit *near, struct unit_number *out,
                      struct error *err)
{
    text = str_trim(text);
    memset(out, 0, sizeof *out);
    size_t start = text.len > 0 && (text.text[0] == '+' || text.text[0] == '-');
    size_t end = start;
    while (end < text.len &&
           ((text.text[end] >= '0' && text.text[end] <= '9') || text.text[end] == '.'))
        end++;
    if (end < text.len && end > start && text.text[end] == ',') {
        (void)not_a_number(text, err);
        (void)error_hint(err, "write thousands without a comma, as 5000 or 5K");
        return false;
    }
    if (!str_parse_double((struct str){text.text, end}, &out->value))
        return not_a_number(text, err);
    out->is_signed = start > 0;
    struct str suffix = str_trim(str_from(text, end));
    for (size_t i = 0; i < suffix.len; i++) {
        if (strchr("0123456789,+<>=(){}[]\"", suffix.text[i]) != NULL)
            return not_a_number(text, err);
    }
    if (!read_suffix(suffix, near, out) || !isfinite(out->value))
        return not_a_number(text, err);
    return true;
}

bool unit_is_same_dimension(const struct unit *a, const struct unit *b)
{
    if (a->dimension == DIMENSION_ANY || b->dimension == DIMENSION_ANY)
        return true;
    if (a->dimension != b->dimension)
        return false;
    if (a->dimension == DIMENSION_COUNT)
        return a->name[0] == '\0' || b->name[0] == '\0' || strcmp(a->name, b->name) == 0;
    return a->dimension != DIMENSION_MONEY || strcmp(a->name, b->name) == 0;
}

bool unit_parse_number(struct str text, const struct unit *unit, double *out, bool *relative,
                       struct error *err)
{
    struct unit_number number;

    if (!unit_read_number(text, unit, &number, err))
        return false;
    *relative = number.is_signed;
    if (number.unit.dimension == DIMENSION_ANY) {
        *out = unit_base(unit, number.value);
        return true;
    }
    /* "+20%" of a figure in any unit is a relative number. */
    bool percent = number.is_signed && number.unit.dimension == DIMENSION_RATIO;
    if (!percent && !unit_is_same_dimension(&number.unit, unit)) {
        char quoted[STR_QUOTED_SIZE];
        error_set(err, ERROR_INVALID, "'%s' is in '%s', but the figure is in '%s'",
                  str_quoted(text, quoted), number.unit.name, unit->name);
        return false;
    }
    *out = unit_base(&number.unit, number.value);
    return true;
}

/* Fractions of a base unit ("%", "ms") are divided by their whole inverse: 35 / 100 is the nearest
 * number to 0.35, 35 * 0.01 is not. */
double unit_base(const struct unit *unit, double shown)
{
    if (unit->scale < 1)
        return shown / nearbyint(1 / unit->scale);
    return shown * unit->scale;
}

static double power_of_ten(int exponent)
{
    double power = 1;
    for (int i = 0; i < exponent; i++)
        power *= 10;
    return power;
}

static double round_decimals(double value, int decimals)
{
    if (decimals < 0 || decimals > 22 || fabs(value) >= 1e15)
        return value;
    double power = power_of_ten(decimals); /* exact up to 10^22 */
    double scaled = nearbyint(value * power);
    if (fabs(scaled) > 9007199254740992.0)
        return value;
    return scaled / power;
}

double unit_shown(const struct unit *unit, double base)
{
    if (unit->scale == 1 || !isfinite(base) || base == 0)
        return base;
    double shown = unit->scale < 1 ? base * nearbyint(1 / unit->scale) : base / unit->scale;
    return round_decimals(shown, 14 - (int)floor(log10(fabs(shown))));
}

static int decimals_for(double value)
{
    value = fabs(value);
    if (value >= 1000 || value == 0)
        return 0;
    if (value >= 1)
        return value >= 100 ? 1 : 2;
    int decimals = 3 - (int)floor(log10(value));
    return decimals > 12 ? 12 : decimals;
}

static int side(double value, double edge)
{
    return (value > edge) - (value < edge);
}

static size_t append(char *out, size_t len, struct str text)
{
    for (size_t i = 0; i < text.len && len + 1 < UNIT_TEXT_SIZE; i++)
        out[len++] = text.text[i];
    out[len] = '\0';
    return len;
}

static size_t append_number(char *out, double value)
{
    char digits[STR_DOUBLE_SIZE];
    size_t count = str_format_double(value == 0 ? 0 : value, digits);
    size_t start = digits[0] == '-';
    size_t whole = start;
    while (whole < count && digits[whole] >= '0' && digits[whole] <= '9')
        whole++;
    if (memchr(digits, 'e', count) != NULL)
        return append(out, 0, (struct str){digits, count});
    size_t len = append(out, 0, (struct str){digits, start});
    for (size_t i = start; i < whole; i++) {
        if (i > start && (whole - i) % 3 == 0)
            len = append(out, len, STR(","));
        len = append(out, len, (struct str){digits + i, 1});
    }
    return append(out, len, (struct str){digits + whole, count - whole});
}

const char *unit_format(const struct unit *unit, double base, double near, char *out)
{
    if (!isfinite(base)) {
        (void)append(out, 0, STR("none"));
        return out;
    }
    double shown = unit_shown(unit, base);
    int decimals = decimals_for(shown);
    double rounded = round_decimals(shown, decimals);
    if (isfinite(near)) {
        double edge = unit_shown(unit, near);
        while (decimals < 14 && side(rounded, edge) != side(base, near))
            rounded = round_decimals(shown, ++decimals);
        if (side(rounded, edge) != side(base, near))
            rounded = shown;
    }
    size_t len = append_number(out, rounded);
    if (unit->name[0] != '\0') {
        len = append(out, len, STR(" "));
        (void)append(out, len, str_of(unit->name));
    }
    return out;
}
