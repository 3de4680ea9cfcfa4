"""OTLP over HTTP, in protobuf and JSON, from the socket to the figure."""

import gzip
import http.client
import json
import shutil
import struct
import subprocess
import time

import pytest

from remote_write import double, number, text, varint
from test_influx import with_limits

BODY = """
ingest: [ { protocol: otlp, listen: "http:127.0.0.1:0" } ]
"""
PROTOBUF, JSON = "application/x-protobuf", "application/json"
DELTA, CUMULATIVE = 1, 2
MS = 10**6
SECOND = 1000 * MS


def now_ns():
    return time.time_ns()


def fixed(field, value):
    return varint(field << 3 | 1) + struct.pack("<Q", value & (1 << 64) - 1)


def attributes(field, pairs):
    return b"".join(text(field, text(1, key) + text(2, text(1, value))) for key, value in pairs.items())


def point(at, value, start=0, **labels):
    """A NumberDataPoint of an integer."""
    return text(1, attributes(7, labels) + (fixed(2, start) if start else b"") + fixed(3, at) + fixed(6, value))


def total(name, temporality, *points, monotonic=True):
    return text(2, text(1, name) + text(7, b"".join(points) + number(2, temporality) + number(3, int(monotonic))))


def gauge(name, *points):
    return text(2, text(1, name) + text(5, b"".join(points)))


def request(*metrics, **resource):
    resource = {key.replace("_", "."): value for key, value in resource.items()}
    return text(1, text(1, attributes(1, resource)) + text(2, b"".join(metrics)))


def post(daemon, body, content_type=PROTOBUF, path="/v1/metrics", **headers):
    """(status, headers in lower case, bytes)"""
    connection = http.client.HTTPConnection("127.0.0.1", daemon.port("http"), timeout=60)
    try:
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request("POST", path, body, {"Content-Type": content_type, **headers})
        answer = connection.getresponse()
        return (answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
    finally:
        connection.close()


def stored(daemon, body, content_type=PROTOBUF, **headers):
    status, answer, body = post(daemon, body, content_type, **headers)
    assert status == 200 and answer["content-type"] == content_type  # O3
    assert body == (b"" if content_type == PROTOBUF else b"{}"), body


def test_counters_count_and_gauges_stand(kpid):
    daemon = kpid(BODY)
    now = now_ns() - 10 * SECOND
    start = now - 60 * SECOND
    body = request(total("hits", CUMULATIVE, point(now, 100, start), point(now + SECOND, 160, start),
                         point(now + 2 * SECOND, 20, now + SECOND + 1), point(now + 3 * SECOND, 50, now + SECOND + 1)),
                   total("sold", DELTA, point(now, 3, now - SECOND, plan="pro"), point(now + SECOND, 4, now, plan="pro")),
                   total("queue", CUMULATIVE, point(now, 7, start), point(now + SECOND, 5, start), monotonic=False),
                   gauge("temperature", point(now, 21), point(now + SECOND, 22)), service_name="shop")
    stored(daemon, body)
    # FIG-23: 0 + 60 + 20 + 30
    assert daemon.value('sum(hits{service.name="shop"})') == 110
    assert daemon.value('sum(sold{plan="pro"})') == 7
    assert daemon.value("last(queue)") == 5
    assert daemon.value("avg(temperature)") == 21.5
    # O19: what comes again counts nothing, and is fine.
    stored(daemon, body)
    assert daemon.value("sum(hits)") == 110 and daemon.value("sum(sold)") == 7
    ledger = daemon.listeners()["http"]
    assert ledger["received"] == 20 and ledger["stored"] == 10 and ledger["dropped"] == {"duplicate": 10}


def test_a_start_that_is_not_known_counts_nothing(kpid):
    daemon = kpid(BODY)
    now = now_ns() - 10 * SECOND
    stored(daemon, request(total("hits", CUMULATIVE, point(now, 100, now), point(now + SECOND, 130, now))))  # O10
    assert daemon.value("sum(hits)") == 30


def in_json(*metrics, resource=()):
    return {"resourceMetrics": [{"resource": {"attributes": [{"key": key, "value": {"stringValue": value}}
                                                             for key, value in resource]},
                                 "scopeMetrics": [{"metrics": list(metrics)}]}]}


def test_json_and_gzip(kpid):  # O2
    daemon = kpid(BODY)
    now = now_ns()
    points = [{"timeUnixNano": now - SECOND, "startTimeUnixNano": str(now - 2 * SECOND), "asInt": "5"},
              {"timeUnixNano": str(now), "startTimeUnixNano": now - SECOND, "asDouble": 2}]
    metric = {"name": "hits", "sum": {"aggregationTemporality": DELTA, "isMonotonic": True, "dataPoints": points}}
    body = json.dumps(in_json(metric, resource=[("service.name", "shop")])).encode()
    stored(daemon, body, JSON)
    assert daemon.value('sum(hits{service.name="shop"})') == 7
    assert post(daemon, gzip.compress(body), JSON + "; charset=utf-8", Content_Encoding="gzip")[2] == b"{}"
    stored(daemon, gzip.compress(request(gauge("up", point(now, 1)))), Content_Encoding="gzip")
    assert daemon.value("last(up)") == 1
    assert daemon.listeners()["http"]["dropped"] == {"duplicate": 2}


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_curl_by_hand(kpid):
    daemon = kpid(BODY)
    metric = {"name": "leads", "gauge": {"dataPoints": [{"asInt": 12}]}}  # O18: without a time it is now
    answer = subprocess.run(["curl", "-sS", "-H", "Content-Type: application/json", "--data", json.dumps(in_json(metric)),
                             f"http://127.0.0.1:{daemon.port('http')}/v1/metrics"],
                            check=True, capture_output=True, timeout=60).stdout
    assert answer == b"{}"
    assert daemon.value("last(leads)") == 12


def test_histograms_become_distributions(kpid):
    daemon = kpid(BODY)
    now = now_ns() - 10 * SECOND
    times = fixed(2, now - SECOND) + fixed(3, now)
    explicit = text(1, times + fixed(4, 100) + double(5, 150.0) + text(6, struct.pack("<3Q", 90, 10, 0))
                    + text(7, struct.pack("<2d", 1, 5)))
    buckets = number(1, 2) + text(2, varint(90) + varint(10))  # offset 1: (2, 4] and (4, 8]
    exponential = text(1, times + fixed(4, 100) + double(5, 300.0) + number(6, 0) + text(8, buckets))
    stored(daemon, request(text(2, text(1, "latency") + text(9, explicit + number(2, DELTA))),
                           text(2, text(1, "size") + text(10, exponential + number(2, DELTA)))))
    assert daemon.value("count(latency)") == 100 and daemon.value("sum(latency)") == 150
    assert daemon.value("share(latency <= 1)") == 0.9
    assert 1 < daemon.value("p95(latency)") <= 5
    assert 2 < daemon.value("p50(size)") <= 4 and 4 < daemon.value("p95(size)") <= 8


def test_a_summary_has_quantiles(kpid):
    daemon = kpid(BODY)
    now = now_ns()
    quantile = text(6, double(1, 0.99) + double(2, 4.5))
    for count in (5, 9):
        at = fixed(2, now - SECOND) + fixed(3, now + count * MS)
        stored(daemon, request(text(2, text(1, "rtt") + text(11, text(1, at + fixed(4, count) + double(5, 2.0 * count) + quantile)))))
    assert daemon.value('last(rtt{quantile="0.99"})') == 4.5
    assert daemon.value("sum(rtt_count)") == 4 and daemon.value("sum(rtt_sum)") == 8


def test_a_listener_may_name_its_labels(kpid):
    daemon = kpid(BODY.replace(" }", ", resource_labels: [os.type, otel.scope.name] }", 1))
    scope = text(2, text(1, text(1, "http")) + gauge("up", point(now_ns(), 1)))
    stored(daemon, text(1, text(1, attributes(1, {"os.type": "linux", "service.name": "shop"})) + scope))
    assert daemon.value('last(up{os.type="linux",otel.scope.name="http"})') == 1
    assert daemon.value('last(up{service.name="shop"})') in (None, 0)


def test_partial_success_says_what_was_rejected(kpid):
    daemon = kpid(BODY)
    now = now_ns()
    body = request(total("hits", 0, point(now, 1)), gauge("up", point(now, 1)))
    status, headers, answer = post(daemon, body)
    assert status == 200 and headers["content-type"] == PROTOBUF  # O4, O9
    words = b"1 of 2 data points rejected (bad_temporality 1), the others are taken; point 1, 'hits': the aggregation " \
            b"temporality is neither delta (1) nor cumulative (2)"
    partial = number(1, 1) + text(2, words)
    assert answer == text(1, partial)
    metric = {"name": "h", "histogram": {"aggregationTemporality": 2, "dataPoints": [
        {"timeUnixNano": str(now), "count": 3, "bucketCounts": [1, 1, 1], "explicitBounds": [1]}]}}
    status, headers, answer = post(daemon, json.dumps(in_json(metric)), JSON)
    assert status == 200 and headers["content-type"] == JSON  # O14
    answer = json.loads(answer)["partialSuccess"]
    assert answer["rejectedDataPoints"] == "1" and "bad_histogram" in answer["errorMessage"]
    ledger = daemon.listeners()["http"]
    assert ledger["rejected"] == {"bad_temporality": 1, "bad_histogram": 1} and ledger["stored"] == 1


@pytest.mark.parametrize("limit", ["label_values", "series_per_metric"])  # which the writer finds, and the listener
def test_what_a_limit_drops_is_rejected_and_a_resend_is_not(kpid, limit):
    daemon = with_limits(kpid(BODY, start=False), f"{limit}: 3")
    now = now_ns()
    body = request(total("hits", CUMULATIVE, *[point(now, 5, now - SECOND, user=str(i)) for i in range(10)]))
    words = b"7 samples not stored (series_limit 7)"
    for headers in ({}, {}, {"Idempotency_Key": "one"}, {"Idempotency_Key": "one"}):
        status, _, answer = post(daemon, body, **headers)
        assert status == 200 and answer == text(1, number(1, 7) + text(2, words))  # O4; duplicates are fine
    ledger = daemon.listeners()["http"]
    assert ledger["stored"] == 3 and not ledger["rejected"]
    # Of the batch that came again all are duplicates, but for those that did not come as far as that.
    again = 7 if limit == "series_per_metric" else 0
    assert ledger["dropped"] == {"series_limit": 3 * 7 + again, "duplicate": 2 * 3 + 10 - again}
    both = request(total("hits", CUMULATIVE, *[point(now, 5, now - SECOND, user=str(i)) for i in range(10)]),
                   total("bad", 0, point(now, 1)))
    status, _, answer = post(daemon, both)
    assert number(1, 8) in answer
    assert b"1 of 11 data points rejected (bad_temporality 1), the others are taken; point 11" in answer
    assert b"; " + words in answer
    answer = post(daemon, json.dumps(in_json({"name": "hits", "sum": {
        "aggregationTemporality": 2, "isMonotonic": True, "dataPoints": [
            {"timeUnixNano": str(now), "asInt": 5, "attributes": [{"key": "user", "value": {"stringValue": "9"}}]},
        ]}})), JSON)[2]
    assert json.loads(answer)["partialSuccess"] == {
        "rejectedDataPoints": "1", "errorMessage": "1 sample not stored (series_limit 1)"}


def test_what_is_no_request_is_refused(kpid):
    daemon = kpid(BODY)
    good = request(gauge("up", point(now_ns(), 1)))
    for content_type, headers, path, body, expected, code in [
            ("text/plain", {}, "/v1/metrics", good, 415, 3),
            (PROTOBUF, {"Content_Encoding": "snappy"}, "/v1/metrics", good, 415, 3),
            (PROTOBUF, {}, "/v1/metrics", b"\xff\xff", 400, 3),
            (PROTOBUF, {}, "/v1/metrics", good[:-1], 400, 3),
            (PROTOBUF, {"Content_Encoding": "gzip"}, "/v1/metrics", good, 400, 3),
            (PROTOBUF, {}, "/v1/traces", good, 404, 5)]:
        status, answer, words = post(daemon, body, content_type, path, **headers)
        assert status == expected, (content_type, headers, body, words)
        assert answer["content-type"] == PROTOBUF
        assert words.startswith(number(1, code) + b"\x12")  # google.rpc.Status (O5)
    for body in (b"", b"[]", b'{"resourceMetrics":[', b"\xff"):
        status, answer, words = post(daemon, body, JSON)
        assert status == 400 and answer["content-type"] == JSON
        assert json.loads(words)["code"] == 3 and json.loads(words)["message"]
    stored(daemon, b"")  # O6
    stored(daemon, b"{}", JSON)
    assert daemon.stored() == 0


def test_a_bomb_is_refused(kpid):  # O2
    daemon = kpid(BODY, start=False)
    daemon.config_path.write_text(daemon.config_path.read_text().replace("threads:", "limits: { body: 64K }, threads:"))
    daemon.start()
    bomb = gzip.compress(b" " * (1 << 20))
    assert post(daemon, bomb, JSON, Content_Encoding="gzip")[0] == 413  # O2: after decompression too
    assert post(daemon, b"x" * 70000)[0] == 413
    stored(daemon, request(gauge("up", point(now_ns(), 1))))


def test_what_was_acknowledged_outlives_a_kill(kpid):
    daemon = kpid(BODY)
    now = now_ns() - 60 * SECOND
    for i in range(20):
        stored(daemon, request(total("sold", DELTA, point(now + (i + 1) * SECOND, 2, now + i * SECOND))))
    daemon.kill()
    daemon.start()
    assert daemon.value("sum(sold)") == 40
    stored(daemon, request(total("sold", DELTA, point(now + 20 * SECOND, 2, now + 19 * SECOND),
                                 point(now + 21 * SECOND, 5, now + 20 * SECOND))))
    assert daemon.value("sum(sold)") == 45


def test_windows_in_another_order_count_once_and_outlive_a_kill(kpid):
    daemon = kpid(BODY)
    now = now_ns() - 60 * SECOND

    def window(metric, value, begin, end):
        return request(total(metric, DELTA, point(now + end, value, now + begin)))

    def histogram(begin, end):
        figures = fixed(4, 3) + varint(5 << 3 | 1) + struct.pack("<d", 12)
        return request(text(2, text(1, "spans") + text(9, text(1, fixed(2, now + begin) + fixed(3, now + end) + figures)
                                                       + number(2, DELTA))))

    stored(daemon, window("sold", 5, 20 * SECOND, 30 * SECOND))  # the first ones of a series
    stored(daemon, histogram(20 * SECOND, 30 * SECOND))
    daemon.kill()
    daemon.start()
    stored(daemon, window("sold", 7, 10 * SECOND, 20 * SECOND))
    stored(daemon, histogram(10 * SECOND, 20 * SECOND))
    assert daemon.value("sum(sold)") == 12 and daemon.value("count(spans)") == 6
    stored(daemon, window("sold", 2, 40 * SECOND, 50 * SECOND))  # and later ones
    daemon.kill()
    daemon.start()
    stored(daemon, window("sold", 1, 30 * SECOND, 40 * SECOND))
    assert daemon.value("sum(sold)") == 15
    assert daemon.listeners()["http"]["dropped"] == {}
    for _ in range(2):  # again, before and after a kill
        for value, begin in ((5, 20), (7, 10), (1, 30), (2, 40)):
            stored(daemon, window("sold", value, begin * SECOND, (begin + 10) * SECOND))
        stored(daemon, histogram(10 * SECOND, 20 * SECOND))
        daemon.kill()
        daemon.start()
    stored(daemon, window("sold", 9, 25 * SECOND, 35 * SECOND))  # overlaps what was counted
    assert daemon.value("sum(sold)") == 15 and daemon.value("count(spans)") == 6
    assert daemon.listeners()["http"]["dropped"] == {"duplicate": 11}


def test_windows_within_a_millisecond_count_each(kpid):
    daemon = kpid(BODY)
    now = now_ns() // MS * MS - 10 * SECOND
    points = [point(now + (i + 1) * 200000, 1, now + i * 200000) for i in range(10)]
    for _ in range(2):
        stored(daemon, request(total("at_once", DELTA, *points)))
        for single in points:
            stored(daemon, request(total("one_by_one", DELTA, single)))
        assert daemon.value("sum(at_once)") == daemon.value("sum(one_by_one)") == 10
    assert daemon.listeners()["http"]["dropped"] == {"duplicate": 20}


def test_deltas_without_a_time_count_each_time(kpid):
    daemon = kpid(BODY)
    body = request(total("sold", DELTA, point(0, 5)), total("twice", DELTA, point(0, 1), point(0, 2)),
                   gauge("level", point(0, 3), point(0, 4)))
    connection = http.client.HTTPConnection("127.0.0.1", daemon.port("http"), timeout=60)
    for _ in range(20):
        connection.request("POST", "/v1/metrics", body, {"Content-Type": PROTOBUF})
        answer = connection.getresponse()
        assert (answer.status, answer.read()) == (200, b"")
    connection.close()
    assert daemon.value("sum(sold)") == 100 and daemon.value("sum(twice)") == 60
    assert daemon.value("last(level)") == 4
    stored(daemon, body, Idempotency_Key="a")
    stored(daemon, body, Idempotency_Key="a")  # the batch is known, if nothing else is
    assert daemon.value("sum(sold)") == 105
