/* OpenTelemetry's metrics over HTTP (O1 to O19): an ExportMetricsServiceRequest, in protobuf or in
 * JSON as its Content-Type says, becomes a batch of points.
 *
 * JSON is made protobuf first (otlp_json.h), so one walk over the wire bytes reads both. Monotonic
 * sums are counters: cumulative ones points that count up (FIG-23), delta ones increments. Sums
 * that are not monotonic are levels when they are cumulative; as deltas they are increments of a
 * counter that may fall. Gauges are levels, histograms distributions; a summary becomes levels with
 * a label `quantile`, and NAME_count and NAME_sum.
 *
 * Labels are the point's attributes, and the resource's that tell senders apart (O8). What is no
 * request refuses the body as a whole; a point that makes no sense is rejected, and the answer says
 * so (O4). Points with the flag "no recorded value" and values that are no numbers are taken and
 * dropped; exemplars are passed over. */
#pragma once

#include "ingest/body.h"

extern const struct body_format OTLP_BODY_FORMAT;
