/* GET and POST /api/v1/tokens, POST /api/v1/tokens/revoke: who may speak.
 *
 * A token's text is in one answer alone, that to the request that made it. What changed holds when
 * the answer comes. On the control socket these are for root and for the user that kpid runs as:
 * others of its group could else give themselves rights that outlast their membership. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/log.h"
#include "base/memory.h"
#include "ingest/access.h"
#include "web/token_record.h"
#include "web/web_private.h"

/* --- the table ------------------------------------------------------------------------------ */

struct loading {
    struct token *tokens;
    size_t count, capacity;
    struct arena arena;
};

static bool on_record(const struct token_record *record, void *arg)
{
    struct loading *loading = arg;

    loading->tokens = arena_grow(&loading->arena, loading->tokens, loading->count,
                                 &loading->capacity, sizeof *loading->tokens);
    loading->tokens[loading->count++] = record->token;
    return true;
}

struct token_table *web_load_tokens(struct store *store, const struct web_config *config,
                                    const struct token_table *before, struct error *err)
{
    struct loading loading = {.arena = ARENA_EMPTY};
    struct read_txn *txn = read_txn_begin(store, err);

    if (txn == NULL)
        return NULL;
    for (size_t i = 0; i < config->token_count; i++) {
        const struct token_record record = {.token = config->tokens[i]};
        (void)on_record(&record, &loading);
    }
    token_records_read(txn, on_record, &loading);
    read_txn_end(txn);
    struct token_table *table = token_table_new(loading.tokens, loading.count, before);
    arena_fini(&loading.arena);
    return table;
}

bool web_renew_tokens(struct web *web, struct error *err)
{
    struct token_table *fresh = web_load_tokens(web->options.store, &web->config, web->tokens, err);

    if (fresh == NULL)
        return false;
    token_table_release(web->tokens);
    web->tokens = fresh;
    if (web->options.set_tokens != NULL)
        web->options.set_tokens(fresh, web->options.arg);
    return true;
}

/* --- reading -------------------------------------------------------------------------------- */

static bool check_owner(const struct http_request *request, struct error *err)
{
    if (!http_request_is_control(request) || http_request_is_owner(request))
        return true;
    (void)error_set(err, ERROR_DENIED, "tokens are for root and the user that kpid runs as");
    return error_hint(err, "sudo kpictl token ...");
}

struct listing {
    struct web *web;
    struct json json;
};

static void write_token(struct listing *listing, const struct token *token,
                        const struct token_record *record)
{
    struct json *json = &listing->json;

    json_open(json, '{');
    json_field_text(json, "name", token->name);
    json_field_text(json, "role", role_name(token->role));
    json_field_text(json, "source", token->from_file ? "file" : "kpictl");
    answer_time(json, "made_at", listing->web->config.calendar,
                record == NULL ? WALL_NONE : record->made_at);
    json_field_text(json, "by", record == NULL ? NULL : record->by);
    json_field_u64(json, "requests", atomic_load(&token->usage->requests));
    json_field_u64(json, "samples", atomic_load(&token->usage->samples));
    json_close(json, '}');
}

static bool list_record(const struct token_record *record, void *arg)
{
    struct listing *listing = arg;
    const struct token *token = token_table_named(listing->web->tokens, str_of(record->token.name));

    if (token != NULL && !token->from_file)
        write_token(listing, token, record);
    return true;
}

bool api_tokens(struct web *web, struct http_request *request, struct error *err)
{
    static const char *const known[] = {NULL};
    struct listing listing = {.web = web};
    struct answer answer;

    if (!check_owner(request, err))
        return false;
    if (!answer_begin(web, request, known, &answer, err))
        return answer_drop(&answer);
    listing.json = json_to(&answer.body);
    json_open(&listing.json, '{');
    json_key(&listing.json, "tokens");
    json_open(&listing.json, '[');
    for (size_t i = 0; i < token_table_count(web->tokens); i++) {
        const struct token *token = token_table_at(web->tokens, i);
        if (token->from_file)
            write_token(&listing, token, NULL);
    }
    token_records_read(answer.txn, list_record, &listing);
    json_close(&listing.json, ']');
    json_close(&listing.json, '}');
    return answer_send(request, &answer);
}

/* --- changing ------------------------------------------------------------------------------- */

/* A change on its way to the writer and back. */
struct change {
    struct writer_job job;  /* first */
    struct message message; /* of its end */
    struct web *web;
    struct http_request *request;
    bool removes;
    struct token_record record;
    char text[TOKEN_TEXT_SIZE]; /* of a new token */
    struct error err;           /* ERROR_NONE: it is stored */
};

static struct change *change_of_message(struct message *message)
{
    return (struct change *)((char *)message - offsetof(struct change, message));
}

static void answer_change(struct change *change)
{
    struct buf body = BUF_EMPTY;
    struct json json = json_to(&body);

    json_open(&json, '{');
    json_field_text(&json, "name", change->record.token.name);
    if (!change->removes) {
        json_field_text(&json, "role", role_name(change->record.token.role));
        json_field_text(&json, "token", change->text);
    }
    json_field_bool(&json, "revoked", change->removes);
    json_close(&json, '}');
    buf_char(&body, '\n');
    http_reply_json(change->request, 200, buf_view(&body));
    if (body.bytes != NULL)
        explicit_bzero(body.bytes, body.capacity);
    buf_fini(&body);
}

/* On the web thread: the listeners know before the client does. */
static void on_changed(struct message *message, void *receiver)
{
    struct change *change = change_of_message(message);
    struct web *web = change->web;
    (void)receiver;

    if (change->err.kind == ERROR_NONE && !web_renew_tokens(web, &change->err))
        (void)error_hint(&change->err, "it is stored, and holds after a reload");
    if (change->err.kind == ERROR_NONE) {
        log_info(change->removes ? "token_revoked" : "token_added", "name=%s role=%s by=\"%s\"",
                 change->record.token.name, role_name(change->record.token.role),
                 change->record.by);
        answer_change(change);
    } else {
        http_reply_error(change->request, 0, &change->err);
    }
    explicit_bzero(change->text, sizeof change->text);
    free(change);
}

/* On the writer's thread. */
static bool run_change(struct writer_job *job, struct write_txn *txn, struct error *err)
{
    struct change *change = (struct change *)job;

    if (change->removes)
        return token_record_remove(txn, str_of(change->record.token.name), err);
    return token_record_add(txn, &change->record, err);
}

static void change_done(struct writer_job *job, const struct error *err)
{
    struct change *change = (struct change *)job;

    if (err != NULL)
        change->err = *err;
    change->message.on_message = on_changed;
    mailbox_push_always(thread_mailbox(change->web->thread), &change->message);
}

static void post_change(struct change *change)
{
    change->job.run = run_change;
    change->job.done = change_done;
    writer_post_job(change->web->options.writer, &change->job);
}

/* Who asks, for the record and the log. */
static void name_asker(const struct web *web, const struct http_request *request, char *out)
{
    struct buf room = BUF_EMPTY;

    (void)snprintf(out, TOKEN_BY_MAX, "control socket");
    if (!http_request_is_control(request)) {
        struct str text =
            access_token_of(http_request_find_header(request, "Authorization"), STR_EMPTY, &room);
        const struct token *token = token_table_find(web->tokens, text);
        (void)snprintf(out, TOKEN_BY_MAX, "token %s", token == NULL ? "" : token->name);
        buf_fini(&room);
    }
}

static bool read_name(const json_t *body, struct token *out, struct error *err)
{
    const json_t *value = json_object_get(body, "name");
    struct str name = {json_string_value(value), json_string_length(value)};

    if (!token_name_check(name, err))
        return false;
    memcpy(out->name, name.text, name.len);
    return true;
}

static bool read_role(const json_t *body, struct token *out, struct error *err)
{
    const json_t *value = json_object_get(body, "role");
    struct str role = {json_string_value(value), json_string_length(value)};
    char quoted[STR_QUOTED_SIZE];

    if (role_parse(role, &out->role))
        return true;
    (void)error_set(err, ERROR_INVALID, "'%s' is not a role", str_quoted(role, quoted));
    return error_hint(err, "ingest, viewer, editor, approver or admin");
}

static struct change *change_new(struct web *web, struct http_request *request)
{
    struct change *change = memory_zero(1, sizeof *change);

    change->web = web;
    change->request = request;
    change->record.made_at = clock_wall();
    name_asker(web, request, change->record.by);
    return change;
}

bool api_token_add(struct web *web, struct http_request *request, struct error *err)
{
    if (!check_owner(request, err))
        return false;
    struct change *change = change_new(web, request);
    struct token *token = &change->record.token;
    json_t *body = request_object(request, err);
    bool ok = body != NULL && read_name(body, token, err) && read_role(body, token, err);

    if (ok && token_table_named(web->tokens, str_of(token->name)) != NULL)
        ok = error_set(err, ERROR_CONFLICT, "there is a token '%s'", token->name);
    if (ok && token_table_count(web->tokens) >= TOKENS_MAX)
        ok = error_set(err, ERROR_FULL, "there are %d tokens, as many as may be", TOKENS_MAX);
    ok = ok && token_make(change->text, err);
    json_decref(body);
    if (!ok) {
        free(change);
        return false;
    }
    token_hash(str_of(change->text), token->hash);
    post_change(change);
    return true;
}

bool api_token_revoke(struct web *web, struct http_request *request, struct error *err)
{
    if (!check_owner(request, err))
        return false;
    struct change *change = change_new(web, request);
    struct token *token = &change->record.token;
    json_t *body = request_object(request, err);
    bool ok = body != NULL && read_name(body, token, err);

    json_decref(body);
    const struct token *known = ok ? token_table_named(web->tokens, str_of(token->name)) : NULL;
    if (known != NULL && known->from_file) {
        (void)error_set(err, ERROR_CONFLICT, "the token '%s' stands in the file of server.auth",
                        token->name);
        (void)error_hint(err, "take its line out of the file and reload kpid");
        ok = false;
    }
    if (!ok) {
        free(change);
        return false;
    }
    token->role = known == NULL ? ROLE_INGEST : known->role;
    change->removes = true;
    post_change(change);
    return true;
}
