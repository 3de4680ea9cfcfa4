"""What clients can make grow has a limit, and what is beyond it is accounted for."""

import socket
import urllib.request

import pytest

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


def test_beyond_the_limit_of_all_series_every_protocol_stays_exact(kpid):
    made = limited(kpid(LISTENERS, start=False), series=20)
    total = 0
    for turn in range(3):
        send(made, [f"orders:1|c|#n:{turn}_{i}" for i in range(30)])
        body = "".join(f"visits,n={turn}_{i} count=1i\n" for i in range(30)).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{made.port('http')}/write?db=x", body)
        assert urllib.request.urlopen(request, timeout=30).status == 204
        total += 60
        settled(made, total)
    assert made.value("sum(orders)") == 90
    assert made.value("count(visits_count)") == 90
    assert made.ask("ingest")["active_series"] <= 20 + 2


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
