"""Prometheus remote write, 1.0 and 2.0, from the socket to the figure."""

import http.client
import json
import time

import pytest

from conftest import wait_until
from remote_write import (STALE, V1, V2, double, metadata_1, number, request_2, series_1, snappy, text,
                          varint)
from test_influx import with_limits

BODY = """
ingest: [ { protocol: prometheus, listen: "http:127.0.0.1:0" } ]
"""
GAUGE, COUNTER, HISTOGRAM = 2, 1, 3


def post(daemon, body, content_type=V1, encoding="snappy", path="/api/v1/write", **headers):
    """(status, headers in lower case, text)"""
    connection = http.client.HTTPConnection("127.0.0.1", daemon.port("http"), timeout=60)
    try:
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request("POST", path, body,
                           {"Content-Type": content_type, "Content-Encoding": encoding, **headers})
        answer = connection.getresponse()
        return (answer.status, {name.lower(): value for name, value in answer.getheaders()},
                answer.read().decode())
    finally:
        connection.close()


def written(headers):
    """Samples, histograms, exemplars (P7)."""
    return tuple(int(headers[f"x-prometheus-remote-write-{what}-written"])
                 for what in ("samples", "histograms", "exemplars"))


def now_ms():
    return int(time.time() * 1000)


def test_counters_count_and_gauges_stand(kpid):
    daemon = kpid(BODY)
    now = now_ms()
    labels = {"__name__": "hits_total", "job": "api"}
    body = series_1(labels, (100, now - 4000), (160, now - 3000), (20, now - 2000), (50, now - 1000)) \
        + series_1({"__name__": "temperature", "room": "1"}, (21.5, now - 2000), (22.5, now - 1000))
    status, headers, words = post(daemon, snappy(body))
    assert (status, words) == (204, "")
    assert "x-prometheus-remote-write-samples-written" not in headers
    # FIG-23: 0 + 60 + 20 + 30
    assert daemon.value("sum(hits_total)") == 110
    assert daemon.value("last(temperature)") == 22.5
    assert daemon.value("avg(temperature)") == 22
    # P9, P15: a request that comes again counts nothing, and is fine.
    assert post(daemon, snappy(body))[0] == 204
    assert daemon.value("sum(hits_total)") == 110
    assert daemon.value("avg(temperature)") == 22
    ledger = daemon.listeners()["http"]
    assert ledger["received"] == 12 and ledger["stored"] == 6 and ledger["dropped"] == {"duplicate": 6}


def test_two_senders_under_one_series_are_said(kpid):  # FIG-24
    daemon = kpid(BODY + """
kpis:
  hits: { value: sum(hits_total), period: day }
""")
    now = now_ms()
    labels = {"__name__": "hits_total", "job": "api"}
    values = (500, 90, 510, 95, 520, 99, 530, 103)
    for i, value in enumerate(values):
        found = json.loads(daemon.kpictl("query", "sum(hits_total)", "--json").stdout)
        assert found["coverage"]["mixed_sources"] is False
        status, _, _ = post(daemon, snappy(series_1(labels, (value, now - 8000 + i * 1000))))
        assert status == 204
    query = daemon.kpictl("query", "sum(hits_total)", "--json")
    found = json.loads(query.stdout)
    assert found["coverage"]["mixed_sources"] is True
    assert [point.get("partial") for point in found["points"]] == [True]
    assert "mixed sources" in daemon.kpictl("query", "sum(hits_total)").stdout
    shown = json.loads(daemon.kpictl("show", "hits", "--json").stdout)
    assert shown["partial"] is True and shown["coverage"]["mixed_sources"] is True
    assert "two senders" in daemon.kpictl("show", "hits").stdout
    before = json.loads(daemon.kpictl("query", "sum(hits_total)", "--from", "2020-01-01", "--to", "2020-01-02",
                                      "--json").stdout)
    assert before["coverage"]["mixed_sources"] is False


def test_version_2_says_what_was_written(kpid):
    daemon = kpid(BODY)
    now = now_ms()
    good = {"__name__": "hits", "job": "api"}
    body = request_2((good, COUNTER, (5, now, now - 1000)),
                     ({"__name__": "up", "job": "a"}, GAUGE, (1, now)),
                     ({"job": "nameless"}, GAUGE, (1, now)),
                     ({"__name__": "up", "job": "b"}, GAUGE, (0, now)))
    status, headers, words = post(daemon, snappy(body), V2)
    assert status == 400 and written(headers) == (3, 0, 0)
    assert "1 of 4 samples rejected (bad_name 1)" in words
    status, headers, words = post(daemon, snappy(request_2((good, COUNTER, (9, now + 1, now - 1000)))), V2)
    assert (status, words) == (204, "") and written(headers) == (1, 0, 0)
    assert daemon.listeners()["http"]["rejected"] == {"bad_name": 1}


@pytest.mark.parametrize("limit", ["label_values", "series_per_metric"])  # which the writer finds, and the listener
def test_what_a_limit_drops_was_not_written_and_a_resend_was(kpid, limit):
    daemon = with_limits(kpid(BODY, start=False), f"{limit}: 3")
    now = now_ms()
    users = [({"__name__": "hits_total", "user": str(i)}, COUNTER, (5, now, now - 1000)) for i in range(10)]
    times = [({"__name__": "latency", "user": str(i)}, HISTOGRAM, histogram(now, now - 1000, [9, 1]))
             for i in range(8)]
    for turn in range(3):  # the writer drops what the first one has too many, and says so to the listener
        for one, expected in ((users, (3, 0, 0)), (times, (0, 3, 0))):
            status, headers, words = post(daemon, snappy(request_2(*one)), V2)
            assert (status, words) == (204, "") and written(headers) == expected, turn
    ledger = daemon.listeners()["http"]
    assert ledger["stored"] == 6 and not ledger["rejected"]
    assert ledger["dropped"] == {"series_limit": 3 * (7 + 5), "duplicate": 2 * 6}
    # What contradicts what is stored was not written either, and is no reason to send it again.
    body = request_2(({"__name__": "hits_total", "user": "0"}, COUNTER, (6, now, now - 1000)))
    status, headers, _ = post(daemon, snappy(body), V2)
    assert status == 204 and written(headers) == (0, 0, 0)
    # P8: beside a sample that is wrong it is said in words.
    status, headers, words = post(daemon, snappy(request_2(*users, ({"job": "nameless"}, GAUGE, (1, now)))), V2)
    assert status == 400 and written(headers) == (3, 0, 0)
    assert "the series has no __name__; 7 samples not stored (series_limit 7)" in words
    assert 'sample 11, \'{job="nameless"}\'' in words


def test_a_kept_answer_says_what_was_written(kpid):
    daemon = with_limits(kpid(BODY, start=False), "label_values: 3")
    body = snappy(request_2(*[({"__name__": "hits_total", "user": str(i)}, COUNTER, (5, now_ms(), 0))
                              for i in range(10)]))
    for _ in range(2):
        status, headers, _ = post(daemon, body, V2, Idempotency_Key="one")
        assert status == 204 and written(headers) == (3, 0, 0)
        daemon.kill()
        daemon.start()
    assert daemon.listeners()["http"]["dropped"] == {"series_limit": 7, "duplicate": 10}


def test_markers_are_taken_and_dropped(kpid):
    daemon = kpid(BODY)
    now = now_ms()
    body = request_2(({"__name__": "up"}, GAUGE, (1, now - 1), (STALE, now)),
                     ({"__name__": "x_total"}, COUNTER, (float("nan"), now), (float("inf"), now)))
    status, headers, _ = post(daemon, snappy(body), V2)
    assert status == 204 and written(headers) == (4, 0, 0)
    ledger = daemon.listeners()["http"]
    assert ledger["stored"] == 1 and ledger["dropped"] == {"stale_marker": 1, "not_finite": 2}
    assert daemon.value("last(up)") == 1


def histogram(at, start, counts):
    """A native histogram of schema 0 from bucket 1 (1 to 2] on."""
    deltas = [count - before for count, before in zip(counts, [0, *counts])]
    packed = b"".join(varint(delta << 1 ^ delta >> 63) for delta in deltas)
    span = number(1, 2) + number(2, len(counts))
    return text(3, number(1, sum(counts)) + double(3, float(sum(counts))) + text(11, span)
                + text(12, packed) + number(15, at) + number(17, start))


def test_native_histograms_become_distributions(kpid):
    daemon = kpid(BODY)
    now = now_ms()
    name = {"__name__": "latency"}
    body = request_2((name, HISTOGRAM, histogram(now - 2000, now - 3000, [90, 10]),
                      histogram(now - 1000, now - 3000, [180, 20])))
    status, headers, words = post(daemon, snappy(body), V2)
    assert (status, words) == (204, "") and written(headers) == (0, 2, 0)
    assert daemon.value("count(latency)") == 100  # FIG-23: what came before the first point is unknown
    assert 1 < daemon.value("p50(latency)") <= 2
    assert 2 < daemon.value("p95(latency)") <= 4


def test_what_is_no_remote_write_is_refused(kpid):
    daemon = kpid(BODY)
    good = snappy(series_1({"__name__": "up"}, (1, now_ms())))
    for content_type, encoding, body, expected in [
            ("application/json", "snappy", good, 415),
            ("image/png", "snappy", b"\xff\xff", 415),
            (V1, "gzip", good, 415),
            (V1, "deflate", b"\xff", 415),
            (V1 + ";proto=io.prometheus.write.v3.Request", "snappy", good, 415),
            (V1, "snappy", b"", 400),
            (V1, "snappy", b"\xff\xff\xff", 400),
            (V1, "snappy", b"\xff\xff\xff\xff\x0f", 413),  # 4 GiB, it says (P1)
            (V1, "snappy", b"\xff\x06\x00\x00sNaPpY" + good, 400),  # framed
            (V1, "snappy", snappy(b"\x0a\x05abc"), 400),
            (V2, "snappy", snappy(b"\x22\x01x"), 400)]:
        status, headers, words = post(daemon, body, content_type, encoding)
        assert status == expected, (content_type, encoding, body, words)
        assert words.strip()
        if encoding != "snappy":
            assert words.strip() == "the Content-Encoding is not snappy"
    assert post(daemon, snappy(b""))[0] == 204  # P5
    assert daemon.stored() == 0


def test_metadata_says_what_counts_up(kpid):
    daemon = kpid(BODY)
    now = now_ms()
    assert post(daemon, snappy(metadata_1("jobs_done", COUNTER) + metadata_1("queue_count", GAUGE)))[0] == 204
    body = series_1({"__name__": "jobs_done"}, (7, now - 1), (10, now)) \
        + series_1({"__name__": "queue_count"}, (7, now - 1), (5, now))
    assert post(daemon, snappy(body), path="/any/path")[0] == 204
    assert daemon.value("sum(jobs_done)") == 3
    assert daemon.value("last(queue_count)") == 5


def test_what_was_acknowledged_outlives_a_kill(kpid):
    daemon = kpid(BODY)
    now = now_ms()
    labels = {"__name__": "hits_total"}
    for i in range(20):
        assert post(daemon, snappy(series_1(labels, (10 * i, now - 1000 + i))))[0] == 204
    daemon.kill()
    daemon.start()
    assert daemon.value("sum(hits_total)") == 190
    assert post(daemon, snappy(series_1(labels, (190, now - 981), (200, now - 980))))[0] == 204
    wait_until(lambda: daemon.value("sum(hits_total)") == 200, "the counter to go on")
