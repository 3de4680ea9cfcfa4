"""Hostile peers on every kind of listener, and on server.http: garbage, halves of requests, slow ones,
floods, bombs, depth, bodies without an end. One kpid bears all of it; after each attack it is alive, what
it counted balances, and a good client of each listener is served. In the end its memory was never above a
stated bound."""

import concurrent.futures
import contextlib
import gzip
import json
import pickle
import random
import resource
import socket
import ssl
import struct
import time
import zlib

import pytest

import native_client
from certificates import make_authority, make_certificate
from conftest import BUILD, PATIENCE, Kpid, wait_until
from remote_write import V1, number, series_1, snappy, text, varint

LISTENERS = [("statsd", "udp"), ("statsd", "tcp"), ("statsd", "unix"), ("statsd", "unixgram"), ("dogstatsd", "udp"),
             ("dogstatsd", "tcp"), ("dogstatsd", "unix"), ("dogstatsd", "unixgram"), ("graphite", "tcp"),
             ("graphite", "udp"), ("graphite", "unix"), ("graphite_pickle", "tcp"), ("graphite_pickle", "unix"),
             ("influx", "tcp"), ("influx", "udp"), ("influx", "unix"), ("influx", "http"), ("prometheus", "http"),
             ("otlp", "http"), ("json", "http"), ("collectd", "http"), ("native", "tcp"), ("native", "unix")]
SECURED = {("statsd", "tls"): "tcp", ("influx", "https"): "http", ("native", "tls"): "tcp"}  # by TLS
API = ("server", "http")  # no listener: server.http
STREAMS = [one for one in LISTENERS if one[1] not in ("udp", "unixgram")]
HTTP = [one for one in LISTENERS if one[1] == "http"]
LIMITS = "limits: { connections: 600, request: 3s, line: 16K, frame: 1M }"
CONNECTIONS_MAX = 600

# The budget of bytes for bodies and frames under way is 256 MiB; the rest is kpid itself. Sanitizers keep
# what was freed.
IS_SANITIZED = any(mark in (BUILD / "kpid").read_bytes() for mark in (b"__asan_init", b"__tsan_init"))
MEMORY_MAX = (2048 if IS_SANITIZED else 400) << 20


class Target:
    """A kpid with a listener of every kind."""

    def __init__(self, folder):
        lines = []
        for protocol, transport in LISTENERS:
            where = f"{folder}/{protocol}.{transport}" if transport.startswith("unix") else "127.0.0.1:0"
            lines.append(f'  - {{ protocol: {protocol}, listen: "{transport}:{where}" }}\n')
        make_authority(folder)
        make_certificate(folder, "server")
        self.trust = ssl.create_default_context(cafile=str(folder / "ca.crt"))
        for (protocol, _), transport in SECURED.items():
            lines.append(f'  - {{ protocol: {protocol}, listen: "{transport}:127.0.0.2:0", '
                         f'tls: {{ cert: {folder}/server.crt, key: {folder}/server.key }} }}\n')
        self.daemon = Kpid(folder, "ingest:\n" + "".join(lines) + "metrics: { well: { type: counter } }\n",
                           server=', http: { listen: "127.0.0.1:0" }')
        config = self.daemon.config_path
        config.write_text(config.read_text().replace("threads:", LIMITS + ", threads:"))
        self.daemon.start()
        self.addresses = {}
        for one in self.ledgers():
            kind, (_, _, where) = kind_of(one), one["listen"].partition(":")
            host, _, port = where.rpartition(":")
            self.addresses[kind] = where if kind[1].startswith("unix") else (host, int(port))
        api = next(line for line in self.daemon.log().splitlines() if "protocol=http " in line)
        self.addresses[API] = ("127.0.0.1", int(api.rpartition(":")[2]))

    def ledgers(self):
        return self.daemon.ask("ingest")["listeners"]

    def counter(self, name):
        lines = self.daemon.get("/metrics")[1].splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith((name + " ", name + "{")))

    def dial(self, kind, timeout=PATIENCE, is_plain=False):
        """`is_plain`: no TLS, even where it is asked for."""
        address = self.addresses[kind]
        connection = socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET)
        connection.settimeout(timeout)
        connection.connect(address)
        if kind not in SECURED or is_plain:
            return connection
        return self.trust.wrap_socket(connection, server_hostname="localhost")

    def say_secretly(self, kind, data):
        """By TLS, with its goodbye: kpid says its own, or has broken off."""
        with self.dial(kind) as connection, contextlib.suppress(OSError):
            connection.sendall(data)
            connection.unwrap()

    def throw(self, kind, data):
        """A datagram. One that the kernel has no room for is lost."""
        address = self.addresses[kind]
        with socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.settimeout(PATIENCE)
            sender.sendto(data, address)

    def exchange(self, kind, *parts):
        """Says this, as much as is taken, and then nothing more; what was answered until the end. Without TLS."""
        with self.dial(kind, is_plain=True) as connection:
            try:
                for part in parts:
                    connection.sendall(part)
                connection.shutdown(socket.SHUT_WR)
            except OSError:
                pass
            return read_to_end(connection)

    def serve(self, *kinds):
        """A good client of each has its sample stored, and is told so where that is told."""
        before = self.stored()
        for kind in kinds:
            self.say_well(kind)

        def all_served():
            now = self.stored()
            waiting = [kind for kind in kinds if now[kind] == before[kind]]
            for kind in waiting:
                if kind not in STREAMS and kind not in SECURED:  # the kernel's buffer may have been full of garbage
                    self.throw(kind, good(kind))
            return not waiting

        wait_until(all_served, f"good clients of {kinds}")

    def say_well(self, kind):
        protocol, transport = kind
        if kind in SECURED:
            self.say_secretly(kind, good(kind))
        elif protocol == "native":
            address = self.addresses[kind]
            client = native_client.Connection(address if transport == "unix" else address[1])
            assert client.ask(native_client.Batch(1).add("well")).stored == 1
            client.close()
        elif transport == "http":
            answer = self.exchange(kind, good(kind))
            assert answer.startswith((b"HTTP/1.1 200", b"HTTP/1.1 204")), (kind, answer)
        elif kind in STREAMS:
            self.exchange(kind, good(kind))
        else:
            self.throw(kind, good(kind))

    def stored(self):
        return {kind_of(one): one["stored"] for one in self.ledgers()}

    def check(self):
        """After an attack."""
        assert self.daemon.process.poll() is None, self.daemon.log()
        self.serve(*LISTENERS, *SECURED)
        assert self.exchange(API, good(API)).startswith(b"HTTP/1.1 200")
        wait_until(lambda: all(one["pending"] == 0 for one in self.ledgers()), "all to be committed")
        for one in self.ledgers():
            told = one["stored"] + sum(one["rejected"].values()) + sum(one["dropped"].values())
            assert one["received"] == told, one

    def memory_peak(self):
        with open(f"/proc/{self.daemon.process.pid}/status", encoding="ascii") as lines:
            return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


@pytest.fixture(scope="module", name="target")
def one_target(tmp_path_factory):
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(8192, limits[1]), limits[1]))
    made = Target(tmp_path_factory.mktemp("hostile"))
    yield made
    code = made.daemon.stop()
    resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert code == 0 and "Sanitizer" not in made.daemon.log(), made.daemon.log()


def kind_of(listener):
    transport, _, where = listener["listen"].partition(":")
    if where.startswith("127.0.0.2:"):
        transport = {"tcp": "tls", "http": "https"}[transport]
    return listener["protocol"], transport


def read_to_end(connection):
    answer = b""
    try:
        while chunk := connection.recv(65536):
            answer += chunk
    except ConnectionResetError:
        pass
    return answer


def request(path, body, *headers, length=None):
    lines = [f"POST {path} HTTP/1.1", "Host: kpid", *headers,
             f"Content-Length: {len(body) if length is None else length}"]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def chunk(data):
    return b"%x\r\n%s\r\n" % (len(data), data)


def good(kind):
    """What a client of this listener says to have one sample stored."""
    now = time.time()
    if kind == API:
        return b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    if kind in (("influx", "http"), ("influx", "https")):
        return request("/write?db=x", b"well v=1")
    if kind[0] == "native":
        hello = native_client.field(1, native_client.field(4, b"test 1"))
        frames = (hello, native_client.Batch(1).add("well").frame())
        return b"".join(struct.pack(">I", len(frame)) + frame for frame in frames)
    return {
        "statsd": lambda: b"well:1|c\n",
        "dogstatsd": lambda: (struct.pack("<I", 8) if kind[1] == "unix" else b"") + b"well:1|c",
        "graphite": lambda: b"well 1 -1\n",
        "graphite_pickle": lambda: frame_of(pickle.dumps([("well", (-1, 1))])),
        "influx": lambda: b"well v=1\n",
        "prometheus": lambda: request("/api/v1/write", snappy(series_1({"__name__": "up"}, (1, int(now * 1000)))),
                                      f"Content-Type: {V1}", "Content-Encoding: snappy"),
        "otlp": lambda: request("/v1/metrics", otlp_gauge(), "Content-Type: application/json"),
        "json": lambda: request("/push", b'{"samples":[{"name":"well","value":1}]}'),
        "collectd": lambda: request("/", b'[{"values":[1],"dstypes":["gauge"],"dsnames":["value"],"plugin":"p",'
                                         b'"type":"t"}]'),
    }[kind[0]]()


def frame_of(data):
    return struct.pack(">I", len(data)) + data


def otlp_gauge():
    point = {"asInt": "1", "timeUnixNano": str(time.time_ns())}
    metric = {"name": "level", "gauge": {"dataPoints": [point]}}
    return json.dumps({"resourceMetrics": [{"scopeMetrics": [{"metrics": [metric]}]}]}).encode()


def in_parallel(calls):
    """The results of all, in their order."""
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        return [future.result() for future in [pool.submit(*call) for call in calls]]


# --- bytes ----------------------------------------------------------------------------------------


def mangled(chance, data):
    """A good request with a few bytes of it changed, left out or doubled."""
    data = bytearray(data)
    for _ in range(chance.randrange(1, 6)):
        at = chance.randrange(len(data))
        change = chance.randrange(3)
        if change == 0:
            data[at] = chance.randrange(256)
        elif change == 1:
            del data[at:at + chance.randrange(1, 9)]
        else:
            data[at:at] = data[max(0, at - 20):at]
        if not data:
            return b"\0"
    return bytes(data)


def client_hello(target):
    """What begins a TLS session."""
    ours = ssl.MemoryBIO()
    session = target.trust.wrap_bio(ssl.MemoryBIO(), ours, server_hostname="localhost")
    with contextlib.suppress(ssl.SSLWantReadError):
        session.do_handshake()
    return ours.read()


def test_garbage_on_every_listener(target):
    chance = random.Random(4)
    calls = []

    def garbage(whole):
        return [mangled(chance, whole) if number_of % 2 else chance.randbytes(chance.randrange(1, 3000))
                for number_of in range(40)]

    for kind in [*LISTENERS, API]:
        say = target.throw if kind not in STREAMS and kind != API else target.exchange
        calls += [(say, kind, data) for data in garbage(good(kind))]
    push = good(("json", "http")).replace(b"/push", b"/api/v1/push").replace(b"kpid", b"localhost")
    calls += [(target.exchange, API, data) for data in garbage(push)]
    for kind in SECURED:
        calls += [(target.exchange, kind, data) for data in garbage(client_hello(target))]
        calls += [(target.say_secretly, kind, data) for data in garbage(good(kind))]
    failures = target.counter("kpid_tls_failures_total")
    in_parallel(calls)
    assert target.counter("kpid_tls_failures_total") > failures
    target.check()
    assert all(one["rejected"] for one in target.ledgers()), target.ledgers()


def test_halves_of_requests_on_every_listener(target):
    """Ended by a close, or by a reset in the middle."""
    reset = struct.pack("ii", 1, 0)

    def say_half(kind, data, is_reset, is_plain=False):
        with target.dial(kind, is_plain=is_plain) as connection:
            connection.sendall(data)
            if is_reset:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)

    calls = []
    for kind in [*STREAMS, *SECURED, API]:
        whole = good(kind)
        for at in range(0, len(whole), max(1, len(whole) // 20)):
            calls += [(say_half, kind, whole[:at], False), (say_half, kind, whole[:at], True)]
    for kind in SECURED:  # halves of a handshake
        whole = client_hello(target)
        for at in range(0, len(whole), len(whole) // 10):
            calls += [(say_half, kind, whole[:at], False, True), (say_half, kind, whole[:at], True, True)]
    in_parallel(calls)
    target.check()


def test_pipelined_garbage_is_answered_after_what_was_good(target):
    for kind in HTTP:
        answer = target.exchange(kind, good(kind), b"\0\xff garbage\r\n\r\n" * 100)
        assert answer.count(b"HTTP/1.1 2") == 1 and answer.count(b"HTTP/1.1 400") == 1, (kind, answer)
    for kind in (("native", "tcp"), ("native", "unix")):
        answer = target.exchange(kind, good(kind), frame_of(b"\xff" * 50) * 100)
        assert b"\x12" in answer and len(answer) < 1000, answer  # a welcome, an ack, one error
    target.check()


def test_who_never_reads_is_not_waited_for(target):
    """Very many requests at once, and none of the answers is taken."""
    deaf = []
    for kind in [*HTTP, ("native", "tcp")]:
        connection = target.dial(kind, timeout=0.5)
        data = good(kind)
        if kind[0] == "native":
            hello, rest = data[:4 + data[3]], data[4 + data[3]:]
            connection.sendall(hello)
            data = rest
        try:
            for _ in range(2000):
                connection.sendall(data * 50)
        except OSError:
            pass  # kpid does not read on
        deaf.append(connection)
    target.serve(*LISTENERS)
    for connection in deaf:
        connection.close()
    target.check()


# --- time -----------------------------------------------------------------------------------------


def test_slow_clients_are_ended_and_others_served(target):
    """A byte now and then, never a whole request. Where requests have a deadline, it ends them; lines may
    take as long as they like."""
    connections = []
    for kind in STREAMS:
        whole = good(kind)
        for number_of in range(30):
            connection = target.dial(kind)
            # Half of them begin with most of it.
            at = len(whole) - 12 if number_of % 2 else 0
            connection.sendall(whole[:at])
            connections.append([kind, connection, whole[at:-1] or b"w", 0])
    begun = time.monotonic()
    while time.monotonic() < begun + 4:
        for one in connections:
            kind, connection, data, sent = one
            if sent < len(data):
                one[3] += 1
                try:
                    connection.sendall(data[sent:sent + 1])
                except OSError:
                    one[3] = len(data)
        target.serve(("statsd", "tcp"), ("influx", "http"), ("otlp", "http"), ("native", "tcp"))
    for kind, connection, _, _ in connections:
        if kind in HTTP:
            assert read_to_end(connection).startswith(b"HTTP/1.1 408"), kind
        elif kind[0] == "native":
            read_to_end(connection)
        connection.close()
    target.check()


def test_more_connections_than_are_allowed(target):
    wait_until(lambda: target.counter("kpid_connections") == 0, "the connections before it to end")
    refused = target.counter("kpid_connections_refused_total")
    flood = []
    for number_of in range(CONNECTIONS_MAX + 300):
        flood.append(target.dial(STREAMS[number_of % len(STREAMS)]))
    wait_until(lambda: target.counter("kpid_connections_refused_total") >= refused + 300, "300 refusals")
    assert target.counter("kpid_connections") == CONNECTIONS_MAX
    assert target.daemon.get("/healthz")[0] == 200
    for connection in flood:
        connection.close()
    wait_until(lambda: target.counter("kpid_connections") == 0, "the flood to end")
    target.check()


# --- size -----------------------------------------------------------------------------------------

CONTENT = {"influx": ("/write", ""), "otlp": ("/v1/metrics", "application/json"), "json": ("/push", ""),
           "prometheus": ("/api/v1/write", V1), "collectd": ("/", "application/json")}


def zeros(megabytes, what=b" "):
    """A gzip stream of so many blanks, as small as it gets."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    block = what * (1 << 20)
    return b"".join(packer.compress(block) for _ in range(megabytes)) + packer.flush()


def test_gzip_bombs(target):
    bomb = zeros(80)
    layered = gzip.compress(bomb)
    many = gzip.compress(b"") * 50000  # members without content
    for protocol in ("influx", "otlp", "json", "collectd"):
        path, content = CONTENT[protocol]
        headers = ["Content-Encoding: gzip", f"Content-Type: {content or 'text/plain'}"]
        kind = (protocol, "http")
        assert target.exchange(kind, request(path, bomb, *headers)).startswith(b"HTTP/1.1 4"), kind
        answers = in_parallel([(target.exchange, kind, request(path, bomb, *headers))] * 8)
        assert all(answer[:10] in (b"HTTP/1.1 4", b"HTTP/1.1 5") for answer in answers)
        for body in (layered, many, bomb[:-100], gzip.compress(b" ") + b"garbage"):
            answer = target.exchange(kind, request(path, body, *headers))
            assert answer.startswith((b"HTTP/1.1 4", b"HTTP/1.1 20")), (kind, answer)
    answer = target.exchange(("influx", "http"), request("/write", zeros(40, b"m f=1\n"), "Content-Encoding: gzip"))
    # So many lines take their time, under sanitizers more than a request has.
    assert answer.startswith((b"HTTP/1.1 413", b"HTTP/1.1 408")), answer
    target.check()


def test_snappy_bombs(target):
    kind = ("prometheus", "http")
    headers = [f"Content-Type: {V1}", "Content-Encoding: snappy"]
    mebibyte = 1 << 20
    copies = b"\xfe\x01\x00" * 16384  # 64 bytes each, of those that came before
    cases = [varint((1 << 32) - 1), varint(1 << 40), varint(33 * mebibyte), varint(32 * mebibyte),
             varint(mebibyte) + b"\x00\x0a" + copies, varint(4) + b"\x00\x0a" + copies, b"\xff" * 10]
    for body in cases:
        answer = target.exchange(kind, request("/api/v1/write", body, *headers))
        assert answer.startswith((b"HTTP/1.1 400", b"HTTP/1.1 413")), (body[:10], answer)
    # As much as may be claimed, by many at once, who then say nothing.
    claims = []
    for _ in range(100):
        connection = target.dial(kind)
        connection.sendall(request("/api/v1/write", varint(32 * mebibyte) + b"\x00\x0a", *headers, length=8 * mebibyte))
        claims.append(connection)
    target.serve(("influx", "tcp"), ("statsd", "udp"))
    for connection in claims:
        assert read_to_end(connection)[:10] in (b"HTTP/1.1 4", b"HTTP/1.1 5")
        connection.close()
    target.check()


def test_deep_nesting(target):
    deep = 1_000_000
    arrays = b'{"a":' * deep
    for kind, path, content in ((("json", "http"), "/push", "application/json"),
                                (("otlp", "http"), "/v1/metrics", "application/json"),
                                (("collectd", "http"), "/", "application/json")):
        for body in (b"[" * deep, arrays, b'{"resourceMetrics":' + b"[" * deep, b'{"samples":[' + b"[" * deep,
                     b'[{"meta":' + b"[" * deep, b'[{"values":[' + b"[" * deep,
                     b'{"x":' + b"[" * deep + b"]" * deep + b"}"):
            answer = target.exchange(kind, request(path, body, f"Content-Type: {content}"))
            assert answer.startswith(b"HTTP/1.1 4"), (kind, body[:20], answer)
    value = b""
    for _ in range(2000):  # an AnyValue of a list of an AnyValue
        value = text(5, text(1, value))
    groups = b"\x0b" * deep
    resource_of = text(1, text(1, text(1, text(1, "k") + text(2, value))))
    for body in (resource_of, groups, text(1, groups)):
        answer = target.exchange(("otlp", "http"), request("/v1/metrics", body, "Content-Type: application/x-protobuf"))
        assert answer.startswith((b"HTTP/1.1 4", b"HTTP/1.1 200")), answer
    for body in (groups, text(1, groups), text(1, text(1, groups))):
        answer = target.exchange(("prometheus", "http"), request("/api/v1/write", snappy(body), f"Content-Type: {V1}",
                                                                 "Content-Encoding: snappy"))
        assert answer.startswith(b"HTTP/1.1 400"), answer
    for pickled in (b"(" * 900_000, b"]" * 900_000, b"(l" * 400_000, b"\x80\x02" + b"]q\x00" * 300_000,
                    b"(" * 100_000 + b"t" * 100_000 + b"."):
        target.exchange(("graphite_pickle", "tcp"), frame_of(pickled))
    for frame in (b"\x0b" * 900_000, text(2, b"\x0b" * 900_000), text(2, text(3, text(2, b"\xff" * 900_000)))):
        hello = native_client.field(1, native_client.field(4, b"test 1"))
        answer = target.exchange(("native", "tcp"), frame_of(hello), frame_of(frame))
        assert answer, "a welcome at least"
    target.check()


def test_numbers_that_lie(target):
    """Lengths and counts that are not what follows."""
    huge = (1 << 63) - 1
    for kind in HTTP:
        path, content = CONTENT[kind[0]]
        headers = [f"Content-Type: {content or 'text/plain'}"]
        headers += ["Content-Encoding: snappy"] if kind[0] == "prometheus" else []
        for length in (huge, 1 << 64, -1, "0x10", "1, 2", 33 << 20):
            answer = target.exchange(kind, request(path, b"x", *headers, length=length))
            assert answer.startswith(b"HTTP/1.1 4"), (kind, length, answer)
        for size in (b"ffffffffffffffff", b"fffffffffffffffff", b"-1", b"zz"):
            head = request(path, b"", *headers, "Transfer-Encoding: chunked").replace(b"Content-Length: 0\r\n", b"")
            answer = target.exchange(kind, head, size + b"\r\nx")
            assert answer.startswith(b"HTTP/1.1 4"), (kind, size, answer)
    for data in (text(1, b"")[:1] + varint(huge), number(1, 1)[:1] + b"\xff" * 20, b"\x0a" + varint(1 << 31) + b"x"):
        answer = target.exchange(("otlp", "http"), request("/v1/metrics", data, "Content-Type: application/x-protobuf"))
        assert answer.startswith(b"HTTP/1.1 400"), answer
        answer = target.exchange(("prometheus", "http"), request("/api/v1/write", snappy(data), f"Content-Type: {V1}",
                                                                 "Content-Encoding: snappy"))
        assert answer.startswith(b"HTTP/1.1 400"), answer
    for length in (0, 0xFFFFFFFF, 0x80000000, (1 << 20) + 1):
        for kind, order in ((("graphite_pickle", "tcp"), ">"), (("dogstatsd", "unix"), "<"), (("native", "tcp"), ">")):
            target.exchange(kind, struct.pack(order + "I", length) + b"x" * 100)
    target.check()


def endless(target, kind, begin, more):
    """Sends until kpid ends it; (what it answered, bytes that were sent)."""
    with target.dial(kind) as connection:
        sent = 0
        try:
            connection.sendall(begin)
            while sent < 1 << 30:
                connection.sendall(more)
                sent += len(more)
                connection.settimeout(0)  # does it say something?
                try:
                    if connection.recv(1, socket.MSG_PEEK) is not None:
                        break
                except BlockingIOError:
                    pass
                connection.settimeout(PATIENCE)
            connection.settimeout(PATIENCE)
        except OSError:
            connection.settimeout(PATIENCE)
        return read_to_end(connection), sent


def test_bodies_and_lines_without_an_end(target):
    for kind in HTTP:
        path, content = CONTENT[kind[0]]
        headers = [f"Content-Type: {content or 'text/plain'}", "Transfer-Encoding: chunked"]
        headers += ["Content-Encoding: snappy"] if kind[0] == "prometheus" else []
        head = request(path, b"", *headers).replace(b"Content-Length: 0\r\n", b"")
        begin = varint(32 << 20) if kind[0] == "prometheus" else b" "
        answer, _ = endless(target, kind, head + chunk(begin), chunk(b" " * 65536))
        assert answer.startswith(b"HTTP/1.1 4"), (kind, answer)
        answer, sent = endless(target, kind, b"POST " + path.encode() + b" HTTP/1.1\r\n", b"X-Header: value\r\n" * 1000)
        assert answer.startswith(b"HTTP/1.1 431") and sent < 16 << 20, (kind, answer)
    for kind in STREAMS:
        if kind not in HTTP:
            _, sent = endless(target, kind, b"", b"w" * 65536)
            assert sent < 16 << 20, kind
    target.check()


def test_memory_stayed_within_its_bound(target):
    """The last one: the peak of all of the above."""
    peak = target.memory_peak()
    print(f"{peak >> 20} MiB at most")
    assert peak < MEMORY_MAX
