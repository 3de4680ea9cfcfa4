#include "series/annotation.h"

#include <string.h>

#include "series/series_key.h"

static const char CUT_MARK[] = "...";

static const char *const KIND_NAMES[ANNOTATION_KIND_COUNT] = {
    [ANNOTATION_INFO] = "info",
    [ANNOTATION_SUCCESS] = "success",
    [ANNOTATION_WARNING] = "warning",
    [ANNOTATION_ERROR] = "error",
};

const char *annotation_kind_name(enum annotation_kind kind)
{
    return KIND_NAMES[kind];
}

bool annotation_kind_parse(struct str name, enum annotation_kind *out)
{
    for (int i = 0; i < ANNOTATION_KIND_COUNT; i++) {
        if (str_is(name, KIND_NAMES[i])) {
            *out = (enum annotation_kind)i;
            return true;
        }
    }
    return false;
}

static bool goes_on(char byte)
{
    return ((unsigned char)byte & 0xC0) == 0x80;
}

/* JSON has NUL, but many who read it have not. */
static void copy_text(char *out, const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        out[i] = (char)(text[i] == '\0' ? ' ' : text[i]);
}

struct str annotation_cut(struct arena *arena, struct str text, size_t max)
{
    size_t mark = text.len <= max ? 0 : sizeof CUT_MARK - 1;
    size_t kept = text.len <= max ? text.len : max - mark;

    if (text.len == 0)
        return STR_EMPTY;
    for (int i = 0; mark > 0 && i < 3 && kept > 0 && goes_on(text.text[kept]); i++)
        kept--;
    char *copy = arena_alloc(arena, kept + mark + 1);
    copy_text(copy, text.text, kept);
    memcpy(copy + kept, CUT_MARK, mark);
    return (struct str){copy, kept + mark};
}

struct annotation annotation_copy(struct arena *arena, const struct annotation *annotation)
{
    struct annotation copy = *annotation;

    copy.title = annotation_cut(arena, copy.title, ANNOTATION_TITLE_MAX);
    copy.text = annotation_cut(arena, copy.text, ANNOTATION_TEXT_MAX);
    copy.host = annotation_cut(arena, copy.host, ANNOTATION_WORD_MAX);
    copy.key = annotation_cut(arena, copy.key, ANNOTATION_WORD_MAX);
    copy.source = annotation_cut(arena, copy.source, ANNOTATION_WORD_MAX);
    copy.tags = copy.tags.len == 0 || copy.tags.len > LABEL_BYTES_MAX ? STR_EMPTY
                                                                      : arena_str(arena, copy.tags);
    return copy;
}
