"""Graphite (lines and pickles) and InfluxDB lines over plain sockets, as people's clients send them."""

import contextlib
import pickle
import random
import signal
import socket
import struct
import subprocess
import time

import pytest

import native_client
from conftest import BUILD, wait_until

BODY = """
ingest:
  - { protocol: graphite, listen: "tcp:127.0.0.1:0" }
  - { protocol: graphite, listen: "udp:127.0.0.1:0" }
  - { protocol: graphite, listen: "unix:FOLDER/graphite.sock" }
  - { protocol: graphite_pickle, listen: "tcp:127.0.0.1:0" }
  - { protocol: graphite_pickle, listen: "unix:FOLDER/pickle.sock" }
  - { protocol: influx, listen: "tcp:127.0.0.1:0" }
  - { protocol: influx, listen: "udp:127.0.0.1:0", precision: s }
  - { protocol: statsd, listen: "tcp:127.0.0.1:0" }
metrics:
  sold_total: { type: counter }
  stock_now: { type: gauge }
  paid_ms: { type: distribution }
  seen_users: { type: unique }
"""


@pytest.fixture
def daemon(kpid, tmp_path):
    return kpid(BODY.replace("FOLDER", str(tmp_path)))


def listener(daemon, protocol, transport):
    return next(each for each in daemon.ask("ingest")["listeners"]
                if each["protocol"] == protocol and each["listen"].startswith(transport + ":"))


def address(daemon, protocol, transport):
    where = listener(daemon, protocol, transport)["listen"].split(":", 1)[1]
    if transport == "unix":
        return where
    host, _, port = where.rpartition(":")
    return host, int(port)


def dial(daemon, protocol, transport="tcp"):
    to = address(daemon, protocol, transport)
    connection = socket.socket(socket.AF_UNIX if transport == "unix" else socket.AF_INET)
    connection.settimeout(60)
    connection.connect(to)
    return connection


def say(daemon, protocol, data, transport="tcp"):
    """As nc does it: connects, sends, and closes."""
    with dial(daemon, protocol, transport) as connection:
        connection.sendall(data)


def frame(data):
    return struct.pack("!I", len(data)) + data


def wait_stored(daemon, protocol, count, transport="tcp"):
    wait_until(lambda: listener(daemon, protocol, transport)["stored"] >= count, f"{count} samples")
    ledger = listener(daemon, protocol, transport)
    assert ledger["stored"] == count
    return ledger


def is_closed(connection):
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


# --- Graphite -------------------------------------------------------------------------------------


def test_graphite_lines_by_tcp_udp_and_unix(daemon):  # G1 to G6
    now = int(time.time())
    say(daemon, "graphite", f"local.random.diceroll 4 {now}\nlocal.random.diceroll 1.5 {now}\n"
                            f"disk.used;datacenter=dc1;server=web01 42 -1\nfoo\nfoo.bar 1\nfoo.bar nan {now}\n"
                            f"late {2} {now * 1000}\nunfinished 7 {now}".encode())
    ledger = wait_stored(daemon, "graphite", 4)
    assert ledger["received"] == 8
    assert ledger["rejected"] == {"malformed": 2, "bad_time": 1}
    assert ledger["dropped"] == {"not_finite": 1}
    assert daemon.value("sum(local.random.diceroll)") == 5.5
    assert daemon.value("last(local.random.diceroll)") == 1.5
    assert daemon.value('max(disk.used{server="web01"})') == 42
    assert daemon.value("sum(unfinished)") == 7  # G5
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as plain:
        plain.sendto(f"by.udp 1 {now}\r\nby.udp 2 {now}".encode(), address(daemon, "graphite", "udp"))
    wait_stored(daemon, "graphite", 2, "udp")
    say(daemon, "graphite", b"by.unix 3 -1\n", "unix")
    wait_stored(daemon, "graphite", 1, "unix")
    assert daemon.value("sum(by.udp)") == 3 and daemon.value("sum(by.unix)") == 3


def test_a_bad_graphite_line_keeps_the_connection(daemon):  # G4, G11
    with dial(daemon, "graphite") as connection:
        for line in (b"foo\n", b"foo.bar 1\n", b"1 2 foo.bar\n", b"foo.bar foo bar\n", b"\xff\xfe \x00\x01\n"):
            connection.sendall(line)
        connection.sendall(b"good 1 -1\n")
        ledger = wait_stored(daemon, "graphite", 1)
    assert ledger["received"] == 6 and sum(ledger["rejected"].values()) == 5
    assert "lines_rejected" in daemon.log()


# --- pickles --------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickles_of_python_itself(daemon, protocol):  # G9
    now = int(time.time())
    points = [("orders", (now, 1)), ("orders", (float(now), 2.5)), ("orders;shop=a", (str(now), "4")),
              ("\u00e4pfel", (now, 1 << 40)), ("seen_users", (now, 17)), ("seen_users", (now, "17")),
              ("seen_users", [now, 18]), ["orders", [-1, True]], ("orders", (now, float("nan"))),
              ("orders", (now, float("inf"))), ("orders", (now, None)), ("orders",), 3, None]
    data = pickle.dumps(points, protocol)
    with dial(daemon, "graphite_pickle") as connection:
        for byte in frame(data):
            connection.send(bytes([byte]))
        connection.sendall(frame(b"cos\nsystem\n(S'touch /tmp/never'\ntR.") + frame(b"") + frame(data[:-1]))
        connection.sendall(frame(pickle.dumps([("after", (now, 1))], protocol)))
        ledger = wait_stored(daemon, "graphite_pickle", 9)
    assert ledger["received"] == 18
    assert ledger["dropped"] == {"not_finite": 1}
    assert ledger["rejected"] == {"malformed": 6, "bad_number": 2}
    assert daemon.value("sum(orders)") == 8.5
    assert daemon.value('sum(orders{shop="a"})') == 4
    assert daemon.value("uniques(seen_users)") == 2
    assert daemon.value("sum(after)") == 1


def test_names_and_labels_that_are_not_utf8_are_rejected_everywhere(kpid, tmp_path):  # S13, D7, D8, G7, G8, G9
    more = """
  - { protocol: dogstatsd, listen: "tcp:127.0.0.1:0" }
  - { protocol: native, listen: "unix:FOLDER/native.sock" }
metrics:"""
    daemon = kpid(BODY.replace("\nmetrics:", more).replace("FOLDER", str(tmp_path)))
    tag = {"statsd": b"m:1|c|#k:%s\n", "dogstatsd": b"m:1|c|#k:%s\n", "graphite": b"m;k=%s 1 -1\n",
           "influx": b"m,k=%s f=1\n"}
    name = {"statsd": b"%s:1|c\n", "dogstatsd": b"%s:1|c\n", "graphite": b"%s 1 -1\n", "influx": b"%s f=1\n"}
    for _ in range(2):  # as a new one, and again
        for protocol in tag:
            for text in (b"v\xff", b"\xc3", "\u00e4".encode()):
                say(daemon, protocol, tag[protocol] % text + name[protocol] % (b"n" + text))
        say(daemon, "graphite_pickle", frame(b"(l(S'n\\xff'\n(I-1\nI1\ntta(S'm;k=\\xff'\n(I-1\nI1\ntta."))
    with contextlib.closing(native_client.Connection(tmp_path / "native.sock")) as client:
        batch = native_client.Batch(1).add("n\udcff", 1).add("m", 1, {"k": "v\udcff"}).add("n\u00e4", 1)
        assert client.ask(batch).stored == 1
    for protocol in tag:
        wait_stored(daemon, protocol, 4)
        wanted = {"malformed": 8} if protocol == "influx" else {"bad_name": 4, "bad_tags": 4}
        assert listener(daemon, protocol, "tcp")["rejected"] == wanted, protocol
    wait_until(lambda: listener(daemon, "graphite_pickle", "tcp")["received"] == 4, "the pickles")
    assert listener(daemon, "graphite_pickle", "tcp")["rejected"] == {"bad_name": 2, "bad_tags": 2}
    assert listener(daemon, "native", "unix")["rejected"] == {"bad_name": 1, "bad_tags": 1}
    series = daemon.kpictl("metrics", "list").stdout
    assert "\ufffd" not in series and "\\x" not in series
    shown = [one["series"] for one in daemon.ask("metrics", "series", 'm{k="\u00e4"}')["series"]]
    assert shown == ['m{k="\u00e4"}'] * 2  # a counter, and untyped


def carbon_loads(data):
    """What carbon makes of a pickle: its points, one for each tuple that is good."""
    points = []
    for item in pickle.loads(data):
        try:
            path, (when, value) = item
            points.append((path, float(when), float(value)))
        except (TypeError, ValueError, OverflowError):
            pass
    return points


def test_random_pickles_say_what_python_says(daemon):  # G9, G10: Python's pickle is the oracle
    chance = random.Random(4711)
    now = int(time.time())
    wanted = {}
    count = 0
    with dial(daemon, "graphite_pickle", "unix") as connection:
        for _ in range(200):
            shared = f"random.m{chance.randrange(20)}"
            values = [chance.randrange(-1000, 1000), chance.randrange(1 << 70) >> chance.randrange(60, 70),
                      chance.randrange(4000) / 8, str(chance.randrange(100)), None, "x", [], {"k": 1}.get("k")]
            points = [chance.choice([tuple, list])(
                (chance.choice([shared, f"random.m{chance.randrange(20)}"]),
                 chance.choice([tuple, list])((chance.choice([now, float(now), str(now), -1]), chance.choice(values)))))
                      for _ in range(chance.randrange(30))]
            points += chance.sample(points, len(points) // 3)  # the same objects again: the memo
            data = pickle.dumps(points, chance.randrange(pickle.HIGHEST_PROTOCOL + 1))
            connection.sendall(frame(data))
            for path, _, value in carbon_loads(data):
                wanted[path] = wanted.get(path, 0) + value
                count += 1
        ledger = wait_stored(daemon, "graphite_pickle", count, "unix")
    assert set(ledger["rejected"]) == {"bad_number"}
    for path, total in wanted.items():
        assert daemon.value(f"sum({path})") == pytest.approx(total), path


def test_a_frame_that_is_too_long_ends_its_connection_and_no_other(kpid, tmp_path):  # G9
    daemon = kpid(BODY.replace("FOLDER", str(tmp_path)), start=False)
    text = daemon.config_path.read_text()
    daemon.config_path.write_text(text.replace("threads:", "limits: { frame: 4K }, threads:"))
    daemon.start()
    good = pickle.dumps([("a", (-1, 1))])
    with dial(daemon, "graphite_pickle") as bad, dial(daemon, "graphite_pickle") as other:
        other.sendall(frame(good))
        bad.sendall(frame(good) + struct.pack("!I", 4097) + b"(l")
        assert is_closed(bad)
        other.sendall(frame(good))
        ledger = wait_stored(daemon, "graphite_pickle", 3)
        assert ledger["rejected"] == {"too_long": 1}
    with dial(daemon, "graphite_pickle") as lines:  # a client that speaks plaintext to the wrong port
        lines.sendall(b"put some.path 1 -1\n")
        assert is_closed(lines)


def large_frame(metric):
    """A pickle of 2 MB with 70 samples: blanks around a number that is a text are none of it."""
    return frame(pickle.dumps([(metric, (-1, " " * 30000 + str(number))) for number in range(70)]))


def say_some(left):
    """Says what is left of each connection's bytes, as far as it is taken now; how much that was."""
    said = 0
    for connection, rest in left.items():
        with contextlib.suppress(BlockingIOError):
            sent = connection.send(rest[:100000])
            left[connection] = rest[sent:]
            said += sent
    return said


def test_large_frames_of_many_connections_wait_for_each_other(daemon):  # G9, G12
    data = large_frame("large")
    with contextlib.ExitStack() as stack:
        connections = [stack.enter_context(dial(daemon, "graphite_pickle")) for _ in range(80)]
        for connection in connections:
            connection.setblocking(False)
        left = dict.fromkeys(connections, memoryview(data)[:-1])
        while say_some(left) > 0 or "kpid_connections_waiting 0\n" in daemon.get("/metrics")[1]:
            pass
        left = {connection: memoryview(data)[-1 - len(rest):] for connection, rest in left.items()}
        while any(left.values()):
            say_some(left)
        ledger = wait_stored(daemon, "graphite_pickle", 80 * 70)
    assert ledger["rejected"] == {}
    assert daemon.value("sum(large)") == 80 * sum(range(70))


def test_frames_that_never_end_do_not_keep_others_out(kpid, tmp_path):  # G12
    daemon = kpid(BODY.replace("FOLDER", str(tmp_path)), start=False)
    text = daemon.config_path.read_text()
    daemon.config_path.write_text(text.replace("threads:", "limits: { request: 1s }, threads:"))
    daemon.start()
    with contextlib.ExitStack() as stack:
        for _ in range(64):
            hostile = stack.enter_context(dial(daemon, "graphite_pickle"))
            hostile.sendall(struct.pack("!I", 4 << 20) + b"x" * 100000)
        for _ in range(4):
            good = stack.enter_context(dial(daemon, "graphite_pickle"))
            good.sendall(large_frame("good"))
        ledger = wait_stored(daemon, "graphite_pickle", 4 * 70)
        assert set(ledger["rejected"]) == {"too_slow"}
        say(daemon, "statsd", b"short:1|c\n")
        wait_stored(daemon, "statsd", 1)
    assert daemon.value("sum(good)") == 4 * sum(range(70))


# --- InfluxDB -------------------------------------------------------------------------------------


def test_influx_lines_by_tcp_and_udp(daemon):  # I5, I11, I30
    now = int(time.time())
    say(daemon, "influx", (f'shop,plan=pro orders=2i,note="two\nlines" {now}000000000\n# a comment "\n'
                           f"shop,plan=fr\\ ee orders=3i,amount=1.5\r\nbad\nlast v=1").encode())
    ledger = wait_stored(daemon, "influx", 4)
    assert ledger["received"] == 6
    assert ledger["dropped"] == {"string": 1} and ledger["rejected"] == {"malformed": 1}
    assert daemon.value("sum(shop_orders)") == 5
    assert daemon.value('sum(shop_orders{plan="fr ee"})') == 3
    assert daemon.value("sum(last_v)") == 1
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as plain:
        plain.sendto(f'u,h=a v=1 {now}\nu,h=a t="x\ny",v=2 {now - 60}\nu v=9 {now}000'.encode(),
                     address(daemon, "influx", "udp"))
    ledger = wait_stored(daemon, "influx", 2, "udp")
    assert ledger["rejected"] == {"bad_time": 1}  # milliseconds, where `precision` says seconds
    assert daemon.value('sum(u_v{h="a"})') == 3


# --- all of them ----------------------------------------------------------------------------------


def test_the_same_samples_by_each_protocol_are_the_same_figures(kpid, tmp_path):  # FIG-8
    chance = random.Random(42)
    now = int(time.time())
    samples = [(chance.choice(["sold_total", "stock_now", "paid_ms", "seen_users"]), chance.choice("abc"),
                chance.randrange(1, 500)) for _ in range(3000)]
    kinds = {"sold_total": "c", "stock_now": "g", "paid_ms": "ms", "seen_users": "s"}
    bytes_of = {
        "statsd": "".join(f"{m}:{v}|{kinds[m]}|#shop:{s}\n" for m, s, v in samples).encode(),
        "graphite": "".join(f"{m};shop={s} {v} {now}\n" for m, s, v in samples).encode(),
        "influx": "".join("{},shop={} {}={} {}000000000\n".format(m.split("_")[0], s, m.split("_")[1], v, now)
                          for m, s, v in samples).encode(),
        "graphite_pickle": b"".join(
            frame(pickle.dumps([(f"{m};shop={s}", (now, v)) for m, s, v in samples[at:at + 100]], 2))
            for at in range(0, len(samples), 100)),
    }
    questions = ["sum(sold_total)", 'sum(sold_total{shop="b"})', "p95(paid_ms)", "count(paid_ms)", "sum(paid_ms)",
                 'uniques(seen_users{shop="a"})', 'max(stock_now{shop="c"})', 'last(stock_now{shop="c"})']
    figures = {}
    for protocol, data in bytes_of.items():
        folder = tmp_path / protocol
        folder.mkdir()
        daemon = kpid(BODY.replace("FOLDER", str(folder)), folder=folder)
        say(daemon, protocol, data)
        wait_stored(daemon, protocol, len(samples))
        figures[protocol] = [daemon.value(question) for question in questions]
        assert daemon.stop() == 0
    assert None not in figures["statsd"]
    assert figures["graphite"] == figures["statsd"]
    assert figures["influx"] == figures["statsd"]
    assert figures["graphite_pickle"] == figures["statsd"]


def test_sigterm_drains_what_was_sent(daemon):
    now = int(time.time())
    lines = b"".join(b"drained %d %d\n" % (i, now) for i in range(20000))
    pickles = b"".join(frame(pickle.dumps([("pickled", (now, i))], 2)) for i in range(5000))
    with dial(daemon, "graphite") as one, dial(daemon, "graphite_pickle") as two:
        one.sendall(lines)
        two.sendall(pickles)
        daemon.process.send_signal(signal.SIGTERM)
        assert daemon.process.wait(60) == 0
    daemon.start()
    assert daemon.value("count(drained)") == 20000
    assert daemon.value("sum(pickled)") == sum(range(5000))


def test_sigterm_drains_what_a_full_window_keeps_in_the_senders_socket(daemon):
    now = int(time.time())
    lines = b"".join(b"drained %d %d\n" % (i, now) for i in range(60000))
    with socket.socket() as sender:
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 21)
        sender.settimeout(60)
        sender.connect(address(daemon, "graphite", "tcp"))
        daemon.process.send_signal(signal.SIGSTOP)
        sender.sendall(lines)
        daemon.process.send_signal(signal.SIGTERM)
        daemon.process.send_signal(signal.SIGCONT)
        assert daemon.process.wait(60) == 0
    daemon.start()
    assert daemon.value("count(drained)") == 60000


@pytest.mark.parametrize("protocol", ["graphite", "graphite_pickle", "influx"])
def test_random_bytes_keep_the_ledger_balanced(daemon, protocol):
    chance = random.Random(99)
    words = [b"a.b", b" ", b"1", b"\n", b"=", b",", b'"', b"\\", b";", b"\x80\x02", b"]", b"(", b"U\x01a", b"t", b"e",
             b".", b"\x00\x00\x00\x05", b"-1", b"nan", b"\r", b"\xff", b"#"]
    for _ in range(60):
        data = b"".join(chance.choice(words) for _ in range(chance.randrange(200)))
        with dial(daemon, protocol) as connection:
            try:
                connection.sendall(data)
                connection.shutdown(socket.SHUT_WR)
                is_closed(connection)
            except OSError:
                pass
    say(daemon, "graphite", b"well 1 -1\n")
    wait_until(lambda: daemon.value("sum(well)") == 1, "kpid to be well")
    wait_until(lambda: listener(daemon, protocol, "tcp")["pending"] == 0, "all to be committed")
    ledger = listener(daemon, protocol, "tcp")
    assert ledger["received"] == (ledger["stored"] + sum(ledger["rejected"].values())
                                  + sum(ledger["dropped"].values()))


def test_wrong_combinations_are_refused_with_words(tmp_path):
    config = tmp_path / "kpid.yaml"
    config.write_text('ingest:\n  - { protocol: graphite_pickle, listen: "udp:127.0.0.1:2004" }\n'
                      '  - { protocol: graphite, listen: "tcp:127.0.0.1:2003", precision: s }\n')
    done = subprocess.run([BUILD / "kpid", "--check", "-c", config], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "graphite_pickle is not spoken over udp" in done.stdout + done.stderr
    assert "over tcp or unix" in done.stdout + done.stderr
    assert "precision is for influx" in done.stdout + done.stderr
