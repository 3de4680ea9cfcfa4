"""What a day of points takes on disk, in kpid and in VictoriaMetrics, which get the same bytes."""

import json
import subprocess
import time

from common import Kpid, Row, VictoriaMetrics, has_victoria_metrics, load, say, scratch

MINUTES = 1440
DAY_S = 86400


def send(bench, port, path, series, start, mix):
    """A day of one point a minute of each series; returns what kpiload says."""
    sent = load(bench, "-t", "http", "-p", "influx", "-a", f"127.0.0.1:{port}", "-H", path, "-s", series,
                "-n", series * MINUTES, "-m", mix, "-T", f"{start}:60", "-b", 1 << 20)
    if sent["samples"] != series * MINUTES:
        raise RuntimeError(f"only {sent['samples']} were sent")
    return sent


def expected(sent):
    return sum(float(sent[f"{kind}_sum"]) for kind in ("cnt", "tim", "gau"))


def sizes(bench, data):
    done = subprocess.run([bench.build / "bench_size", data], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def start_of_day():
    """So long ago that the week and the calendars' days are over: what is measured is cold."""
    return int(time.time()) // DAY_S * DAY_S - 14 * DAY_S


def fill(bench, kpid, series, mix):
    """Sends the day and waits until it is folded and combined; returns the seconds that it took."""
    start = start_of_day()
    began = time.monotonic()
    sent = send(bench, kpid.port(), "/write", series, start, mix)
    seconds = time.monotonic() - began
    say(f"disk: kpid took {sent['samples']} samples in {seconds:.1f} s; waiting for its upkeep")
    kpid.settle(quiet_s=75)
    found = kpid.value("sum(bench_api_value)", start, start + DAY_S)
    if abs(found - expected(sent)) > 1e-6:
        raise RuntimeError(f"kpid has a sum of {found}, not {expected(sent)}")
    return seconds


def measure_kpid(bench, folder, series, mix, body=""):
    kpid = Kpid(bench, folder, 'ingest: [ { protocol: influx, listen: "http:127.0.0.1:0" } ]\n' + body)
    try:
        kpid.wait_ready()
        seconds = fill(bench, kpid, series, mix)
    finally:
        kpid.stop()
    return sizes(bench, folder / "data"), seconds


def measure_peer(bench, folder, series, mix):
    peer = VictoriaMetrics(folder)
    try:
        peer.wait_ready()
        send(bench, peer.http, "/write", series, start_of_day(), mix)
        say("disk: VictoriaMetrics flushes and merges")
        peer.merge()
    finally:
        peer.stop()
    return peer.size()


def bytes_of(found, *names):
    return sum(found[name]["pages"] for name in names if name in found) * found["page_bytes"]


def rows(bench):
    series = 2000 if bench.quick else 10000
    points = series * MINUTES
    mix = "86,0,14"

    with scratch(bench, "disk") as folder:
        say(f"disk: {series} series of {MINUTES} points to kpid")
        found, seconds = measure_kpid(bench, folder, series, mix)
    peer = None
    if has_victoria_metrics():
        with scratch(bench, "disk-peer") as folder:
            say("disk: the same to VictoriaMetrics")
            peer = measure_peer(bench, folder, series, mix) / points
    page = found["page_bytes"]
    minutes = bytes_of(found, "minutes", "partitions")
    runs = bytes_of(found, "journal", "run", "runs", "garbage")
    used = (found["pages"] - found["free_pages"] - found["list_pages"]) * page - runs
    journal = points * 16 * max(1, 180 / seconds)  # what such a load writes in 3 minutes, 16 bytes a record
    free = found["free_pages"] * page
    allowed = max(found["pages"] * page / 4, journal)
    beside = "VictoriaMetrics is not there" if peer is None else f"VictoriaMetrics' folder {peer:.3f}"
    yield Row("disk: a point of the minute level", minutes / points, "bytes", 0.95, beside)
    if peer is not None:
        yield Row("disk: the same beside VictoriaMetrics", minutes / points / peer, "times", 1.0, "")
    yield Row("disk: all levels and the catalogue", used / points, "bytes", 1.3,
              f"quarters {bytes_of(found, 'quarters') / points:.3f}, days {bytes_of(found, 'days') / points:.3f}, "
              f"series {bytes_of(found, 'series', 'index') / points:.3f}, runs not folded {runs / points:.3f}")
    yield Row("disk: free pages", free / 2**20, "MiB", allowed / 2**20, f"of {found['pages'] * page / 2**20:.0f} after an import of a day in {seconds:.0f} s")

    few = max(800, series // 10)  # so many that they are folded when the import is over
    with scratch(bench, "disk-timers") as folder:
        say(f"disk: {few} distributions of {MINUTES} points")
        found, _ = measure_kpid(bench, folder, few, "0,100,0", "metrics: { bench_api_value: { type: distribution } }\n")
    yield Row("disk: a point of a distribution, minute level", bytes_of(found, "minutes", "partitions") / (few * MINUTES),
              "bytes", None, f"all levels {(found['pages'] - found['free_pages']) * page / (few * MINUTES):.3f}; "
              "one value a minute")
