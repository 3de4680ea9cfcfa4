"""What kpid counts of itself is a metric like any other: a target of nothing rejected alerts when something is."""

import socket

from conftest import SECRET, wait_until

LISTENERS = """
ingest:
  - { protocol: statsd, listen: "udp:127.0.0.1:0" }
  - { protocol: statsd, listen: "tcp:127.0.0.1:0" }
"""

NOTHING_LOST = LISTENERS + """
kpis:
  rejected: { value: sum(kpid_samples_rejected_total), period: year, target: { at_most: 0 }, evaluate: every 1s,
              hooks: [ chat ] }
  dropped: { value: sum(kpid_samples_dropped_total), period: year, target: { at_most: 0 }, evaluate: every 1s,
             hooks: [ chat ] }
hooks:
  chat: { type: webhook, url: { env: HOOK_URL }, secrets: [ { env: HOOK_SECRET } ], allow_http: true,
          retry: { first: 100ms, max: 500ms } }
"""


def send(daemon, *lines):
    """By UDP; returns when all of them are in the ledger."""
    before = daemon.listeners()["udp"]["received"]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.sendto("\n".join(lines).encode(), ("127.0.0.1", daemon.port("udp")))
    wait_until(lambda: daemon.listeners()["udp"]["received"] == before + len(lines), "the samples to be committed")


def own_metrics(daemon):
    return {row["metric"] for row in daemon.ask("metrics", "list")["metrics"] if row["metric"].startswith("kpid_")}


def balances(daemon):
    """Of all listeners; and there are none but those of the configuration."""
    listeners = daemon.ask("ingest")["listeners"]
    assert len(listeners) == 2
    return all(one["received"] == one["stored"] + sum(one["rejected"].values()) + sum(one["dropped"].values())
               for one in listeners)


def test_a_rejected_sample_breaks_the_target_of_none_and_is_told(kpid, receiver):
    daemon = kpid(NOTHING_LOST, environment={"HOOK_URL": receiver.url, "HOOK_SECRET": SECRET})
    wait_until(lambda: daemon.kpi("rejected")["value"] == 0, "kpid to know what it counts")
    assert daemon.kpi("rejected")["status"] in ("on_track", "exceeding")
    send(daemon, "orders:1|c", "this is no line", "orders:2|c")
    fired = wait_until(lambda: receiver.events("kpi.alert.firing"), "the alert")
    assert [event["data"]["kpi"] for event in fired] == ["rejected"]
    assert fired[0]["data"]["value"] == 1
    assert daemon.kpi("rejected")["status"] not in ("on_track", "exceeding")
    assert daemon.kpi("dropped")["value"] == 0
    assert daemon.value('sum(kpid_samples_rejected_total{reason="malformed"})') == 1
    assert daemon.value("sum(kpid_samples_received_total)") == 3

    # Committed and not posted yet when kpid is killed: counted once, after the start.
    send(daemon, "nor is this", "nor this", "orders:4|c")
    daemon.kill()
    daemon.start()
    wait_until(lambda: daemon.kpi("rejected")["value"] == 3, "what was counted before the kill")
    assert daemon.stop() == 0
    daemon.start()
    send(daemon, "orders:8|c")
    wait_until(lambda: daemon.value("sum(kpid_samples_stored_total)") == 4, "what was counted after the stop")
    assert daemon.kpi("rejected")["value"] == 3
    assert daemon.value("sum(orders)") == 15
    assert balances(daemon)


def test_nobody_has_them_who_does_not_ask_for_them(kpid):
    daemon = kpid(LISTENERS)
    send(daemon, "orders:1|c", "this is no line")
    assert own_metrics(daemon) == set()
    assert daemon.ask("ingest")["series"] == 1

    text = daemon.config_path.read_text()
    daemon.config_path.write_text(text.replace("server: { ", "server: { own_metrics: true, "))
    daemon.reload()
    wait_until(lambda: "kpid_samples_rejected_total" in own_metrics(daemon), "kpid's own metrics")
    assert daemon.value("sum(kpid_samples_rejected_total)") == 0  # it was before
    send(daemon, "nor is this")
    wait_until(lambda: daemon.value("sum(kpid_samples_rejected_total)") == 1, "what came since")
    assert balances(daemon)
