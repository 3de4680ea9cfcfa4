"""Writers of line protocol that resend until they are told that it is stored, while kpid is ended at
random moments: in the end everything is there exactly once. test_influx.py runs a few rounds,
tools/campaign influx as many as you like."""

import http.client
import random
import threading

from conftest import Kpid
from ports import free_port

TICKS = threading.Event()  # never set: waiting on it lets time pass


def body_of(port):
    return f'ingest: [ {{ protocol: influx, listen: "http:127.0.0.1:{port}" }} ]\nmetrics: {{ shop_orders: {{ type: counter }} }}\n'


class Writer(threading.Thread):
    """Sends numbered batches, each with a key of its own, and each until it is acknowledged."""

    def __init__(self, port, number, seed):
        super().__init__(daemon=True)
        self.port = port
        self.number = number
        self.random = random.Random(seed)
        self.acknowledged = 0
        self.sends = 0
        self.ended = threading.Event()
        self.wrong = None

    def write(self, connection, batch):
        """True when the batch is stored, False when it has to be sent again."""
        lines = "".join(f"shop,writer={self.number} orders=1i,note=\"{batch}\"\n" for _ in range(7))
        headers = {"Idempotency-Key": f"{self.number}-{batch}"}
        self.sends += 1
        connection.request("POST", "/write?db=x", body=lines, headers=headers)
        response = connection.getresponse()
        response.read()
        if response.status not in (204, 503):
            self.wrong = f"batch {batch} is answered {response.status}"
        return response.status == 204

    def run(self):
        connection = None
        batch = 0
        while not self.ended.is_set() and self.wrong is None:
            try:
                if connection is None:
                    connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
                if self.write(connection, batch):
                    self.acknowledged += 1
                    batch += 1
                    if self.random.random() < 0.1:
                        self.write(connection, batch - 1)  # a duplicate, of the one before or of nothing
                else:
                    self.ended.wait(0.01)
            except (OSError, http.client.HTTPException):
                connection.close()
                connection = None
                self.ended.wait(0.01)
        self.batch = batch


def finish(writer):
    """The batch that nobody knows about is sent until it is stored."""
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", writer.port, timeout=10)
        try:
            if writer.write(connection, writer.batch):
                return writer.batch + 1
        except (OSError, http.client.HTTPException):
            TICKS.wait(0.01)
        finally:
            connection.close()


def kill_rounds(folder, rounds, seed, report=None):
    """Returns (batches, sends); raises when a figure is not exactly what was acknowledged."""
    chaos = random.Random(seed)
    port = free_port()
    daemon = Kpid(folder, body_of(port)).start()
    writers = [Writer(port, number, seed * 100 + number) for number in range(3)]
    for writer in writers:
        writer.start()
    try:
        for number in range(rounds):
            TICKS.wait(chaos.uniform(0.05, 0.8))  # the moment of the kill is what is random here
            floor = sum(writer.acknowledged for writer in writers)
            daemon.kill()
            daemon.start()
            value = daemon.value("sum(shop_orders)") or 0
            ceiling = sum(writer.acknowledged for writer in writers) + len(writers)
            assert floor * 7 <= value <= ceiling * 7, f"round {number}: {floor} <= {value / 7} <= {ceiling}"
            if report:
                report(number + 1, floor, value // 7)
    finally:
        for writer in writers:
            writer.ended.set()
        for writer in writers:
            writer.join()
    assert not [writer.wrong for writer in writers if writer.wrong]
    batches = sum(finish(writer) for writer in writers)
    assert daemon.value("sum(shop_orders)") == batches * 7
    for writer in writers:
        assert daemon.value(f'sum(shop_orders{{writer="{writer.number}"}})') == (writer.batch + 1) * 7
    ledger = daemon.listeners()["http"]
    assert ledger["stored"] == batches * 7
    assert ledger["received"] == ledger["stored"] + sum(ledger["dropped"].values())
    assert ledger["rejected"] == {}
    assert daemon.stop() == 0
    return batches, sum(writer.sends for writer in writers)
