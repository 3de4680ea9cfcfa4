"""Ingest where it hurts: a stop in the middle of a flood, kill -9, a full store, a path that changes
its kind, very many names, and odd bytes in names and values."""

import json
import random
import socket
import subprocess
import threading
import time

import pytest

from conftest import BUILD, iso, wait_until

LISTENERS = """
ingest:
  - { protocol: statsd, listen: "udp:127.0.0.1:0" }
  - { protocol: statsd, listen: "tcp:127.0.0.1:0" }
  - { protocol: statsd, listen: "unix:FOLDER/stream.sock" }
"""


def start(kpid, folder, **options):
    return kpid(LISTENERS.replace("FOLDER", str(folder)), **options)


def set_server(daemon, words):
    """Adds keys to the server section of a daemon that does not run."""
    text = daemon.config_path.read_text()
    daemon.config_path.write_text(text.replace("server: {", f"server: {{ {words},"))


def check_balance(daemon):
    listeners = daemon.ask("ingest")["listeners"]
    for listener in listeners:
        told = listener["stored"] + sum(listener["rejected"].values()) + sum(listener["dropped"].values())
        assert listener["received"] == told, listener
    return listeners


def say(port, text):
    """One connection that says this and closes."""
    with socket.create_connection(("127.0.0.1", port)) as stream:
        stream.sendall(text)


class Flood(threading.Thread):
    """Sends for ever, until it is told to stop or nobody listens."""

    def __init__(self, send):
        super().__init__(daemon=True)
        self.send = send
        self.ended = threading.Event()
        self.start()

    def run(self):
        while not self.ended.is_set():
            try:
                self.send()
            except OSError:
                self.ended.wait(0.01)


def floods(daemon):
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    tcp = socket.create_connection(("127.0.0.1", daemon.port("tcp")))
    to = ("127.0.0.1", daemon.port("udp"))
    return [Flood(lambda: udp.sendto(b"flood:1|c\n" * 200, to)),
            Flood(lambda: tcp.sendall(b"flood:1|c|@0.1\n" * 5000))]


# Not under ThreadSanitizer: what can be read in the second that a stop has is a matter of speed.
@pytest.mark.parametrize("threads", [1, 2])
def test_sigterm_in_a_flood_stores_what_others_sent_before_it(kpid, tmp_path, threads):
    daemon = start(kpid, tmp_path, threads=threads)
    running = floods(daemon)
    wait_until(lambda: daemon.stored() > 0, "the flood to begin")
    port = daemon.port("tcp")
    for _ in range(20):
        say(port, b"orders:1|c\n" * 1000)
    begun = time.monotonic()
    assert daemon.stop() == 0
    assert time.monotonic() - begun < 5
    for flood in running:
        flood.ended.set()
        flood.join()
    daemon.start()
    assert daemon.value("sum(orders)") == 20000
    tcp = next(one for one in check_balance(daemon) if one["listen"].startswith("tcp"))
    assert tcp["rejected"].get("truncated", 0) <= 1, "the flood's last line may be cut, nobody else's"
    flooded = sum(one["stored"] for one in daemon.ask("ingest")["listeners"]) - 20000
    assert flooded > 0
    # A line cut in its middle would have lost its rate and counted 1 instead of 10.
    udp = next(one for one in daemon.ask("ingest")["listeners"] if one["listen"].startswith("udp"))
    assert daemon.value("sum(flood)") == udp["stored"] + 10 * (flooded - udp["stored"])


@pytest.mark.threads
def test_kill_9_keeps_the_ledger_and_the_figures_in_step(kpid, tmp_path):
    daemon = start(kpid, tmp_path)
    lines = b"n:1|c\nweighed:2|c|@0.5\nlabelled:1|c|#k:v\ntime:3|ms\nrel:+1|g\nrel:+1|g\nlevel:7|g\nbad\n"
    port = [daemon.port("tcp")]

    def send():
        with socket.create_connection(("127.0.0.1", port[0]), timeout=5) as stream:
            while not ended.is_set():
                stream.sendall(lines * 20)

    ended = threading.Event()
    senders = [Flood(send) for _ in range(2)]
    chaos = random.Random(11)
    for _ in range(6):
        moment = daemon.stored() + chaos.randrange(1, 20000)
        wait_until(lambda moment=moment: daemon.stored() >= moment, "more samples")
        daemon.kill()
        daemon.start()
        port[0] = daemon.port("tcp")
    ended.set()
    for sender in senders:
        sender.ended.set()
        sender.join()
    wait_until(lambda: all(one["pending"] == 0 for one in daemon.ask("ingest")["listeners"]), "all commits")
    tcp = next(one for one in check_balance(daemon) if one["listen"].startswith("tcp"))
    parts = [daemon.value("sum(n)"), daemon.value("sum(weighed)") / 4, daemon.value("sum(labelled)"),
             daemon.value("count(time)"), daemon.value("last(rel)")]
    levels = tcp["stored"] - sum(parts)
    assert abs(levels - parts[0]) <= 1000, (tcp, parts)  # ends of connections cut a few lines short
    assert daemon.value("sum(time)") == 3 * parts[3]
    assert daemon.value("last(level)") == 7
    assert "unreadable" not in daemon.log() and "cells_refused" not in daemon.log()


def test_kill_9_in_a_burst_of_new_series_leaves_a_ledger_of_what_is_there(kpid, tmp_path):
    """They are handed over and committed in many parts: after each the ledger says what is stored, to the sample."""
    daemon = start(kpid, tmp_path, start=False)
    set_server(daemon, "limits: { series_per_metric: 1000000 }")
    daemon.start()
    chaos = random.Random(5)
    names = []

    def send(port, name):
        lines = b"".join(b"%s:1|c|#a:%d,b:%d\n" % (name, i // 400, i % 400) for i in range(120000))
        try:
            say(port, lines)
        except OSError:
            pass  # it was killed

    for _ in range(4):
        names.append(f"burst{len(names)}")
        before = daemon.stored()
        sender = threading.Thread(target=send, args=(daemon.port("tcp"), names[-1].encode()), daemon=True)
        sender.start()
        moment = before + chaos.randrange(1, 110000)
        wait_until(lambda moment=moment: daemon.stored() >= moment, "a part of the burst")
        daemon.kill()
        sender.join()
        daemon.start()
        check_balance(daemon)
        assert daemon.stored() == sum(daemon.value(f"sum({name})") for name in names)


def test_a_full_store_says_what_waits_and_a_larger_one_goes_on(kpid, tmp_path):
    daemon = start(kpid, tmp_path, start=False)
    text = daemon.config_path.read_text()
    daemon.config_path.write_text(text.replace("/data }", "/data, max_size: 16M }"))
    daemon.start()
    port = daemon.port("tcp")
    say(port, b"first:1|c\n")
    wait_until(lambda: daemon.stored() == 1, "the first sample")
    sent = 1

    def is_full():
        nonlocal sent
        say(port, b"".join(b"name%d:1|c\n" % (sent + number) for number in range(20000)))
        sent += 20000
        wait_until(lambda: "commit_failed" in daemon.log() or daemon.stored() == sent, "the samples to be stored or not")
        return "commit_failed" in daemon.log()

    wait_until(is_full, "the store to be full")
    assert "storage.max_size is 16777216" in daemon.log()

    def what_waits():
        one = next(one for one in daemon.ask("ingest")["listeners"] if one["listen"].startswith("tcp"))
        return one if one["pending"] > 0 and one["stored"] + one["pending"] == sent else None

    def is_refused():
        refused = daemon.kpictl("push", "orders=1", "--type", "counter", check=False)
        return refused.returncode == 4 and "full" in refused.stderr

    wait_until(is_refused, "a push to be refused")  # background work may make room for a while
    tcp = wait_until(what_waits, "what waits to be shown")
    assert tcp["received"] == tcp["stored"] <= sent and tcp["pending"] <= 20000
    assert daemon.get("/readyz")[0] == 503
    assert daemon.value("sum(first)") == 1
    assert daemon.stop() == 0
    lost = next(line for line in daemon.log().splitlines() if "samples_lost" in line)
    assert lost.endswith(" dropped=store_full")

    daemon.config_path.write_text(text)
    daemon.start()
    tcp = next(one for one in check_balance(daemon) if one["listen"].startswith("tcp"))
    assert tcp["received"] == sent and list(tcp["dropped"]) == ["store_full"]
    assert f"samples_lost samples={tcp['dropped']['store_full']} " in lost
    say(daemon.port("tcp"), b"first:1|c\n")
    wait_until(lambda: daemon.value("sum(first)") == 2, "samples to be stored again")
    check_balance(daemon)


@pytest.mark.threads
def test_a_path_changes_its_kind_while_samples_flow(kpid, tmp_path):
    daemon = start(kpid, tmp_path)
    stream_body = daemon.config_path.read_text()
    path = str(tmp_path / "stream.sock")
    gram_body = stream_body.replace(f"unix:{path}", f"unixgram:{path}")
    sender = subprocess.Popen(
        [BUILD / "kpiload", "-t", "tcp", "-a", f"127.0.0.1:{daemon.port('tcp')}", "-n", "20000", "-R", "5",
         "-s", "100", "-r", "50000", "--json"], stdout=subprocess.PIPE, text=True)
    sent = 0
    for number in range(6):
        kind = socket.SOCK_DGRAM if number % 2 else socket.SOCK_STREAM
        with socket.socket(socket.AF_UNIX, kind) as client:
            client.connect(path)
            client.send(b"moved:1|c\n")
            sent += 1
            daemon.config_path.write_text(stream_body if number % 2 else gram_body)
            daemon.reload()
            if kind == socket.SOCK_STREAM:  # an old connection is read to its end
                client.send(b"moved:1|c\n")
                sent += 1
    assert "reload_refused" not in daemon.log()
    sender.communicate(timeout=120)
    wait_until(lambda: daemon.value("sum(moved)") == sent, "what went to the path")
    wait_until(lambda: daemon.stored() == sent + 100000, "what went elsewhere")
    assert not (tmp_path / "stream.sock.new").exists()


def test_very_many_names_are_bounded_and_their_totals_stay_right(kpid, tmp_path):
    limit, names = 500, 50000
    daemon = start(kpid, tmp_path, start=False, threads=1)
    set_server(daemon, f"limits: {{ series: {limit} }}")
    daemon.start()
    port = daemon.port("tcp")
    users = range(names)
    say(port, b"".join(b"visits:1|c|#user:%d\n" % user for user in users))
    orders = list("abcdefgh")
    permuted = []
    for number in range(names):
        random.Random(number).shuffle(orders)
        permuted.append("tagged:1|c|#" + ",".join(f"{key}:1" for key in orders))
    say(port, "\n".join(permuted).encode())
    say(port, b"".join(b"name%d:1|c\n" % number for number in users))
    wait_until(lambda: daemon.listeners()["tcp"]["received"] == 3 * names, "all lines")
    assert daemon.value("sum(visits)") == names
    assert daemon.value('sum(visits{__other__="true"})') == names - limit
    assert daemon.value("sum(tagged)") == names
    facts = daemon.ask("ingest")
    assert facts["series"] <= 2 * limit + 1
    assert facts["listeners"][1]["dropped"]["series_limit"] > 0
    check_balance(daemon)


ODD = [
    b"nul\x00name:1|c", "ünï cödé:1|c".encode(), b"with space:1|c", b"bad\xff\xfeutf:1|c", b"esc\x1b[31m]:1|c",
    b"lab:1|c|#k\x1b[2J:v\x07", b"lab:1|c|#k:\xff\xfe", b'lab:1|c|#q":"x\\', b'quote"back\\slash:1|c',
    b"lab:1|c|#\xe2\x80\xae:rtl", b"<script>:1|c", b"x" * 2000 + b":1|c",
    b"big:1.7e308|c", b"big:1.7e308|c", b"more:1.7e308|c", b"most:1.7e308|g", b"most:+1.7e308|g",
    b"low:-1.7e308|g", b"low:-1.7e308|g", b"low:-1.7e308|g", b"tiny:5e-324|c|@0.1", b"zero:-0|c", b"time:1e308|h|@0.01",
    b"set:\x00\x01|s", b"set:|s",
]


def test_odd_names_and_values_come_out_as_valid_json_and_clean_text(kpid, tmp_path):
    daemon = start(kpid, tmp_path)
    say(daemon.port("tcp"), b"\n".join(ODD))
    wait_until(lambda: daemon.listeners()["tcp"]["received"] == len(ODD), "all lines")
    check_balance(daemon)

    def value(expression):
        now = time.time()
        said = daemon.kpictl("query", expression, "--from", iso(now - 7200), "--to", iso(now + 120), "--json").stdout
        points = json.loads(said, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))["points"]
        return points[0]["value"]

    largest = 1.7976931348623157e308
    assert value("sum(big)") == largest
    assert value("sum(big) + sum(more)") in (largest, None)
    assert value("sum(big) * sum(more)") is None
    assert value("last(most)") == 1.7e308
    assert value("last(low)") == -1.7e308 or value("last(low)") == -largest
    assert value("sum(zero)") == 0
    assert value("sum(zero) / sum(zero)") is None
    assert value("uniques(set)") == 2
    for name in ("lab", "bad", "esc", "quote"):
        said = daemon.kpictl("query", f"sum({name})", "--from", iso(time.time() - 60), "--to", iso(time.time()),
                             check=False)
        assert "\x1b" not in said.stdout + said.stderr
    assert "\x1b" not in daemon.log() and "\x00" not in daemon.log()
    daemon.stop()
    daemon.start()
    assert value("sum(big)") == largest
