"""Rounds that end kpid at random moments: what was acknowledged must be there, what was told must
arrive. test_rounds.py runs a few, tools/campaign thousands."""

import json
import random
import socket
import threading

from conftest import Kpid, SECRET, wait_until

TICKS = threading.Event()  # never set: waiting on it lets time pass

BODY = """
ingest: [ { protocol: statsd, listen: "tcp:127.0.0.1:0" } ]
metrics:
  orders: { type: counter }
  queue: { type: gauge }
kpis:
  queue: { value: last(queue), target: { at_most: 10 }, evaluate: every 1s, hooks: [ chat ] }
hooks:
  chat: { type: webhook, url: { env: HOOK_URL }, secrets: [ { env: HOOK_SECRET } ], allow_http: true,
          retry: { first: 100ms, max: 200ms } }
"""


def push(control, samples):
    """One acknowledged push; True when it was stored, False when refused, None when nobody knows."""
    body = json.dumps({"samples": samples}).encode()
    head = f"POST /api/v1/push HTTP/1.1\r\nHost: kpid\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
    sent = False
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(30)
            connection.connect(str(control))
            connection.sendall(head.encode() + body)
            sent = True
            answer = connection.recv(65536)
    except OSError:
        return None if sent else False
    if not answer:
        return None
    return answer.split(b" ", 2)[1].startswith(b"2")


class Pusher(threading.Thread):
    """Pushes orders and queue lengths until told to stop; keeps what is known of each."""

    def __init__(self, control, seed):
        super().__init__(daemon=True)
        self.control = control
        self.random = random.Random(seed)
        self.stored = 0
        self.unknown = 0
        self.ended = threading.Event()

    def run(self):
        while not self.ended.is_set():
            queue = self.random.choice([3, 25])
            answer = push(self.control, [{"name": "orders", "value": 1}, {"name": "queue", "value": queue}])
            if answer is None:
                self.unknown += 1
            elif answer:
                self.stored += 1
            else:
                self.ended.wait(0.01)


def kill_rounds(folder, receiver, rounds, seed, report=None):
    """Ends kpid `rounds` times by SIGKILL while clients push; raises when something does not hold."""
    chaos = random.Random(seed)
    daemon = Kpid(folder, BODY, environment={"HOOK_URL": receiver.url, "HOOK_SECRET": SECRET}).start()
    pushers = [Pusher(daemon.control, seed + number) for number in range(3)]
    for pusher in pushers:
        pusher.start()
    try:
        for number in range(rounds):
            TICKS.wait(chaos.uniform(0.05, 1.2))  # the moment of the kill is what is random here
            floor = sum(pusher.stored for pusher in pushers)
            daemon.kill()
            daemon.start()
            value = daemon.value("sum(orders)") or 0
            ceiling = sum(pusher.stored + pusher.unknown for pusher in pushers) + len(pushers)
            assert floor <= value <= ceiling, f"round {number}: acknowledged {floor}, stored {value}, sent {ceiling}"
            if report:
                report(number + 1, floor, value, ceiling)
    finally:
        for pusher in pushers:
            pusher.ended.set()
        for pusher in pushers:
            pusher.join()
    assert push(daemon.control, [{"name": "queue", "value": 25}]) is True
    wait_until(lambda: daemon.ask("alerts")["alerts"], "the alert to fire")
    assert push(daemon.control, [{"name": "queue", "value": 1}]) is True
    wait_until(lambda: not daemon.ask("alerts")["alerts"], "the alert to resolve")
    wait_until(lambda: daemon.ask("hooks")["hooks"][0]["pending"] == 0, "every message to be delivered")
    check_messages(receiver, daemon)
    assert daemon.stop() == 0
    return sum(pusher.stored for pusher in pushers)


def check_messages(receiver, daemon):
    """Each firing was told, and each told firing has its end told."""
    told = {}
    for event in receiver.events():
        told.setdefault(event["data"]["alert_id"], set()).add(event["type"])
    for alert, types in told.items():
        assert "kpi.alert.firing" in types, f"alert {alert} ended but never fired: {types}"
        assert types & {"kpi.alert.resolved", "kpi.alert.ended"}, f"alert {alert} has no end: {types}"
    hook = daemon.ask("hooks")["hooks"][0]
    assert hook["dead"] == 0
    assert hook["sent"] == len(set(receiver.ids())), "sent and received differ"

