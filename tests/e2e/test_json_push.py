"""Samples in JSON over HTTP, by curl and python, and the stubs of /query that InfluxDB's clients begin with."""

import datetime
import gzip
import http.client
import json
import time
import urllib.parse
import zoneinfo

import influxdb
import pytest

from conftest import iso, wait_until
from test_influx import curl, with_limits

BODY = """
ingest: [ { protocol: json, listen: "http:127.0.0.1:0" } ]
calendars: { default: { timezone: Europe/Berlin } }
metrics:
  orders: { type: counter }
  visitors: { type: unique }
"""

INFLUX = """
ingest: [ { protocol: influx, listen: "http:127.0.0.1:0" } ]
"""


def push(daemon, body, *arguments):
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    status, headers, answer = curl(daemon, "/push", "--data-binary", "@-", *arguments, data=text)
    assert headers["content-type"] == "application/json"
    return status, json.loads(answer)


def of(*samples):
    return {"samples": list(samples)}


def test_curl_pushes_and_kpictl_reads(kpid):
    daemon = kpid(BODY)
    minute_ago = iso(time.time() - 60)
    assert push(daemon, of({"name": "orders", "value": 3, "labels": {"plan": "pro"}},
                           {"name": "orders", "value": "1.5", "at": minute_ago},
                           {"name": "visitors", "value": "ann"},
                           {"name": "stock", "value": 7, "type": "gauge"})) == (200, {"stored": 4})
    assert daemon.value("sum(orders)") == 4.5
    assert daemon.value('sum(orders{plan="pro"})') == 3
    assert daemon.value("uniques(visitors)") == 1
    assert daemon.value("last(stock)") == 7
    lines = json.dumps(of({"name": "orders", "value": 1})).encode()
    assert push(daemon, gzip.compress(lines), "-H", "Content-Encoding: gzip") == (200, {"stored": 1})
    # A time without an offset is one of the default calendar.
    local = datetime.datetime.now(zoneinfo.ZoneInfo("Europe/Berlin")) - datetime.timedelta(minutes=1)
    assert push(daemon, of({"name": "late", "value": 8, "at": local.strftime("%Y-%m-%dT%H:%M")}))[0] == 200
    assert daemon.value("sum(late)") == 8
    ledger = daemon.listeners()["http"]
    assert ledger["protocol"] == "json"
    assert ledger["received"] == ledger["stored"] == 6


def test_one_bad_sample_stores_nothing(kpid):
    daemon = kpid(BODY)
    status, answer = push(daemon, of({"name": "orders", "value": 1}, {"name": "orders", "value": "1,5"}))
    assert status == 400
    assert answer["error"] == "samples[1].value: not a decimal number: '1,5'"
    assert push(daemon, b"name=orders&value=1")[0] == 400
    assert push(daemon, b'{"samples":[{"name":"orders","value":1}')[0] == 400
    assert daemon.value("sum(orders)") == 0
    wait_until(lambda: daemon.listeners()["http"]["rejected"] == {"bad_number": 1, "malformed": 2}, "them to count")


def test_what_is_sent_again_counts_once(kpid):
    daemon = kpid(BODY)
    batch = of({"name": "orders", "value": 1}, {"name": "orders", "value": 2})
    key = ["-H", "Idempotency-Key: batch-1"]
    row = of({"name": "orders", "value": 10, "id": "row-1"})
    for _ in range(2):
        assert push(daemon, batch, *key) == (200, {"stored": 2})
        assert push(daemon, row) == (200, {"stored": 1})
        daemon.kill()
        daemon.start()
    assert daemon.value("sum(orders)") == 13
    assert push(daemon, of({"name": "orders", "value": 11, "id": "row-1"}))[0] == 422
    assert push(daemon, row, *key)[0] == 422  # the key is that of another body
    assert daemon.value("sum(orders)") == 13
    ledger = daemon.listeners()["http"]
    assert ledger["stored"] == 3 and ledger["dropped"] == {"duplicate": 3, "conflict": 2}


@pytest.mark.parametrize("limit", ["label_values", "series_per_metric"])  # which the writer finds, and the listener
def test_what_a_limit_drops_is_said_and_the_others_are_stored(kpid, limit):
    daemon = with_limits(kpid(BODY + "  served: { type: counter, reset: cumulative }\n", start=False),
                         f"{limit}: 3")
    at = iso(time.time() - 60)
    body = of(*[{"name": "served", "value": 5, "labels": {"user": str(i)}, "at": at} for i in range(10)])
    for stored in (3, 0):  # what comes again is a duplicate here
        assert push(daemon, body) == (200, {"stored": stored, "dropped": 10 - stored})
    ledger = daemon.listeners()["http"]
    assert ledger["stored"] == 3 and not ledger["rejected"]
    assert ledger["dropped"] == {"series_limit": 2 * 7, "duplicate": 3}


def test_what_is_wrong_is_said_in_our_words_and_escaped_once(kpid):
    daemon = kpid(BODY)
    assert push(daemon, b'{"samples":[{"name":"a\\u0000","value":1}]}') == (
        400, {"error": "samples[0]: not JSON: byte 17: a text has a NUL (\\u0000)"})
    assert push(daemon, of({'say "hi\\': 1})) == (400, {"error": 'samples[0].say "hi\\: unknown key'})


def test_beside_a_key_an_id_is_not_remembered(kpid):
    daemon = kpid(BODY)
    key = ["-H", "Idempotency-Key: batch-1"]
    row = of({"name": "orders", "value": 10, "id": "row-1"})
    for _ in range(2):
        assert push(daemon, row, *key)[0] == 200
    assert daemon.value("sum(orders)") == 10
    for _ in range(2):
        assert push(daemon, row)[0] == 200  # the first time that this id comes alone
    assert daemon.value("sum(orders)") == 20


def test_what_json_makes_the_most_of_is_refused(kpid):
    daemon = with_limits(kpid(BODY, start=False), "body: 128M")
    for body in (b"[" * 20_000_000, b'{"samples":[' + b"[" * 1_000_000,
                 b'{"samples":[{"name":"a","value":1,"labels":{' + b'"x":0,' * 1_000_000):
        assert push(daemon, body)[0] == 400
    many = of(*[{"name": "orders", "value": 1} for _ in range(10_000)])
    assert push(daemon, many) == (200, {"stored": 10_000})
    assert push(daemon, of(*many["samples"], many["samples"][0]))[0] == 400
    assert daemon.value("sum(orders)") == 10_000


@pytest.mark.parametrize("method, path, status", [("GET", "/push", 405), ("POST", "/write", 404), ("POST", "/", 404)])
def test_nothing_else_is_there(kpid, method, path, status):
    daemon = kpid(BODY)
    assert curl(daemon, path, "-X", method)[0] == status


# --- /query (I28) ---


def query(daemon, statement, form=False):
    encoded = urllib.parse.urlencode({"q": statement})
    if form:
        status, _, text = curl(daemon, "/query", "--data", encoded)
    else:
        status, _, text = curl(daemon, f"/query?{encoded}")
    assert status == 200
    return json.loads(text)


def test_clients_that_make_a_database_find_it(kpid):
    daemon = kpid(INFLUX)
    listed = {"name": "databases", "columns": ["name"], "values": []}
    assert query(daemon, "SHOW DATABASES") == {"results": [{"statement_id": 0, "series": [listed]}]}
    assert query(daemon, 'CREATE DATABASE "telegraf"', form=True) == {"results": []}
    assert curl(daemon, "/write?db=shop", "--data-binary", "m f=1")[0] == 204
    listed["values"] = [["telegraf"], ["shop"]]
    assert query(daemon, "show databases;", form=True) == {"results": [{"statement_id": 0, "series": [listed]}]}
    assert query(daemon, "SELECT * FROM m") == {"results": []}


def test_the_python_client_makes_a_database(kpid):
    daemon = kpid(INFLUX)
    client = influxdb.InfluxDBClient("127.0.0.1", daemon.port("http"), "ann", "secret", "garmin")
    client.create_database("garmin stats")
    assert {"name": "garmin stats"} in client.get_list_database()
    assert client.query("SELECT mean(f) FROM m") == []
    assert client.write(["m f=1"], {"db": "garmin stats"}, protocol="line")


def test_a_form_has_a_limit(kpid):
    daemon = kpid(INFLUX)
    assert curl(daemon, "/query", "--data", "q=" + "x" * 20_000)[0] == 413
    connection = http.client.HTTPConnection("127.0.0.1", daemon.port("http"), timeout=30)
    connection.request("POST", "/query", body=(b"q=" + b"x" * 5000 for _ in range(10)), encode_chunked=True,
                       headers={"Transfer-Encoding": "chunked"})
    assert connection.getresponse().status == 413
    connection.close()
