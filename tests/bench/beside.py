"""What a hundred reads a second cost those who write: CPU of kpid's ingest thread and writer for a
sample, with and without the reads, in turns."""

import subprocess
import threading
import time

from common import Kpid, Row, iso, load, median, say, scratch, wait_until

DAY_S = 86400
READS = 100  # a second
RATE = 300000  # samples a second
TURN_S = 8
BODY = """
ingest:
  - { protocol: influx, listen: "http:127.0.0.1:0" }
  - { protocol: statsd, listen: "tcp:127.0.0.1:0" }
calendars: { utc: { timezone: UTC } }
"""


def port_of(kpid, protocol):
    for listener in kpid.ask("/api/v1/ingest")["listeners"]:
        if listener["listen"].startswith(protocol + ":"):
            return int(listener["listen"].rsplit(":", 1)[1])
    raise RuntimeError(f"no listener of {protocol}")


def fill(bench, kpid):
    """A day of 10^4 series, a year of 20 and a month of minutes of 20; returns the reads."""
    today = int(time.time()) // DAY_S * DAY_S
    port = port_of(kpid, "http")
    for prefix, series, start, step in (("day", 10000, today - DAY_S, 900), ("year", 20, today - 365 * DAY_S, 3600),
                                        ("month", 20, today - 30 * DAY_S, 60)):
        load(bench, "-t", "http", "-p", "influx", "-a", f"127.0.0.1:{port}", "-P", prefix, "-s", series, "-n",
             series * (today - start) // step, "-m", "100,0,0", "-T", f"{start}:{step}", "-b", 1 << 20)
    say("beside: waiting for kpid's upkeep")
    kpid.settle(quiet_s=75)
    one = '{id="cnt0000007"}'
    edge = 7 * 60  # so that minutes are read, not days alone
    return [{"expr": "sum(year_api_value%s)" % one, "from": iso(today - 365 * DAY_S), "to": iso(today), "tz": "UTC"},
            {"expr": "sum(month_api_value%s)" % one, "from": iso(today - 30 * DAY_S + edge), "to": iso(today - edge),
             "tz": "UTC"},
            {"expr": "sum(day_api_value)", "from": iso(today - DAY_S), "to": iso(today), "tz": "UTC"}]


class Reader(threading.Thread):
    """Asks for the figures one after the other, so many a second."""

    def __init__(self, kpid, reads):
        super().__init__(daemon=True)
        self.kpid, self.reads = kpid, reads
        self.count, self.ends, self.slowest = 0, False, 0.0

    def run(self):
        began = time.monotonic()
        while not self.ends:
            time.sleep(max(0, began + self.count / READS - time.monotonic()))
            asked = time.monotonic()
            self.kpid.ask("/api/v1/query", **self.reads[self.count % len(self.reads)])
            self.slowest = max(self.slowest, time.monotonic() - asked)
            self.count += 1


def cost(kpid):
    """Seconds of CPU of those who write, and samples stored."""
    threads = kpid.threads_cpu_s()
    return sum(cpu for name, cpu in threads.items() if name.startswith(("ingest", "writer"))), kpid.stored()


def turn(kpid, reads):
    """Microseconds of CPU a sample, and reads a second."""
    reader = Reader(kpid, reads) if reads else None
    if reader:
        reader.start()
    cpu, samples = cost(kpid)
    began = time.monotonic()
    time.sleep(TURN_S)
    cpu_after, samples_after = cost(kpid)
    seconds = time.monotonic() - began
    if reader:
        reader.ends = True
        reader.join()
    return (cpu_after - cpu) / (samples_after - samples) * 1e6, reader.count / seconds if reader else 0


def measure(bench, kpid, pairs):
    reads = fill(bench, kpid)
    say(f"beside: {2 * pairs} turns of {TURN_S} s")
    series = 100000
    sender = subprocess.Popen(
        [bench.build / "kpiload", "-t", "tcp", "-a", f"127.0.0.1:{port_of(kpid, 'tcp')}", "-s", str(series), "-n",
         str(series), "-m", "86,0,14", "-r", str(RATE), "-R", str((2 * pairs + 4) * TURN_S * RATE // series)],
        stdout=subprocess.DEVNULL)
    try:
        before = kpid.stored()
        wait_until(lambda: kpid.stored() > before + 3 * RATE, "samples to flow")
        alone, beside, rate = [], [], []
        for i in range(pairs):
            for with_reads in ((False, True), (True, False))[i % 2]:
                cpu, read = turn(kpid, reads if with_reads else None)
                (beside if with_reads else alone).append(cpu)
                if with_reads:
                    rate.append(read)
        return alone, beside, rate
    finally:
        sender.kill()
        sender.wait()


def rows(bench):
    with scratch(bench, "beside") as folder:
        kpid = Kpid(bench, folder, BODY)
        try:
            kpid.wait_ready()
            alone, beside, rate = measure(bench, kpid, 2 if bench.quick else 6)
        finally:
            kpid.stop()
    slower = (median([with_ / without for with_, without in zip(beside, alone)]) - 1) * 100
    yield Row("100 reads a second: ingest is slower by", slower, "%", 5,
              f"CPU of ingest and writer a sample: {median(alone):.3f} us alone, {median(beside):.3f} beside "
              f"{median(rate):.0f} reads a second")
