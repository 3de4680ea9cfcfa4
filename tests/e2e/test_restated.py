"""Late samples that change a day that has closed: what is told, with both figures, and what is not,
over kill -9 too."""

import datetime
import json

from conftest import signature_is_valid, wait_until
from rounds import push
from test_alerts import CHAT, HEAD, environment, told, zone_at_noon

# Evaluated when kpid starts, and not again while a test runs: so a test says when.
RARELY = "schedules: { some: every 23h }\n"
OFTEN = "schedules: { some: every 1s }\n"


def body(schedule, **targets):
    """KPIs that count metrics of their names by day; their rules tell the chat."""
    kpis = "".join(
        f"  {name}: {{ value: sum({name}), period: day, target: {{ {target} }}, evaluate: some, hooks: [ chat ] }}\n"
        for name, target in targets.items())
    metrics = ", ".join(f"{name}: {{ type: counter }}" for name in targets)
    return (HEAD + f"calendars: {{ default: {{ timezone: {zone_at_noon()} }} }}\n" + schedule
            + f"metrics: {{ {metrics} }}\nkpis:\n" + kpis + CHAT)


def send(daemon, **values):
    """Acknowledged samples of yesterday."""
    at = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(days=1)
    text = at.strftime("%Y-%m-%dT%H:%M:%SZ")
    assert push(daemon.control, [{"name": name, "value": value, "at": text} for name, value in values.items()]) is True


def restated(receiver, kpi):
    return [event["data"] for event in receiver.events("kpi.period.restated") if event["data"]["kpi"] == kpi]


def count(daemon, name):
    """Since it was started."""
    _, text = daemon.get("/metrics")
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith(f"kpid_{name}_total "))


def wait_for_restated(daemon, wanted):
    wait_until(lambda: count(daemon, "periods_restated") >= wanted, f"{wanted} restated periods")
    assert count(daemon, "periods_restated") == wanted


def wait_for_looks(daemon, kpis):
    """What comes from now on is later than the look that each KPI had when kpid started: none is under way,
    which would find a sample now, or at the first one take it for what was always there."""
    wait_until(lambda: count(daemon, "period_looks") >= kpis, f"a look at {kpis} KPIs")


def test_a_late_sample_that_turns_a_verdict_is_told_with_both_figures(kpid, receiver):
    daemon = kpid(body(OFTEN, leads="at_least: 100"), environment=environment(receiver))
    wait_for_looks(daemon, 1)
    send(daemon, leads=83)  # yesterday was evaluated already: nobody had heard of leads
    wait_for_restated(daemon, 1)
    assert wait_until(lambda: told(receiver, "leads", "firing"), "yesterday's miss")[0]["value"] == 83
    assert restated(receiver, "leads") == []  # where there was no verdict none has turned
    send(daemon, leads=20)
    event = wait_until(lambda: restated(receiver, "leads"), "the restatement")[0]
    assert event["old"] == {"value": 83, "value_text": "83", "status": "missed"}
    assert event["value"] == 103
    assert event["status"] == "hit"
    assert event["reason"] == "late_samples"
    assert event["target"]["to"] == 100
    assert event["period"]["to"] == daemon.kpi("leads")["period"]["from"]
    assert event["text"].endswith("restated, 83 is now 103, target 100: hit instead of missed")
    headers, sent = next(request[1:] for request in receiver.requests
                         if json.loads(request[2])["type"] == "kpi.period.restated")
    assert signature_is_valid(headers, sent)
    assert daemon.kpi("leads")["last"]["value"] == 103


def test_a_kill_between_a_sample_and_its_evaluation_loses_and_repeats_nothing(kpid, receiver):
    daemon = kpid(body(RARELY, leads="at_least: 100", fence="at_least: 1"), environment=environment(receiver))
    wait_for_looks(daemon, 2)

    def restart():
        daemon.kill()
        daemon.start()
        wait_for_looks(daemon, 2)

    send(daemon, leads=83, fence=1)
    restart()
    wait_for_restated(daemon, 2)
    for value in (20, 1):  # a hit instead of a miss; then only another figure
        send(daemon, leads=value, fence=1)
        restart()
        wait_for_restated(daemon, 2)
        wait_until(lambda: restated(receiver, "leads"), "the restatement")
        send(daemon, fence=1)  # and nothing of leads: it is looked at beside the fence
        restart()
        wait_for_restated(daemon, 1)
    events = restated(receiver, "leads")
    assert [(event["old"]["value"], event["value"]) for event in events] == [(83, 103)]
    assert restated(receiver, "fence") == []
    assert daemon.kpi("leads")["last"]["value"] == 104
