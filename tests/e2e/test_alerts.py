"""From a breach to its end: what is told, when, to whom, and what is not told."""

import datetime
import json
import re
import socket
import time

import pytest

from conftest import SECRET, Kpid, Receiver, wait_until
from rounds import push

HEAD = 'ingest: [ { protocol: statsd, listen: "udp:127.0.0.1:0" } ]\n'

# Every test that shows that something is NOT told has a fence: a second KPI on the same schedule,
# so judged in the same run. When its message has arrived, the other's would have been sent too.
SCHEDULE = "schedules: { often: every 1s }\n"
QUEUE = SCHEDULE + """
metrics: { queue: { type: gauge }, fence: { type: gauge } }
kpis:
  queue: { value: last(queue), target: { at_most: 10 }, evaluate: often, hooks: [ chat ] }
  fence: { value: last(fence), target: { at_most: 10 }, evaluate: often, hooks: [ chat ] }
"""


def hook(name, receiver_url=None, more=""):
    """A line of hooks: with short retries; `receiver_url` is an environment variable."""
    return (f"  {name}: {{ type: webhook, url: {{ env: {receiver_url or 'HOOK_URL'} }}, "
            f"secrets: [ {{ env: HOOK_SECRET }} ], allow_http: true, retry: {{ first: 100ms, max: 500ms }}{more} }}\n")


CHAT = "hooks:\n" + hook("chat")


def environment(receiver, **more):
    return {"HOOK_URL": receiver.url, "HOOK_SECRET": SECRET, **more}


def send(daemon, **samples):
    """Acknowledged values of declared metrics."""
    assert push(daemon.control, [{"name": name, "value": value} for name, value in samples.items()]) is True


def told(receiver, kpi, kind=None):
    return [event["data"] for event in receiver.events(kind and f"kpi.alert.{kind}") if event["data"]["kpi"] == kpi]


def alert(daemon, rule):
    return next((found for found in daemon.ask("alerts")["alerts"] if found["rule"] == rule), None)


def hook_facts(daemon, name):
    return next(found for found in daemon.ask("hooks")["hooks"] if found["name"] == name)


def pass_fence(daemon, receiver):
    """When it returns, a run that began after the call was judged and told."""
    was = len(told(receiver, "fence"))
    send(daemon, fence=25 if was % 2 == 0 else 5)
    wait_until(lambda: len(told(receiver, "fence")) > was, "the fence's message")


def change(daemon, old, new):
    body = daemon.config_path.read_text()
    assert old in body
    daemon.config_path.write_text(body.replace(old, new))
    daemon.reload()


@pytest.fixture(scope="module", autouse=True)
def minute(tmp_path_factory):
    """A KPI of a minute that is firing; its minute passes while the other tests run."""
    receiver = Receiver().start()
    daemon = Kpid(tmp_path_factory.mktemp("minute"), HEAD + """
metrics: { order: { type: counter } }
kpis:
  orders: { title: Orders, value: sum(order), period: minute, target: { at_most: 3 }, evaluate: every 1s,
            hooks: [ chat ] }
""" + CHAT, environment=environment(receiver)).start()
    breach_this_minute(daemon, receiver, 0)
    yield daemon, receiver
    assert daemon.stop() == 0
    receiver.stop()
    assert "Sanitizer" not in daemon.log(), daemon.log()


def breach_this_minute(daemon, receiver, before):
    """Breaches until one more firing than `before` is told: a minute may end in between."""
    pushed = []

    def is_told():
        now = int(time.time() // 60)
        if not pushed or pushed[-1] != now:
            pushed.append(now)
            send(daemon, order=5)
        return len(told(receiver, "orders", "firing")) > before

    wait_until(is_told, "orders to fire")


def zone_at_noon():
    """A zone where it is about noon now, so that no day ends during a test."""
    ahead = 12 - datetime.datetime.now(datetime.timezone.utc).hour
    return "UTC" if ahead == 0 else f"Etc/GMT{'-' if ahead > 0 else '+'}{abs(ahead)}"


def test_a_daily_minimum_pages_for_the_day_that_ended_and_not_for_the_open_one(kpid, receiver):
    daemon = kpid(HEAD + f"calendars: {{ default: {{ timezone: {zone_at_noon()} }} }}\n" + SCHEDULE + """
metrics: { signup: { type: counter }, lead: { type: counter } }
kpis:
  signups: { value: sum(signup), period: day, target: { at_least: 100 }, evaluate: often, hooks: [ chat ] }
  leads: { value: sum(lead), period: day, target: { at_least: 100 }, evaluate: often, hooks: [ chat ] }
""" + CHAT, environment=environment(receiver))
    yesterday = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(days=1)
    at = yesterday.strftime("%Y-%m-%dT%H:%M:%SZ")
    assert push(daemon.control, [
        {"name": "signup", "value": 120, "at": at}, {"name": "signup", "value": 3},
        {"name": "lead", "value": 83, "at": at}, {"name": "lead", "value": 3}]) is True
    firing = wait_until(lambda: told(receiver, "leads", "firing"), "yesterday's miss")[0]
    assert firing["value"] == 83
    assert firing["status"] == "missed"
    assert re.fullmatch(r"leads: 83, target 100 \(\d{4}-\d\d-\d\d\)", firing["text"])
    assert firing["period"]["to"] == daemon.kpi("leads")["period"]["from"]

    send(daemon, lead=97)
    resolved = wait_until(lambda: told(receiver, "leads", "resolved"), "today to make up for it")[0]
    assert resolved["value"] == 100
    assert resolved["alert_id"] == firing["alert_id"]
    assert told(receiver, "signups") == []
    assert daemon.kpi("signups")["status"] == "too_early"


def test_unknown_neither_resolves_nor_fires(kpid, receiver):
    daemon = kpid(HEAD + SCHEDULE + """
metrics:
  queue: { type: gauge, stale_after: 2s }
  slow: { type: gauge, stale_after: 2s }
  fence: { type: gauge }
kpis:
  queue: { value: last(queue), target: { at_most: 10 }, evaluate: often, hooks: [ chat ] }
  slow: { value: last(slow), target: { at_most: 10 }, evaluate: often, hooks: [ chat ], for: 3s }
  fence: { value: last(fence), target: { at_most: 10 }, evaluate: often, hooks: [ chat ] }
""" + CHAT, environment=environment(receiver))

    def both_breached():
        send(daemon, queue=25, slow=25)
        return told(receiver, "queue", "firing") and alert(daemon, "slow")

    wait_until(both_breached, "one firing, one pending")
    since = datetime.datetime.fromisoformat(alert(daemon, "slow")["since"])
    assert alert(daemon, "slow")["state"] == "pending"

    # Silence: no figure, so nothing is known, for longer than `for` takes.
    over = since + datetime.timedelta(seconds=3)
    wait_until(lambda: daemon.kpi("slow")["status"] == "no_data", "the source to be stale")
    assert daemon.kpi("queue")["value"] is None
    wait_until(lambda: datetime.datetime.now(datetime.timezone.utc) > over, "`for` to be over")
    pass_fence(daemon, receiver)
    assert alert(daemon, "slow")["state"] == "pending"
    assert alert(daemon, "queue")["state"] == "firing"
    assert [event["rule"] for event in told(receiver, "queue") + told(receiver, "slow")] == ["queue"]

    # Unknown did not begin `for` anew: the first true run after the silence fires.
    wait_until(lambda: push(daemon.control, [{"name": "slow", "value": 25}]) and told(receiver, "slow", "firing"),
               "slow to fire")
    assert told(receiver, "queue", "resolved") == []


def test_a_restart_keeps_what_fires_and_tells_it_once(kpid, receiver):
    daemon = kpid(HEAD + QUEUE + CHAT, environment=environment(receiver))
    send(daemon, queue=25)
    firing = wait_until(lambda: told(receiver, "queue", "firing"), "the breach")[0]
    before = alert(daemon, "queue")
    assert daemon.stop() == 0
    daemon.start()
    pass_fence(daemon, receiver)
    assert alert(daemon, "queue") == before
    assert len(told(receiver, "queue")) == 1
    send(daemon, queue=5)
    resolved = wait_until(lambda: told(receiver, "queue", "resolved"), "the recovery")[0]
    assert resolved["alert_id"] == firing["alert_id"]
    assert alert(daemon, "queue") is None


def test_a_rule_that_is_removed_while_it_fires_is_ended_where_it_was_told(kpid, receiver):
    daemon = kpid(HEAD + QUEUE + CHAT, environment=environment(receiver))  # no defaults.hooks
    send(daemon, queue=25)
    firing = wait_until(lambda: told(receiver, "queue", "firing"), "the breach")[0]
    line = next(line for line in daemon.config_path.read_text().splitlines() if line.startswith("  queue:"))
    change(daemon, line + "\n", "")
    ended = wait_until(lambda: receiver.events("kpi.alert.ended"), "its end")[0]["data"]
    assert ended["reason"] == "rule_changed"
    assert ended["alert_id"] == firing["alert_id"]
    assert ended["text"] == "queue: ended, the rule was removed while it was firing"
    assert daemon.ask("alerts")["alerts"] == []


def test_a_changed_target_ends_the_alert_only_if_it_is_met_now(kpid, receiver):
    daemon = kpid(HEAD + QUEUE + CHAT, environment=environment(receiver))
    send(daemon, queue=25)
    firing = wait_until(lambda: told(receiver, "queue", "firing"), "the breach")[0]
    change(daemon, "value: last(queue), target: { at_most: 10 }", "value: last(queue), target: { at_most: 20 }")
    pass_fence(daemon, receiver)
    assert len(told(receiver, "queue")) == 1  # it is still true, so nothing is to be said
    assert alert(daemon, "queue")["state"] == "firing"

    change(daemon, "at_most: 20", "at_most: 30")
    ended = wait_until(lambda: told(receiver, "queue", "ended"), "its end")[0]
    assert ended["reason"] == "rule_changed"
    assert ended["alert_id"] == firing["alert_id"]
    assert "the rule was changed; now 25, target 30" in ended["text"]
    assert told(receiver, "queue", "resolved") == []

    change(daemon, "at_most: 30", "at_most: 15")
    wait_until(lambda: len(told(receiver, "queue", "firing")) == 2, "it to fire anew")
    assert told(receiver, "queue", "firing")[1]["alert_id"] != firing["alert_id"]


def test_slack_gets_valid_escaped_json_by_the_default_hooks(kpid, receiver):
    daemon = kpid(HEAD + """
defaults: { hooks: [ chat ] }
metrics: { paid: { type: counter }, order: { type: counter } }
kpis:
  pay:
    title: 'Paid & <!channel> "orders" \\ é'
    value: sum(paid) / sum(order)
    target: { at_least: 90% }
    evaluate: every 1s
    do: look at <https://pay.example|here> & call
hooks:
  chat: { type: slack, url: { env: HOOK_URL }, allow_http: true }
""", environment=environment(receiver))
    send(daemon, paid=899.9, order=1000)
    _, headers, body = wait_until(lambda: receiver.requests, "the message")[0]
    assert headers["Content-Type"] == "application/json"
    message = json.loads(body)
    assert message["text"].startswith('[warning] Paid &amp; &lt;!channel&gt; "orders" \\ é: 89.99 %, target 90 % (')
    assert "<" not in message["text"] and ">" not in message["text"]
    kinds = [block["type"] for block in message["blocks"]]
    assert kinds[0] == "header" and kinds[-1] == "context" and "section" in kinds
    assert len(message["blocks"][0]["text"]["text"]) <= 150
    assert "look at &lt;https://pay.example|here&gt; &amp; call" in json.dumps(message["blocks"])
    wait_until(lambda: hook_facts(daemon, "chat")["sent"] == 1, "the delivery to be noted")


def test_retry_after_is_obeyed(kpid, receiver):
    daemon = kpid(HEAD + QUEUE + CHAT, environment=environment(receiver))
    receiver.status = 429
    receiver.headers = {"Retry-After": "2"}
    send(daemon, queue=25)
    wait_until(lambda: receiver.requests, "the refused attempt")
    receiver.status = 200
    wait_until(lambda: told(receiver, "queue", "firing"), "the message")
    times = [int(next(value for key, value in headers.items() if key.lower() == "webhook-timestamp"))
             for _, headers, _ in receiver.requests]
    assert len(times) == 2 and times[1] - times[0] >= 2, times  # the hook's own backoff is 100 ms
    assert len(set(receiver.ids())) == 1


def test_dead_and_silent_receivers_hold_up_neither_others_nor_the_end(kpid, receiver):
    gone, closed = Receiver().start(), Receiver().start()
    gone.status = 410
    closed.stop()
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections and never answers
        hooks = hook("silent", "SILENT") + hook("closed", "CLOSED") + hook("gone", "GONE") + hook("chat")
        daemon = kpid(HEAD + QUEUE.replace("[ chat ]", "[ silent, closed, gone, chat ]") + "hooks:\n" + hooks,
                      environment=environment(receiver, SILENT=f"http://127.0.0.1:{silent.getsockname()[1]}/",
                                              CLOSED=closed.url, GONE=gone.url))
        send(daemon, queue=25)
        wait_until(lambda: told(receiver, "queue", "firing"), "the message")
        connection, _ = silent.accept()
        send(daemon, queue=5)
        wait_until(lambda: told(receiver, "queue", "resolved"), "the next message")

        wait_until(lambda: hook_facts(daemon, "gone")["dead"] == 2, "the dead letters")
        facts = hook_facts(daemon, "gone")
        assert (facts["pending"], facts["sent"]) == (0, 0) and "410" in facts["last_error"]
        assert len(set(gone.ids())) == len(gone.ids()) == 2  # each was tried once
        wait_until(lambda: hook_facts(daemon, "closed")["last_error"], "the refused connection to be noted")
        assert hook_facts(daemon, "closed")["pending"] == 2
        assert hook_facts(daemon, "silent")["pending"] == 2  # the one under way, the one behind it
        wait_until(lambda: hook_facts(daemon, "chat")["sent"] == 2, "both deliveries to be noted")
        table = daemon.kpictl("hooks").stdout
        assert re.search(r"gone +webhook +0 +0 +2 .*410", table), table

        begun = time.monotonic()
        assert daemon.stop() == 0
        assert time.monotonic() - begun < 5
        connection.close()
    gone.stop()


def test_the_turn_of_a_period_ends_the_alert_and_the_new_one_fires_anew(minute):
    daemon, receiver = minute
    firing = told(receiver, "orders", "firing")[0]
    assert re.fullmatch(r"Orders: \d+, target 3 \(\d{4}-\d\d-\d\d \d\d:\d\d\)", firing["text"])
    ended = wait_until(lambda: told(receiver, "orders", "ended"), "the minute to end", 90)[0]
    assert ended["reason"] == "period_end"
    assert ended["alert_id"] == firing["alert_id"]
    assert ended["period"] == firing["period"]
    assert ended["status"] == "settling" and ended["value"] >= firing["value"]
    assert re.fullmatch(rf"Orders: {re.escape(ended['period']['name'])} ended at {ended['value']:g}, target 3: "
                        r"so far missed, final at .*\d\d:\d\d.*", ended["text"])
    breach_this_minute(daemon, receiver, 1)
    again = told(receiver, "orders", "firing")[1]
    assert again["alert_id"] != firing["alert_id"]
    assert again["period"]["from"] >= ended["period"]["to"]
    assert told(receiver, "orders", "resolved") == []
