#include "ingest/http_query.h"

#include <string.h>
#include <strings.h>

#include "base/json.h"
#include "ingest/http_reader.h"

/* --- names ------------------------------------------------------------------------------------
 */

static unsigned count_of(const struct http_databases *databases)
{
    unsigned claimed = atomic_load_explicit(&databases->claimed, memory_order_acquire);
    return claimed < DATABASES_MAX ? claimed : DATABASES_MAX;
}

static bool is_listed(const struct http_databases *databases, unsigned i)
{
    return atomic_load_explicit(&databases->entries[i].is_ready, memory_order_acquire);
}

static bool has(const struct http_databases *databases, unsigned before, struct str name)
{
    for (unsigned i = 0; i < before; i++) {
        if (is_listed(databases, i) && str_is(name, databases->entries[i].name))
            return true;
    }
    return false;
}

/* Two threads may add the same name at once; the list shows it once. */
void http_databases_add(struct http_databases *databases, struct str name)
{
    unsigned count = count_of(databases);

    if (name.len == 0 || name.len > DATABASE_NAME_MAX || count == DATABASES_MAX ||
        !str_is_utf8(name) || has(databases, count, name))
        return;
    unsigned i = atomic_fetch_add_explicit(&databases->claimed, 1, memory_order_relaxed);
    if (i >= DATABASES_MAX) {
        atomic_store_explicit(&databases->claimed, DATABASES_MAX, memory_order_relaxed);
        return;
    }
    memcpy(databases->entries[i].name, name.text, name.len);
    atomic_store_explicit(&databases->entries[i].is_ready, true, memory_order_release);
}

static int hex_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

bool http_form_decode(struct str text, struct buf *out)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.text[i];
        if (c == '+') {
            c = ' ';
        } else if (c == '%') {
            int high = i + 2 < text.len ? hex_of(text.text[i + 1]) : -1;
            int low = i + 2 < text.len ? hex_of(text.text[i + 2]) : -1;
            if (high < 0 || low < 0)
                return false;
            c = (char)(high << 4 | low);
            i += 2;
        }
        if (c == '\0')
            return false;
        buf_char(out, c);
    }
    return true;
}

void http_databases_add_written(struct http_databases *databases, struct str query)
{
    struct str value = http_query_find(query, "db");
    struct buf decoded = BUF_EMPTY;

    if (value.len == 0)
        value = http_query_find(query, "bucket");
    if (value.len > 0 && value.len <= (size_t)3 * DATABASE_NAME_MAX &&
        http_form_decode(value, &decoded)) {
        struct str name = buf_view(&decoded);
        http_databases_add(databases, str_split(&name, '/'));
    }
    buf_fini(&decoded);
}

/* --- statements -------------------------------------------------------------------------------
 */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* The next word, or what stands in double quotes (where `\"` and `\\` are written so); empty at
 * the end. A semicolon ends the statement. */
static struct str next_word(struct str *rest, char *unquoted)
{
    size_t len = 0;

    while (rest->len > 0 && is_blank(rest->text[0]))
        *rest = (struct str){rest->text + 1, rest->len - 1};
    bool is_quoted = rest->len > 0 && rest->text[0] == '"';
    size_t i = is_quoted ? 1 : 0;
    for (; i < rest->len && len < DATABASE_NAME_MAX + 1; i++) {
        char c = rest->text[i];
        if (is_quoted ? c == '"' : is_blank(c) || c == ';')
            break;
        if (is_quoted && c == '\\' && i + 1 < rest->len)
            c = rest->text[++i];
        unquoted[len++] = c;
    }
    i += is_quoted && i < rest->len ? 1 : 0;
    *rest = (struct str){rest->text + i, rest->len - i};
    return (struct str){unquoted, len};
}

static bool is_word(struct str word, const char *expected)
{
    return word.len == strlen(expected) && strncasecmp(word.text, expected, word.len) == 0;
}

enum statement { STATEMENT_OTHER, STATEMENT_SHOW, STATEMENT_CREATE };

/* What is asked; `*name`, of STATEMENT_CREATE, is in `room`. */
static enum statement parse(struct str text, char *room, struct str *name)
{
    char second_room[DATABASE_NAME_MAX + 1];
    struct str first = next_word(&text, room);
    struct str second = next_word(&text, second_room);

    if (is_word(first, "show") && is_word(second, "databases"))
        return STATEMENT_SHOW;
    if (!is_word(first, "create") || !is_word(second, "database"))
        return STATEMENT_OTHER;
    *name = next_word(&text, room);
    return STATEMENT_CREATE;
}

/* {"results":[{"statement_id":0,"series":[{"name":"databases","columns":["name"],
 *  "values":[["telegraf"]]}]}]} */
static void write_databases(const struct http_databases *databases, struct buf *out)
{
    unsigned count = count_of(databases);
    struct json json = json_to(out);

    json_open(&json, '{');
    json_key(&json, "results");
    json_open(&json, '[');
    json_open(&json, '{');
    json_field_u64(&json, "statement_id", 0);
    json_key(&json, "series");
    json_open(&json, '[');
    json_open(&json, '{');
    json_field_text(&json, "name", "databases");
    json_key(&json, "columns");
    json_raw(&json, STR("[\"name\"]"));
    json_key(&json, "values");
    json_open(&json, '[');
    for (unsigned i = 0; i < count; i++) {
        const char *name = databases->entries[i].name;
        if (!is_listed(databases, i) || has(databases, i, str_of(name)))
            continue;
        json_open(&json, '[');
        json_text(&json, name);
        json_close(&json, ']');
    }
    json_close(&json, ']');
    json_close(&json, '}');
    json_close(&json, ']');
    json_close(&json, '}');
    json_close(&json, ']');
    json_close(&json, '}');
}

void http_query_answer(struct http_databases *databases, struct str query, struct str form,
                       struct http_answer *answer)
{
    struct str q = http_query_find(query, "q");
    char room[DATABASE_NAME_MAX + 1];
    struct buf decoded = BUF_EMPTY;
    struct str name = STR_EMPTY;
    enum statement statement = STATEMENT_OTHER;

    if (q.len == 0)
        q = http_query_find(form, "q");
    buf_clear(&answer->body);
    if (q.len == 0 || !http_form_decode(q, &decoded)) {
        http_answer_set(answer, 400,
                        q.len == 0 ? "missing required parameter \"q\""
                                   : "the parameter \"q\" is not encoded as a form's");
        buf_fini(&decoded);
        return;
    }
    statement = parse(buf_view(&decoded), room, &name);
    answer->status = 200;
    if (statement == STATEMENT_CREATE)
        http_databases_add(databases, name);
    if (statement == STATEMENT_SHOW)
        write_databases(databases, &answer->body);
    else
        buf_text(&answer->body, "{\"results\":[]}");
    buf_char(&answer->body, '\n');
    buf_fini(&decoded);
}
