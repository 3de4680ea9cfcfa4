"""A listener may bring so many series; what it sends beyond that counts, and nobody else is kept out."""

import socket
import subprocess
import time
import urllib.error
import urllib.request

import pytest

from conftest import BUILD, wait_until
from remote_write import V2, request_2, snappy

ATTACKED, OTHER, REMOTE = "127.0.0.1", "127.0.0.2", "127.0.0.3"
COUNTER, GAUGE = 1, 2
LISTENERS = f"""ingest:
  - {{ protocol: statsd, listen: tcp:{ATTACKED}:0, max_series: 100 }}
  - {{ protocol: statsd, listen: tcp:{OTHER}:0 }}
  - {{ protocol: prometheus, listen: http:{REMOTE}:0, max_series: 2 }}
"""


class Sender:
    """Sends to one kpid, and knows how much."""

    def __init__(self, kpid):
        self.kpid = kpid
        self.sent = 0

    def send(self, to, lines):
        with socket.create_connection((to, self.kpid.port("tcp", to))) as connection:
            connection.sendall("".join(line + "\n" for line in lines).encode())
        self.sent += len(lines)
        self.settle()

    def settle(self):
        def is_all_there():
            listeners = self.kpid.ask("ingest")["listeners"]
            received = sum(one["received"] for one in listeners)
            return received == self.sent and not any(one["pending"] for one in listeners)

        wait_until(is_all_there, f"{self.sent} samples to be accounted for")

    def write(self, *series):
        request = urllib.request.Request(
            f"http://{REMOTE}:{self.kpid.port('http', REMOTE)}/api/v1/write",
            snappy(request_2(*series)),
            {"Content-Type": V2, "Content-Encoding": "snappy"},
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                status = answer.status
        except urllib.error.HTTPError as refused:
            status = refused.code
        self.sent += len(series)
        self.settle()
        return status


def listener(kpid, address):
    return next(one for one in kpid.ask("ingest")["listeners"] if address in one["listen"])


def permuted(first, last):
    """Series of one metric, each spelled in six ways."""
    orders = ("abc", "acb", "bac", "bca", "cab", "cba")
    return [
        "orders:1|c|#" + ",".join(f"{label}:{number}" for label in order)
        for number in range(first, last)
        for order in orders
    ]


def expect_limited(sender, name):
    """One more series of the attacked listener joins the others, and one of the other listener does not."""
    kpid = sender.kpid
    before = kpid.value('sum(orders{__other__="true"})')
    sender.send(ATTACKED, [f"orders:1|c|#a:{name}", "orders:1|c|#a:0,b:0,c:0"])
    sender.send(OTHER, [f"orders:1|c|#b:{name}"])
    assert kpid.value('sum(orders{__other__="true"})') == before + 1
    assert kpid.value(f'sum(orders{{a="{name}"}})') in (None, 0)
    assert kpid.value(f'sum(orders{{b="{name}"}})') == 1


@pytest.fixture
def attacked(kpid):
    """Three times as many series as there may be, in two floods: the second one comes when that is known."""
    sender = Sender(kpid(LISTENERS))
    sender.send(ATTACKED, permuted(0, 200))
    wait_until(lambda: "over_series_limit" in sender.kpid.log(), "a line in the log")
    sender.send(ATTACKED, permuted(100, 300))
    return sender


def test_a_flood_of_series_is_counted_and_keeps_nobody_else_out(attacked):
    made = attacked.kpid
    assert made.value("sum(orders)") == attacked.sent == 2400
    assert made.value('sum(orders{__other__="true"})') == 2400 - 600
    attacked.send(OTHER, [f"orders:1|c|#d:{i}" for i in range(300)])
    assert made.value("sum(orders)") == attacked.sent
    assert made.value('sum(orders{__other__="true"})') == 2400 - 600
    attacked.send(OTHER, ["orders:1|c|#a:250,b:250,c:250"])  # which the flood has had
    assert made.value('sum(orders{a="250"})') == 1
    assert made.value("sum(orders)") == attacked.sent

    wait_until(lambda: listener(made, OTHER).get("series") == 301, "the series to be shown")
    one = listener(made, ATTACKED)
    assert (one["series"], one["max_series"]) == (100, 100)
    assert "max_series" not in listener(made, OTHER)
    offender = made.ask("ingest")["offenders"][0]
    assert offender == {
        "metric": "orders", "limit": "listener_max_series", "listener": f"statsd tcp:{ATTACKED}:0",
        "allowed": 100, "series": 100, "samples": 1800, "refused": 0,
    }
    text = made.kpictl("ingest").stdout
    assert "brought 100 of max_series = 100 active series" in text
    assert ("orders: 1800 samples joined __other__, over max_series = 100 of the listener "
            f"statsd tcp:{ATTACKED}:0 with 100 active series") in text
    assert f'limit=listener_max_series listener="statsd tcp:{ATTACKED}:0"' in made.log()


def test_what_the_flood_had_may_be_sent_by_it_once_another_listener_has_brought_it(attacked):
    made = attacked.kpid
    attacked.send(OTHER, ["orders:1|c|#a:250,b:250,c:250"])

    def is_taken():
        attacked.send(ATTACKED, ["orders:1|c|#a:250,b:250,c:250"])
        return made.value('sum(orders{a="250"})') > 1

    wait_until(is_taken, "the next minute", timeout=100)
    assert made.value("sum(orders)") == attacked.sent


def test_the_limit_of_a_listener_outlives_a_kill_and_a_restart(attacked):
    made = attacked.kpid
    made.kill()
    made.start()
    expect_limited(attacked, "killed")
    assert made.stop() == 0
    made.start()
    expect_limited(attacked, "restarted")
    assert made.value("sum(orders)") == attacked.sent


def test_the_limit_of_a_listener_outlives_a_restore_and_a_compaction(attacked, kpid, tmp_path):
    made = attacked.kpid
    assert made.ask("verify")["found"] == 0
    made.kpictl("backup", tmp_path / "backup")
    folder = tmp_path / "second"
    folder.mkdir()
    for words in (["restore", tmp_path / "backup", "--to", folder / "data"], ["compact", folder / "data"]):
        done = subprocess.run([BUILD / "kpictl", *words], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
    second = Sender(kpid(LISTENERS, folder=folder))
    second.sent = attacked.sent
    assert second.kpid.ask("verify")["found"] == 0
    expect_limited(second, "restored")


def test_a_higher_limit_of_a_listener_makes_room_without_a_restart(attacked):
    made = attacked.kpid
    text = made.config_path.read_text()
    made.config_path.write_text(text.replace("max_series: 100", "max_series: 102"))
    made.reload()

    def has_room():
        attacked.send(ATTACKED, ["orders:1|c|#a:new"])
        return made.value('sum(orders{a="new"})') == 1

    wait_until(has_room, "the series to be made", timeout=100)
    others = made.value('sum(orders{__other__="true"})')
    attacked.send(ATTACKED, ["orders:1|c|#a:newer", "orders:1|c|#a:newest"])
    assert made.value('sum(orders{__other__="true"})') == others + 1
    assert made.value("sum(orders)") == attacked.sent


def test_totals_of_a_listener_that_may_bring_no_more_are_refused_and_levels_joined(kpid):
    sender = Sender(kpid(LISTENERS))
    made = sender.kpid
    now = int(time.time() * 1000)
    for turn in range(2):  # the writer refuses what the first one has, and the listener the second
        at = now + turn
        sender.write(*[({"__name__": "served_total", "n": str(i)}, COUNTER, (10 + turn, at, now - 1000))
                       for i in range(2 + turn)])
        sender.write(({"__name__": "jobs", "n": str(turn)}, GAUGE, (7, at)))
        wait_until(lambda: listener(made, REMOTE).get("series") == 2, "the series to be shown")
    one = listener(made, REMOTE)
    assert one["rejected"] == {} and one["dropped"]["series_limit"] == 1
    assert made.value("sum(served_total)") == 2
    assert made.value('last(jobs{__other__="true"})') == 7
    sender.send(OTHER, ["jobs:5|g|#n:9"])
    assert made.value('last(jobs{n="9"})') == 5
