/* hooks: and defaults.hooks */
#include "config/config_private.h"

static bool load_secrets(const struct loader *loader, const struct object *object,
                         struct hook *hook)
{
    struct yaml_node *node = object_find(object, "secrets");
    size_t count = object_count(node);
    const char **secrets = arena_array(loader->arena, count + 1, sizeof *secrets);
    bool ok = true;

    for (size_t i = 0; i < count; i++) {
        struct str secret = STR_EMPTY;
        struct yaml_node *item = object_item(node, i);
        if (item->is_bad || !loader_secret(loader, item, &secret))
            ok = false;
        secrets[i] = secret.text;
    }
    hook->secrets = secrets;
    hook->secret_count = count;
    return ok;
}

/* Each alone, so that a mistake stands at its place, then together; the address is right. */
static bool check_secrets(const struct loader *loader, const struct object *object,
                          const struct hook *hook)
{
    struct yaml_node *node = object_find(object, "secrets");
    bool allow_http = object_bool(object, "allow_http");
    struct error err = ERROR_EMPTY;
    bool ok = true;

    for (size_t i = 0; i < hook->secret_count; i++) {
        struct hook one = *hook;
        one.secrets = &hook->secrets[i];
        one.secret_count = 1;
        if (!hook_check(&one, allow_http, &err))
            ok = loader_report(loader, object_item(node, i), &err);
    }
    if (ok && !hook_check(hook, allow_http, &err))
        ok = loader_report(loader, node, &err);
    return ok;
}

static bool load_hook(struct loader *loader, struct yaml_node *node, struct hook *hook)
{
    struct object object = loader_object(loader, node, "hooks", "hook");
    struct object retry = object_inside(&object, "retry");
    struct yaml_node *url = object_find(&object, "url");
    struct str text = STR_EMPTY;
    struct error err = ERROR_EMPTY;

    hook->id = arena_text(loader->arena, node->key->text);
    hook->kind = hook_kind_find(object_text(&object, "type"));
    hook->timeout = object_span(&object, "timeout");
    hook->retry_first = object_span(&retry, "first");
    hook->retry_max = object_span(&retry, "max");
    hook->give_up = object_span(&retry, "give_up");
    hook->jitter_percent = (unsigned)object_number(&retry, "jitter");
    hook->base_url = loader->config->http.base_url;
    if (hook->retry_first <= 0 || hook->retry_max < hook->retry_first || hook->timeout <= 0)
        return finding_error_key(loader->findings, node,
                                 "timeout and retry.first are more than 0s, retry.max is no less");
    bool has_secrets = str_is(object_text(&object, "type"), "webhook");
    bool has_address = url != NULL && loader_secret(loader, url, &text);
    if ((has_secrets && !load_secrets(loader, &object, hook)) || !has_address)
        return false;
    hook->url = text.text;
    struct hook alone = *hook;
    alone.secret_count = 0;
    if (!hook_check(&alone, object_bool(&object, "allow_http"), &err))
        return loader_report(loader, url, &err);
    return !has_secrets || check_secrets(loader, &object, hook);
}

/* Its type is known and built; if not, that was said. */
static bool is_usable(const struct loader *loader, struct yaml_node *node)
{
    const struct schema_object *schema = object_schema("hooks");

    return node->kind == YAML_KIND_MAP && hook_kind_find(check_variant(node, schema)) != NULL &&
           check_draft_reason(node, schema, loader->arena) == NULL;
}

/* Who is told what no rule routes; hooks that are not built are left out. */
static void load_defaults(struct loader *loader)
{
    struct yaml_node *node = yaml_get(yaml_get(loader->root, "defaults"), "hooks");
    size_t count = node == NULL || node->is_bad ? 0 : object_count(node);
    const char **defaults = arena_array(loader->arena, count + 1, sizeof *defaults);
    size_t kept = 0;

    for (size_t i = 0; i < count; i++) {
        const struct yaml_node *item = object_item(node, i);
        if (item->is_bad || !loader_refer(loader, item, "hooks", "hook"))
            continue;
        const struct hook *hook = hook_find(&loader->config->hooks, item->text);
        if (hook != NULL)
            defaults[kept++] = hook->id;
    }
    loader->config->hooks.defaults = defaults;
    loader->config->hooks.default_count = kept;
}

void load_hooks(struct loader *loader)
{
    struct yaml_node *node = NULL;
    size_t at = 0;
    struct hook *hooks =
        arena_array(loader->arena, loader_count(loader, "hooks") + 1, sizeof *hooks);
    size_t count = 0;

    while ((node = loader_next(loader, "hooks", &at)) != NULL) {
        if (is_usable(loader, node) && load_hook(loader, node, &hooks[count]))
            count++;
    }
    loader->config->hooks.hooks = hooks;
    loader->config->hooks.count = count;
    load_defaults(loader);
}
