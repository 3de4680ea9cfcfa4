"""kpictl push by kpid's own protocol and from standard input: acknowledged, each sample once, mistakes by line."""

import json
import os
import signal
import socket
import subprocess
import time

import pytest
from conftest import BUILD, PATIENCE, TICK, iso, wait_until
from ports import free_port

METRICS = """
metrics:
  leads: { type: counter }
  nps: { type: score, range: [ 0, 10 ] }
  visitors: { type: unique }
"""
BODY = 'ingest: [ { protocol: native, listen: "tcp:127.0.0.1:PORT"OPTIONS } ]\n' + METRICS


def tcp(kpid, options="", port=0):
    return kpid(BODY.replace("PORT", str(port)).replace("OPTIONS", options))


def address(daemon):
    return f"tcp:127.0.0.1:{daemon.port('tcp')}"


def push(daemon, to, *arguments, text=None, check=True):
    return daemon.kpictl("push", *(["--to", to] if to else []), *arguments, text=text, check=check)


@pytest.mark.parametrize("transport", ["tcp", "unix"])
def test_a_sample_is_stored_when_it_is_answered(kpid, transport):
    daemon = tcp(kpid) if transport == "tcp" else kpid(METRICS)
    to = address(daemon) if transport == "tcp" else f"unix:{daemon.folder / 'ingest.sock'}"
    for _ in range(3):
        assert push(daemon, to, "leads=3", "plan=pro", "Ort=Köln 東京").stdout == "stored 1 sample\n"
    daemon.kill()
    daemon.start()
    assert daemon.value('sum(leads{plan="pro",Ort="Köln 東京"})') == 9
    assert daemon.listeners()[transport]["stored"] == 3


def test_types_times_and_json(kpid):
    daemon = tcp(kpid)
    to = address(daemon)
    push(daemon, to, "stock=7", "--type", "gauge")
    push(daemon, to, "visitors=ann", "--type", "unique")
    push(daemon, to, "leads=5", "--at", iso(time.time() - 3600))
    counts = json.loads(push(daemon, to, "leads=2", "--json").stdout)
    assert counts == {"samples": 1, "stored": 1, "repeated": 0, "dropped": 0, "rejected": 0, "bad": 0, "unanswered": 0}
    assert daemon.value("last(stock)") == 7
    assert daemon.value("uniques(visitors)") == 1
    assert daemon.value("sum(leads)") == 7
    now = time.time()
    points = daemon.ask("query", "sum(leads)", "--from", iso(now - 1800), "--to", iso(now + 60))["points"]
    assert points[0]["value"] == 2


def test_what_is_wrong_is_said(kpid, tmp_path):
    daemon = tcp(kpid)
    to = address(daemon)
    cases = [
        (["leads=1", "--id", "a"], 2, "'--id' goes over HTTP alone"),
        (["-", "--id", "a"], 2, "'--id' is of one sample"),
        (["-", "plan=pro"], 2, "'-' takes no labels"),
        (["leads=one"], 2, "not a decimal number: 'one'"),
        (["leads=1e999"], 2, "not a decimal number"),
        (["leads"], 2, "not of the form NAME=VALUE: 'leads'"),
        (["leads=1", "a=1", "a=2"], 2, "label 'a' stands twice"),
        (["leads=1", "--type", "nonsense"], 2, "unknown type 'nonsense'"),
        (["leads=1", "--at", "2026-10-12"], 2, "with '--to' a time has an offset"),
        (["nps=11"], 4, "nps: the score is outside its range or not a whole number"),
        (["leads=1", "--at", "1999-01-01T00:00:00Z"], 4, "the time is too far in the future or the past"),
    ]
    for arguments, code, words in cases:
        done = push(daemon, to, *arguments, text="", check=False)
        assert (done.returncode, done.stdout) == (code, ""), (arguments, done)
        assert done.stderr.startswith("kpictl: ") and words in done.stderr, (arguments, done)
    for wrong in ("127.0.0.1:1", "tcp:127.0.0.1", "http://127.0.0.1", "tcp:::1:5", "unix:"):
        done = push(daemon, wrong, "leads=1", check=False)
        assert done.returncode == 2 and "not an address" in done.stderr, done
    done = push(daemon, f"unix:{tmp_path / 'none'}", "leads=1", check=False)
    assert done.returncode == 3 and "cannot connect: No such file or directory" in done.stderr, done
    assert "the sample is not acknowledged" in done.stderr
    assert daemon.value("sum(leads)") == 0


def test_a_token_is_shown(kpid, tmp_path):
    daemon = tcp(kpid, ", tokens: true")
    to = address(daemon)
    token = tmp_path / "token"
    token.write_text(daemon.kpictl("token", "add", "web", "--role", "ingest").stdout)
    push(daemon, to, "leads=4", "--token-file", token)
    assert push(daemon, to, "-", "--token-file", token, text="leads=5\n").stdout == "1 stored, 0 rejected\n"
    token.write_text("kpid_wrong\n")
    for more in (["leads=1"], ["leads=1", "--token-file", token], ["-"], ["-", "--token-file", token]):
        done = push(daemon, to, *more, text="leads=1\n", check=False)
        assert done.returncode == 4 and "token" in done.stderr and "is not acknowledged" in done.stderr, done
    done = push(daemon, to, "leads=1", "--token-file", tmp_path / "none", check=False)
    assert done.returncode == 2 and "cannot read a token" in done.stderr
    assert daemon.value("sum(leads)") == 9


LINES = """# what came on Monday
leads=1 plan=pro

  \t
leads=2\tplan=free   source=fair
leads=x
leads
leads=4 plan=pro plan=free
nps=11
leads=8\r
nps=9
leads=16"""


@pytest.mark.parametrize("way", ["tcp", "http"])
def test_mistakes_are_named_by_their_line_and_stop_nothing(kpid, way):
    daemon = tcp(kpid)
    done = push(daemon, address(daemon) if way == "tcp" else None, "-", "--json", text=LINES, check=False)
    assert done.returncode == 4, done
    counts = json.loads(done.stdout)
    assert (counts["stored"], counts["unanswered"]) == (5, 0)
    assert counts["rejected"] + counts["bad"] == 4
    said = done.stderr.splitlines()
    assert len(said) == 4, said
    for line, words in ((6, "'x'"), (7, "not of the form NAME=VALUE: 'leads'"), (8, "label 'plan' stands twice"), (9, "")):
        [one] = [text for text in said if text.startswith(f"kpictl: line {line}: ")]
        assert words in one
    assert daemon.value("sum(leads)") == 27
    assert daemon.value('sum(leads{plan="pro"})') == 1
    assert daemon.value('sum(leads{source="fair"})') == 2


@pytest.mark.parametrize("way", ["tcp", "http"])
def test_exit_codes_and_words_of_a_stream(kpid, way):
    daemon = tcp(kpid)
    to = address(daemon) if way == "tcp" else None
    for text, code, said in (("", 0, "0 stored, 0 rejected\n"), ("# nothing\n\n", 0, "0 stored, 0 rejected\n"),
                             ("leads=1\nleads=2", 0, "2 stored, 0 rejected\n"),
                             ("leads=1\nleads\n", 1, "1 stored, 0 rejected, 1 wrong\n"),
                             ("leads=1\nnps=11\n", 4, "1 stored, 1 rejected\n")):
        done = push(daemon, to, "-", text=text, check=False)
        assert (done.returncode, done.stdout) == (code, said), (text, done)
    long = "leads=1\n" + "x" * 200_000 + "=1\nleads=2\n" + "y" * 70_000
    done = push(daemon, to, "-", text=long, check=False)
    assert (done.returncode, done.stdout) == (1, "2 stored, 0 rejected, 2 wrong\n"), done
    assert [line.split(":")[1] for line in done.stderr.splitlines()] == [" line 2", " line 4"]
    assert daemon.value("sum(leads)") == 8


def test_rejected_beyond_what_kpid_names_are_counted(kpid):
    daemon = tcp(kpid)
    done = push(daemon, address(daemon), "-", text="nps=5\n" + "nps=11\n" * 20, check=False)
    assert (done.returncode, done.stdout) == (4, "1 stored, 20 rejected\n")
    said = done.stderr.splitlines()
    assert [line.split(":")[1] for line in said[:16]] == [f" line {n}" for n in range(2, 18)]
    assert "lines 1 to 21: 4 more rejected" in said[16]


@pytest.mark.parametrize("way", ["tcp", "http"])
def test_what_came_within_a_second_is_sent_while_the_input_stays_open(kpid, way):
    daemon = tcp(kpid)
    command = [BUILD / "kpictl", "--socket", daemon.control, "push", "-"]
    sender = subprocess.Popen(command + (["--to", address(daemon)] if way == "tcp" else []), stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, text=True)
    for wanted in (1, 2):
        sender.stdin.write("leads=1\n")
        sender.stdin.flush()
        wait_until(lambda: daemon.value("sum(leads)") == wanted, "the sample")
    out, _ = sender.communicate(timeout=PATIENCE)
    assert (sender.returncode, out) == (0, "2 stored, 0 rejected\n")


@pytest.mark.parametrize("way", ["tcp", "http"])
def test_many_lines_are_exact(kpid, way):
    daemon = tcp(kpid)
    text = "".join(f"leads={i} shop=s{i % 7}\n" for i in range(25_000))
    done = push(daemon, address(daemon) if way == "tcp" else None, "-", text=text)
    assert done.stdout == "25000 stored, 0 rejected\n"
    assert daemon.value("sum(leads)") == sum(range(25_000))


@pytest.mark.threads
def test_kills_of_kpid_in_the_middle_leave_each_sample_counted_once(kpid):
    port = free_port()
    daemon = tcp(kpid, port=port)
    sender = subprocess.Popen([BUILD / "kpictl", "push", "-", "--to", f"tcp:127.0.0.1:{port}", "--json"],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    count = 0
    for _ in range(4):
        for _ in range(8000):
            count += 1
            sender.stdin.write(f"leads={count} shop=s{count % 5}\n")
        sender.stdin.flush()
        TICK.wait(0.05)
        daemon.kill()
        daemon.start()
    out, err = sender.communicate(timeout=PATIENCE * 2)
    assert sender.returncode == 0, err
    counts = json.loads(out)
    assert counts["samples"] == counts["stored"] + counts["repeated"] == count
    assert daemon.value("sum(leads)") == count * (count + 1) // 2
    assert daemon.listeners()["tcp"]["stored"] == count


def test_memory_is_bounded_and_an_interrupt_says_what_is_not_acknowledged(tmp_path):
    """A listener that never answers: the input waits, and kpictl does not grow."""
    silent = socket.socket(socket.AF_UNIX)
    silent.bind(str(tmp_path / "silent"))
    silent.listen(1)
    sender = subprocess.Popen([BUILD / "kpictl", "push", "-", "--to", f"unix:{tmp_path / 'silent'}", "--json"],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    os.set_blocking(sender.stdin.fileno(), False)
    line = b"leads=1 note=" + b"x" * 400 + b"%07d\n"
    taken, last = 0, time.monotonic()
    pending = b""
    while time.monotonic() - last < 1.5 and taken < 40_000_000:
        if not pending:
            pending = b"".join(line % (taken + i) for i in range(100))
        try:
            wrote = os.write(sender.stdin.fileno(), pending)
            taken, last, pending = taken + wrote, time.monotonic(), pending[wrote:]
        except BlockingIOError:
            TICK.wait(0.02)
    assert 2_000_000 < taken < 8_000_000
    sender.send_signal(signal.SIGINT)
    out, err = sender.communicate(timeout=PATIENCE)
    silent.close()
    assert sender.returncode == -signal.SIGINT
    counts = json.loads(out)
    assert counts["stored"] == 0 and counts["unanswered"] == counts["samples"] > 1000
    words = err.decode()
    assert words.startswith("kpictl: interrupted\n")
    assert f"{counts['samples']} samples are not acknowledged, from line 1 to line {counts['samples']};" in words
    assert f"the lines after line {counts['samples']} were not sent" in words
