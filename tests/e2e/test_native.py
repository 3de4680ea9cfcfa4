"""kpid's own protocol: batches are acknowledged when they are committed, and count once."""

import random
import struct
import time
import urllib.request

import pytest
from ports import free_port
from native_client import (CHANGE, CUMULATIVE, DISTRIBUTION, GAUGE, INCREMENT, MALFORMED, SCORE, TOO_LARGE, TOO_OLD,
                           UNIQUE, Batch, Connection)
from native_rounds import kill_rounds

PRODUCER = b"0123456789abcdef"
BODY = """
ingest: [ { protocol: native, listen: "tcp:127.0.0.1:0" } ]
metrics: { orders: { type: counter } }
"""


def order(sequence, value=1):
    return Batch(sequence).add("orders", value)


def now_ms():
    return int(time.time() * 1000)


def test_samples_of_every_kind_arrive_over_the_default_socket(kpid):
    daemon = kpid("")
    client = Connection(daemon.folder / "ingest.sock", PRODUCER, 1)
    assert client.welcome[1] == [4 << 20]
    now = now_ms()
    batch = Batch(1)
    batch.add("orders", 2, {"plan": "pro"}).add("orders", 3, {"plan": "free"}, weight=10)
    batch.add("queue", 7, kind=GAUGE).add("queue", -2, kind=GAUGE, form=CHANGE)
    for value in (10, 20, 30):
        batch.add("latency", value, kind=DISTRIBUTION)
    for member in ("ann", "bob", "ann"):
        batch.add("visitors", kind=UNIQUE, member=member)
    batch.add("nps", 9, kind=SCORE)
    batch.add("bad", float("nan"))
    answer = client.ask(batch)
    assert (answer.is_ack, answer.stored, answer.rejected, answer.dropped) == (True, 11, 1, 0)
    assert answer.examples[0][1] == [11] and answer.examples[0][2] == [b"bad_number"]
    assert daemon.value("sum(orders)") == 32
    assert daemon.value('sum(orders{plan="pro"})') == 2
    assert daemon.value("last(queue)") == 5
    assert daemon.value("p50(latency)") == pytest.approx(20, rel=0.02)
    assert daemon.value("uniques(visitors)") == 2
    late = Batch(2).add("orders", 100, {"plan": "late"}, at=now - 3600 * 1000)
    assert client.ask(late).stored == 1
    assert daemon.value("sum(orders)") == 132
    ledger = daemon.listeners()["unix"]
    assert (ledger["received"], ledger["stored"], ledger["rejected"]) == (13, 12, {"bad_number": 1})


def test_changes_of_a_gauge_apply_to_its_stored_level(kpid):
    daemon = kpid(BODY)
    client = Connection(daemon.port("tcp"), PRODUCER, 1)
    client.ask(Batch(1).add("queue", 10, kind=GAUGE))
    client.ask(Batch(2).add("queue", 5, kind=GAUGE, form=CHANGE).add("queue", -1, kind=GAUGE, form=CHANGE))
    assert daemon.value("last(queue)") == 14
    assert client.ask(Batch(2).add("queue", 5, kind=GAUGE, form=CHANGE)).repeated
    assert daemon.value("last(queue)") == 14


def test_a_resend_over_another_connection_counts_once_while_the_first_copy_is_in_flight(kpid):
    daemon = kpid(BODY)
    connections = [Connection(daemon.port("tcp"), PRODUCER, 1) for _ in range(4)]
    for sequence in range(1, 51):
        for connection in connections:
            connection.send(order(sequence))
        answers = [connection.answer() for connection in connections]
        assert [answer.sequence for answer in answers] == [sequence] * 4
        assert sorted((answer.repeated, answer.stored) for answer in answers) == [(False, 1)] + [(True, 0)] * 3
    assert daemon.value("sum(orders)") == 50
    ledger = daemon.listeners()["tcp"]
    assert (ledger["received"], ledger["stored"], ledger["dropped"]) == (200, 50, {"duplicate": 150})


def test_pipelined_batches_may_come_in_any_order(kpid):
    daemon = kpid(BODY)
    client = Connection(daemon.port("tcp"), PRODUCER, 1)
    sequences = list(range(1, 501))
    for repeated in (False, True):
        random.Random(1).shuffle(sequences)
        client.send(*(order(sequence, sequence) for sequence in sequences))
        answers = [client.answer() for _ in sequences]
        assert {answer.sequence for answer in answers} == set(sequences)
        assert all(answer.is_ack and answer.repeated == repeated for answer in answers)
        assert daemon.value("sum(orders)") == sum(sequences)


def test_increments_without_a_time_count_each_time_and_their_batch_once(kpid):
    daemon = kpid(BODY)
    client = Connection(daemon.port("tcp"), PRODUCER, 1)
    for sequence in (1, 2, 2):
        batch = Batch(sequence)
        for _ in range(10):
            batch.add("orders", 1, form=INCREMENT)
        answer = client.ask(batch)
        assert answer.is_ack
    assert answer.repeated
    assert daemon.value("sum(orders)") == 20
    assert daemon.listeners()["tcp"]["dropped"] == {"duplicate": 10}


def test_increments_in_another_order_count_once(kpid):
    daemon = kpid(BODY)
    client = Connection(daemon.port("tcp"), PRODUCER, 1)
    now = int(time.time() * 1000) - 60000
    for sequence, begin in enumerate((20, 10, 0, 10, 50, 30, 40, 30), 1):
        answer = client.ask(Batch(sequence).add("orders", 1, form=INCREMENT, start=now + begin, at=now + begin + 10))
        assert answer.is_ack
    assert daemon.value("sum(orders)") == 6
    assert daemon.listeners()["tcp"]["dropped"] == {"duplicate": 2}


def test_a_new_epoch_begins_again_and_an_older_one_is_too_old(kpid):
    daemon = kpid(BODY)
    old = Connection(daemon.port("tcp"), PRODUCER, 1)
    assert old.ask(order(1)).stored == 1
    new = Connection(daemon.port("tcp"), PRODUCER, 2)
    assert new.ask(order(1)).stored == 1
    assert new.ask(order(1)).repeated
    answer = old.ask(order(2))
    assert (answer.is_ack, answer.code, answer.sequence) == (False, TOO_OLD, 2)
    other = Connection(daemon.port("tcp"), PRODUCER[::-1], 1)
    assert other.ask(order(1)).stored == 1
    assert daemon.value("sum(orders)") == 3


def test_a_resend_older_than_the_window_is_too_old_and_never_acknowledged(kpid):
    daemon = kpid(BODY)
    client = Connection(daemon.port("tcp"), PRODUCER, 1)
    assert client.ask(order(1)).stored == 1
    assert client.ask(order(1026)).stored == 1  # now 2 is the oldest that is remembered
    assert client.ask(order(2)).stored == 1
    assert client.ask(order(2)).repeated
    answer = client.ask(order(1))
    assert (answer.is_ack, answer.code) == (False, TOO_OLD)
    assert daemon.value("sum(orders)") == 3
    ledger = daemon.listeners()["tcp"]
    assert (ledger["stored"], ledger["dropped"]) == (3, {"duplicate": 1, "too_old": 1})


def test_what_was_acknowledged_survives_kill_9_and_its_resend(kpid):
    port = free_port()
    daemon = kpid(BODY.replace(":0", f":{port}"))
    client = Connection(port, PRODUCER, 1)
    for sequence in range(1, 21):
        assert client.ask(order(sequence)).stored == 1
    client.send(*(order(sequence) for sequence in range(21, 31)))
    daemon.kill()
    daemon.start()
    client = Connection(port, PRODUCER, 1)
    for sequence in range(1, 31):
        answer = client.ask(order(sequence))
        assert answer.is_ack and (answer.repeated or sequence > 20)
    assert daemon.value("sum(orders)") == 30


def test_cumulative_counters_survive_resets_restarts_and_two_connections(kpid):
    daemon = kpid(BODY)
    now = now_ms() - 60000
    one, two = (Connection(daemon.port("tcp"), producer, 1) for producer in (PRODUCER, PRODUCER[::-1]))

    def total(sequence, value, at, start=now):
        return Batch(sequence).add("bytes", value, form=CUMULATIVE, at=at, start=start)

    assert one.ask(total(1, 100, now + 1000)).stored == 1
    answer = two.ask(total(1, 100, now + 1000))  # the same point, from elsewhere
    assert (answer.is_ack, answer.stored, answer.dropped) == (True, 0, 1)
    assert one.ask(total(2, 150, now + 2000)).stored == 1
    daemon.kill()
    daemon.start()
    one = Connection(daemon.port("tcp"), PRODUCER, 1)
    assert one.ask(total(2, 150, now + 2000)).repeated
    assert one.ask(total(3, 170, now + 3000)).stored == 1
    assert one.ask(total(4, 30, now + 5000, now + 4000)).stored == 1  # it began anew
    assert daemon.value("sum(bytes)") == 50 + 20 + 30  # a first point counts 0 (FIG-23)
    batch = Batch(5).add("requests", 5, form=INCREMENT, at=now + 2000, start=now)
    assert one.ask(batch).stored == 1
    batch.sequence = 6
    assert one.ask(batch).dropped == 1
    assert daemon.value("sum(requests)") == 5


def test_what_is_wrong_is_said_in_words(kpid):
    daemon = kpid(BODY)
    port = daemon.port("tcp")
    assert Connection(port, b"short").refusal.code == MALFORMED
    client = Connection(port, PRODUCER, 1)
    client.send_frame(b"\x12\x02\x08\x09")  # a batch without anything counts nothing
    assert client.answer().stored == 0
    answer = client.ask(Batch(0).add("orders", 1))
    assert (answer.code, answer.sequence) == (MALFORMED, 0)
    with pytest.raises(ConnectionError):
        client.answer()
    client = Connection(port, PRODUCER, 1)
    client.socket.sendall(b"\x7f\xff\xff\xff")
    answer = client.answer()
    assert (answer.code, answer.sequence) == (TOO_LARGE, 0)
    assert "frame of 2147483647 bytes" in answer.message


def test_frames_that_are_announced_and_never_come_keep_nobody_out(kpid):
    daemon = kpid(BODY.replace(" ]", ', { protocol: influx, listen: "http:127.0.0.1:0" } ]'))
    silent = [Connection(daemon.port("tcp")) for _ in range(80)]
    for one in silent:  # 320 MiB, of which kpid has 80 bytes
        one.socket.sendall(struct.pack(">I", 4 << 20) + b"\x12")
    assert Connection(daemon.port("tcp"), timeout=10).ask(order(1)).is_ack
    where = f"http://127.0.0.1:{daemon.port('http')}/write"
    with urllib.request.urlopen(where, b"well v=1\n", timeout=10) as answer:
        assert answer.status == 204
    held = next(line for line in daemon.get("/metrics")[1].splitlines() if line.startswith("kpid_ingest_body_bytes "))
    assert int(held.split()[1]) < 1 << 20
    for one in silent:
        one.close()


def test_a_stop_answers_what_was_handed_over(kpid):
    daemon = kpid(BODY)
    client = Connection(daemon.port("tcp"), PRODUCER, 1)
    acknowledged = 0
    client.send(*(order(sequence) for sequence in range(1, 60)))
    acknowledged += client.answer().stored
    assert daemon.stop() == 0
    try:
        while True:
            acknowledged += client.answer().stored
    except (ConnectionError, OSError):
        pass
    daemon.start()
    client = Connection(daemon.port("tcp"), PRODUCER, 1)
    stored = daemon.value("sum(orders)")
    assert stored == acknowledged
    for sequence in range(1, 60):
        assert client.ask(order(sequence)).is_ack
    assert daemon.value("sum(orders)") == 59


@pytest.mark.threads
def test_kills_of_kpid_and_clients_leave_each_batch_counted_once(tmp_path):
    batches, samples = kill_rounds(tmp_path, free_port(), rounds=20, seed=1)
    assert batches > 20 and samples > batches
