#include "web/record_tables.h"

#include "alert/alert_verify.h"
#include "kpi/kpi_verify.h"
#include "web/token_record.h"

static bool verify_token(struct verify_record *record, struct error *why)
{
    struct token_record token;

    return token_record_decode(record->key, record->value, &token) ||
           error_set(why, ERROR_CORRUPT, "its row is damaged");
}

const struct verify_table RECORD_TABLES[RECORD_TABLE_COUNT] = {
    {RECORD_ALERT_STATE, alert_verify_state}, {RECORD_OUTBOX, alert_verify_entry},
    {RECORD_EVENT, alert_verify_event},       {RECORD_HOOK, alert_verify_hook},
    {RECORD_SCHEDULE, kpi_verify_schedule},   {RECORD_DECLARED, kpi_verify_declared},
    {RECORD_FIGURE, kpi_verify_figure},       {RECORD_TOKEN, verify_token},
};
