"""What it costs to take samples: each protocol beside what the machine itself needs, and beside peers.

Receivers have one core, senders the other one. Each case is measured in rounds in which everybody has a
turn, because a machine's speed drifts; medians are compared."""

import contextlib
import shutil
import statistics
import subprocess
import time

from common import Kpid, Program, Row, VictoriaMetrics, free_port, has_victoria_metrics, load, say, scratch, wait_until

RECEIVER, SENDER = 0, 1  # cores
GAUGES = "86,0,14"
TIMERS = "56,30,14"
DAY = 86400


def rounds(bench):
    return 2 if bench.quick else 5


def samples(bench):
    return 2000000 if bench.quick else 10000000


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


def send_lines(bench, transport, address, series, mix, count=None, protocol="statsd", more=()):
    """So many samples of known series, as fast as they are taken."""
    count = count or samples(bench)
    once = min(count, max(1000000, series))
    return load(bench, "-t", transport, "-a", address, "-p", protocol, "-s", series, "-n", once, "-R", max(1, count // once),
                "-d", "uniform", "-m", mix, "-w", 120, *more, cpu=SENDER)


def cost_of_lines(bench, program, transport, address, series, mix, protocol="statsd", more=()):
    """ns of CPU of all its threads for a sample, all of which it takes."""
    before = settled_cpu(program)
    sent = send_lines(bench, transport, address, series, mix, protocol=protocol, more=more)
    return nanoseconds(settled_cpu(program) - before, sent["samples"])


STATSD = """ingest:
  - {{ protocol: statsd, listen: "tcp:127.0.0.1:0" }}
  - {{ protocol: statsd, listen: "udp:127.0.0.1:0" }}
  - {{ protocol: statsd, listen: "unix:{folder}/statsd.sock" }}
"""


@contextlib.contextmanager
def kpid_of(bench, folder, body):
    kpid = Kpid(bench, folder, body, limits="series: 3000000, body: 64M", cpu=RECEIVER)
    try:
        kpid.wait_ready()
        yield kpid
    finally:
        kpid.stop()


def known_series(bench, send, kpid, series):
    """Makes the series, so that what is measured is not their creation."""
    send()
    wait_until(lambda: kpid.ask("/api/v1/ingest")["series"] >= series * 0.99, f"{series} series")


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
            home = folder / "netdata"
            home.mkdir()
            peer = Netdata(home, RECEIVER)
            stack.callback(peer.stop)
            peer.wait_ready()
        known_series(bench, lambda: load(bench, "-t", transport, "-a", address, "-s", series, "-n", series, "-m", mix, "-w", 60),
                     kpid, series)
        for _ in range(rounds(bench)):
            figures["line"].append(line_limit(bench, series, mix))
            figures["read"].append(sink.cost(lambda: send_lines(bench, transport, sink_address, series, mix, 10000000))[0])
            figures["kpid"].append(cost_of_lines(bench, kpid, transport, address, series, mix))
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
    with_netdata = shutil.which("netdata") is not None
    counts = (10000, 100000) if bench.quick else (10000, 100000, 1000000)
    for series in counts:
        yield from stream_rows(bench, "tcp", series, GAUGES, 0.6, with_netdata)
    for series in counts[:2]:
        yield from stream_rows(bench, "unix", series, GAUGES, 0.6, False)
        yield from stream_rows(bench, "tcp", series, TIMERS, 0.5, False)


# --- UDP ------------------------------------------------------------------------------------------


def lossless(trial, start):
    """The highest rate without loss: doubled until it fails twice, then halved in five steps."""
    good, rate = 0, start
    while trial(rate) or trial(rate):
        good, rate = rate, rate * 2
    low, high = good, rate
    for _ in range(5):
        middle = (low + high) / 2
        low, high = (middle, high) if trial(middle) else (low, middle)
    return low


def udp_load(bench, port, rate, shape):
    return load(bench, "-t", "udp", "-a", f"127.0.0.1:{port}", "-n", int(max(100000, rate * 1.2)), "-r", rate, "-s", 10000,
                *shape, cpu=SENDER)


def rate_of_sink(bench, folder, shape):
    port = free_port()
    sink = Sink(bench, folder, "udp", port)
    try:
        def trial(rate):
            sent = {}
            _, drops = sink.cost(lambda: sent.update(udp_load(bench, port, rate, shape)))
            return drops == 0 and sent["rate"] > rate * 0.95
        return lossless(trial, 250000)
    finally:
        sink.stop()


def rate_of_kpid(bench, kpid, shape):
    port = kpid.port("statsd", "udp")

    def state():
        listener = next(l for l in kpid.ask("/api/v1/ingest")["listeners"] if l["listen"].startswith("udp"))
        return listener["kernel_drops"], listener["received"]

    def trial(rate):
        drops, _ = state()
        sent = udp_load(bench, port, rate, shape)
        time.sleep(1.5)
        return state()[0] == drops and sent["rate"] > rate * 0.95
    return lossless(trial, 250000)


def udp(bench):
    shapes = {"packed": ("-b", 1400, "-m", GAUGES), "one a datagram": ("-g", "-m", "100,0,0")}
    for name, shape in shapes.items():
        say(f"front: UDP, {name}")
        with scratch(bench, "udp") as folder, kpid_of(bench, folder, STATSD.format(folder=folder)) as kpid:
            sinks, rates = [], []
            for _ in range(1 if bench.quick else 3):
                sinks.append(rate_of_sink(bench, folder, shape))
                rates.append(rate_of_kpid(bench, kpid, shape))
        bare, rate = statistics.median(sinks), statistics.median(rates)
        if name == "packed":
            line = line_limit(bench, 10000, GAUGES)
            combined = 1e9 / (1e9 / bare + line)
            yield Row("udp, packed: the limit's rate, times kpid's", combined / rate, "x", 1 / 0.6,
                      f"kpid {rate / 1e6:.2f} M/s lossless, bare drain {bare / 1e6:.2f}, line {line:.0f} ns")
        else:
            yield Row("udp, one a datagram: the drain's rate, times kpid's", bare / rate, "x", 1 / 0.8,
                      f"kpid {rate / 1e6:.2f} M/s lossless, bare drain {bare / 1e6:.2f}")


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
    """Every load has times of its own, so that none is a duplicate."""

    def __init__(self):
        self.at = int(time.time()) - DAY // 2

    def next(self, steps):
        begin = self.at
        self.at += steps * 5
        return f"{begin}:5"


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
        if shutil.which("prometheus") is not None:
            prometheus = Prometheus(folder, RECEIVER)
            stack.callback(prometheus.stop)
            prometheus.wait_ready()
        for protocol, transport, bar in (("graphite", "tcp", 1 / 4), ("influx", "tcp", 1 / 4), ("prometheus", "http", 1 / 2),
                                         ("otlp", "http", 1 / 2)):
            say(f"front: {protocol} over {transport}")
            turns = {name: Turn() for name in ("kpid", "peer", "prometheus")}
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
                                                     series, turns["prometheus"])
                if number > 0:  # the first one makes the series
                    for name, cost in costs.items():
                        figures[name].append(cost)
            median = {name: statistics.median(values) for name, values in figures.items() if values}
            yield Row(f"{protocol}: CPU, of VictoriaMetrics'", median["kpid"] / median["peer"], "x", bar,
                      f"kpid {median['kpid']:.0f} ns a sample, VictoriaMetrics {median['peer']:.0f}")
            if "prometheus" in median:
                yield Row(f"{protocol}: CPU, of Prometheus's", median["kpid"] / median["prometheus"], "x", 1 / 8,
                          f"Prometheus {median['prometheus']:.0f} ns")
