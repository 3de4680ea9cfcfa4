"""A client of kpid's own protocol (proto/kpid.proto) that writes its frames by hand.

As a program it is a producer that may be killed at any moment: it notes each batch in a file before
it sends it, and each acknowledgement, and sends what has none again after its next start.

  native_client.py PORT NUMBER FILE [--finish]"""

import pathlib
import random
import select
import socket
import struct
import sys
import threading

UNTYPED, COUNTER, GAUGE, DISTRIBUTION, UNIQUE, SCORE = range(6)
PLAIN, CHANGE, CUMULATIVE, INCREMENT = range(4)
MALFORMED, TOO_LARGE, DENIED, TOO_OLD, BUSY = range(1, 6)

PAUSE = threading.Event()  # never set: waiting on it lets time pass


# --- the wire ---------------------------------------------------------------------------------------


def varint(number):
    out = bytearray()
    number &= (1 << 64) - 1
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def zigzag(number):
    return varint(number << 1 ^ number >> 63)


def field(number, content):
    """A text, a message or a packed column."""
    return varint(number << 3 | 2) + varint(len(content)) + content


def number_field(number, value):
    return varint(number << 3) + varint(value) if value else b""


def read_varint(data, at):
    value = shift = 0
    while True:
        value |= (data[at] & 0x7F) << shift
        shift += 7
        at += 1
        if data[at - 1] < 0x80:
            return value, at


def read_message(data):
    """{number: [values]}; texts and messages are bytes."""
    fields, at = {}, 0
    while at < len(data):
        tag, at = read_varint(data, at)
        value, at = read_varint(data, at)
        if tag & 7 == 2:
            value, at = data[at : at + value], at + value
        fields.setdefault(tag >> 3, []).append(value)
    return fields


# --- messages ---------------------------------------------------------------------------------------


class Batch:
    """Collects samples and writes them as columns."""

    def __init__(self, sequence):
        self.sequence = sequence
        self.symbols = {b"": 0}
        self.series = {}
        self.columns = []

    def symbol(self, text):
        return self.symbols.setdefault(text.encode(errors="surrogateescape"), len(self.symbols))

    def add(self, name, value=0.0, labels=None, kind=COUNTER, form=PLAIN, at=None, weight=1, member="", start=0):
        """`at` and `start` in milliseconds since 1970."""
        pairs = b"".join(varint(self.symbol(part)) for pair in (labels or {}).items() for part in pair)
        key = (number_field(1, self.symbol(name)) + field(2, pairs) + number_field(3, kind) + number_field(4, form)
               + number_field(5, start))
        index = self.series.setdefault(key, len(self.series))
        self.columns.append((index, value, at, int(weight * 65536), self.symbol(member)))
        return self

    def frame(self):
        out = number_field(1, self.sequence)
        out += b"".join(field(2, text) for text in self.symbols)
        out += b"".join(field(3, key) for key in self.series)
        if self.columns:
            series, values, times, weights, members = zip(*self.columns)
            out += field(4, b"".join(map(varint, series)))
            out += field(5, struct.pack(f"<{len(values)}d", *values))
            if None not in times:
                before = (0, *times[:-1])
                out += field(6, b"".join(zigzag(at - last) for at, last in zip(times, before)))
            if any(weight != 65536 for weight in weights):
                out += field(7, b"".join(map(varint, weights)))
            if any(members):
                out += field(8, b"".join(map(varint, members)))
        return field(2, out)


class Answer:
    """An Ack or an Error."""

    def __init__(self, kind, fields):
        self.is_ack = kind == 2
        self.sequence = fields.get(1, [0])[0]
        if self.is_ack:
            self.stored = fields.get(2, [0])[0]
            self.repeated = bool(fields.get(3, [0])[0])
            self.rejected = fields.get(4, [0])[0]
            self.dropped = fields.get(5, [0])[0]
            self.examples = [read_message(example) for example in fields.get(6, [])]
        else:
            self.code = fields.get(2, [0])[0]
            self.message = fields.get(3, [b""])[0].decode()


class Connection:
    """One connection that has been welcomed. `to` is a port of this machine or the path of a socket."""

    def __init__(self, to, producer=b"", epoch=0, token="", timeout=60):
        self.socket = (socket.create_connection(("127.0.0.1", to), timeout) if isinstance(to, int)
                       else socket.socket(socket.AF_UNIX))
        self.socket.settimeout(timeout)
        try:
            if not isinstance(to, int):
                self.socket.connect(str(to))
            hello = field(1, producer) + number_field(2, epoch) + field(3, token.encode()) + field(4, b"test 1")
            self.send_frame(field(1, hello))
            [(kind, content)] = self.read_frame().items()
            self.refusal = Answer(kind, read_message(content[0])) if kind == 3 else None
            self.welcome = read_message(content[0]) if kind == 1 else None
        except BaseException:
            self.socket.close()
            raise

    def send_frame(self, frame):
        self.socket.sendall(struct.pack(">I", len(frame)) + frame)

    def send(self, *batches):
        self.socket.sendall(b"".join(struct.pack(">I", len(frame)) + frame for frame in (b.frame() for b in batches)))

    def read_exactly(self, size):
        data = b""
        while len(data) < size:
            chunk = self.socket.recv(size - len(data))
            if not chunk:
                raise ConnectionError("kpid has closed the connection")
            data += chunk
        return data

    def read_frame(self):
        return read_message(self.read_exactly(struct.unpack(">I", self.read_exactly(4))[0]))

    def answer(self):
        [(kind, content)] = self.read_frame().items()
        return Answer(kind, read_message(content[0]))

    def ask(self, batch):
        self.send(batch)
        return self.answer()

    def close(self):
        self.socket.close()


# --- a producer that may be killed --------------------------------------------------------------------

UNANSWERED = 20  # batches at a time


def batch_of(number, sequence):
    """Always the same, so that a copy of it can be made again after any crash."""
    batch = Batch(sequence)
    for i in range(samples_of(sequence)):
        batch.add("shop_orders", 1 + i % 3, {"writer": str(number)})
        batch.add("shop_value", 10 * i, kind=DISTRIBUTION)
    return batch


def samples_of(sequence):
    return 1 + sequence % 13


def sum_of(sequence):
    """Of shop_orders."""
    return sum(1 + i % 3 for i in range(samples_of(sequence)))


class Notes:
    """What a producer knows over its own death: batches begun, batches acknowledged."""

    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.begun, self.acknowledged = set(), set()
        text = self.path.read_text() if self.path.exists() else ""
        for line in text.split("\n")[:-1]:  # what follows the last newline was cut off
            (self.begun if line[0] == "b" else self.acknowledged).add(int(line[1:]))
        whole = self.path.with_suffix(".new")  # it may be killed here too
        whole.write_text("".join(f"b{n}\n" for n in sorted(self.begun))
                         + "".join(f"a{n}\n" for n in sorted(self.acknowledged)))
        whole.replace(self.path)
        self.file = open(self.path, "ab", buffering=0)

    def begin(self, sequence):
        self.file.write(f"b{sequence}\n".encode())
        self.begun.add(sequence)

    def acknowledge(self, sequence):
        self.file.write(f"a{sequence}\n".encode())
        self.acknowledged.add(sequence)


class Producer:
    def __init__(self, port, number, path):
        self.port = port
        self.number = number
        self.notes = Notes(path)
        self.connections = []
        self.random = random.Random()

    def connect(self):
        """Two at once: a resend goes over the other one while the first copy may be in flight."""
        producer = bytes([self.number]) * 16
        self.connections = [Connection(self.port, producer, 1, timeout=10) for _ in range(2)]

    def send(self, sequences):
        """Each in any order over one connection, some over both. Returns how many answers will come."""
        count = 0
        for sequence in self.random.sample(sequences, len(sequences)):
            targets = self.connections if self.random.random() < 0.3 else [self.random.choice(self.connections)]
            for connection in targets:
                connection.send(batch_of(self.number, sequence))
                count += 1
        return count

    def take_answers(self, count):
        for _ in range(count):
            ready, _, _ = select.select([c.socket for c in self.connections], [], [], 10)
            if not ready:
                raise TimeoutError("no answer")
            connection = next(c for c in self.connections if c.socket in ready)
            answer = connection.answer()
            if answer.is_ack:
                if answer.sequence not in self.notes.acknowledged:
                    self.notes.acknowledge(answer.sequence)
            elif answer.code != BUSY:
                sys.exit(f"batch {answer.sequence} is answered {answer.code}: {answer.message}")

    def turn(self, more):
        waiting = sorted(self.notes.begun - self.notes.acknowledged)
        while more and len(waiting) < UNANSWERED:
            sequence = max(self.notes.begun, default=0) + 1
            self.notes.begin(sequence)
            waiting.append(sequence)
        again = [max(self.notes.acknowledged)] if self.notes.acknowledged and self.random.random() < 0.2 else []
        self.take_answers(self.send(waiting + again))
        return bool(waiting)

    def run(self, more):
        while True:
            try:
                if not self.connections:
                    self.connect()
                if not self.turn(more) and not more:
                    return
            except OSError:
                for connection in self.connections:
                    connection.close()
                self.connections = []
                PAUSE.wait(0.01)


if __name__ == "__main__":
    Producer(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]).run("--finish" not in sys.argv)
