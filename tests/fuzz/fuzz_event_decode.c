/* Stored events: whatever is accepted encodes to the same bytes again, but those of version 1, and
 * is valid JSON input. */
#include <stdlib.h>
#include <string.h>

#include "alert/event.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct event event;
    struct event again;

    if (!event_decode((struct str){(const char *)bytes, len}, &event))
        return 0;
    struct buf encoded = BUF_EMPTY;
    event_encode(&event, &encoded);
    if (!event_decode(buf_view(&encoded), &again) || (bytes[0] != 1 && encoded.len != len))
        abort();
    struct buf text = BUF_EMPTY;
    struct json json = json_to(&text);
    event_json(&event, &json);
    if (!str_is_utf8(buf_view(&text)))
        abort();
    buf_fini(&text);
    buf_fini(&encoded);
    return 0;
}
