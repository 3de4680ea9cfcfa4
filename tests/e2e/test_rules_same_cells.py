"""The same samples by every protocol end in the same cells.

One kpid listens for all of them; who brought a sample stands in its label `via`, and without that label
everything is equal: to the bit where the protocol says times, in its figures where it does not."""

import datetime
import http.client
import json
import pickle
import random
import socket
import struct
import time

import pytest

import native_client
from conftest import wait_until
from remote_write import V1, V2, request_2, series_1, snappy

LISTENERS = """
ingest:
  - { protocol: statsd, listen: "tcp:127.0.0.1:0" }
  - { protocol: dogstatsd, listen: "unixgram:FOLDER/dogstatsd.sock" }
  - { protocol: graphite, listen: "tcp:127.0.0.1:0" }
  - { protocol: graphite_pickle, listen: "tcp:127.0.0.1:0" }
  - { protocol: influx, listen: "tcp:127.0.0.1:0" }
  - { protocol: influx, listen: "http:127.0.0.1:0" }
  - { protocol: prometheus, listen: "http:127.0.0.1:0" }
  - { protocol: otlp, listen: "http:127.0.0.1:0" }
  - { protocol: json, listen: "http:127.0.0.1:0" }
  - { protocol: collectd, listen: "http:127.0.0.1:0" }
  - { protocol: native, listen: "tcp:127.0.0.1:0" }
mapping:
  - { match: "collectd.*.*.*", name: $1, labels: { shop: $2, via: $3 } }
metrics:
  sold_total: { type: counter }
  stock_now: { type: gauge }
  paid_ms: { type: distribution }
  seen_users: { type: unique }
"""
METRICS = ["sold_total", "stock_now", "paid_ms", "seen_users"]
COUNTER, GAUGE = 1, 2  # of remote write 2.0
LETTERS = dict(zip(METRICS, ["c", "g", "ms", "s"]))
SPAN = 180  # seconds, one sample each: no two of a series have one time


def made_samples():
    """[(metric, shop, value, seconds)], three whole minutes of one quarter of an hour, a while ago: the largest of
    what gauges of several series are together is looked for by quarters, and what has no time is in one."""
    chance = random.Random(2026)
    begin = int(time.time()) // 900 * 900 - 900 + 60
    return [(chance.choice(METRICS), chance.choice("ab"), chance.randrange(1, 500), begin + i) for i in range(SPAN)]


def of(samples, *metrics):
    return [one for one in samples if one[0] in metrics]


class All:
    """A kpid with every listener, and a client of each."""

    def __init__(self, daemon):
        self.daemon = daemon
        self.ports = {}
        for one in daemon.ask("ingest")["listeners"]:
            transport, _, where = one["listen"].partition(":")
            if transport in ("tcp", "http"):
                self.ports[one["protocol"], transport] = int(where.rsplit(":", 1)[1])

    def say(self, protocol, data):
        with socket.create_connection(("127.0.0.1", self.ports[protocol, "tcp"]), 60) as connection:
            connection.sendall(data)

    def post(self, protocol, path, body, **headers):
        connection = http.client.HTTPConnection("127.0.0.1", self.ports[protocol, "http"], timeout=60)
        connection.request("POST", path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        words = answer.read()
        connection.close()
        assert answer.status in (200, 204) and words in (b"", b"{}") or b"stored" in words, (protocol, words)


# --- the clients: each sends all it can say of the samples ----------------------------------------------


def by_statsd(all_of, samples):
    """Without times: they are of now."""
    all_of.say("statsd", "".join(f"{m}:{v}|{LETTERS[m]}|#shop:{s},via:statsd\n" for m, s, v, _ in samples).encode())


def by_dogstatsd(all_of, samples):
    """Counts and gauges have times (D5); the others are of now."""
    lines = [f"{m}:{v}|{LETTERS[m]}|#shop:{s},via:dogstatsd" + (f"|T{at}" if LETTERS[m] in "cg" else "")
             for m, s, v, at in samples]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.connect(str(all_of.daemon.folder / "dogstatsd.sock"))
        for at in range(0, len(lines), 50):
            sender.send("\n".join(lines[at:at + 50]).encode())


def by_graphite(all_of, samples):
    all_of.say("graphite", "".join(f"{m};shop={s};via=graphite {v} {at}\n" for m, s, v, at in samples).encode())


def by_pickle(all_of, samples):
    data = pickle.dumps([(f"{m};shop={s};via=pickle", (at, v)) for m, s, v, at in samples], 2)
    all_of.say("graphite_pickle", struct.pack("!I", len(data)) + data)


def influx_lines(samples, via):
    return "".join("{},shop={},via={} {}={} {}000000000\n".format(*m.split("_")[:1], s, via, m.split("_")[1], v, at)
                   for m, s, v, at in samples).encode()


def by_influx(all_of, samples):
    all_of.say("influx", influx_lines(samples, "influx"))


def by_influx_http(all_of, samples):
    all_of.post("influx", "/write?db=x", influx_lines(samples, "influx_http"))


def iso(seconds):
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).isoformat()


def by_json(all_of, samples):
    pushed = [{"name": m, "value": str(v), "labels": {"shop": s, "via": "json"}, "at": iso(at)}
              for m, s, v, at in samples]
    all_of.post("json", "/push", json.dumps({"samples": pushed}))


def by_csv(all_of, samples):
    for metric in METRICS:
        path = all_of.daemon.folder / f"{metric}.csv"
        rows = [f"{iso(at)},{v},{s},csv" for _, s, v, at in of(samples, metric)]
        path.write_text("\n".join(["time,value,shop,via", *rows]) + "\n", encoding="ascii")
        done = all_of.daemon.kpictl("import", "--metric", metric, "--csv", path, "--label", "all")
        assert f"{len(rows)} stored" in done.stdout


def by_native(all_of, samples):
    """The declared type beats what the client says, which is nothing."""
    batch = native_client.Batch(1)
    for metric, shop, value, at in samples:
        batch.add(metric, value, {"via": "native", "shop": shop}, kind=native_client.UNTYPED, at=at * 1000)
    client = native_client.Connection(all_of.ports["native", "tcp"])
    assert client.ask(batch).stored == len(samples)
    client.close()


def by_otlp(all_of, samples):
    """What is sold as a delta sum, the others as gauges that are declared to be something else (FIG-8)."""
    metrics = []
    for metric in METRICS:
        points = [{"timeUnixNano": str(at * 10**9), "startTimeUnixNano": str((at - 1) * 10**9), "asInt": str(v),
                   "attributes": [{"key": key, "value": {"stringValue": word}}
                                  for key, word in (("shop", s), ("via", "otlp"))]}
                  for _, s, v, at in of(samples, metric)]
        kind = {"gauge": {"dataPoints": points}}
        if metric == "sold_total":
            kind = {"sum": {"aggregationTemporality": 1, "isMonotonic": True, "dataPoints": points}}
        metrics.append({"name": metric, **kind})
    body = {"resourceMetrics": [{"scopeMetrics": [{"metrics": metrics}]}]}
    all_of.post("otlp", "/v1/metrics", json.dumps(body), Content_Type="application/json")


def totals(samples, shop):
    """(total, ms), from 0 a second before the first sample on."""
    sold = [one for one in of(samples, "sold_total") if one[1] == shop]
    found = [(0, (sold[0][3] - 1) * 1000)]
    for _, _, value, at in sold:
        found.append((found[-1][0] + value, at * 1000))
    return found


def levels(samples, metric, shop):
    return [(value, at * 1000) for name, its_shop, value, at in samples if (name, its_shop) == (metric, shop)]


def by_remote_write(all_of, samples):
    """Version 1.0. What is sold is a total that counts up (FIG-23)."""
    body = b""
    for shop in "ab":
        for metric in METRICS:
            points = totals(samples, shop) if metric == "sold_total" else levels(samples, metric, shop)
            body += series_1({"__name__": metric, "shop": shop, "via": "remote"}, *points)
    all_of.post("prometheus", "/api/v1/write", snappy(body), Content_Type=V1, Content_Encoding="snappy")


def by_remote_write_2(all_of, samples):
    all_series = []
    for shop in "ab":
        for metric in METRICS:
            points = totals(samples, shop) if metric == "sold_total" else levels(samples, metric, shop)
            all_series.append(({"__name__": metric, "shop": shop, "via": "remote2"},
                               COUNTER if metric == "sold_total" else GAUGE, *points))
    all_of.post("prometheus", "/api/v1/write", snappy(request_2(*all_series)), Content_Type=V2,
                Content_Encoding="snappy")


def by_native_totals(all_of, samples):
    batch = native_client.Batch(1)
    for shop in "ab":
        for total, at in totals(samples, shop):
            batch.add("sold_total", total, {"shop": shop, "via": "native_totals"}, form=native_client.CUMULATIVE, at=at)
    client = native_client.Connection(all_of.ports["native", "tcp"])
    assert client.ask(batch).rejected == 0
    client.close()


def by_otlp_totals(all_of, samples):
    points = [{"timeUnixNano": str(at * 10**6), "startTimeUnixNano": "1000000000", "asInt": str(total),
               "attributes": [{"key": key, "value": {"stringValue": word}}
                              for key, word in (("shop", shop), ("via", "otlp_totals"))]}
              for shop in "ab" for total, at in totals(samples, shop)]
    metric = {"name": "sold_total", "sum": {"aggregationTemporality": 2, "isMonotonic": True, "dataPoints": points}}
    body = {"resourceMetrics": [{"scopeMetrics": [{"metrics": [metric]}]}]}
    all_of.post("otlp", "/v1/metrics", json.dumps(body), Content_Type="application/json")


def by_collectd(all_of, samples):
    """What is sold as increments, the others as gauges (FIG-8). A rule of mapping makes labels of the type."""
    all_of.post("collectd", "/", json.dumps(
        [{"values": [v], "dstypes": ["absolute" if m == "sold_total" else "gauge"], "dsnames": ["value"], "time": at,
          "interval": 10, "plugin": m, "type": f"{s}.collectd"}
         for m, s, v, at in samples]))


def by_collectd_totals(all_of, samples):
    all_of.post("collectd", "/", json.dumps(
        [{"values": [total], "dstypes": ["derive"], "dsnames": ["value"], "time": at / 1000, "interval": 10,
          "plugin": "sold_total", "type": f"{shop}.collectd_totals"}
         for shop in "ab" for total, at in totals(samples, shop)]))


# Each with the metrics whose cells are those of Graphite, to the bit.
CLIENTS = {
    "statsd": (by_statsd, []),
    "dogstatsd": (by_dogstatsd, ["sold_total", "stock_now"]),
    "graphite": (by_graphite, METRICS),
    "pickle": (by_pickle, METRICS),
    "influx": (by_influx, METRICS),
    "influx_http": (by_influx_http, METRICS),
    "json": (by_json, METRICS),
    "csv": (by_csv, METRICS),
    "native": (by_native, METRICS),
    "otlp": (by_otlp, METRICS),
    "collectd": (by_collectd, METRICS),
    "remote": (by_remote_write, ["stock_now", "paid_ms", "seen_users"]),
    "remote2": (by_remote_write_2, ["stock_now", "paid_ms", "seen_users"]),
    "native_totals": (by_native_totals, []),
    "otlp_totals": (by_otlp_totals, []),
    "collectd_totals": (by_collectd_totals, []),
}
TOTALS = ["remote", "remote2", "native_totals", "otlp_totals", "collectd_totals"]


def cells_of(daemon):
    """{via: {(metric, kind, shop, minute): the cell}}; when it arrived is nobody's to compare."""
    found = {}
    for line in daemon.kpictl("export").stdout.splitlines():
        cell = json.loads(line)
        labels = cell.pop("labels")
        key = (cell.pop("metric"), cell.pop("kind"), labels["shop"], cell.pop("from_ms"))
        cell = {name: value for name, value in cell.items() if not name.endswith("_arrival")}
        found.setdefault(labels["via"], {})[key] = cell
    return found


QUESTIONS = ["sum(sold_total{%s})", "last(stock_now{%s})", "max(stock_now{%s})", "count(paid_ms{%s})",
             "sum(paid_ms{%s})", "min(paid_ms{%s})", "p50(paid_ms{%s})", "p95(paid_ms{%s})", "uniques(seen_users{%s})"]


@pytest.fixture(name="fed")
def fed_by_all(kpid, tmp_path):
    daemon = kpid(LISTENERS.replace("FOLDER", str(tmp_path)))
    samples = made_samples()
    all_of = All(daemon)
    for client, _ in CLIENTS.values():
        client(all_of, samples)

    def is_settled():
        listeners = daemon.ask("ingest")["listeners"]
        return all(one["pending"] == 0 and (one["received"] or one["listen"] == "control") for one in listeners)

    wait_until(is_settled, "all listeners to have stored something")
    for via in ("statsd", "dogstatsd", "graphite", "pickle", "influx"):  # nobody says when those are read
        wait_until(lambda via=via: daemon.value(f'sum(sold_total{{via="{via}"}})') ==
                   sum(value for _, _, value, _ in of(samples, "sold_total")), via)
        wait_until(lambda via=via: daemon.value(f'count(paid_ms{{via="{via}"}})') == len(of(samples, "paid_ms")), via)
    for one in daemon.ask("ingest")["listeners"]:
        assert not one["rejected"] and not one["dropped"], one
    return daemon, samples


def test_the_same_samples_by_every_protocol_are_the_same_cells(fed):
    daemon, samples = fed
    cells = cells_of(daemon)
    assert set(cells) == set(CLIENTS)
    wanted = cells["graphite"]
    assert {key[0] for key in wanted} == set(METRICS) and len({key[3] for key in wanted}) == SPAN // 60
    for via, (_, metrics) in CLIENTS.items():
        have = {key: cell for key, cell in cells[via].items() if key[0] in metrics}
        assert have == {key: cell for key, cell in wanted.items() if key[0] in metrics}, via
    for via in TOTALS:  # what was counted in each minute
        for key, cell in wanted.items():
            if key[0] == "sold_total":
                assert cells[via][key]["sum"] == cell["sum"], (via, key)
    by_hand = {}
    for metric, shop, value, at in samples:
        if metric == "sold_total":
            by_hand[shop, at // 60 * 60000] = by_hand.get((shop, at // 60 * 60000), 0) + value
    assert {(key[2], key[3]): cell["sum"] for key, cell in wanted.items() if key[0] == "sold_total"} == by_hand


def test_the_same_samples_by_every_protocol_are_the_same_figures(fed):
    daemon, _ = fed
    wanted = [daemon.value(question % 'via="graphite"') for question in QUESTIONS]
    assert None not in wanted
    for via in CLIENTS:
        if via.endswith("_totals"):
            assert daemon.value(QUESTIONS[0] % f'via="{via}"') == wanted[0], via
            continue
        for question, value in zip(QUESTIONS, wanted):
            assert daemon.value(question % f'via="{via}"') == value, (via, question)
