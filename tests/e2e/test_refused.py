"""While nothing can be written, every way in that answers says 503 and when to come again. What was refused
is not stored, so what the client sends again counts once."""

import http.client
import json
import os
import socket
import subprocess
import time

import pytest

import test_otlp as otlp
from conftest import BUILD, PATIENCE, wait_until

SHIM = BUILD / "libkpid_faults.so"
pytestmark = pytest.mark.skipif(not SHIM.exists(), reason="needs a build with KPID_TESTS")

BODY = """
ingest:
  - { protocol: otlp, listen: "http:127.0.0.1:0" }
metrics:
  hits: { type: counter }
  orders: { type: counter }
"""


class Disk:
    """Takes nothing while it is broken."""

    def __init__(self, path):
        self.path = path

    def fail(self):
        self.path.with_suffix(".new").write_text("eio")
        self.path.with_suffix(".new").rename(self.path)

    def mend(self):
        self.path.unlink()


@pytest.fixture
def disk(tmp_path):
    return Disk(tmp_path / "fault")


@pytest.fixture
def daemon(kpid, disk):
    return kpid(BODY, environment={
        "LD_PRELOAD": str(SHIM),
        "KPID_FAULT_WHILE": str(disk.path),
        # The sanitizers' library wants to be the first.
        "ASAN_OPTIONS": "verify_asan_link_order=0:detect_leaks=0",
    })


class Control(http.client.HTTPConnection):
    """The control socket."""

    def __init__(self, daemon):
        super().__init__("kpid", timeout=PATIENCE)
        self.path = daemon.control

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(os.fspath(self.path))


def post(daemon, path, body):
    """(status, headers in lower case, bytes)"""
    connection = Control(daemon)
    try:
        connection.request("POST", path, body)
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def refuse_and_retry(daemon, disk, send):
    """What is sent while the disk is broken is refused however often it comes, and taken once it is mended."""
    disk.fail()
    for _ in range(5):
        status, headers, body = send()
        assert status == 503, body
        assert 1 <= int(headers["retry-after"]) <= 60
    disk.mend()

    def is_taken():
        answer = send()
        assert answer[0] in (200, 503), answer
        return answer if answer[0] == 200 else None

    return wait_until(is_taken, "what was refused to be taken")


def check_ledger(daemon, protocol, stored, may_repeat=False):
    def settled():
        found = next((one for one in daemon.ask("ingest")["listeners"] if one["protocol"] == protocol), None)
        return found if found and found["pending"] == 0 and found["received"] >= stored else None

    facts = wait_until(settled, "all to be counted")
    assert (facts["received"], facts["stored"]) == (stored + sum(facts["dropped"].values()), stored)
    assert facts["rejected"] == {} and set(facts["dropped"]) <= ({"duplicate"} if may_repeat else set())


@pytest.mark.parametrize("content_type", [otlp.PROTOBUF, otlp.JSON])
def test_otlp(daemon, disk, content_type):
    at = otlp.now_ns()
    if content_type == otlp.PROTOBUF:
        body = otlp.request(otlp.total("hits", otlp.DELTA, *(otlp.point(at + i * otlp.MS, 5) for i in range(3))))
    else:
        points = [{"timeUnixNano": str(at + i * otlp.MS), "asInt": "5"} for i in range(3)]
        body = json.dumps(otlp.in_json({"name": "hits", "sum": {
            "dataPoints": points, "aggregationTemporality": otlp.DELTA, "isMonotonic": True}}))
    refuse_and_retry(daemon, disk, lambda: otlp.post(daemon, body, content_type))
    assert daemon.value("sum(hits)") == 15
    check_ledger(daemon, "otlp", 3)


def test_a_push(daemon, disk):
    body = json.dumps({"samples": [{"name": "orders", "value": 4}]})
    refuse_and_retry(daemon, disk, lambda: post(daemon, "/api/v1/push", body))
    assert daemon.value("sum(orders)") == 4
    check_ledger(daemon, "json", 1)


def test_rows(daemon, disk):
    body = "".join(json.dumps({"id": str(i), "name": "orders", "value": i}) + "\n" for i in range(600))
    _, _, answer = refuse_and_retry(daemon, disk, lambda: post(daemon, "/api/v1/import/rows", body))
    answer = json.loads(answer)
    # The disk may have been mended in the middle of a request that was refused for the rows before.
    assert (answer["taken"], answer["stored"] + answer["repeated"], answer["rejected"]) == (600, 600, [])
    assert daemon.value("sum(orders)") == sum(range(600))
    check_ledger(daemon, "json", 600, may_repeat=True)


def test_cells(daemon, disk):
    assert post(daemon, "/api/v1/push", json.dumps({"samples": [{"name": "orders", "value": 4}]}))[0] == 200
    body = daemon.kpictl("export").stdout.replace('"orders"', '"copied"')
    _, _, answer = refuse_and_retry(daemon, disk, lambda: post(daemon, "/api/v1/store/import", body))
    assert json.loads(answer)["repeated"] is False
    assert daemon.value("sum(copied)") == 4
    assert json.loads(post(daemon, "/api/v1/store/import", body)[2])["repeated"] is True
    assert daemon.value("sum(copied)") == 4


def test_kpictl_imports_csv_when_it_can(daemon, disk, tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("time,value\n" + "".join(f"{int(time.time()) - 60},{i}\n" for i in range(2500)))
    command = [BUILD / "kpictl", "--socket", daemon.control, "import", "--metric", "orders", "--csv", path, "--json"]
    looks = 0

    def answered():
        """Requests that were answered, but for this function's own; None while the store is opened anew."""
        nonlocal looks
        looks += 1
        status, text = daemon.get("/metrics")
        if status != 200:
            return None
        return next(int(line.split()[1]) for line in text.splitlines()
                    if line.startswith("kpid_http_requests_total ")) - looks

    before = answered()
    disk.fail()

    def was_refused_twice():
        now = answered()
        return now is not None and now >= before + 2

    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as importing:
        wait_until(was_refused_twice, "rows to be refused twice")
        assert importing.poll() is None
        disk.mend()
        out, words = importing.communicate(timeout=PATIENCE)
    assert importing.returncode == 0, words
    told = json.loads(out)
    assert told["stored"] + told["repeated"] == 2500
    assert daemon.value("sum(orders)") == sum(range(2500))
    check_ledger(daemon, "json", 2500, may_repeat=True)
