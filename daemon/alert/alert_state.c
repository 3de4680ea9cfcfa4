#include "alert/alert_state.h"

#include <math.h>
#include <string.h>

enum { STATE_VERSION = 2 };

const char *alert_phase_name(enum alert_phase phase)
{
    switch (phase) {
    case ALERT_INACTIVE:
        return "inactive";
    case ALERT_PENDING:
        return "pending";
    case ALERT_FIRING:
        return "firing";
    }
    return "inactive";
}

/* A clock that was set back must not hold an alert until it has caught up. */
static bool is_past(wall_ms since, wall_ms now)
{
    return since != WALL_NONE && since <= now;
}

static enum alert_change begin(const struct alert_input *input, struct alert_state *out)
{
    *out = (struct alert_state)ALERT_STATE_EMPTY;
    out->phase = input->for_ms > 0 ? ALERT_PENDING : ALERT_FIRING;
    out->since = input->now;
    out->period_from = input->period_from;
    out->value = input->value;
    out->fingerprint = input->fingerprint;
    return out->phase == ALERT_FIRING ? ALERT_FIRED : ALERT_STATE_CHANGED;
}

static enum alert_change drop(struct alert_state *out, enum alert_change change)
{
    *out = (struct alert_state)ALERT_STATE_EMPTY;
    return change;
}

static bool period_turned(const struct alert_state *old, const struct alert_input *input)
{
    return input->restarts && input->period_from > old->period_from;
}

static enum alert_change next_pending(const struct alert_state *old,
                                      const struct alert_input *input, struct alert_state *out)
{
    bool anew = period_turned(old, input) || old->fingerprint != input->fingerprint;

    if (input->when == TRUTH_FALSE)
        return drop(out, ALERT_STATE_CHANGED);
    if (input->when == TRUTH_UNKNOWN)
        return period_turned(old, input) ? drop(out, ALERT_STATE_CHANGED) : ALERT_NO_CHANGE;
    if (anew || !is_past(old->since, input->now))
        return begin(input, out);
    if (input->now - old->since < input->for_ms)
        return ALERT_NO_CHANGE;
    out->phase = ALERT_FIRING;
    out->since = input->now;
    out->period_from = input->period_from;
    out->value = input->value;
    return ALERT_FIRED;
}

/* The rule changed while it fired (ALR-12): the new condition decides as soon as it is known. */
static enum alert_change next_changed_rule(const struct alert_state *old,
                                           const struct alert_input *input, struct alert_state *out)
{
    if (input->when == TRUTH_FALSE)
        return drop(out, ALERT_ENDED_RULE);
    if (input->when == TRUTH_UNKNOWN)
        return period_turned(old, input) ? drop(out, ALERT_ENDED_PERIOD) : ALERT_NO_CHANGE;
    out->fingerprint = input->fingerprint;
    out->period_from = input->period_from;
    out->clear_since = WALL_NONE;
    return ALERT_STATE_CHANGED;
}

static enum alert_change next_recovering(const struct alert_state *old,
                                         const struct alert_input *input, struct alert_state *out)
{
    if (input->recover == TRUTH_UNKNOWN)
        return ALERT_NO_CHANGE;
    /* A `recover` that overlaps `when` must not turn the alert on and off at each evaluation. */
    if (input->recover == TRUTH_FALSE || input->when == TRUTH_TRUE) {
        out->clear_since = WALL_NONE;
        return old->clear_since == WALL_NONE ? ALERT_NO_CHANGE : ALERT_STATE_CHANGED;
    }
    if (!is_past(old->clear_since, input->now)) {
        out->clear_since = input->now;
        return input->hold_ms > 0 ? ALERT_STATE_CHANGED : drop(out, ALERT_RESOLVED);
    }
    if (input->now - old->clear_since < input->hold_ms)
        return ALERT_NO_CHANGE;
    return drop(out, ALERT_RESOLVED);
}

static enum alert_change next_firing(const struct alert_state *old, const struct alert_input *input,
                                     struct alert_state *out)
{
    if (old->fingerprint != input->fingerprint)
        return next_changed_rule(old, input, out);
    if (period_turned(old, input))
        return drop(out, ALERT_ENDED_PERIOD);
    return next_recovering(old, input, out);
}

enum alert_change alert_state_next(const struct alert_state *old, const struct alert_input *input,
                                   struct alert_state *out)
{
    *out = *old;
    switch (old->phase) {
    case ALERT_INACTIVE:
        return input->when == TRUTH_TRUE ? begin(input, out) : ALERT_NO_CHANGE;
    case ALERT_PENDING:
        return next_pending(old, input, out);
    case ALERT_FIRING:
        return next_firing(old, input, out);
    }
    return ALERT_NO_CHANGE;
}

void alert_state_encode(const struct alert_state *state, struct buf *out)
{
    buf_u8(out, STATE_VERSION);
    buf_u8(out, (uint8_t)state->phase);
    buf_i64(out, state->since);
    buf_i64(out, state->clear_since);
    buf_i64(out, state->period_from);
    buf_double(out, state->value);
    buf_u64(out, state->fingerprint);
    buf_block(out, str_of(state->alert_id));
    buf_block(out, state->hooks);
}

bool alert_state_decode(struct str bytes, struct alert_state *out)
{
    struct reader reader = reader_of(bytes);
    struct alert_state state = ALERT_STATE_EMPTY;

    uint8_t version = read_u8(&reader);
    uint8_t phase = read_u8(&reader);
    state.since = read_i64(&reader);
    state.clear_since = read_i64(&reader);
    state.period_from = read_i64(&reader);
    state.value = read_double(&reader);
    state.fingerprint = read_u64(&reader);
    struct str id = read_block(&reader);
    state.hooks = read_block(&reader);
    if (!reader.ok || reader.left != 0 || version != STATE_VERSION || phase > ALERT_FIRING ||
        id.len >= sizeof state.alert_id)
        return false;
    state.phase = (enum alert_phase)phase;
    if (id.len > 0)
        memcpy(state.alert_id, id.text, id.len);
    *out = state;
    return true;
}
