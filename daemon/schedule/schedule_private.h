/* What the readers of schedules share. */
#pragma once

#include "base/str.h"

/* The next word between blanks and tabs; `rest` becomes what follows it. At the end it is empty and
 * points there. */
static inline struct str schedule_take_word(struct str *rest)
{
    struct str text = rest->text == NULL ? STR("") : *rest;
    size_t start = 0;
    while (start < text.len && (text.text[start] == ' ' || text.text[start] == '\t'))
        start++;
    size_t end = start;
    while (end < text.len && text.text[end] != ' ' && text.text[end] != '\t')
        end++;
    *rest = (struct str){text.text + end, text.len - end};
    return (struct str){text.text + start, end - start};
}
