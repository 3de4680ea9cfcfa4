#include "store/verify_json.h"

void verify_json_finding(struct buf *items, const struct verify_finding *finding)
{
    if (items->len > 0)
        buf_char(items, ',');
    struct json json = json_to(items);
    json_open(&json, '{');
    json_field_text(&json, "what", finding->what);
    json_field_text(&json, "where", finding->where);
    json_field_text(&json, "text", finding->text);
    json_close(&json, '}');
}

void verify_json_result(struct json *json, const struct verify_counts *counts, struct str items)
{
    const struct {
        const char *name;
        uint64_t value;
    } fields[] = {
        {"series", counts->series},
        {"runs", counts->runs},
        {"cells", counts->cells},
        {"partitions", counts->partitions},
        {"blocks", counts->blocks},
        {"points", counts->points},
        {"compared", counts->compared},
        {"days", counts->days},
        {"ledgers", counts->ledgers},
        {"identities", counts->identities},
        {"index_runs", counts->index_runs},
        {"index_entries", counts->index_entries},
        {"rows", counts->rows},
        {"found", counts->findings},
    };

    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
        json_field_u64(json, fields[i].name, fields[i].value);
    json_key(json, "records");
    json_open(json, '{');
    for (int i = 0; i < RECORD_TABLE_COUNT; i++)
        json_field_u64(json, verify_table_name((enum record_table)i), counts->records[i]);
    json_close(json, '}');
    json_key(json, "findings");
    json_open(json, '[');
    if (items.len > 0)
        json_raw(json, items);
    json_close(json, ']');
}
