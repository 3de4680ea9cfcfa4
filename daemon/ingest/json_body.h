/* The body of POST /push of a listener: samples in JSON, for people and scripts. The language is
 * push.h's; all of a body is stored, or nothing. What keeps one that is sent again from counting
 * twice is an Idempotency-Key or, for one sample, its id.
 *
 * A metric without a declared type and a sample without "type" makes "untyped": which kinds a
 * metric has is not known here. */
#pragma once

#include "ingest/body.h"

extern const struct body_format JSON_BODY_FORMAT;
