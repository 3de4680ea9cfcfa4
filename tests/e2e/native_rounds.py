"""Producers of kpid's own protocol and kpid itself are killed at random moments while batches are
resent, out of order and over two connections: in the end each batch is there exactly once.
test_native.py runs twenty rounds, tools/campaign native as many as you like."""

import pathlib
import random
import signal
import subprocess
import sys
import threading

from conftest import PATIENCE, Kpid
from native_client import Notes, sum_of

TICKS = threading.Event()  # never set: waiting on it lets time pass
PRODUCERS = 2


def body_of(port):
    return (f'ingest: [ {{ protocol: native, listen: "tcp:127.0.0.1:{port}" }} ]\n'
            "metrics: { shop_orders: { type: counter } }\n")


class Child:
    """A producer in a process of its own, which can be killed."""

    def __init__(self, folder, port, number):
        self.arguments = [sys.executable, pathlib.Path(__file__).parent / "native_client.py", str(port), str(number),
                          folder / f"notes-{number}"]
        self.notes_path = self.arguments[-1]
        self.process = None

    def start(self):
        self.process = subprocess.Popen(self.arguments, stderr=subprocess.PIPE)
        return self

    def kill(self):
        self.process.kill()
        error = self.process.stderr.read().decode()
        assert self.process.wait() == -signal.SIGKILL, error
        return self

    def finish(self):
        """Sends all that has no acknowledgement until it has one; the sequences in all."""
        done = subprocess.run([*self.arguments, "--finish"], capture_output=True, text=True, timeout=PATIENCE,
                              check=False)
        assert done.returncode == 0, done.stderr
        notes = Notes(self.notes_path)
        assert notes.begun == notes.acknowledged
        return notes.begun


def kill_rounds(folder, port, rounds, seed, report=None):
    """Returns (batches, samples); raises when a figure is not exactly the sum of the batches."""
    chaos = random.Random(seed)
    daemon = Kpid(folder, body_of(port)).start()
    children = [Child(folder, port, number + 1).start() for number in range(PRODUCERS)]
    try:
        for number in range(rounds):
            TICKS.wait(chaos.uniform(0.05, 0.8))  # the moment of the kill is what is random here
            victims = chaos.choice(["kpid", "client", "both", "clients"])
            if victims in ("kpid", "both"):
                daemon.kill()
            if victims != "kpid":
                for child in children if victims == "clients" else [chaos.choice(children)]:
                    child.kill().start()
            if victims in ("kpid", "both"):
                daemon.start()
            if report:
                report(number + 1, victims, daemon.value("sum(shop_orders)") or 0)
    finally:
        for child in children:
            child.process.kill()
            child.process.wait()
    sent = {child: child.finish() for child in children}
    want = sum(sum_of(sequence) for sequences in sent.values() for sequence in sequences)
    for number, (child, sequences) in enumerate(sent.items(), 1):
        assert daemon.value(f'sum(shop_orders{{writer="{number}"}})') == sum(map(sum_of, sequences)), child.notes_path
    assert daemon.value("sum(shop_orders)") == want
    ledger = daemon.listeners()["tcp"]
    samples = ledger["stored"]
    assert ledger["received"] == samples + sum(ledger["dropped"].values()) + sum(ledger["rejected"].values())
    assert set(ledger["rejected"]) <= {"truncated"}  # where a client died in the middle of a frame
    assert set(ledger["dropped"]) <= {"duplicate"}
    assert daemon.value("count(shop_value)") * 2 == samples
    assert daemon.stop() == 0
    return sum(map(len, sent.values())), samples
