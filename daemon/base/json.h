/* Writes JSON (reading is jansson's).
 *
 * Commas and quotes are its business; text that is not UTF-8 is written with U+FFFD for each bad
 * byte, so the output is always valid. Nesting up to 60 levels. */
#pragma once

#include "base/buf.h"

struct json {
    struct buf *out;
    uint64_t has_items; /* one bit a level: a comma is due */
    unsigned depth;
    bool after_key;
};

struct json json_to(struct buf *out);

void json_open(struct json *json, char bracket);  /* '{' or '[' */
void json_close(struct json *json, char bracket); /* '}' or ']' */
void json_key(struct json *json, const char *name);
void json_key_str(struct json *json, struct str name);

void json_str(struct json *json, struct str text);
void json_text(struct json *json, const char *text); /* NULL writes null */
void json_number(struct json *json, double value);   /* not finite writes null */
void json_i64(struct json *json, int64_t value);
void json_u64(struct json *json, uint64_t value);
void json_bool(struct json *json, bool value);
/* Named so that jansson.h, which has a json_null, can be included beside. */
void json_put_null(struct json *json);
void json_raw(struct json *json, struct str value); /* JSON that is ready */

/* "name": value in one call. */
void json_field_text(struct json *json, const char *name, const char *text);
void json_field_str(struct json *json, const char *name, struct str text);
void json_field_number(struct json *json, const char *name, double value);
void json_field_u64(struct json *json, const char *name, uint64_t value);
void json_field_bool(struct json *json, const char *name, bool value);
