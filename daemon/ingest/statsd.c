#include "ingest/statsd.h"

#include "ingest/statsd_text.h"

/* A rate below this gives a weight that one line could overflow a cell's count with. */
static const double RATE_MIN = 0x1p-32;

struct statsd_line statsd_line_of(struct str text)
{
    text = statsd_without_return(text);
    return (struct statsd_line){.more = text.len > 0, .why = REJECT_NONE, .text = text};
}

static void reject(struct statsd_line *line, enum reject_reason why, struct ledger *ledger)
{
    ledger->received++;
    ledger->rejected[why]++;
    line->rejected++;
    line->why = why;
}

/* --- name and tags -----------------------------------------------------------------------------
 */

enum { NAME_ENDS = 1, NAME_TAGS_OPEN = 2 };

static const unsigned char NAME_CLASS[256] = {
    [':'] = NAME_ENDS,      ['|'] = NAME_ENDS,      [','] = NAME_TAGS_OPEN,
    [';'] = NAME_TAGS_OPEN, ['#'] = NAME_TAGS_OPEN, ['['] = NAME_TAGS_OPEN,
};

static inline statsd_bytes16 name_ends_in(statsd_bytes16 bytes)
{
    return (statsd_bytes16)((bytes == ':') | (bytes == '|') | (bytes == ',') | (bytes == ';') |
                            (bytes == '#') | (bytes == '['));
}

static inline bool name_ends_at(char c)
{
    return NAME_CLASS[(unsigned char)c] != 0;
}

/* The index of the first byte of a class; the length when there is none. */
static size_t name_end(struct str text)
{
    return statsd_scan(text, name_ends_in, name_ends_at);
}

static bool opens_tags(char c)
{
    return NAME_CLASS[(unsigned char)c] == NAME_TAGS_OPEN;
}

/* Whether tags that began with one style's sign go on with a key of another style, as in
 * "name,a=1;b=2" (S14). Such a sign inside a value, with no '=' after it, is text. */
static bool mixes_styles(struct str tags, char separator)
{
    bool foreign = false;

    for (size_t i = 0; i < tags.len; i++) {
        char c = tags.text[i];
        if (c == separator)
            foreign = false;
        else if (opens_tags(c))
            foreign = true;
        else if (c == '=' && foreign)
            return true;
    }
    return false;
}

/* Splits "name,k=v" and its cousins at `at`, the first sign that opens tags. */
static bool split_name(struct statsd_line *line, struct str whole, size_t at)
{
    char opener = whole.text[at];
    size_t end = whole.len;

    if (opener == '[') { /* SignalFX; tags in the middle of a name cannot be pointed to */
        if (whole.text[--end] != ']')
            return false;
    }
    line->name = statsd_cut(whole, 0, at);
    line->tags = statsd_cut(whole, at + 1, end);
    if (line->tags.len == 0)
        return true;
    line->tag_style = opener == ';' ? TAGS_SEMICOLON : TAGS_COMMA;
    return !mixes_styles(line->tags, opener == ';' ? ';' : ',');
}

/* Finds the field of tags among the values, which belongs to all of them. */
static bool take_tag_field(struct statsd_line *line)
{
    bool seen = false;

    for (size_t at = statsd_find(line->values, 0, '#'); at < line->values.len;
         at = statsd_find(line->values, at + 1, '#')) {
        if (at == 0 || line->values.text[at - 1] != '|')
            continue;
        if (seen)
            return false;
        seen = true;
        size_t end = statsd_find(line->values, at, '|');
        if (end == at + 1)
            continue;
        if (line->tag_style != TAGS_NONE)
            return false;
        line->tags = statsd_cut(line->values, at + 1, end);
        line->tag_style = TAGS_COLON;
    }
    return true;
}

/* Everything up to the first value. */
static enum reject_reason start(struct statsd_line *line)
{
    struct str text = line->text;
    size_t opened = text.len;

    line->started = true;
    size_t at = name_end(text);
    if (at < text.len && opens_tags(text.text[at])) {
        opened = at;
        while (at < text.len && NAME_CLASS[(unsigned char)text.text[at]] != NAME_ENDS)
            at++;
    }
    if (at == text.len || text.text[at] != ':')
        return REJECT_malformed; /* S4: no value */
    line->name = statsd_cut(text, 0, at);
    line->values = statsd_cut(text, at + 1, text.len);
    if (opened < at && !split_name(line, line->name, opened))
        return REJECT_bad_tags;
    if (line->name.len == 0)
        return REJECT_bad_name;
    return take_tag_field(line) ? REJECT_NONE : REJECT_bad_tags;
}

/* --- fields ------------------------------------------------------------------------------------
 */

/* S10, S12: "h" is what statsite and brubeck call a timer; what else is out there means different
 * things to different servers, so it is no type. */
static bool take_type(struct str type, struct statsd_form *form)
{
    type = str_trim(type);
    form->kind = METRIC_DISTRIBUTION;
    form->is_timer = true;
    if (type.len == 2)
        return type.text[0] == 'm' && type.text[1] == 's';
    if (type.len != 1)
        return false;
    if (type.text[0] == 'h')
        return true;
    form->is_timer = false;
    switch (type.text[0]) {
    case 'c':
        form->kind = METRIC_COUNTER;
        return true;
    case 'g':
        form->kind = METRIC_GAUGE;
        return true;
    case 's':
        form->kind = METRIC_UNIQUE;
        return true;
    default:
        return false;
    }
}

bool statsd_take_rate(struct str text, uint64_t *weight)
{
    double rate = 0;

    if (!str_parse_double(text, &rate) || !(rate >= RATE_MIN) || rate > 1)
        return false;
    *weight = (uint64_t)((double)WEIGHT_ONE / rate + 0.5);
    return true;
}

static bool is_origin_field(struct str field)
{
    return str_starts_with(field, "c:") || str_starts_with(field, "e:") ||
           str_starts_with(field, "card:");
}

/* The end of a type or a field: the next '|', or ':' where that begins another value. */
static size_t field_end(const struct statsd_line *line, struct str fields, size_t from)
{
    size_t at = from;
    while (at < fields.len && fields.text[at] != '|' && (line->packed || fields.text[at] != ':'))
        at++;
    return at;
}

static void blame(struct statsd_form *form, enum reject_reason why)
{
    if (form->why == REJECT_NONE)
        form->why = why;
}

/* S10: etsy's server counts it. */
static void take_unknown_type(const struct statsd_line *line, struct statsd_form *form)
{
    form->kind = METRIC_COUNTER;
    form->is_timer = false;
    if (!line->unknown_as_counter)
        blame(form, REJECT_bad_type);
}

/* Reads one field that begins at `at`, returns where it ends. */
static size_t take_field(struct statsd_line *line, struct str fields, size_t at, bool *has_rate,
                         struct statsd_form *form)
{
    char c = '\0';

    if (at < fields.len)
        c = fields.text[at];
    if (c == '#')
        return statsd_find(fields, at, '|'); /* take_tag_field has had it */
    if (!line->repeated && is_origin_field(statsd_cut(fields, at, fields.len)))
        return statsd_find(fields, at, '|');
    size_t end = field_end(line, fields, at);
    if (c != '@')
        blame(form, REJECT_malformed);
    else if (*has_rate || !statsd_take_rate(statsd_cut(fields, at + 1, end), &form->weight))
        blame(form, REJECT_bad_rate);
    if (c == '@')
        *has_rate = true;
    return end;
}

/* Reads the type and the fields after it, up to the end or the ':' of the next value; returns where
 * that is. */
static size_t take_form(struct statsd_line *line, struct str fields, struct statsd_form *form)
{
    bool has_rate = false;

    *form = (struct statsd_form){.weight = WEIGHT_ONE, .why = REJECT_NONE};
    size_t end = field_end(line, fields, 0);
    if (end == 0)
        blame(form, REJECT_malformed); /* S4: no type */
    else if (!take_type(statsd_cut(fields, 0, end), form))
        take_unknown_type(line, form);
    if (end < fields.len && fields.text[end] == ':')
        line->repeated = true;
    while (end < fields.len && fields.text[end] == '|')
        end = take_field(line, fields, end + 1, &has_rate, form);
    if (end < fields.len)
        line->repeated = true;
    return end;
}

/* --- values ------------------------------------------------------------------------------------
 */

static enum reject_reason take_value(struct str text, const struct statsd_form *form,
                                     struct sample *out)
{
    if (form->why != REJECT_NONE)
        return form->why;
    if (form->kind == METRIC_UNIQUE) {
        if (text.len == 0)
            out->text = STR("0"); /* S11 */
        return REJECT_NONE;
    }
    if (text.len == 0)
        return REJECT_malformed; /* S4 */
    if (!str_parse_double(text, &out->value))
        return REJECT_bad_number; /* S5 */
    if (form->is_timer && out->value < 0)
        return REJECT_negative_timer; /* S6 */
    if (form->kind == METRIC_GAUGE) {
        if (text.text[0] == '+' || text.text[0] == '-')
            out->form = SAMPLE_CHANGE; /* S7 */
        return REJECT_NONE;
    }
    out->weight = form->weight; /* S8; the rate of a gauge or a set says nothing (S7) */
    return statsd_can_weigh(out->value, form->weight) ? REJECT_NONE : REJECT_bad_number;
}

/* One value into `out`; false when it was rejected. */
static bool emit(struct statsd_line *line, struct str text, const struct statsd_form *form,
                 struct sample *out, struct ledger *ledger)
{
    *out = (struct sample){.name = line->name,
                           .tags = line->tags,
                           .tag_style = line->tag_style,
                           .kind = form->kind,
                           .form = SAMPLE_VALUE,
                           .text = text,
                           .weight = WEIGHT_ONE,
                           .at = WALL_NONE};
    enum reject_reason why = take_value(text, form, out);
    if (why != REJECT_NONE) {
        reject(line, why, ledger);
        return false;
    }
    ledger->received++;
    return true;
}

/* What stands after the type of a plain line: "|@rate", "|#tags", both in this order, or nothing.
 */
static bool take_plain_fields(struct str fields, struct statsd_form *form, struct sample *out)
{
    out->tags = STR_EMPTY;
    out->tag_style = TAGS_NONE;
    if (fields.len > 1 && fields.text[1] == '@') {
        size_t end = statsd_find(fields, 1, '|');
        if (!statsd_take_rate(statsd_cut(fields, 2, end), &form->weight))
            return false;
        fields = statsd_cut(fields, end, fields.len);
    }
    if (fields.len == 0)
        return true;
    if (fields.len < 3 || fields.text[1] != '#' || statsd_find(fields, 2, '|') < fields.len)
        return false;
    out->tags = statsd_cut(fields, 2, fields.len);
    out->tag_style = TAGS_COLON;
    return true;
}

/* Stops at all that ends or opens something in a name or a line, and at what is rare in names: the
 * long way knows what to make of that. What is left are letters, digits and most of "-./@_". */
static inline statsd_bytes16 plain_name_ends_in(statsd_bytes16 bytes)
{
    return (statsd_bytes16)((bytes - '-' > 'z' - '-') | ((bytes | 1) == ';') | (bytes == '['));
}

static inline bool plain_name_ends_at(char c)
{
    return (unsigned char)(c - '-') > 'z' - '-' || (c | 1) == ';' || c == '[';
}

/* Reads a number of few digits without a sign up to its '|', whose index is returned; 0: it is
 * another one. Fifteen digits and a power of ten are exact doubles, so their quotient is rounded
 * correctly. */
static inline size_t plain_number(struct str text, size_t from, double *out)
{
    enum { DIGITS_MAX = 15 };
    static const double powers[DIGITS_MAX + 1] = {1e0, 1e1, 1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                                  1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};
    size_t most = text.len - from > DIGITS_MAX + 1 ? from + DIGITS_MAX + 1 : text.len;
    size_t point = 0;
    size_t at = from;
    uint64_t digits = 0;

    for (; at < most; at++) {
        unsigned digit = (unsigned char)text.text[at] - (unsigned)'0';
        if (digit <= 9)
            digits = digits * 10 + digit;
        else if (text.text[at] == '.' && point == 0)
            point = at;
        else
            break;
    }
    if (at == most || text.text[at] != '|' || at == from || point == from || point + 1 == at ||
        at - from - (point > 0) > DIGITS_MAX)
        return 0;
    *out = (double)digits;
    if (point > 0)
        *out /= powers[at - point - 1];
    return at;
}

/* Reads a type that has one value and no members; returns where it ends, or 0. */
static inline size_t plain_type(struct str text, size_t at, struct statsd_form *form)
{
    if (at >= text.len)
        return 0;
    form->is_timer = false;
    switch (text.text[at]) {
    case 'c':
        form->kind = METRIC_COUNTER;
        return at + 1;
    case 'g':
        form->kind = METRIC_GAUGE;
        return at + 1;
    case 'm':
        if (at + 1 == text.len || text.text[++at] != 's')
            return 0;
        break;
    case 'h':
        break;
    default:
        return 0;
    }
    form->kind = METRIC_DISTRIBUTION;
    form->is_timer = true;
    return at + 1;
}

/* Where a value ends, whatever it is. */
static size_t value_end(struct str text, size_t from)
{
    while (from < text.len && text.text[from] != '|' && text.text[from] != '\n')
        from++;
    return from;
}

size_t statsd_parse_plain(struct str lines, struct sample *out)
{
    struct statsd_form form = {.weight = WEIGHT_ONE, .why = REJECT_NONE};
    size_t colon = statsd_scan(lines, plain_name_ends_in, plain_name_ends_at);

    if (colon == 0 || colon == lines.len || lines.text[colon] != ':')
        return 0;
    size_t bar = plain_number(lines, colon + 1, &out->value);
    bool is_read = bar > 0;
    if (!is_read)
        bar = value_end(lines, colon + 1);
    size_t end = plain_type(lines, bar + 1, &form);
    if (end == 0 || lines.text[bar] != '|')
        return 0;
    out->tags = STR_EMPTY;
    out->tag_style = TAGS_NONE;
    if (end < lines.len && lines.text[end] != '\n') {
        size_t stop = statsd_find(lines, end, '\n');
        struct str fields = statsd_without_return(statsd_cut(lines, end, stop));
        if (fields.len > 0 && (fields.text[0] != '|' || !take_plain_fields(fields, &form, out)))
            return 0;
        end = stop;
    }
    out->name = statsd_cut(lines, 0, colon);
    out->kind = form.kind;
    out->form = SAMPLE_VALUE;
    out->text = statsd_cut(lines, colon + 1, bar);
    out->weight = form.kind == METRIC_GAUGE ? WEIGHT_ONE : form.weight;
    out->at = WALL_NONE;
    if (!is_read && take_value(out->text, &form, out) != REJECT_NONE)
        return 0;
    return end < lines.len ? end + 1 : end;
}

static void drop_rest(struct statsd_line *line)
{
    line->values = STR_EMPTY;
    line->more = false;
}

/* The next member of "1:2:3"; empty ones are skipped (D2). */
static bool take_member(struct statsd_line *line, struct sample *out, struct ledger *ledger)
{
    bool last = statsd_find(line->values, 0, ':') == line->values.len;
    struct str value = str_split(&line->values, ':');

    line->more = !last;
    return value.len > 0 && emit(line, value, &line->form, out, ledger);
}

static bool has_only(struct str text, char c)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.text[i] != c)
            return false;
    }
    return true;
}

/* Whether `type` is one whose values may be packed: not a set's (D2, S11). */
static bool may_be_packed(struct str type)
{
    return statsd_find(type, 0, ':') == type.len && !str_is(str_trim(type), "s");
}

/* A value ends with a ':' at `colon` instead of a type. The first one of a line tells the packed
 * form from broken ones (S3); deals with either. */
static void take_untyped(struct statsd_line *line, size_t colon, struct ledger *ledger)
{
    struct str values = line->values;
    size_t bar = line->repeated ? 0 : statsd_find(values, colon, '|');

    if (!line->repeated && bar < values.len &&
        may_be_packed(statsd_cut(values, bar + 1, statsd_find(values, bar + 1, '|')))) {
        line->packed = true;
        line->values = statsd_cut(values, 0, bar);
        (void)take_form(line, statsd_cut(values, bar + 1, values.len), &line->form);
        if (!has_only(line->values, ':'))
            return;
        bar = values.len; /* D2: not one value */
    }
    reject(line, REJECT_malformed, ledger);
    line->repeated = true;
    if (bar == values.len)
        drop_rest(line); /* S4: no type anywhere, one broken line */
    else
        line->values = statsd_cut(values, colon + 1, values.len);
}

/* The next "value|type|fields"; false when there is no sample in it. */
static bool take_piece(struct statsd_line *line, struct sample *out, struct ledger *ledger)
{
    struct str values = line->values;
    struct statsd_form form;
    size_t at = 0;

    while (at < values.len && values.text[at] != '|' && values.text[at] != ':')
        at++;
    if (at == values.len) {
        reject(line, REJECT_malformed, ledger); /* S4: no type */
        drop_rest(line);
        return false;
    }
    if (values.text[at] == ':') {
        take_untyped(line, at, ledger);
        return false;
    }
    struct str fields = statsd_cut(values, at + 1, values.len);
    size_t end = take_form(line, fields, &form);
    if (end < fields.len)
        line->values = statsd_cut(fields, end + 1, fields.len);
    else
        drop_rest(line);
    return emit(line, statsd_cut(values, 0, at), &form, out, ledger);
}

size_t statsd_parse(struct statsd_line *line, struct sample *out, size_t max, struct ledger *ledger)
{
    size_t count = 0;

    if (line->more && !line->started) {
        enum reject_reason why = start(line);
        if (why != REJECT_NONE) {
            reject(line, why, ledger);
            drop_rest(line);
        }
    }
    while (line->more && count < max) {
        bool taken = line->packed ? take_member(line, &out[count], ledger)
                                  : take_piece(line, &out[count], ledger);
        if (taken)
            count++;
    }
    return count;
}
