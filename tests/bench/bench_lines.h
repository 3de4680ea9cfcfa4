/* What the benchmarks of lines of text compare with. */
#pragma once

#include <string.h>

#include "bench_clock.h"
#include "ingest/influx.h"

/* How many lines there are. */
static inline size_t scan_lines(struct str text)
{
    size_t lines = 0;
    const char *end = text.text + text.len;
    for (const char *at = text.text; (at = memchr(at, '\n', (size_t)(end - at))) != NULL; at++)
        lines++;
    return lines;
}

/* How many fields the lines of line protocol have. */
static inline size_t parse_influx(struct str text)
{
    static struct influx_parser parser;
    struct influx_mistake mistake;
    struct influx_line line;
    size_t fields = 0;
    size_t end = 0;

    while (text.len > 0) {
        struct influx_cut cut = {0};
        bool ended = influx_cut(&cut, text, &end);
        if (influx_parse(&parser, (struct str){text.text, end}, &line, &mistake) == INFLUX_LINE)
            fields += line.field_count;
        end += ended;
        text = (struct str){text.text + end, text.len - end};
    }
    return fields;
}
