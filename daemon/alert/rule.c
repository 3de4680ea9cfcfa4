#include "alert/rule.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

const char *severity_name(enum severity severity)
{
    switch (severity) {
    case SEVERITY_INFO:
        return "info";
    case SEVERITY_WARNING:
        return "warning";
    case SEVERITY_CRITICAL:
        return "critical";
    }
    return "warning";
}

/* --- what makes a rule another one --------------------------------------------------------------
 */

/* What `breached`, `pace` and `status` are judged by. */
static void add_target(struct buf *bytes, const struct target *target)
{
    buf_block(bytes, str_of(target->id));
    buf_u8(bytes, (uint8_t)target->kind);
    buf_u8(bytes, (uint8_t)target->every);
    buf_u8(bytes, target->strict);
    buf_double(bytes, target->to);
    buf_double(bytes, target->tolerance);
    buf_double(bytes, target->on_track);
    buf_double(bytes, target->at_risk);
}

static void add_kpi(struct buf *bytes, const struct kpi *kpi)
{
    buf_block(bytes, str_of(kpi->formula.text));
    buf_block(bytes, str_of(kpi->formula.assumed.name));
    buf_u8(bytes, (uint8_t)kpi->period);
    buf_block(bytes, str_of(calendar_zone(kpi->calendar)));
    buf_u8(bytes, (uint8_t)calendar_week_start(kpi->calendar));
    buf_double(bytes, kpi->min_denominator);
    buf_double(bytes, kpi->min_count);
}

uint64_t rule_fingerprint(const struct rule *rule)
{
    struct buf bytes = BUF_EMPTY;

    buf_block(&bytes, str_of(rule->when.text));
    buf_u8(&bytes, rule->has_recover);
    buf_block(&bytes, rule->has_recover ? str_of(rule->recover.text) : STR_EMPTY);
    buf_i64(&bytes, rule->for_ms);
    add_kpi(&bytes, rule->kpi);
    if (rule->target != NULL)
        add_target(&bytes, rule->target);
    unsigned char hash[EVP_MAX_MD_SIZE] = {0};
    uint64_t out = 0;
    (void)EVP_Digest(bytes.bytes, bytes.len, hash, NULL, EVP_sha256(), NULL);
    buf_fini(&bytes);
    for (size_t i = 0; i < sizeof out; i++)
        out = out << 8 | hash[i];
    return out;
}

/* --- templates ----------------------------------------------------------------------------------
 */

static const char *const FIELD_NAMES[] = {
#define RULE_FIELDS_NAME(constant, name) name,
    RULE_FIELDS(RULE_FIELDS_NAME)
#undef RULE_FIELDS_NAME
};

/* Fields of the language that this version cannot fill; one that ends with a dot is the family of
 * all that begin with it. */
static const struct {
    const char *name;
    const char *shown;
} NOT_BUILT[] = {
    {"progress", "{{progress}}"},   {"deadline", "{{deadline}}"},
    {"p_hit", "{{p_hit}}"},         {"budget_used", "{{budget_used}}"},
    {"last_seen", "{{last_seen}}"}, {"forecast.", "{{forecast...}}"},
    {"top.", "{{top...}}"},         {"by.", "{{by...}}"},
    {"also.", "{{also...}}"},
};

enum part { PART_TEXT, PART_FIELD, PART_UNCLOSED, PART_END };

/* Takes the next part off `rest`: text as it is, or the name between braces. */
static enum part next_part(struct str *rest, struct str *out)
{
    if (rest->len == 0)
        return PART_END;
    const char *open = memmem(rest->text, rest->len, "{{", 2);
    if (open != rest->text) {
        size_t len = open == NULL ? rest->len : (size_t)(open - rest->text);
        *out = (struct str){rest->text, len};
        *rest = (struct str){rest->text + len, rest->len - len};
        return PART_TEXT;
    }
    struct str inside = {rest->text + 2, rest->len - 2};
    const char *close = memmem(inside.text, inside.len, "}}", 2);
    if (close == NULL) {
        *out = *rest;
        return PART_UNCLOSED;
    }
    *out = str_trim((struct str){inside.text, (size_t)(close - inside.text)});
    size_t used = (size_t)(close - rest->text) + 2;
    *rest = (struct str){rest->text + used, rest->len - used};
    return PART_FIELD;
}

static bool find_field(struct str name, enum rule_field *out)
{
    for (size_t i = 0; i < RULE_FIELD_COUNT; i++) {
        if (str_is(name, FIELD_NAMES[i])) {
            *out = (enum rule_field)i;
            return true;
        }
    }
    return false;
}

static const char *find_not_built(struct str name)
{
    for (size_t i = 0; i < sizeof NOT_BUILT / sizeof NOT_BUILT[0]; i++) {
        const char *known = NOT_BUILT[i].name;
        size_t len = strlen(known);
        bool is_family = known[len - 1] == '.';

        if (is_family ? name.len > len && str_starts_with(name, known) : str_is(name, known))
            return NOT_BUILT[i].shown;
    }
    return NULL;
}

static bool unknown_field(struct str name, struct error *err)
{
    char quoted[STR_QUOTED_SIZE];
    const char *near = str_nearest(name, FIELD_NAMES, RULE_FIELD_COUNT);

    (void)error_set(err, ERROR_INVALID, "unknown field '{{%s}}'", str_quoted(name, quoted));
    if (near != NULL)
        (void)error_hint(err, "did you mean '{{%s}}'?", near);
    return false;
}

bool rule_text_check(struct str text, struct error *err)
{
    struct str rest = text;
    struct str part;
    enum rule_field field;

    if (text.len > RULE_TEXT_MAX)
        return error_set(err, ERROR_INVALID, "text has %zu bytes, more than %d", text.len,
                         RULE_TEXT_MAX);
    for (;;) {
        switch (next_part(&rest, &part)) {
        case PART_END:
            return true;
        case PART_TEXT:
            break;
        case PART_UNCLOSED:
            (void)error_set(err, ERROR_INVALID, "'{{' at column %zu has no '}}'",
                            (size_t)(part.text - text.text) + 1);
            return false;
        case PART_FIELD:
            if (!find_field(part, &field) && find_not_built(part) == NULL)
                return unknown_field(part, err);
            break;
        }
    }
}

const char *rule_text_not_built(struct str text)
{
    struct str rest = text;
    struct str part;

    for (;;) {
        enum part kind = next_part(&rest, &part);
        if (kind == PART_END || kind == PART_UNCLOSED)
            return NULL;
        const char *found = kind == PART_FIELD ? find_not_built(part) : NULL;
        if (found != NULL)
            return found;
    }
}

void rule_text_render(struct str text, rule_field_fn field_text, void *arg, struct buf *out)
{
    struct str rest = text;
    struct str part;
    enum rule_field field;

    for (;;) {
        enum part kind = next_part(&rest, &part);
        if (kind == PART_END || kind == PART_UNCLOSED)
            return;
        if (kind == PART_TEXT)
            buf_str(out, part);
        else if (find_field(part, &field))
            field_text(field, out, arg);
    }
}
