/* Prometheus remote write, 1.0 (prometheus.WriteRequest) and 2.0 (io.prometheus.write.v2.Request):
 * walked on the wire bytes into a batch of points (P1 to P18). The Content-Type says which.
 *
 * Counters, and the buckets, sums and counts of histograms and summaries, are points that count up
 * (FIG-23), the rest are levels; remote_types.h says which is which. A native histogram of integers
 * is a point of a distribution. Labels come sorted, without empty ones, and `le` as the shortest
 * number (P18). Stale markers, NaN and infinity are taken and dropped; exemplars are passed over
 * and not counted.
 *
 * What is no protobuf refuses the body as a whole; a series that makes no sense rejects its own
 * samples. The body comes in one piece (http_body.h), for the symbols of 2.0 may follow what refers
 * to them. */
#pragma once

#include "ingest/body.h"

extern const struct body_format REMOTE_BODY_FORMAT;
