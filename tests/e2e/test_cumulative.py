"""Counters that are declared cumulative (FIG-23): their samples are running totals, whoever sends them."""

import socket
import time

import pytest

from conftest import iso, wait_until
from native_client import PLAIN, Batch, Connection
from test_import_csv import csv_of, import_rows
from test_influx import write
from test_json_push import of, push

METRICS = """
metrics:
  served: { type: counter, reset: cumulative }
  disk_reads: { type: counter, reset: cumulative }
  orders: { type: counter }
"""
INFLUX = 'ingest: [ { protocol: influx, listen: "http:127.0.0.1:0" } ]' + METRICS
JSON = 'ingest: [ { protocol: json, listen: "http:127.0.0.1:0" } ]' + METRICS
NATIVE = 'ingest: [ { protocol: native, listen: "tcp:127.0.0.1:0" } ]' + METRICS


def lines(protocol, transport="tcp"):
    address = "{folder}/kpid.lines" if transport == "unix" else "127.0.0.1:0"
    return f'ingest: [ {{ protocol: {protocol}, listen: "{transport}:{address}" }} ]' + METRICS


def ledger(daemon):
    return daemon.ask("ingest")["listeners"][0]


def settled(daemon, received):
    def look():
        one = ledger(daemon)
        return one["received"] == received and one["pending"] == 0 and one

    return wait_until(look, f"{received} samples to be accounted for")


def send(daemon, text):
    with socket.create_connection(("127.0.0.1", daemon.port("tcp"))) as connection:
        connection.sendall(text.encode())


# --- batches ---


def test_influx_lines_over_http_count_differences(kpid):
    daemon = kpid(INFLUX)
    start = int(time.time()) - 600

    def point(value, second, query="db=x&precision=s", status=204):
        answer = write(daemon, f"disk,host=a reads={value}i {start + second}\n", query=query)
        assert answer[0] == status
        return answer[2]

    for value, second in ((100, 0), (160, 10), (20, 20), (50, 30)):  # 0 + 60 + 20 + 30
        point(value, second)
    assert daemon.value("sum(disk_reads)") == 110
    point(50, 30)  # again: a duplicate
    point(45, 25)  # older
    assert "(conflict 1)" in point(51, 30, status=400)  # the same time with something else
    assert daemon.value("sum(disk_reads)") == 110
    assert settled(daemon, 7)["dropped"] == {"duplicate": 2, "conflict": 1}
    daemon.kill()
    daemon.start()
    point(90, 40)
    assert daemon.value("sum(disk_reads)") == 150
    body = "".join(f"disk,host=a reads={90 + i}i {start + 50 + i}\n" for i in range(200))
    assert write(daemon, body, query="db=x&precision=s")[0] == 204
    assert daemon.value('sum(disk_reads{host="a"})') == 150 + 199


def test_lines_without_a_time_count_in_the_order_they_come(kpid):
    daemon = kpid(INFLUX)
    assert write(daemon, "disk reads=100i\ndisk reads=105i\ndisk reads=3i\n")[0] == 204
    assert write(daemon, "disk reads=4i\n")[0] == 204
    assert daemon.value("sum(disk_reads)") == 5 + 3 + 1
    assert write(daemon, "disk reads=-4i\n")[0] == 400
    assert ledger(daemon)["rejected"] == {"bad_number": 1}


def test_pushes_in_json_count_differences(kpid):
    daemon = kpid(JSON)
    start = time.time() - 600

    def total(value, second):
        return {"name": "served", "value": value, "labels": {"host": "a"}, "at": iso(start + second)}

    assert push(daemon, of(total(100, 0), total(160, 10)))[0] == 200
    again = of(total(160, 10), total(170, 12))
    for _ in range(2):  # the second time the key is known
        assert push(daemon, again, "-H", "Idempotency-Key: a") == (200, {"stored": 1, "dropped": 1})
    daemon.stop()
    daemon.start()
    assert push(daemon, again, "-H", "Idempotency-Key: a") == (200, {"stored": 1, "dropped": 1})
    assert push(daemon, of(total(20, 20), total(50, 30))) == (200, {"stored": 2})
    assert daemon.value("sum(served)") == 120
    assert settled(daemon, 10)["dropped"] == {"duplicate": 5}
    assert push(daemon, of({"name": "served", "value": 7}, {"name": "orders", "value": 7}))[0] == 200
    assert daemon.value("sum(orders)") == 7
    done = daemon.kpictl("push", "served=9")  # another way in
    assert done.returncode == 0
    assert daemon.value("sum(served)") == 122
    assert push(daemon, of({"name": "served", "value": -1}))[0] == 400


def test_what_counts_nothing_is_answered_as_dropped(kpid, tmp_path):
    daemon = kpid(NATIVE)
    at = iso(time.time() - 60)
    to = ["--to", f"tcp:127.0.0.1:{daemon.port('tcp')}"]

    def words(*arguments, **more):
        return daemon.kpictl("push", *arguments, **more).stdout

    dropped = "dropped 1 sample; 'kpictl ingest' counts why\n"
    assert words("served=100", "--at", at) == "stored 1 sample\n"
    assert words("served=100", "--at", at) == dropped
    for _ in range(2):
        assert words("served=100", "--at", at, "--id", "row-1") == dropped
    assert words("served=100", "--at", at, *to) == dropped
    for way in ([], to):
        assert words("-", "--at", at, *way, text="served=100\norders=1\n") == "1 stored, 0 rejected, 1 dropped\n"
    path = csv_of(tmp_path, [f"{at},100", f"{at},100", f"{iso(time.time() - 30)},110"], "time,value")
    for stored, repeated in ((1, 0), (0, 1)):
        done = import_rows(daemon, path, metric="served")
        assert (done["rows"], done["stored"], done["repeated"], done["dropped"]) == (3, stored, repeated, 2)
    assert daemon.value("sum(served)") == 10


def test_rows_of_a_file_count_differences(kpid, tmp_path):
    daemon = kpid(JSON)
    start = time.time() - 3600
    values = [100, 160, 20, 50]
    rows = [f"{iso(start + 60 * i)},{value}" for i, value in enumerate(values)]
    path = csv_of(tmp_path, rows, "time,value")
    assert import_rows(daemon, path, metric="served")["stored"] == 4
    assert daemon.value("sum(served)") == 110
    assert import_rows(daemon, path, metric="served")["repeated"] == 4
    daemon.kill()
    daemon.start()
    path = csv_of(tmp_path, [*rows, f"{iso(start + 600)},75"], "time,value")
    assert import_rows(daemon, path, metric="served")["repeated"] == 4
    assert daemon.value("sum(served)") == 135
    rows = [f"{iso(start + i)},{i}" for i in range(1000)]  # more than one request takes at once
    assert import_rows(daemon, csv_of(tmp_path, rows, "time,value"), metric="disk_reads")["stored"] == 1000
    assert daemon.value("sum(disk_reads)") == 999


def test_plain_samples_of_the_native_protocol_are_totals_too(kpid):
    daemon = kpid(NATIVE)
    client = Connection(daemon.port("tcp"), b"0123456789abcdef", 1)
    start = int(time.time() * 1000) - 60000
    for sequence, value in enumerate((100, 160, 20, 50), 1):
        batch = Batch(sequence).add("served", value, form=PLAIN, at=start + 1000 * sequence)
        assert client.ask(batch).stored == 1
        assert client.ask(batch).repeated
    answer = client.ask(Batch(5).add("served", 50, form=PLAIN, at=start + 4000))
    assert (answer.stored, answer.dropped) == (0, 1)
    assert daemon.value("sum(served)") == 110


# --- lines ---


@pytest.mark.parametrize("protocol, line", [
    ("statsd", "served:{value}|c|@0.5|#host:a"), ("graphite", "served;host=a {value} {at}"),
    ("influx", "disk,host=a reads={value}i {at}000000000"), ("statsd", "served:{value}|g|#host:a")])
def test_lines_over_tcp_count_differences(kpid, protocol, line):
    daemon = kpid(lines(protocol))
    metric = "disk_reads" if protocol == "influx" else "served"
    start = int(time.time()) - 60

    def text(*totals):
        return "".join(line.format(value=value, at=start + at) + "\n" for value, at in totals)

    send(daemon, text((100, 0), (160, 1), (20, 2)))
    settled(daemon, 3)
    send(daemon, text((50, 3)))  # over another connection
    settled(daemon, 4)
    assert daemon.value(f"sum({metric})") == 110
    daemon.stop()
    daemon.start()
    send(daemon, text((51, 4), (51, 4), (60, 5)))
    one = settled(daemon, 7)
    assert daemon.value(f"sum({metric})") == 120
    assert one["rejected"] == {}
    assert one["dropped"] == ({} if protocol == "statsd" else {"duplicate": 1})
    assert one["received"] == one["stored"] + sum(one["dropped"].values())


def test_a_total_that_counts_up_over_many_commits_is_exact(kpid):
    daemon = kpid(lines("statsd"))
    sent = 0
    with socket.create_connection(("127.0.0.1", daemon.port("tcp"))) as connection:
        until = time.time() + 3
        while time.time() < until:
            connection.sendall("".join(f"served:{sent + i}|c|#n:{n}\n" for i in range(50) for n in range(4)).encode())
            sent += 50
            time.sleep(0.01)  # so that it takes a few commits
    one = settled(daemon, sent * 4)
    assert one["stored"] == one["received"]
    assert daemon.value("sum(served)") == (sent - 1) * 4


def test_what_is_lost_when_kpid_is_killed_the_next_total_brings(kpid):
    daemon = kpid(lines("statsd"))
    send(daemon, "served:1000|c\n")
    settled(daemon, 1)
    total = 1000
    for pause in (0.2, 1.3, 0.7):
        with socket.create_connection(("127.0.0.1", daemon.port("tcp"))) as connection:
            until = time.time() + pause
            while time.time() < until:
                total += 7
                connection.sendall(f"served:{total}|c\n".encode())
                time.sleep(0.005)
            daemon.kill()
        daemon.start()
    send(daemon, f"served:{total + 1}|c\n")
    wait_until(lambda: daemon.value("sum(served)") == total + 1 - 1000, "all that was counted")


def test_a_reload_changes_what_samples_are(kpid):
    body = lines("statsd")
    daemon = kpid(body)
    send(daemon, "served:100|c\nserved:130|c\norders:5|c\n")
    settled(daemon, 3)
    assert (daemon.value("sum(served)"), daemon.value("sum(orders)")) == (30, 5)
    daemon.write_config(body.replace("served: { type: counter, reset: cumulative }", "served: { type: counter }")
                        .replace("orders: { type: counter }", "orders: { type: counter, reset: cumulative }"))
    daemon.reload()
    send(daemon, "served:2|c\norders:50|c\n")
    settled(daemon, 5)
    send(daemon, "served:3|c\norders:53|c\n")
    settled(daemon, 7)
    assert (daemon.value("sum(served)"), daemon.value("sum(orders)")) == (35, 8)


def test_beyond_the_limit_of_series_totals_wait_and_then_count_what_came_meanwhile(kpid):
    text = lines("statsd").replace("reset: cumulative }", "reset: cumulative, max_series: 1 }", 1)
    daemon = kpid(text)
    send(daemon, "served:10|c|#n:1\n")
    settled(daemon, 1)
    send(daemon, "served:10|c|#n:2\nserved:15|c|#n:1\n")
    one = settled(daemon, 3)
    assert one["stored"] == 2 and one["stored"] + sum(one["dropped"].values()) + sum(one["rejected"].values()) == 3
    assert daemon.value("sum(served)") == 5
    assert daemon.value('sum(served{__other__="true"})') in (None, 0)


def test_only_a_counter_is_cumulative(kpid):
    daemon = kpid("metrics: { stock: { type: gauge, reset: cumulative } }\n", start=False)
    assert daemon.spawn("--check").process.wait(60) == 1
    assert "metrics.stock.reset: only a counter is cumulative, and the type is gauge" in daemon.log()
