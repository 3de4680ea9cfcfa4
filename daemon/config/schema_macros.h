/* How a line of the table is written. For schema_table.c and schema_people.c alone. */
#pragma once

#include "config/schema.h"

#define KEY(key_name, key_type, key_help, ...)                                                     \
    {                                                                                              \
        .name = (key_name), .type = SCHEMA_##key_type, .help = (key_help), __VA_ARGS__             \
    }

#define REQUIRED      .required = true
#define KEPT          .built = SCHEMA_KEPT
#define LATER         .built = SCHEMA_LATER
#define DRAFTS        .built = SCHEMA_DRAFTS
#define LIST          .shape = SCHEMA_LIST
#define ONE_OR_LIST   .shape = SCHEMA_ONE_OR_LIST
#define IDS           .shape = SCHEMA_IDS
#define NAMES         .shape = SCHEMA_NAMES
#define OBJECT(o)     .object = (o)
#define DEFAULT(text) .fallback = (text)
#define WORDS(text)   .fallback_words = (text)
/* One of these words; SOME says which of them are not built yet. */
#define ONE_OF(...)                                                                                \
    .choices = (const char *const[])                                                               \
    {                                                                                              \
        __VA_ARGS__, NULL                                                                          \
    }
#define SOME(...)                                                                                  \
    .later = (const char *const[])                                                                 \
    {                                                                                              \
        __VA_ARGS__, NULL                                                                          \
    }

#define KEYS(array) .keys = (array), .key_count = sizeof(array) / sizeof((array)[0])
