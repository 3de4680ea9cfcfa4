#include "push_sample.h"

#include "base/calendar.h"

static bool split(struct str word, struct push_label *out, struct error *err)
{
    char quoted[STR_QUOTED_SIZE];
    struct str rest = word;

    if (!str_is_utf8(word))
        return error_set(err, ERROR_INVALID, "not UTF-8: '%s'", str_quoted(word, quoted));
    out->name = str_split(&rest, '=');
    out->value = rest;
    if (out->name.len > 0 && out->name.len < word.len)
        return true;
    return error_set(err, ERROR_INVALID, "not of the form NAME=VALUE: '%s'",
                     str_quoted(word, quoted));
}

bool push_sample_of_words(const struct str *words, size_t count, struct push_sample *out,
                          struct error *err)
{
    char quoted[STR_QUOTED_SIZE];
    struct push_label first;

    if (!split(words[0], &first, err))
        return false;
    out->name = first.name;
    out->value = first.value;
    out->label_count = 0;
    for (size_t i = 1; i < count; i++) {
        struct push_label *label = &out->labels[out->label_count];
        if (!split(words[i], label, err))
            return false;
        for (size_t j = 0; j < out->label_count; j++) {
            if (str_equal(out->labels[j].name, label->name))
                return error_set(err, ERROR_INVALID, "label '%s' stands twice",
                                 str_quoted(label->name, quoted));
        }
        out->label_count++;
    }
    return true;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

bool push_sample_of_line(struct str line, struct push_sample *out, struct error *err)
{
    struct str words[PUSH_WORDS_MAX];
    size_t count = 0;

    for (size_t i = 0; i < line.len;) {
        size_t begin = i;
        while (i < line.len && !is_blank(line.text[i]))
            i++;
        if (i > begin && count == PUSH_WORDS_MAX)
            return error_set(err, ERROR_INVALID, "more than %d labels", PUSH_WORDS_MAX - 1);
        if (i > begin)
            words[count++] = (struct str){line.text + begin, i - begin};
        i += i < line.len;
    }
    if (count == 0)
        return error_set(err, ERROR_INVALID, "there is no sample");
    return push_sample_of_words(words, count, out, err);
}

bool push_line_is_silent(struct str line)
{
    struct str text = str_trim(line);
    return text.len == 0 || text.text[0] == '#';
}

bool push_time_parse(struct str text, int64_t *out, bool *has_offset)
{
    struct error err = ERROR_EMPTY;
    struct calendar *calendar = calendar_new(STR("UTC"), 1, &err);
    size_t zone = text.len < 6 ? 0 : text.len - 6;

    if (calendar == NULL)
        return false;
    bool ok = calendar_parse(calendar, text, false, out);
    calendar_free(calendar);
    *has_offset =
        ok && text.len > 10 &&
        (text.text[text.len - 1] == 'Z' || text.text[zone] == '+' || text.text[zone] == '-');
    return ok;
}
