"""libkpid-client by TLS against a real kpid, through kpiload and kpictl: whom it trusts, what it shows, and that each
sample counts once."""

import json
import os
import random
import re
import shutil
import subprocess

import pytest
from certificates import make_authority, make_certificate
from conftest import BUILD, PATIENCE, ROOT, TICK, load, wait_until
from ports import free_port
from test_client import assert_exact

pytestmark = pytest.mark.skipif(not shutil.which("openssl"), reason="needs openssl(1)")


@pytest.fixture
def folder(tmp_path):
    make_authority(tmp_path)
    make_certificate(tmp_path, "server")
    return tmp_path


def start(kpid, folder, more="", options="", port=0):
    return kpid(f'ingest:\n  - {{ protocol: native, listen: "tcp:127.0.0.1:{port}"{options}, '
                f"tls: {{ cert: {folder}/server.crt, key: {folder}/server.key{more} }} }}\n")


def to_load(daemon, folder, *more, ca="ca"):
    return ["-t", "tls", "-a", f"127.0.0.1:{daemon.port('tcp')}", "-p", "native", "-s", "500", "--ca-file",
            folder / f"{ca}.crt", *more]


def fails(*arguments):
    """What kpiload says when it fails."""
    done = subprocess.run([BUILD / "kpiload", *map(str, arguments), "-n", "10"], capture_output=True, text=True,
                          timeout=PATIENCE, check=False)
    assert done.returncode == 1, done.stderr
    return done.stderr


def push(to, *arguments, check=True, **environment):
    return subprocess.run([BUILD / "kpictl", "push", "--to", to, *map(str, arguments)], capture_output=True, text=True,
                          timeout=PATIENCE, check=check, env={**os.environ, **environment})


def shows(folder, name):
    return "--cert-file", folder / f"{name}.crt", "--key-file", folder / f"{name}.key"


def test_a_load_is_acknowledged_and_exact(kpid, folder):
    daemon = start(kpid, folder)
    sent = load(*to_load(daemon, folder, "-n", 20000, "-b", 300, "-c", 3))
    assert (sent["samples"], sent["errors"]) == (20000, 0)
    assert_exact(daemon, "tcp", sent)


def test_kills_of_kpid_while_a_load_runs_leave_each_sample_counted_once(kpid, folder):
    port = free_port()
    daemon = start(kpid, folder, port=port)
    chaos = random.Random(11)
    sender = subprocess.Popen(
        [BUILD / "kpiload", *map(str, to_load(daemon, folder, "-n", 20000, "-b", 100, "-c", 2, "-r", 5000, "-j"))],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    for _ in range(6):
        TICK.wait(chaos.uniform(0.05, 0.5))  # the moment of the kill is what is random here
        daemon.kill()
        make_certificate(folder, "server")  # each time it comes back with another one
        daemon.start()
    out, err = sender.communicate(timeout=PATIENCE * 2)
    assert sender.returncode == 0, err
    sent = json.loads(out)
    assert sent["samples"] == 20000
    assert_exact(daemon, "tcp", sent)


def test_a_certificate_that_is_not_good_is_refused_and_nothing_is_sent(kpid, folder):
    make_authority(folder, "others")
    daemon = start(kpid, folder)
    words = fails(*to_load(daemon, folder, ca="others"))
    assert "is of an authority that is not trusted" in words
    assert "hint: is it another one than that of the CA file?" in words
    words = fails(*to_load(daemon, folder, "--tls-name", "kpid.example"))
    assert f"the certificate of '127.0.0.1:{daemon.port('tcp')}' is not for 'kpid.example'" in words
    assert "hint: it is for 'localhost', '127.0.0.1'" in words
    make_certificate(folder, "server", days=-1)
    daemon.reload()
    assert "has expired, on 20" in fails(*to_load(daemon, folder))
    assert daemon.listeners()["tcp"]["received"] == 0
    assert "tls_failed" in daemon.log()
    make_certificate(folder, "server")
    daemon.reload()
    load(*to_load(daemon, folder, "-n", 10))


def test_the_name_of_the_address_is_what_counts(kpid, folder):
    make_certificate(folder, "server", hosts="DNS:localhost")
    daemon = start(kpid, folder)
    port = daemon.port("tcp")
    ca = ("--ca-file", folder / "ca.crt")
    assert push(f"tls:localhost:{port}", "leads=2", *ca).stdout == "stored 1 sample\n"
    done = push(f"tls:127.0.0.1:{port}", "leads=3", *ca, check=False)
    assert done.returncode == 3
    assert f"the certificate of '127.0.0.1:{port}' is not for '127.0.0.1'" in done.stderr
    assert "hint: it is for 'localhost'" in done.stderr
    # without a file the authorities of the machine are asked
    done = push(f"tls:localhost:{port}", "leads=3", check=False)
    assert done.returncode == 3
    assert "is of an authority that is not trusted\n  hint: give its certificate as the CA file" in done.stderr
    push(f"tls:localhost:{port}", "leads=5", SSL_CERT_FILE=str(folder / "ca.crt"))
    assert daemon.value("sum(leads)") == 7
    # the name of its subject does not count
    make_certificate(folder, "localhost", hosts="IP:127.0.0.1")
    for suffix in ("key", "crt"):
        os.replace(folder / f"localhost.{suffix}", folder / f"server.{suffix}")
    daemon.reload()
    done = push(f"tls:localhost:{port}", "leads=3", *ca, check=False)
    assert done.returncode == 3
    assert "is not for 'localhost'\n  hint: it is for '127.0.0.1'\n" in done.stderr
    push(f"tls:127.0.0.1:{port}", "leads=1", *ca)


def test_neither_side_falls_back_to_plain_text(kpid, folder):
    daemon = start(kpid, folder)
    port = daemon.port("tcp")
    done = push(f"tcp:127.0.0.1:{port}", "leads=3", check=False)
    assert done.returncode == 3
    assert f"write the address as tls:127.0.0.1:{port}" in done.stderr
    daemon.stop()
    (folder / "plain").mkdir()
    plain = kpid('ingest: [ { protocol: native, listen: "tcp:127.0.0.1:0" } ]\n', folder=folder / "plain")
    port = plain.port("tcp")
    done = push(f"tls:127.0.0.1:{port}", "leads=3", "--ca-file", folder / "ca.crt", check=False)
    assert done.returncode == 3
    assert f"'127.0.0.1:{port}' does not speak TLS" in done.stderr
    assert plain.listeners()["tcp"]["stored"] == 0
    done = push(f"tcp:127.0.0.1:{port}", "leads=3", "--ca-file", folder / "ca.crt", check=False)
    assert done.returncode != 0 and "write it as tls:HOST:PORT" in done.stderr


def test_a_certificate_of_the_client_is_shown_where_it_is_asked_for(kpid, folder):
    make_authority(folder, "others")
    make_certificate(folder, "client")
    make_certificate(folder, "stranger", "others")
    daemon = start(kpid, folder, f", client_ca: {folder}/ca.crt")
    to = f"tls:localhost:{daemon.port('tcp')}"
    ca = ("--ca-file", folder / "ca.crt")
    assert push(to, "leads=4", *ca, *shows(folder, "client")).stdout == "stored 1 sample\n"
    both = folder / "both.pem"
    both.write_text((folder / "client.crt").read_text() + (folder / "client.key").read_text())
    push(to, "leads=5", *ca, "--cert-file", both)
    sent = load(*to_load(daemon, folder, *shows(folder, "client"), "-n", 2000))
    assert sent["samples"] == 2000
    cases = (
        ((), "wants a certificate of this client", "hint: give one, with its key"),
        (shows(folder, "stranger"), "does not trust the authority of this client's certificate", ""),
    )
    for shown, words, hint in cases:
        done = push(to, "leads=6", *ca, *shown, check=False)
        assert done.returncode == 4, done.stderr
        assert words in done.stderr and hint in done.stderr
    assert daemon.value("sum(leads)") == 9


def test_a_token_is_shown_by_tls(kpid, folder):
    daemon = start(kpid, folder, options=", tokens: true")
    to = f"tls:localhost:{daemon.port('tcp')}"
    token = folder / "token"
    token.write_text(daemon.kpictl("token", "add", "web", "--role", "ingest").stdout)
    push(to, "leads=4", "--ca-file", folder / "ca.crt", "--token-file", token)
    sent = load(*to_load(daemon, folder, "--token-file", token, "-n", 100))
    assert sent["samples"] == 100
    assert "token" in fails(*to_load(daemon, folder))
    assert daemon.value("sum(leads)") == 4


def test_kpictl_shows_a_certificate_to_the_api_too(kpid, folder):
    make_certificate(folder, "client")
    port = free_port()
    files = f"cert: {folder}/server.crt, key: {folder}/server.key, client_ca: {folder}/ca.crt"
    kpid("kpis: { a: sum(a) }\n", server=f', http: {{ listen: "127.0.0.1:{port}", tls: {{ {files} }} }}')

    def status(*shown):
        command = [BUILD / "kpictl", "--url", f"https://localhost:{port}", "--ca-file", folder / "ca.crt", *shown]
        return subprocess.run([*command, "status"], capture_output=True, text=True, timeout=PATIENCE, check=False)

    done = status(*shows(folder, "client"))
    assert done.returncode == 0, done.stderr
    assert status().returncode == 3


def test_the_documented_lines_are_c(tmp_path):
    page = (ROOT / "docs" / "client.md").read_text()
    [lines] = re.findall(r"```c\n(const struct kpid_client_options.*?)```", page, re.S)
    source = tmp_path / "lines.c"
    source.write_text("#include <kpid_client.h>\n#include <stdio.h>\nint main(void)\n{\nconst char *token = NULL;\n"
                      f"{lines}\nkpid_client_free(client);\nreturn 0;\n}}\n")
    compiler = re.search(r"^CMAKE_C_COMPILER:\w+=(.*)$", (BUILD / "CMakeCache.txt").read_text(), re.M).group(1)
    subprocess.run([compiler, "-std=c99", "-Wall", "-Wextra", "-pedantic", "-Werror", "-fsyntax-only",
                    f"-I{ROOT / 'tools' / 'client'}", source], check=True, timeout=PATIENCE)


def test_files_that_cannot_be_used_are_named(kpid, folder):
    daemon = start(kpid, folder)
    assert "cannot read the authorities" in fails(*to_load(daemon, folder, ca="none"))
    words = fails(*to_load(daemon, folder, "--cert-file", folder / "server.crt", "--key-file", folder / "ca.key"))
    assert f"key '{folder}/ca.key' is not that of certificate '{folder}/server.crt'" in words
    assert "cannot read a token from" in fails(*to_load(daemon, folder, "--token-file", folder / "none"))


def test_a_long_run_goes_on_when_the_certificate_is_renewed(kpid, folder):
    daemon = start(kpid, folder)
    sender = subprocess.Popen([BUILD / "kpictl", "push", "--to", f"tls:localhost:{daemon.port('tcp')}", "--ca-file",
                               folder / "ca.crt", "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    for number in range(3):
        sender.stdin.write("leads=1\n" * 1000)
        sender.stdin.flush()
        wait_until(lambda: daemon.value("sum(leads)") == 1000 * (number + 1), "the samples")
        make_certificate(folder, "server")
        daemon.reload()
    out, _ = sender.communicate("leads=1\n", timeout=PATIENCE)
    assert sender.returncode == 0
    assert out == "3001 stored, 0 rejected\n"
    assert daemon.value("sum(leads)") == 3001
