/* OTLP's JSON to the protobuf that says the same (O7), so that both are read by one walk.
 *
 * Field by field, by a table, without a tree: numbers of 64 bits stay what they are, be they
 * numbers or texts; names are lowerCamelCase alone; enums are numbers; what is not known, not
 * needed or null is passed over. `bytesValue` becomes the text that stands for it, which
 * otlp_labels.h would make of the bytes. */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "ingest/body_pause.h"

/* An ExportMetricsServiceRequest. False: it is none (ERROR_INVALID), or would be longer than
 * `size_max` (ERROR_FULL). Makes a pause now and then. */
bool otlp_json_convert(struct str json, size_t size_max, const struct body_pause *pause,
                       struct buf *out, struct error *err);
