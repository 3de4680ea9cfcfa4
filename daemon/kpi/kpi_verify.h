/* What verify asks of this folder's tables (store/verify.h): whether a row is what it should be. */
#pragma once

#include "store/verify.h"

bool kpi_verify_schedule(struct verify_record *record, struct error *why); /* RECORD_SCHEDULE */
bool kpi_verify_declared(struct verify_record *record, struct error *why); /* RECORD_DECLARED */
bool kpi_verify_figure(struct verify_record *record, struct error *why);   /* RECORD_FIGURE */
