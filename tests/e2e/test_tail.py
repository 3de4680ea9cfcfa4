"""What comes to the listeners, as people see it: `kpictl ingest tail` and `ingest --reasons`."""

import json
import re
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request

import native_client
from conftest import BUILD, PATIENCE, TICK, wait_until
from remote_write import STALE, V2, request_2, snappy
from test_limits import LISTENERS, limited, send

def tail(made, *arguments, send_it):
    """What the tail shows while `send_it` is called again and again."""
    over = threading.Event()

    def go_on():
        while not over.is_set():
            send_it()
            TICK.wait(0.1)

    sender = threading.Thread(target=go_on, daemon=True)
    sender.start()
    done = subprocess.run(
        [BUILD / "kpictl", "--socket", made.control, "ingest", "tail", *arguments],
        capture_output=True, text=True, timeout=PATIENCE, check=False,
    )
    over.set()
    sender.join()
    assert done.returncode == 0, done.stderr
    return done.stdout


def samples(made, *arguments, send_it):
    return [json.loads(line) for line in tail(made, "--json", *arguments, send_it=send_it).splitlines()]


def test_tail_shows_what_each_sample_became(kpid):
    made = kpid(LISTENERS + "metrics: { stock: { type: gauge } }\n")
    lines = ["orders:2|c|@0.5|#plan:pro", "stock:+3|g", "stock:7|c", "users:ann|s", "broken"]
    shown = samples(made, "-n", "20", send_it=lambda: send(made, lines))
    assert len(shown) == 20
    by_series = {one["series"]: one for one in shown if "series" in one}
    assert set(by_series) == {'orders{plan="pro"}', "stock", "users"}
    orders = by_series['orders{plan="pro"}']
    assert orders["listener"].startswith("statsd tcp:") and orders["at"].endswith("Z")
    assert (orders["name"], orders["labels"], orders["kind"]) == ("orders", {"plan": "pro"}, "counter")
    assert (orders["value"], orders["weight"]) == (2, 2)
    assert by_series["users"]["value"] == "ann"
    stock = [one for one in shown if one.get("series") == "stock"]
    assert {one["kind"] for one in stock} == {"gauge"}  # the declared type (FIG-8)
    assert {one.get("change", one.get("value")) for one in stock} == {3, 7}
    rejected = [one for one in shown if "rejected" in one]
    assert rejected[0]["rejected"] == "malformed" and rejected[0]["example"] == "broken"


def test_tail_says_what_went_to_other(kpid):
    made = limited(kpid(LISTENERS, start=False, threads=1), series=1)
    send(made, ["orders:1|c|#n:1"])
    shown = samples(made, "-n", "4", send_it=lambda: send(made, ["orders:1|c|#n:1", "orders:1|c|#n:2"]))
    assert {one["series"] for one in shown} == {'orders{n="1"}', 'orders{__other__="true"}'}


EVERYTHING = """ingest:
  - { protocol: dogstatsd, listen: udp:127.0.0.1:0 }
  - { protocol: graphite, listen: tcp:127.0.0.1:0 }
  - { protocol: influx, listen: udp:127.0.0.2:0 }
  - { protocol: influx, listen: http:127.0.0.1:0 }
  - { protocol: prometheus, listen: http:127.0.0.2:0 }
  - { protocol: json, listen: http:127.0.0.3:0 }
metrics: { served: { type: counter, reset: cumulative } }
"""


def test_tail_shows_what_is_dropped_while_it_is_read_and_events(kpid):
    made = limited(kpid(EVERYTHING, start=False), series_per_metric=1)
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    def post(host, path, body, **headers):
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        address = f"http://{host}:{made.port('http', host)}{path}"
        try:
            urllib.request.urlopen(urllib.request.Request(address, body, headers), timeout=PATIENCE).close()
        except urllib.error.HTTPError as error:
            error.close()

    def all_of_them():
        now = int(time.time() * 1000)
        udp.sendto(b"_e{5,2}:go up|hi|t:warning", ("127.0.0.1", made.port("udp")))
        udp.sendto(b"_sc|db|2", ("127.0.0.1", made.port("udp")))
        udp.sendto(b'disk note="full"', ("127.0.0.2", made.port("udp", "127.0.0.2")))
        send(made, [f"load nan {now // 1000}"])
        post("127.0.0.1", "/write", b'host note="x",text="y"\n')
        marked = request_2(({"__name__": "gone"}, 2, (STALE, now)), ({"__name__": "odd"}, 2, (float("nan"), now)))
        post("127.0.0.2", "/w", snappy(marked), Content_Type=V2, Content_Encoding="snappy")
        totals = {"samples": [{"name": "served", "value": 1, "labels": {"user": str(i)}} for i in range(3)]}
        post("127.0.0.3", "/push", json.dumps(totals).encode())

    all_of_them()
    shown = samples(made, "-n", "60", send_it=all_of_them)
    dropped = {(one["listener"].split()[0], one.get("name"), one["dropped"], one["samples"])
               for one in shown if "dropped" in one}
    assert dropped >= {("influx", "disk_note", "string", 1), ("graphite", "load", "not_finite", 1),
                       ("influx", "host_note", "string", 2), ("prometheus", "gone", "stale_marker", 1),
                       ("prometheus", "odd", "not_finite", 1), ("json", None, "series_limit", 2)}
    assert {(one["event"], one["kind"]) for one in shown if "event" in one} == {("go up", "warning")}
    assert [one["value"] for one in shown if one.get("name") == "service_check.db"][0] == 2
    text = tail(made, "-n", "60", send_it=all_of_them)
    assert "  event  warning  go up\n" in text and "  dropped string: host_note  (2 samples)\n" in text


def test_tail_of_one_listener_and_of_what_is_rejected(kpid):
    made = kpid(LISTENERS)

    def both():
        send(made, ["orders:1|c", "broken"])
        body = b"visits count=1i\nnonsense\n"
        request = urllib.request.Request(f"http://127.0.0.1:{made.port('http')}/write?db=x", body)
        try:
            urllib.request.urlopen(request, timeout=PATIENCE).close()
        except urllib.error.HTTPError as error:
            error.close()

    shown = samples(made, "-n", "4", "--rejected", send_it=both)
    assert all(one["rejected"] == "malformed" for one in shown)
    shown = samples(made, "-n", "4", "--listener", "influx", send_it=both)
    assert all(one["listener"].startswith("influx ") for one in shown)
    assert {"visits_count"} == {one["name"] for one in shown if "name" in one}
    text = tail(made, "-n", "3", "--listener", "influx", send_it=both)
    assert "untyped  visits_count  1" in text or 'rejected malformed' in text
    examples = {one["listen"].split(":")[0]: one["examples"] for one in made.ask("ingest")["listeners"]}
    assert 1 <= len(examples["tcp"]) <= 3
    assert {(one["reason"], one["example"]) for one in examples["tcp"]} == {("malformed", "broken")}
    assert {one["example"] for one in examples["http"]} == {"nonsense"}
    text = made.kpictl("ingest", "--reasons").stdout
    assert ': "broken"' in text and ': "nonsense"' in text


def test_a_flood_is_cut_and_said_to_be(kpid):
    made = kpid(LISTENERS)
    lines = [f"orders:1|c|#n:{i}" for i in range(1000)]
    over = threading.Event()
    sender = threading.Thread(target=lambda: [send(made, lines) for _ in iter(over.is_set, True)], daemon=True)
    sender.start()
    done = made.kpictl("ingest", "tail", "-n", "250")
    over.set()
    sender.join()
    assert len(done.stdout.splitlines()) == 250
    assert "more samples are not shown" in done.stderr


def test_examples_are_escaped_once(kpid, tmp_path):
    body = LISTENERS + f'  - {{ protocol: native, listen: "unix:{tmp_path}/native.sock" }}\n'
    made = kpid(body)

    def all_three():
        send(made, ['bro\x02ken "one"'])
        request = urllib.request.Request(f"http://127.0.0.1:{made.port('http')}/write?db=x", b"non\x02sense")
        try:
            urllib.request.urlopen(request, timeout=PATIENCE).close()
        except urllib.error.HTTPError as error:
            error.close()
        made.native.ask(native_client.Batch(made.native.sequence).add("a\x01b"))
        made.native.sequence += 1

    made.native = native_client.Connection(made.folder / "native.sock", b"0123456789abcdef", 1)
    made.native.sequence = 1
    shown = {one["example"] for one in samples(made, "-n", "6", "--rejected", send_it=all_three)}
    wanted = {"bro\\x02ken \\x22one\\x22", "non\\x02sense",
              "a\\x01b: the metric's name is not UTF-8, or holds 0x00 or 0x01"}
    assert shown == wanted
    kept = {one["example"] for listener in made.ask("ingest")["listeners"] for one in listener["examples"]}
    assert kept == wanted
    for example in wanted:
        wait_until(lambda said=f'example="{example}"': said in made.log(), f"{example} in the log")


def test_wrong_usage_is_said(kpid):
    made = kpid(LISTENERS)
    assert made.kpictl("ingest", "head", check=False).returncode == 2
    assert made.kpictl("ingest", "--rejected", check=False).returncode == 2
    assert made.kpictl("ingest", "tail", "-n", "0", check=False).returncode == 2
    assert made.get("/api/v1/ingest/tail?after=x")[0] == 400


def test_a_listener_that_is_not_there_is_said_and_who_is(kpid):
    made = kpid(LISTENERS)
    refused = made.kpictl("ingest", "tail", "--listener", "nosuch", check=False)
    assert refused.returncode == 4 and refused.stdout == ""
    assert "no listener has 'nosuch' in its name" in refused.stderr
    assert "hint: there are: " in refused.stderr
    for name in ("statsd tcp:", "influx http:"):
        assert name in refused.stderr
    (made.folder / "many").mkdir()
    lines = [f'  - {{ protocol: statsd, listen: "udp:127.0.0.{i}:0" }}\n' for i in range(1, 41)]
    many = kpid("ingest:\n" + "".join(lines), folder=made.folder / "many")
    refused = many.kpictl("ingest", "tail", "--listener", "nosuch", check=False)
    assert re.search(r"statsd udp:127.0.0.1:\d+, .*, and \d\d more$", refused.stderr, re.M), refused.stderr
