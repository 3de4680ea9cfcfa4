"""Reloads during full load: listeners come, go and move, and what was sent is stored, to the sample."""

import json
import re
import socket
import threading

import pytest

from conftest import load, wait_until
from influx_rounds import Writer, finish
from ports import free_port

RELOADS = 6


class Load(threading.Thread):
    """Runs kpiload again and again, as fast as it goes, each time over new connections."""

    def __init__(self, prefix, *arguments):
        super().__init__(daemon=True)
        self.arguments = [*arguments, "-P", prefix, "-j"]
        self.prefix = prefix
        self.samples = 0
        self.total = 0.0
        self.wrong = None
        self.ended = threading.Event()
        self.start()

    def run(self):
        while not self.ended.is_set() and self.wrong is None:
            try:
                sent = load(*self.arguments)
            except AssertionError as failed:
                self.wrong = str(failed)
                return
            assert sent.get("errors", 0) == 0, sent
            self.samples += sent["samples"]
            self.total += float(sent["cnt_sum"])

    def end(self):
        self.ended.set()
        self.join()
        assert self.wrong is None, f"{self.prefix}: {self.wrong}"


class Extra:
    """What a configuration has besides what stays: a stream that changes its place with each reload."""

    def __init__(self, folder):
        self.folder = folder
        self.port = free_port()
        self.sent = 0

    def path(self, number):
        return str(self.folder / f"moved{number % 3}.sock")

    def lines(self, number):
        lines = f'  - {{ protocol: statsd, listen: "unix:{self.path(number)}" }}\n'
        if number % 2:
            lines += f'  - {{ protocol: graphite, listen: "tcp:127.0.0.1:{self.port}" }}\n'
        return lines

    def dial(self, number):
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(self.path(number))
        return connection

    def say(self, connection, count=100):
        connection.sendall(b"moved:1|c\n" * count)
        self.sent += count


def first_lines(ports, folder):
    return ("ingest:\n"
            f'  - {{ protocol: statsd, listen: "tcp:127.0.0.1:{ports[0]}" }}\n'
            f'  - {{ protocol: statsd, listen: "unix:{folder}/stays.sock" }}\n'
            f'  - {{ protocol: influx, listen: "http:127.0.0.1:{ports[1]}" }}\n'
            f'  - {{ protocol: native, listen: "tcp:127.0.0.1:{ports[2]}" }}\n'
            f'  - {{ protocol: statsd, listen: "udp:127.0.0.1:{ports[3]}" }}\n')


def figures(daemon):
    """{first part of the metrics' names: [samples, sum]}"""
    found = {}
    for line in daemon.kpictl("export").stdout.splitlines():
        cell = json.loads(line)
        if "metric" in cell:
            entry = found.setdefault(re.split("[._]", cell["metric"])[0], [0, 0.0])
            entry[0] += cell["count"] / 65536  # counts have 16 fractional bits
            entry[1] += cell["sum"] + cell["sum_low"]
    return found


@pytest.mark.threads
def test_what_streams_http_and_native_sent_is_stored_to_the_sample(kpid, tmp_path):
    ports = [free_port() for _ in range(4)]
    extra = Extra(tmp_path)
    stays = first_lines(ports, tmp_path)
    daemon = kpid(stays + extra.lines(0))
    counters = ("-m", "100,0,0", "-s", 500)
    lines = ("-n", 20000, "-R", 5, "-w", 60, *counters)  # waits until all was read: no queue of connections grows
    loads = [
        Load("lines", "-t", "tcp", "-a", f"127.0.0.1:{ports[0]}", "-c", 2, *lines),
        Load("local", "-t", "unix", "-a", tmp_path / "stays.sock", *lines),
        Load("posted", "-t", "http", "-p", "influx", "-a", f"127.0.0.1:{ports[1]}", "-n", 4000, "-c", 3, *counters),
        Load("batched", "-t", "tcp", "-p", "native", "-a", f"127.0.0.1:{ports[2]}", "-n", 10000, *counters),
        Load("datagrams", "-a", f"127.0.0.1:{ports[3]}", "-n", 2000, "-r", 10000, *counters),
    ]
    for number in range(RELOADS):
        samples = [one.samples for one in loads]
        with extra.dial(number) as stream:
            extra.say(stream)
            waiting = [extra.dial(number) for _ in range(10)]
            for one in waiting:  # said and gone before it may have been accepted
                extra.say(one)
                one.close()
            daemon.write_config(stays + extra.lines(number + 1))
            daemon.reload()
            assert not (tmp_path / f"moved{number % 3}.sock").exists()
            extra.say(stream)  # the listener has gone, its connections are read to their end
        wait_until(lambda samples=samples: all(now.samples > before for now, before in zip(loads, samples)),
                   "the load to go on")
    for one in loads:
        one.end()
    assert "reload_refused" not in daemon.log() and daemon.log().count(" reloaded ") == RELOADS
    wait_until(lambda: daemon.value("sum(moved)") == extra.sent, "what went to the listener that moves")
    wait_until(lambda: daemon.stored() >= extra.sent + sum(one.samples for one in loads), "all samples")
    stored = figures(daemon)
    for one in loads:
        assert stored[one.prefix] == [one.samples, one.total], one.prefix
    for ledger in daemon.ask("ingest")["listeners"]:
        assert ledger["received"] == ledger["stored"], ledger
        assert ledger["kernel_drops"] == 0, ledger


@pytest.mark.threads
def test_writes_to_a_listener_that_goes_and_comes_count_once(kpid):
    """The clients send again what had no answer; that it had none is no reason to count it twice."""
    ports = [free_port(), free_port()]
    http = [f'{{ protocol: influx, listen: "http:127.0.0.1:{port}" }}' for port in ports]
    body = "metrics: {{ shop_orders: {{ type: counter }} }}\ningest: [ {} ]\n"
    daemon = kpid(body.format(", ".join(http)))
    writers = [Writer(ports[number % 2], number, seed=number) for number in range(4)]
    for writer in writers:
        writer.random.random = lambda: 1.0  # no duplicates but those of batches that nobody answered
        writer.start()
    for number in range(RELOADS):
        sent = [writer.acknowledged for writer in writers]
        wait_until(lambda sent=sent: all(one.acknowledged > before + 5 for one, before in zip(writers[::2], sent[::2])),
                   "some batches to be stored")
        daemon.write_config(body.format(http[0] if number % 2 == 0 else ", ".join(http)))
        daemon.reload()
    assert "reload_refused" not in daemon.log()
    for writer in writers:
        writer.ended.set()
    for writer in writers:
        writer.join()
    assert not [writer.wrong for writer in writers if writer.wrong]
    batches = sum(finish(writer) for writer in writers)
    assert daemon.value("sum(shop_orders)") == 7 * batches
    for ledger in daemon.ask("ingest")["listeners"]:
        assert ledger["received"] == ledger["stored"] + sum(ledger["dropped"].values()), ledger
