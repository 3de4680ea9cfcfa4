#include "base/counters.h"

#include "base/buf.h"

struct counters counters;

void counters_format(struct buf *out)
{
#define COUNTER_SUFFIX "_total"
#define GAUGE_SUFFIX   ""
#define COUNTER_TYPE   "counter"
#define GAUGE_TYPE     "gauge"
#define COUNTERS_LINE(kind, name, help)                                                            \
    buf_printf(out, "# HELP kpid_%s %s\n# TYPE kpid_%s %s\nkpid_%s %llu\n", #name kind##_SUFFIX,   \
               help, #name kind##_SUFFIX, kind##_TYPE, #name kind##_SUFFIX,                        \
               (unsigned long long)COUNTER_GET(name));
    COUNTERS(COUNTERS_LINE)
#undef COUNTERS_LINE
}
