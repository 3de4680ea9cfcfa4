"""Rounds that end kpid at random moments while it is fed in every way: what was acknowledged must be there
once, what was told must arrive, and what is stored must be sound. test_rounds.py runs a few, tools/campaign
thousands."""

import http.client
import json
import random
import socket
import subprocess
import threading
import time

from conftest import BUILD, Kpid, SECRET, iso, wait_until
from ports import free_port

TICKS = threading.Event()  # never set: waiting on it lets time pass

BODY = """
ingest:
  - { protocol: statsd, listen: "tcp:127.0.0.1:STATSD" }
  - { protocol: influx, listen: "http:127.0.0.1:INFLUX" }
metrics:
  orders: { type: counter }
  queue: { type: gauge }
  shop_items: { type: counter }
  stream: { type: counter }
kpis:
  queue: { value: last(queue), target: { at_most: 10 }, evaluate: every 1s, hooks: [ chat ] }
hooks:
  chat: { type: webhook, url: { env: HOOK_URL }, secrets: [ { env: HOOK_SECRET } ], allow_http: true,
          retry: { first: 100ms, max: 200ms } }
"""

HOURS = 60  # how far back the samples of batches reach
LINES = 12  # of a batch
VERIFY_EVERY = 4  # rounds: then offline too, as what a kill has left


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


class Client(threading.Thread):
    """Does the same until it is told to end."""

    def __init__(self):
        super().__init__(daemon=True)
        self.ended = threading.Event()

    def run(self):
        while not self.ended.is_set():
            self.once()

    def end(self):
        self.ended.set()
        self.join()


class Pusher(Client):
    """Pushes orders and queue lengths; keeps what is known of each."""

    def __init__(self, control, seed):
        super().__init__()
        self.control = control
        self.random = random.Random(seed)
        self.stored = 0
        self.unknown = 0

    def once(self):
        queue = self.random.choice([3, 25])
        answer = push(self.control, [{"name": "orders", "value": 1}, {"name": "queue", "value": queue}])
        if answer is None:
            self.unknown += 1
        elif answer:
            self.stored += 1
        else:
            self.ended.wait(0.01)


class Streamer(Client):
    """Sends lines that nobody acknowledges: never more of them are stored than were sent."""

    def __init__(self, port):
        super().__init__()
        self.port = port
        self.sent = 0

    def once(self):
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection:
                while not self.ended.is_set():
                    self.sent += 50
                    connection.sendall(b"stream:1|c\n" * 50)
                    self.ended.wait(0.005)
        except OSError:
            self.ended.wait(0.02)


class Batcher(Client):
    """Sends numbered batches of samples of the past hours, each with a key of its own and each until it is
    acknowledged; sometimes one again that was."""

    def __init__(self, port, number, seed):
        super().__init__()
        self.port = port
        self.number = number
        self.random = random.Random(seed)
        self.begin = int(time.time())
        self.connection = None
        self.acknowledged = 0
        self.refused = 0
        self.sends = 0
        self.wrong = None

    def lines(self, batch):
        """The same each time: what a batch is depends on its number alone."""
        chance = random.Random(self.number * 1000003 + batch)
        return "".join(
            f"shop,writer={self.number},item={chance.randrange(40)} items=1i "
            f"{self.begin - int(chance.random() ** 4 * HOURS * 3600)}\n"
            for _ in range(LINES))

    def write(self, batch):
        """True when the batch is stored; False when it has to be sent again."""
        try:
            if self.connection is None:
                self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
            self.sends += 1
            self.connection.request("POST", "/write?db=x&precision=s", body=self.lines(batch),
                                    headers={"Idempotency-Key": f"{self.number}-{batch}"})
            response = self.connection.getresponse()
            response.read()
        except (OSError, http.client.HTTPException):
            self.connection.close()
            self.connection = None
            return False
        if response.status == 503:
            self.refused += 1
            self.connection.close()
            self.connection = None
        elif response.status != 204:
            self.wrong = f"batch {batch} is answered {response.status}"
        return response.status == 204

    def once(self):
        if not self.write(self.acknowledged):
            self.ended.wait(0.01)
            return
        self.acknowledged += 1
        if self.random.random() < 0.1:
            self.write(self.acknowledged - 1)

    def finish(self):
        """The batch that nobody knows about is sent until it is stored."""
        wait_until(lambda: self.write(self.acknowledged), "the last batch to be acknowledged")
        self.acknowledged += 1

    def value(self, daemon):
        """What is stored of it."""
        return window(daemon, f'sum(shop_items{{writer="{self.number}"}})', self.begin)


def window(daemon, expression, begin):
    """Over all that the batches can have reached."""
    points = daemon.ask("query", expression, "--from", iso(begin - (HOURS + 1) * 3600), "--to",
                        iso(time.time() + 120), "--tz", "UTC")["points"]
    return points[0]["value"] or 0


def check_sound(daemon):
    """Of the data directory when kpid does not run, else of what it says."""
    if daemon.process.poll() is None:
        found = daemon.ask("verify")
    else:
        done = subprocess.run([BUILD / "kpictl", "verify", "--json", str(daemon.folder / "data")],
                              capture_output=True, text=True, check=False)
        assert done.stdout, done.stderr
        found = json.loads(done.stdout)
    assert found["found"] == 0, found["findings"]
    return found


def start(folder, receiver):
    body = BODY.replace("STATSD", str(free_port())).replace("INFLUX", str(free_port()))
    return Kpid(folder, body, environment={"HOOK_URL": receiver.url, "HOOK_SECRET": SECRET}).start()


def one_round(daemon, clients, offline):
    """Ends kpid and starts it again; what is there then is between what was known before and what can have
    been sent. Returns (acknowledged, stored, at most) of the pushes."""
    pushers, batchers, streamer = clients
    floor = sum(pusher.stored for pusher in pushers)
    batches = [batcher.acknowledged for batcher in batchers]
    daemon.kill()
    if offline:
        check_sound(daemon)
    daemon.start()
    value = daemon.value("sum(orders)") or 0
    ceiling = sum(pusher.stored + pusher.unknown for pusher in pushers) + len(pushers)
    assert floor <= value <= ceiling, f"acknowledged {floor}, stored {value}, sent {ceiling}"
    for batcher, known in zip(batchers, batches):
        stored = batcher.value(daemon)
        at_most = batcher.acknowledged + 1
        assert known * LINES <= stored <= at_most * LINES, f"{known} <= {stored / LINES} <= {at_most}"
        assert stored % LINES == 0, f"a part of a batch is stored: {stored}"
    assert (daemon.value("sum(stream)") or 0) <= streamer.sent
    if not offline:
        check_sound(daemon)
    return floor, value, ceiling


def kill_rounds(folder, receiver, rounds, seed, report=None):
    """Ends kpid `rounds` times by SIGKILL while clients send; raises when something does not hold. Returns
    (pushes, batches, times batches were sent)."""
    chaos = random.Random(seed)
    daemon = start(folder, receiver)
    ports = daemon.port("tcp"), daemon.port("http")
    pushers = [Pusher(daemon.control, seed + number) for number in range(2)]
    batchers = [Batcher(ports[1], number, seed + number) for number in range(2)]
    streamer = Streamer(ports[0])
    clients = [*pushers, *batchers, streamer]
    for client in clients:
        client.start()
    try:
        for number in range(rounds):
            TICKS.wait(chaos.uniform(0.05, 0.9))  # the moment of the kill is what is random here
            told = one_round(daemon, (pushers, batchers, streamer), number % VERIFY_EVERY == 0)
            if report:
                report(number + 1, *told)
    finally:
        for client in clients:
            client.end()
    assert not [batcher.wrong for batcher in batchers if batcher.wrong]
    for batcher in batchers:
        batcher.finish()
        assert batcher.value(daemon) == batcher.acknowledged * LINES
    check_alerts(receiver, daemon)
    check_ledger(daemon)
    assert daemon.stop() == 0
    assert check_sound(daemon)["partitions"] > 0, "nothing was folded, so this tests too little"
    return (sum(pusher.stored for pusher in pushers), sum(batcher.acknowledged for batcher in batchers),
            sum(batcher.sends for batcher in batchers))


def check_ledger(daemon):
    for listener in daemon.ask("ingest")["listeners"]:
        accounted = listener["stored"] + sum(listener["rejected"].values()) + sum(listener["dropped"].values())
        assert listener["received"] == accounted, listener


def check_alerts(receiver, daemon):
    """An alert fires and resolves; each firing was told, and each told firing has its end told."""
    assert push(daemon.control, [{"name": "queue", "value": 25}]) is True
    wait_until(lambda: daemon.ask("alerts")["alerts"], "the alert to fire")
    assert push(daemon.control, [{"name": "queue", "value": 1}]) is True
    wait_until(lambda: not daemon.ask("alerts")["alerts"], "the alert to resolve")
    wait_until(lambda: daemon.ask("hooks")["hooks"][0]["pending"] == 0, "every message to be delivered")
    told = {}
    for event in receiver.events():
        told.setdefault(event["data"]["alert_id"], set()).add(event["type"])
    for alert, types in told.items():
        assert "kpi.alert.firing" in types, f"alert {alert} ended but never fired: {types}"
        assert types & {"kpi.alert.resolved", "kpi.alert.ended"}, f"alert {alert} has no end: {types}"
    hook = daemon.ask("hooks")["hooks"][0]
    assert hook["dead"] == 0
    assert hook["sent"] == len(set(receiver.ids())), "sent and received differ"
