/* The budget of bytes that all workers share for bodies and frames (ingest_options.body_budget). */
#pragma once

#include "base/counters.h"
#include "ingest/ingest_worker.h"

static inline void budget_release(struct ingest_worker *worker, size_t bytes)
{
    (void)atomic_fetch_sub_explicit(&worker->shared->body_bytes, bytes, memory_order_relaxed);
    COUNTER_SUB(ingest_body_bytes, bytes);
}

/* Charges them whatever there is; false when there was no room for them. */
static inline bool budget_charge(struct ingest_worker *worker, size_t bytes)
{
    size_t before =
        atomic_fetch_add_explicit(&worker->shared->body_bytes, bytes, memory_order_relaxed);
    COUNTER_ADD(ingest_body_bytes, bytes);
    return before + bytes <= worker->body_budget;
}

static inline bool budget_try_charge(struct ingest_worker *worker, size_t bytes)
{
    if (budget_charge(worker, bytes))
        return true;
    budget_release(worker, bytes);
    return false;
}

static inline bool budget_has(const struct ingest_worker *worker, size_t bytes)
{
    return atomic_load_explicit(&worker->shared->body_bytes, memory_order_relaxed) + bytes <=
           worker->body_budget;
}
