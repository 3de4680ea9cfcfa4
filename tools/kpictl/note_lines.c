#include "note_lines.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { AT_ONCE = 1000, BYTES_AT_ONCE = 512 * 1024 };

static const char BEGIN[] = "{\"annotation\":";

static void print_line(json_t *annotation)
{
    char *text = json_dumps(annotation, JSON_COMPACT | JSON_PRESERVE_ORDER);

    if (text != NULL)
        (void)printf("%s%s}\n", BEGIN, text);
    free(text);
}

static enum exit_code print_page(const struct invocation *invocation, struct buf *before)
{
    struct buf path = BUF_EMPTY;
    struct client_answer answer;
    size_t i = 0;
    json_t *annotation = NULL;

    buf_text(&path, "/api/v1/annotations?limit=1000");
    client_add_parameter(&path, "from", option(invocation, "from"));
    client_add_parameter(&path, "to", option(invocation, "to"));
    if (before->len > 0) {
        char *place = buf_take_text(before);
        client_add_parameter(&path, "before", place);
        free(place);
    }
    char *text = buf_take_text(&path);
    int code = client_call(&invocation->client, text, NULL, &answer);
    free(text);
    if (code != EXIT_DONE)
        return (enum exit_code)code;
    json_array_foreach(json_object_get(answer.json, "annotations"), i, annotation)
    {
        print_line(annotation);
    }
    buf_text(before, field_text(answer.json, "before", ""));
    client_answer_fini(&answer);
    return EXIT_DONE;
}

enum exit_code note_lines_print(const struct invocation *invocation)
{
    struct buf before = BUF_EMPTY;
    enum exit_code code = EXIT_DONE;

    do
        code = print_page(invocation, &before);
    while (code == EXIT_DONE && before.len > 0 && !ferror(stdout));
    buf_fini(&before);
    return code;
}

bool note_lines_is_one(const char *line, size_t len)
{
    return len >= sizeof BEGIN - 1 && memcmp(line, BEGIN, sizeof BEGIN - 1) == 0;
}

enum exit_code note_lines_take(struct note_lines *lines, const char *line, size_t len)
{
    json_error_t mistake;
    json_t *object = json_loadb(line, len, JSON_REJECT_DUPLICATES, &mistake);
    json_t *annotation = json_object_get(object, "annotation");

    if (!json_is_object(annotation)) {
        json_decref(object);
        (void)fprintf(stderr, "kpictl: not an annotation: %s\n", mistake.text);
        return EXIT_REFUSED;
    }
    if (lines->list == NULL)
        lines->list = json_array();
    (void)json_array_append(lines->list, annotation);
    json_decref(object);
    lines->bytes += len;
    return lines->bytes < BYTES_AT_ONCE && json_array_size(lines->list) < AT_ONCE
               ? EXIT_DONE
               : note_lines_send(lines);
}

/* The same lines are the same body, which counts once. */
enum exit_code note_lines_send(struct note_lines *lines)
{
    struct client_answer answer;

    if (lines->list == NULL)
        return EXIT_DONE;
    json_t *body = json_pack("{s:b,s:O}", "once", 1, "annotations", lines->list);
    char *text = json_dumps(body, JSON_COMPACT | JSON_PRESERVE_ORDER);
    json_decref(body);
    note_lines_fini(lines);
    int code = client_call(&lines->invocation->client, "/api/v1/annotations",
                           text == NULL ? "" : text, &answer);
    free(text);
    if (code != EXIT_DONE)
        return (enum exit_code)code;
    unsigned long long count = (unsigned long long)field_count(answer.json, "stored");
    if (json_is_true(json_object_get(answer.json, "repeated")))
        lines->repeated += count;
    else
        lines->stored += count;
    client_answer_fini(&answer);
    return EXIT_DONE;
}

void note_lines_fini(struct note_lines *lines)
{
    json_decref(lines->list);
    lines->list = NULL;
    lines->bytes = 0;
}
