"""SIGHUP: what changes at once, what needs a restart, and what is kept when the file is bad or gone."""

import signal
import socket
import stat
import urllib.error
import urllib.request

import pytest
import statsd

from conftest import wait_until

UDP = 'ingest: [ { protocol: statsd, listen: "udp:127.0.0.1:0" }, { protocol: statsd, listen: "tcp:127.0.0.1:0" } ]\n'


def ids(daemon):
    return [kpi["id"] for kpi in daemon.ask("status")["kpis"]]


def counter(daemon, name):
    text = daemon.get("/metrics")[1]
    return int(next(line for line in text.splitlines() if line.startswith(name + " ")).split()[-1])


@pytest.mark.threads
def test_what_needs_a_restart_is_said_at_each_reload_until_it_was_done(kpid, tmp_path):
    daemon = kpid(UDP + "kpis: { a: sum(a) }\n")
    text = daemon.config_path.read_text()
    daemon.config_path.write_text(
        text.replace("threads: 2", "threads: 1")
        .replace(str(daemon.control), str(tmp_path / "other.sock"))
        .replace(str(tmp_path / "data"), str(tmp_path / "other"))
        .replace("{ a: sum(a) }", "{ b: sum(b) }"))
    for count in (1, 2):
        daemon.reload()
        assert daemon.log().count("restart_needed") == count
    line = next(line for line in daemon.log().splitlines() if "restart_needed" in line)
    assert 'changes="server.control, server.threads, storage.path"' in line and " warn " in line
    assert ids(daemon) == ["b"], "the rest is in force"
    assert not (tmp_path / "other.sock").exists() and not (tmp_path / "other").exists()
    daemon.config_path.write_text(text)
    daemon.reload()
    assert daemon.log().count("restart_needed") == 2, "the old values are the running ones"


def test_a_reload_without_the_file_keeps_what_is_in_force(kpid):
    daemon = kpid(UDP + "kpis: { a: sum(a) }\n")
    text = daemon.config_path.read_text()
    daemon.config_path.unlink()
    daemon.reload()
    assert "No such file or directory" in daemon.log()
    assert daemon.log().count(" reload_refused ") == 1
    daemon.config_path.mkdir()
    daemon.reload()
    assert "is a directory" in daemon.log()
    daemon.config_path.rmdir()
    daemon.config_path.write_text("\x00\x01\x02")
    daemon.reload()
    assert daemon.log().count(" reload_refused ") == 3
    statsd.StatsClient("127.0.0.1", daemon.port("udp")).incr("a", 7)
    wait_until(lambda: daemon.value("sum(a)") == 7, "the sample")
    assert ids(daemon) == ["a"]
    assert counter(daemon, "kpid_reload_failures_total") == 3
    daemon.config_path.write_text(text)
    daemon.reload()
    assert counter(daemon, "kpid_reloads_total") == 1


def test_a_listener_that_cannot_be_opened_refuses_the_whole_reload(kpid, tmp_path):
    daemon = kpid(UDP + "kpis: { a: sum(a) }\n")
    text = daemon.config_path.read_text()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        daemon.config_path.write_text(
            text.replace("ingest: [", f'ingest: [ {{ protocol: statsd, listen: "unix:{tmp_path}/new.sock" }}, '
                                      f'{{ protocol: statsd, listen: "tcp:127.0.0.1:{port}" }},')
            .replace("a: sum(a)", "b: sum(b)").replace("threads: 2", "threads: 3"))
        daemon.reload()
    assert " reload_refused " in daemon.log() and "Address already in use" in daemon.log()
    assert "restart_needed" not in daemon.log()
    assert ids(daemon) == ["a"]
    assert not (tmp_path / "new.sock").exists()
    assert len(daemon.ask("ingest")["listeners"]) == 2


def say_udp(port, text, host="127.0.0.1"):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(text.encode(), (host, port))


def say_tcp(port, text, host="127.0.0.1"):
    with socket.create_connection((host, port)) as stream:
        stream.sendall(text.encode())


def post(port, target, body, host="127.0.0.1", token=None):
    """The status."""
    request = urllib.request.Request(f"http://{host}:{port}{target}", body.encode(),
                                     {"Authorization": f"Bearer {token}"} if token else {})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status
    except urllib.error.HTTPError as refused:
        return refused.code


def write(port, host="127.0.0.1", token=None):
    assert post(port, "/write?db=x", "a value=1i", host, token) == 204


def push(port, host="127.0.0.1"):
    assert post(port, "/push", '{"samples":[{"name":"a","value":1,"type":"counter"}]}', host) == 200


STATSD = "a:1|c\n"
TAGGED = "a:1|c|#plan:pro\n"


@pytest.mark.parametrize("before, after, speak_before, speak_after", [
    ("statsd udp", "dogstatsd udp", lambda port: say_udp(port, STATSD), lambda port: say_udp(port, TAGGED)),
    ("statsd tcp", "influx http", lambda port: say_tcp(port, STATSD), write),
    ("influx http", "json http", write, push),
    ("json http", "statsd tcp", push, lambda port: say_tcp(port, STATSD)),
])
def test_another_protocol_on_the_same_port_needs_no_restart(kpid, before, after, speak_before, speak_after):
    def body(listener, port, kpi):
        protocol, transport = listener.split()
        return (f'ingest: [ {{ protocol: {protocol}, listen: "{transport}:127.0.0.1:{port}" }} ]\n'
                f"kpis: {{ {kpi}: sum(a) }}\n")

    daemon = kpid(body(before, 0, "old"))
    port = daemon.port(before.split()[1])
    speak_before(port)
    daemon.write_config(body(after, port, "new"))
    daemon.reload()
    assert "reload_refused" not in daemon.log()
    speak_after(port)
    wait_until(lambda: daemon.stored() == 2, "both samples")
    assert ids(daemon) == ["new"]
    assert daemon.port(after.split()[1]) == port


def test_a_port_opens_to_other_addresses_without_a_restart(kpid):
    daemon = kpid('ingest: [ { protocol: statsd, listen: "udp:127.0.0.1:0" }, '
                  '{ protocol: influx, listen: "http:127.0.0.1:0" } ]\n')
    udp, http = daemon.port("udp"), daemon.port("http")
    token = daemon.kpictl("token", "add", "web", "--role", "ingest").stdout.split()[-1]
    daemon.write_config(f'ingest: [ {{ protocol: statsd, listen: "udp:0.0.0.0:{udp}", allow: [127.0.0.0/8] }}, '
                        f'{{ protocol: influx, listen: "http:0.0.0.0:{http}", tokens: true }} ]\n')
    daemon.reload()
    assert "reload_refused" not in daemon.log()
    for host in ("127.0.0.1", "127.0.0.2"):
        say_udp(udp, STATSD, host)
        write(http, host, token)
        assert post(http, "/write?db=x", "a value=1i", host) == 401
    wait_until(lambda: daemon.stored() == 4, "all of them")


def test_a_port_that_a_listener_keeps_is_not_said_to_be_anothers(kpid):
    daemon = kpid(UDP)
    port = daemon.port("udp")
    daemon.write_config(UDP.replace("[ {", f'[ {{ protocol: graphite, listen: "udp:0.0.0.0:{port}", allow: [127.0.0.1] }}, {{', 1))
    daemon.reload()
    line = next(line for line in daemon.log().splitlines() if " reload_refused " in line)
    assert "Address already in use" in line and f"kpid itself has it, for 'udp:127.0.0.1:{port}'" in line


def test_a_reload_does_not_touch_what_was_put_in_a_sockets_place(kpid, tmp_path):
    """Who may write to the folder must not get kpid to open other files to them."""
    folder = tmp_path / "shared"
    folder.mkdir()
    secret = tmp_path / "tokens"
    secret.write_text("precious")
    secret.chmod(0o600)
    path = folder / "s.sock"
    body = f'ingest: [ {{ protocol: statsd, listen: "unix:{path}", mode: "0666" }} ]\n'
    daemon = kpid(body)
    path.unlink()
    path.symlink_to(secret)
    daemon.write_config(body + "kpis: { b: sum(b) }\n")
    daemon.reload()
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600 and secret.read_text() == "precious"
    assert " reload_refused " in daemon.log() and "the file is no socket" in daemon.log()
    path.unlink()
    daemon.reload()
    assert ids(daemon) == ["b"] and path.is_socket()
    assert daemon.stop() == 0
    assert not path.exists()


def test_a_socket_whose_file_was_deleted_is_made_anew(kpid, tmp_path):
    path = tmp_path / "s.sock"
    daemon = kpid(f'ingest: [ {{ protocol: statsd, listen: "unix:{path}" }} ]\n')
    with socket.socket(socket.AF_UNIX) as old, socket.socket(socket.AF_UNIX) as new:
        old.connect(str(path))
        old.sendall(b"a:1|c\n")
        path.unlink()
        daemon.reload()
        assert "reload_refused" not in daemon.log()
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        new.connect(str(path))
        new.sendall(b"a:1|c\n")
        old.sendall(b"a:1|c\n")
        wait_until(lambda: daemon.value("sum(a)") == 3, "all of them")


def kpis(count, formula):
    return "kpis:\n" + "".join(
        f"  k{i}: {{ value: sum({formula}), target: {{ at_least: 5 }}, evaluate: every 1s }}\n" for i in range(count))


@pytest.mark.threads
def test_many_kpis_are_exchanged_while_samples_flow_and_none_is_lost(kpid):
    daemon = kpid(UDP + kpis(500, "orders"))
    sent = 0
    with socket.create_connection(("127.0.0.1", daemon.port("tcp"))) as stream:
        for count in (500, 20, 0, 300):
            daemon.write_config(UDP + kpis(count, "orders"))
            for _ in range(200):
                stream.sendall(b"orders:1|c\n")
                sent += 1
            daemon.reload()
            assert len(ids(daemon)) == count
            stream.sendall(b"orders:1|c\n")
            sent += 1
    wait_until(lambda: daemon.value("sum(orders)") == sent, "all samples")
    assert daemon.kpi("k299")["value"] == sent
    assert "reload_refused" not in daemon.log()


@pytest.mark.threads
def test_reloads_on_each_others_heels_end_with_the_newest_file(kpid):
    daemon = kpid(UDP + kpis(100, "a"))
    for i in range(20):
        daemon.write_config(UDP + f"kpis: {{ last{i}: sum(a) }}\n")
        daemon.process.send_signal(signal.SIGHUP)
    wait_until(lambda: ids(daemon) == ["last19"], "the newest file")
    daemon.process.send_signal(signal.SIGHUP)
    assert daemon.stop() == 0
    assert daemon.log().count(" stopped ") == 1


@pytest.mark.threads
def test_a_rule_that_a_reload_takes_away_ends_its_alert(kpid, receiver):
    hooks = "hooks: { web: { type: webhook, url: { env: KPID_TEST_URL }, allow_http: true } }\n"
    body = UDP + hooks + "kpis: { a: { value: sum(a), target: { at_most: 5 }, evaluate: every 1s, hooks: web } }\n"
    daemon = kpid(body, environment={"KPID_TEST_URL": receiver.url})
    daemon.kpictl("push", "a=9", "--type", "counter")
    wait_until(lambda: len(receiver.events()) == 1, "the alert")
    daemon.write_config(UDP + hooks + "kpis: { a: sum(a) }\n")
    daemon.reload()
    wait_until(lambda: len(receiver.events()) == 2, "its end")
    assert daemon.ask("alerts") == {"alerts": []}
