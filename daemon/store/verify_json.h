/* What a verification says, as JSON: the same from kpid and from kpictl on a directory. */
#pragma once

#include "base/json.h"
#include "store/verify.h"

/* {"what","where","text"}, after a comma when there is something already: for an array that is
 * built up while it goes on. */
void verify_json_finding(struct buf *items, const struct verify_finding *finding);

/* Fields of an object: counts, and "findings" with the items. */
void verify_json_result(struct json *json, const struct verify_counts *counts, struct str items);
