/* InfluxDB's /query, as far as clients need it to begin (I28): they make a database, or look for
 * its name in the list. There are no databases here; the names that clients use are remembered, so
 * that they find them again. Anything else has an empty result. */
#pragma once

#include <stdatomic.h>

#include "ingest/http_answer.h"

enum {
    HTTP_QUERY_MAX = 16 * 1024, /* of a form */
    DATABASES_MAX = 64,
    DATABASE_NAME_MAX = 63,
};

/* Of one listener, until kpid ends; the threads share it without a lock. It only grows, up to its
 * room: what comes then is not listed. */
struct http_databases {
    _Atomic unsigned claimed;
    struct {
        _Atomic bool is_ready; /* the name does not change any more */
        char name[DATABASE_NAME_MAX + 1];
    } entries[DATABASES_MAX];
};

/* A name that is empty, too long or no UTF-8 is not remembered. */
void http_databases_add(struct http_databases *databases, struct str name);

/* Remembers what a write's query names: db=NAME, or the beginning of bucket=NAME/POLICY. */
void http_databases_add_written(struct http_databases *databases, struct str query);

/* Answers the statement `q` of the query or, where that has none, of the form. */
void http_query_answer(struct http_databases *databases, struct str query, struct str form,
                       struct http_answer *answer);

/* Undoes %41 and '+'. False: it is not encoded so, or stands for a byte 0. */
bool http_form_decode(struct str text, struct buf *out);
