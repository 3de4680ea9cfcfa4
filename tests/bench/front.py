"""What it costs to take samples: each protocol beside what the machine itself needs, and beside peers.

Receivers have one core, senders the other one. Each case is measured in rounds in which everybody has a
turn, because a machine's speed drifts; medians are compared."""

import contextlib
import statistics
import subprocess
import sys
import time
from typing import NamedTuple

from common import (Kpid, Program, Row, VictoriaMetrics, free_port, has_victoria_metrics, is_there, load, say, scratch,
                    wait_until)

RECEIVER, SENDER = 0, 1  # cores
GAUGES = "86,0,14"
TIMERS = "56,30,14"


def rounds(bench):
    return 2 if bench.quick else 5


def samples(bench, series=0, of_each=50):
    """So many of each series that several hand-overs of an ingest thread to the writer fall into a round."""
    return 2000000 if bench.quick else max(10000000, of_each * series)


def nanoseconds(cpu_s, count):
    return cpu_s * 1e9 / count


def settled_cpu(program):
    """The CPU it has used, once it uses no more."""
    before = -1.0
    while (now := program.cpu_s()) - before > 0.002:
        before = now
        time.sleep(0.3)
    return now


# --- the machine's own limit ----------------------------------------------------------------------


def line_limit(bench, series, mix):
    done = subprocess.run(["taskset", "-c", str(RECEIVER), bench.build / "bench_line", str(series), mix, "4"],
                          capture_output=True, text=True, check=True)
    return float(done.stdout)


class Sink(Program):
    def __init__(self, bench, folder, transport, address):
        super().__init__([bench.build / "bench_sink", transport, address], folder / f"sink-{transport}.log", RECEIVER)
        wait_until(lambda: self.check() and self.reports(), "the sink")

    def reports(self):
        with open(self.log, encoding="ascii") as file:
            return file.read().splitlines()

    def cost(self, send):
        """(ns of CPU a line, dropped datagrams) of what `send` sends."""
        before = len(self.reports())
        send()
        line = wait_until(lambda: self.reports()[before:], "the sink's word")[0]
        count, drops, cpu = line.split()
        return nanoseconds(float(cpu), int(count)), int(drops)


# --- StatsD over streams --------------------------------------------------------------------------


class Netdata(Program):
    """The quickest of the StatsD servers that Debian has."""

    def __init__(self, folder, cpu):
        self.port = free_port()
        web = free_port()
        for name in ("cache", "lib", "log", "etc"):
            (folder / name).mkdir()
        config = folder / "etc" / "netdata.conf"
        config.write_text(f"""[global]
run as user = root
[directories]
config = {folder}/etc
cache = {folder}/cache
lib = {folder}/lib
log = {folder}/log
[db]
mode = ram
[web]
bind to = 127.0.0.1:{web}
[ml]
enabled = no
[health]
enabled = no
[plugins]
""" + "".join(f"{name} = no\n" for name in (
            "timex", "checks", "idlejitter", "tc", "diskspace", "proc", "cgroups", "apps", "python.d", "charts.d", "go.d",
            "node.d", "fping", "ioping", "perf", "slabinfo", "nfacct", "loopsleepms", "ebpf", "enable running new plugins")) + f"""statsd = yes
[statsd]
enabled = yes
default port = {self.port}
bind to = udp:127.0.0.1 tcp:127.0.0.1
create private charts for metrics matching = !*
max private charts hard limit = 0
""", encoding="ascii")
        super().__init__(["netdata", "-D", "-c", config, "-P", folder / "pid"], folder / "netdata.out", cpu)

    def wait_ready(self):
        def ready():
            with contextlib.suppress(OSError):
                import socket
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return True
            return False
        wait_until(lambda: self.check() and ready(), "netdata", 60)


def start_netdata(folder, stack):
    """None where it is not installed."""
    if not is_there("netdata", "netdata"):
        return None
    home = folder / "netdata"
    home.mkdir()
    netdata = Netdata(home, RECEIVER)
    stack.callback(netdata.stop)
    netdata.wait_ready()
    return netdata


def send_lines(bench, transport, address, series, mix, count=None, protocol="statsd", more=()):
    """So many samples of known series, as fast as they are taken."""
    count = count or samples(bench, series)
    once = min(count, max(1000000, series))
    return load(bench, "-t", transport, "-a", address, "-p", protocol, "-s", series, "-n", once, "-R", max(1, count // once),
                "-d", "uniform", "-m", mix, "-w", 120, *more, cpu=SENDER)


def cost_of_lines(bench, program, transport, address, series, mix, count=None, protocol="statsd", more=()):
    """ns of CPU of all its threads for a sample, all of which it takes; kpid has committed all of them, too."""
    stored = program.stored() if isinstance(program, Kpid) else 0
    before = settled_cpu(program)
    sent = send_lines(bench, transport, address, series, mix, count, protocol, more)
    if isinstance(program, Kpid):
        wait_until(lambda: program.stored() >= stored + sent["samples"], "every sample to be stored", pause=1)
    return nanoseconds(settled_cpu(program) - before, sent["samples"])


STATSD = """ingest:
  - {{ protocol: statsd, listen: "tcp:127.0.0.1:0" }}
  - {{ protocol: statsd, listen: "udp:127.0.0.1:0" }}
  - {{ protocol: statsd, listen: "unix:{folder}/statsd.sock" }}
"""


@contextlib.contextmanager
def kpid_of(bench, folder, body):
    kpid = Kpid(bench, folder, body, limits="series: 3000000, series_per_metric: 3000000, label_values: 3000000, body: 64M", cpu=RECEIVER)
    try:
        kpid.wait_ready()
        yield kpid
    finally:
        kpid.stop()


def known_series(bench, send, kpid, series):
    """Makes the series, so that what is measured is neither their creation nor the making of their index."""
    send()
    wait_until(lambda: kpid.ask("/api/v1/ingest")["series"] >= series * 0.99, f"{series} series")
    kpid.settle()


def measure_stream(bench, transport, series, mix, with_netdata):
    figures = {"kpid": [], "read": [], "line": [], "netdata": []}
    with scratch(bench, "front") as folder, contextlib.ExitStack() as stack:
        kpid = stack.enter_context(kpid_of(bench, folder, STATSD.format(folder=folder)))
        is_unix = transport == "unix"
        address = folder / "statsd.sock" if is_unix else f"127.0.0.1:{kpid.port('statsd', 'tcp')}"
        sink_at = folder / "sink.sock" if is_unix else free_port()
        sink = Sink(bench, folder, transport, sink_at)
        stack.callback(sink.stop)
        sink_address = sink_at if is_unix else f"127.0.0.1:{sink_at}"
        peer = None
        if with_netdata:
            peer = start_netdata(folder, stack)
        known_series(bench, lambda: load(bench, "-t", transport, "-a", address, "-s", series, "-n", series, "-m", mix, "-w", 60),
                     kpid, series)
        for _ in range(rounds(bench)):
            figures["line"].append(line_limit(bench, series, mix))
            figures["read"].append(sink.cost(lambda: send_lines(bench, transport, sink_address, series, mix, 10000000))[0])
            # The first hand-over after a pause comes early, the others as they do all day: there are several.
            figures["kpid"].append(cost_of_lines(bench, kpid, transport, address, series, mix, samples(bench, series, 200)))
            if peer is not None:
                figures["netdata"].append(cost_of_lines(bench, peer, "tcp", f"127.0.0.1:{peer.port}", series, mix))
    return {name: statistics.median(values) for name, values in figures.items() if values}


def stream_rows(bench, transport, series, mix, bar, with_netdata):
    say(f"front: StatsD over {transport}, {series} series, {mix}")
    found = measure_stream(bench, transport, series, mix, with_netdata)
    limit = found["read"] + found["line"]
    beside = f"kpid {found['kpid']:.0f} ns a sample; read {found['read']:.0f} + line {found['line']:.0f}"
    name = f"{transport}, {series} series" + (", 30 % timers" if mix == TIMERS else "")
    yield Row(f"{name}: CPU, times the limit", found["kpid"] / limit, "x", 1 / bar, beside)
    if "netdata" in found:
        yield Row(f"{name}: CPU, of netdata's", found["kpid"] / found["netdata"], "x", 1 / 3, f"netdata {found['netdata']:.0f} ns")


def streams(bench):
    counts = (10000, 100000) if bench.quick else (10000, 100000, 1000000)
    for series in counts:
        yield from stream_rows(bench, "tcp", series, GAUGES, 0.6, True)
    for series in counts:
        yield from stream_rows(bench, "unix", series, GAUGES, 0.6, False)
        yield from stream_rows(bench, "tcp", series, TIMERS, 0.5, False)


# --- UDP ------------------------------------------------------------------------------------------


class Datagrams(NamedTuple):
    """A way to send datagrams: what kpiload is told, what the bare drain is, samples a second that anybody takes."""

    name: str
    shape: tuple
    sink: str
    rate: int
    with_line: bool  # the limit knows what to do with a line, not only how to fetch it
    bar: float


DATAGRAMS = (
    Datagrams("packed", ("-b", 1400, "-m", GAUGES), "udp", 3000000, True, 0.6),
    Datagrams("one a datagram", ("-m", "100,0,0"), "udp", 400000, False, 0.8),
    # Not a bar: the kernel keeps what the sender gave it in one piece (UDP_GRO).
    Datagrams("one a datagram, in runs", ("-g", "-m", "100,0,0"), "udp-gro", 1000000, True, 0),
)


def udp_load(bench, port, rate, shape, seconds=1.2):
    count = int(max(100000, rate * seconds))
    once = min(count, 1000000)
    return load(bench, "-t", "udp", "-a", f"127.0.0.1:{port}", "-n", once, "-R", -(-count // once), "-r", rate, "-s", 10000,
                *shape, cpu=SENDER)


def udp_queue(port):
    """(bytes that wait in the kernel, datagrams that it has dropped) of a port's sockets."""
    with open("/proc/net/udp", encoding="ascii") as file:
        rows = [line.split() for line in list(file)[1:]]
    mine = [row for row in rows if int(row[1].split(":")[1], 16) == port]
    return sum(int(row[4].split(":")[1], 16) for row in mine), sum(int(row[-1]) for row in mine)


def lossless(trial, rate, step):
    """The highest rate without loss, to 3 %: sought in steps up or down from a guess, then by halves. One loss is
    not yet a loss: the machine is shared."""
    def holds(rate):
        return trial(rate) or trial(rate)

    if holds(rate):
        low, high = rate, rate * step
        while holds(high):
            low, high = high, high * step
    else:
        low, high = rate / step, rate
        while not holds(low):
            low, high = low / step, low
    while high > low * 1.03:
        middle = (low + high) / 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low


def lossless_rate(bench, port, kind, before):
    """Samples a second that whoever has the port takes without loss; `before` are the figures of earlier rounds."""
    def trial(rate):
        drops = udp_queue(port)[1]
        sent = udp_load(bench, port, rate, kind.shape)
        wait_until(lambda: udp_queue(port)[0] == 0, "the datagrams to be read")
        return udp_queue(port)[1] == drops and sent["rate"] > rate * 0.95
    return lossless(trial, before[-1], 1.1) if before else lossless(trial, kind.rate / 2, 2)


def datagrams_taken(kpid):
    return next(l for l in kpid.ask("/api/v1/ingest")["listeners"] if l["listen"].startswith("udp"))["received"]


def cost_of_datagrams(bench, kpid, kind):
    """ns of CPU a sample of what arrived."""
    port = kpid.port("statsd", "udp")
    before, cpu = datagrams_taken(kpid), settled_cpu(kpid)
    udp_load(bench, port, kind.rate, kind.shape, 3)
    return nanoseconds(settled_cpu(kpid) - cpu, datagrams_taken(kpid) - before)


def measure_datagrams(bench, kind):
    found = {"line": [], "drain": [], "kpid": [], "drain rate": [], "kpid rate": [], "netdata rate": []}
    with (scratch(bench, "udp") as folder, kpid_of(bench, folder, STATSD.format(folder=folder)) as kpid,
          contextlib.ExitStack() as stack):
        port = free_port()
        sink = Sink(bench, folder, kind.sink, port)
        netdata = start_netdata(folder, stack) if kind.bar else None
        ports = {"drain": port, "kpid": kpid.port("statsd", "udp")} | ({"netdata": netdata.port} if netdata else {})
        try:
            for number in range(rounds(bench)):
                found["line"].append(line_limit(bench, 10000, GAUGES))
                found["drain"].append(sink.cost(lambda: udp_load(bench, port, kind.rate, kind.shape, 3))[0])
                found["kpid"].append(cost_of_datagrams(bench, kpid, kind))
                if number < 3:
                    for name, owner in ports.items():
                        found[f"{name} rate"].append(lossless_rate(bench, owner, kind, found[f"{name} rate"]))
        finally:
            sink.stop()
    return {name: statistics.median(values) for name, values in found.items() if values}


def udp(bench):
    for kind in DATAGRAMS:
        say(f"front: UDP, {kind.name}")
        found = measure_datagrams(bench, kind)
        line = found["line"] if kind.with_line else 0
        limit = found["drain"] + line
        bare = 1e9 / (1e9 / found["drain rate"] + line)
        bar = 1 / kind.bar if kind.bar else None
        yield Row(f"udp, {kind.name}: CPU, times the limit", found["kpid"] / limit, "x", bar,
                  f"kpid {found['kpid']:.0f} ns a sample; drain {found['drain']:.0f}"
                  + (f" + line {line:.0f}" if kind.with_line else ""))
        yield Row(f"udp, {kind.name}: the limit's lossless rate, times kpid's", bare / found["kpid rate"], "x", bar,
                  f"kpid {found['kpid rate'] / 1e6:.2f} M/s without loss, bare drain {found['drain rate'] / 1e6:.2f}")
        if "netdata rate" in found:
            yield Row(f"udp, {kind.name}: netdata's lossless rate, of kpid's", found["netdata rate"] / found["kpid rate"], "x", 1,
                      f"netdata {found['netdata rate'] / 1e6:.2f} M/s without loss")


# --- TLS ------------------------------------------------------------------------------------------

TLS = """ingest:
  - {{ protocol: statsd, listen: "tcp:127.0.0.1:0" }}
  - {{ protocol: statsd, listen: "tcp:127.0.0.2:0", tls: {{ cert: {folder}/cert.pem, key: {folder}/key.pem }} }}
"""
TLS_PEERS = {"plain": "127.0.0.1", "tls": "127.0.0.2"}
SENDER_OF_BYTES = """
import os, socket, ssl, sys
host, port, is_tls, repeat = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "tls", int(sys.argv[4])
block = open(sys.argv[5], "rb").read()
connection = socket.create_connection((host, port))
if is_tls:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    connection = context.wrap_socket(connection)
for _ in range(repeat):
    for at in range(0, len(block), 65536):
        connection.sendall(block[at:at + 65536])
if is_tls:
    connection = connection.unwrap()
connection.close()
"""


def tls(bench):
    """The same bytes to a plain and to a TLS listener of one kpid, from one sender."""
    say("front: lines over TLS")
    lines, repeat = 100000, samples(bench) // 500000
    with scratch(bench, "tls") as folder:
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj",
                        "/CN=localhost", "-keyout", folder / "key.pem", "-out", folder / "cert.pem"], check=True,
                       capture_output=True)
        block = folder / "lines"
        block.write_text("".join(f"bench.dc1.host{i % 1000:03}.api.cnt{i % 10000:07}:{i % 10}|c\n" for i in range(lines)))
        figures = {"plain": [], "tls": []}
        with kpid_of(bench, folder, TLS.format(folder=folder)) as kpid:
            for number in range(rounds(bench) + 1):
                for name, costs in figures.items():
                    stored, before, host = kpid.stored(), settled_cpu(kpid), TLS_PEERS[name]
                    subprocess.run(["taskset", "-c", str(SENDER), sys.executable, "-c", SENDER_OF_BYTES, host,
                                    str(kpid.port("statsd", f"tcp:{host}")), name, str(repeat), str(block)], check=True)
                    wait_until(lambda: kpid.stored() == stored + lines * repeat, "every line to be stored")
                    if number > 0:  # the first one makes the series
                        costs.append(nanoseconds(settled_cpu(kpid) - before, lines * repeat))
        plain, encrypted = (statistics.median(figures[name]) for name in ("plain", "tls"))
        yield Row("tls, 10000 series: CPU, times plain TCP's", encrypted / plain, "x", 2,
                  f"TLS {encrypted:.0f} ns a sample, plain {plain:.0f}")


# --- native ---------------------------------------------------------------------------------------

NATIVE = """ingest:
  - { protocol: native, listen: "tcp:127.0.0.1:0" }
"""


def native_load(bench, kpid, series, count, *more):
    return load(bench, "-t", "tcp", "-a", f"127.0.0.1:{kpid.port('native')}", "-p", "native", "-s", series, "-m", GAUGES,
                "-n", count, *more, cpu=SENDER)


def native(bench):
    """Every batch is acknowledged when it is on the disk."""
    say("front: the native protocol")
    with scratch(bench, "native") as folder, kpid_of(bench, folder, NATIVE) as kpid:
        native_load(bench, kpid, 1000, 100000)
        light = [native_load(bench, kpid, 1000, 20000, "-r", 10000) for _ in range(rounds(bench))]
        yield Row("native, 10 batches of 1,000 a second: time to the answer, median",
                  statistics.median(r["p50_ms"] for r in light), "ms", 5,
                  f"99 of 100 within {statistics.median(r['p99_ms'] for r in light):.1f} ms")
        for series in (10000, 100000):
            once = max(1000000, series)
            native_load(bench, kpid, series, once)
            rates = [native_load(bench, kpid, series, once, "-R", 3) for _ in range(rounds(bench))]
            rate = statistics.median(r["drained_rate"] for r in rates)
            yield Row(f"native, {series} series: ns of wall time an acknowledged sample", 1e9 / rate, "ns", 1000,
                      f"{rate / 1e6:.2f} M/s in batches of 1,000, half of them answered within "
                      f"{statistics.median(r['p50_ms'] for r in rates):.0f} ms; kpid and its disk on one core")


# --- memory of a shard ----------------------------------------------------------------------------


def shard(bench):
    say("front: memory of a shard")
    done = subprocess.run([bench.build / "bench_shard"], capture_output=True, text=True, check=True)
    for line in done.stdout.splitlines()[1:]:
        series, values, *_, size = line.split()
        yield Row(f"shard, {series} series, {values} values: allocated a series", float(size), "bytes", 134, "")


# --- stores ---------------------------------------------------------------------------------------

STORES = """ingest:
  - { protocol: graphite, listen: "tcp:127.0.0.1:0" }
  - { protocol: influx, listen: "tcp:127.0.0.1:0" }
  - { protocol: prometheus, listen: "http:127.0.0.1:0" }
  - { protocol: otlp, listen: "http:127.0.0.1:0" }
"""


class Prometheus(Program):
    def __init__(self, folder, cpu):
        self.http = free_port()
        (folder / "prometheus.yml").write_text("global: {}\n")
        super().__init__(["prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/prometheus",
                          f"--web.listen-address=127.0.0.1:{self.http}", "--web.enable-remote-write-receiver"],
                         folder / "prometheus.log", cpu)

    def wait_ready(self):
        import urllib.request

        def ready():
            with contextlib.suppress(OSError):
                with urllib.request.urlopen(f"http://127.0.0.1:{self.http}/-/ready", timeout=1) as answer:
                    return answer.status == 200
            return False
        wait_until(lambda: self.check() and ready(), "Prometheus", 60)


class Turn:
    """Every load has times of its own, so that none is a duplicate: of now, as those of agents are."""

    def __init__(self):
        self.at = int(time.time()) - 30

    def next(self, steps):
        begin = self.at
        self.at += steps
        return f"{begin}:1"


def store_cost(bench, program, transport, address, protocol, series, turn):
    count = max(series, samples(bench) // 4)
    more = ("-T", turn.next(count // series + 1), "-b", 200000)
    if transport == "http":
        more += ("-c", 4)
    before = settled_cpu(program)
    sent = load(bench, "-t", transport, "-a", address, "-p", protocol, "-s", series, "-n", count, "-m", GAUGES, "-w", 120, *more,
                cpu=SENDER)
    return nanoseconds(settled_cpu(program) - before, sent["samples"])


def stores(bench):
    if not has_victoria_metrics():
        raise RuntimeError("VictoriaMetrics is not there to compare with")
    series = 100000
    with scratch(bench, "stores") as folder, kpid_of(bench, folder, STORES) as kpid, contextlib.ExitStack() as stack:
        peer = VictoriaMetrics(folder, RECEIVER)
        stack.callback(peer.stop)
        peer.wait_ready()
        prometheus = None
        if is_there("prometheus", "Prometheus"):
            prometheus = Prometheus(folder, RECEIVER)
            stack.callback(prometheus.stop)
            prometheus.wait_ready()
        prometheus_turn = Turn()  # of all its rounds: it refuses what is older than what it has
        for protocol, transport, bar in (("graphite", "tcp", 1 / 4), ("influx", "tcp", 1 / 4), ("prometheus", "http", 1 / 2),
                                         ("otlp", "http", 1 / 2)):
            say(f"front: {protocol} over {transport}")
            turns = {name: Turn() for name in ("kpid", "peer")}
            figures = {"kpid": [], "peer": [], "prometheus": []}
            # VictoriaMetrics of Debian knows no OTLP: the same samples go to it by remote write.
            peer_protocol = "prometheus" if protocol == "otlp" else protocol
            peer_port = {"graphite": peer.graphite, "influx": peer.influx, "prometheus": peer.http}[peer_protocol]
            for number in range(rounds(bench) + 1):
                costs = {"kpid": store_cost(bench, kpid, transport, f"127.0.0.1:{kpid.port(protocol)}", protocol, series,
                                            turns["kpid"]),
                         "peer": store_cost(bench, peer, transport, f"127.0.0.1:{peer_port}", peer_protocol, series, turns["peer"])}
                if prometheus is not None and transport == "http":
                    costs["prometheus"] = store_cost(bench, prometheus, "http", f"127.0.0.1:{prometheus.http}", "prometheus",
                                                     series, prometheus_turn)
                if number > 0:  # the first one makes the series
                    for name, cost in costs.items():
                        figures[name].append(cost)
            median = {name: statistics.median(values) for name, values in figures.items() if values}
            yield Row(f"{protocol}: CPU, of VictoriaMetrics'", median["kpid"] / median["peer"], "x", bar,
                      f"kpid {median['kpid']:.0f} ns a sample, VictoriaMetrics {median['peer']:.0f}")
            if "prometheus" in median:
                yield Row(f"{protocol}: CPU, of Prometheus's", median["kpid"] / median["prometheus"], "x", 1 / 8,
                          f"Prometheus {median['prometheus']:.0f} ns")
