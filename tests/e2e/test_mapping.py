"""Rules of mapping: dotted names become names and labels, whatever the protocol; a reload changes them."""

import socket

from conftest import wait_until

LISTENERS = """
ingest:
  - { protocol: graphite, listen: "tcp:127.0.0.1:0" }
  - { protocol: influx, listen: "http:127.0.0.1:0" }
metrics: { orders: { type: counter } }
"""
RULES = """
mapping:
  - { match: "shop.*.orders.*", name: orders, labels: { site: $1, channel: $2 } }
  - { match: "debug.**", drop: true }
"""


def send(daemon, text):
    with socket.create_connection(("127.0.0.1", daemon.port("tcp"))) as connection:
        connection.sendall(text.encode())


def ledger(daemon, transport):
    return next(one for one in daemon.ask("ingest")["listeners"] if one["listen"].startswith(transport))


def settled(daemon, transport, received):
    def look():
        one = ledger(daemon, transport)
        return one["received"] == received and one["pending"] == 0 and one
    return wait_until(look, f"{received} samples over {transport}")


def test_names_become_labels_and_what_nobody_wants_is_counted(kpid):
    daemon = kpid(LISTENERS + RULES)
    send(daemon, "shop.de.orders.web 3 -1\nshop.fr.orders.app 4 -1\ndebug.a.b 1 -1\ndebug.c 2 -1\n")
    one = settled(daemon, "tcp", 4)
    assert (one["stored"], one["dropped"]) == (2, {"unwanted": 2})
    assert daemon.value("sum(orders)") == 7
    assert daemon.value('sum(orders{site="fr",channel="app"})') == 4
    done = daemon.kpictl("push", "shop.at.orders.web=5")
    assert done.returncode == 0
    assert daemon.value('sum(orders{channel="web"})') == 8

    daemon.write_config(LISTENERS)
    daemon.reload()
    send(daemon, "debug.c 2 -1\n")
    settled(daemon, "tcp", 5)
    assert ledger(daemon, "tcp")["dropped"] == {"unwanted": 2}


def test_a_rule_that_means_nothing_is_refused(kpid):
    daemon = kpid(LISTENERS + 'mapping: [ { match: "a.*", name: "$2" } ]\n', start=False)
    assert daemon.spawn("--check").process.wait(60) == 1
    assert "'$2' names $2, and there are 1 stars" in daemon.log()
