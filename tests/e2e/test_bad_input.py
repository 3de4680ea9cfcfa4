"""Any bytes on any socket: an error that says what, a counter, nothing else changes."""

import random
import resource
import socket

import pytest

from conftest import wait_until

LISTENERS = """
ingest:
  - { protocol: statsd, listen: "udp:127.0.0.1:0" }
  - { protocol: statsd, listen: "tcp:127.0.0.1:0" }
  - { protocol: statsd, listen: "unixgram:FOLDER/datagram.sock" }
"""


def start(kpid, folder, more=""):
    return kpid(LISTENERS.replace("FOLDER", str(folder)) + more)


def ledger(daemon, transport):
    return daemon.listeners()[transport]


def test_a_bad_line_is_rejected_alone_counted_and_logged_with_one_example(kpid, tmp_path):
    daemon = start(kpid, tmp_path)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as plain:
        plain.sendto(b"orders:1|c\norders:zwei|c\norders:2|c|@7\nnonsense\norders:4|x\norders:8|c\n",
                     ("127.0.0.1", daemon.port("udp")))
    wait_until(lambda: ledger(daemon, "udp")["stored"] == 2, "the good lines")
    udp = ledger(daemon, "udp")
    assert udp["received"] == 6
    assert udp["rejected"] == {"malformed": 1, "bad_number": 1, "bad_rate": 1, "bad_type": 1}
    assert daemon.value("sum(orders)") == 9
    wait_until(lambda: "lines_rejected" in daemon.log(), "the log line")
    assert "example=" in daemon.log()


def test_a_line_that_is_too_long_ends_its_connection_and_no_other(kpid, tmp_path):
    daemon = start(kpid, tmp_path)
    with socket.create_connection(("127.0.0.1", daemon.port("tcp"))) as good, \
            socket.create_connection(("127.0.0.1", daemon.port("tcp"))) as bad:
        good.sendall(b"orders:1|c\n")
        try:
            bad.sendall(b"x" * (1 << 20))
        except OSError:
            pass
        bad.settimeout(60)
        try:
            assert bad.recv(1) == b""
        except ConnectionResetError:
            pass
        good.sendall(b"orders:2|c\n")
        wait_until(lambda: ledger(daemon, "tcp")["stored"] == 2, "the good lines")
    assert ledger(daemon, "tcp")["rejected"].get("too_long") == 1


def test_random_bytes_on_every_socket_keep_the_ledger_balanced(kpid, tmp_path):
    daemon = start(kpid, tmp_path)
    chaos = random.Random(7)
    alphabet = b"abc:|@#,;=\n\r\x00\x01\xff0123456789.-+cgmsh "
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp, \
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as unix, \
            socket.create_connection(("127.0.0.1", daemon.port("tcp"))) as tcp:
        for _ in range(300):
            junk = bytes(chaos.choice(alphabet) for _ in range(chaos.randrange(1, 300)))
            udp.sendto(junk, ("127.0.0.1", daemon.port("udp")))
            unix.sendto(junk, str(tmp_path / "datagram.sock"))
            tcp.sendall(junk)
            tcp.sendall(bytes(chaos.randrange(256) for _ in range(50)) + b"\n")
        tcp.sendall(b"\nlast:1|c\n")
        udp.sendto(b"last:1|c", ("127.0.0.1", daemon.port("udp")))
        unix.sendto(b"last:1|c", str(tmp_path / "datagram.sock"))
        wait_until(lambda: daemon.value("sum(last)") == 3, "the last good lines")
    for listener in daemon.ask("ingest")["listeners"]:
        told = listener["stored"] + sum(listener["rejected"].values()) + sum(listener["dropped"].values())
        assert listener["received"] == told, listener
        assert listener["rejected"], listener


@pytest.mark.threads
def test_connections_beyond_the_limit_are_closed_and_the_others_served(kpid, tmp_path):
    daemon = kpid(LISTENERS.replace("FOLDER", str(tmp_path)))
    body = daemon.config_path.read_text()
    daemon.config_path.write_text(body.replace("threads: 2", "threads: 2, limits: { connections: 10 }"))
    daemon.stop()
    daemon.start()
    port = daemon.port("tcp")
    streams = [socket.create_connection(("127.0.0.1", port)) for _ in range(40)]
    for stream in streams:
        try:
            stream.sendall(b"orders:1|c\n")
        except OSError:
            pass

    def counter(name):
        text = daemon.get("/metrics")[1]
        return float(next(line for line in text.splitlines() if line.startswith(name + " ")).split()[-1])

    wait_until(lambda: counter("kpid_connections_refused_total") == 30, "30 refusals")
    wait_until(lambda: daemon.value("sum(orders)") == 10, "the ten that were let in")
    for stream in streams:
        stream.close()
    wait_until(lambda: counter("kpid_connections") == 0, "the end of the ten")
    with socket.create_connection(("127.0.0.1", port)) as again:
        again.sendall(b"orders:1|c\n")
        wait_until(lambda: daemon.value("sum(orders)") == 11, "room for new ones")


def test_half_open_connections_and_garbage_on_the_control_socket_disturb_nobody(kpid, tmp_path):
    daemon = start(kpid, tmp_path)
    idle = []
    for junk in (b"", b"GET /", b"\x00\xff" * 500, b"POST /api/v1/push HTTP/1.1\r\nContent-Length: 10\r\n\r\n{",
                 b"GET " + b"/" * 100000 + b" HTTP/1.1\r\n\r\n",
                 b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 20000 + b"\r\n"):
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(str(daemon.control))
        try:
            connection.sendall(junk)
        except OSError:
            pass
        idle.append(connection)
    assert daemon.get("/healthz")[0] == 200
    assert daemon.get("/nowhere")[0] == 404
    assert daemon.kpictl("push", "orders=3", "--type", "counter").returncode == 0
    assert daemon.value("sum(orders)") == 3
    for connection in idle:
        connection.close()


def test_out_of_descriptors_the_control_socket_waits_and_comes_back(kpid, tmp_path):
    daemon = start(kpid, tmp_path)
    before = resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE, (4, before[1]))
    with socket.socket(socket.AF_UNIX) as waiting:
        waiting.connect(str(daemon.control))
        waiting.sendall(b"GET /healthz HTTP/1.1\r\nHost: kpid\r\nConnection: close\r\n\r\n")
        wait_until(lambda: "accept_failed" in daemon.log(), "the log line")
        resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE, before)
        waiting.settimeout(60)
        assert waiting.recv(100).startswith(b"HTTP/1.1 200")
