"""From a socket to the chat: real StatsD clients in, exact figures and messages out."""

import socket
import subprocess

import pytest
import statsd

from conftest import BUILD, SECRET, load, signature_is_valid, wait_until

LISTENERS = """
ingest:
  - { protocol: statsd, listen: "udp:127.0.0.1:0" }
  - { protocol: statsd, listen: "udp:[::1]:0" }
  - { protocol: statsd, listen: "tcp:127.0.0.1:0" }
  - { protocol: statsd, listen: "tcp:[::1]:0" }
  - { protocol: statsd, listen: "unix:FOLDER/stream.sock" }
  - { protocol: statsd, listen: "unixgram:FOLDER/datagram.sock" }
"""

HOOK = """
hooks:
  chat: { type: webhook, url: { env: HOOK_URL }, secrets: [ { env: HOOK_SECRET } ], allow_http: true,
          retry: { first: 200ms, max: 1s } }
"""

QUEUE = """
metrics:
  queue: { type: gauge, unit: jobs }
kpis:
  queue: { value: last(queue), unit: jobs, target: { at_most: 10 }, evaluate: every 1s, hooks: [ chat ] }
"""


def listeners(folder):
    return LISTENERS.replace("FOLDER", str(folder))


def hook_environment(receiver):
    return {"HOOK_URL": receiver.url, "HOOK_SECRET": SECRET}


def clients(kpid, folder):
    yield statsd.StatsClient("127.0.0.1", kpid.port("udp"))
    yield statsd.StatsClient("::1", kpid.port("udp", "[::1]"), ipv6=True)
    yield statsd.TCPStatsClient("127.0.0.1", kpid.port("tcp"))
    yield statsd.TCPStatsClient("::1", kpid.port("tcp", "[::1]"), ipv6=True)
    yield statsd.UnixSocketStatsClient(str(folder / "stream.sock"))


def test_figures_of_a_real_statsd_client_are_exact_over_every_transport(kpid, tmp_path):
    daemon = kpid(listeners(tmp_path))
    for number, client in enumerate(clients(daemon, tmp_path)):
        client.incr("orders", 3)
        client.incr("orders", 4, rate=1)
        client.decr("orders", 2)
        client.timing("checkout", 120)
        client.timing("checkout", 80.5)
        client.gauge("stock", 40)
        client.gauge("stock", 2.5, delta=True)
        client.set("visitors", f"visitor-{number}")
        client.set("visitors", "everybody")
        client.close() if hasattr(client, "close") else None
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as plain:
        plain.sendto(b"orders:1|c\norders:0.5|c|@0.5", str(tmp_path / "datagram.sock"))

    wait_until(lambda: daemon.stored() == 5 * 9 + 2, "all samples to be stored")
    assert daemon.value("sum(orders)") == 5 * 5 + 1 + 0.5 / 0.5
    assert daemon.value("count(checkout)") == 10
    assert daemon.value("sum(checkout)") == 5 * 200.5
    assert daemon.value("avg(checkout)") == pytest.approx(100.25)
    assert daemon.value("min(checkout)") == 80.5
    assert daemon.value("max(checkout)") == 120
    assert daemon.value("uniques(visitors)") == 6
    assert daemon.value("last(stock)") == 42.5
    for listener in daemon.ask("ingest")["listeners"]:
        assert listener["received"] == listener["stored"], listener


def test_percentiles_and_shares_of_timers_hold_over_a_restart(kpid, tmp_path):
    daemon = kpid(listeners(tmp_path) + """
metrics:
  checkout: { type: distribution, unit: ms }
kpis:
  slow: { value: p95(checkout), unit: ms, period: day, target: { at_most: 90ms } }
""")
    client = statsd.TCPStatsClient("127.0.0.1", daemon.port("tcp"))
    for wait in range(1, 101):
        client.timing("checkout", wait)
    client.close()
    wait_until(lambda: daemon.stored() == 100, "all timers to be stored")

    def check():
        assert daemon.value("p95(checkout)") == pytest.approx(95, rel=0.01)
        assert daemon.value("p50(checkout)") == pytest.approx(50, rel=0.01)
        assert daemon.value("p99.9(checkout)") == pytest.approx(100, rel=0.01)
        assert daemon.value("share(checkout <= 50ms)") == pytest.approx(0.5, abs=0.01)
        assert daemon.value("share(checkout >= 0.1s)") == pytest.approx(0.01, abs=0.01)

    check()
    daemon.stop()
    daemon.start()
    check()
    assert daemon.kpi("slow")["value"] == pytest.approx(95, rel=0.01)
    client = statsd.TCPStatsClient("127.0.0.1", daemon.port("tcp"))
    for _ in range(100):
        client.timing("checkout", 200)
    client.close()
    wait_until(lambda: daemon.value("count(checkout)") == 200, "a hundred slow ones")
    assert daemon.value("p50(checkout)") == pytest.approx(100, rel=0.01)
    assert daemon.value("share(checkout <= 50ms)") == pytest.approx(0.25, abs=0.01)
    wait_until(lambda: daemon.kpi("slow")["status"] == "behind", "the KPI to be behind")


def test_labels_make_series_and_filters_choose_among_them(kpid, tmp_path):
    daemon = kpid(listeners(tmp_path))
    with socket.create_connection(("127.0.0.1", daemon.port("tcp"))) as stream:
        stream.sendall(b"signup:2|c|#plan:pro,channel:web\nsignup:3|c|#channel:web,plan:pro\n"
                       b"signup:7|c|#plan:basic,channel:app\nsignup;plan=free;channel=web:1|c")
    wait_until(lambda: daemon.stored() == 4, "four samples")
    assert daemon.value("sum(signup)") == 13
    assert daemon.value('sum(signup{plan="pro"})') == 5
    assert daemon.value('sum(signup{channel="web", plan!="free"})') == 5
    assert daemon.value('sum(signup{plan="pro"}) / sum(signup{channel="web"})') == pytest.approx(5 / 6)
    assert daemon.value('sum(signup{plan="gone"})') == 0
    assert daemon.ask("ingest")["series"] == 3


def test_a_metric_never_seen_is_null_and_not_zero(kpid, tmp_path):
    daemon = kpid(listeners(tmp_path) + "kpis: { faild: sum(faild) / sum(requests) }\n")
    assert daemon.value("sum(faild)") is None
    status = daemon.kpi("faild")
    assert status["value"] is None
    assert daemon.kpictl("query", "sum(faild)", "--from", "2026-01-01", "--to", "2026-01-02").returncode == 0
    assert "never seen" in daemon.kpictl("show", "faild").stdout


def test_a_breach_and_its_end_arrive_signed_at_the_receiver(kpid, receiver, tmp_path):
    daemon = kpid(listeners(tmp_path) + QUEUE + HOOK, environment=hook_environment(receiver))
    client = statsd.StatsClient("127.0.0.1", daemon.port("udp"))
    client.gauge("queue", 25)
    firing = wait_until(lambda: receiver.events("kpi.alert.firing"), "the breach")[0]
    assert firing["data"]["kpi"] == "queue"
    assert firing["data"]["value"] == 25
    assert "25" in firing["data"]["text"] and "10" in firing["data"]["text"]
    alerts = daemon.ask("alerts")["alerts"]
    assert [(alert["rule"], alert["state"]) for alert in alerts] == [("queue", "firing")]

    client.gauge("queue", 5)
    resolved = wait_until(lambda: receiver.events("kpi.alert.resolved"), "the recovery")[0]
    assert resolved["data"]["value"] == 5
    assert resolved["data"]["alert_id"] == firing["data"]["alert_id"]
    for _, headers, body in receiver.requests:
        assert signature_is_valid(headers, body)
    assert len(set(receiver.ids())) == 2
    hook = wait_until(lambda: next((one for one in daemon.ask("hooks")["hooks"] if one["pending"] == 0), None),
                      "the deliveries to be noted")
    assert (hook["name"], hook["dead"]) == ("chat", 0)


def test_a_message_waits_for_a_receiver_that_is_down_and_arrives_once(kpid, receiver, tmp_path):
    receiver.stop()  # the port stays known, nobody listens
    daemon = kpid(listeners(tmp_path) + QUEUE + HOOK, environment=hook_environment(receiver))
    statsd.StatsClient("127.0.0.1", daemon.port("udp")).gauge("queue", 25)
    wait_until(lambda: daemon.ask("hooks")["hooks"][0]["last_error"], "a failed attempt")
    assert daemon.ask("hooks")["hooks"][0]["pending"] == 1

    receiver.status = 500
    receiver.start()
    wait_until(lambda: len(receiver.requests) >= 2, "two refused attempts")
    receiver.status = 200
    wait_until(lambda: daemon.ask("hooks")["hooks"][0]["pending"] == 0, "the delivery")
    assert len(receiver.events("kpi.alert.firing")) == 1
    assert len(set(receiver.ids())) == 1


def test_figures_and_messages_outlive_kill_9(kpid, receiver, tmp_path):
    receiver.stop()
    daemon = kpid(listeners(tmp_path) + QUEUE + HOOK, environment=hook_environment(receiver))
    client = statsd.TCPStatsClient("127.0.0.1", daemon.port("tcp"))
    client.gauge("queue", 25)
    client.incr("orders", 7)
    client.set("visitors", "ann")
    wait_until(lambda: daemon.stored() == 3, "three samples")
    wait_until(lambda: daemon.ask("hooks")["hooks"][0]["pending"] == 1, "the message to be queued")
    daemon.kill()

    daemon.start()
    assert daemon.value("sum(orders)") == 7
    assert daemon.value("uniques(visitors)") == 1
    assert daemon.value("last(queue)") == 25
    client = statsd.TCPStatsClient("127.0.0.1", daemon.port("tcp"))
    client.gauge("queue", 5, delta=True)  # from the level before the crash
    client.incr("orders", 1)
    client.close()
    receiver.start()
    wait_until(lambda: receiver.events("kpi.alert.firing"), "the message of before the crash")
    wait_until(lambda: daemon.value("last(queue)") == 30, "the relative gauge")
    wait_until(lambda: daemon.value("sum(orders)") == 8, "the sale after the crash")
    assert len(receiver.events("kpi.alert.firing")) == 1


@pytest.mark.threads
@pytest.mark.parametrize("transport", ["tcp", "unix"])
def test_reloads_while_samples_flow_lose_none(kpid, tmp_path, transport):
    daemon = kpid(listeners(tmp_path))
    address = f"127.0.0.1:{daemon.port('tcp')}" if transport == "tcp" else str(tmp_path / "stream.sock")
    sender = subprocess.Popen(
        [BUILD / "kpiload", "-t", transport, "-a", address, "-n", "20000", "-R", "10", "-s", "500",
         "-r", "50000", "-c", "2", "--json"],
        stdout=subprocess.PIPE, text=True)
    body = daemon.config_path.read_text()
    for number in range(8):
        extra = f"kpis: {{ orders{number}: sum(orders) }}\n"
        extra += f'metrics: {{ "bench.{number}": {{ type: counter }} }}\n'
        if number % 2:
            body_now = body.replace(f"  - {{ protocol: statsd, listen: \"unixgram:{tmp_path}/datagram.sock\" }}\n", "")
        else:
            body_now = body
        daemon.config_path.write_text(body_now + extra)
        daemon.reload()
    assert "reload_refused" not in daemon.log()
    output, _ = sender.communicate(timeout=120)
    assert sender.returncode == 0
    assert '"samples":200000' in output.replace(" ", ""), output
    wait_until(lambda: daemon.stored() == 200000, "all 200,000 samples")
    received = sum(listener["received"] for listener in daemon.ask("ingest")["listeners"])
    assert received == 200000


@pytest.mark.threads
def test_what_many_senders_sent_is_stored_exactly_series_by_series(kpid, tmp_path):
    daemon = kpid(listeners(tmp_path), threads=2)
    expected, totals = 0, []
    targets = [("tcp", f"127.0.0.1:{daemon.port('tcp')}"), ("unix", tmp_path / "stream.sock"),
               ("unixgram", tmp_path / "datagram.sock")]
    for transport, address in targets:
        told = tmp_path / f"{transport}.totals"
        sent = load("-t", transport, "-a", address, "-n", 30000, "-s", 1000, "-P", transport, "-x", told)
        expected += sent["samples"]
        totals += [line.split() for line in told.read_text().splitlines()[::25]]
    wait_until(lambda: daemon.stored() == expected, f"{expected} samples")
    assert daemon.ask("ingest")["series"] == 3000
    kinds = set()
    for name, kind, count, total, last in totals:
        kinds.add(kind)
        if kind in ("c", "counter"):
            assert daemon.value(f"sum({name})") == float(total)
        elif kind in ("ms", "timer"):
            assert daemon.value(f"count({name})") == float(count)
            assert daemon.value(f"sum({name})") == pytest.approx(float(total), rel=1e-12)
        else:
            assert daemon.value(f"last({name})") == float(last)
    assert len(kinds) == 3
