"""What clients can make grow has a limit, and what is beyond it is accounted for."""

import json
import socket
import time
import urllib.error
import urllib.request

import native_client
import pytest
import test_otlp

from conftest import wait_until

LISTENERS = """ingest:
  - { protocol: statsd, listen: udp:127.0.0.1:0 }
  - { protocol: statsd, listen: tcp:127.0.0.1:0 }
  - { protocol: influx, listen: http:127.0.0.1:0 }
"""


def limited(made, **limits):
    """Starts a kpid that is not started yet with other limits."""
    text = made.config_path.read_text()
    wanted = ", ".join(f"{name}: {value}" for name, value in limits.items())
    made.config_path.write_text(text.replace("threads:", f"limits: {{ {wanted} }}, threads:", 1))
    return made.start()


def send(kpid, lines):
    with socket.create_connection(("127.0.0.1", kpid.port("tcp"))) as connection:
        connection.sendall("".join(line + "\n" for line in lines).encode())


def settled(kpid, received):
    """All listeners together have received so much, and nothing is pending."""

    def all_there():
        listeners = kpid.ask("ingest")["listeners"]
        return sum(one["received"] for one in listeners) == received and not any(
            one["pending"] for one in listeners
        )

    wait_until(all_there, f"{received} samples to be accounted for")


# --- series ---


def test_series_beyond_the_limit_of_a_metric_join_other_and_totals_stay(kpid):
    made = limited(kpid(LISTENERS, start=False), series_per_metric=10)
    lines = [f"orders:1|c|#shop:{i % 40}" for i in range(4000)]
    send(made, lines[:2000])
    settled(made, 2000)
    send(made, lines[2000:])
    settled(made, 4000)
    assert made.value("sum(orders)") == 4000
    assert made.value('sum(orders{__other__="true"})') == 3000
    wait_until(lambda: made.ask("ingest")["offenders"], "the offender to be shown")
    wait_until(lambda: made.ask("ingest")["offenders"][0]["samples"] == 3000, "all of its samples")
    offenders = made.ask("ingest")["offenders"]
    assert offenders == [{"metric": "orders", "limit": "series_per_metric", "allowed": 10, "series": 10,
                          "samples": 3000, "refused": 0}]
    text = made.kpictl("ingest").stdout
    assert "orders: 3000 samples joined __other__, over server.limits.series_per_metric = 10 with 10 active" in text
    assert "over_series_limit" in made.log()
    assert "kpid_samples_over_limit_total 3000" in made.get("/metrics")[1]


def test_a_metric_has_a_limit_of_its_own_that_a_reload_changes(kpid):
    body = LISTENERS + "metrics: { orders: { type: counter, max_series: 3 } }\n"
    made = limited(kpid(body, start=False), series_per_metric=4)
    send(made, [f"orders:{i}|c|#n:{i}" for i in range(1, 6)] + [f"visits:1|c|#n:{i}" for i in range(4)])
    settled(made, 9)
    assert made.value("sum(orders)") == 15
    assert made.value('sum(orders{__other__="true"})') == 4 + 5
    assert made.value("sum(visits)") == 4
    assert made.value('sum(visits{__other__="true"})') in (None, 0)
    wait_until(lambda: made.ask("ingest")["offenders"], "the offender to be shown")
    assert made.ask("ingest")["offenders"] == [
        {"metric": "orders", "limit": "max_series", "allowed": 3, "series": 3, "samples": 2, "refused": 0}]
    assert "orders: 2 samples joined __other__, over metrics.orders.max_series = 3 with 3 active series" in \
        made.kpictl("ingest").stdout
    made.config_path.write_text(made.config_path.read_text().replace("max_series: 3", "max_series: 6"))
    made.reload()
    sent = [9]

    def has_room():
        send(made, ["orders:1|c|#n:5"])
        sent[0] += 1
        settled(made, sent[0])
        return made.value('sum(orders{n="5"})') is not None

    wait_until(has_room, "the series to be made")
    send(made, ["orders:1|c|#n:6", "visits:1|c|#n:7"])
    settled(made, sent[0] + 2)
    assert made.value('sum(orders{n="6"})') == 1  # more than others have
    assert made.value("sum(orders)") == 15 + sent[0] - 9 + 1
    assert made.value('sum(visits{__other__="true"})') == 1


def test_a_label_with_too_many_values_refuses_only_new_ones(kpid):
    made = limited(kpid(LISTENERS, start=False), label_values=5)
    send(made, [f"orders:1|c|#user:{i},plan:{i % 2}" for i in range(50)])
    settled(made, 50)
    send(made, ["orders:1|c|#user:0,plan:0", "orders:1|c|#user:49,plan:1"])
    settled(made, 52)
    assert made.value("sum(orders)") == 52
    assert made.value('sum(orders{__other__="true"})') == 46
    wait_until(lambda: made.ask("ingest")["offenders"], "the offender to be shown")
    assert made.ask("ingest")["offenders"][0]["label"] == "user"


def send_lines(kpid, _, names):
    send(kpid, [f"orders:1|c|#n:{name}" for name in names])


def send_graphite(kpid, _, names):
    send(kpid, [f"orders;n={name} 1 {int(time.time())}" for name in names])


def post(kpid, path, content_type, body):
    """The answer, which is of the 200s."""
    request = urllib.request.Request(f"http://127.0.0.1:{kpid.port('http')}{path}", body,
                                     {"Content-Type": content_type})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return answer.read()


def send_influx(kpid, _, names):
    body = "".join(f"orders,n={name} value=1i\n" for name in names)
    assert post(kpid, "/write?db=x", "text/plain", body.encode()) == b""


def send_otlp(kpid, turn, names):
    at = time.time_ns() - (10 - turn) * test_otlp.SECOND
    points = [test_otlp.point(at, 1, at - test_otlp.SECOND // 2, n=name) for name in names]
    metric = test_otlp.total("orders", test_otlp.DELTA, *points)
    assert post(kpid, "/v1/metrics", test_otlp.PROTOBUF, test_otlp.request(metric)) == b""  # nothing is rejected


def send_json(kpid, _, names):
    samples = [{"name": "orders", "value": 1, "labels": {"n": name}} for name in names]
    answer = post(kpid, "/push", "application/json", json.dumps({"samples": samples}).encode())
    assert json.loads(answer) == {"stored": len(names)}


def send_native(kpid, turn, names):
    at = int(time.time() * 1000) - (10 - turn) * 1000
    batch = native_client.Batch(turn + 1)
    for name in names:
        batch.add("orders", 1, {"n": name}, form=native_client.INCREMENT, at=at, start=at - 500)
    connection = native_client.Connection(kpid.port("tcp"), b"0123456789abcdef", 1)
    answer = connection.ask(batch)
    connection.close()
    assert (answer.stored, answer.rejected, answer.dropped) == (len(names), 0, 0)


@pytest.mark.parametrize(("protocol", "listen", "send_names", "skip"), [
    ("statsd", "tcp", send_lines, ""),
    ("dogstatsd", "tcp", send_lines, ""),
    ("graphite", "tcp", send_graphite, ""),
    ("influx", "http", send_influx, ", skip_single_field: true"),
    ("otlp", "http", send_otlp, ""),
    ("json", "http", send_json, ""),
    ("native", "tcp", send_native, ""),
])
def test_beyond_the_limit_of_all_series_every_protocol_stays_exact(kpid, protocol, listen, send_names, skip):
    body = f"ingest: [ {{ protocol: {protocol}, listen: {listen}:127.0.0.1:0{skip} }} ]\n" \
        "metrics: { orders: { type: counter } }\n"
    made = limited(kpid(body, start=False), series=20)
    for turn in range(3):
        send_names(made, turn, [f"{turn}_{i}" for i in range(30)])
        settled(made, 30 * (turn + 1))
    one = made.listeners()[listen]
    assert (one["stored"], one["rejected"], one["dropped"]) == (90, {}, {})
    assert made.value("sum(orders)") == 90
    assert made.value('sum(orders{__other__="true"})') == 70
    assert made.ask("ingest")["active_series"] <= 20 + 1


@pytest.mark.parametrize("protocol", ["statsd", "influx"])
def test_beyond_the_room_for_other_all_is_dropped_by_one_name_whoever_finds_out(kpid, protocol):
    listen = {"statsd": "tcp", "influx": "http"}[protocol]
    made = limited(kpid(f"ingest: [ {{ protocol: {protocol}, listen: {listen}:127.0.0.1:0 }} ]\n",
                        start=False), series=3)
    for turn in range(3):
        for i in range(20):
            if protocol == "statsd":
                send(made, [f"metric{i}:1|c"])
                continue
            try:
                post(made, "/write", "text/plain", f"metric{i} f=1\n".encode())
            except urllib.error.HTTPError as error:
                with error:
                    assert error.code == 400 and b"1 sample not stored (series_limit 1)" in error.read()
        settled(made, 20 * (turn + 1))
    one = made.listeners()[listen]
    assert one["rejected"] == {} and set(one["dropped"]) == {"series_limit"}
    assert one["stored"] + one["dropped"]["series_limit"] == 60 and 0 < one["stored"] <= 3 * 2 * 3


def test_a_higher_limit_makes_room_without_a_restart(kpid):
    made = limited(kpid(LISTENERS, start=False), series_per_metric=2)
    for i in range(4):
        send(made, [f"orders:1|c|#n:{i}"])
        settled(made, i + 1)
    text = made.config_path.read_text()
    made.config_path.write_text(text.replace("series_per_metric: 2", "series_per_metric: 9"))
    made.reload()

    sent = [4]

    def has_room():
        send(made, ["orders:1|c|#n:3"])
        sent[0] += 1
        settled(made, sent[0])
        return made.value('sum(orders{n="3"})') is not None

    wait_until(has_room, "the series to be made")
    assert made.value("sum(orders)") == sent[0]


def test_a_restart_knows_which_series_were_active(kpid):
    made = limited(kpid(LISTENERS, start=False), series_per_metric=3)
    send(made, [f"orders:1|c|#n:{i}" for i in range(3)])
    settled(made, 3)
    made.kill()
    made.start()
    send(made, ["orders:1|c|#n:new"])
    settled(made, 4)
    send(made, [f"orders:1|c|#n:{i}" for i in range(3)])
    settled(made, 7)
    assert made.value('sum(orders{n="0"})') == 2
    assert made.value('sum(orders{__other__="true"})') == 1
    assert made.value("sum(orders)") == 7


# --- connections ---


def own_address():
    """An address of this machine that is not loopback; none is asked for anything."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return None
        address = probe.getsockname()[0]
    return None if address.startswith("127.") else address


def test_one_peer_has_so_many_connections_and_this_machine_any(kpid):
    address = own_address()
    if address is None:
        pytest.skip("no address but loopback")
    remote = f"  - {{ protocol: statsd, listen: tcp:{address}:0, allow: [{address}] }}\n"
    made = limited(kpid(LISTENERS + remote, start=False, threads=2), connections_per_peer=3)
    port = made.port("tcp", address)

    def opened(host, number):
        connection = socket.create_connection((host, number), 30, source_address=(host, 0))
        connection.settimeout(30)
        return connection

    kept = [opened(address, port) for _ in range(3)]
    for connection in kept:  # all are let in: another thread may accept the next one before them
        connection.sendall(b"orders:1|c\n")
    settled(made, 3)
    refused = opened(address, port)
    assert refused.recv(1) == b""  # closed at once
    refused.close()
    wait_until(lambda: "limit=server.limits.connections_per_peer" in made.log(), "a line in the log")
    local = [opened("127.0.0.1", made.port("tcp")) for _ in range(6)]
    for connection in kept + local:
        connection.sendall(b"orders:1|c\n")
    settled(made, 12)
    kept.pop().close()

    def has_room():
        connection = opened(address, port)
        connection.settimeout(0.5)
        try:
            is_closed = connection.recv(1) == b""
        except TimeoutError:
            is_closed = False
        connection.close()
        return not is_closed

    wait_until(has_room, "room for another one")
    for connection in kept + local:
        connection.close()
