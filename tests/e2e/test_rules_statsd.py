"""Rules of StatsD and DogStatsD that are about the whole kpid: what fits into a datagram, and what takes the
place of what people have where they come from."""

import re
import shlex
import socket
import struct
import subprocess

import pytest

from conftest import BUILD, ROOT, wait_until

LISTENERS = """
ingest:
  - { protocol: dogstatsd, listen: "udp:127.0.0.1:0" }
  - { protocol: dogstatsd, listen: "unixgram:FOLDER/gram.sock" }
  - { protocol: dogstatsd, listen: "unix:FOLDER/stream.sock" }
  - { protocol: statsd, listen: "tcp:127.0.0.1:0" }
"""
DOCUMENT = (ROOT / "docs" / "protocols.md").read_text(encoding="utf-8")


def start(kpid, folder):
    return kpid(LISTENERS.replace("FOLDER", str(folder)))


def table_after(words):
    """The rows of the first table behind `words`; cells without their backquotes, escaped bars as bars."""
    lines = DOCUMENT[DOCUMENT.index(words):].splitlines()
    begin = next(number for number, line in enumerate(lines) if line.startswith("|---"))
    rows = []
    for line in lines[begin + 1:]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
    return rows


def codes(cell):
    return re.findall(r"`([^`]*)`", cell)


# --- datagrams ----------------------------------------------------------------------------------------


def datagram(size):
    """Lines of ten bytes that fill it to the last byte, the last one without its newline."""
    line = b"big:1|c\n"
    count = size // len(line)
    head = b"big:" + b"0" * (size - count * len(line)) + b"1|c\n"  # the first one takes what is left over
    data = head + line * (count - 1)
    assert len(data) == size
    return data, count


@pytest.mark.parametrize("size", [8191, 8192, 8193, 16384, 65507])
def test_datagrams_larger_than_an_agents_buffer_are_taken_whole(kpid, tmp_path, size):  # D13, S16
    daemon = start(kpid, tmp_path)
    data, count = datagram(size)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(data, ("127.0.0.1", daemon.port("udp")))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        sender.sendto(data, str(tmp_path / "gram.sock"))
    with socket.socket(socket.AF_UNIX) as sender:
        sender.connect(str(tmp_path / "stream.sock"))
        sender.sendall(struct.pack("<I", size) + data)  # D12
    wait_until(lambda: daemon.value("sum(big)") == 3 * count, f"three times {count} samples")
    for transport in ("udp", "unixgram", "unix"):
        ledger = daemon.listeners()[transport]
        assert (ledger["received"], ledger["stored"], ledger["rejected"]) == (count, count, {}), transport


# --- derived names ------------------------------------------------------------------------------------

TIMES = [12, 7, 900, 34, 33, 2, 450, 61, 120, 8]


def etsys(times):
    """What etsy's server makes of a timer at each flush, by name (S18)."""
    times = sorted(times)
    best = times[: round(0.9 * len(times))]
    return {"count": len(times), "sum": sum(times), "mean": sum(times) / len(times), "upper": times[-1],
            "lower": times[0], "median": (times[4] + times[5]) / 2, "upper_90": best[-1]}


def agents(times):
    """What Datadog's agent makes of a histogram (D15)."""
    found = etsys(times)
    return {"max": found["upper"], "median": found["median"], "avg": found["mean"], "count": found["count"],
            "95percentile": sorted(times)[-1]}


def test_each_derived_name_has_its_formula(kpid, tmp_path):  # S18, D15
    rows = table_after("**Derived names.**")
    told = {name: (codes(formula) or [None])[0] for names, formula in rows for name in codes(names)}
    expected = {**{f"x.{name}": value for name, value in etsys(TIMES).items()},
                **{f"x.{name}": value for name, value in agents(TIMES).items()}}
    everything = {f"x.{name}" for name in (
        "count", "count_ps", "sum", "sum_squares", "mean", "median", "std", "upper", "lower", "count_90", "mean_90",
        "upper_90", "sum_90", "sum_squares_90", "max", "avg", "95percentile")}
    assert everything <= set(told), everything - set(told)  # each is answered, if only by "nothing"
    daemon = start(kpid, tmp_path)
    with socket.create_connection(("127.0.0.1", daemon.port("tcp"))) as stream:
        stream.sendall("".join(f"x:{time}|ms\n" for time in TIMES).encode())
    wait_until(lambda: daemon.value("count(x)") == len(TIMES), "the timers")
    for name, value in expected.items():
        assert told[name] is not None, name
        # Percentiles are by nearest rank, and within 0.6 %; etsy's median is in the middle of 33 and 34.
        assert daemon.value(told[name]) == pytest.approx(value, rel=0.025), (name, told[name])
    rate = daemon.value(told["x.count_ps"])
    assert rate is not None and 0 < rate < len(TIMES), told["x.count_ps"]


# --- the admin console --------------------------------------------------------------------------------


def test_what_the_admin_console_says_others_say(kpid, tmp_path):  # S19: it is not built
    rows = table_after("admin console")
    told = {word: codes(command) for words, command in rows for word in codes(words)}
    assert {"health", "stats", "counters", "gauges", "timers", "delcounters", "delgauges", "deltimers"} <= set(told)
    daemon = start(kpid, tmp_path)
    with socket.create_connection(("127.0.0.1", daemon.port("tcp"))) as stream:
        stream.sendall(b"orders:3|c\nqueue:7|g\n" + b"gone:1|c\n")
    wait_until(lambda: daemon.value("sum(gone)") == 1, "the samples")
    # Metrics are listed by the minutes that were committed.
    wait_until(lambda: "orders" in daemon.kpictl("metrics", "list").stdout, "the metrics to be listed")
    printed = {}
    for word, commands in told.items():
        for command in commands:
            words = shlex.split(command.replace("NAME", "gone"))
            if words[0] == "kpictl":
                sure = ["--yes"] if "drop-series" in words else []
                printed[word, words[-1]] = daemon.kpictl(*words[1:], *sure).stdout
            else:
                assert words == ["GET", "/readyz"], command
                assert daemon.get("/readyz")[0] == 200
    assert "orders" in printed["counters", "list"] and "queue" in printed["gauges", "list"]
    assert re.search(r"^gone +counter ", printed["counters", "gone"], re.MULTILINE)
    assert "received" in printed["stats", "ingest"].lower()
    assert "1 series" in printed["delcounters", "gone"]
    refused = subprocess.run([BUILD / "kpid", "--check", "-c", "/dev/stdin"], input="server: { admin: 8126 }\n",
                             text=True, capture_output=True, check=False, timeout=60)
    assert refused.returncode == 1  # nobody can believe that there is one
