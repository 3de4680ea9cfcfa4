/* Every table of records with who knows its bytes, for verify (store/verify.h): of kpid and of
 * kpictl on a directory alike. */
#pragma once

#include "store/verify.h"

extern const struct verify_table RECORD_TABLES[RECORD_TABLE_COUNT];
