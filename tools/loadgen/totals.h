/* What was sent and what a receiver without loss has, for people or as JSON. */
#pragma once

#include "options.h"

void totals_print(const struct load_options *options, const struct payload *payload,
                  const struct sender_result *result, double render_s);
