#include "ingest/remote_labels.h"

#include <math.h>
#include <string.h>

static const char NAME_LABEL[8] = {'_', '_', 'n', 'a', 'm', 'e', '_', '_'};
static const struct str BUCKET_SUFFIX = {"_bucket", 7};

/* --- texts ------------------------------------------------------------------------------------ */

#define EACH_BYTE(byte) (UINT64_C(0x0101010101010101) * (byte))

/* Of eight bytes: the highest bit of one of them is set where one is 0x00, 0x01 or above 0x7f (and
 * maybe of those after such a one). */
static uint64_t unusual_of(uint64_t bytes)
{
    return (bytes - EACH_BYTE(2)) | bytes;
}

static bool is_unusual(struct str text)
{
    uint64_t bytes = 0;
    uint32_t half[2];

    if (text.len >= 8) {
        uint64_t found = 0;
        for (size_t i = 0; i + 8 < text.len; i += 8) {
            memcpy(&bytes, text.text + i, 8);
            found |= unusual_of(bytes);
        }
        memcpy(&bytes, text.text + text.len - 8, 8);
        return ((found | unusual_of(bytes)) & EACH_BYTE(0x80)) != 0;
    }
    if (text.len >= 4) {
        memcpy(&half[0], text.text, 4);
        memcpy(&half[1], text.text + text.len - 4, 4);
        return ((unusual_of(half[0] | (uint64_t)half[1] << 32)) & EACH_BYTE(0x80)) != 0;
    }
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.text[i];
        if (c < 2 || c > 0x7f)
            return true;
    }
    return false;
}

enum remote_text remote_text_of(struct str text)
{
    if (!is_unusual(text))
        return REMOTE_TEXT_PLAIN;
    return memchr(text.text, 0, text.len) == NULL && memchr(text.text, 1, text.len) == NULL &&
                   str_is_utf8(text)
               ? REMOTE_TEXT_PLAIN
               : REMOTE_TEXT_FOREIGN;
}

/* --- labels ----------------------------------------------------------------------------------- */

void remote_labels_begin(struct remote_labels *labels)
{
    labels->name = STR_EMPTY;
    labels->count = labels->bytes = 0;
    labels->is_unsorted = false;
    labels->wrong = REJECT_NONE;
    labels->words = NULL;
}

void remote_labels_refuse(struct remote_labels *labels, enum reject_reason reason,
                          const char *words)
{
    if (labels->wrong != REJECT_NONE)
        return;
    labels->wrong = reason;
    labels->words = words;
}

/* Of names that are not empty; most differ in the first byte. */
static int compare(struct str a, struct str b)
{
    int order = (unsigned char)a.text[0] - (unsigned char)b.text[0];
    return order != 0 ? order : str_compare(a, b);
}

static void take_name(struct remote_labels *labels, struct str name, bool is_foreign)
{
    if (labels->name.len > 0)
        remote_labels_refuse(labels, REJECT_bad_tags, "a label comes twice");
    labels->name = name;
    if (is_foreign)
        remote_labels_refuse(labels, REJECT_bad_name, "the metric's name is not UTF-8");
}

void remote_labels_add(struct remote_labels *labels, struct str name, struct str value,
                       bool is_foreign)
{
    if (value.len == 0 && name.len > 0)
        return; /* as if it were not there (P13) */
    if (name.len == sizeof NAME_LABEL && memcmp(name.text, NAME_LABEL, sizeof NAME_LABEL) == 0) {
        take_name(labels, value, is_foreign);
        return;
    }
    labels->bytes += name.len + value.len + 2;
    if (name.len == 0)
        remote_labels_refuse(labels, REJECT_bad_tags, "a label has no name");
    else if (is_foreign)
        remote_labels_refuse(labels, REJECT_bad_tags,
                             "a label is not UTF-8, or holds 0x00 or 0x01");
    else if (labels->count == LABELS_MAX || labels->bytes > LABEL_BYTES_MAX)
        remote_labels_refuse(labels, REJECT_bad_tags, "the labels are too many or too long");
    if (labels->wrong != REJECT_NONE)
        return;
    if (labels->count > 0) {
        int order = compare(labels->labels[labels->count - 1].name, name);
        if (order == 0)
            remote_labels_refuse(labels, REJECT_bad_tags, "a label comes twice");
        labels->is_unsorted = labels->is_unsorted || order > 0;
    }
    labels->labels[labels->count++] = (struct label){name, value};
}

static void sort(struct remote_labels *labels)
{
    for (size_t i = 1; i < labels->count; i++) {
        struct label label = labels->labels[i];
        size_t at = i;
        while (at > 0 && str_compare(labels->labels[at - 1].name, label.name) > 0)
            at--;
        if (at > 0 && str_equal(labels->labels[at - 1].name, label.name))
            remote_labels_refuse(labels, REJECT_bad_tags, "a label comes twice");
        memmove(&labels->labels[at + 1], &labels->labels[at], (i - at) * sizeof label);
        labels->labels[at] = label;
    }
}

/* --- le (P18) --------------------------------------------------------------------------------- */

/* Whether a text is already what str_format_double would write: most are. */
static bool is_shortest(struct str text)
{
    size_t point = text.len;

    if (str_is(text, "+Inf"))
        return true;
    if (text.len == 0 || text.len > 10)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.text[i] == '.' && point == text.len)
            point = i;
        else if (text.text[i] < '0' || text.text[i] > '9')
            return false;
    }
    if (point == 0 || (text.text[0] == '0' && point > 1))
        return false; /* .5, 01 */
    if (point == text.len)
        return true;
    return text.text[text.len - 1] >= '1' && text.text[text.len - 1] <= '9' &&
           (text.text[0] != '0' || (text.len > 2 && text.text[2] != '0')); /* 1.0, 0.00001 */
}

static bool is_infinity(struct str text)
{
    static const char *const words[] = {"inf", "infinity"};

    if (text.len > 0 && text.text[0] == '+')
        text = (struct str){text.text + 1, text.len - 1};
    for (size_t i = 0; i < 2; i++) {
        if (text.len == strlen(words[i]) && strncasecmp(text.text, words[i], text.len) == 0)
            return true;
    }
    return false;
}

static void normalise(struct remote_labels *labels, struct str *value)
{
    double bound = 0;

    if (is_shortest(*value))
        return;
    if (is_infinity(*value))
        *value = STR("+Inf");
    else if (str_parse_double(*value, &bound))
        *value = (struct str){labels->le, str_format_double(bound + 0.0, labels->le)};
}

static bool ends_with(struct str text, struct str end)
{
    return text.len >= end.len && memcmp(text.text + text.len - end.len, end.text, end.len) == 0;
}

void remote_labels_end(struct remote_labels *labels)
{
    if (labels->name.len == 0)
        remote_labels_refuse(labels, REJECT_bad_name, "the series has no __name__");
    if (labels->is_unsorted)
        sort(labels);
    if (labels->wrong != REJECT_NONE || !ends_with(labels->name, BUCKET_SUFFIX))
        return;
    for (size_t i = 0; i < labels->count; i++) {
        if (str_is(labels->labels[i].name, "le"))
            normalise(labels, &labels->labels[i].value);
    }
}
