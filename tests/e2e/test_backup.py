"""Backup and restore, export and import, compact: with a real kpid and its real files."""

import base64
import json
import os
import socket
import subprocess
import threading
import time

from conftest import BUILD, SECRET, TICK, wait_until
from test_influx import with_limits

BODY = """
ingest: [ { protocol: statsd, listen: "udp:127.0.0.1:0" } ]
metrics:
  signup: { type: counter }
  latency: { type: distribution }
  visitor: { type: unique }
kpis:
  signups: { value: sum(signup), period: day, target: { at_least: 100 } }
"""
MIB = 1 << 20


def fill(daemon):
    for number in range(20):
        daemon.kpictl("push", f"signup={number}", f"plan=p{number % 3}")
        daemon.kpictl("push", f"latency={number * 1.7}")
    for number in range(5):
        daemon.kpictl("push", f"visitor=v{number}")


def figures(daemon):
    return {
        expression: daemon.value(expression)
        for expression in ("sum(signup)", 'sum(signup{plan="p1"})', "p95(latency)", "uniques(visitor)", "count(latency)")
    }


def offline(*arguments):
    return subprocess.run(
        [BUILD / "kpictl", *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False
    )


def restored(kpid, tmp_path, backup, name="second"):
    """A kpid on what the backup was restored to."""
    folder = tmp_path / name
    folder.mkdir()
    done = offline("restore", backup, "--to", folder / "data", "--json")
    assert done.returncode == 0, done.stderr
    return kpid(BODY, folder=folder), json.loads(done.stdout)


def test_what_is_restored_has_the_same_figures(kpid, tmp_path):
    daemon = kpid(BODY)
    fill(daemon)
    expected = figures(daemon)
    done = json.loads(daemon.kpictl("backup", tmp_path / "b", "--json").stdout)
    assert done["state"] == "done" and done["commit"] > 0
    assert os.stat(tmp_path / "b").st_mode & 0o777 == 0o600
    daemon.kpictl("push", "signup=1000")  # after it: not in the backup

    second, report = restored(kpid, tmp_path, tmp_path / "b")
    assert report["commit"] == done["commit"]
    assert figures(second) == expected
    assert daemon.value("sum(signup)") == expected["sum(signup)"] + 1000
    second.kpictl("push", "signup=7")
    assert second.value("sum(signup)") == expected["sum(signup)"] + 7


class Feed(threading.Thread):
    """Sends until it is told to stop; what was answered before a moment must be in a backup that began after it."""

    def __init__(self, daemon):
        super().__init__(daemon=True)
        self.daemon = daemon
        self.acknowledged = 0
        self.sent = 0
        self.ended = threading.Event()

    def run(self):
        while not self.ended.is_set():
            self.sent += 1
            self.daemon.kpictl("push", "signup=1")
            self.acknowledged += 1


def test_a_backup_under_load_is_of_one_moment(kpid, tmp_path):
    daemon = kpid(BODY)
    feed = Feed(daemon)
    feed.start()
    wait_until(lambda: feed.acknowledged > 5, "some pushes")
    before = feed.acknowledged
    daemon.kpictl("backup", tmp_path / "b")
    after = feed.sent
    feed.ended.set()
    feed.join()
    second, _ = restored(kpid, tmp_path, tmp_path / "b")
    assert before <= second.value("sum(signup)") <= after
    ledger = second.ask("ingest")["listeners"]
    assert sum(listener["stored"] for listener in ledger) == second.value("sum(signup)")


def send_lines(port, lines):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for start in range(0, len(lines), 20):
            sender.sendto("\n".join(lines[start : start + 20]).encode(), ("127.0.0.1", port))


def test_a_backup_under_load_keeps_the_file_small(kpid, tmp_path):
    """A slow backup: with one snapshot for all of it no page that is freed meanwhile could be used again."""
    daemon = kpid(BODY)
    port = daemon.port("udp")
    send_lines(port, [f"series{number}:{number}|c" for number in range(20000)])
    wait_until(lambda: daemon.stored() > 10000, "the series to be stored")
    data = daemon.folder / "data" / "data.mdb"
    begun = data.stat().st_size
    backup = subprocess.Popen(
        [BUILD / "kpictl", "--socket", daemon.control, "backup", tmp_path / "b", "--rate", "1", "--json"],
        stdout=subprocess.PIPE,
    )
    while backup.poll() is None:
        send_lines(port, [f"series{number}:1|c" for number in range(0, 20000, 50)])
        TICK.wait(0.1)
    task = json.loads(backup.stdout.read())
    assert backup.returncode == 0
    assert task["longest_snapshot_ms"] < 5000
    grown = data.stat().st_size - begun
    assert grown < 32 * MIB, f"grown by {grown / MIB:.1f} MiB"


def test_a_kill_in_the_middle_leaves_no_file(kpid, tmp_path):
    daemon = kpid(BODY)
    port = daemon.port("udp")
    send_lines(port, [f"series{number}:{number}|c" for number in range(20000)])
    wait_until(lambda: daemon.stored() > 10000, "the series to be stored")
    backup = subprocess.Popen(
        [BUILD / "kpictl", "--socket", daemon.control, "backup", tmp_path / "b", "--rate", "1"],
        stderr=subprocess.PIPE,
    )
    wait_until(lambda: (tmp_path / "b.partial").exists(), "the backup to begin")
    daemon.kill()
    assert backup.wait(60) == 3
    assert not (tmp_path / "b").exists()
    daemon.start()
    daemon.kpictl("backup", tmp_path / "b")  # over what was left
    assert (tmp_path / "b").exists() and not (tmp_path / "b.partial").exists()


def test_a_stop_in_the_middle_is_quick_and_leaves_nothing(kpid, tmp_path):
    daemon = kpid(BODY)
    port = daemon.port("udp")
    send_lines(port, [f"series{number}:{number}|c" for number in range(20000)])
    wait_until(lambda: daemon.stored() > 10000, "the series to be stored")
    status, _ = post(daemon, "/api/v1/store/backup", {"file": str(tmp_path / "b"), "bytes_per_s": 1000})
    assert status == 202
    wait_until(lambda: (tmp_path / "b.partial").exists(), "the backup to begin")
    refused = daemon.kpictl("backup", tmp_path / "c", check=False)
    assert refused.returncode == 4 and "under way" in refused.stderr
    assert daemon.stop() == 0
    assert not (tmp_path / "b").exists() and not (tmp_path / "b.partial").exists()


def post(daemon, path, body):
    text = json.dumps(body)
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(daemon.control))
        connection.sendall(
            f"POST {path} HTTP/1.1\r\nHost: kpid\r\nConnection: close\r\nContent-Length: {len(text)}\r\n\r\n{text}".encode()
        )
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
    head, _, rest = answer.partition(b"\r\n\r\n")
    return int(head.split(b" ", 2)[1]), json.loads(rest)


def test_what_is_wrong_with_a_backup_is_said(kpid, tmp_path):
    daemon = kpid(BODY)
    fill(daemon)
    daemon.kpictl("backup", tmp_path / "b")
    again = daemon.kpictl("backup", tmp_path / "b", check=False)
    assert again.returncode == 4 and "is there already" in again.stderr
    nowhere = daemon.kpictl("backup", tmp_path / "no" / "b", check=False)
    assert nowhere.returncode == 4 and "No such file" in nowhere.stderr

    taken = offline("restore", tmp_path / "b", "--to", daemon.folder / "data")
    assert taken.returncode == 4 and "is not empty" in taken.stderr
    in_use = offline("compact", daemon.folder / "data")
    assert in_use.returncode == 4 and "in use by another kpid" in in_use.stderr
    assert offline("restore", tmp_path / "b").returncode == 2

    content = bytearray((tmp_path / "b").read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "damaged").write_bytes(content)
    (tmp_path / "cut").write_bytes(content[:-100])
    for name in ("damaged", "cut"):
        done = offline("restore", tmp_path / name, "--to", tmp_path / "target")
        assert done.returncode == 4 and "is damaged" in done.stderr
        assert not (tmp_path / "target").exists()


def test_what_is_exported_can_be_imported_bit_for_bit(kpid, tmp_path):
    daemon = kpid(BODY)
    fill(daemon)
    daemon.kpictl("push", "odd=0.1", "label=ü")
    daemon.kpictl("push", "odd=1e300", "label=ü")
    lines = daemon.kpictl("export").stdout
    cells = [json.loads(line) for line in lines.splitlines()]
    assert {cell["metric"] for cell in cells} == {"signup", "latency", "visitor", "odd"}
    assert sum(cell["count"] for cell in cells if cell["metric"] == "signup") == 20 * 65536
    (tmp_path / "cells.jsonl").write_text(lines)

    folder = tmp_path / "second"
    folder.mkdir()
    second = kpid(BODY, folder=folder)
    done = json.loads(second.kpictl("import", tmp_path / "cells.jsonl", "--json").stdout)
    assert (done["cells"], done["repeated"], done["too_old"]) == (len(cells), 0, 0)
    assert figures(second) == figures(daemon)
    assert sorted(second.kpictl("export").stdout.splitlines()) == sorted(lines.splitlines())

    again = json.loads(second.kpictl("import", tmp_path / "cells.jsonl", "--json").stdout)
    assert (again["cells"], again["repeated"], again["too_old"]) == (0, len(cells), 0)
    assert figures(second) == figures(daemon)
    only = second.kpictl("export", "--metric", "odd").stdout.splitlines()
    assert {json.loads(line)["metric"] for line in only} == {"odd"}

    folder = tmp_path / "third"
    folder.mkdir()
    third = with_limits(kpid(BODY, folder=folder, start=False), "series: 1")  # and one __other__
    done = json.loads(third.kpictl("import", tmp_path / "cells.jsonl", "--json").stdout)
    left = [json.loads(line)["count"] for line in third.kpictl("export").stdout.splitlines()]
    assert done["dropped"] > 0
    assert done["dropped"] * 65536 + sum(left) == sum(cell["count"] for cell in cells)


def test_values_between_bounds_are_imported_and_read(kpid, tmp_path):
    daemon = kpid(BODY)
    at = (int(time.time()) // 60 - 2) * 60000
    # one value up to 1, two up to 2, none up to 5 and three above, as series/bounded.h writes it
    histogram = bytes.fromhex("a0000000" "4103020002" "0102000003")
    cell = {"metric": "size", "kind": "distribution", "labels": {}, "level": "1m", "from_ms": at}
    cell |= {"count": 6 * 65536, "sum": 31.0, "sum_low": 0.0, "min": 0.5, "max": 9.0}
    cell |= {"first": 0.5, "first_at": at, "first_arrival": 1}
    cell |= {"last": 9.0, "last_at": at + 1, "last_arrival": 2}
    cell |= {"counts_values": True, "histogram": base64.b64encode(histogram).decode()}
    (tmp_path / "lines").write_text(json.dumps(cell) + "\n")
    daemon.kpictl("import", tmp_path / "lines")
    assert json.loads(daemon.kpictl("export", "--metric", "size").stdout) == cell
    for formula, value in (
        ("p50(size)", 2),
        ("p75(size)", 7),
        ("max(size)", 9),
        ("share(size <= 2)", 0.5),
        ("share(size >= 2.5)", 0.5),
    ):
        assert daemon.value(formula) == value


def test_lines_that_are_no_cells_are_refused(kpid, tmp_path):
    daemon = kpid(BODY)
    fill(daemon)
    good = daemon.kpictl("export", "--metric", "signup").stdout.splitlines()[0]
    for change in (
        lambda cell: cell.pop("count"),
        lambda cell: cell.update(count=-1),
        lambda cell: cell.update(min=cell["max"] + 1),
        lambda cell: cell.update(level="1h"),
        lambda cell: cell.update(from_ms=cell["from_ms"] + 1),
        lambda cell: cell.update(first_at=0),
        lambda cell: cell.update(kind="nonsense"),
        lambda cell: cell.update(metric=""),
        lambda cell: cell.update(labels=[]),
        lambda cell: cell.update(histogram="AAAA"),
        lambda cell: cell.update(distinct="!"),
        lambda cell: cell.update(sum="1"),
    ):
        cell = json.loads(good)
        change(cell)
        (tmp_path / "lines").write_text(json.dumps(cell) + "\n")
        before = figures(daemon)
        done = daemon.kpictl("import", tmp_path / "lines", check=False)
        assert done.returncode == 4 and "line 1: not a cell" in done.stderr, (cell, done)
        assert figures(daemon) == before
    (tmp_path / "lines").write_text("nonsense\n")
    assert daemon.kpictl("import", tmp_path / "lines", check=False).returncode == 4


def test_compact_makes_the_file_smaller_and_changes_nothing(kpid, tmp_path):
    daemon = kpid(BODY)
    fill(daemon)
    expected = figures(daemon)
    assert daemon.stop() == 0
    done = offline("compact", daemon.folder / "data", "--json")
    assert done.returncode == 0, done.stderr
    sizes = json.loads(done.stdout)
    assert 0 < sizes["after"] <= sizes["before"]
    daemon.start()
    assert figures(daemon) == expected


def test_the_clock_is_trusted_and_may_be_accepted(kpid):
    daemon = kpid(BODY)
    assert daemon.ask("clock") == {"suspect": False, "keeps_more": False, "reason": None, "hint": None}
    assert daemon.kpictl("clock").stdout == "the clock is trusted\n"
    assert daemon.kpictl("clock", "accept").returncode == 0
    assert daemon.kpictl("clock", "refuse", check=False).returncode == 2


def test_verify_finds_nothing_in_what_is_right_and_what_is_wrong_in_the_rest(kpid, tmp_path):
    daemon = kpid(BODY)
    fill(daemon)
    result = daemon.ask("verify")
    assert result["found"] == 0 and result["findings"] == [] and result["series"] > 4, result
    daemon.kpictl("backup", tmp_path / "b")
    second, _ = restored(kpid, tmp_path, tmp_path / "b")
    assert second.ask("verify")["found"] == 0
    assert second.stop() == 0 and daemon.stop() == 0
    done = offline("verify", daemon.folder / "data")
    assert done.returncode == 0 and done.stdout.startswith("0 found wrong"), done
    assert offline("verify", tmp_path / "nowhere").returncode == 4


ALERTING = """
ingest: [ { protocol: statsd, listen: "udp:127.0.0.1:0" } ]
schedules: { often: every 1s }
metrics: { queue: { type: gauge }, idle: { type: gauge } }
kpis:
  queue: { value: last(queue), target: { at_most: 10 }, evaluate: often, hooks: [ pager ] }
hooks:
  pager: { type: webhook, url: "http://127.0.0.1:1/", secrets: [ { env: HOOK_SECRET } ], allow_http: true }
"""


def test_verify_counts_the_records_of_every_layer(kpid, tmp_path):
    daemon = kpid(ALERTING, environment={"HOOK_SECRET": SECRET})
    daemon.kpictl("token", "add", "dashboard", "--role", "viewer")
    daemon.kpictl("push", "queue=99")
    wait_until(lambda: any(hook["pending"] == 1 for hook in daemon.ask("hooks")["hooks"]), "a message that waits")
    found = daemon.ask("verify")
    assert found["found"] == 0, found["findings"]
    records = found["records"]
    assert {name: records[name] for name in records if name != "figures"} == {
        "alert_state": 1, "outbox": 1, "event": 1, "hook": 1, "schedule": 1, "declared": 2, "tokens": 1
    }
    assert found["rows"] > sum(records.values())
    said = daemon.kpictl("verify").stdout
    assert said.startswith("0 found wrong in 1 series") and " records and " in said, said

    daemon.kpictl("backup", tmp_path / "b")
    assert daemon.stop() == 0
    assert offline("restore", tmp_path / "b", "--to", tmp_path / "restored").returncode == 0
    for data in (daemon.folder / "data", tmp_path / "restored"):
        alone = json.loads(offline("verify", data, "--json").stdout)
        assert alone["found"] == 0, alone["findings"]
        assert {**alone["records"], "figures": 0} == {**records, "figures": 0}
