/* kpid's own metrics: one list gives the struct, the names and the help of /metrics.
 *
 * One process-wide set of relaxed atomics: these are for people, the ledger (series/ledger.h) is
 * for accounts. COUNTER only grows, GAUGE stands for what is now. */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

struct buf;

/*      kind     name                          help */
#define COUNTERS(X)                                                                                \
    X(COUNTER, commits, "Transactions committed by the writer")                                    \
    X(COUNTER, commit_failures, "Transactions that failed and were tried again")                   \
    X(COUNTER, commit_microseconds, "Time spent in transactions by the writer")                    \
    X(COUNTER, cells_written, "Cells merged into the store")                                       \
    X(COUNTER, mixed_points,                                                                       \
      "Points that say of two senders under one series, whose metric's figures are partial")       \
    X(COUNTER, series_created, "Series created in the store")                                      \
    X(COUNTER, series_churned, "Series that came no more and joined __other__ of their metric")    \
    X(COUNTER, series_refused, "Series that were not made: beyond a limit of series")              \
    X(COUNTER, samples_over_limit,                                                                 \
      "Samples that joined __other__ of their metric: beyond a limit of series")                   \
    X(GAUGE, series_active, "Series that had a sample in the last 24 hours")                       \
    X(COUNTER, evaluations, "KPIs evaluated")                                                      \
    X(COUNTER, evaluation_errors, "Evaluations that could not read the store")                     \
    X(COUNTER, samples_late, "Samples of minutes that had ended two minutes before or earlier")    \
    X(COUNTER, periods_restated, "Closed periods that late samples have changed")                  \
    X(COUNTER, period_looks,                                                                       \
      "Looks for late samples at the closed periods of a KPI that have ended")                     \
    X(COUNTER, alerts_fired, "Alerts that began to fire")                                          \
    X(COUNTER, messages_sent, "Messages accepted by a hook")                                       \
    X(COUNTER, messages_failed, "Attempts to deliver a message that failed")                       \
    X(COUNTER, messages_dead, "Messages given up")                                                 \
    X(COUNTER, control_accept_failures,                                                            \
      "Connections of the control interface that could not be had")                                \
    X(COUNTER, http_requests, "Requests answered by the control interface")                        \
    X(COUNTER, connections_accepted, "Stream connections accepted by listeners")                   \
    X(COUNTER, connections_refused, "Stream connections refused at a limit")                       \
    X(COUNTER, connections_denied, "Connections of those who may not speak to their listener")     \
    X(COUNTER, tls_failures, "TLS handshakes with listeners that failed")                          \
    X(COUNTER, tokens_denied, "Requests without a token, with a wrong one, or beyond its role")    \
    X(COUNTER, ingest_requests, "HTTP requests answered by listeners")                             \
    X(COUNTER, ingest_requests_refused, "HTTP requests to listeners that were told to come again") \
    X(COUNTER, ingest_batches, "Batches of the native protocol that were read")                    \
    X(COUNTER, ingest_batches_refused,                                                             \
      "Batches of the native protocol that were told to come again")                               \
    X(COUNTER, ingest_pauses,                                                                      \
      "Times an ingest thread stopped reading: too much waited for the store")                     \
    X(COUNTER, connection_waits,                                                                   \
      "Times a stream was left alone: no room for another long line or frame without an end")      \
    X(COUNTER, unknown_fields, "Fields of DogStatsD lines that are not known and were skipped")    \
    X(COUNTER, annotations_skipped,                                                                \
      "Changes of service checks that were not noted: too many events in a minute")                \
    X(COUNTER, reloads, "Configurations loaded by a reload")                                       \
    X(COUNTER, reload_failures, "Reloads refused because of mistakes")                             \
    X(GAUGE, loss_window_milliseconds,                                                             \
      "How much input that nobody waits for a crash may lose, in time")                            \
    X(GAUGE, connections, "Stream connections open now")                                           \
    X(GAUGE, connections_waiting, "Streams that wait for room for a long line or frame now")       \
    X(GAUGE, ingest_body_bytes, "Bytes held for HTTP bodies and frames that are not answered yet") \
    X(GAUGE, ingest_paused, "Ingest threads that do not read now")                                 \
    X(GAUGE, shard_series, "Series known to the ingest threads")                                   \
    X(GAUGE, series_cache_bytes,                                                                   \
      "Bytes the ingest threads remember with how senders of batches spell series")                \
    X(GAUGE, catalog_bytes, "Bytes the writer remembers series with")                              \
    X(GAUGE, tracker_bytes, "Bytes the writer remembers the last points of series with")

struct counters {
#define COUNTERS_FIELD(kind, name, help) _Atomic uint64_t name;
    COUNTERS(COUNTERS_FIELD)
#undef COUNTERS_FIELD
};

extern struct counters counters;

#define COUNTER_ADD(name, by)                                                                      \
    ((void)atomic_fetch_add_explicit(&counters.name, (uint64_t)(by), memory_order_relaxed))
#define COUNTER_SUB(name, by)                                                                      \
    ((void)atomic_fetch_sub_explicit(&counters.name, (uint64_t)(by), memory_order_relaxed))
#define COUNTER_SET(name, to)                                                                      \
    (atomic_store_explicit(&counters.name, (uint64_t)(to), memory_order_relaxed))
#define COUNTER_GET(name) (atomic_load_explicit(&counters.name, memory_order_relaxed))

/* In Prometheus' text format, each as kpid_NAME (counters as kpid_NAME_total). */
void counters_format(struct buf *out);
