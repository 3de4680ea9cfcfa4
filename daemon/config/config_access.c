/* Who may speak: allow, tls and tokens of listeners and of server.http, and server.auth. */
#include "config/config_private.h"
#include "config/secret.h"

static bool load_allow(const struct loader *loader, const struct object *object,
                       struct loaded_access *out)
{
    struct yaml_node *list = object_find(object, "allow");
    struct error err = ERROR_EMPTY;
    bool ok = true;

    if (list == NULL)
        return true;
    struct network *networks = arena_array(loader->arena, object_count(list), sizeof *networks);
    for (size_t i = 0; i < object_count(list); i++) {
        const struct yaml_node *item = object_item(list, i);
        if (item->is_bad)
            ok = false; /* the mistake is reported */
        else if (!network_parse(item->text, &networks[i], &err))
            ok = loader_report(loader, item, &err);
    }
    out->allow = networks;
    out->allow_count = object_count(list);
    if (out->allow_count > 0)
        return ok;
    (void)finding_error_key(loader->findings, list, "an empty list lets nobody speak");
    return finding_hint(loader->findings, "leave it out, or name networks as 10.0.0.0/8");
}

/* A file of `tls`; NULL without one. */
static const char *file_of(const struct loader *loader, const struct object *tls, const char *key)
{
    struct yaml_node *node = object_find(tls, key);

    if (node == NULL)
        return NULL;
    loader_anchor(loader, node, 0);
    return object_copy(tls, key, loader->arena);
}

/* A certificate that ends soon is used all the same, and nobody should hear of it from clients. */
static void check_end(const struct loader *loader, const struct yaml_node *node,
                      const struct tls *tls)
{
    wall_ms now = clock_wall();
    wall_ms end = tls_expires_at(tls);
    char utc[CLOCK_TEXT_SIZE];

    if (!tls_is_expiring(tls, now))
        return;
    long long days = (end - now) / MS_PER_DAY + 1;
    (void)clock_format_utc(end, utc);
    if (end <= now)
        (void)finding_warning_key(loader->findings, node, "certificate '%s' has expired, on %s",
                                  tls_certificate(tls), utc);
    else
        (void)finding_warning_key(loader->findings, node,
                                  "certificate '%s' expires in less than %lld days, on %s",
                                  tls_certificate(tls), days, utc);
    (void)finding_hint(loader->findings, "renew it, then reload: systemctl reload kpid");
}

static bool load_tls(const struct loader *loader, const struct object *object,
                     struct loaded_access *out)
{
    struct config *config = loader->config;
    const struct yaml_node *node = object_find(object, "tls");
    struct object tls = object_inside(object, "tls");
    struct error err = ERROR_EMPTY;

    if (node == NULL)
        return true;
    const struct tls_files files = {.cert = file_of(loader, &tls, "cert"),
                                    .key = file_of(loader, &tls, "key"),
                                    .client_ca = file_of(loader, &tls, "client_ca")};
    if (files.cert == NULL || files.key == NULL)
        return false; /* the mistake is reported */
    if (!secret_check_file(files.key, &err))
        return loader_report(loader, object_find(&tls, "key"), &err);
    out->tls = tls_load(&files, &err);
    if (out->tls == NULL) {
        (void)finding_error_key(loader->findings, node, "%s", err.text);
        return err.hint[0] != '\0' && finding_hint(loader->findings, "%s", err.hint);
    }
    check_end(loader, node, out->tls);
    out->has_client_ca = files.client_ca != NULL;
    config->tls = arena_grow(loader->arena, config->tls, config->tls_count, &config->tls_capacity,
                             sizeof(struct tls *));
    config->tls[config->tls_count++] = out->tls;
    return true;
}

bool load_access(const struct loader *loader, const struct object *object,
                 struct loaded_access *out)
{
    *out = (struct loaded_access){.tokens = object_bool(object, "tokens")};
    bool ok = load_allow(loader, object, out);
    return load_tls(loader, object, out) && ok;
}

bool load_address(const struct loader *loader, struct yaml_node *node, size_t skip,
                  struct address *out)
{
    const struct str text = {node->text.text + skip, node->text.len - skip};
    struct error err = ERROR_EMPTY;
    char form[ADDRESS_TEXT_SIZE];

    if (!address_parse(text, out, &err))
        return loader_report(loader, node, &err);
    node->text = str_of(arena_printf(loader->arena, "%.*s%s", (int)skip, node->text.text,
                                     address_format(out, form)));
    return true;
}

bool check_reachable(const struct loader *loader, const struct yaml_node *listen,
                     const struct address *address, const struct loaded_access *access)
{
    char form[ADDRESS_TEXT_SIZE];

    if (address->is_local)
        return true;
    if (access->allow_count == 0 && !access->has_client_ca && !access->tokens) {
        (void)finding_error(loader->findings, listen,
                            "'%s' can be reached from other machines, and nothing says who may "
                            "speak",
                            address_format(address, form));
        return finding_hint(loader->findings,
                            "add allow: [ 10.0.0.0/8 ], tls with a client_ca, or tokens: true for "
                            "http and native; or listen on 127.0.0.1, [::1] or a Unix socket");
    }
    if (access->tokens && access->tls == NULL) {
        (void)finding_warning(loader->findings, listen,
                              "tokens for '%s' travel in the clear, for everybody on the way to "
                              "read",
                              address_format(address, form));
        (void)finding_hint(loader->findings, "add tls, or let a proxy on this machine speak it");
    }
    return true;
}

void load_auth(const struct loader *loader, const struct object *server)
{
    struct object auth = object_inside(server, "auth");
    struct yaml_node *node = object_find(&auth, "tokens");
    struct yaml_node *named = NULL;
    struct token *tokens = NULL;
    struct error err = ERROR_EMPTY;
    struct str text;

    if (node == NULL || !loader_secret_lines(loader, node, &text, &named))
        return;
    if (!token_file_parse(text, loader->arena, &tokens, &loader->config->token_count, &err)) {
        (void)finding_error(loader->findings, named, "'%.*s': %s", STR_ARGS(named->text), err.text);
        if (err.hint[0] != '\0')
            (void)finding_hint(loader->findings, "%s", err.hint);
        return;
    }
    loader->config->tokens = tokens;
}
