"""Remote write by hand: protobuf, and snappy's block format with nothing but literals."""

import struct

V1 = "application/x-protobuf"
V2 = "application/x-protobuf;proto=io.prometheus.write.v2.Request"
STALE = struct.pack("<Q", 0x7FF0000000000002)


def varint(value):
    value &= (1 << 64) - 1
    out = bytearray()
    while value >= 128:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes(out) + bytes([value])


def number(field, value):
    return varint(field << 3) + varint(value)


def text(field, value):
    value = value if isinstance(value, bytes) else value.encode()
    return varint(field << 3 | 2) + varint(len(value)) + value


def double(field, value):
    return varint(field << 3 | 1) + (value if isinstance(value, bytes) else struct.pack("<d", value))


def snappy(data):
    """A block: its length, then literals of at most 2^16 bytes."""
    out = varint(len(data))
    for at in range(0, len(data), 65536):
        part = data[at:at + 65536]
        out += b"\xf4" + struct.pack("<H", len(part) - 1) + part
    return out


def sample(value, at, start=0):
    return text(2, double(1, value) + number(2, at) + (number(3, start) if start else b""))


def series_1(labels, *samples):
    """One TimeSeries of 1.0; a sample is (value, ms)."""
    inner = b"".join(text(1, text(1, name) + text(2, value)) for name, value in labels.items())
    return text(1, inner + b"".join(sample(*one) for one in samples))


def metadata_1(family, kind):
    return text(3, number(1, kind) + text(2, family))


def request_2(*all_series):
    """A Request of 2.0; each series is (labels, type, *samples), a sample (value, ms, start ms) or bytes."""
    symbols = [""]
    out = b""
    for labels, kind, *samples in all_series:
        refs = b""
        for word in (word for pair in labels.items() for word in pair):
            if word not in symbols:
                symbols.append(word)
            refs += varint(symbols.index(word))
        inner = text(1, refs) + text(5, number(1, kind))
        out += text(5, inner + b"".join(one if isinstance(one, bytes) else sample(*one) for one in samples))
    return b"".join(text(4, symbol) for symbol in symbols) + out
