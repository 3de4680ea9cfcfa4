#include "config/findings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "config/yaml.h"

void findings_fini(struct findings *findings)
{
    arena_fini(&findings->arena);
    *findings = (struct findings)FINDINGS_EMPTY;
}

void finding_format(const struct finding *finding, struct buf *out)
{
    buf_text(out, finding->file);
    if (finding->line > 0)
        buf_printf(out, ":%u:%u", finding->line, finding->column);
    buf_text(out, finding->severity == FINDING_ERROR ? ": error: " : ": warning: ");
    if (finding->key[0] != '\0') {
        buf_text(out, finding->key);
        buf_text(out, ": ");
    }
    buf_text(out, finding->text);
    if (finding->hint != NULL)
        buf_printf(out, "\n  hint: %s", finding->hint);
    buf_char(out, '\n');
}

__attribute__((format(printf, 2, 0))) static char *print_text(struct arena *arena,
                                                              const char *format, va_list args)
{
    char text[1024];

    (void)vsnprintf(text, sizeof text, format, args);
    return arena_text(arena, str_of(text));
}

__attribute__((format(printf, 3, 0))) static void add(struct findings *findings,
                                                      const struct finding *finding,
                                                      const char *format, va_list args)
{
    if (finding->severity == FINDING_ERROR)
        findings->errors++;
    findings->dropped = findings->count >= FINDINGS_MAX;
    if (findings->dropped)
        return;
    findings->items = arena_grow(&findings->arena, findings->items, findings->count,
                                 &findings->capacity, sizeof *findings->items);
    struct finding *item = &findings->items[findings->count++];
    *item = *finding;
    item->file = arena_text(&findings->arena, str_of(finding->file));
    item->key = arena_text(&findings->arena, str_of(finding->key));
    item->text = print_text(&findings->arena, format, args);
}

bool finding_add(struct findings *findings, enum finding_severity severity, struct place place,
                 const char *key, const char *format, ...)
{
    struct finding finding = {severity, place.file, place.line, place.column, key, NULL, NULL};
    va_list args;

    va_start(args, format);
    add(findings, &finding, format, args);
    va_end(args);
    return false;
}

__attribute__((format(printf, 5, 0))) static void add_at(struct findings *findings,
                                                         enum finding_severity severity,
                                                         const struct yaml_node *place,
                                                         const struct yaml_node *subject,
                                                         const char *format, va_list args)
{
    struct buf path = BUF_EMPTY;

    yaml_path(subject, &path);
    buf_char(&path, '\0');
    struct finding finding = {severity,   place->file, place->line, place->column,
                              path.bytes, NULL,        NULL};
    add(findings, &finding, format, args);
    buf_fini(&path);
}

bool finding_error(struct findings *findings, const struct yaml_node *at, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    add_at(findings, FINDING_ERROR, at, at, format, args);
    va_end(args);
    return false;
}

bool finding_warning(struct findings *findings, const struct yaml_node *at, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    add_at(findings, FINDING_WARNING, at, at, format, args);
    va_end(args);
    return false;
}

bool finding_error_key(struct findings *findings, const struct yaml_node *at, const char *format,
                       ...)
{
    va_list args;

    va_start(args, format);
    add_at(findings, FINDING_ERROR, at->key != NULL ? at->key : at, at, format, args);
    va_end(args);
    return false;
}

bool finding_warning_key(struct findings *findings, const struct yaml_node *at, const char *format,
                         ...)
{
    va_list args;

    va_start(args, format);
    add_at(findings, FINDING_WARNING, at->key != NULL ? at->key : at, at, format, args);
    va_end(args);
    return false;
}

bool finding_hint(struct findings *findings, const char *format, ...)
{
    va_list args;

    if (findings->dropped || findings->count == 0)
        return false;
    va_start(args, format);
    findings->items[findings->count - 1].hint = print_text(&findings->arena, format, args);
    va_end(args);
    return false;
}

/* --- order -------------------------------------------------------------------------------------
 */

struct ranked {
    struct finding finding;
    size_t file;
    size_t order; /* as it was found: keeps equal places stable */
};

static int compare_numbers(size_t a, size_t b)
{
    return a < b ? -1 : a > b;
}

static int compare_ranked(const void *left, const void *right)
{
    const struct ranked *a = left;
    const struct ranked *b = right;
    int order = compare_numbers(a->file, b->file);

    if (order == 0)
        order = compare_numbers(a->finding.line, b->finding.line);
    if (order == 0)
        order = compare_numbers(a->finding.column, b->finding.column);
    return order != 0 ? order : compare_numbers(a->order, b->order);
}

void findings_sort(struct findings *findings, const char *const *files, size_t file_count)
{
    if (findings->count == 0)
        return;
    struct ranked *ranked = memory_zero(findings->count, sizeof *ranked);
    for (size_t i = 0; i < findings->count; i++) {
        ranked[i] = (struct ranked){findings->items[i], 0, i};
        while (ranked[i].file < file_count &&
               strcmp(files[ranked[i].file], findings->items[i].file) != 0)
            ranked[i].file++;
    }
    qsort(ranked, findings->count, sizeof *ranked, compare_ranked);
    for (size_t i = 0; i < findings->count; i++)
        findings->items[i] = ranked[i].finding;
    free(ranked);
}
