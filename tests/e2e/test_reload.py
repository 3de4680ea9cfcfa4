"""SIGHUP: what changes at once, what needs a restart, and what is kept when the file is bad or gone."""

import signal
import socket

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
