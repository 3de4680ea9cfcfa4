"""Answers that clients build on: which fault is whose, and what a batch that comes again with something else
in it is told."""

import gzip
import http.client
import json
import pickle
import random
import re
import socket
import struct
import subprocess
import time

import pytest

import native_client
from conftest import BUILD, wait_until
from remote_write import V1, V2, request_2, series_1, snappy

LISTENERS = """
ingest:
  - { protocol: influx, listen: "http:127.0.0.1:0" }
  - { protocol: prometheus, listen: "http:127.0.0.1:0" }
  - { protocol: otlp, listen: "http:127.0.0.1:0" }
  - { protocol: json, listen: "http:127.0.0.1:0" }
  - { protocol: collectd, listen: "http:127.0.0.1:0" }
  - { protocol: native, listen: "tcp:127.0.0.1:0" }
  - { protocol: graphite_pickle, listen: "tcp:127.0.0.1:0" }
"""
COUNTER = 1
PRODUCER = b"0123456789abcdef"


def port_of(daemon, protocol):
    return next(int(one["listen"].rsplit(":", 1)[1]) for one in daemon.ask("ingest")["listeners"]
                if one["protocol"] == protocol and one["listen"] != "control")


def ledger_of(daemon, protocol):
    return next(one for one in daemon.ask("ingest")["listeners"]
                if one["protocol"] == protocol and one["listen"] != "control")


def post(port, path, body, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("POST", path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        return answer.status, answer.read().decode("utf-8", "replace")
    finally:
        connection.close()


# --- whose fault it is ----------------------------------------------------------------------------------


@pytest.mark.parametrize("content_type", [V1, V2])
def test_what_cannot_be_unpacked_or_read_is_400_and_stores_nothing(kpid, content_type):  # P4
    daemon = kpid(LISTENERS)
    port = port_of(daemon, "prometheus")
    at = int(time.time() * 1000)
    good = (series_1({"__name__": "up"}, (1, at)) if content_type == V1
            else request_2(({"__name__": "up"}, COUNTER, (1, at))))
    for body in (b"\xff\xff\xff", snappy(good)[:-1], snappy(good) + b"\x00", b"\x05" + snappy(good)[1:],
                 snappy(b"\x0a\x7f"), snappy(b"\xff" * 20), snappy(good + b"\x2a\x05ab"), snappy(good[:-1]), good):
        status, words = post(port, "/api/v1/write", body, Content_Type=content_type, Content_Encoding="snappy")
        assert status == 400 and words.strip(), (body, words)
    assert daemon.stored() == 0
    status, _ = post(port, "/api/v1/write", snappy(good), Content_Type=content_type, Content_Encoding="snappy")
    assert status == 204


def good_requests():
    """{protocol: (path, body, headers)}"""
    now = int(time.time())
    point = {"asInt": "1", "timeUnixNano": str(now * 10**9), "attributes": [{"key": "a", "value": {"stringValue": "b"}}]}
    otlp = {"resourceMetrics": [{"scopeMetrics": [{"metrics": [{"name": "up", "gauge": {"dataPoints": [point]}}]}]}]}
    samples = {"samples": [{"name": "leads", "value": 1, "labels": {"a": "b"}, "type": "counter"}]}
    value_lists = [{"values": [1, 2.5], "dstypes": ["derive", "gauge"], "dsnames": ["rx", "tx"], "time": now + 0.5,
                    "host": "web1", "plugin": "p", "plugin_instance": "a", "type": "t", "type_instance": ""}] * 2
    remote = series_1({"__name__": "up", "job": "x"}, (1, now * 1000))
    return {"influx": ("/write?db=x", f"m,t=a f=1,g=2i {now}000000000\nn f=\"text\"\n".encode(), {}),
            "prometheus": ("/api/v1/write", remote, {"Content_Type": V1, "Content_Encoding": "snappy"}),
            "otlp": ("/v1/metrics", json.dumps(otlp).encode(), {"Content_Type": "application/json"}),
            "json": ("/push", json.dumps(samples).encode(), {"Content_Type": "application/json"}),
            "collectd": ("/", json.dumps(value_lists).encode(), {"Content_Type": "application/json"})}


def damage(chance, body):
    """A few bytes are others, missing or too many."""
    body = bytearray(body)
    for _ in range(chance.randrange(1, 4)):
        at = chance.randrange(len(body))
        if chance.random() < 0.6:
            body[at] = chance.randrange(256)
        elif chance.random() < 0.5:
            del body[at]
        else:
            body.insert(at, chance.randrange(256))
        if not body:
            return b"x"
    return bytes(body)


@pytest.mark.parametrize("protocol", ["influx", "prometheus", "otlp", "json", "collectd"])
def test_no_fault_of_a_client_is_told_to_come_again(kpid, protocol):  # P9, O5: else it comes for ever
    daemon = kpid(LISTENERS)
    port = port_of(daemon, protocol)
    path, body, headers = good_requests()[protocol]
    chance = random.Random(8)
    seen = set()
    for turn in range(150):
        sent = damage(chance, body)
        more = dict(headers)
        if protocol == "prometheus":
            sent = snappy(sent) if turn % 2 else damage(chance, snappy(body))
        elif turn % 3 == 0:
            sent, more["Content_Encoding"] = damage(chance, gzip.compress(sent)), "gzip"
        status, words = post(port, path, sent, **more)
        assert status in (200, 204, 400, 413, 415), (status, words, sent)
        seen.add(status)
    assert 400 in seen
    status, _ = post(port, path, snappy(body) if protocol == "prometheus" else body, **headers)
    assert status in (200, 204)
    ledger = ledger_of(daemon, protocol)
    assert ledger["received"] == (ledger["stored"] + sum(ledger["rejected"].values())
                                  + sum(ledger["dropped"].values()))


def test_one_bad_sample_leaves_the_others_in_every_batch(kpid):  # S17, G9, I24, P8, O4; JSON takes all or nothing
    daemon = kpid(LISTENERS)
    now = int(time.time())
    status, words = post(port_of(daemon, "influx"), "/write", "a f=1\nb f=\nc f=1\n")
    assert status == 400 and "partial write" in words
    body = series_1({"__name__": "d"}, (1, now * 1000)) + series_1({"job": "e"}, (1, now * 1000))
    status, words = post(port_of(daemon, "prometheus"), "/w", snappy(body), Content_Type=V1, Content_Encoding="snappy")
    assert status == 400 and "bad_name" in words
    points = [{"asInt": "1"}, {}]
    metric = {"name": "g", "gauge": {"dataPoints": points}}
    status, words = post(port_of(daemon, "otlp"), "/v1/metrics", json.dumps(
        {"resourceMetrics": [{"scopeMetrics": [{"metrics": [metric]}]}]}), Content_Type="application/json")
    assert status == 200 and json.loads(words)["partialSuccess"]["rejectedDataPoints"] in ("1", 1)
    good, bad = ({"values": [1], "dstypes": [kind], "dsnames": ["value"], "plugin": "p", "type": "t"}
                 for kind in ("gauge", "rate"))
    status, words = post(port_of(daemon, "collectd"), "/", json.dumps([bad, good]))
    assert status == 200 and (json.loads(words)["stored"], json.loads(words)["rejected"]) == (1, 1)
    assert "bad_type" in words and post(port_of(daemon, "collectd"), "/", json.dumps([bad, bad]))[0] == 400
    batch = native_client.Batch(1).add("h", 1).add("", 1)
    client = native_client.Connection(port_of(daemon, "native"))
    answer = client.ask(batch)
    assert (answer.stored, answer.rejected) == (1, 1)
    client.close()
    for expression in ("sum(a_f)", "sum(c_f)", "last(d)", "last(g)", "sum(h)", "last(collectd.p.t)"):
        assert daemon.value(expression) == 1, expression


LINES = """
  - { protocol: statsd, listen: "tcp:127.0.0.1:0" }
  - { protocol: dogstatsd, listen: "tcp:127.0.0.1:0" }
  - { protocol: graphite, listen: "tcp:127.0.0.1:0" }
"""


@pytest.mark.parametrize("control", ["\x02", "\x7f", "\x80", "\x85", "\x9f"])
def test_no_protocol_takes_control_characters_in_a_name(kpid, control):  # S13: those of both halves
    daemon = kpid(LISTENERS.rstrip() + LINES)
    name, good, now = f"a{control}b", "a\u00a0b", int(time.time())

    def say(protocol, data):
        with socket.create_connection(("127.0.0.1", port_of(daemon, protocol)), 60) as connection:
            connection.sendall(data)

    for one in (name, good):
        say("statsd", f"{one}:1|c\n".encode())
        say("dogstatsd", f"{one}:1|c|#k:v\n".encode())
        say("graphite", f"{one.replace(good, 'a.b')} 1 {now}\n".encode())
        data = pickle.dumps([(one, (now, 1))], 2)
        say("graphite_pickle", struct.pack("!I", len(data)) + data)
        status = [post(port_of(daemon, "influx"), "/write", f"{one} v=1\n".encode())[0]]
        status.append(post(port_of(daemon, "prometheus"), "/w",
                           snappy(series_1({"__name__": one}, (1, now * 1000))), Content_Type=V1,
                           Content_Encoding="snappy")[0])
        metric = {"name": one, "gauge": {"dataPoints": [{"asInt": "1"}]}}
        post(port_of(daemon, "otlp"), "/v1/metrics", json.dumps(
            {"resourceMetrics": [{"scopeMetrics": [{"metrics": [metric]}]}]}), Content_Type="application/json")
        status.append(post(port_of(daemon, "json"), "/push", json.dumps({"samples": [{"name": one, "value": 1}]}))[0])
        status.append(post(port_of(daemon, "collectd"), "/", json.dumps(
            [{"values": [1], "dstypes": ["gauge"], "dsnames": ["value"], "plugin": one, "type": "t"}]))[0])
        assert [code // 100 for code in status] == ([4] * 4 if one == name else [2] * 4), status
    client = native_client.Connection(port_of(daemon, "native"))
    answer = client.ask(native_client.Batch(1).add(name, 1).add(good, 1))
    assert (answer.stored, answer.rejected) == (1, 1)
    client.close()

    def settled():
        listeners = [one for one in daemon.ask("ingest")["listeners"] if one["listen"] != "control"]
        return all(one["received"] == 2 and not one["pending"] for one in listeners) and listeners

    for one in wait_until(settled, "all listeners to be done"):
        assert (one["stored"], one["rejected"]) == (1, {"bad_name": 1}), one


def test_labels_may_differ_under_one_name(kpid):
    """What one sender tags, and another one does not, are series of one metric."""
    daemon = kpid(LISTENERS)
    lines = "m f=1\nm,a=1 f=2\nm,b=1 f=4\nm,b=1,a=1 f=8\n"
    assert post(port_of(daemon, "influx"), "/write", lines)[0] == 204
    assert daemon.value("sum(m_f)") == 15
    assert daemon.value('sum(m_f{a="1"})') == 10


def test_what_has_too_many_labels_is_rejected_whole_and_counted(kpid):
    """Labels are never cut: a series with some of its labels would be another series."""
    daemon = kpid(LISTENERS)
    many = ",".join(f"l{i}=v" for i in range(70))
    long = "x" * 5000
    status, _ = post(port_of(daemon, "influx"), "/write", f"m,{many} f=1\nm,a={long} f=1\nm,a=b f=1\n")
    assert status == 400
    ledger = ledger_of(daemon, "influx")
    assert ledger["stored"] == 1 and sum(ledger["rejected"].values()) == 2
    assert set(ledger["rejected"]) <= {"bad_tags", "too_long"}
    assert daemon.value("sum(m_f)") == 1


SITES = {"influx": "a_f", "json": "b", "otlp": "c", "remote": "d", "native": "e"}
ODD = 'x..y/z é|"q" \\d, e=f;g%'


def test_labels_come_back_as_they_were_sent(kpid):  # G7: whatever becomes of the name
    daemon = kpid(LISTENERS + 'mapping: [ { match: "shop.*", name: "orders", labels: { site: "$1" } } ]\n')
    escaped = ODD.replace(",", "\\,").replace("=", "\\=").replace(" ", "\\ ")
    assert post(port_of(daemon, "influx"), "/write", f"shop.a,via=influx,odd={escaped} f=1\n".encode())[0] == 204
    body = {"samples": [{"name": "shop.b", "value": 1, "labels": {"odd": ODD, "via": "json"}, "type": "counter"}]}
    assert post(port_of(daemon, "json"), "/push", json.dumps(body))[0] == 200
    point = {"asInt": "1", "attributes": [{"key": "odd", "value": {"stringValue": ODD}},
                                          {"key": "via", "value": {"stringValue": "otlp"}}]}
    metric = {"name": "shop.c", "gauge": {"dataPoints": [point]}}
    body = json.dumps({"resourceMetrics": [{"scopeMetrics": [{"metrics": [metric]}]}]})
    assert post(port_of(daemon, "otlp"), "/v1/metrics", body, Content_Type="application/json")[0] == 200
    at = int(time.time() * 1000)
    body = snappy(series_1({"__name__": "shop.d", "odd": ODD, "via": "remote"}, (1, at)))
    assert post(port_of(daemon, "prometheus"), "/w", body, Content_Type=V1, Content_Encoding="snappy")[0] == 204
    client = native_client.Connection(port_of(daemon, "native"))
    assert client.ask(native_client.Batch(1).add("shop.e", 1, {"odd": ODD, "via": "native"})).stored == 1
    client.close()
    cells = [json.loads(line) for line in daemon.kpictl("export").stdout.splitlines()]
    labels = {cell["labels"]["via"]: cell["labels"] for cell in cells}
    assert set(labels) == {"influx", "json", "otlp", "remote", "native"}
    for via, its in labels.items():
        assert its["odd"] == ODD, via
        assert its["site"] == SITES[via], its


def test_slow_senders_are_not_cut_off_sooner_than_by_others(tmp_path):  # G11: ten minutes
    (tmp_path / "kpid.yaml").write_text("storage: { path: data }\n")
    printed = subprocess.run([BUILD / "kpid", "--print-config", "-c", tmp_path / "kpid.yaml"], capture_output=True,
                             text=True, check=True, timeout=60).stdout
    number, unit = re.search(r"^ +idle: (\d+)([smhd])$", printed, re.MULTILINE).groups()
    assert int(number) * {"s": 1, "m": 60, "h": 3600, "d": 86400}[unit] >= 600


# --- again, with something else in it -------------------------------------------------------------------


def test_a_sequence_that_comes_again_with_other_samples_changes_nothing(kpid):
    daemon = kpid(LISTENERS)
    client = native_client.Connection(port_of(daemon, "native"), PRODUCER, 1)
    assert client.ask(native_client.Batch(1).add("orders", 3)).stored == 1
    answer = client.ask(native_client.Batch(1).add("orders", 5).add("others", 7))
    assert answer.is_ack and answer.repeated and answer.stored == 0
    daemon.kill()
    daemon.start()
    client = native_client.Connection(port_of(daemon, "native"), PRODUCER, 1)
    assert client.ask(native_client.Batch(1).add("orders", 11)).repeated
    assert daemon.value("sum(orders)") == 3
    assert daemon.value("sum(others)") in (None, 0)
    ledger = ledger_of(daemon, "native")
    assert ledger["received"] == 4 and ledger["dropped"] == {"duplicate": 3}


def test_the_same_time_with_another_value_is_a_conflict_and_the_first_one_stays(kpid):  # P15
    daemon = kpid(LISTENERS)
    port = port_of(daemon, "prometheus")
    at = int(time.time() * 1000) - 5000

    def say(value, when, name="level"):
        body = snappy(series_1({"__name__": name}, (value, when)))
        return post(port, "/api/v1/write", body, Content_Type=V1, Content_Encoding="snappy")[0]

    assert say(5, at) == 204 and say(5, at) == 204 and say(9, at) == 204
    assert say(1, at - 1000) == 204  # one that comes after a newer one of its series
    assert daemon.value("last(level)") == 5 and daemon.value("max(level)") == 5
    ledger = ledger_of(daemon, "prometheus")
    assert ledger["stored"] == 1 and ledger["dropped"] == {"duplicate": 2, "conflict": 1}


def test_a_pickle_without_a_point_is_no_pickle_of_points(kpid):  # G9, G10
    daemon = kpid(LISTENERS)
    with socket.create_connection(("127.0.0.1", port_of(daemon, "graphite_pickle")), 60) as connection:
        for item in ({"a": 1}, 7, "text", None, [("well", (-1, 1))]):
            data = pickle.dumps(item, 2)
            connection.sendall(struct.pack("!I", len(data)) + data)
    wait_until(lambda: daemon.value("sum(well)") == 1, "the last one")
    assert sum(ledger_of(daemon, "graphite_pickle")["rejected"].values()) == 4
