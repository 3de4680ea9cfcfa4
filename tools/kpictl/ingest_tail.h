/* kpictl ingest tail: samples as they come, until it is interrupted or --count of them were shown.
 */
#pragma once

#include "command.h"

enum exit_code ingest_tail(const struct invocation *invocation);
