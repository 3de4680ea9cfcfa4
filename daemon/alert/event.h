/* A change worth telling: what the outbox keeps and the hooks send.
 *
 * An event holds its own words and numbers, so that it can be told when the configuration that made
 * it is gone. */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include "base/json.h"

enum event_type {
    EVENT_FIRING,   /* kpi.alert.firing */
    EVENT_RESOLVED, /* kpi.alert.resolved */
    EVENT_ENDED,    /* kpi.alert.ended */
    EVENT_TEST,     /* kpid.test */
    EVENT_RESTATED, /* kpi.period.restated */
};

const char *event_type_name(enum event_type type); /* as in hooks.md 3.15 */

struct event {
    char id[33]; /* unique; receivers can drop repeats by it */
    enum event_type type;
    wall_ms at;
    struct str alert_id; /* the same from firing to its end */
    struct str rule;
    struct str kpi;
    struct str title;
    struct str severity; /* "info", "warning", "critical" */
    struct str status;   /* kpi_status_name */
    struct str unit;
    struct str value_text;  /* "2.4 %": as a person reads it; "no value" when null */
    struct str target_text; /* "at most 2 %"; empty without target */
    struct str period;      /* label of the judged period */
    struct str reason;      /* ended: "period_end", "rule_changed"; restated: "late_samples"; else
                               empty */
    struct str text;        /* the message, one line */
    struct str action;      /* `do`; may be empty */
    struct str runbook;     /* may be empty */
    bool has_value;
    double value; /* in `unit` */
    bool has_target;
    double target; /* in `unit` */
    wall_ms period_from, period_to;
    struct str period_from_text, period_to_text, at_text; /* ISO 8601 with offset */
    /* Of a restatement: what was said before. */
    bool has_old_value;
    double old_value;          /* in `unit` */
    struct str old_value_text; /* as value_text */
    struct str old_status;
};

/* 128 random bits as 32 hex digits and a NUL: ids of events and alerts. */
void event_new_id(char out[33]);

/* RECORD_EVENT's value:
 *   u8 version 2, u8 type, i64 at, i64 period_from, i64 period_to,
 *   u8 flags (1 has_value, 2 has_target, 4 has_old_value), f64 value, f64 target,
 *   block id, then a block for each text in the order of the struct up to at_text,
 *   f64 old_value, block old_value_text, block old_status
 * Version 1 ended with at_text. */
void event_encode(const struct event *event, struct buf *out);

/* Texts point into `bytes`. False when they are not what event_encode wrote, to the last byte. */
bool event_decode(struct str bytes, struct event *out);

/* {"type","timestamp","data":{...}}: the body of Standard Webhooks, of exec and of lists. What does
 * not exist is null. */
void event_json(const struct event *event, struct json *json);
