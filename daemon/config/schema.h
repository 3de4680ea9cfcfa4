/* The language as a table: every object, its keys, their types, defaults and help, and whether this
 * version does it.
 *
 * From it are made: what the reader accepts (config/check.h), the defaults it fills in
 * (config/object.h), --print-config, the JSON Schema and the key reference of kpid.yaml(5). To add
 * a key: one line in schema_table.c or schema_people.c, and its reading in config_*.c. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"

/* What a scalar may be. Values that depend on other objects (numbers in a KPI's unit, formulas,
 * references) are texts to the check; their reader says what is wrong with them. */
enum schema_type {
    SCHEMA_NONE, /* no scalar: a map only */
    SCHEMA_TEXT,
    SCHEMA_ID,        /* [a-z][a-z0-9_-]*, the name of another object */
    SCHEMA_METRIC,    /* a metric's name */
    SCHEMA_BOOL,      /* true, false */
    SCHEMA_WHOLE,     /* a whole number from 0 on */
    SCHEMA_NUMBER,    /* without unit */
    SCHEMA_PERCENT,   /* 20% */
    SCHEMA_QUANTITY,  /* a number in the KPI's unit, as 1.8%, 160K, 14h, +5pp */
    SCHEMA_SIZE,      /* bytes: 64K; K M G are powers of 1024 here (FIG-28) */
    SCHEMA_COUNT,     /* a whole number; K M G are powers of 1000 */
    SCHEMA_SPAN,      /* 90s, 1h30m; "3 business days" and "3 evaluations" where allowed */
    SCHEMA_DATE,      /* any form of date */
    SCHEMA_CHOICE,    /* one of `choices` */
    SCHEMA_FORMULA,   /* sum(orders) / count(visits) */
    SCHEMA_CONDITION, /* value > 2% and status == behind */
    SCHEMA_SCHEDULE,  /* a name, a cron line, "every 10s", ... */
    SCHEMA_TEMPLATE,  /* "{{value}} of {{target}}" */
    SCHEMA_SECRET,    /* never a scalar: { env: NAME } and its like */
};

enum schema_shape {
    SCHEMA_ONE,
    SCHEMA_LIST,
    SCHEMA_ONE_OR_LIST,
    SCHEMA_IDS,   /* a map keyed by ids */
    SCHEMA_NAMES, /* a map keyed by metric names, labels, periods, ... */
};

enum schema_built {
    SCHEMA_BUILT,
    SCHEMA_KEPT,   /* for people and display: accepted, and nothing is missing without it */
    SCHEMA_LATER,  /* accepted with the warning "not built yet" */
    SCHEMA_DRAFTS, /* the same, and the object's meaning depends on it: schema_object.consequence */
};

struct schema_object;

struct schema_entry {
    const char *name;
    const char *help;
    const struct schema_object *object; /* a map is possible (beside a scalar of `type`) */
    const char *const *choices;         /* SCHEMA_CHOICE; for other types: words also accepted */
    const char *const *later;           /* of the choices: those that are not built yet */
    const char *fallback;       /* the default, as it would be written; NULL: none or made */
    const char *fallback_words; /* of a default that is made: for the manual */
    enum schema_type type;
    enum schema_shape shape;
    enum schema_built built;
    bool required;
    bool nested; /* the list's items may be lists */
    bool mild;   /* an object works without a choice of `later` */
    bool words;  /* SCHEMA_SPAN: business days and evaluations are part of the language */
};

struct schema_object {
    const char *name; /* "kpi": for the JSON Schema and the manual */
    const char *help;
    const struct schema_entry *keys;
    size_t key_count;
    const struct schema_object *base; /* its keys belong to this object too; NULL */
    /* Further keys depend on the value of `variant_key`: the variant of that name has them. */
    const char *variant_key;
    const struct schema_object *const *variants; /* NULL-terminated */
    const char *consequence; /* "this KPI is a draft": of a SCHEMA_DRAFTS key, a choice of later */
};

extern const struct schema_object SCHEMA_ROOT;

/* Shared by the files of the table. */
extern const struct schema_object SCHEMA_SECRET_SOURCE;
extern const struct schema_object SCHEMA_SCHEDULE_MAP;
extern const struct schema_object SCHEMA_GOAL;
extern const struct schema_object SCHEMA_PERSON;
extern const struct schema_object SCHEMA_TEAM;
extern const struct schema_object SCHEMA_COLLECTOR;
extern const struct schema_object SCHEMA_SMTP;
extern const struct schema_object SCHEMA_HEARTBEAT;
extern const struct schema_object SCHEMA_DIGEST;
extern const struct schema_object SCHEMA_BOARD;
extern const struct schema_object SCHEMA_MUTE;
extern const struct schema_object SCHEMA_ANNOTATION;
extern const struct schema_object SCHEMA_DIAGNOSIS;
extern const struct schema_object SCHEMA_LINT;
extern const struct schema_object SCHEMA_TEST;

/* The key of an object, its base or the variant that `kind` names (may be empty); NULL if none. */
const struct schema_entry *schema_find(const struct schema_object *object, struct str kind,
                                       struct str name);

/* The object or its base, whichever has the key: it says what depends on it. */
const struct schema_object *schema_owner(const struct schema_object *object,
                                         const struct schema_entry *key);

/* The variant of an object; NULL when there is none of that name. */
const struct schema_object *schema_variant(const struct schema_object *object, struct str kind);

/* Names of all keys that schema_find knows, for hints; at most `max` into `out`. */
size_t schema_names(const struct schema_object *object, struct str kind, const char **out,
                    size_t max);

/* Whether `text` is in a NULL-terminated list (which may be NULL); its index goes to `*index` when
 * that is not NULL. */
bool schema_listed(const char *const *list, struct str text, size_t *index);

/* Each object that can be reached from the root, once, in the order of the table. */
typedef void (*schema_visit_fn)(const struct schema_object *object, void *arg);
void schema_visit(schema_visit_fn visit, void *arg);
