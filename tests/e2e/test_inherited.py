"""Sockets that kpid is started with, as systemd starts it: what is sent while it does not run is not lost."""

import os
import signal
import socket
import subprocess
import sys

import pytest

import conftest
from conftest import wait_until

# Makes its own pid the one that the sockets are for and puts them where the protocol wants them: descriptors
# from 3 on. Each argument up to "--" is a descriptor that it was given.
WRAPPER = """
import fcntl, os, sys
end = sys.argv.index("--")
given = [int(number) for number in sys.argv[1:end]]
moved = [fcntl.fcntl(number, fcntl.F_DUPFD, 100) for number in given]
for place, number in enumerate(moved):
    os.dup2(number, 3 + place)
    os.close(number)
for number in given:
    if number >= 3 + len(given):
        os.close(number)
if "LISTEN_PID" not in os.environ:
    os.environ["LISTEN_PID"] = str(os.getpid())
if "LISTEN_FDS" not in os.environ:
    os.environ["LISTEN_FDS"] = str(len(given))
os.execv(sys.argv[end + 1], sys.argv[end + 1:])
"""


def link_of(path):
    """What a link points to; "" when it has gone meanwhile."""
    try:
        return os.readlink(path)
    except FileNotFoundError:
        return ""


class Opener:
    """Whoever starts kpid: opens sockets, keeps them, hands them to each start."""

    def __init__(self):
        self.open = []

    def bind(self, address, kind=socket.SOCK_DGRAM, family=socket.AF_INET):
        one = socket.socket(family, kind)
        one.bind(address)
        if kind == socket.SOCK_STREAM:
            one.listen(128)
        self.open.append(one)
        return one.getsockname()

    def inet(self, kind):
        host, port = self.bind(("127.0.0.1", 0), kind)
        return f"{host}:{port}"

    def spawn(self, daemon, **variables):
        descriptors = [one.fileno() for one in self.open]
        with open(daemon.log_path, "ab") as log:
            daemon.process = subprocess.Popen(
                [sys.executable, "-c", WRAPPER, *map(str, descriptors), "--",
                 conftest.BUILD / "kpid", "-c", daemon.config_path],
                stderr=log, stdout=log, pass_fds=descriptors, env={**os.environ, **daemon.environment, **variables})
        return daemon

    def start(self, daemon, **variables):
        self.spawn(daemon, **variables)
        wait_until(lambda: daemon.process.poll() is not None or daemon.is_ready(), "kpid to be ready")
        assert daemon.process.poll() is None, daemon.log()
        return daemon

    def refused(self, daemon, **variables):
        """Starts it and waits for its end; what it said."""
        self.spawn(daemon, **variables)
        assert daemon.process.wait(conftest.PATIENCE) == 1, daemon.log()
        return daemon.log()

    def is_held(self, daemon, place):
        """Whether kpid has the one that was opened as number `place`."""
        folder = f"/proc/{daemon.process.pid}/fd"
        wanted = f"socket:[{os.fstat(self.open[place].fileno()).st_ino}]"
        return any(link_of(f"{folder}/{number}") == wanted for number in os.listdir(folder))

    def close(self):
        for one in self.open:
            one.close()


@pytest.fixture
def opener():
    made = Opener()
    yield made
    made.close()


def listen_on(*addresses):
    lines = "".join(f'  - {{ protocol: statsd, listen: "{address}" }}\n' for address in addresses)
    return f"ingest:\n{lines}"


def send(address, text, count=1):
    """Datagrams to "127.0.0.1:PORT" or a path."""
    family = socket.AF_UNIX if address.startswith("/") else socket.AF_INET
    host, _, port = address.rpartition(":")
    with socket.socket(family, socket.SOCK_DGRAM) as sender:
        for _ in range(count):
            sender.sendto(text, address if family == socket.AF_UNIX else (host, int(port)))


def dial(address):
    if address.startswith("/"):
        stream = socket.socket(socket.AF_UNIX)
        stream.connect(address)
        return stream
    host, _, port = address.rpartition(":")
    return socket.create_connection((host, int(port)))


def test_what_is_sent_before_the_start_and_during_a_restart_is_counted(kpid, opener, tmp_path):
    udp, tcp = opener.inet(socket.SOCK_DGRAM), opener.inet(socket.SOCK_STREAM)
    stream, grams = str(tmp_path / "s.sock"), str(tmp_path / "s.dgram")
    opener.bind(stream, socket.SOCK_STREAM, socket.AF_UNIX)
    opener.bind(grams, socket.SOCK_DGRAM, socket.AF_UNIX)
    daemon = kpid(listen_on(f"udp:{udp}", f"tcp:{tcp}", f"unix:{stream}", f"unixgram:{grams}"), start=False)

    send(udp, b"early:1|c", 100)
    send(grams, b"early:1|c", 5)
    with dial(tcp) as one, dial(stream) as other:
        one.sendall(b"early:10|c\n")
        other.sendall(b"early:10|c\n")
    opener.start(daemon)
    wait_until(lambda: daemon.value("sum(early)") == 125, "what was sent before the start")
    listeners = daemon.listeners()
    assert all(listeners[scheme]["inherited"] for scheme in ("udp", "tcp", "unix", "unixgram")), listeners
    said = daemon.kpictl("ingest").stdout
    for address in (f"udp:{udp}", f"tcp:{tcp}", f"unix:{stream}", f"unixgram:{grams}"):
        assert f"statsd {address}: inherited socket\n" in said
        assert f'address="{address}"' in daemon.log()
    assert daemon.log().count(" socket_inherited ") == 4

    for end in (daemon.stop, daemon.kill, daemon.stop):
        before = daemon.value("sum(early)")
        end()
        send(udp, b"early:1|c", 100)
        with dial(tcp) as one, dial(stream) as other:
            one.sendall(b"early:10|c\n")
            other.sendall(b"early:10|c\n")
        opener.start(daemon)
        wait_until(lambda: daemon.value("sum(early)") == before + 120, "what was sent during the restart")
    daemon.stop()
    for path in (stream, grams):
        assert os.path.exists(path)  # the socket is not kpid's, nor is its file


def test_datagrams_that_flow_through_restarts_are_all_counted(kpid, opener):
    udp = opener.inet(socket.SOCK_DGRAM)
    daemon = kpid(listen_on(f"udp:{udp}"), start=False)
    opener.start(daemon)
    sent = 0
    for _ in range(3):
        daemon.process.send_signal(signal.SIGTERM)
        while daemon.process.poll() is None:  # while it stops, too
            send(udp, b"flow:1|c")
            sent += 1
            conftest.TICK.wait(0.01)
        assert daemon.process.returncode == 0, daemon.log()
        send(udp, b"flow:1|c", 50)
        sent += 50
        opener.start(daemon)
    wait_until(lambda: daemon.value("sum(flow)") == sent, f"{sent} datagrams")
    assert daemon.listeners()["udp"]["kernel_drops"] == 0
    assert "datagrams_dropped_before" not in daemon.log()


def test_sockets_for_another_process_are_not_taken(kpid, opener):
    udp = opener.inet(socket.SOCK_DGRAM)
    daemon = kpid(listen_on("udp:127.0.0.1:0"), start=False)
    opener.start(daemon, LISTEN_PID="1")
    assert not daemon.listeners()["udp"]["inherited"]
    assert "socket_" not in daemon.log()
    daemon.stop()
    other = kpid(listen_on(f"udp:{udp}"), start=False)
    assert "Address already in use" in opener.refused(other, LISTEN_PID="1")


def test_a_reload_keeps_them_and_closes_what_is_removed(kpid, opener, tmp_path):
    udp, stream = opener.inet(socket.SOCK_DGRAM), str(tmp_path / "s.sock")
    opener.bind(stream, socket.SOCK_STREAM, socket.AF_UNIX)
    daemon = kpid(listen_on(f"udp:{udp}", f"unix:{stream}"), start=False)
    opener.start(daemon)

    for turn in range(5):
        send(udp, b"kept:1|c", 10)
        daemon.write_config(listen_on(f"unix:{stream}", f"udp:{udp}") + f"kpis: {{ kept: sum(kept) + {turn} }}\n")
        daemon.reload()
        send(udp, b"kept:1|c", 10)
    wait_until(lambda: daemon.value("sum(kept)") == 100, "what was sent around the reloads")
    assert daemon.listeners()["udp"]["inherited"] and daemon.listeners()["unix"]["inherited"]

    with dial(stream) as connection:
        connection.sendall(b"kept:1|c\n")
        send(udp, b"kept:1|c", 10)
        daemon.write_config(listen_on(f"unix:{stream}"))
        daemon.reload()
        wait_until(lambda: daemon.value("sum(kept)") == 111, "what waited in the socket that was removed")
        assert not opener.is_held(daemon, 0) and opener.is_held(daemon, 1)
        connection.sendall(b"kept:1|c\n")
        wait_until(lambda: daemon.value("sum(kept)") == 112, "the connection to go on")


def test_another_protocol_takes_them_over_and_they_are_whole_after_it(kpid, opener, tmp_path):
    udp, stream = opener.inet(socket.SOCK_DGRAM), str(tmp_path / "s.sock")
    opener.bind(stream, socket.SOCK_STREAM, socket.AF_UNIX)
    before = listen_on(f"udp:{udp}", f"unix:{stream}")
    daemon = kpid(before, start=False)
    opener.start(daemon)
    send(udp, b"a:1|c", 10)
    daemon.write_config(before.replace("statsd", "dogstatsd"))
    daemon.reload()
    assert "reload_refused" not in daemon.log()
    send(udp, b"a:1|c|#plan:pro", 10)
    with dial(stream) as connection:
        connection.sendall(b"\x05\x00\x00\x00a:1|c")  # a packet with its length before it
        wait_until(lambda: daemon.value("sum(a)") == 21, "all of them")
    rows = {(row["protocol"], row["listen"], row["inherited"]) for row in daemon.ask("ingest")["listeners"]}
    assert rows == {("dogstatsd", f"udp:{udp}", True), ("dogstatsd", f"unix:{stream}", True),
                    ("statsd", f"udp:{udp}", False)}, "the last one has counts, but no socket any more"

    # Whoever opened them has them as they were: also the one whose listener goes.
    daemon.write_config("ingest: []\n")
    daemon.reload()
    assert daemon.stop() == 0
    send(udp, b"a:1|c", 10)
    daemon.write_config(before)
    opener.start(daemon)
    with dial(stream) as connection:
        connection.sendall(b"a:1|c\n")
        wait_until(lambda: daemon.value("sum(a)") == 32, "what waited, and more")


def test_what_is_unfit_or_not_wanted_is_named_and_closed(kpid, opener, tmp_path):
    udp, tcp = opener.inet(socket.SOCK_DGRAM), opener.inet(socket.SOCK_STREAM)
    silent = socket.socket()
    silent.bind(("127.0.0.1", 0))
    opener.open += [open(tmp_path / "file", "w"), silent]  # pylint: disable=consider-using-with
    daemon = kpid(listen_on(f"udp:{udp}"), start=False)
    opener.start(daemon, LISTEN_FDNAMES="kpid.socket:web:a file:silent")
    log = daemon.log()
    assert f'socket_inherited descriptor=3 name="kpid.socket" address="udp:{udp}"' in log
    assert (f'socket_closed descriptor=4 name="web" address="tcp:{tcp}" '
            'reason="nothing in the configuration listens there"') in log
    assert 'socket_closed descriptor=5 name="a file" address="" reason="it is no socket"' in log
    assert 'socket_closed descriptor=6 name="silent"' in log and "it does not listen" in log
    assert [opener.is_held(daemon, place) for place in (0, 1, 3)] == [True, False, False]
    folder = f"/proc/{daemon.process.pid}/fd"
    assert str(tmp_path / "file") not in [link_of(f"{folder}/{number}") for number in os.listdir(folder)]


@pytest.mark.parametrize("variables, words", [
    ({"LISTEN_FDS": "many"}, "LISTEN_FDS is no number: 'many'"),
    ({"LISTEN_FDS": "1000"}, "LISTEN_FDS is too large"),
    ({"LISTEN_FDS": "60"}, "cannot use descriptor 4 of LISTEN_FDS=60"),
    ({"LISTEN_PID": "me"}, "LISTEN_PID is no number: 'me'"),
    ({"LISTEN_FDNAMES": "one:two"}, "LISTEN_FDNAMES has 2 names, LISTEN_FDS says 1"),
])
def test_nonsense_is_refused_with_a_sentence(kpid, opener, variables, words):
    udp = opener.inet(socket.SOCK_DGRAM)
    assert words in opener.refused(kpid(listen_on(f"udp:{udp}"), start=False), **variables)


def test_access_rules_hold_on_them(kpid, opener):
    host, port = opener.bind(("0.0.0.0", 0), socket.SOCK_STREAM)
    assert host == "0.0.0.0"
    daemon = kpid(f'ingest: [ {{ protocol: influx, listen: "http:0.0.0.0:{port}" }} ]\n', start=False)
    said = opener.refused(daemon)
    assert "allow" in said or "tokens" in said  # as without inheritance: such an address needs a rule
    daemon.write_config(
        f'ingest: [ {{ protocol: statsd, listen: "tcp:0.0.0.0:{port}", allow: [ 192.0.2.0/24 ] }} ]\n')
    opener.start(daemon)
    with dial(f"127.0.0.1:{port}") as connection:
        connection.settimeout(conftest.PATIENCE)
        try:
            assert connection.recv(1) == b""
        except ConnectionResetError:
            pass
    assert daemon.listeners()["tcp"]["connections_denied"] == 1
    assert daemon.listeners()["tcp"]["inherited"]


def test_the_api_and_the_control_socket_can_be_inherited(kpid, opener, tmp_path):
    control = str(tmp_path / "kpid.sock")
    opener.bind(control, socket.SOCK_STREAM, socket.AF_UNIX)
    http = opener.inet(socket.SOCK_STREAM)
    daemon = kpid(listen_on("udp:127.0.0.1:0"), start=False, server=f', http: {{ listen: "{http}" }}')
    os.chmod(control, 0o666)
    assert f"the socket '{control}' was opened with the mode 0666" in opener.refused(daemon)
    assert f'address="tcp:{http}" reason="nobody had taken it when the start failed"' in daemon.log()
    os.chmod(control, 0o660)
    for _ in range(2):  # the file is there still at the second start
        opener.start(daemon)
        assert daemon.log().count(" socket_closed ") == 1  # of the start that failed
        with dial(http) as connection:
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
            assert connection.recv(4096).startswith(b"HTTP/1.1 200")
        assert daemon.stop() == 0
        assert os.path.exists(control)
