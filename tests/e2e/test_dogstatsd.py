"""DogStatsD over UDP and a Unix datagram socket: figures with tags, events as annotations, service
checks as gauges, what clients say that they dropped; notes of people take the same road."""

import json
import socket
import struct
import time

from conftest import iso, wait_until

LISTENERS = """
ingest:
  - { protocol: dogstatsd, listen: "udp:127.0.0.1:0" }
  - { protocol: dogstatsd, listen: "unixgram:FOLDER/dsd.sock" }
  - { protocol: dogstatsd, listen: "unix:FOLDER/stream.sock" }
  - { protocol: statsd, listen: "tcp:127.0.0.1:0", unknown_as_counter: true }
"""


def start(kpid, folder):
    return kpid(LISTENERS.replace("FOLDER", str(folder)), folder=folder)


def send_udp(daemon, text):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(text.encode(), ("127.0.0.1", daemon.port("udp")))


def send_unix(folder, text):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.sendto(text.encode(), str(folder / "dsd.sock"))


def send_stream(folder, *packets):
    """Each packet has its length before it, as 32 little-endian bits (D12)."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sender:
        sender.connect(str(folder / "stream.sock"))
        for packet in packets:
            sender.sendall(struct.pack("<I", len(packet)) + packet.encode())


def annotations(daemon, *arguments):
    return daemon.ask("annotations", *arguments)["annotations"]


def titles(daemon, *arguments):
    return [one["title"] for one in annotations(daemon, *arguments)]


def check_balance(daemon):
    for one in daemon.ask("ingest")["listeners"]:
        told = one["stored"] + sum(one["rejected"].values()) + sum(one["dropped"].values())
        assert one["received"] == told, one


def test_lines_events_and_checks_come_by_every_transport(kpid, tmp_path):
    daemon = start(kpid, tmp_path)
    send_udp(daemon, "views:1:2:3|c|#page:home\nviews:4|c|#page:cart|c:ci-1|card:low\nbad|line")
    send_unix(tmp_path, "views:10|c|@0.5|#page:home\n_e{7,10}:deploy1|line\\nmore|t:success|#env:prod")
    send_stream(
        tmp_path,
        "views:100|c|#page:home",
        "_e{7,0}:deploy2||h:web1|k:release|s:ci|p:low\n_sc|db.up|2|h:db1|m:no answer",
    )
    wait_until(lambda: daemon.value("sum(views)") == 130, "all views")
    assert daemon.value('sum(views{page="home"})') == 126
    wait_until(lambda: len(titles(daemon)) == 3, "three annotations")
    assert daemon.value('last(service_check.db.up{host="db1"})') == 2
    found = {one["title"]: one for one in annotations(daemon)}
    assert found["deploy1"]["text"] == "line\nmore"
    assert found["deploy1"]["kind"] == "success"
    assert found["deploy1"]["tags"] == ["env:prod"]
    assert found["deploy2"]["host"] == "web1"
    assert found["deploy2"]["priority"] == "low"
    assert (found["deploy2"]["key"], found["deploy2"]["source"]) == ("release", "ci")
    assert found["db.up is critical"]["kind"] == "error"
    assert found["db.up is critical"]["text"] == "no answer"
    assert daemon.listeners()["udp"]["rejected"] == {"malformed": 1}
    assert daemon.listeners()["unixgram"]["received"] == 2
    check_balance(daemon)
    table = daemon.kpictl("annotations").stdout
    assert "deploy1" in table and "line..." in table and "env:prod" in table


def test_a_tag_without_a_value_can_be_asked_for_and_an_empty_one_is_none(kpid, tmp_path):  # D7
    daemon = start(kpid, tmp_path)
    send_udp(daemon, "calls:1|c|#urgent\ncalls:2|c|#urgent:\ncalls:4|c\ncalls:8|c|#urgent:no,more:\n"
                     "calls:16|c|#urgent:true,")
    wait_until(lambda: daemon.listeners()["udp"]["stored"] == 5, "all lines")
    assert daemon.value('sum(calls{urgent="true"})') == 17
    assert daemon.value('sum(calls{urgent=""})') == 6
    shown = [one["series"] for one in daemon.ask("metrics", "series", "calls")["series"]]
    assert sorted(shown) == ["calls", 'calls{urgent="no"}', 'calls{urgent="true"}']


def test_what_is_not_utf8_in_an_event_is_shown_replaced(kpid, tmp_path):  # D8, D10
    daemon = start(kpid, tmp_path)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"_e{2,1}:a\xff|b\n_sc|up\xff|2|m:down\n_sc|up|2|m:gone\xfe",
                      ("127.0.0.1", daemon.port("udp")))
    wait_until(lambda: len(annotations(daemon)) == 2, "the event and the change of one check")
    assert sorted(titles(daemon)) == ["a\ufffd", "up is critical"]
    assert daemon.listeners()["udp"]["rejected"] == {"bad_name": 1}


def test_what_was_flushed_outlives_a_kill_and_a_stop_loses_nothing(kpid, tmp_path):
    daemon = start(kpid, tmp_path)
    send_udp(daemon, "_e{6,4}:before|text")
    wait_until(lambda: titles(daemon) == ["before"], "the event")
    daemon.kill()
    daemon.start()
    assert titles(daemon) == ["before"]
    send_unix(tmp_path, "_e{4,4}:last|text")  # is in the socket when the stop begins
    daemon.stop()
    daemon.start()
    assert titles(daemon) == ["last", "before"]


def test_a_range_of_events_is_read_in_pages(kpid, tmp_path):
    daemon = start(kpid, tmp_path)
    now = int(time.time())
    lines = [f"_e{{{len(str(i))},0}}:{i}||d:{now - 1000 + i}" for i in range(250)]
    for i in range(0, 250, 50):
        send_unix(tmp_path, "\n".join(lines[i : i + 50]))
    wait_until(lambda: len(titles(daemon, "-n", "1000")) == 250, "all events")
    assert titles(daemon) == [str(i) for i in range(249, 149, -1)]
    between = titles(daemon, "--from", iso(now - 990), "--to", iso(now - 980))
    assert between == [str(i) for i in range(19, 9, -1)]
    assert "older ones are not shown" in daemon.kpictl("annotations", "-n", "3").stdout


def test_what_clients_dropped_stands_beside_the_ledger(kpid, tmp_path):
    daemon = start(kpid, tmp_path)
    tags = "|c|#client:nodejs,client_version:1.2,client_transport:uds"
    for _ in range(3):
        send_unix(
            tmp_path,
            f"datadog.dogstatsd.client.packets_dropped:2{tags}\n"
            f"datadog.dogstatsd.client.bytes_dropped:200{tags}",
        )
    wanted = {"client": "nodejs", "version": "1.2", "transport": "uds", "packets": 6, "bytes": 600, "metrics": 0}
    wait_until(lambda: daemon.listeners()["unixgram"]["client_drops"] == [wanted], "the drops")
    assert daemon.listeners()["udp"]["client_drops"] == []
    wait_until(lambda: daemon.value("sum(datadog.dogstatsd.client.packets_dropped)") == 6, "the metric")
    assert "client nodejs 1.2 over uds dropped 6 packets (600 bytes)" in daemon.kpictl("ingest").stdout


def test_an_unknown_type_is_a_counter_where_that_is_wanted(kpid, tmp_path):
    daemon = start(kpid, tmp_path)
    with socket.create_connection(("127.0.0.1", daemon.port("tcp"))) as stream:
        stream.sendall(b"odd:5|d\nodd:6|kv\n")
    wait_until(lambda: daemon.value("sum(odd)") == 11, "the counter")


def test_people_note_things_too(kpid, tmp_path):
    daemon = start(kpid, tmp_path)
    at = iso(int(time.time()) - 3600)
    told = daemon.kpictl("annotate", "price change", "--text", "9 to 12", "--at", at, "plan=pro", "web")
    assert "stored 1" in told.stdout
    daemon.kpictl("annotate", "outage", "--kind", "error")
    note, outage = sorted(annotations(daemon), key=lambda one: one["title"], reverse=True)
    assert (note["title"], note["text"], note["tags"]) == ("price change", "9 to 12", ["plan:pro", "web"])
    assert note["source"] == "kpictl" and outage["kind"] == "error"
    for wrong in (["annotate", ""], ["annotate", "x", "--kind", "fatal"], ["annotate", "x", "--at", "soon"]):
        assert daemon.kpictl(*wrong, check=False).returncode == 4, wrong
    assert daemon.kpictl("annotate", "x", "a,b", check=False).returncode == 2
    assert daemon.kpictl("annotations", "--from", "soon", check=False).returncode == 4
    daemon.kill()
    daemon.start()
    assert len(titles(daemon)) == 2  # what was answered is stored


def test_annotations_travel_with_an_export(kpid, tmp_path):
    daemon = start(kpid, tmp_path)
    send_udp(daemon, "_e{5,4}:title|text|h:web|t:warning|#a:b,c")
    wait_until(lambda: titles(daemon) == ["title"], "the event")
    lines = daemon.kpictl("export").stdout
    assert any(json.loads(line).get("annotation") for line in lines.splitlines())
    (tmp_path / "lines").write_text(lines)
    other = tmp_path / "other"
    other.mkdir()
    second = start(kpid, other)
    for _ in range(2):  # twice the same counts once
        second.kpictl("import", tmp_path / "lines")
    assert annotations(second) == annotations(daemon)
