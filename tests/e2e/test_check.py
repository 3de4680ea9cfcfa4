"""What `kpid --check` accepts can be started, and what no start could open it refuses."""

import http.client
import os
import shutil
import socket
import subprocess

import pytest
from certificates import make_authority, make_certificate

from conftest import BUILD, wait_until
from ports import free_port

LISTENERS_MAX = 256


def check(daemon):
    """(exit code, what it said), of a configuration that is not started."""
    done = subprocess.run([BUILD / "kpid", "--check", "-c", daemon.config_path], capture_output=True, text=True,
                          timeout=60, check=False)
    return done.returncode, done.stdout + done.stderr


def test_localhost_is_127_0_0_1(kpid):
    port = free_port()
    daemon = kpid('ingest:\n  - { protocol: statsd, listen: "udp:localhost:0" }\n'
                  '  - { protocol: statsd, listen: "tcp:localhost:0" }\n'
                  '  - { protocol: influx, listen: "http:localhost:0" }\n', start=False,
                  server=f', http: {{ listen: "localhost:{port}" }}')
    assert check(daemon)[0] == 0
    daemon.start()
    assert [listener["listen"].rsplit(":", 1)[0] for listener in daemon.ask("ingest")["listeners"]] == [
        "udp:127.0.0.1", "tcp:127.0.0.1", "http:127.0.0.1"]
    with socket.create_connection(("127.0.0.1", daemon.port("tcp"))) as connection:
        connection.sendall(b"a:3|c\n")
    wait_until(lambda: daemon.value("sum(a)") == 3, "the line")
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", "/healthz")
    assert connection.getresponse().status == 200
    connection.close()
    shown = subprocess.run([BUILD / "kpid", "--print-config", "-c", daemon.config_path], capture_output=True, text=True,
                           timeout=60, check=True).stdout
    assert '"udp:127.0.0.1:0"' in shown and f'"127.0.0.1:{port}"' in shown and "localhost:" not in shown


def test_what_stands_beside_each_other_is_started(kpid, tmp_path):
    port = free_port()
    daemon = kpid(f'ingest:\n  - {{ protocol: statsd, listen: "udp:127.0.0.1:{port}" }}\n'
                  f'  - {{ protocol: statsd, listen: "tcp:127.0.0.1:{port}" }}\n'
                  f'  - {{ protocol: graphite, listen: "udp:127.0.0.2:{port}" }}\n'
                  f'  - {{ protocol: influx, listen: "http:127.0.0.2:{port}" }}\n'
                  '  - { protocol: statsd, listen: "udp:127.0.0.1:0" }\n'
                  '  - { protocol: graphite, listen: "udp:127.0.0.1:0" }\n'
                  f'  - {{ protocol: statsd, listen: "unix:{tmp_path}/./a//a.sock", mode: 0606 }}\n', start=False)
    (tmp_path / "a").mkdir()
    assert check(daemon)[0] == 0
    daemon.start()
    assert len(daemon.ask("ingest")["listeners"]) == 7
    assert os.stat(tmp_path / "a/a.sock").st_mode & 0o777 == 0o606


@pytest.mark.parametrize(("first", "second", "words"), [
    ("statsd, listen: 'udp:127.0.0.1:PORT'", "dogstatsd, listen: 'udp:127.0.0.1:PORT'", "another listener has the address"),
    ("statsd, listen: 'tcp:127.0.0.1:PORT'", "influx, listen: 'http:localhost:PORT'", "another listener has the address"),
    ("statsd, listen: 'udp:[::1]:PORT'", "statsd, listen: 'udp:[0::1]:PORT'", "another listener has the address"),
    ("statsd, listen: 'udp:127.0.0.1:PORT'", "statsd, listen: 'udp:0.0.0.0:PORT', allow: [ 10.0.0.0/8 ]",
     "another listener has the port"),
    ("statsd, listen: 'unix:FOLDER/a'", "native, listen: 'unix:FOLDER/.//a'", "another listener has the address"),
    ("statsd, listen: 'udp:127.0.0.1:0'", "native, listen: 'unix:FOLDER/kpid.sock'", "the control socket has the path"),
    ("statsd, listen: 'udp:127.0.0.1:0'", "influx, listen: 'http:127.0.0.1:WEB'", "server.http has the port"),
    ("statsd, listen: 'udp:127.0.0.1:0'", "statsd, listen: 'udp:[::ffff:127.0.0.1]:PORT'", "write 127.0.0.1:"),
])
def test_what_cannot_be_opened_together_is_refused(kpid, tmp_path, first, second, words):
    web = free_port()
    lines = "".join(f"  - {{ protocol: {line} }}\n" for line in (first, second))
    for word, value in (("PORT", free_port()), ("FOLDER", tmp_path), ("WEB", web)):
        lines = lines.replace(word, str(value))
    daemon = kpid(f"ingest:\n{lines}", start=False, server=f', http: {{ listen: "127.0.0.1:{web}" }}')
    code, said = check(daemon)
    assert code == 1 and words in said, said
    assert "ingest[1].listen" in said and "hint: " in said
    assert daemon.spawn().process.wait(30) == 1 and words in daemon.log()


def test_as_many_listeners_as_there_is_room_for_and_no_more(kpid, tmp_path):
    def body(count):
        return "ingest:\n" + "".join(
            f'  - {{ protocol: statsd, listen: "unixgram:{tmp_path}/{i}" }}\n' for i in range(count))

    daemon = kpid(body(LISTENERS_MAX))
    assert len(daemon.ask("ingest")["listeners"]) == LISTENERS_MAX
    daemon.write_config(body(LISTENERS_MAX + 1))
    code, said = check(daemon)
    assert code == 1 and f"ingest[{LISTENERS_MAX}]: there are more than {LISTENERS_MAX} listeners\n" in said
    daemon.reload()
    assert "reload_refused" in daemon.log()


@pytest.mark.skipif(not shutil.which("openssl"), reason="needs openssl(1)")
def test_a_file_of_tls_that_is_not_regular_is_refused_and_not_waited_for(kpid, tmp_path):
    make_authority(tmp_path)
    make_certificate(tmp_path, "server")
    files = {"cert": "server.crt", "key": "server.key", "client_ca": "ca.crt"}
    keys = ", ".join(f"{key}: {tmp_path / name}" for key, name in files.items())
    daemon = kpid(f'ingest:\n  - {{ protocol: influx, listen: "http:127.0.0.1:0", tls: {{ {keys} }} }}\n')
    for name in files.values():
        path = tmp_path / name
        kept = path.rename(tmp_path / "kept")
        for make in (lambda path=path: os.mkfifo(path, 0o600), path.mkdir,
                     lambda path=path: path.symlink_to("/dev/zero")):
            make()
            code, said = check(daemon)
            assert code == 1 and f"'{path}': it is not a regular file\n" in said
            before = daemon.log().count("reload_refused")
            daemon.reload()
            assert daemon.log().count("reload_refused") == before + 1
            if path.is_dir() and not path.is_symlink():
                path.rmdir()
            else:
                path.unlink()
        kept.rename(path)
    daemon.reload()
    assert daemon.log().count(" reloaded ") == 1
    assert daemon.stop() == 0
