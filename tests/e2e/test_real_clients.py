"""The clients that people have send a known set of samples, and kpid has exactly these figures.

Debian's: python3-statsd, python3-influxdb, prometheus, collectd; of npm: hot-shots and OpenTelemetry's
SDK (tests/clients). curl is in test_readme.py, with the recipes as they are written."""

import http.server
import socket
import threading
import time

import influxdb
import pytest
import statsd

from conftest import wait_until
from ports import free_port
from real_clients import Program, node, packages
from remote_write import double, number, text, varint


def listener(daemon, transport):
    return daemon.listeners()[transport]


def wait_stored(daemon, transport, count):
    """All of it, and nothing else, without an error."""
    wait_until(lambda: listener(daemon, transport)["stored"] >= count, f"{count} samples over {transport}")
    ledger = listener(daemon, transport)
    assert (ledger["received"], ledger["stored"]) == (count, count), ledger
    assert ledger["rejected"] == {} and ledger["dropped"] == {}


# --- StatsD ---------------------------------------------------------------------------------------

STATSD = """
ingest: [ { protocol: statsd, listen: "udp:127.0.0.1:0" }, { protocol: statsd, listen: "tcp:127.0.0.1:0" } ]
"""


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_python3_statsd(kpid, monkeypatch, transport):
    daemon = kpid(STATSD)
    monkeypatch.setattr("random.random", lambda: 0.0)  # whatever is sampled is sent
    make = {"udp": statsd.StatsClient, "tcp": statsd.TCPStatsClient}[transport]
    client = make("127.0.0.1", daemon.port(transport), prefix="shop")
    for _ in range(100):
        client.incr("hits")
    client.decr("hits", 7)
    client.incr("sampled", 3, rate=0.25)
    client.gauge("queue", 5)
    client.gauge("queue", 3, delta=True)
    client.gauge("debt", 1)
    client.gauge("debt", -12)  # is sent as 0 and then -12 (S7)
    client.set("users", "ann")
    with client.pipeline() as batch:
        batch.set("users", "bob")
        batch.set("users", "ann")
        for value in range(1, 101):
            batch.timing("took", value)
    if transport == "tcp":
        client.close()
    wait_stored(daemon, transport, 100 + 2 + 2 + 3 + 3 + 100)
    assert daemon.value("sum(shop.hits)") == 93
    assert daemon.value("sum(shop.sampled)") == 12
    assert daemon.value("last(shop.queue)") == 8
    assert daemon.value("last(shop.debt)") == -12
    assert daemon.value("uniques(shop.users)") == 2
    assert daemon.value("sum(shop.took)") == 5050 and daemon.value("count(shop.took)") == 100
    assert daemon.value("p95(shop.took)") == pytest.approx(95, rel=0.01)


# --- DogStatsD ------------------------------------------------------------------------------------

DOGSTATSD = """
ingest: [ { protocol: dogstatsd, listen: "udp:127.0.0.1:0" }, { protocol: dogstatsd, listen: "tcp:127.0.0.1:0" },
          { protocol: dogstatsd, listen: "unixgram:FOLDER/dogstatsd.sock" } ]
"""


@pytest.mark.parametrize("transport, buffer", [("udp", 0), ("udp", 1432), ("tcp", 8192), ("unixgram", 8192)])
def test_hot_shots(kpid, tmp_path, transport, buffer):
    daemon = kpid(DOGSTATSD.replace("FOLDER", str(tmp_path)))
    if transport != "unixgram":
        to = daemon.port(transport), transport
    elif any((packages() / "unix-dgram").glob("build/Release/*.node")):
        to = tmp_path / "dogstatsd.sock", "uds"
    else:
        pytest.skip("unix-dgram could not be compiled: it needs a C++ compiler and the headers of Node")
    wait_stored(daemon, transport, int(node("hot_shots.js", *to, buffer)))
    for expression, value in [
            ("sum(shop.hits)", 13), ('sum(shop.hits{plan="pro"})', 4), ('sum(shop.hits{plan="free"})', 10),
            ('sum(shop.hits{service="web"})', 13), ("sum(shop.sampled)", 6),
            ("last(shop.queue)", -3), ("min(shop.queue)", -3), ("max(shop.queue)", 7),  # D6: a sign is a sign
            ('last(shop.stock{room="a b"})', 2.5),
            ("count(shop.size)", 50), ("sum(shop.size)", 1275), ("max(shop.size)", 50),
            ('sum(shop.paid{currency="EUR"})', 637.5), ("sum(shop.took)", 12.5),
            ("uniques(shop.users)", 3), ('last(service_check.shop.db.up{host="db1"})', 2)]:
        assert daemon.value(expression) == value, expression
    notes = {one["title"]: one for one in daemon.ask("annotations")["annotations"]}
    assert set(notes) == {"shop.deploy 7", "shop.db.up is critical"}
    deploy = notes["shop.deploy 7"]
    assert (deploy["text"], deploy["kind"], deploy["host"]) == ("line\nanother", "success", "web1")
    assert sorted(deploy["tags"]) == ["env:prod", "service:web"]
    assert notes["shop.db.up is critical"]["text"] == "no answer"


# --- OpenTelemetry --------------------------------------------------------------------------------

OTLP = """
ingest: [ { protocol: otlp, listen: "http:127.0.0.1:0" } ]
"""


def record_thrice(daemon, encoding, temporality):
    node("open_telemetry.js", f"http://127.0.0.1:{daemon.port('http')}/v1/metrics", encoding, temporality)


@pytest.mark.parametrize("encoding, temporality", [("http", "delta"), ("proto", "delta"), ("http", "cumulative"),
                                                   ("proto", "cumulative")])
def test_the_sdk_of_opentelemetry(kpid, encoding, temporality):
    daemon = kpid(OTLP)
    record_thrice(daemon, encoding, temporality)
    # FIG-23: what the first export of a metric that counts up says is from before kpid knew it.
    rounds = 3 if temporality == "delta" else 2
    if temporality == "cumulative":
        daemon.stop()
        daemon.start()
        record_thrice(daemon, encoding, temporality)  # a process that began later counts whole
        rounds += 3
    shop = '{service.name="shop"}'
    for expression, value in [
            (f"sum(hits{shop})", 11 * rounds), ('sum(hits{plan="free"})', rounds), (f"last(queue{shop})", 9),
            ('last(temperature{room="a"})', 21.5),
            ("count(took)", 40 * rounds), ("sum(took)", 820 * rounds),
            ("share(took <= 10)", 0.25), ("share(took <= 20)", 0.5),  # exact on the sender's bounds
            ("count(size)", 100 * rounds), ("sum(size)", 5050 * rounds)]:
        assert daemon.value(expression) == pytest.approx(value), expression
    assert daemon.value("p50(size)") == pytest.approx(50, rel=0.05)
    assert daemon.value("p95(size)") == pytest.approx(95, rel=0.05)
    ledger = listener(daemon, "http")
    assert ledger["rejected"] == {} and ledger["received"] == ledger["stored"], ledger


# --- InfluxDB -------------------------------------------------------------------------------------

INFLUX = """
ingest: [ { protocol: influx, listen: "http:127.0.0.1:0" } ]
"""


@pytest.mark.parametrize("compressed", [False, True])
def test_python3_influxdb(kpid, compressed):
    daemon = kpid(INFLUX)
    client = influxdb.InfluxDBClient("127.0.0.1", daemon.port("http"), "ann", "secret", "shop", gzip=compressed)
    client.create_database("shop")
    assert {"name": "shop"} in client.get_list_database()
    now = int(time.time())
    points = [{"measurement": "sold", "tags": {"plan": "pro" if i % 4 else "free"}, "time": now - i % 60,
               "fields": {"items": i, "price": i / 4, "open": i % 2 == 0}} for i in range(2500)]
    assert client.write_points(points, time_precision="s", batch_size=500, tags={"region": "a, b=c"})
    wait_stored(daemon, "http", 7500)
    assert daemon.value("sum(sold_items)") == sum(range(2500))
    assert daemon.value('sum(sold_price{plan="free"})') == sum(i / 4 for i in range(0, 2500, 4))
    assert daemon.value('sum(sold_open{region="a, b=c"})') == 1250
    assert client.query("SELECT mean(items) FROM sold") == []
    client.close()


# --- Prometheus -----------------------------------------------------------------------------------

REMOTE = """
ingest: [ {{ protocol: prometheus, listen: "http:127.0.0.1:{port}" }} ]
"""
SCRAPING = """
global: {{ scrape_interval: 200ms, scrape_timeout: 200ms }}
scrape_configs:
  - {{ job_name: shop, static_configs: [ {{ targets: [ "127.0.0.1:{exporter}" ] }} ] }}
remote_write:
  - url: http://127.0.0.1:{port}/api/v1/write
    send_native_histograms: true
    queue_config: {{ batch_send_deadline: 100ms, min_backoff: 30ms, max_backoff: 200ms }}
    metadata_config: {{ send_interval: 500ms }}
"""
COUNTER, GAUGE, HISTOGRAM = 0, 1, 4  # io.prometheus.client.MetricType
NATIVE_BUCKETS = (7, 2, 1)           # of each round: (1, 2], (2, 4], (4, 8]


class Exporter:
    """Serves a counter, a gauge, a classic and a native histogram in Prometheus' protobuf format."""

    def __init__(self):
        self.orders = 1000.0  # a counter that does not begin with the test
        self.rounds = 1
        exporter = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):  # noqa: N802 (the name is http.server's)
                body = exporter.families()
                self.send_response(200)
                self.send_header("Content-Type", "application/vnd.google.protobuf; "
                                                 "proto=io.prometheus.client.MetricFamily; encoding=delimited")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def families(self):
        label = text(1, text(1, "plan") + text(2, "pro"))
        rounds = self.rounds
        classic = number(1, 10 * rounds) + double(2, 25.0 * rounds) + b"".join(
            text(3, number(1, count * rounds) + double(2, bound)) for bound, count in ((1.0, 4), (5.0, 10)))
        deltas = [NATIVE_BUCKETS[0] * rounds] + [(NATIVE_BUCKETS[i] - NATIVE_BUCKETS[i - 1]) * rounds for i in (1, 2)]
        zigzag = b"".join(varint(delta << 1 if delta >= 0 else -delta * 2 - 1) for delta in deltas)
        native = (number(1, 10 * rounds) + double(2, 20.0 * rounds) + number(5, 0) + double(6, 1e-9)
                  + text(12, number(1, 2) + number(2, 3)) + text(13, zigzag))
        made = b""
        for name, kind, metric in (("orders_total", COUNTER, label + text(3, double(1, self.orders))),
                                   ("queue", GAUGE, text(2, double(1, float(rounds)))),
                                   ("took_seconds", HISTOGRAM, text(7, classic)),
                                   ("size", HISTOGRAM, text(7, native))):
            family = text(1, name) + text(2, "help") + number(3, kind) + text(4, metric)
            made += varint(len(family)) + family
        return made

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def exporter():
    made = Exporter()
    yield made
    made.stop()


@pytest.fixture
def prometheus(tmp_path, exporter):
    """The program, told to send to the port; its listener is on one of its own."""
    port = free_port()
    (tmp_path / "prometheus.yml").write_text(SCRAPING.format(exporter=exporter.port, port=port))
    made = Program(tmp_path, "prometheus", "--config.file=prometheus.yml", f"--storage.tsdb.path={tmp_path / 'tsdb'}",
                   f"--web.listen-address=127.0.0.1:{free_port()}", "--enable-feature=native-histograms",
                   "--storage.remote.flush-deadline=1s")
    made.kpid_port = port
    yield made
    made.stop()


def test_prometheus_through_restarts_of_both(kpid, exporter, prometheus):
    daemon = kpid(REMOTE.format(port=prometheus.kpid_port))

    def wait_orders(count, why):
        wait_until(lambda: daemon.value("sum(orders_total)") == count, f"{count} orders: {why}\n{prometheus.log()}")

    prometheus.start()
    wait_until(lambda: daemon.value('last(up{job="shop"})') == 1, "the first scrape to be sent")
    wait_orders(0, "what counted before kpid knew it")
    wait_until(lambda: daemon.value("last(queue)") == 1, "the gauge")
    wait_until(lambda: daemon.value("count(size)") == 0, "the native histogram")
    exporter.orders, exporter.rounds = 1050, 3
    wait_orders(50, "while both run")
    # Two rounds more than at first.
    wait_until(lambda: daemon.value("count(size)") == 20, "the native histogram")
    assert 1 < daemon.value("p50(size)") <= 2 and 4 < daemon.value("max(size)") <= 8
    assert daemon.value("share(size <= 2)") == pytest.approx(0.7)
    wait_until(lambda: daemon.value("sum(took_seconds_count)") == 20, "the classic histogram")
    assert daemon.value("sum(took_seconds_sum)") == 50
    assert daemon.value('sum(took_seconds_bucket{le="1"})') == 8
    assert daemon.value('sum(took_seconds_bucket{le="+Inf"})') == 20
    assert daemon.value("last(queue)") == 3

    prometheus.stop()
    exporter.orders = 1070
    prometheus.start()
    wait_orders(70, "after a restart of prometheus")
    assert daemon.stop() == 0
    exporter.orders = 1100
    daemon.start()
    wait_orders(100, "after a restart of kpid")
    daemon.kill()
    exporter.orders = 1110
    daemon.start()
    wait_orders(110, "after a kill of kpid")
    exporter.orders = 5  # the shop's process is a new one
    wait_orders(115, "after a reset of the counter")
    prometheus.stop()
    ledger = wait_until(lambda: next((one for one in daemon.ask("ingest")["listeners"] if one["pending"] == 0), None),
                        "all to be committed")
    assert ledger["rejected"] == {}, ledger
    assert set(ledger["dropped"]) <= {"stale_marker", "duplicate"}, ledger
    assert ledger["received"] == ledger["stored"] + sum(ledger["dropped"].values())
    assert daemon.value('sum(orders_total{plan="pro", job="shop"})') == 115


# --- collectd -------------------------------------------------------------------------------------

COLLECTD = """
Hostname "web1"
FQDNLookup false
BaseDir "{folder}"
PIDFile "{folder}/pid"
TypesDB "/usr/share/collectd/types.db"
Interval 10
LoadPlugin logfile
<Plugin logfile>
  LogLevel info
  File stderr
</Plugin>
LoadPlugin unixsock
<Plugin unixsock>
  SocketFile "{folder}/put.sock"
</Plugin>
"""
WRITE_GRAPHITE = """
LoadPlugin write_graphite
<Plugin write_graphite>
  <Node "kpid">
    Host "127.0.0.1"
    Port "{port}"
    Protocol "tcp"
    Prefix "collectd."
  </Node>
</Plugin>
"""
WRITE_HTTP = """
LoadPlugin write_http
<Plugin write_http>
  <Node "kpid">
    URL "http://127.0.0.1:{port}{path}"
    {format}
    LogHttpError true
  </Node>
</Plugin>
"""


def collectd(folder, plugin):
    (folder / "collectd.conf").write_text(COLLECTD.format(folder=folder) + plugin)
    return Program(folder, "collectd", "-f", "-C", folder / "collectd.conf")


def say(folder, *commands):
    """To collectd, as its own tools do."""
    path = folder / "put.sock"

    def connect():
        made = socket.socket(socket.AF_UNIX)
        try:
            made.connect(str(path))
        except OSError:
            made.close()
            return None
        return made

    with wait_until(connect, "collectd's socket") as connection, connection.makefile("rw") as stream:
        for command in commands:
            stream.write(command + "\n")
            stream.flush()
            assert stream.readline().startswith("0 "), command


def put(folder, *values):
    say(folder, *(f'PUTVAL "{name}" interval=10 {at}:{value}' for name, at, value in values))


def flushed(folder, condition, what):
    """A flush does not wait for what was put before it, so it may take some of them."""
    def look():
        say(folder, "FLUSH")
        return condition()

    wait_until(look, what)


def test_collectd_writes_graphite(kpid, tmp_path):
    daemon = kpid('ingest: [ { protocol: graphite, listen: "tcp:127.0.0.1:0" } ]\n')
    now = int(time.time()) - 300
    with collectd(tmp_path, WRITE_GRAPHITE.format(port=daemon.port("tcp"))):
        put(tmp_path, *(("web1/shop-a/gauge-queue", now + i, i) for i in range(200)),
            *(("web1/load/load", now + i, f"{i}:0.5:0.25") for i in range(10)))
        flushed(tmp_path, lambda: listener(daemon, "tcp")["stored"] >= 230, "all values")
        wait_stored(daemon, "tcp", 230)
    assert daemon.value("count(collectd.web1.shop-a.gauge-queue)") == 200
    assert daemon.value("sum(collectd.web1.shop-a.gauge-queue)") == sum(range(200))
    assert daemon.value("last(collectd.web1.shop-a.gauge-queue)") == 199
    assert daemon.value("sum(collectd.web1.load.load.midterm)") == 5


def test_collectd_writes_json(kpid, tmp_path):
    daemon = kpid('ingest: [ { protocol: collectd, listen: "http:127.0.0.1:0", tokens: true } ]\n')
    token = daemon.kpictl("token", "add", "collectd", "--role", "ingest").stdout.strip()
    now = int(time.time()) - 300
    form = f'Format "JSON"\n    Notifications true\n    Header "Authorization: Bearer {token}"'
    # With more threads, as it has by default, what is put at once is not sent in its order.
    plugin = "WriteThreads 1\n" + WRITE_HTTP.format(port=daemon.port("http"), path="/collectd", format=form)
    wrapped = 2**32 - 10, 2**32 - 3, 4, 9
    with collectd(tmp_path, plugin) as sender:
        put(tmp_path, *(("web1/shop-a/gauge-queue", now + i, i) for i in range(200)),
            *(("web1/load/load", now + i, f"{i}:0.5:0.25") for i in range(10)),
            *(("web1/shop-a/derive-hits", now + i, 1000 + 10 * i) for i in range(20)),
            *(("web2/shop-a/derive-hits", now + i, 2**60 + 2048 * i) for i in range(3)),
            *(("web1/shop/counter-bytes", now + i, value) for i, value in enumerate(wrapped)),
            *(("web1/shop/absolute-orders", now + i, 3) for i in range(5)),
            ("web1/shop/gauge-queue", now, "U"), ("web1/eth0/if_octets", now, "5:7"),
            ("web1/eth0/if_octets", now + 1, "8:8"))
        say(tmp_path, f'PUTNOTIF severity=warning time={now} message="many carts" host=web1 plugin=shop')
        flushed(tmp_path, lambda: listener(daemon, "http")["received"] >= 268, "all values")
        # What is rejected is not sent again, and is not in the way of what follows.
        wait_until(lambda: "HTTP Error code: 400" in sender.log(), "the answer to the notification")
        put(tmp_path, ("web1/shop-a/gauge-queue", now + 200, 7))
        flushed(tmp_path, lambda: listener(daemon, "http")["received"] >= 269, "what follows")
        wait_until(lambda: listener(daemon, "http")["pending"] == 0, "all to be committed")
    ledger = listener(daemon, "http")
    assert (ledger["received"], ledger["stored"]) == (269, 267), ledger
    assert ledger["rejected"] == {"unsupported": 1} and ledger["dropped"] == {"not_finite": 1}
    queue = 'collectd.shop.gauge{host="web1", plugin_instance="a", type_instance="queue"}'
    for expression, value in [
            (f"last({queue})", 7), (f"max({queue})", 199), ("sum(collectd.shop.derive)", 190 + 2 * 2048),
            ('sum(collectd.shop.derive{host="web1", type_instance="hits"})', 190),
            ("last(collectd.load.load.midterm)", 0.5),
            ("sum(collectd.shop.counter)", 7 + 4 + 5),  # a counter that wraps looks as if it began anew
            ('sum(collectd.shop.absolute{type_instance="orders"})', 15),
            ("sum(collectd.eth0.if_octets.rx)", 3), ("sum(collectd.eth0.if_octets.tx)", 1)]:
        assert daemon.value(expression) == value, expression


@pytest.mark.parametrize("protocol, path, form", [
    ("collectd", "/collectd", ""), ("json", "/push", ""), ("json", "/push", "Format JSON"), ("influx", "/write", ""),
    ("influx", "/write", "Format JSON"), ("otlp", "/v1/metrics", "Format JSON")])
def test_collectd_is_told_that_its_format_is_not_spoken_there(kpid, tmp_path, protocol, path, form):
    daemon = kpid(f'ingest: [ {{ protocol: {protocol}, listen: "http:127.0.0.1:0" }} ]\n')
    with collectd(tmp_path, WRITE_HTTP.format(port=daemon.port("http"), path=path, format=form)) as sender:
        put(tmp_path, ("web1/shop/gauge-queue", int(time.time()), 7))
        flushed(tmp_path, lambda: "HTTP Error code: 4" in sender.log(), "an answer of 4xx")
    wait_until(lambda: listener(daemon, "http")["pending"] == 0, "all to be counted")
    ledger = listener(daemon, "http")
    assert ledger["stored"] == 0 and ledger["received"] == sum(ledger["rejected"].values())
    assert daemon.get("/healthz")[0] == 200
