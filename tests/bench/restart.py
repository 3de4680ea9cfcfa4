"""How long it takes until a store answers again whose writer was killed: the store alone, then the
whole of kpid on the same files."""

import time

from common import Kpid, Row, median, printed_rows, scratch

ROUNDS = 5


def start(bench, folder, data):
    """Seconds until the ports are open and until a figure of closed minutes was answered."""
    kpid = Kpid(bench, folder, 'ingest: [ { protocol: influx, listen: "http:127.0.0.1:0" } ]\n', data=data)
    try:
        ready = kpid.wait_ready()
        now = time.time()
        kpid.value("sum(bench.counter.name.00000000000001)", now - 86400, now)
        return ready, time.monotonic() - kpid.started
    finally:
        kpid.process.kill()
        kpid.process.wait()


def rows(bench):
    with scratch(bench, "restart") as folder:
        data = folder / "data"
        data.mkdir()
        minutes = 8 if bench.quick else 100
        yield from printed_rows(bench, "bench_store", "restart", "--keep", "--path", data, "--minutes", minutes)
        found = [start(bench, folder, data) for _ in range(ROUNDS)]
        yield Row("restart: all of kpid, ports open and closed data answered", median([answered for _, answered in found]) * 1e3,
                  "ms", 100, f"ports open after {median([ready for ready, _ in found]) * 1e3:.0f} ms; each after kill -9")
