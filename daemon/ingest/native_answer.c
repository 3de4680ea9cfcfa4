#include "ingest/native_answer.h"

#include <assert.h>
#include <kpid.pb-c.h>

static_assert(NATIVE_MALFORMED == (int)KPID__V1__CODE__MALFORMED &&
                  NATIVE_TOO_LARGE == (int)KPID__V1__CODE__TOO_LARGE &&
                  NATIVE_DENIED == (int)KPID__V1__CODE__DENIED &&
                  NATIVE_TOO_OLD == (int)KPID__V1__CODE__TOO_OLD &&
                  NATIVE_BUSY == (int)KPID__V1__CODE__BUSY,
              "codes are those of kpid.proto");

uint32_t native_frame_length(const unsigned char *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

static void append(struct buf *out, const Kpid__V1__ServerFrame *frame)
{
    size_t len = kpid__v1__server_frame__get_packed_size(frame);

    for (int shift = 24; shift >= 0; shift -= 8)
        buf_u8(out, (uint8_t)(len >> shift));
    (void)kpid__v1__server_frame__pack(frame, (unsigned char *)buf_room(out, len));
    out->len += len;
}

void native_say_welcome(struct buf *out, size_t frame_bytes_max, unsigned batches_max)
{
    Kpid__V1__Welcome welcome = KPID__V1__WELCOME__INIT;
    Kpid__V1__ServerFrame frame = KPID__V1__SERVER_FRAME__INIT;
    char server[] = "kpid " KPID_VERSION;

    welcome.frame_bytes_max = frame_bytes_max > UINT32_MAX ? UINT32_MAX : (uint32_t)frame_bytes_max;
    welcome.batches_max = batches_max;
    welcome.server = server;
    frame.kind_case = KPID__V1__SERVER_FRAME__KIND_WELCOME;
    frame.welcome = &welcome;
    append(out, &frame);
}

void native_say_error(struct buf *out, const struct native_error *error)
{
    Kpid__V1__Error answer = KPID__V1__ERROR__INIT;
    Kpid__V1__ServerFrame frame = KPID__V1__SERVER_FRAME__INIT;

    answer.sequence = error->sequence;
    answer.code = (Kpid__V1__Code)error->code;
    answer.message = (char *)error->words;
    answer.retry_after_ms = error->retry_after_ms;
    frame.kind_case = KPID__V1__SERVER_FRAME__KIND_ERROR;
    frame.error = &answer;
    append(out, &frame);
}

void native_say_ack(struct buf *out, const struct native_ack *ack)
{
    Kpid__V1__Ack answer = KPID__V1__ACK__INIT;
    Kpid__V1__ServerFrame frame = KPID__V1__SERVER_FRAME__INIT;
    Kpid__V1__Rejected rejected[NATIVE_EXAMPLES];
    Kpid__V1__Rejected *examples[NATIVE_EXAMPLES];

    answer.sequence = ack->sequence;
    answer.repeated = ack->repeated;
    frame.kind_case = KPID__V1__SERVER_FRAME__KIND_ACK;
    frame.ack = &answer;
    if (!ack->repeated) {
        answer.stored = ack->stored;
        answer.rejected = ack->rejected;
        answer.dropped = ack->dropped;
        answer.n_examples = ack->example_count;
        answer.examples = examples;
    }
    for (size_t i = 0; i < answer.n_examples; i++) {
        rejected[i] = (Kpid__V1__Rejected)KPID__V1__REJECTED__INIT;
        rejected[i].sample = ack->examples[i].sample;
        rejected[i].reason = (char *)reject_reason_name(ack->examples[i].reason);
        rejected[i].message = (char *)ack->examples[i].message;
        examples[i] = &rejected[i];
    }
    append(out, &frame);
}
