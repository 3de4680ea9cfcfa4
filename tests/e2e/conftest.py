"""Starts a real kpid in a temporary folder, with real clients and a real receiver of messages.

KPID_BUILD names the build folder whose programs are tested (default build/asan). Tests wait for
conditions; nothing is right because some time has passed."""

import base64
import fcntl
import hashlib
import hmac
import http.server
import json
import os
import pathlib
import signal
import socket
import subprocess
import tempfile
import threading
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("KPID_BUILD", ROOT / "build" / "asan")).resolve()
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
PATIENCE = 60  # seconds; sanitizers on a busy machine are slow, a hang is still found

TICK = threading.Event()  # never set: waiting on it is a pause between two looks at a condition


def pytest_configure(config):
    config.addinivalue_line("markers", "threads: many threads against each other (run under TSan)")


def wait_until(condition, what="the condition", timeout=PATIENCE):
    """Returns the first true value of condition(); fails when there is none in time."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            pytest.fail(f"waited {timeout} s in vain for {what}")
        TICK.wait(0.02)


class Receiver:
    """A webhook receiver: keeps what arrives, answers as it is told."""

    def __init__(self):
        self.requests = []
        self.status = 200
        self.headers = {}
        self.port = 0
        self.server = None

    def start(self):
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):  # noqa: N802 (the name is http.server's)
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                receiver.requests.append((receiver.status, dict(self.headers), body))
                self.send_response(receiver.status)
                for name, value in receiver.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"ok")

            def log_message(self, *args):
                pass

        http.server.ThreadingHTTPServer.allow_reuse_address = True
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def stop(self):
        if self.server:
            self.server.shutdown()
            self.server.server_close()
            self.server = None

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/hook"

    def events(self, kind=None):
        """The events that were accepted (answered with 2xx), in the order of their arrival."""
        found = [json.loads(body) for status, _, body in list(self.requests) if status < 300]
        return [event for event in found if kind is None or event["type"] == kind]

    def ids(self):
        return [header(headers, "webhook-id") for _, headers, _ in list(self.requests)]


def header(headers, name):
    return next(value for key, value in headers.items() if key.lower() == name)


def signature_is_valid(headers, body, secret=SECRET):
    """Standard Webhooks 1.0.0: HMAC-SHA256 over id.timestamp.body."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{header(headers, 'webhook-id')}.{header(headers, 'webhook-timestamp')}.".encode() + body
    wanted = "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    return wanted in header(headers, "webhook-signature").split(" ")


class DefaultPort:
    """Without a section `ingest` kpid has the port 8125, which one test at a time can have: others may run
    beside it."""

    def __init__(self):
        self.lock = None

    def take(self):
        if self.lock is None:
            self.lock = open(pathlib.Path(tempfile.gettempdir()) / "kpid-port-8125.lock", "w", encoding="ascii")
            fcntl.flock(self.lock, fcntl.LOCK_EX)

    def give_back(self):
        if self.lock is not None:
            self.lock.close()
            self.lock = None


DEFAULT_PORT = DefaultPort()


@pytest.fixture(autouse=True)
def default_port():
    yield
    DEFAULT_PORT.give_back()


class Kpid:
    """One kpid on one folder; it can be ended in any way and started again."""

    def __init__(self, folder, body, threads=2, environment=None, server=""):
        self.folder = folder
        self.control = folder / "kpid.sock"
        self.log_path = folder / "log"
        self.config_path = folder / "kpid.yaml"
        self.threads = threads
        self.environment = environment or {}
        self.server = server  # more keys of the section, as ", http: { ... }"
        self.process = None
        self.write_config(body)

    def write_config(self, body):
        head = (
            f"server: {{ control: {self.control}, threads: {self.threads}{self.server} }}\n"
            f"storage: {{ path: {self.folder / 'data'} }}\n"
        )
        self.config_path.write_text(head + body)

    def spawn(self, *arguments):
        if self.config_path.exists() and "ingest:" not in self.config_path.read_text():
            DEFAULT_PORT.take()
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                [BUILD / "kpid", "-c", self.config_path, *arguments],
                stderr=log,
                stdout=log,
                env={**os.environ, **self.environment},
            )
        return self

    def start(self):
        self.spawn()
        wait_until(lambda: self.process.poll() is not None or self.is_ready(), "kpid to be ready")
        assert self.process.poll() is None, self.log()
        return self

    def is_ready(self):
        return self.get("/readyz", check=False)[0] == 200

    def log(self):
        return self.log_path.read_text(errors="replace")

    def reload(self):
        """SIGHUP, and waits for its end."""
        before = self.log().count(" reloaded ") + self.log().count(" reload_refused ")
        self.process.send_signal(signal.SIGHUP)
        wait_until(
            lambda: self.log().count(" reloaded ") + self.log().count(" reload_refused ") > before,
            "the reload to end",
        )

    def stop(self, timeout=30):
        """SIGTERM; the exit code."""
        if self.process is None or self.process.poll() is not None:
            return self.process.returncode if self.process else 0
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def get(self, path, check=True):
        """(status, text) over the control socket."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(PATIENCE)
            try:
                connection.connect(str(self.control))
            except OSError:
                if check:
                    raise
                return 0, ""
            request = f"GET {path} HTTP/1.1\r\nHost: kpid\r\nConnection: close\r\n\r\n"
            connection.sendall(request.encode())
            answer = b""
            while chunk := connection.recv(65536):
                answer += chunk
        head, _, body = answer.partition(b"\r\n\r\n")
        return int(head.split(b" ", 2)[1]) if head else 0, body.decode()

    def kpictl(self, *arguments, check=True, text=None):
        done = subprocess.run(
            [BUILD / "kpictl", "--socket", self.control, *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
            input=text,
        )
        assert not check or done.returncode == 0, f"{arguments}: {done.returncode} {done.stderr}"
        return done

    def ask(self, *arguments):
        """The JSON of a command."""
        return json.loads(self.kpictl(*arguments, "--json").stdout)

    def listeners(self):
        return {listener["listen"].split(":")[0]: listener for listener in self.ask("ingest")["listeners"]}

    def port(self, transport, host="127.0.0.1"):
        """The real port of a listener that was opened on port 0."""
        for listener in self.ask("ingest")["listeners"]:
            listen = listener["listen"]
            if listen.startswith(f"{transport}:") and host in listen:
                return int(listen.rsplit(":", 1)[1])
        raise AssertionError(f"no {transport} listener on {host}")

    def stored(self):
        """Samples stored in all, by the committed ledger."""
        return sum(listener["stored"] for listener in self.ask("ingest")["listeners"])

    def value(self, expression):
        """One figure over a span that holds everything that was sent."""
        now = time.time()
        points = self.ask(
            "query", expression, "--from", iso(now - 7200), "--to", iso(now + 120), "--tz", "UTC"
        )["points"]
        assert len(points) == 1
        return points[0]["value"]

    def kpi(self, name):
        return next(kpi for kpi in self.ask("status")["kpis"] if kpi["id"] == name)


def iso(seconds):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def load(*arguments):
    """Runs kpiload; what it says it sent."""
    done = subprocess.run(
        [BUILD / "kpiload", *map(str, arguments), "--json"],
        capture_output=True,
        text=True,
        timeout=PATIENCE * 2,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def receiver():
    made = Receiver().start()
    yield made
    made.stop()


@pytest.fixture
def kpid(tmp_path, default_port):
    """kpid(BODY) makes one that is started; all are stopped at the end, and none may have crashed."""
    assert default_port is None  # it is given back after this has ended
    made = []

    def make(body, start=True, folder=None, **options):
        made.append(Kpid(folder or tmp_path, body, **options))
        return made[-1].start() if start else made[-1]

    yield make
    for one in made:
        if one.process is None or one.process.poll() is not None:
            continue
        code = one.stop()
        assert code == 0, f"kpid ended with {code}:\n{one.log()}"
    for one in made:
        if one.log_path.exists():
            assert "Sanitizer" not in one.log(), one.log()
