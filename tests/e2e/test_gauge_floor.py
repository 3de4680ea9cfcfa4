"""A gauge that clients count up and down does not stay wrong below 0 after a decrement that came twice (S7)."""

import socket

from conftest import wait_until

BODY = """
ingest:
  - { protocol: statsd, listen: "tcp:127.0.0.1:0" }
metrics:
  jobs: { type: gauge, min: 0 }
  balance: { type: gauge }
"""


def send(daemon, *lines):
    before = daemon.stored()
    with socket.create_connection(("127.0.0.1", daemon.port("tcp"))) as client:
        client.sendall("".join(line + "\n" for line in lines).encode())
    wait_until(lambda: daemon.stored() == before + len(lines), "the samples to be committed")


def test_steps_do_not_take_a_gauge_below_its_floor(kpid):
    daemon = kpid(BODY)
    send(daemon, "jobs:+1|g", "balance:+1|g")
    send(daemon, "jobs:-1|g", "balance:-1|g")
    send(daemon, "jobs:-1|g", "balance:-1|g", "jobs:-1|g", "balance:-1|g")
    send(daemon, "jobs:+2|g", "balance:+2|g")
    assert daemon.value("last(jobs)") == 2
    assert daemon.value("last(balance)") == 0
    assert daemon.value("min(jobs)") == 0
    daemon.kill()
    daemon.start()
    send(daemon, "jobs:-5|g", "jobs:+1|g", "jobs:7|g", "jobs:-9|g", "jobs:+3|g")
    assert daemon.value("last(jobs)") == 3
