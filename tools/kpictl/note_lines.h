/* Annotations among the lines of an export: {"annotation":{...}}, as the API has them. */
#pragma once

#include "command.h"

/* Prints those of the range of '--from' and '--to'. */
enum exit_code note_lines_print(const struct invocation *invocation);

/* Lines that are collected and sent together. */
struct note_lines {
    const struct invocation *invocation;
    struct json_t *list; /* NULL: none wait */
    size_t bytes;        /* of their lines */
    unsigned long long stored, repeated;
};

bool note_lines_is_one(const char *line, size_t len);

/* Takes one; sends what was collected when it is much. */
enum exit_code note_lines_take(struct note_lines *lines, const char *line, size_t len);

/* Sends what is left. */
enum exit_code note_lines_send(struct note_lines *lines);
void note_lines_fini(struct note_lines *lines);
