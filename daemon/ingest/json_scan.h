/* JSON as a cursor over its bytes: no tree, no allocation of its own, numbers as they were sent.
 *
 * jansson makes a tree, in which two bytes ("{}") hold some hundred and a number above 2^63 is a
 * mistake; a body that anybody may send is better read without one.
 *
 *   struct json_scan scan = json_scan_of(bytes);
 *   json_scan_open(&scan);
 *   while (json_scan_next_key(&scan, &key))
 *       json_scan_skip(&scan);
 *   return json_scan_end(&scan);
 *
 * After json_scan_next_key and json_scan_next_item exactly one value is read or skipped, by what
 * json_scan_kind says of it. Bytes may be anything. What is no JSON (RFC 8259), or is nested deeper
 * than JSON_SCAN_DEPTH_MAX, makes `ok` false for good; then every loop ends. */
#pragma once

#include "base/buf.h"

enum { JSON_SCAN_DEPTH_MAX = 64 };

enum json_scan_kind {
    SCAN_NOTHING, /* what follows is no value; `ok` is false */
    SCAN_OBJECT,
    SCAN_LIST,
    SCAN_TEXT,
    SCAN_NUMBER,
    SCAN_TRUE,
    SCAN_FALSE,
    SCAN_NULL,
};

struct json_scan {
    const char *begin;
    const char *at;
    const char *end;
    unsigned depth;
    bool is_first; /* in the object or list that is open: nothing was read of it */
    bool ok;
};

/* Bytes that are not UTF-8, or hold NUL, are no JSON. */
struct json_scan json_scan_of(struct str bytes);

/* What the next value is; it is not read yet. */
enum json_scan_kind json_scan_kind(struct json_scan *scan);

/* Begins the object or list that comes next. */
void json_scan_open(struct json_scan *scan);

/* The next member of the open object: its name is written over `key`. False at the end, which is
 * read too, and when it cannot be read. */
bool json_scan_next_key(struct json_scan *scan, struct buf *key);

/* The same of the open list. */
bool json_scan_next_item(struct json_scan *scan);

/* Appends the text that comes next, without its escapes. */
void json_scan_text(struct json_scan *scan, struct buf *out);

/* The number that comes next, as it was sent; empty when it is none. */
struct str json_scan_number(struct json_scan *scan);

/* Passes over the next value, whatever it is. */
void json_scan_skip(struct json_scan *scan);

/* Whether nothing but blanks follows, and all was JSON. */
bool json_scan_end(struct json_scan *scan);

/* Ends all reading; for callers too, when what they read makes no sense. Returns false. */
bool json_scan_fail(struct json_scan *scan);

/* How many bytes were read. */
size_t json_scan_place(const struct json_scan *scan);
