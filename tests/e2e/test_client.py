"""libkpid-client and kpiload's native protocol against a real kpid: each sample counts once, whatever ends."""

import json
import os
import random
import re
import shutil
import subprocess

import pytest
from conftest import BUILD, PATIENCE, ROOT, TICK, load
from ports import free_port

HEADER = ROOT / "tools" / "client" / "kpid_client.h"
BODY = 'ingest: [ { protocol: native, listen: "tcp:127.0.0.1:PORT" } ]\n'


def run(*command, **more):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=PATIENCE * 2, check=False,
                          **more)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def assert_exact(daemon, transport, sent):
    have = {
        "cnt_sum": round(daemon.value("sum(bench_api_cnt)"), 2),
        "tim_sum": round(daemon.value("sum(bench_api_tim)"), 2),
        "tim_count": daemon.value("count(bench_api_tim)"),
        "samples": daemon.listeners()[transport]["stored"],
    }
    assert have == {key: sent[key] for key in have}
    assert set(daemon.listeners()[transport]["dropped"]) <= {"duplicate"}


@pytest.mark.parametrize("transport", ["tcp", "unix"])
def test_a_load_is_acknowledged_and_exact(kpid, transport):
    daemon = kpid(BODY.replace("PORT", "0") if transport == "tcp" else "")
    address = f"127.0.0.1:{daemon.port('tcp')}" if transport == "tcp" else daemon.folder / "ingest.sock"
    sent = load("-t", transport, "-a", address, "-p", "native", "-n", 20000, "-s", 500, "-b", 300, "-c", 3)
    assert sent["samples"] == 20000
    assert sent["errors"] == 0
    assert 0 < sent["p50_ms"] <= sent["p99_ms"]
    assert_exact(daemon, transport, sent)


@pytest.mark.threads
def test_kills_of_kpid_while_a_load_runs_leave_each_sample_counted_once(kpid):
    port = free_port()
    daemon = kpid(BODY.replace("PORT", str(port)))
    chaos = random.Random(7)
    sender = subprocess.Popen(
        [BUILD / "kpiload", "-t", "tcp", "-a", f"127.0.0.1:{port}", "-p", "native", "-n", "20000", "-s", "500", "-b", "100",
         "-c", "2", "-r", "5000", "-j"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    for _ in range(6):
        TICK.wait(chaos.uniform(0.05, 0.5))  # the moment of the kill is what is random here
        daemon.kill()
        daemon.start()
    out, err = sender.communicate(timeout=PATIENCE * 2)
    assert sender.returncode == 0, err
    sent = json.loads(out)
    assert sent["samples"] == 20000
    assert_exact(daemon, "tcp", sent)


def test_a_load_to_nobody_ends_with_words(tmp_path):
    done = subprocess.run([BUILD / "kpiload", "-t", "unix", "-a", tmp_path / "none", "-p", "native", "-n", "10"],
                          capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 1
    assert "cannot connect: No such file or directory" in done.stderr


def page():
    """The program in docs/client.md."""
    return re.search(r"```c\n(.*?)```", (ROOT / "docs" / "client.md").read_text(), re.S).group(1)


def example():
    """The program in the header, as it stands there."""
    text = HEADER.read_text()
    return "".join(line.removeprefix(" *").removeprefix("   ") + "\n"
                   for line in text[text.index(" *   #include") : text.index(" *   cc example.c")].splitlines())


@pytest.fixture
def installed(tmp_path):
    """cflags(static) of the library in a place of its own."""
    prefix = tmp_path / "prefix"
    run("cmake", "--install", BUILD, "--component", "client", "--prefix", prefix)
    [pc] = prefix.rglob("kpid-client.pc")
    cache = (BUILD / "CMakeCache.txt").read_text()
    sanitize = re.search(r"^KPID_SANITIZE:STRING=(.*)$", cache, re.M).group(1)

    def flags(*options):
        found = run("pkg-config", f"--define-variable=prefix={prefix}", *options, "kpid-client",
                    env={**os.environ, "PKG_CONFIG_PATH": str(pc.parent)}).split()
        return found + ([f"-fsanitize={sanitize}"] if sanitize else [])

    return pc.parent.parent, flags


@pytest.mark.parametrize("kind, text", [("static", example()), ("shared", example()), ("shared", page())])
def test_the_documented_programs_work_as_they_stand(kpid, tmp_path, installed, kind, text):
    daemon = kpid(BODY.replace("PORT", "0"))
    libraries, flags = installed
    assert "tcp:127.0.0.1:8641" in text
    source = tmp_path / "example.c"
    source.write_text(text.replace("8641", str(daemon.port("tcp"))))
    used = flags("--cflags", "--libs", *(["--static"] if kind == "static" else []))
    if kind == "static":
        used = [f"-l:lib{flag[2:]}.a" if flag == "-lkpid-client" else flag for flag in used]
    compiler = re.search(r"^CMAKE_C_COMPILER:\w+=(.*)$", (BUILD / "CMakeCache.txt").read_text(), re.M).group(1)
    run(compiler, "-std=c99", "-Wall", "-Wextra", "-pedantic", "-Werror", source, *used, "-o", tmp_path / "example")
    run(tmp_path / "example", env={**os.environ, "LD_LIBRARY_PATH": str(libraries)})
    assert daemon.value("last(queue)") == 7
    if text == page():
        assert daemon.value('sum(orders{plan="pro"})') == 10000
        return
    assert daemon.value('sum(signup{plan="pro",country="de"})') == 1
    assert daemon.value('max(checkout.ms{plan="pro"})') == pytest.approx(41.5)


def test_the_header_is_one_of_cxx_too():
    if shutil.which("clang-14") is None:
        pytest.skip("no compiler of C++")
    run("clang-14", "-x", "c++", "-std=c++11", "-Wall", "-Wextra", "-pedantic", "-Werror", "-fsyntax-only", HEADER)


def test_a_token_is_asked_for_and_found_out(kpid, tmp_path):
    """Whoever may not speak is told so by the library's words."""
    daemon = kpid('ingest: [ { protocol: native, listen: "tcp:127.0.0.1:0", tokens: true } ]\n')
    done = subprocess.run([BUILD / "kpiload", "-t", "tcp", "-a", f"127.0.0.1:{daemon.port('tcp')}", "-p", "native", "-n",
                           "10"], capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 1
    assert "token" in done.stderr
