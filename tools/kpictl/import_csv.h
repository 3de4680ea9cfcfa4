/* kpictl import --csv: a sample for each row, each of which counts once. */
#pragma once

#include "command.h"

/* Looks through the whole file first; nothing is sent when a row is wrong, unless '--skip-bad'. */
enum exit_code import_csv(const struct invocation *invocation);
