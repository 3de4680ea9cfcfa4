"""Memory of the whole process for each active series, while it takes samples of a million of them."""

import time

from common import Kpid, Row, VictoriaMetrics, has_victoria_metrics, load, say, scratch

RATE = 100000  # samples a second: with a million series each is touched every 10 s


def measure_kpid(bench, folder, series, seconds):
    kpid = Kpid(bench, folder, 'ingest: [ { protocol: statsd, listen: "tcp:127.0.0.1:0" } ]\n',
                limits=f"series: {series + 1000}")
    try:
        kpid.wait_ready()
        say(f"memory: {series} series for {seconds} s to kpid")
        load(bench, "-t", "tcp", "-a", f"127.0.0.1:{kpid.port()}", "-s", series, "-n", series, "-m", "86,0,14",
             "-r", RATE, "-R", max(2, seconds * RATE // series))
        time.sleep(2)
        return kpid.status("VmRSS", "RssAnon", "VmHWM")
    finally:
        kpid.stop()


def measure_peer(bench, folder, series):
    peer = VictoriaMetrics(folder)
    try:
        peer.wait_ready()
        say(f"memory: {series} series, each twice, to VictoriaMetrics")
        load(bench, "-t", "tcp", "-p", "graphite", "-a", f"127.0.0.1:{peer.graphite}", "-s", series, "-n", series,
             "-m", "86,0,14", "-R", 2, "-w", 120)
        time.sleep(2)
        return peer.status("VmRSS")[0]
    finally:
        peer.stop()


def rows(bench):
    series = 200000 if bench.quick else 1000000
    with scratch(bench, "memory") as folder:
        resident, anonymous, peak = measure_kpid(bench, folder, series, 20 if bench.quick else 240)
    beside = f"anonymous {anonymous / series:.0f}, the rest is the mapped store; at most {peak / series:.0f}"
    if has_victoria_metrics():
        with scratch(bench, "memory-peer") as folder:
            beside += f"; VictoriaMetrics {measure_peer(bench, folder, series) / series:.0f}"
    yield Row("memory of a series, resident", resident / series, "bytes", 400, beside)
    yield Row("memory of a series, anonymous", anonymous / series, "bytes", 400, "")
