/* JSON as the tests of bodies write it. */
#pragma once

#include <stdlib.h>

#include "base/buf.h"

/* JSON with ' for " and "@" for a time: @-1000 is a second before now, written by `write_time`. The
 * caller frees it. */
static inline char *json_text(const char *text,
                              void (*write_time)(struct buf *out, long long offset_ms))
{
    struct buf out = BUF_EMPTY;

    while (*text != '\0') {
        if (*text != '@') {
            buf_char(&out, (char)(*text == '\'' ? '"' : *text));
            text++;
            continue;
        }
        char *end = NULL;
        write_time(&out, strtoll(text + 1, &end, 10));
        text = end;
    }
    return buf_take_text(&out);
}
