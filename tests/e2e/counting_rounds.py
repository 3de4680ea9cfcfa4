"""Totals that count up, and differences, are exact whatever ends: kpid is killed at random moments while their
senders resend what had no answer, over two connections at once, hang up in the middle, and begin anew.
test_rules_counting.py runs twenty rounds, tools/campaign counting as many as you like."""

import http.client
import json
import random
import threading
import time

import native_client
from conftest import Kpid, wait_until
from ports import free_port
from remote_write import V1, V2, request_2, series_1, snappy

COUNTER = 1  # of remote write 2.0
TICKS = threading.Event()  # never set: waiting on it lets time pass


class Sender(threading.Thread):
    """One series whose points it sends one after the other, each until it is answered with success. Subclasses say
    how; `wanted` is what all acknowledged points together have counted."""

    starts_at_zero = False  # the first point counts, because its start is known

    def __init__(self, port, number):
        super().__init__(daemon=True)
        self.port = port
        self.name = f"s{number}"
        self.chance = random.Random(number)
        self.connections = []
        self.at = int(time.time() * 1000) - 60000
        self.started = self.at - 1
        self.total = self.wanted = self.resent = self.points = 0
        self.ended = threading.Event()
        self.wrong = None
        self.start()

    def run(self):
        try:
            while not self.ended.is_set():
                self.next_point()
        except AssertionError as failed:
            self.wrong = str(failed)

    def next_point(self):
        before, self.at = self.at, max(self.at + 1, int(time.time() * 1000))
        if self.chance.random() < 0.05 and self.total >= 5:  # the sender was started again
            self.total, self.started = 0, before + 1 if before + 1 < self.at else before
            step = self.chance.randrange(1, 5)  # less than before: 1.0 has nothing else to know it by
        else:
            step = self.chance.randrange(5, 50)
        self.total += step
        while not self.say(step, before):
            self.resent += 1
            TICKS.wait(0.01)
        self.points += 1
        if self.points > 1 or self.starts_at_zero:
            self.wanted += step

    def say(self, step, before):
        """True when it is stored; False when nobody knows, and it has to be said again."""
        try:
            while len(self.connections) < 2:
                self.connections.append(self.connect())
            first, second = self.connections
            if self.chance.random() < 0.05:  # dies without hearing the answer
                self.send(first, step, before)
                self.hang_up()
                return False
            if self.chance.random() < 0.2:  # both copies are on their way at once
                self.send(first, step, before)
                self.send(second, step, before)
                return self.is_stored(second) & self.is_stored(first)
            self.send(first, step, before)
            return self.is_stored(first)
        except (OSError, http.client.HTTPException):
            self.hang_up()
            return False

    def hang_up(self):
        for connection in self.connections:
            connection.close()
        self.connections = []

    def finish(self):
        self.ended.set()
        self.join(60)
        self.hang_up()
        assert not self.is_alive() and self.wrong is None, (type(self).__name__, self.wrong)


class Posting(Sender):
    path = None
    headers = {}
    success = 204

    def connect(self):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)

    def send(self, connection, step, before):
        connection.request("POST", self.path, self.body(step, before), self.headers)

    def is_stored(self, connection):
        answer = connection.getresponse()
        words = answer.read()
        assert answer.status in (self.success, 503), (answer.status, words)
        assert answer.status == 503 or b"partial" not in words, words
        return answer.status == self.success


class RemoteWrite(Posting):
    """Version 1.0: what is less than before has begun anew."""

    path = "/api/v1/write"
    headers = {"Content-Type": V1, "Content-Encoding": "snappy"}

    def body(self, step, before):
        return snappy(series_1({"__name__": "remote_total", "s": self.name}, (self.total, self.at)))


class RemoteWrite2(Posting):
    """Version 2.0: a start that is later than the last point says that it has begun anew."""

    path = "/api/v1/write"
    headers = {"Content-Type": V2, "Content-Encoding": "snappy"}

    def body(self, step, before):
        labels = {"__name__": "remote2_total", "s": self.name}
        return snappy(request_2((labels, COUNTER, (self.total, self.at, self.started))))


class Otlp(Posting):
    path = "/v1/metrics"
    headers = {"Content-Type": "application/json"}
    success = 200
    temporality = 2

    def point(self, step, before):
        return {"timeUnixNano": str(self.at * 10**6), "startTimeUnixNano": str(self.started * 10**6),
                "asInt": str(self.total)}

    def body(self, step, before):
        point = {**self.point(step, before), "attributes": [{"key": "s", "value": {"stringValue": self.name}}]}
        metric = {"name": f"otlp{self.temporality}", "sum": {"aggregationTemporality": self.temporality,
                                                            "isMonotonic": True, "dataPoints": [point]}}
        return json.dumps({"resourceMetrics": [{"scopeMetrics": [{"metrics": [metric]}]}]})


class OtlpDelta(Otlp):
    temporality = 1
    starts_at_zero = True

    def point(self, step, before):
        return {"timeUnixNano": str(self.at * 10**6), "startTimeUnixNano": str(before * 10**6), "asInt": str(step)}


class Native(Sender):
    """Without a producer: it is the points alone that tell what was counted."""

    form = native_client.CUMULATIVE

    def connect(self):
        return native_client.Connection(self.port, timeout=10)

    def send(self, connection, step, before):
        connection.send(native_client.Batch(1).add("native_total", self.total, {"s": self.name}, form=self.form,
                                                   at=self.at, start=self.started))

    def is_stored(self, connection):
        answer = connection.answer()
        assert answer.is_ack or answer.code == native_client.BUSY, answer.message
        assert not answer.is_ack or answer.rejected == 0, answer.examples
        return answer.is_ack


class NativeDelta(Native):
    starts_at_zero = True

    def send(self, connection, step, before):
        connection.send(native_client.Batch(1).add("native_delta", step, {"s": self.name}, at=self.at, start=before,
                                                   form=native_client.INCREMENT))


KINDS = {RemoteWrite: ("prometheus", "remote_total"), RemoteWrite2: ("prometheus", "remote2_total"),
         Otlp: ("otlp", "otlp2"), OtlpDelta: ("otlp", "otlp1"), Native: ("native", "native_total"),
         NativeDelta: ("native", "native_delta")}


def body_of(ports):
    return "ingest:\n" + "".join(
        f'  - {{ protocol: {protocol}, listen: "{"tcp" if protocol == "native" else "http"}:127.0.0.1:{port}" }}\n'
        for protocol, port in ports.items())


def kill_rounds(folder, rounds, seed, report=None):
    """Returns (points, how often one was sent again); raises when a figure is not exactly what was counted."""
    chaos = random.Random(seed)
    ports = {"prometheus": free_port(), "otlp": free_port(), "native": free_port()}
    daemon = Kpid(folder, body_of(ports)).start()
    senders = [kind(ports[protocol], seed * 100 + number) for number, (kind, (protocol, _)) in enumerate(KINDS.items())]
    try:
        for number in range(rounds):
            TICKS.wait(chaos.uniform(0.05, 0.5))  # the moment of the kill is what is random here
            daemon.kill()
            daemon.start()
            if report:
                report(number + 1, sum(sender.points for sender in senders))
        points = [sender.points for sender in senders]
        wait_until(lambda: all(sender.wrong or sender.points > before + 3 for sender, before in zip(senders, points)),
                   "all of them to go on")
    finally:
        for sender in senders:
            sender.ended.set()
    for sender in senders:
        sender.finish()
    for sender in senders:
        metric = KINDS[type(sender)][1]
        value = daemon.value(f'sum({metric}{{s="{sender.name}"}})')
        assert value == sender.wanted, (metric, value, sender.wanted, sender.points, sender.resent)
        assert sender.points > rounds and sender.resent > 0, (metric, sender.points, sender.resent)
    for ledger in daemon.ask("ingest")["listeners"]:
        assert ledger["received"] == ledger["stored"] + sum(ledger["dropped"].values()), ledger
        assert set(ledger["dropped"]) <= {"duplicate"}, ledger  # every copy said the same
    assert daemon.stop() == 0
    return sum(sender.points for sender in senders), sum(sender.resent for sender in senders)
