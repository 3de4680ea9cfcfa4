"""A disk without room, a store that may not grow, and a file system that has become read-only: input is
refused, nothing that was acknowledged is lost, reading goes on, and when it is over nobody has to start kpid
again."""

import os
import random
import subprocess
import time

import pytest

from conftest import BUILD, SECRET, TICK, wait_until
from ports import free_port
from rounds import LINES, Batcher, check_sound, push

SHIM = BUILD / "libkpid_faults.so"
BODY = """
ingest: [ { protocol: influx, listen: "http:127.0.0.1:PORT" } ]
metrics:
  shop_items: { type: counter }
  queue: { type: gauge }
  filler_value: { type: gauge }
kpis:
  queue: { value: last(queue), target: { at_most: 10 }, evaluate: every 1s, hooks: [ chat ] }
hooks:
  chat: { type: webhook, url: { env: HOOK_URL }, secrets: [ { env: HOOK_SECRET } ], allow_http: true,
          retry: { first: 100ms, max: 200ms } }
"""


def mount(*arguments):
    return subprocess.run(["mount", *map(str, arguments)], check=False, capture_output=True).returncode == 0


@pytest.fixture
def small_disk(tmp_path):
    path = tmp_path / "small"
    path.mkdir()
    if os.geteuid() != 0 or not mount("-t", "tmpfs", "-o", "size=4m", "kpid-test", path):
        pytest.skip("mounting a small disk needs root")
    yield path
    subprocess.run(["umount", "-l", path], check=True)


def fill(path):
    """Takes all the room that is left, to the last byte."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for size in (65536, 4096, 1):
        try:
            while os.write(file, b"x" * size) > 0:
                pass
        except OSError:
            pass
    os.close(file)


def write(port, lines):
    """The status."""
    return subprocess.run(["curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "--data-binary", "@-",
                           f"http://127.0.0.1:{port}/write?db=x&precision=s"],
                          input=lines, capture_output=True, text=True, check=True).stdout


class Feed:
    """kpid and who sends batches to it."""

    def __init__(self, kpid, receiver, storage, environment=None):
        self.receiver = receiver
        body = BODY.replace("PORT", str(free_port()))
        self.daemon = kpid(body, start=False, environment={
            "HOOK_URL": receiver.url, "HOOK_SECRET": SECRET, **(environment or {})})
        text = self.daemon.config_path.read_text()
        line = next(line for line in text.splitlines() if line.startswith("storage:"))
        self.text = text.replace(line, "storage: STORAGE")
        self.configure(storage)
        self.daemon.start()
        self.batchers = [Batcher(self.daemon.port("http"), number, number) for number in range(2)]

    def configure(self, storage):
        self.daemon.config_path.write_text(self.text.replace("STORAGE", storage))

    def begin(self):
        for batcher in self.batchers:
            batcher.start()

    def acknowledged(self):
        return sum(batcher.acknowledged for batcher in self.batchers)

    def refused(self):
        return sum(batcher.refused for batcher in self.batchers)

    def wait_for_refusals(self):
        before = self.refused()
        wait_until(lambda: self.refused() > before + 4, "batches to be refused")

    def wait_for_storing(self):
        before = self.acknowledged()
        wait_until(lambda: self.acknowledged() > before + 4, "batches to be stored")

    def check_reading(self):
        """Every figure while nothing can be stored: all that was acknowledged, each batch whole."""
        for batcher in self.batchers:
            known = batcher.acknowledged
            stored = batcher.value(self.daemon)
            assert known * LINES <= stored <= (known + 1) * LINES and stored % LINES == 0
        assert self.daemon.kpi("queue")["status"]

    def check_all(self):
        """When it is over: everything is there exactly once, and sound."""
        for batcher in self.batchers:
            batcher.end()
            assert batcher.wrong is None
            batcher.finish()
            assert batcher.value(self.daemon) == batcher.acknowledged * LINES
        check_sound(self.daemon)


def test_a_disk_that_is_full_to_the_last_byte_refuses_and_recovers(kpid, receiver, small_disk):
    feed = Feed(kpid, receiver, f"{{ path: {small_disk / 'data'} }}")
    daemon = feed.daemon
    feed.begin()
    feed.wait_for_storing()
    fill(small_disk / "ballast")
    feed.wait_for_refusals()
    fill(small_disk / "ballast")
    feed.wait_for_refusals()
    assert daemon.get("/readyz")[0] == 503
    assert push(daemon.control, [{"name": "queue", "value": 1}]) is False
    feed.check_reading()

    assert mount("-o", "remount,size=64m", small_disk)
    feed.wait_for_storing()
    wait_until(daemon.is_ready, "kpid to be ready again")
    feed.check_all()

    # Full again when it starts: the file is there, so it can be read.
    fill(small_disk / "ballast")
    daemon.kill()
    daemon.spawn()
    wait_until(lambda: daemon.process.poll() is not None or daemon.get("/healthz", check=False)[0] == 200, "an answer")
    if daemon.process.poll() is not None:
        assert "No space left on device" in daemon.log()
        (small_disk / "ballast").unlink()
        daemon.start()
    else:
        feed.check_reading()
        (small_disk / "ballast").unlink()
        wait_until(daemon.is_ready, "kpid to be ready again")
    for batcher in feed.batchers:
        assert batcher.value(daemon) == batcher.acknowledged * LINES
    check_sound(daemon)


def test_a_full_store_alerts_and_shrinks(kpid, receiver, tmp_path):
    data = tmp_path / "data"
    feed = Feed(kpid, receiver, f"{{ path: {data}, max_size: 16M }}")
    daemon = feed.daemon
    port = daemon.port("http")
    long_ago = int(time.time()) - 20 * 86400
    assert push(daemon.control, [{"name": "queue", "value": 25}]) is True
    wait_until(lambda: daemon.ask("alerts")["alerts"], "the alert to fire")

    chance = random.Random(1)
    refusals = 0
    while refusals < 30:  # in a row: background work may make room for a while
        lines = "".join(f"filler,series={chance.randrange(400)} value={chance.random()} "
                        f"{long_ago + chance.randrange(10 * 86400)}\n" for _ in range(4000))
        status = write(port, lines)
        assert status in ("204", "503")
        refusals = refusals + 1 if status == "503" else 0
        TICK.wait(0.1 if status == "503" else 0)
    assert "the store is full" in daemon.log()
    wait_until(lambda: write(port, lines) == "503" and daemon.get("/readyz")[0] == 503, "kpid to say that it is full")
    wait_until(lambda: write(port, lines) == "503" and push(daemon.control, [{"name": "other", "value": 1}]) is False,
               "a push to be refused")
    # What was decided before is told, and what is known is read.
    assert daemon.kpi("queue")["value"] == 25
    wait_until(lambda: receiver.events("kpi.alert.firing"), "the alert to be told")
    wait_until(lambda: daemon.ask("hooks")["hooks"][0]["pending"] == 0, "what was told to be noted")

    # A restart begins a fold, also of a full store; then most of it is kept no longer.
    daemon.stop()
    daemon.spawn()
    wait_until(lambda: daemon.get("/healthz", check=False)[0] == 200, "an answer")
    feed.configure(f"{{ path: {data}, max_size: 16M, keep: {{ bucket_1m: 2d, bucket_15m: 3d, day: 4d }} }}")
    daemon.reload()
    wait_until(lambda: push(daemon.control, [{"name": "queue", "value": 1}]), "the store to have room again")
    wait_until(lambda: not daemon.ask("alerts")["alerts"], "the alert to resolve")
    feed.begin()
    feed.wait_for_storing()
    feed.check_all()


@pytest.mark.skipif(not SHIM.exists(), reason="needs a build with KPID_TESTS")
@pytest.mark.parametrize("error", ["erofs", "remount", "eio", "enospc"])
def test_a_disk_that_takes_nothing_for_a_while_costs_nothing(kpid, receiver, tmp_path, error):
    fault = tmp_path / "fault"
    feed = Feed(kpid, receiver, f"{{ path: {tmp_path / 'data'} }}", {
        "LD_PRELOAD": str(SHIM),
        "KPID_FAULT_WHILE": str(fault),
        # The sanitizers' library wants to be the first.
        "ASAN_OPTIONS": "verify_asan_link_order=0:detect_leaks=0",
    })
    daemon = feed.daemon
    feed.begin()
    for _ in range(3):
        feed.wait_for_storing()
        (tmp_path / "fault.new").write_text(error)
        (tmp_path / "fault.new").rename(fault)
        feed.wait_for_refusals()
        assert daemon.get("/readyz")[0] == 503
        assert push(daemon.control, [{"name": "queue", "value": 1}]) is False
        feed.check_reading()
        fault.unlink()
        feed.wait_for_storing()
        wait_until(daemon.is_ready, "kpid to be ready again")
    feed.check_all()
