/* Any bytes on a stream, by each protocol and framing: it does not matter in which pieces they
 * come, every sample is counted once, and what is kept between reads stays within its limits. The
 * first byte says which protocol, the second one how long the pieces are. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ingest/stream_frame.h"
#include "series/shard.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LINE_MAX_BYTES = 100, FRAME_MAX_BYTES = 300 };

static const int64_t NOW_US = INT64_C(1791788430000000);

static const struct {
    enum protocol protocol;
    enum transport transport;
} KINDS[] = {{PROTOCOL_STATSD, TRANSPORT_TCP},
             {PROTOCOL_GRAPHITE, TRANSPORT_TCP},
             {PROTOCOL_GRAPHITE_PICKLE, TRANSPORT_TCP},
             {PROTOCOL_INFLUX, TRANSPORT_TCP},
             {PROTOCOL_DOGSTATSD, TRANSPORT_UNIX}};

static void require(bool holds)
{
    if (!holds)
        abort();
}

struct run {
    struct ledger ledger;
    bool open;
    size_t cells;
};

static void check_cells(struct shard *shard, struct run *run)
{
    struct delta *delta = shard_take_delta(shard);

    for (size_t i = 0; i < delta->series_count; i++)
        require(series_key_is_valid(delta->series[i].key));
    for (size_t i = 0; i < delta->cell_count; i++) {
        const struct aggregate *aggregate = &delta->cells[i].cell.aggregate;
        if (aggregate->count > 0)
            require(isfinite(aggregate->min) && isfinite(aggregate->max));
    }
    run->cells = delta->cell_count;
    delta_free(delta);
}

static struct run read_all(struct intake_dialect dialect, enum framing framing, struct str bytes,
                           size_t piece)
{
    const struct shard_limits limits = {.series = 50,
                                        .raw_keys = 100,
                                        .max_future = MS_PER_HOUR,
                                        .max_past = INT64_C(1000) * MS_PER_DAY};
    struct intake intake = {.shard = shard_new(&limits, NULL, 42),
                            .line_bytes_max = LINE_MAX_BYTES,
                            .frame_bytes_max = FRAME_MAX_BYTES};
    struct tail_room kept = {.bytes_max = LINE_MAX_BYTES};
    struct stream_cut cut = {.framing = framing, .room = &kept};
    struct run run = {.open = true};
    char *room = malloc(LINE_MAX_BYTES + piece);

    require(room != NULL);
    for (size_t at = 0; at < bytes.len && run.open; at += piece) {
        size_t len = bytes.len - at < piece ? bytes.len - at : piece;
        memcpy(room + LINE_MAX_BYTES, bytes.text + at, len);
        intake_begin(&intake, &run.ledger, dialect, NOW_US);
        run.open = stream_cut_take(&cut, &intake, room + LINE_MAX_BYTES, len);
        intake_end(&intake);
        require(ledger_balances(&run.ledger));
        require(kept.bytes <= LINE_MAX_BYTES + FRAME_MAX_BYTES + 256);
    }
    if (run.open) {
        intake_begin(&intake, &run.ledger, dialect, NOW_US);
        stream_cut_end(&cut, &intake, false);
        intake_end(&intake);
    }
    require(ledger_balances(&run.ledger));
    stream_cut_forget(&cut);
    require(kept.bytes == 0);
    check_cells(intake.shard, &run);
    intake_fini(&intake);
    shard_free(intake.shard);
    free(room);
    return run;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 3)
        return 0;
    size_t kind = data[0] % (sizeof KINDS / sizeof KINDS[0]);
    struct str bytes = {(const char *)data + 2, size - 2};
    const struct intake_dialect dialect = {.protocol = KINDS[kind].protocol,
                                           .skip_single_field = data[0] >= 128,
                                           .precision = INFLUX_S};
    enum framing framing = framing_of(KINDS[kind].protocol, KINDS[kind].transport);

    struct run whole = read_all(dialect, framing, bytes, bytes.len);
    struct run pieces = read_all(dialect, framing, bytes, (size_t)data[1] % 64 + 1);
    require(whole.open == pieces.open && whole.cells == pieces.cells);
    require(memcmp(&whole.ledger, &pieces.ledger, sizeof whole.ledger) == 0);
    return 0;
}
