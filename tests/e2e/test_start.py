"""The first minute: what kpid says when it cannot start, and that it leaves nothing behind."""

import os
import shutil
import socket
import subprocess

import pytest

from conftest import BUILD, wait_until
from ports import free_port

NOBODY = 65534


def run(*arguments, folder=None, user=None, environment=None, program=BUILD / "kpid"):
    """Runs kpid to its end; (exit code, what it said)."""
    done = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, timeout=60,
                          check=False, cwd=folder, user=user, group=user, extra_groups=[] if user else None,
                          env={**os.environ, **(environment or {})})
    return done.returncode, done.stdout + done.stderr


def write(folder, body, name="kpid.yaml"):
    path = folder / name
    path.write_text(body)
    return path


def test_a_configuration_that_is_not_there_is_a_sentence(tmp_path):
    code, said = run("-c", tmp_path / "none.yaml")
    assert (code, said) == (1, f"kpid: cannot read configuration '{tmp_path}/none.yaml': No such file or directory\n")
    if not os.path.exists("/etc/kpid/kpid.yaml"):
        code, said = run()
        assert code == 1
        assert said.startswith("kpid: cannot read configuration '/etc/kpid/kpid.yaml': No such file or directory\n  hint: ")
        assert "-c FILE" in said


def test_wrong_usage_is_2(tmp_path):
    for wrong in (["--nonsense"], ["-c"], ["extra"]):
        code, said = run(*wrong)
        assert code == 2 and "usage: kpid" in said


def test_check_counts_in_good_english(tmp_path):
    one = write(tmp_path, "kpis: { a: { value: sum(a), target: { at_least: 1 }, hooks: h } }\n"
                          "hooks: { h: { type: webhook, url: 'https://example.com/' } }\n"
                          "ingest: [ { protocol: statsd, listen: 'udp:127.0.0.1:0' } ]\n")
    assert run("--check", "-c", one) == (0, f"{one}: ok: 1 KPI, 1 rule, 1 hook, 1 listener, 0 warnings\n")
    none = write(tmp_path, "ingest: []\nkpis: { a: { value: sum(a) }, b: { value: sum(b), window: 90d } }\n")
    code, said = run("--check", "-c", none)
    assert code == 0 and said.startswith(f"{none}: ok: 2 KPIs, 0 rules, 0 hooks, 0 listeners, 1 warning\n")


def test_a_secret_that_is_not_set_says_where_to_set_it(tmp_path):
    path = write(tmp_path, "hooks: { a: { type: slack, url: { env: KPID_TEST_NOT_SET } } }\n")
    code, said = run("-c", path)
    assert code == 1
    assert f"{path}:1:40: error: hooks.a.url.env: environment variable 'KPID_TEST_NOT_SET' is not set\n" in said
    assert "hint: set it where kpid is started" in said


@pytest.mark.skipif(os.geteuid() != 0, reason="becoming somebody else needs root")
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_who_may_not_write_the_default_places_is_told_how_to_name_others(tmp_path):
    tmp_path.chmod(0o755)
    program = shutil.copy(BUILD / "kpid", tmp_path / "kpid")  # the build may be where only root can look
    for parent in tmp_path.parents[:3]:
        if os.stat(parent).st_uid == os.geteuid() and parent != parent.parent:
            parent.chmod(parent.stat().st_mode | 0o055)
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o755)
    path = write(tmp_path, f"storage: {{ path: {locked}/data }}\ningest: []\n")
    code, said = run("-c", path, user=NOBODY, program=program)
    assert code == 1
    assert f"kpid: cannot make data directory '{locked}/data': Permission denied\n" in said
    assert "hint: 'storage: { path: DIRECTORY }'" in said
    own = tmp_path / "own"
    own.mkdir()
    os.chown(own, NOBODY, NOBODY)
    path = write(tmp_path, f"server: {{ control: {locked}/kpid.sock }}\nstorage: {{ path: {own}/data }}\ningest: []\n")
    code, said = run("-c", path, user=NOBODY, program=program)
    assert code == 1
    assert f"kpid: cannot listen on '{locked}/kpid.sock': Permission denied\n" in said
    assert "hint: 'server: { control: PATH }'" in said


def test_the_folder_of_the_control_socket_is_made_but_no_tree(kpid, tmp_path):
    daemon = kpid("ingest: []\n", start=False)
    head = daemon.config_path.read_text()
    daemon.config_path.write_text(head.replace(str(daemon.control), str(tmp_path / "run" / "kpid.sock")))
    daemon.control = tmp_path / "run" / "kpid.sock"
    daemon.start()
    assert daemon.stop() == 0
    assert not daemon.control.exists()
    daemon.config_path.write_text(head.replace(str(tmp_path / "kpid.sock"), str(tmp_path / "a" / "b" / "kpid.sock")))
    daemon.spawn()
    assert daemon.process.wait(60) == 1
    assert f"kpid: cannot listen on '{tmp_path}/a/b/kpid.sock': No such file or directory\n  hint: " in daemon.log()
    assert not (tmp_path / "a").exists()


def test_relative_paths_start_at_the_folder_of_the_file(tmp_path):
    there = tmp_path / "there"
    elsewhere = tmp_path / "elsewhere"
    there.mkdir()
    elsewhere.mkdir()
    path = write(there, "server: { control: kpid.sock, threads: 1 }\nstorage: { path: data }\n"
                        "ingest: [ { protocol: statsd, listen: 'unix:statsd.sock' } ]\n")
    for name in (path, "kpid.yaml"):
        with open(tmp_path / "log", "ab") as log:
            process = subprocess.Popen([BUILD / "kpid", "-c", name], stderr=log,
                                       cwd=elsewhere if name == path else there)
        try:
            wait_until(lambda: (there / "kpid.sock").exists(), "the control socket")
            with socket.socket(socket.AF_UNIX) as stream:
                stream.connect(str(there / "statsd.sock"))
        finally:
            process.terminate()
            assert process.wait(60) == 0
        assert sorted(os.listdir(there)) == ["data", "kpid.yaml"]
    assert os.listdir(elsewhere) == []


def sockets_of(folder):
    return [entry.name for entry in os.scandir(folder) if entry.name.endswith(".sock")]


def test_a_start_that_fails_at_any_stage_leaves_nothing_behind(kpid, tmp_path):
    """Store, listeners, control socket, HTTP address: one after the other is in the way."""
    taken = socket.socket()
    taken.bind(("127.0.0.1", 0))
    taken.listen()
    port = taken.getsockname()[1]
    unix = f'{{ protocol: statsd, listen: "unix:{tmp_path}/statsd.sock" }}'
    good = f"ingest: [ {unix} ]\n"
    daemon = kpid(good, start=False)
    head = daemon.config_path.read_text().replace(good, "")
    no_folder = tmp_path / "file"
    no_folder.write_text("a file")
    stages = {
        "the data directory": (head.replace(str(tmp_path / "data"), str(no_folder)) + good, "is not a directory"),
        "a listener": (head + f'ingest: [ {unix}, {{ protocol: statsd, listen: "tcp:127.0.0.1:{port}" }} ]\n',
                       "Address already in use"),
        "a listener's file": (head + f'ingest: [ {unix}, {{ protocol: statsd, listen: "unix:{no_folder}" }} ]\n',
                              str(no_folder)),
        "the control socket": (head.replace(str(tmp_path / "kpid.sock"), str(no_folder)) + good,
                               "the file is no socket"),
        "the HTTP address": (head.replace("server: {", f"server: {{ http: {{ listen: 127.0.0.1:{port} }},") + good,
                             f"cannot listen on '127.0.0.1:{port}': Address already in use"),
    }
    for stage, (body, words) in stages.items():
        daemon.log_path.write_text("")
        daemon.config_path.write_text(body)
        daemon.spawn()
        assert daemon.process.wait(60) == 1, stage
        said = daemon.log()
        assert "\nkpid: " in "\n" + said and words in said, f"{stage}: {said}"
        assert "Sanitizer" not in said, said
        assert sockets_of(tmp_path) == [], stage
        assert no_folder.read_text() == "a file", stage
    taken.close()
    daemon.config_path.write_text(head + good)
    daemon.start()
    assert daemon.stop() == 0
    assert sockets_of(tmp_path) == []


def test_the_socket_of_a_killed_kpid_is_taken_over_that_of_a_running_one_is_not(kpid, tmp_path):
    first = kpid("ingest: []\n")
    folder = tmp_path / "second"
    folder.mkdir()
    second = kpid("ingest: []\n", start=False, folder=folder)
    second.config_path.write_text(second.config_path.read_text().replace(str(second.control), str(first.control)))
    second.spawn()
    assert second.process.wait(60) == 1
    assert f"cannot listen on '{first.control}': somebody answers there" in second.log()
    assert first.is_ready()
    first.kill()
    assert first.control.exists()
    second.control = first.control
    second.start()


def test_signals_that_come_while_it_starts_are_obeyed(kpid):
    daemon = kpid("ingest: []\n" + "kpis:\n" + "".join(f"  k{i}: sum(m{i})\n" for i in range(300)))
    daemon.stop()
    for _ in range(5):
        daemon.log_path.write_text("")
        daemon.spawn()
        wait_until(lambda: "listening" in daemon.log() or (daemon.folder / "data" / "lock").exists(), "the start")
        daemon.process.terminate()
        assert daemon.process.wait(60) in (0, -15)
    daemon.start()


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics", "/api/v1/status"])
def test_the_loopback_address_reads_as_the_socket_does(kpid, path):
    daemon = kpid("ingest: []\nkpis: { a: sum(a) }\n", start=False)
    port = free_port()
    daemon.config_path.write_text(daemon.config_path.read_text().replace(
        "server: {", f"server: {{ http: {{ listen: 127.0.0.1:{port} }},"))
    daemon.start()
    assert daemon.get(path)[0] == 200
    assert http(port, f"GET {path} HTTP/1.1").startswith("HTTP/1.1 200 ")
    assert http(port, f"HEAD {path} HTTP/1.1").startswith("HTTP/1.1 200 ")
    refused = http(port, "POST /api/v1/push HTTP/1.1", '{"samples":[{"name":"a","value":1}]}')
    assert refused.startswith("HTTP/1.1 403 ") and str(daemon.control) in refused
    assert daemon.stored() == 0
    url = subprocess.run([BUILD / "kpictl", "--url", f"http://127.0.0.1:{port}", "push", "a=1"], capture_output=True,
                         text=True, check=False)
    assert url.returncode == 4 and "control socket" in url.stderr


def http(port, line, body=""):
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.settimeout(60)
        connection.sendall(f"{line}\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n{body}"
                           .encode())
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
    return answer.decode()
