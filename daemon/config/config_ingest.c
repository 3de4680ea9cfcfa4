/* ingest: */
#include <pwd.h>
#include <string.h>
#include <sys/un.h>

#include "config/config_private.h"

static const struct {
    const char *scheme;
    enum transport transport;
} SCHEMES[] = {
    {"udp", TRANSPORT_UDP},   {"tcp", TRANSPORT_TCP},           {"http", TRANSPORT_HTTP},
    {"unix", TRANSPORT_UNIX}, {"unixgram", TRANSPORT_UNIXGRAM},
};

enum { SCHEME_COUNT = sizeof SCHEMES / sizeof SCHEMES[0] };

/* Of a Unix socket's file. */
enum { MODE = 0660, MODE_MAX = 0777, MODE_MAY_SPEAK = 0222 };
#define MODE_TEXT "0660"

static bool read_protocol(const struct object *object, enum protocol *out)
{
    struct str text = object_text(object, "protocol");

    for (int i = 0; i < PROTOCOL_COUNT; i++) {
        if (str_is(text, protocol_name((enum protocol)i))) {
            *out = (enum protocol)i;
            return true;
        }
    }
    return false; /* the mistake is reported */
}

/* "udp, tcp or unix": what a protocol is spoken over. */
static const char *transports_of(const struct loader *loader, enum protocol protocol)
{
    const char *text = "";
    const char *before = "";

    for (size_t i = SCHEME_COUNT; i > 0; i--) {
        if (!protocol_has_transport(protocol, SCHEMES[i - 1].transport))
            continue;
        text = arena_printf(loader->arena, "%s%s%s", SCHEMES[i - 1].scheme, before, text);
        before = before[0] == '\0' ? " or " : ", ";
    }
    return text;
}

/* Which protocol is spoken over what. */
static bool check_transport(const struct loader *loader, const struct yaml_node *node,
                            enum protocol protocol, enum transport transport)
{
    if (protocol_has_transport(protocol, transport))
        return true;
    (void)finding_error(loader->findings, node, "%s is not spoken over %s", protocol_name(protocol),
                        transport_name(transport));
    return finding_hint(loader->findings, "over %s", transports_of(loader, protocol));
}

static bool read_unknown_as_counter(const struct loader *loader, const struct object *object,
                                    enum protocol protocol)
{
    const struct yaml_node *node = object_find(object, "unknown_as_counter");

    if (node != NULL && protocol != PROTOCOL_STATSD)
        (void)finding_error(loader->findings, node, "unknown_as_counter is for statsd");
    return node != NULL && object_bool(object, "unknown_as_counter");
}

static enum influx_precision read_precision(const struct loader *loader,
                                            const struct object *object,
                                            const struct listener_config *listener)
{
    const struct yaml_node *node = object_find(object, "precision");

    if (node == NULL)
        return INFLUX_NS;
    if (listener->protocol != PROTOCOL_INFLUX || listener->transport == TRANSPORT_HTTP)
        (void)finding_error(loader->findings, node,
                            "precision is for influx over other than http, where requests say it");
    return influx_precision_of(node->text);
}

static bool read_resource_labels(const struct loader *loader, const struct object *object,
                                 struct listener_config *out)
{
    struct yaml_node *list = object_find(object, "resource_labels");
    char *text = arena_text(loader->arena, STR(" "));
    char quoted[STR_QUOTED_SIZE];

    if (list == NULL)
        return true;
    if (out->protocol != PROTOCOL_OTLP)
        return finding_error_key(loader->findings, list, "resource_labels is for otlp");
    for (size_t i = 0; i < object_count(list); i++) {
        const struct yaml_node *item = object_item(list, i);
        if (item->text.len == 0 || memchr(item->text.text, ' ', item->text.len) != NULL)
            return finding_error(loader->findings, item, "'%s' is not the key of an attribute",
                                 str_quoted(item->text, quoted));
        text =
            arena_printf(loader->arena, "%s%s%.*s", i == 0 ? "" : text, " ", STR_ARGS(item->text));
    }
    if (strlen(text) >= RESOURCE_LABELS_SIZE)
        return finding_error_key(loader->findings, list, "these are more than %d bytes",
                                 RESOURCE_LABELS_SIZE - 1);
    out->resource_labels = text;
    return true;
}

static bool is_path(enum transport transport)
{
    return transport == TRANSPORT_UNIX || transport == TRANSPORT_UNIXGRAM;
}

/* The path of a Unix socket, which a node has after its scheme. */
static bool load_path(const struct loader *loader, struct yaml_node *node, size_t skip)
{
    struct sockaddr_un limit;

    loader_anchor(loader, node, skip);
    const char *path =
        address_path((struct str){node->text.text + skip, node->text.len - skip}, loader->arena);
    if (path[0] == '\0')
        return finding_error(loader->findings, node, "a Unix socket needs a path");
    if (strlen(path) >= sizeof limit.sun_path)
        return finding_error(loader->findings, node,
                             "a Unix socket's path is at most %zu bytes long",
                             sizeof limit.sun_path - 1);
    node->text = str_of(arena_printf(loader->arena, "%.*s%s", (int)skip, node->text.text, path));
    return true;
}

static bool read_scheme(const struct loader *loader, const struct yaml_node *node,
                        struct str scheme, size_t *index)
{
    const char *names[SCHEME_COUNT];
    char quoted[STR_QUOTED_SIZE];

    for (size_t i = 0; i < SCHEME_COUNT; i++) {
        names[i] = SCHEMES[i].scheme;
        if (str_is(scheme, SCHEMES[i].scheme)) {
            *index = i;
            return true;
        }
    }
    (void)finding_error(loader->findings, node, "unknown scheme '%s'", str_quoted(scheme, quoted));
    const char *near = str_nearest(scheme, names, SCHEME_COUNT);
    if (near != NULL)
        return finding_hint(loader->findings, "did you mean '%s'?", near);
    return finding_hint(loader->findings, "as udp:127.0.0.1:8125 or unix:/run/kpid/statsd.sock");
}

static bool parse_mode(struct str text, unsigned *out)
{
    *out = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.text[i] < '0' || text.text[i] > '7')
            return false;
        *out = *out * 8 + (unsigned)(text.text[i] - '0');
    }
    return text.len >= 1 && text.len <= 4;
}

/* Of a Unix socket's file: who may write to it may speak (unix(7)). */
static bool read_mode(const struct loader *loader, const struct object *object, unsigned *out)
{
    const struct yaml_node *node = object_find(object, "mode");
    char quoted[STR_QUOTED_SIZE];

    object_fill(object, "mode", STR(MODE_TEXT), loader->arena);
    *out = MODE;
    if (node == NULL)
        return true;
    if (!parse_mode(node->text, out) || *out > MODE_MAX) {
        (void)finding_error(loader->findings, node, "'%s' are not permissions",
                            str_quoted(node->text, quoted));
        return finding_hint(loader->findings, "in octal up to 0777, as " MODE_TEXT);
    }
    if ((*out & MODE_MAY_SPEAK) != 0)
        return true;
    (void)finding_error(loader->findings, node, "the permissions '%s' let nobody speak",
                        str_quoted(node->text, quoted));
    return finding_hint(loader->findings,
                        "who may write to the socket's file may speak: as " MODE_TEXT);
}

/* A key that says something about who may speak, where it cannot. */
static bool refuse_key(const struct loader *loader, const struct object *object, const char *key,
                       const char *where)
{
    const struct yaml_node *node = object_find(object, key);

    return node == NULL || finding_error_key(loader->findings, node, "%s is for %s", key, where);
}

static bool takes_tokens(const struct listener_config *listener)
{
    return listener->transport == TRANSPORT_HTTP || listener->protocol == PROTOCOL_NATIVE;
}

/* The users that may speak to a Unix stream, by their ids. */
static bool read_users(const struct loader *loader, const struct object *object,
                       struct listener_config *out)
{
    struct yaml_node *node = object_find(object, "users");
    char room[4096];
    bool ok = true;

    if (node == NULL)
        return true;
    unsigned *users = arena_array(loader->arena, object_count(node), sizeof *users);
    for (size_t i = 0; i < object_count(node); i++) {
        const struct yaml_node *item = object_item(node, i);
        char *name = arena_text(loader->arena, item->text);
        char quoted[STR_QUOTED_SIZE];
        struct passwd entry;
        struct passwd *found = NULL;
        uint64_t number = 0;
        if (item->is_bad)
            ok = false; /* the mistake is reported */
        else if (str_parse_u64(item->text, &number) && number <= UINT32_MAX)
            users[i] = (unsigned)number;
        else if (getpwnam_r(name, &entry, room, sizeof room, &found) == 0 && found != NULL)
            users[i] = found->pw_uid;
        else
            ok = finding_error(loader->findings, item, "this machine has no user '%s'",
                               str_quoted(item->text, quoted));
    }
    out->users = users;
    out->user_count = object_count(node);
    if (out->user_count > 0)
        return ok;
    (void)finding_error_key(loader->findings, node, "an empty list lets nobody speak");
    return finding_hint(loader->findings, "leave it out, or name users as [ www-data ]");
}

/* What an object says of who may speak, where it cannot. */
static bool check_keys(const struct loader *loader, const struct object *object,
                       const struct listener_config *listener)
{
    enum transport transport = listener->transport;
    bool ok = true;

    if (transport != TRANSPORT_UNIX)
        ok = refuse_key(loader, object, "users", "Unix streams, as unix:/run/kpid/statsd.sock");
    if (is_path(transport))
        ok = refuse_key(loader, object, "allow", "addresses; a Unix socket has mode") && ok;
    else
        ok = refuse_key(loader, object, "mode", "Unix sockets; an address has allow") && ok;
    if (is_path(transport) || transport == TRANSPORT_UDP)
        ok = refuse_key(loader, object, "tls", "tcp and http") && ok;
    if (!takes_tokens(listener))
        ok = refuse_key(loader, object, "tokens", "http and native: lines carry none") && ok;
    return ok;
}

static bool read_speakers(const struct loader *loader, const struct object *object,
                          const struct address *address, struct listener_config *out)
{
    struct loaded_access access;

    if (!check_keys(loader, object, out) ||
        (is_path(out->transport) && !read_mode(loader, object, &out->mode)) ||
        !read_users(loader, object, out) || !load_access(loader, object, &access) ||
        (!is_path(out->transport) &&
         !check_reachable(loader, object_find(object, "listen"), address, &access)))
        return false;
    out->allow = access.allow;
    out->allow_count = access.allow_count;
    out->tls = access.tls;
    out->tokens = access.tokens;
    return true;
}

static bool read_listener(const struct loader *loader, const struct object *object,
                          struct listener_config *out)
{
    struct yaml_node *node = object_find(object, "listen");
    struct address address = {0};
    size_t index = 0;

    if (node == NULL)
        return false;
    struct str rest = node->text;
    struct str scheme = str_split(&rest, ':');
    if (!read_protocol(object, &out->protocol) || !read_scheme(loader, node, scheme, &index))
        return false;
    out->transport = SCHEMES[index].transport;
    size_t skip = node->text.len - rest.len;
    if (!check_transport(loader, node, out->protocol, out->transport) ||
        !(is_path(out->transport) ? load_path(loader, node, skip)
                                  : load_address(loader, node, skip, &address)))
        return false;
    out->unknown_as_counter = read_unknown_as_counter(loader, object, out->protocol);
    out->skip_single_field = object_bool(object, "skip_single_field");
    out->max_series = load_max_series(loader, object);
    if (!read_speakers(loader, object, &address, out) || !read_resource_labels(loader, object, out))
        return false;
    out->precision = read_precision(loader, object, out);
    out->address =
        arena_text(loader->arena, (struct str){node->text.text + skip, node->text.len - skip});
    out->name = arena_printf(loader->arena, "%s %s:%s", protocol_name(out->protocol),
                             transport_name(out->transport), out->address);
    return true;
}

/* --- in each other's way -----------------------------------------------------------------------
 */

/* An address whose text load_address made. */
static struct address address_of(const char *text)
{
    struct address address = {0};
    struct error ignored = ERROR_EMPTY;

    (void)address_parse(str_of(text), &address, &ignored);
    return address;
}

/* Whether a listener's address and that of a socket of IP are of one, so that one cannot be. */
static bool overlaps(const struct listener_config *listener, const char *other)
{
    struct address one = address_of(listener->address);
    struct address two = address_of(other);

    return address_overlaps(&one, &two);
}

static bool collide(const struct listener_config *one, const struct listener_config *other)
{
    if (strcmp(one->name, other->name) == 0)
        return true; /* with port 0 too: the ledger knows listeners by their names */
    if (is_path(one->transport) || is_path(other->transport))
        return is_path(one->transport) && is_path(other->transport) &&
               strcmp(one->address, other->address) == 0;
    return (one->transport == TRANSPORT_UDP) == (other->transport == TRANSPORT_UDP) &&
           overlaps(one, other->address);
}

static bool is_free(const struct loader *loader, const struct listener_config *listeners,
                    size_t count, const struct listener_config *listener,
                    const struct yaml_node *node)
{
    const struct config *config = loader->config;
    bool is_tcp = listener->transport == TRANSPORT_TCP || listener->transport == TRANSPORT_HTTP;

    for (size_t i = 0; i < count; i++) {
        if (!collide(listener, &listeners[i]))
            continue;
        if (strcmp(listener->address, listeners[i].address) != 0) {
            (void)finding_error(loader->findings, node, "another listener has the port of '%s'",
                                listener->address);
            return finding_hint(loader->findings,
                                "it is '%s'; 0.0.0.0 and [::] are all addresses of this machine",
                                listeners[i].name);
        }
        (void)finding_error(loader->findings, node, "another listener has the address '%s'",
                            listener->address);
        return finding_hint(loader->findings, "it is '%s'", listeners[i].name);
    }
    if (is_path(listener->transport) && strcmp(listener->address, config->control_path) == 0) {
        (void)finding_error(loader->findings, node, "the control socket has the path '%s'",
                            listener->address);
        return finding_hint(loader->findings, "server.control says where it is");
    }
    if (is_tcp && config->http.listen != NULL && overlaps(listener, config->http.listen)) {
        (void)finding_error(loader->findings, node, "server.http has the port of '%s'",
                            listener->address);
        return finding_hint(loader->findings, "it listens on '%s'", config->http.listen);
    }
    return true;
}

static void add_default(const struct loader *loader, struct yaml_node *list, const char *protocol,
                        const char *listen)
{
    struct yaml_node *item = yaml_make_map(loader->arena, loader->root);

    yaml_put(loader->arena, item, "protocol",
             yaml_make_text(loader->arena, str_of(protocol), loader->root));
    yaml_put(loader->arena, item, "listen",
             yaml_make_text(loader->arena, str_of(listen), loader->root));
    yaml_append(loader->arena, list, item);
}

/* Without the section: the default listeners, in the tree so that they are printed. Where the path
 * beside the control socket would be too long, or is its own, there is the first one alone. */
static void make_default(const struct loader *loader)
{
    struct yaml_node *list = yaml_make_list(loader->arena, loader->root);
    struct sockaddr_un limit;
    const char *control = loader->config->control_path;
    const char *slash = strrchr(control, '/');
    int folder = slash == NULL ? 0 : (int)(slash - control) + 1;
    const char *path = arena_printf(loader->arena, "%.*singest.sock", folder, control);

    add_default(loader, list, protocol_name(PROTOCOL_STATSD), "udp:127.0.0.1:8125");
    if (strlen(path) < sizeof limit.sun_path && strcmp(path, control) != 0)
        add_default(loader, list, protocol_name(PROTOCOL_NATIVE),
                    arena_printf(loader->arena, "unix:%s", path));
    yaml_put(loader->arena, loader->root, "ingest", list);
}

/* Of those that have one, for the writer. */
static void set_limits(const struct loader *loader, const struct listener_config *listeners,
                       size_t count)
{
    struct series_limits *limits = &loader->config->series_limits;
    struct listener_limit *own = arena_array(loader->arena, count + 1, sizeof *own);

    limits->listeners = own;
    limits->listener_count = 0;
    for (size_t i = 0; i < count; i++) {
        if (listeners[i].max_series > 0)
            own[limits->listener_count++] =
                (struct listener_limit){str_of(listeners[i].name), listeners[i].max_series};
    }
}

void load_ingest(struct loader *loader)
{
    struct ingest_config *ingest = &loader->config->ingest;
    struct yaml_node *node = NULL;
    size_t at = 0;

    if (yaml_get(loader->root, "ingest") == NULL)
        make_default(loader);
    struct listener_config *listeners =
        arena_array(loader->arena, INGEST_LISTENERS_MAX, sizeof *listeners);
    size_t count = 0;
    while ((node = loader_next(loader, "ingest", &at)) != NULL) {
        struct object object = object_of(node, "ingest");
        if (check_draft_reason(node, object.schema, loader->arena) != NULL)
            continue; /* the warning is given */
        if (count == INGEST_LISTENERS_MAX) {
            (void)finding_error(loader->findings, node, "there are more than %d listeners",
                                INGEST_LISTENERS_MAX);
            (void)finding_hint(loader->findings, "many senders can use one listener");
            break;
        }
        if (read_listener(loader, &object, &listeners[count]) &&
            is_free(loader, listeners, count, &listeners[count], object_find(&object, "listen")))
            count++;
    }
    ingest->listeners = listeners;
    ingest->listener_count = count;
    ingest->metrics = &loader->config->metrics;
    set_limits(loader, listeners, count);
}
