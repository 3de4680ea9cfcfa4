"""The ledger balances at any moment and for every listener: received = stored + rejected + dropped.

Everything is sent at once, as fast as it goes, good and broken, with limits that are too small for
it, while somebody adds the ledger up; and kpid is killed in between."""

import http.client
import json
import pickle
import socket
import struct
import threading
import time

import pytest

import native_client
from conftest import TICK, wait_until
from remote_write import V1, metadata_1, series_1, snappy

COUNTER_FAMILY = 1

LISTENERS = """
ingest:
  - { protocol: statsd, listen: "udp:127.0.0.1:0" }
  - { protocol: statsd, listen: "tcp:127.0.0.1:0" }
  - { protocol: dogstatsd, listen: "unixgram:FOLDER/dogstatsd.sock" }
  - { protocol: graphite, listen: "tcp:127.0.0.1:0" }
  - { protocol: graphite_pickle, listen: "unix:FOLDER/pickle.sock" }
  - { protocol: influx, listen: "http:127.0.0.1:0" }
  - { protocol: prometheus, listen: "http:127.0.0.1:0" }
  - { protocol: otlp, listen: "http:127.0.0.1:0" }
  - { protocol: json, listen: "http:127.0.0.1:0" }
  - { protocol: collectd, listen: "http:127.0.0.1:0" }
  - { protocol: native, listen: "tcp:127.0.0.1:0" }
"""


class Flood:
    """A thread that sends until it is told to stop. What a sender yields is how many samples it is certain
    that kpid has received since the last time."""

    def __init__(self, listener, sender, target):
        self.listener = listener  # "statsd tcp"
        self.sender = sender
        self.target = target
        self.sent = 0
        self.error = None
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        try:
            for count in self.sender(self.target, self.over):
                self.sent += count
                if self.over.is_set():
                    break
        except OSError as error:  # kpid was killed
            self.error = error
        except http.client.HTTPException as error:
            self.error = error

    def stop(self):
        self.over.set()
        self.thread.join(60)
        assert not self.thread.is_alive(), self.listener


# --- senders ----------------------------------------------------------------------------------------


def statsd_tcp(port, over):
    lines = [f"orders:1|c|#n:{i}" for i in range(200)] + ["broken", "orders:x|c", "wait:5|ms|@0.5", "users:u1|s"]
    data = "".join(line + "\n" for line in lines).encode()
    with socket.create_connection(("127.0.0.1", port), 60) as connection:
        while not over.is_set():
            connection.sendall(data)
            yield len(lines)


def statsd_udp(port, over):
    data = [f"udp{i % 300}:1|c\nlevel:+{i}|g\nbad" .encode() for i in range(600)]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        while not over.is_set():
            for one in data:
                sender.sendto(one, ("127.0.0.1", port))
            yield 0  # the kernel may drop some
            TICK.wait(0.001)


def dogstatsd(path, over):
    data = [b"packed:1:2:3|h|#a:b", b"_sc|db|0", b"_e{1,1}:t|x", b"_e{9,1}:t|x", b"nothing", b"x:1|c|T1"]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.settimeout(60)
        sender.connect(str(path))
        while not over.is_set():
            for one in data:
                sender.send(one)
            yield 3 + 5


def graphite(port, over):
    now = int(time.time())
    lines = [f"shop.{i}.orders;n={i} {i} {now}" for i in range(100)] + ["a b c", f"nan nan {now}", f"old 1 {now - 10**9}"]
    data = "".join(line + "\n" for line in lines).encode()
    with socket.create_connection(("127.0.0.1", port), 60) as connection:
        while not over.is_set():
            connection.sendall(data)
            yield len(lines)


def pickles(path, over):
    points = [(f"pickled.{i}", (int(time.time()), i)) for i in range(100)]
    good = pickle.dumps(points, protocol=2)
    frames = b"".join(struct.pack(">I", len(one)) + one for one in (good, b"nonsense"))
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(60)
        connection.connect(str(path))
        while not over.is_set():
            connection.sendall(frames)
            yield len(points) + 1


def posts(port, over, path, bodies, **headers):
    """`bodies` yields (body, samples); one that kpid has no room for is sent again later."""
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    for body, samples in bodies:
        while not over.is_set():
            connection.request("POST", path, body, headers)
            answer = connection.getresponse()
            answer.read()
            if answer.status not in (429, 503):
                yield samples
                break
            TICK.wait(0.05)
        if over.is_set():
            return


def influx(port, over):
    def bodies():
        while True:
            lines = [f"visits,n={i} count={i}i,text=\"t\"" for i in range(100)] + ["broken line here"]
            yield "\n".join(lines).encode(), 201

    yield from posts(port, over, "/write?db=x", bodies())


def prometheus(port, over):
    def bodies():
        at = int(time.time() * 1000)
        for turn in range(10**9):
            series = [
                series_1({"__name__": "requests_total", "n": str(i)}, (turn, at + turn), (turn, at + turn - 1))
                for i in range(50)
            ]
            stale = series_1({"__name__": "up"}, (struct.pack("<Q", 0x7FF0000000000002), at + turn))
            yield snappy(b"".join(series) + stale + metadata_1("requests", COUNTER_FAMILY)), 101

    yield from posts(port, over, "/api/v1/write", bodies(), Content_Type=V1, Content_Encoding="snappy")


def otlp(port, over):
    def bodies():
        start = time.time_ns()
        for turn in range(10**9):
            points = [
                {
                    "attributes": [{"key": "n", "value": {"stringValue": str(i)}}],
                    "startTimeUnixNano": str(start),
                    "timeUnixNano": str(start + turn * 10**6 + 1),
                    "asInt": str(turn),
                }
                for i in range(50)
            ]
            metric = {"name": "jobs", "sum": {"aggregationTemporality": 2, "isMonotonic": True, "dataPoints": points}}
            body = {"resourceMetrics": [{"scopeMetrics": [{"metrics": [metric]}]}]}
            yield json.dumps(body).encode(), 50

    yield from posts(port, over, "/v1/metrics", bodies(), Content_Type="application/json")


def pushes(port, over):
    def bodies():
        while True:
            samples = [{"name": "deals", "value": i, "labels": {"n": str(i)}, "type": "counter"} for i in range(50)]
            yield json.dumps({"samples": samples}).encode(), 50
            yield b'{"name": "deals"', 1

    yield from posts(port, over, "/push", bodies(), Content_Type="application/json")


def collectd(port, over):
    def bodies():
        while True:
            yield json.dumps([{"values": [i, None], "dstypes": ["derive", "gauge"], "dsnames": ["rx", "tx"],
                               "time": time.time(), "host": "web1", "plugin": "interface", "type": "if_octets",
                               "plugin_instance": f"eth{i}", "type_instance": ""} for i in range(25)]
                             + [{"values": [1, 2, 3]}]).encode(), 53
            yield b'{"values":[1]}', 1

    yield from posts(port, over, "/collectd", bodies(), Content_Type="application/json")


def native(port, over):
    connection = native_client.Connection(port, b"0123456789abcdef", int(time.time() * 1000))
    sequence = 0
    try:
        while not over.is_set():
            sequence += 1
            batch = native_client.Batch(sequence)
            for i in range(50):
                batch.add("native_orders", 1, {"n": str(i)})
            batch.add("native_orders", float("nan"))
            answer = connection.ask(batch)
            assert answer.is_ack, answer.message
            yield 51
            connection.send(batch)  # a copy
            assert connection.answer().repeated
            yield 51
    finally:
        connection.close()


SENDERS = {
    ("statsd", "tcp"): statsd_tcp,
    ("statsd", "udp"): statsd_udp,
    ("dogstatsd", "unixgram"): dogstatsd,
    ("graphite", "tcp"): graphite,
    ("graphite_pickle", "unix"): pickles,
    ("influx", "http"): influx,
    ("prometheus", "http"): prometheus,
    ("otlp", "http"): otlp,
    ("json", "http"): pushes,
    ("collectd", "http"): collectd,
    ("native", "tcp"): native,
}


# --- adding it up -----------------------------------------------------------------------------------


def key_of(listener):
    return listener["protocol"], listener["listen"].split(":")[0]


def add_up(listeners, before):
    """Every listener balances, and none of its counts has become less."""
    for listener in listeners:
        key = key_of(listener)
        gone = sum(listener["rejected"].values()) + sum(listener["dropped"].values())
        assert listener["received"] == listener["stored"] + gone, listener
        assert listener["pending"] < 10**9, listener
        assert listener["received"] >= before.get(key, 0), (listener, before.get(key))
        before[key] = listener["received"]


def flood_all(made):
    def target(protocol, transport, listen):
        if transport in ("unix", "unixgram"):
            return listen.partition(":")[2]
        return int(listen.rsplit(":", 1)[1])

    floods = []
    for listener in made.ask("ingest")["listeners"]:
        key = key_of(listener)
        if key in SENDERS and not listener["listen"].endswith(":0"):
            floods.append(Flood(key, SENDERS[key], target(*key, listener["listen"])))
    assert sorted(flood.listener for flood in floods) == sorted(SENDERS)
    return floods


def watch(made, before, seconds):
    """Polls and adds up for so long, at least a few times."""
    polls = 0
    until = time.monotonic() + seconds
    while time.monotonic() < until or polls < 3:
        add_up(made.ask("ingest")["listeners"], before)
        polls += 1
    return polls


def start(kpid, folder):
    made = kpid(LISTENERS.replace("FOLDER", str(folder)), start=False)
    text = made.config_path.read_text()
    limits = "limits: { series: 300, series_per_metric: 60, label_values: 40 }, "
    made.config_path.write_text(text.replace("threads:", limits + "threads:", 1))
    return made.start()


@pytest.mark.threads
def test_every_listener_balances_while_all_are_flooded(kpid, tmp_path):
    made = start(kpid, tmp_path)
    before = {}
    floods = flood_all(made)
    watch(made, before, 4)
    for flood in floods:
        flood.stop()
        assert flood.error is None, (flood.listener, flood.error)

    def all_committed():
        listeners = made.ask("ingest")["listeners"]
        add_up(listeners, before)
        return not any(listener["pending"] for listener in listeners)

    wait_until(all_committed, "all of it to be committed")
    # Streams, Unix datagrams and what is answered lose nothing on the way.
    for flood in floods:
        if flood.listener != ("statsd", "udp"):
            wait_until(
                lambda flood=flood: watch(made, before, 0) and before[flood.listener] == flood.sent,
                f"{flood.sent} samples of {flood.listener}, not {before[flood.listener]}",
                timeout=20,
            )
    assert before[("statsd", "udp")] > 0
    assert made.ask("ingest")["active_series"] <= 2 * 300


def test_the_ledger_balances_over_kill_9(kpid, tmp_path):
    made = start(kpid, tmp_path)
    before = {}
    answered = {}
    for _ in range(3):
        floods = flood_all(made)
        watch(made, before, 1)
        made.kill()
        for flood in floods:
            flood.stop()
            answered[flood.listener] = answered.get(flood.listener, 0) + flood.sent
        made.start()
        add_up(made.ask("ingest")["listeners"], before)
    # What was answered is in the ledger.
    for listener in (("influx", "http"), ("prometheus", "http"), ("otlp", "http"), ("native", "tcp")):
        assert before[listener] >= answered[listener], listener
