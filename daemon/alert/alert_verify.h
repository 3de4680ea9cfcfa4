/* What verify asks of this folder's tables (store/verify.h): whether a row is what it should be,
 * and whether outbox, history and the counts of hooks agree. */
#pragma once

#include "store/verify.h"

bool alert_verify_state(struct verify_record *record, struct error *why); /* RECORD_ALERT_STATE */
bool alert_verify_entry(struct verify_record *record, struct error *why); /* RECORD_OUTBOX */
bool alert_verify_event(struct verify_record *record, struct error *why); /* RECORD_EVENT */
bool alert_verify_hook(struct verify_record *record, struct error *why);  /* RECORD_HOOK */
