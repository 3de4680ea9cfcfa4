"""InfluxDB's line protocol over HTTP, with the clients that people have: curl and python3-influxdb."""

import gzip
import json
import socket
import subprocess
import time

import influxdb
import pytest

from conftest import Kpid, iso, wait_until
from influx_rounds import Writer, body_of, kill_rounds
from ports import free_port

BODY = """
ingest: [ { protocol: influx, listen: "http:127.0.0.1:0" } ]
metrics:
  shop_orders: { type: counter }
  shop_user: { type: unique }
"""


def with_limits(daemon, limits):
    """Starts a kpid that is not started yet with other limits."""
    text = daemon.config_path.read_text()
    daemon.config_path.write_text(text.replace("threads:", f"limits: {{ {limits} }}, threads:"))
    return daemon.start()


def curl(daemon, path, *arguments, data=None):
    """(status, headers in lower case, body) of what curl was answered."""
    done = subprocess.run(
        ["curl", "-sS", "-i", "--max-time", "30", f"http://127.0.0.1:{daemon.port('http')}{path}", *arguments],
        input=data, capture_output=True, check=True)
    head, _, rest = done.stdout.partition(b"\r\n\r\n")
    if head.startswith(b"HTTP/1.1 100"):
        head, _, rest = rest.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines[1:])
    return int(lines[0].split(" ")[1]), headers, rest.decode()


def write(daemon, lines, *arguments, query="db=x"):
    return curl(daemon, f"/write?{query}", "--data-binary", "@-", *arguments,
                data=lines if isinstance(lines, bytes) else lines.encode())


def error_of(answer):
    return json.loads(answer[2])["error"]


def test_curl_writes_and_kpictl_reads(kpid):
    daemon = kpid(BODY)
    now = int(time.time())
    status, headers, text = write(daemon, f"shop,plan=pro orders=2i,user=\"ann\",note=\"x\" {now}\n"
                                          f"shop,plan=free orders=3i,user=\"bob\" {now - 60}\n",
                                  query="db=x&precision=s")
    assert (status, text) == (204, "")
    assert "x-influxdb-version" in headers and "request-id" in headers
    # Acknowledged is stored: no waiting before it is read.
    assert daemon.value("sum(shop_orders)") == 5
    assert daemon.value('sum(shop_orders{plan="pro"})') == 2
    assert daemon.value("uniques(shop_user)") == 2
    ledger = daemon.listeners()["http"]
    assert ledger["received"] == 5 and ledger["stored"] == 4 and ledger["dropped"] == {"string": 1}
    assert curl(daemon, "/ping", "-I")[0] == 204
    assert json.loads(curl(daemon, "/health")[2])["status"] == "pass"


def test_gzip_and_a_thousand_lines(kpid):
    daemon = kpid(BODY)
    lines = "".join(f"load,host=h{i % 50} v={i}\n" for i in range(10000)).encode()
    assert write(daemon, gzip.compress(lines), "-H", "Content-Encoding: gzip")[0] == 204
    assert daemon.value("sum(load_v)") == sum(range(10000))
    assert write(daemon, lines, "-H", "Transfer-Encoding: chunked", "-H", "Expect: 100-continue")[0] == 204
    assert daemon.value("sum(load_v)") == 2 * sum(range(10000))
    assert daemon.value("count(load_v)") == 20000


def test_good_lines_are_kept_and_bad_ones_named(kpid):
    daemon = kpid(BODY)
    status, headers, text = write(daemon, "m f=1\nm f=\nm,a= f=1\nm f=2\n")
    answer = json.loads(text)
    assert status == 400
    assert answer["error"].startswith("partial write: unable to parse 'm f=': missing field value (line 2)")
    assert answer["error"].endswith("dropped=2")
    assert headers["x-influxdb-error"] == answer["error"].lower()
    assert [line["line"] for line in answer["lines"]] == [2, 3]
    assert daemon.value("sum(m_f)") == 3
    status, _, text = curl(daemon, "/api/v2/write?bucket=b&org=o", "--data-binary", "@-", data=b"m f=x")
    assert (status, json.loads(text)["code"]) == (400, "invalid")


@pytest.mark.parametrize("limit", ["label_values", "series_per_metric"])  # which the writer finds, and the listener
def test_what_a_limit_drops_is_a_partial_write(kpid, limit):
    daemon = with_limits(kpid(BODY + "  served_total: { type: counter, reset: cumulative }\n", start=False),
                         f"{limit}: 3")
    now = int(time.time())
    lines = "".join(f"served,user={i} total=5i {now}\n" for i in range(10))
    for arguments in ([], [], ["-H", "Idempotency-Key: one"], ["-H", "Idempotency-Key: one"]):
        status, headers, text = write(daemon, lines, *arguments, query="precision=s")
        assert (status, json.loads(text)) == (400, {
            "error": "partial write: 7 samples not stored (series_limit 7) dropped=7"})
        assert headers["x-influxdb-error"].startswith("partial write: ")
    ledger = daemon.listeners()["http"]
    assert ledger["stored"] == 3 and not ledger["rejected"]
    # Of the batch that came again all are duplicates, but for those that did not come as far as that.
    again = 7 if limit == "series_per_metric" else 0
    assert ledger["dropped"] == {"series_limit": 3 * 7 + again, "duplicate": 2 * 3 + 10 - again}
    status, _, text = write(daemon, 'say="hi\\\n' + lines, query="precision=s")
    answer = json.loads(text)
    assert status == 400 and len(answer["lines"]) == 1 and answer["lines"][0]["example"] == 'say="hi\\'
    assert answer["error"].startswith("partial write: unable to parse 'say=\"hi\\': ")
    assert answer["error"].endswith("; 7 samples not stored (series_limit 7) dropped=8")
    assert write(daemon, f"served,user=1 total=5i {now}\n", query="precision=s")[0] == 204  # a resend


def test_a_body_over_the_limit_stores_nothing(kpid):
    daemon = with_limits(kpid(BODY, start=False), "body: 64K")
    lines = b"m f=1\n" * 20000
    for arguments in ([], ["-H", "Transfer-Encoding: chunked"]):
        assert write(daemon, lines, *arguments)[0] == 413
    assert write(daemon, gzip.compress(lines), "-H", "Content-Encoding: gzip")[0] == 413
    assert daemon.value("sum(m_f)") is None
    assert write(daemon, lines[:60000])[0] == 204
    assert daemon.value("sum(m_f)") == 10000


def test_a_key_counts_once(kpid):
    daemon = kpid(BODY)
    key = ["-H", "Idempotency-Key: batch-1"]
    first = write(daemon, "m f=1\nm f=\n", *key)
    second = write(daemon, "m f=1\nm f=\n", *key)
    assert first[0] == second[0] == 400 and error_of(first) == error_of(second)
    assert "lines" in json.loads(first[2]) and "lines" not in json.loads(second[2])  # what is kept is small
    assert daemon.value("sum(m_f)") == 1
    assert write(daemon, "m f=5\n", *key)[0] == 422
    assert write(daemon, "m f=1\nm f=\n", *key, query="precision=s")[0] == 422
    ledger = daemon.listeners()["http"]
    assert ledger["stored"] == 1 and ledger["rejected"] == {"malformed": 3}
    assert ledger["dropped"] == {"duplicate": 1, "conflict": 2}
    daemon.kill()
    daemon.start()
    assert write(daemon, "m f=1\nm f=\n", *key)[0] == 400
    assert daemon.value("sum(m_f)") == 1
    assert write(daemon, gzip.compress(b"m f=1\nm f=\n"), "-H", "Content-Encoding: gzip", *key)[0] == 400
    assert write(daemon, "m f=1\n")[0] == 204  # without a key it counts each time
    assert write(daemon, "m f=1\n")[0] == 204
    assert daemon.value("sum(m_f)") == 3


@pytest.mark.threads
def test_one_key_sent_by_many_at_once_counts_once(kpid):
    daemon = kpid(BODY, threads=2)
    port = daemon.port("http")
    request = (b"POST /write HTTP/1.1\r\nHost: k\r\nIdempotency-Key: k\r\nConnection: close\r\n"
               b"Content-Length: 6\r\n\r\nm f=1\n")
    connections = [socket.create_connection(("127.0.0.1", port), timeout=30) for _ in range(20)]
    for connection in connections:
        connection.sendall(request)
    for connection in connections:
        assert connection.recv(100).startswith(b"HTTP/1.1 204")
        connection.close()
    assert daemon.value("sum(m_f)") == 1
    ledger = daemon.listeners()["http"]
    assert ledger["stored"] == 1 and ledger["dropped"] == {"duplicate": 19}


def test_the_python_client_writes(kpid):
    daemon = kpid(BODY)
    client = influxdb.InfluxDBClient("127.0.0.1", daemon.port("http"), "ann", "secret", "shop")
    assert client.ping()
    assert client.write_points([
        {"measurement": "shop", "tags": {"plan": "a, b=c"}, "time": iso(time.time()),
         "fields": {"orders": 4, "price": 2.5, "note": "it's \"quoted\"\\", "open": True, "user": "ann"}},
        {"measurement": "shop", "fields": {"orders": 6, "user": "ann"}},
    ], batch_size=1)
    assert daemon.value("sum(shop_orders)") == 10
    assert daemon.value('sum(shop_orders{plan="a, b=c"})') == 4
    assert daemon.value("last(shop_price)") == 2.5
    assert daemon.value("sum(shop_open)") == 1
    assert daemon.value("uniques(shop_user)") == 1
    with pytest.raises(influxdb.exceptions.InfluxDBClientError) as raised:
        client.write(["m f="], {"db": "shop"}, protocol="line")
    assert raised.value.code == 400 and "missing field value" in str(raised.value)


def test_garbage_and_slow_clients_harm_nobody(kpid):
    daemon = with_limits(kpid(BODY, start=False), "request: 1s")
    port = daemon.port("http")
    slow = [socket.create_connection(("127.0.0.1", port), timeout=30) for _ in range(20)]
    for number, connection in enumerate(slow):
        connection.sendall(b"POST /write HTTP/1.1\r\nHost: k\r\nContent-Length: 100\r\n\r\nm f=1"[: 5 + 3 * number])
    for garbage in (b"\x00" * 5000, b"\x16\x03\x01\x02\x00\x01", b"m f=1\n", b"GET " + b"/" * 100000):
        with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
            connection.sendall(garbage)
            assert connection.recv(12) in (b"HTTP/1.1 400", b"HTTP/1.1 431")
    assert write(daemon, "m f=1\n")[0] == 204
    for connection in slow:
        assert connection.recv(12) == b"HTTP/1.1 408"
        connection.close()
    wait_until(lambda: daemon.listeners()["http"]["pending"] == 0, "all to be counted")
    assert daemon.value("sum(m_f)") == 1


def test_a_stop_answers_what_it_has_stored(tmp_path):
    port = free_port()
    daemon = Kpid(tmp_path, body_of(port)).start()
    writers = [Writer(port, number, seed=number) for number in range(6)]
    for writer in writers:
        writer.random.random = lambda: 1.0  # no duplicates but those of batches that nobody answered
        writer.start()
    for _ in range(8):
        sent = sum(writer.acknowledged for writer in writers)
        wait_until(lambda: sum(writer.acknowledged for writer in writers) > sent + 30, "some batches to be stored")
        assert daemon.stop() == 0
        daemon.start()
    for writer in writers:
        writer.ended.set()
    for writer in writers:
        writer.join()
    assert not [writer.wrong for writer in writers if writer.wrong]
    ledger = daemon.listeners()["http"]
    assert "duplicate" not in ledger["dropped"], "stored, but the client was not told"
    assert ledger["stored"] == 7 * sum(writer.acknowledged for writer in writers)
    assert daemon.stop() == 0


def test_writes_through_kill_9_count_exactly_once(tmp_path):
    batches, sends = kill_rounds(tmp_path, rounds=20, seed=1)
    assert sends > batches > 0
