"""Start, stop, reload, and what kpid says when it cannot."""

import os
import pathlib
import signal
import socket
import subprocess
import time

import pytest
import statsd

from conftest import wait_until

UDP = 'ingest: [ { protocol: statsd, listen: "udp:127.0.0.1:0" }, { protocol: statsd, listen: "tcp:127.0.0.1:0" } ]\n'


def fails_to_start(daemon, timeout=60):
    """Starts it and waits for its end; what it said."""
    daemon.spawn()
    assert daemon.process.wait(timeout) == 1, daemon.log()
    return daemon.log()


def test_sigterm_stores_what_was_sent_and_ends_within_5_seconds(kpid):
    daemon = kpid(UDP)
    with socket.create_connection(("127.0.0.1", daemon.port("tcp"))) as stream:
        stream.sendall(b"orders:1|c\n" * 1000 + b"orders:5|c")  # the last one without its newline
        begun = time.monotonic()
        assert daemon.stop() == 0
        assert time.monotonic() - begun < 5
    daemon.start()
    assert daemon.value("sum(orders)") == 1005


def test_a_bad_reload_says_every_mistake_and_keeps_the_old_configuration(kpid):
    daemon = kpid(UDP + "kpis: { orders: sum(orders) }\n")
    good = daemon.config_path.read_text()
    daemon.config_path.write_text(good + "  bad: [\n")
    daemon.reload()
    daemon.config_path.write_text(good.replace("kpis: {", "kpsi: {").replace("threads: 2", "threads: many"))
    daemon.reload()
    log = daemon.log()
    assert log.count(" reload_refused ") == 2
    assert "did you mean 'kpis'" in log
    assert "server.threads" in log
    assert [kpi["id"] for kpi in daemon.ask("status")["kpis"]] == ["orders"]
    daemon.config_path.write_text(good.replace("orders: sum(orders)", "orders: sum(orders), more: sum(more)"))
    daemon.reload()
    assert [kpi["id"] for kpi in daemon.ask("status")["kpis"]] == ["orders", "more"]


def test_a_reload_opens_new_listeners_and_closes_removed_ones(kpid, tmp_path):
    daemon = kpid(UDP)
    body = daemon.config_path.read_text()
    path = tmp_path / "new.sock"
    daemon.config_path.write_text(body.replace(
        '{ protocol: statsd, listen: "udp:127.0.0.1:0" }', f'{{ protocol: statsd, listen: "unix:{path}" }}'))
    before = daemon.port("tcp")
    daemon.reload()
    assert daemon.port("tcp") == before
    with socket.socket(socket.AF_UNIX) as stream:
        stream.connect(str(path))
        stream.sendall(b"orders:3|c\n")
    wait_until(lambda: daemon.value("sum(orders)") == 3, "the sample over the new socket")
    assert not any(listener["listen"].startswith("udp:") and listener["received"]
                   for listener in daemon.ask("ingest")["listeners"])


def test_systemd_is_told_ready_reloading_stopping_and_watchdog(kpid, tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(str(tmp_path / "notify"))
        notify.settimeout(60)
        daemon = kpid(UDP, start=False, environment={
            "NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "400000"})
        daemon.spawn()
        said = ""

        def heard(word):
            nonlocal said
            while word not in said:
                said += notify.recv(4096).decode() + "\n"
            return True

        assert heard("READY=1")
        assert heard("WATCHDOG=1")
        daemon.process.send_signal(signal.SIGHUP)
        assert heard("RELOADING=1") and heard("MONOTONIC_USEC=")
        said = said[said.index("RELOADING=1"):]
        assert heard("READY=1")
        daemon.process.send_signal(signal.SIGTERM)
        assert heard("STOPPING=1")
        assert daemon.process.wait(60) == 0


def test_a_port_in_use_is_a_sentence_and_an_exit_code(kpid, tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        daemon = kpid(f'ingest: [ {{ protocol: statsd, listen: "tcp:127.0.0.1:{port}" }} ]\n', start=False)
        said = fails_to_start(daemon)
    assert f"127.0.0.1:{port}" in said and "Address already in use" in said


def test_a_second_kpid_on_the_same_port_is_refused(kpid, tmp_path):
    first = kpid(UDP)
    for transport in ("udp", "tcp"):
        folder = tmp_path / f"second-{transport}"
        folder.mkdir()
        port = first.port(transport)
        second = kpid(f'ingest: [ {{ protocol: statsd, listen: "{transport}:127.0.0.1:{port}" }} ]\n',
                      start=False, folder=folder)
        assert "Address already in use" in fails_to_start(second)


def test_a_second_kpid_on_the_same_data_is_refused_and_the_first_goes_on(kpid, tmp_path):
    first = kpid(UDP)
    folder = tmp_path / "second"
    folder.mkdir()
    second = kpid(UDP, start=False, folder=folder)
    second.config_path.write_text(second.config_path.read_text().replace(
        str(folder / "data"), str(tmp_path / "data")))
    said = fails_to_start(second)
    assert "in use by another kpid" in said and str(first.process.pid) in said
    statsd.StatsClient("127.0.0.1", first.port("udp")).incr("orders")
    wait_until(lambda: first.value("sum(orders)") == 1, "the first one to go on")


def test_a_data_directory_that_cannot_be_written_is_a_sentence(kpid):
    daemon = kpid(UDP, start=False)
    daemon.config_path.write_text(daemon.config_path.read_text().replace(
        str(daemon.folder / "data"), "/proc/kpid-data"))
    said = fails_to_start(daemon)
    assert "/proc/kpid-data" in said and "kpid: " in said


def test_data_of_another_version_is_refused_with_a_sentence(kpid, tmp_path):
    daemon = kpid(UDP)
    daemon.stop()
    (tmp_path / "data" / "data.mdb").write_bytes(b"not a database at all" * 1000)
    assert "data" in fails_to_start(daemon)


def fill(path):
    """Takes all the room that is left."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT)
    try:
        while os.write(file, b"x" * 4096) > 0:
            pass
    except OSError:
        pass
    os.close(file)


@pytest.fixture
def small_disk(tmp_path):
    path = tmp_path / "small"
    path.mkdir()
    if os.geteuid() != 0 or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=2m", "kpid-test", path], check=False,
            capture_output=True).returncode != 0:
        pytest.skip("mounting a small disk needs root")
    yield path
    subprocess.run(["umount", "-l", path], check=True)


def test_a_full_disk_loses_nothing_that_was_stored_and_kpid_goes_on_when_there_is_room(kpid, small_disk):
    ballast = small_disk / "ballast"
    daemon = kpid(UDP, start=False)
    daemon.config_path.write_text(daemon.config_path.read_text().replace(
        str(daemon.folder / "data"), str(small_disk / "data")))
    daemon.start()
    client = statsd.TCPStatsClient("127.0.0.1", daemon.port("tcp"))
    client.incr("orders", 5)
    wait_until(lambda: daemon.value("sum(orders)") == 5, "the first sample")
    fill(ballast)
    for number in range(3000):
        client.incr(f"series{number}", 1)
    wait_until(lambda: "commit_failed" in daemon.log(), "a commit that fails")
    assert daemon.value("sum(orders)") == 5
    push = daemon.kpictl("push", "orders=1", "--type", "counter", check=False)
    assert push.returncode == 4, push.stderr
    assert "No space left" in push.stderr or "full" in push.stderr

    ballast.unlink()
    wait_until(lambda: daemon.stored() >= 3001, "what was held back to be stored")
    assert daemon.value("sum(series2999)") == 1
    assert daemon.value("sum(orders)") == 5, "a refused push must not be stored later"


def test_a_start_on_a_full_disk_is_a_sentence_and_damages_nothing(kpid, small_disk):
    daemon = kpid(UDP, start=False)
    daemon.config_path.write_text(daemon.config_path.read_text().replace(
        str(daemon.folder / "data"), str(small_disk / "data")))
    fill(small_disk / "ballast")
    said = fails_to_start(daemon)
    assert "No space left on device" in said and str(small_disk / "data") in said
    (small_disk / "ballast").unlink()
    daemon.start()
    daemon.kpictl("push", "orders=1", "--type", "counter")
    assert daemon.value("sum(orders)") == 1


def test_check_prints_every_mistake_with_its_place(kpid):
    daemon = kpid("kpis:\n  signups: { value: summ(signup), period: dya }\n  x: { valeu: 3 }\n", start=False)
    daemon.spawn("--check")
    assert daemon.process.wait(60) == 1
    said = daemon.log()
    assert f"{daemon.config_path}:4:" in said
    assert "unknown function 'summ'" in said and "did you mean 'sum'?" in said
    assert "kpis.signups.period" in said and "did you mean 'day'?" in said
    assert "did you mean 'value'?" in said


def test_the_sample_configuration_is_valid(kpid, tmp_path):
    sample = pathlib.Path(__file__).resolve().parents[2] / "config" / "kpid.yaml"
    daemon = kpid("", start=False)
    daemon.config_path = sample
    daemon.spawn("--check")
    assert daemon.process.wait(60) == 0, daemon.log()
    assert "ok" in daemon.log()
