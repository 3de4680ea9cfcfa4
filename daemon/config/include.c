#include "config/include.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/error.h"

enum { PIPE_PATIENCE_MS = 5000 };

struct including {
    struct arena *arena;
    struct sources *sources;
    struct findings *findings;
};

static struct yaml_node *read_one(const struct including *including, const char *path,
                                  const struct yaml_node *why, unsigned depth);

/* --- files -------------------------------------------------------------------------------------
 */

/* Of a pipe, as /dev/stdin may be one. It must not stop the daemon for long. */
static bool has_more(int fd)
{
    struct pollfd waiting = {.fd = fd, .events = POLLIN};
    return poll(&waiting, 1, PIPE_PATIENCE_MS) > 0;
}

static bool read_bytes(int fd, const char *path, struct buf *out, struct error *err)
{
    char bytes[16384];

    while (out->len <= YAML_FILE_BYTES_MAX) {
        ssize_t got = read(fd, bytes, sizeof bytes);
        if (got < 0 && (errno == EINTR || (errno == EAGAIN && has_more(fd))))
            continue;
        if (got < 0)
            return error_set_errno(err, "cannot read '%s'", path);
        if (got == 0)
            return true;
        buf_append(out, bytes, (size_t)got);
    }
    return true; /* yaml_read says that it is too long */
}

static bool note_source(const struct including *including, const char *path,
                        const struct stat *facts, struct error *err)
{
    struct sources *sources = including->sources;

    for (size_t i = 0; i < sources->count; i++) {
        if (sources->files[i].device == facts->st_dev && sources->files[i].inode == facts->st_ino)
            return error_set(err, ERROR_CONFLICT, "'%s' is included twice", path);
    }
    if (sources->count == INCLUDE_FILES_MAX)
        return error_set(err, ERROR_FULL, "more than %d files", INCLUDE_FILES_MAX);
    sources->files = arena_grow(including->arena, sources->files, sources->count,
                                &sources->capacity, sizeof *sources->files);
    sources->files[sources->count++] = (struct source){path, facts->st_dev, facts->st_ino};
    return true;
}

static bool read_file(const struct including *including, const char *path, struct buf *out,
                      struct error *err)
{
    struct stat facts;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0)
        return error_set_errno(err, "cannot open '%s'", path);
    bool ok = fstat(fd, &facts) == 0 || error_set_errno(err, "cannot look at '%s'", path);
    if (ok && S_ISDIR(facts.st_mode))
        ok = error_set(err, ERROR_INVALID, "'%s' is a directory", path);
    ok = ok && note_source(including, path, &facts, err) && read_bytes(fd, path, out, err);
    (void)close(fd);
    return ok;
}

/* --- merging -----------------------------------------------------------------------------------
 */

static bool report_duplicate(const struct including *including, const struct yaml_node *first,
                             const struct yaml_node *second)
{
    (void)finding_error_key(including->findings, second, "stands in two files");
    return finding_hint(including->findings, "the first one is %s:%u", first->key->file,
                        first->key->line);
}

static void move(struct arena *arena, struct yaml_node *into, struct yaml_node *value)
{
    into->items =
        arena_grow(arena, into->items, into->count, &into->capacity, sizeof(struct yaml_node *));
    value->parent = into;
    value->index = into->count;
    into->items[into->count++] = value;
}

static void merge_section(const struct including *including, struct yaml_node *first,
                          struct yaml_node *second)
{
    bool same_text = first->kind == YAML_KIND_TEXT && second->kind == YAML_KIND_TEXT &&
                     str_equal(first->text, second->text);

    if (yaml_is_empty(second) || same_text)
        return;
    if (yaml_is_empty(first)) {
        first->kind = second->kind;
        first->items = second->items;
        first->count = second->count;
        first->capacity = second->capacity;
        first->text = second->text;
        first->plain = second->plain;
        for (size_t i = 0; i < first->count; i++)
            first->items[i]->parent = first;
        return;
    }
    if (first->kind != second->kind || first->kind == YAML_KIND_TEXT) {
        (void)report_duplicate(including, first, second);
        return;
    }
    for (size_t i = 0; i < second->count; i++) {
        struct yaml_node *value = second->items[i];
        const struct yaml_node *before =
            first->kind == YAML_KIND_MAP ? yaml_find(first, value->key->text) : NULL;
        if (before != NULL)
            (void)report_duplicate(including, before, value);
        else
            move(including->arena, first, value);
    }
}

static void merge(const struct including *including, struct yaml_node *into, struct yaml_node *from)
{
    assert(into != NULL);
    for (size_t i = 0; i < from->count; i++) {
        struct yaml_node *section = from->items[i];
        struct yaml_node *before = yaml_find(into, section->key->text);
        if (str_is(section->key->text, "include"))
            continue;
        if (before == NULL)
            move(including->arena, into, section);
        else
            merge_section(including, before, section);
    }
}

/* --- patterns ----------------------------------------------------------------------------------
 */

/* "dir/" of the file that includes; with `escape`, so that a pattern means it as it is. */
static void folder_of(const char *file, bool escape, struct buf *out)
{
    const char *slash = strrchr(file, '/');

    for (const char *at = file; slash != NULL && at <= slash; at++) {
        if (escape && strchr("*?[\\", *at) != NULL)
            buf_char(out, '\\');
        buf_char(out, *at);
    }
}

static const char *join(const struct including *including, const struct yaml_node *node,
                        bool escape, const char *after)
{
    struct buf path = BUF_EMPTY;

    if (node->text.text[0] != '/')
        folder_of(node->file, escape, &path);
    buf_str(&path, node->text);
    buf_text(&path, after);
    const char *joined = arena_text(including->arena, buf_view(&path));
    buf_fini(&path);
    return joined;
}

static void include_path(const struct including *including, struct yaml_node *root,
                         const char *path, const struct yaml_node *why, unsigned depth)
{
    struct yaml_node *tree = read_one(including, path, why, depth);

    if (tree != NULL)
        merge(including, root, tree);
}

static void include_pattern(const struct including *including, struct yaml_node *root,
                            const struct yaml_node *node, const char *after, unsigned depth)
{
    glob_t found;
    /* Its only other threads' matter is the locale, which nobody changes:
     * NOLINTNEXTLINE(concurrency-mt-unsafe) */
    int rc = glob(join(including, node, true, after), 0, NULL, &found);

    if (rc == GLOB_NOMATCH) {
        (void)finding_warning(including->findings, node, "no file matches '%.*s%s'",
                              STR_ARGS(node->text), after);
        return;
    }
    if (rc != 0) {
        (void)finding_error(including->findings, node, "cannot read the directory");
        return;
    }
    for (size_t i = 0; i < found.gl_pathc; i++)
        include_path(including, root, arena_text(including->arena, str_of(found.gl_pathv[i])), node,
                     depth);
    globfree(&found);
}

static void include_node(const struct including *including, struct yaml_node *root,
                         struct yaml_node *node, unsigned depth)
{
    struct stat facts;

    if (node->kind != YAML_KIND_TEXT || node->text.len == 0)
        return; /* the check says what is wrong */
    if (depth > INCLUDE_DEPTH_MAX) {
        (void)finding_error(including->findings, node, "more than %d files include each other",
                            INCLUDE_DEPTH_MAX);
        return;
    }
    const char *plain = join(including, node, false, "");
    if (strpbrk(arena_text(including->arena, node->text), "*?[") != NULL)
        include_pattern(including, root, node, "", depth);
    else if (stat(plain, &facts) == 0 && S_ISDIR(facts.st_mode))
        include_pattern(including, root, node,
                        node->text.text[node->text.len - 1] == '/' ? "*.yaml" : "/*.yaml", depth);
    else
        include_path(including, root, plain, node, depth);
}

static struct yaml_node *read_one(const struct including *including, const char *path,
                                  const struct yaml_node *why, unsigned depth)
{
    struct buf bytes = BUF_EMPTY;
    struct error err = ERROR_EMPTY;
    struct yaml_node *root = NULL;

    if (!read_file(including, path, &bytes, &err)) {
        if (why != NULL)
            (void)finding_error(including->findings, why, "%s", err.text);
        else
            (void)finding_add(including->findings, FINDING_ERROR, (struct place){path, 0, 0}, "",
                              "%s", err.text);
    } else {
        struct sources *sources = including->sources;
        sources->hash = XXH3_64bits_withSeed(bytes.bytes, bytes.len, sources->hash);
        root = yaml_read(buf_view(&bytes), path, including->arena, including->findings);
    }
    buf_fini(&bytes);
    struct yaml_node *list = yaml_get(root, "include");
    if (list != NULL && list->kind == YAML_KIND_LIST) {
        for (size_t i = 0; i < list->count; i++)
            include_node(including, root, list->items[i], depth + 1);
    } else if (list != NULL) {
        include_node(including, root, list, depth + 1);
    }
    return root;
}

struct yaml_node *include_read(const char *path, struct arena *arena, struct sources *sources,
                               struct findings *findings)
{
    struct including including = {arena, sources, findings};

    *sources = (struct sources){NULL, 0, 0, 0};
    return read_one(&including, arena_text(arena, str_of(path)), NULL, 1);
}
