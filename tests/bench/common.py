"""What the benchmarks of whole programs share: starting them, loading them, asking what they cost."""

import contextlib
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from typing import NamedTuple, Optional

ROOT = pathlib.Path(__file__).resolve().parents[2]
PATIENCE = 600  # seconds


class Row(NamedTuple):
    """One line of the table; no bar: it is only told."""

    what: str
    value: float
    unit: str
    bar: Optional[float] = None
    beside: str = ""


class Bench(NamedTuple):
    """Where the programs are and how much is to be done."""

    build: pathlib.Path
    folder: pathlib.Path  # for data; removed in the end
    quick: bool


def say(text):
    print(f"bench: {text}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def scratch(bench, name):
    folder = pathlib.Path(tempfile.mkdtemp(prefix=name + "-", dir=bench.folder))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def wait_until(condition, what, timeout=PATIENCE, pause=0.05):
    deadline = time.monotonic() + timeout
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise RuntimeError(f"waited {timeout} s in vain for {what}")
        time.sleep(pause)
    return value


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Program:
    """A process; what it uses is read from /proc."""

    def __init__(self, command, log, cpu=None):
        """`cpu`: the one it may use."""
        self.log = log
        pin = [] if cpu is None else ["taskset", "-c", str(cpu)]
        with open(log, "ab") as output:
            self.process = subprocess.Popen(pin + [str(part) for part in command], stdout=output, stderr=output,
                                            stdin=subprocess.DEVNULL)

    def check(self):
        if self.process.poll() is not None:
            words = pathlib.Path(self.log).read_text(errors="replace")[-2000:]
            raise RuntimeError(f"{self.process.args[0]} ended with {self.process.returncode}: {words}")
        return True

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
        return self.process.wait(120)

    def status(self, *names):
        """Fields of /proc/PID/status, in bytes."""
        fields = dict(line.split(":", 1) for line in self._read("status").splitlines() if ":" in line)
        return [int(fields[name].split()[0]) * 1024 for name in names]

    def threads_cpu_s(self):
        """Seconds of CPU of each thread, by name."""
        found = {}
        for task in pathlib.Path(f"/proc/{self.process.pid}/task").iterdir():
            with contextlib.suppress(OSError):
                name = (task / "comm").read_text().strip()
                found[name] = found.get(name, 0) + int((task / "schedstat").read_text().split()[0]) * 1e-9
        return found

    def cpu_s(self):
        return sum(self.threads_cpu_s().values())

    def settle(self, quiet_s=5, timeout=PATIENCE):
        """Waits until it has used less than 2 % of a core for so long."""
        deadline = time.monotonic() + timeout
        quiet_since = time.monotonic()
        last = self.cpu_s()
        while time.monotonic() - quiet_since < quiet_s:
            if time.monotonic() > deadline:
                raise RuntimeError("it never became quiet")
            time.sleep(1)
            now = self.cpu_s()
            if now - last > 0.02:
                quiet_since = time.monotonic()
            last = now

    def _read(self, name):
        return pathlib.Path(f"/proc/{self.process.pid}/{name}").read_text()


class Kpid(Program):
    """kpid on a folder."""

    def __init__(self, bench, folder, body, threads=1, limits="", data=None, cpu=None):
        self.bench = bench
        self.control = folder / "kpid.sock"
        config = folder / "kpid.yaml"
        config.write_text(
            f"server: {{ control: {self.control}, threads: {threads}, limits: {{ {limits} }} }}\n"
            f"storage: {{ path: {data or folder / 'data'}, max_size: 60G }}\n{body}")
        self.started = time.monotonic()
        super().__init__([bench.build / "kpid", "-c", config], folder / "log", cpu)

    def get(self, path):
        """(status, text) over the control socket; status 0 while there is none."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(PATIENCE)
            try:
                connection.connect(str(self.control))
                connection.sendall(f"GET {path} HTTP/1.1\r\nHost: kpid\r\nConnection: close\r\n\r\n".encode())
                answer = b"".join(iter(lambda: connection.recv(1 << 16), b""))
            except OSError:
                return 0, ""
        head, _, body = answer.partition(b"\r\n\r\n")
        return int(head.split(b" ", 2)[1]) if head else 0, body.decode()

    def wait_ready(self):
        """Returns the seconds from its start."""
        wait_until(lambda: self.check() and self.get("/readyz")[0] == 200, "kpid to be ready", 120, 0.001)
        return time.monotonic() - self.started

    def ask(self, path, **parameters):
        query = urllib.parse.urlencode(parameters)
        status, text = self.get(f"{path}?{query}" if query else path)
        if status != 200:
            raise RuntimeError(f"{path}: {status} {text}")
        return json.loads(text)

    def stored(self):
        return sum(listener["stored"] for listener in self.ask("/api/v1/ingest")["listeners"])

    def port(self, protocol=None, transport=""):
        """Of the first listener, or the first one of a protocol and transport."""
        for listener in self.ask("/api/v1/ingest")["listeners"]:
            if protocol in (None, listener["protocol"]) and listener["listen"].startswith(transport):
                return int(listener["listen"].rsplit(":", 1)[1])
        raise RuntimeError(f"kpid has no listener for {protocol} {transport}")

    def value(self, expression, start, end):
        points = self.ask("/api/v1/query", expr=expression, tz="UTC", **{"from": iso(start), "to": iso(end)})["points"]
        return points[0]["value"]


class VictoriaMetrics(Program):
    """The peer, on a folder of its own."""

    def __init__(self, folder, cpu=None):
        self.data = folder / "victoria"
        self.http = free_port()
        self.graphite = free_port()
        self.influx = free_port()
        super().__init__(
            ["victoria-metrics", f"-storageDataPath={self.data}", f"-httpListenAddr=127.0.0.1:{self.http}",
             f"-graphiteListenAddr=127.0.0.1:{self.graphite}", f"-influxListenAddr=127.0.0.1:{self.influx}",
             "-retentionPeriod=5y", "-selfScrapeInterval=0", "-search.latencyOffset=0s"], folder / "victoria.log", cpu)

    def get(self, path, timeout=PATIENCE):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http}{path}", timeout=timeout) as answer:
            return answer.read()

    def wait_ready(self):
        def ready():
            with contextlib.suppress(OSError):
                return self.get("/health", 2) == b"OK"
            return False
        wait_until(lambda: self.check() and ready(), "VictoriaMetrics to be ready", 120)

    def merge(self):
        """Everything to disk, in as few parts as it makes."""
        self.get("/internal/force_flush")
        self.get("/internal/force_merge")
        self.settle()

    def size(self):
        """Bytes on disk, as du counts them."""
        return sum((pathlib.Path(path) / name).stat().st_blocks * 512
                   for path, _, names in os.walk(self.data) for name in names)


MISSING = set()  # that was said of already


def is_there(program, name):
    """Whether a peer can be started here; its rows are left out else, and that is said."""
    if shutil.which(program) is not None:
        return True
    if program not in MISSING:
        MISSING.add(program)
        say(f"no rows beside {name}: it is not installed; tools/install-packages bench does that")
    return False


def has_victoria_metrics():
    return is_there("victoria-metrics", "VictoriaMetrics")


def load(bench, *arguments, cpu=None):
    """Runs kpiload; what it says it sent."""
    pin = [] if cpu is None else ["taskset", "-c", str(cpu)]
    done = subprocess.run([*pin, bench.build / "kpiload", *map(str, arguments), "--json"], capture_output=True, text=True,
                          timeout=PATIENCE, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return json.loads(done.stdout)


# bench_row.h: "what   12.34 ms   bar   25.00   met   beside"
PRINTED = re.compile(r"^(?P<what>\S.*?) {2,}(?P<value>[-\d.]+) (?P<unit>\S+) +bar +(?P<bar>[-\d.]+)  +(met|MISSED) *(?P<beside>.*)$")


def printed_rows(bench, name, *arguments):
    """The rows that a program of tests/bench prints."""
    done = subprocess.run([bench.build / name, *map(str, arguments)], stdout=subprocess.PIPE, text=True, check=False,
                          timeout=3 * PATIENCE)
    if done.returncode:
        raise RuntimeError(f"{name} ended with {done.returncode}")
    for line in done.stdout.splitlines():
        found = PRINTED.match(line)
        if found:
            yield Row(found["what"], float(found["value"]), found["unit"], float(found["bar"]), found["beside"])


def iso(seconds):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def median(values):
    values = sorted(values)
    return values[len(values) // 2]
