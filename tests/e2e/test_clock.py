"""A system clock that is wrong: kpid goes on taking samples, and closes and expires nothing until the clock
has run evenly for a while or somebody says that it is right. libfaketime turns the clock."""

import json
import pathlib
import time

import pytest

from conftest import iso, wait_until

LIBRARIES = sorted(pathlib.Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
pytestmark = pytest.mark.skipif(not LIBRARIES, reason="needs libfaketime")

DAY = 86400
YEARS = 29 * 365 * DAY
BODY = "metrics: { orders: { type: counter } }\n"
KEEP = "keep: { bucket_1m: 2d, bucket_15m: 3d, day: 4d }"


class Clock:
    """kpid's clock is this many seconds off; it can be turned while kpid runs."""

    def __init__(self, folder):
        self.path = folder / "clock"
        self.turn(0)

    def turn(self, seconds):
        fresh = self.path.with_suffix(".new")
        fresh.write_text(f"{seconds:+d}\n")
        fresh.rename(self.path)

    def environment(self):
        return {
            "LD_PRELOAD": str(LIBRARIES[0]),
            "FAKETIME_TIMESTAMP_FILE": str(self.path),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            # The sanitizers' library wants to be the first.
            "ASAN_OPTIONS": "verify_asan_link_order=0:detect_leaks=0",
        }


@pytest.fixture
def clock(tmp_path):
    return Clock(tmp_path)


def start(kpid, clock, ready=True):
    daemon = kpid(BODY, start=False, environment=clock.environment())
    daemon.config_path.write_text(daemon.config_path.read_text().replace("/data }", f"/data, {KEEP} }}"))
    daemon.spawn()
    return wait_for(daemon, ready)


def wait_for(daemon, ready):
    wanted = 200 if ready else 503
    wait_until(lambda: daemon.process.poll() is not None or daemon.get("/readyz", check=False)[0] == wanted,
               f"readiness to be {wanted}")
    assert daemon.process.poll() is None, daemon.log()
    return daemon


def push(daemon, value, at=None):
    daemon.kpictl("push", f"orders={value}", "--type", "counter", *(["--at", iso(at)] if at else []))


def orders(daemon, begin, end):
    return daemon.ask("query", "sum(orders)", "--from", iso(begin), "--to", iso(end), "--tz", "UTC")["points"][0]["value"]


def exported(daemon, begin, end):
    """The same of times that have not come yet, of which there are no figures."""
    lines = daemon.kpictl("export", "--metric", "orders", "--from", iso(begin), "--to", iso(end)).stdout.splitlines()
    return sum(json.loads(line)["sum"] for line in lines)


def check_sound(daemon):
    assert daemon.ask("verify")["found"] == 0


def test_a_start_in_2055_expires_nothing(kpid, clock):
    now = time.time()
    daemon = start(kpid, clock)
    for days in range(4):
        push(daemon, 1, now - days * DAY)
    assert orders(daemon, now - 5 * DAY, now + DAY) == 4
    daemon.stop()

    clock.turn(YEARS)
    wait_for(daemon.spawn(), ready=False)
    text = daemon.get("/readyz")[1]
    assert "clock" in text and "kpictl clock accept" in text
    said = daemon.kpictl("clock", check=False)
    assert said.returncode == 1 and "clock" in said.stdout
    push(daemon, 7)  # it is stamped with what the clock says, and stored
    assert orders(daemon, now + YEARS - DAY, now + YEARS + DAY) == 7
    assert orders(daemon, now - 5 * DAY, now + DAY) == 4
    check_sound(daemon)
    daemon.stop()

    clock.turn(0)
    wait_for(daemon.spawn(), ready=True)
    assert orders(daemon, now - 5 * DAY, now + DAY) == 4
    assert exported(daemon, now + YEARS - DAY, now + YEARS + DAY) == 7
    check_sound(daemon)


def test_a_clock_that_is_a_day_back_waits_for_somebody_to_accept_it(kpid, clock):
    now = time.time()
    daemon = start(kpid, clock)
    push(daemon, 1)
    daemon.stop()

    clock.turn(-DAY)
    wait_for(daemon.spawn(), ready=False)
    assert "clock" in daemon.get("/readyz")[1]
    push(daemon, 2)
    assert orders(daemon, now - DAY - 3600, now - DAY + 3600) == 2
    assert "trusted" in daemon.kpictl("clock", "accept").stdout
    wait_for(daemon, ready=True)
    assert daemon.kpictl("clock").returncode == 0
    assert orders(daemon, now - 2 * DAY, now + 3600) == 3
    check_sound(daemon)


def test_a_clock_that_is_turned_while_kpid_runs_is_not_trusted(kpid, clock):
    now = time.time()
    daemon = start(kpid, clock)
    push(daemon, 1)
    clock.turn(40 * DAY)
    wait_for(daemon, ready=False)
    push(daemon, 2)
    assert orders(daemon, now - 3600, now + 3600) == 1
    clock.turn(0)  # the one before it was right: still ten minutes, or a word
    daemon.kpictl("clock", "accept")
    wait_for(daemon, ready=True)
    push(daemon, 4)
    assert orders(daemon, now - 3600, now + 3600) == 5
    assert exported(daemon, now + 39 * DAY, now + 41 * DAY) == 2
    check_sound(daemon)
