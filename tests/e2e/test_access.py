"""Who may speak: TLS, tokens, networks, with the openssl and curl of this machine."""

import hashlib
import os
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time

import native_client
import pytest
from certificates import make_authority, make_certificate

from conftest import BUILD, PATIENCE, wait_until

pytestmark = pytest.mark.skipif(
    not (shutil.which("openssl") and shutil.which("curl")), reason="needs openssl(1) and curl(1)")


@pytest.fixture
def folder(tmp_path):
    make_authority(tmp_path)
    make_certificate(tmp_path, "server")
    return tmp_path


TLS = "tls: {{ cert: {folder}/server.crt, key: {folder}/server.key{more} }}"


def tls(folder, more=""):
    return TLS.format(folder=folder, more=more)


def curl(*arguments):
    """The status of the answer (0: there was none), and its text."""
    done = subprocess.run(["curl", "-s", "--noproxy", "*", "-m", str(PATIENCE), "-w", "\n%{http_code}",
                           *map(str, arguments)], capture_output=True, text=True, check=False, timeout=PATIENCE + 5)
    text, _, status = done.stdout.rpartition("\n")
    return int(status or 0), text


def write(port, *arguments, scheme="http"):
    return curl(f"{scheme}://localhost:{port}/write", "-d", "m v=1", *arguments)


def add_token(kpid, name, role):
    return kpid.kpictl("token", "add", name, "--role", role).stdout.strip()


def bearer(token):
    return ("-H", f"Authorization: Bearer {token}")


# --- addresses -----------------------------------------------------------------------------------


def test_an_address_that_others_reach_needs_somebody_who_may_speak(kpid):
    daemon = kpid('ingest:\n  - { protocol: statsd, listen: "udp:0.0.0.0:0" }\n', start=False)
    daemon.spawn()
    assert daemon.process.wait(PATIENCE) == 1
    assert "'0.0.0.0:0' can be reached from other machines, and nothing says who may speak" in daemon.log()
    assert "hint: add allow:" in daemon.log()
    assert daemon.log().count("listening") == 0


def test_with_allow_it_opens(kpid):
    daemon = kpid('ingest:\n  - { protocol: statsd, listen: "udp:0.0.0.0:0", allow: [ 127.0.0.0/8 ] }\n')
    port = daemon.port("udp", "0.0.0.0")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"a:1|c", ("127.0.0.1", port))
    wait_until(lambda: daemon.stored() == 1, "the sample")


@pytest.fixture
def namespace():
    """A network namespace with an address of its own, and ours on the other end of a cable."""
    name = f"kpid{os.getpid()}"
    ours, theirs = f"k{os.getpid()}a", f"k{os.getpid()}b"

    def ip(*arguments, check=True):
        return subprocess.run(["ip", *arguments], check=check, capture_output=True, timeout=PATIENCE)

    if os.geteuid() != 0 or not shutil.which("ip"):
        pytest.skip("needs root and ip(8) for a network namespace")
    if ip("netns", "add", name, check=False).returncode != 0:
        pytest.skip("this machine makes no network namespaces")
    try:
        if ip("link", "add", ours, "type", "veth", "peer", "name", theirs, "netns", name, check=False).returncode:
            pytest.skip("this machine makes no pairs of network devices")
        ip("address", "add", "10.213.7.1/24", "dev", ours)
        ip("link", "set", ours, "up")
        for address in ("10.213.7.2/24", "10.213.7.3/24"):
            ip("-n", name, "address", "add", address, "dev", theirs)
        ip("-n", name, "link", "set", theirs, "up")
        yield name
    finally:
        ip("netns", "delete", name, check=False)


SAY = """
import socket, sys
own, port, kind = sys.argv[1], int(sys.argv[2]), sys.argv[3]
with socket.socket(socket.AF_INET, getattr(socket, kind)) as s:
    s.settimeout(30)
    s.bind((own, 0))
    s.connect(("10.213.7.1", port))
    try:
        s.sendall(b"a:1|c\\n")
        if kind == "SOCK_STREAM":
            s.shutdown(socket.SHUT_WR)
            s.recv(1)
    except OSError:  # closed at once
        pass
"""


def test_neighbours_speak_when_their_network_is_allowed(kpid, namespace):
    daemon = kpid("".join(["ingest:\n"] + [
        f'  - {{ protocol: statsd, listen: "{transport}:10.213.7.1:0", allow: [ 10.213.7.2 ] }}\n'
        for transport in ("udp", "tcp")]))

    def say(own, transport):
        kind = {"udp": "SOCK_DGRAM", "tcp": "SOCK_STREAM"}[transport]
        port = str(daemon.port(transport, "10.213.7.1"))
        subprocess.run(["ip", "netns", "exec", namespace, sys.executable, "-c", SAY, own, port, kind],
                       check=True, timeout=PATIENCE)

    for transport in ("udp", "tcp"):
        say("10.213.7.3", transport)
        say("10.213.7.2", transport)
    wait_until(lambda: daemon.stored() == 2, "what the neighbour sent")
    assert daemon.listeners()["udp"]["rejected"] == {"denied": 1}
    assert daemon.listeners()["tcp"]["connections_denied"] == 1
    assert daemon.listeners()["tcp"]["received"] == 1


# --- tokens --------------------------------------------------------------------------------------

INFLUX = 'ingest:\n  - { protocol: influx, listen: "http:127.0.0.1:0", tokens: true }\n'


def test_roles_and_every_way_to_show_a_token(kpid):
    daemon = kpid(INFLUX)
    port = daemon.port("http")
    token = add_token(daemon, "web", "ingest")
    assert token.startswith("kpid_") and len(token) == 48
    assert write(port)[0] == 401
    assert "WWW-Authenticate: Basic realm=\"InfluxDB\"" in write(port, "-i")[1]
    for way in (bearer(token), ("-H", f"Authorization: Token {token}"), ("-u", f"telegraf:{token}"),
                ("-H", f"Authorization: Token telegraf:{token}")):
        assert write(port, *way)[0] == 204, way
    assert curl(f"http://localhost:{port}/write?u=me&p={token}", "-d", "m v=1")[0] == 204
    for role, status in (("viewer", 403), ("editor", 204), ("admin", 204)):
        assert write(port, *bearer(add_token(daemon, role, role)))[0] == status, role
    assert curl(f"http://localhost:{port}/ping")[0] == 204  # I27
    assert curl(f"http://localhost:{port}/query?q=SHOW+DATABASES")[0] == 401
    wait_until(lambda: daemon.stored() == 7, "the samples")
    used = {usage["name"]: usage for usage in daemon.ask("ingest")["tokens"]}
    assert used["web"]["samples"] == 5 and used["editor"]["samples"] == 1 and used["viewer"]["samples"] == 0
    listener = wait_until(lambda: next((facts for facts in daemon.ask("ingest")["listeners"]
                                        if facts["received"] == 10), None), "what was denied in the ledger")
    assert listener["rejected"] == {"denied": 3}


def test_a_revoked_token_is_refused_at_once(kpid):
    daemon = kpid(INFLUX, threads=2)
    port = daemon.port("http")
    for round_number in range(3):
        token = add_token(daemon, "web", "ingest")
        for _ in range(4):  # on both threads
            assert write(port, *bearer(token))[0] == 204
        assert daemon.kpictl("token", "revoke", "web").stdout == "token 'web' is revoked\n"
        assert write(port, *bearer(token))[0] == 401, round_number
    assert daemon.kpictl("token", "revoke", "web", check=False).returncode == 4
    assert daemon.kpictl("token", "list").stdout == "no tokens\n"


def test_tokens_live_through_restart_backup_and_restore_and_stand_nowhere(kpid, tmp_path):
    daemon = kpid(INFLUX)
    token = add_token(daemon, "web", "ingest")
    daemon.kpictl("backup", tmp_path / "saved")
    assert daemon.stop() == 0
    assert token not in daemon.log()
    for path in (tmp_path / "saved", daemon.folder / "data" / "data.mdb"):
        assert token.encode() not in path.read_bytes()
    daemon.start()
    assert write(daemon.port("http"), *bearer(token))[0] == 204
    daemon.stop()
    shutil.rmtree(daemon.folder / "data")
    daemon.kpictl("restore", tmp_path / "saved", "--to", daemon.folder / "data")
    daemon.start()
    assert write(daemon.port("http"), *bearer(token))[0] == 204


def test_who_guesses_is_refused_for_a_minute_and_others_of_the_address_are_not(kpid):
    daemon = kpid(INFLUX, threads=1)
    port = daemon.port("http")
    token = add_token(daemon, "web", "ingest")
    statuses = [write(port, *bearer(f"kpid_guess{i}"))[0] for i in range(12)]
    assert statuses == [401] * 10 + [429] * 2
    status, text = write(port, "-i", *bearer("kpid_guess"))
    assert status == 429 and "Retry-After: 60" in text
    assert write(port, *bearer(token))[0] == 204
    assert write(port, *bearer(token[:-1] + ("A" if token[-1] != "A" else "B")))[0] == 429
    assert write(port)[0] == 429
    assert daemon.kpictl("token", "list").returncode == 0  # the control socket knows no attempts


def test_a_file_of_tokens_is_read_by_a_reload_and_refused_when_others_can_read_it(kpid, tmp_path):
    file = tmp_path / "tokens"
    digest = hashlib.sha256(b"kpid_fromafile").hexdigest()
    file.write_text(f"# provisioned\ningest filed {digest}\n")
    file.chmod(0o600)
    daemon = kpid(INFLUX, server=f", auth: {{ tokens: {{ file: {file} }} }}")
    port = daemon.port("http")
    assert write(port, *bearer("kpid_fromafile"))[0] == 204
    refused = daemon.kpictl("token", "revoke", "filed", check=False)
    assert refused.returncode == 4 and "stands in the file of server.auth" in refused.stderr

    file.chmod(0o644)
    daemon.reload()
    assert "can be read or written by everybody" in daemon.log() and "reload_refused" in daemon.log()
    assert write(port, *bearer("kpid_fromafile"))[0] == 204

    file.write_text("")
    file.chmod(0o600)
    daemon.reload()
    assert write(port, *bearer("kpid_fromafile"))[0] == 401


NATIVE = 'ingest:\n  - { protocol: native, listen: "tcp:127.0.0.1:0", tokens: true }\n'


def say_hello(daemon, name, timeout=PATIENCE):
    token = add_token(daemon, name, "ingest")
    return native_client.Connection(daemon.port("tcp"), name.encode() * 8, 1, token, timeout)


def test_samples_of_native_batches_are_counted_for_their_token(kpid):
    daemon = kpid(NATIVE)
    connection = say_hello(daemon, "we")
    for sequence in (1, 2):
        assert connection.ask(native_client.Batch(sequence).add("hits", 1.0).add("hits", 2.0)).stored == 2
    [usage] = daemon.ask("ingest")["tokens"]
    assert (usage["name"], usage["samples"]) == ("we", 4)


def test_pushed_and_imported_rows_are_counted_for_their_token(kpid, tmp_path):
    daemon = kpid("ingest: []\n", server=', http: { listen: "127.0.0.1:0", tokens: true }')
    address = wait_until(lambda: [line.rsplit("address=", 1)[1] for line in daemon.log().splitlines()
                                  if "protocol=http" in line], "the address")[0].strip()
    file, rows = tmp_path / "token", tmp_path / "rows.csv"
    file.write_text(add_token(daemon, "books", "editor") + "\n")
    rows.write_text("time,value\n" + "".join(f"{int(time.time()) - 60},{i}\n" for i in range(300)))

    def remote(*arguments):
        subprocess.run([BUILD / "kpictl", "--url", f"http://{address}", "--token-file", file, *arguments], check=True,
                       capture_output=True, timeout=PATIENCE)

    def counted():
        [usage] = daemon.ask("ingest")["tokens"]
        return usage["samples"]

    remote("import", "--metric", "orders", "--csv", rows)
    assert counted() == 300
    remote("push", "orders=1")
    assert counted() == 301
    daemon.kpictl("push", "orders=1")  # on the control socket, without a token
    assert counted() == 301
    daemon.kpictl("token", "revoke", "books")
    assert daemon.ask("ingest")["tokens"] == []


def balance(daemon):
    """What each listener has counted, when it adds up and nothing waits."""
    facts = daemon.listeners()["tcp"]
    accounted = facts["stored"] + sum(facts["rejected"].values()) + sum(facts["dropped"].values())
    return facts if facts["pending"] == 0 and facts["received"] == accounted else None


def test_who_is_denied_in_the_native_protocol_stands_in_the_ledger(kpid):
    daemon = kpid(NATIVE)
    good = say_hello(daemon, "we")
    for token in ("", "kpid_wrong", add_token(daemon, "eyes", "viewer")):
        refused = native_client.Connection(daemon.port("tcp"), b"0123456789abcdef", 1, token)
        assert refused.refusal.code == native_client.DENIED
        refused.socket.close()
    assert good.ask(native_client.Batch(1).add("hits", 1.0).add("hits", 2.0)).stored == 2
    facts = wait_until(lambda: (found := balance(daemon)) and found["received"] == 5 and found, "the ledger")
    assert (facts["stored"], facts["rejected"]) == (2, {"denied": 3})


def test_a_batch_that_a_revoked_token_leaves_half_sent_is_denied_in_the_ledger(kpid):
    daemon = kpid(NATIVE)
    revoked = say_hello(daemon, "go")
    assert revoked.ask(native_client.Batch(1).add("hits", 1.0)).is_ack
    revoked.socket.sendall(b"\x00\x00\x01\x00half of it")
    wait_until(lambda: "kpid_ingest_body_bytes 0\n" not in daemon.get("/metrics")[1], "the first half to be read")
    daemon.kpictl("token", "revoke", "go")
    assert revoked.answer().code == native_client.DENIED
    facts = wait_until(lambda: (found := balance(daemon)) and found["received"] == 2 and found, "the ledger")
    assert facts["rejected"] == {"denied": 1}


def test_a_revoked_token_ends_its_native_connections(kpid):
    daemon = kpid(NATIVE)
    revoked, other = say_hello(daemon, "go", timeout=10), say_hello(daemon, "by")
    assert revoked.ask(native_client.Batch(1).add("hits", 1.0)).is_ack
    daemon.kpictl("token", "revoke", "go")
    answer = revoked.answer()
    assert (answer.is_ack, answer.sequence, answer.code) == (False, 0, native_client.DENIED)
    assert revoked.socket.recv(1) == b""
    assert other.ask(native_client.Batch(1).add("hits", 1.0)).is_ack


def test_tokens_that_a_reload_asks_for_end_native_connections_without_one(kpid):
    daemon = kpid(NATIVE.replace(", tokens: true", ""))
    without = native_client.Connection(daemon.port("tcp"), b"0123456789abcdef", 1)
    assert without.ask(native_client.Batch(1).add("hits", 1.0)).is_ack
    daemon.write_config(NATIVE)
    daemon.reload()
    answer = without.answer()
    assert (answer.is_ack, answer.sequence, answer.code) == (False, 0, native_client.DENIED)
    assert "a token is needed here now" in answer.message
    assert without.socket.recv(1) == b""
    other = say_hello(daemon, "go")
    assert other.ask(native_client.Batch(1).add("hits", 1.0)).is_ack
    daemon.reload()  # which changes nothing
    assert other.ask(native_client.Batch(2).add("hits", 1.0)).is_ack


@pytest.mark.parametrize("protocol,path,body,words", [
    ("influx", "/write", b"m f=1\nm f=2\n", b'{"error":'),
    ("influx", "/api/v2/write", b"m f=1\nm f=2\n", b'{"code":"unauthorized"'),
    ("json", "/push", b'{"samples":[{"name":"m","value":1}]}', b'{"error":'),
])
def test_a_body_whose_token_is_revoked_in_the_middle_is_not_stored(kpid, protocol, path, body, words):
    daemon = kpid(INFLUX.replace("influx", protocol))

    def begin(token=None):
        head = f"POST {path} HTTP/1.1\r\nHost: k\r\nContent-Length: {len(body)}\r\n"
        shown = f"Authorization: Bearer {token}\r\n" if token else ""
        connection = socket.create_connection(("127.0.0.1", daemon.port("http")), PATIENCE)
        connection.sendall(f"{head}Connection: close\r\n{shown}\r\n".encode() + body[:7])
        return connection

    def rest(connection):
        with connection:
            connection.sendall(body[7:])
            answer = b""
            while chunk := connection.recv(65536):
                answer += chunk
            return answer

    def under_way(count):
        wait_until(lambda: f"kpid_connections {count}\n" in daemon.get("/metrics")[1]
                   and "kpid_ingest_body_bytes 0\n" not in daemon.get("/metrics")[1], "the halves to be read")

    def facts_of(received):
        return wait_until(lambda: (found := daemon.listeners()["http"])["received"] == received
                          and not found["pending"] and found, "the ledger")

    token, other = add_token(daemon, "go", "ingest"), add_token(daemon, "by", "ingest")
    revoked, good = begin(token), begin(other)
    under_way(2)
    daemon.kpictl("token", "revoke", "go")
    answer = rest(revoked)
    assert answer.startswith(b"HTTP/1.1 401 ") and words in answer and b"not known any more" in answer, answer
    assert rest(good)[9:12] in (b"200", b"204")
    samples = body.count(b"m f") or 1
    facts = facts_of(samples + 1)
    assert (facts["stored"], facts["rejected"]) == (samples, {"denied": 1})

    # and where tokens are asked for only now
    daemon.write_config(INFLUX.replace("influx", protocol).replace(", tokens: true", ""))
    daemon.reload()
    late = begin()
    under_way(1)
    daemon.write_config(INFLUX.replace("influx", protocol))
    daemon.reload()
    answer = rest(late)
    assert answer.startswith(b"HTTP/1.1 401 ") and b"a token is needed here now" in answer, answer
    facts = facts_of(samples + 2)
    assert (facts["stored"], facts["rejected"]) == (samples, {"denied": 2})


# --- TLS -----------------------------------------------------------------------------------------


def test_http_by_tls(kpid, folder):
    daemon = kpid(f'ingest:\n  - {{ protocol: influx, listen: "http:127.0.0.1:0", {tls(folder)} }}\n')
    port = daemon.port("http")
    trusted = ("--cacert", folder / "ca.crt")
    assert write(port, *trusted, scheme="https")[0] == 204
    assert write(port, scheme="https")[0] == 0  # nobody else's certificates
    assert write(port)[0] == 0  # plain text on a TLS port
    wait_until(lambda: "tls_failed" in daemon.log(), "the failures in the log")
    body = folder / "body"
    body.write_text("".join(f"m,host=h{i % 50} v={i}i\n" for i in range(100000)))
    assert curl(f"https://localhost:{port}/write", *trusted, "--data-binary", f"@{body}")[0] == 204
    assert curl(f"https://localhost:{port}/write", *trusted, "--data-binary", f"@{body}", "-H", "Expect:",
                "--tls-max", "1.2")[0] == 204
    assert curl(f"https://localhost:{port}/write", *trusted, "--tls-max", "1.1", "-d", "m v=1")[0] == 0
    # several requests over one connection
    status, _ = curl(f"https://localhost:{port}/write", *trusted, "-d", "m v=1", "--next", "-s", "-m", "30", *trusted,
                     "-w", "\n%{http_code}", f"https://localhost:{port}/ping")
    assert status == 204
    wait_until(lambda: daemon.stored() == 200002, "all samples")


def test_a_client_by_tls_that_expects_to_go_on_hears_what_is_wrong(kpid, folder):
    daemon = kpid(f'ingest:\n  - {{ protocol: influx, listen: "http:127.0.0.1:0", {tls(folder)} }}\n')
    context = ssl.create_default_context(cafile=str(folder / "ca.crt"))
    for _ in range(5):
        plain = socket.create_connection(("127.0.0.1", daemon.port("http")), PATIENCE)
        with context.wrap_socket(plain, server_hostname="localhost") as connection:
            connection.sendall(b"POST /write HTTP/1.1\r\nHost: k\r\nExpect: 100-continue\r\n"
                               b"Transfer-Encoding: chunked\r\n\r\n")
            connection.sendall(b"no number\r\n")
            answer = b""
            while chunk := connection.recv(65536):
                answer += chunk
        assert answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 400 ") and answer.endswith(b"}\n"), answer


def test_clients_need_a_certificate_where_one_is_asked_for(kpid, folder):
    make_certificate(folder, "client")
    make_authority(folder, "others")
    make_certificate(folder, "stranger", "others")
    more = f", client_ca: {folder}/ca.crt"
    daemon = kpid("".join(["ingest:\n"] + [
        f'  - {{ protocol: {protocol}, listen: "{transport}:127.0.0.1:0", {tls(folder, more)} }}\n'
        for protocol, transport in (("influx", "http"), ("statsd", "tcp"))]))
    port = daemon.port("http")
    trusted = ("--cacert", folder / "ca.crt")

    def own(name):
        return "--cert", folder / f"{name}.crt", "--key", folder / f"{name}.key"

    assert write(port, *trusted, scheme="https")[0] == 0
    assert write(port, *trusted, *own("stranger"), scheme="https")[0] == 0
    assert write(port, *trusted, *own("client"), scheme="https")[0] == 204
    for name in (None, "stranger", "client"):
        arguments = ["openssl", "s_client", "-connect", f"127.0.0.1:{daemon.port('tcp')}", "-CAfile", folder / "ca.crt",
                     "-quiet", "-no_ign_eof"]
        if name:
            arguments += ["-cert", folder / f"{name}.crt", "-key", folder / f"{name}.key"]
        subprocess.run(arguments, input=b"a:1|c\nb:2|c\n", capture_output=True, check=False, timeout=PATIENCE)
    wait_until(lambda: daemon.stored() == 3, "what the one client sent")
    assert daemon.listeners()["tcp"]["received"] == 2


def connect(port, folder):
    context = ssl.create_default_context(cafile=folder / "ca.crt")
    plain = socket.create_connection(("127.0.0.1", port), PATIENCE)
    return context.wrap_socket(plain, server_hostname="localhost")


def test_certificates_are_renewed_under_load_and_nothing_is_lost(kpid, folder):
    listen = f'ingest:\n  - {{ protocol: statsd, listen: "tcp:127.0.0.1:0", {tls(folder)} }}\n'
    daemon = kpid(listen)
    port = daemon.port("tcp")
    ended = threading.Event()
    sent = []

    def send_without_end():
        count = 0
        while not ended.is_set():
            with connect(port, folder) as stream:
                for _ in range(50):
                    stream.sendall(b"requests:1|c\n" * 100)
                    count += 100
                stream.unwrap()
        sent.append(count)

    senders = [threading.Thread(target=send_without_end) for _ in range(2)]
    for sender in senders:
        sender.start()
    serials = set()
    for _ in range(3):
        make_certificate(folder, "server")
        daemon.reload()
        with connect(port, folder) as stream:
            serials.add(stream.getpeercert()["serialNumber"])
            stream.unwrap()
    ended.set()
    for sender in senders:
        sender.join(PATIENCE)
    assert len(serials) == 3
    wait_until(lambda: daemon.stored() == sum(sent), f"{sum(sent)} samples, not {daemon.stored()}")


def test_a_certificate_that_cannot_be_used_leaves_the_old_one(kpid, folder):
    daemon = kpid(f'ingest:\n  - {{ protocol: influx, listen: "http:127.0.0.1:0", {tls(folder)} }}\n')
    port = daemon.port("http")
    (folder / "server.crt").write_text("no certificate\n")
    daemon.reload()
    assert "cannot use certificate" in daemon.log() and "reload_refused" in daemon.log()
    assert write(port, "--cacert", folder / "ca.crt", scheme="https")[0] == 204
    make_certificate(folder, "server")
    (folder / "server.key").chmod(0o644)
    daemon.reload()
    assert "server.key' can be read or written by everybody" in daemon.log()


def test_a_certificate_that_ends_soon_is_told_of_until_there_is_another(kpid, folder):
    make_certificate(folder, "server", days=3)
    daemon = kpid(f'ingest:\n  - {{ protocol: influx, listen: "http:127.0.0.1:0", {tls(folder)} }}\n')
    words = f"certificate '{folder}/server.crt' expires in less than 3 days, on 20"
    assert daemon.log().count(words) == 1
    daemon.reload()
    assert daemon.log().count(words) == 2  # once each time that it is loaded
    assert write(daemon.port("http"), "--cacert", folder / "ca.crt", scheme="https")[0] == 204
    shown = f"certificate '{folder}/server.crt' expires on 20"
    for command in ("ingest", "status"):
        assert daemon.kpictl(command).stdout.count(shown) == 1
        [certificate] = daemon.ask(command)["certificates"]
        assert certificate["is_expiring"] and not certificate["is_expired"]
    gauge = next(line for line in daemon.get("/metrics")[1].splitlines()
                 if line.startswith("kpid_certificate_expires_seconds "))
    assert 0 < int(gauge.split()[1]) - time.time() <= 3 * 86400

    make_certificate(folder, "server")
    daemon.reload()
    assert daemon.log().count("certificate '") == 2
    for command in ("ingest", "status"):
        assert "certificate '" not in daemon.kpictl(command).stdout
        assert not daemon.ask(command)["certificates"][0]["is_expiring"]


def test_who_never_ends_a_handshake_is_sent_away(kpid, folder):
    daemon = kpid(f'ingest:\n  - {{ protocol: statsd, listen: "tcp:127.0.0.1:0", {tls(folder)} }}\n')
    port = daemon.port("tcp")
    silent = [socket.create_connection(("127.0.0.1", port), PATIENCE) for _ in range(20)]
    with connect(port, folder) as stream:
        stream.sendall(b"a:1|c\n")
        stream.unwrap()
    wait_until(lambda: daemon.stored() == 1, "the one who speaks")
    for connection in silent:
        assert connection.recv(1) == b""  # after ten seconds
        connection.close()
    assert "takes too long" in daemon.log()


# --- server.http ---------------------------------------------------------------------------------


def test_kpictl_over_the_network(kpid, folder):
    daemon = kpid(f"{INFLUX}kpis: {{ a: sum(a) }}\n", server=f', http: {{ listen: "127.0.0.1:0", tokens: true, {tls(folder)} }}')
    address = wait_until(lambda: [line.rsplit("address=", 1)[1] for line in daemon.log().splitlines()
                                  if "protocol=http" in line], "the address")[0].strip()
    url = f"https://localhost:{address.rsplit(':', 1)[1]}"
    file = folder / "token"

    def remote(*arguments):
        done = subprocess.run([BUILD / "kpictl", "--url", url, "--ca-file", folder / "ca.crt", "--token-file", file,
                               *arguments], capture_output=True, text=True, check=False, timeout=PATIENCE)
        return done.returncode, done.stdout + done.stderr

    file.write_text(add_token(daemon, "eyes", "viewer") + "\n")
    assert remote("status")[0] == 0
    code, words = remote("push", "a=1")
    assert code == 4 and "the token 'eyes' has the role viewer" in words
    file.write_text(add_token(daemon, "boss", "admin") + "\n")
    assert remote("push", "a=1")[0] == 0
    assert remote("token", "list")[0] == 0
    file.write_text("kpid_wrong\n")
    code, words = remote("status")
    assert code == 4 and "the token is not known" in words
    assert curl(f"{url}/healthz", "--cacert", folder / "ca.crt")[0] == 200
    assert curl(f"{url}/metrics", "--cacert", folder / "ca.crt")[0] == 401
    for _ in range(100):  # more than may be open at once
        assert curl(f"{url}/readyz", "--cacert", folder / "ca.crt")[0] == 200
