"""kpictl: shapes that others build on, exit codes, words."""

import fcntl
import json
import os
import pty
import re
import socket
import struct
import subprocess
import termios
import time

import pytest

from conftest import BUILD, wait_until

BODY = """
ingest: [ { protocol: statsd, listen: "udp:127.0.0.1:0" } ]
metrics:
  signup: { type: counter }
kpis:
  signups: { value: sum(signup), period: day, target: { at_least: 100 } }
  errors: { value: sum(failed) / sum(requests), target: { at_most: 2% } }
  plain: sum(signup)
"""


def test_push_is_stored_when_it_is_answered(kpid):
    daemon = kpid(BODY)
    for _ in range(5):
        daemon.kpictl("push", "signup=3", "plan=pro")
    assert daemon.value("sum(signup)") == 15
    assert daemon.value('sum(signup{plan="pro"})') == 15
    assert daemon.kpi("signups")["value"] == 15


def test_a_push_with_an_id_counts_once(kpid):
    daemon = kpid(BODY)
    command = ("push", "signup=3", "plan=pro", "--id", "order-4711")
    first = daemon.kpictl(*command)
    assert daemon.kpictl(*command).stdout == first.stdout == "stored 1 sample\n"
    daemon.kill()
    daemon.start()
    assert daemon.kpictl(*command).stdout == first.stdout
    for other in (["signup=4", "plan=pro"], ["signup=3"], ["signup=3", "plan=pro", "--type", "counter"]):
        done = daemon.kpictl("push", *other, "--id", "order-4711", check=False)
        assert (done.returncode, done.stderr) == (4, "kpictl: the id came before with another sample\n")
    assert daemon.kpictl("push", "signup=3", "--id", "", check=False).returncode == 4
    assert daemon.value("sum(signup)") == 3
    ledger = daemon.listeners()["control"]
    assert ledger["stored"] == 1
    assert ledger["dropped"] == {"duplicate": 2, "conflict": 3}
    daemon.kpictl("push", "signup=3", "plan=pro", "--id", "order-4712")
    daemon.kpictl("push", "signup=3", "plan=pro")
    assert daemon.value("sum(signup)") == 9


def test_push_refuses_what_it_cannot_store(kpid):
    daemon = kpid(BODY)
    for wrong in (["signup=abc"], ["=3"], ["signup"], ["signup=1", "--type", "nonsense"], ["signup=1", "--at", "never"]):
        done = daemon.kpictl("push", *wrong, check=False)
        assert done.returncode in (2, 4), (wrong, done)
        assert done.stderr.startswith("kpictl: ")
    assert daemon.stored() == 0


def test_status_has_the_shape_that_others_build_on(kpid):
    daemon = kpid(BODY)
    daemon.kpictl("push", "requests=200", "--type", "counter")
    daemon.kpictl("push", "failed=5", "--type", "counter")
    status = daemon.ask("status")
    assert status["data_as_of"].startswith("20")
    errors = daemon.kpi("errors")
    assert {"id", "title", "by", "value", "unit", "status", "target", "period"} <= set(errors)
    assert errors["value"] == 2.5 and errors["unit"] == "%"
    assert errors["target"]["id"] == "errors" and errors["target"]["to"] == 2
    assert errors["status"] == "behind"
    assert set(errors["period"]) >= {"name", "from", "to"}
    assert daemon.kpi("plain")["target"] is None and daemon.kpi("plain")["status"] == "no_target"
    table = daemon.kpictl("status").stdout
    assert "errors" in table and "behind" in table and "2.5 %" in table


def test_query_steps_over_civil_periods(kpid):
    daemon = kpid(BODY)
    daemon.kpictl("push", "signup=4")
    found = daemon.ask("query", "sum(signup)", "--from", "2020-01-01", "--to", "2020-01-04", "--step", "1d",
                       "--tz", "Europe/Berlin")
    assert [point["from"] for point in found["points"]] == [
        "2020-01-01T00:00:00+01:00", "2020-01-02T00:00:00+01:00", "2020-01-03T00:00:00+01:00",
        "2020-01-04T00:00:00+01:00"]
    assert all(point["value"] is None for point in found["points"])
    assert {"complete", "levels", "newest", "mixed_sources"} <= set(found["coverage"])


def test_exit_codes_tell_what_happened(kpid, tmp_path):
    daemon = kpid(BODY)
    assert daemon.kpictl("status").returncode == 0
    assert daemon.kpictl("statsu", check=False).returncode == 2
    assert "did you mean 'status'?" in daemon.kpictl("statsu", check=False).stderr
    assert daemon.kpictl("show", check=False).returncode == 2
    missing = daemon.kpictl("show", "signup", check=False)
    assert missing.returncode == 4 and "did you mean 'signups'?" in missing.stderr
    wrong = daemon.kpictl("query", "summ(signup)", check=False)
    assert wrong.returncode == 4 and "column 1" in wrong.stderr
    gone = subprocess.run([BUILD / "kpictl", "--socket", tmp_path / "nobody", "status"],
                          capture_output=True, text=True, check=False)
    assert gone.returncode == 3
    assert f"cannot reach kpid at '{tmp_path}/nobody'" in gone.stderr


def test_ingest_and_alerts_and_hooks_have_their_shapes(kpid):
    daemon = kpid(BODY)
    ingest = daemon.ask("ingest")
    assert {"series", "listeners"} <= set(ingest)
    for listener in ingest["listeners"]:
        assert {"protocol", "listen", "received", "stored", "rejected", "dropped", "pending",
                "kernel_drops"} <= set(listener)
    assert daemon.ask("alerts") == {"alerts": []}
    assert daemon.ask("hooks") == {"hooks": []}
    assert "udp:127.0.0.1" in daemon.kpictl("ingest").stdout


def test_metrics_are_readable_by_prometheus(kpid):
    daemon = kpid(BODY)
    daemon.kpictl("push", "signup=1")
    code, text = daemon.get("/metrics")
    assert code == 200
    names = set()
    for line in text.splitlines():
        if line.startswith("#"):
            assert line.split()[1] in ("HELP", "TYPE")
            continue
        name, value = line.rsplit(" ", 1)
        float(value)
        names.add(name.split("{")[0])
    assert {"kpid_commits_total", "kpid_samples_received_total", "kpid_samples_stored_total"} <= names


def test_cron_next_follows_the_zone_over_both_changes_of_the_clock(tmp_path):
    def upcoming(expression, start):
        done = subprocess.run(
            [BUILD / "kpictl", "cron", "next", expression, "--tz", "Europe/Berlin", "--from", start, "-n", "3",
             "--json"], capture_output=True, text=True, check=True)
        return json.loads(done.stdout)["next"]

    assert upcoming("30 2 * * *", "2026-10-24T12:00:00+02:00") == [
        "2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00", "2026-10-27T02:30:00+01:00"]
    assert upcoming("30 2 * * *", "2027-03-27T12:00:00+01:00")[0] == "2027-03-28T03:00:00+02:00"
    never = subprocess.run([BUILD / "kpictl", "cron", "next", "0 0 30 2 *"], capture_output=True, text=True,
                           check=False)
    assert never.returncode in (1, 2, 4) and never.stderr


def test_a_watched_status_ends_by_itself_after_its_count(kpid):
    daemon = kpid(BODY)
    done = daemon.kpictl("status", "--watch=0.2", "--count", "3")
    assert done.stdout.count("signups") == 3


SHORT = r"\d{4}-\d\d-\d\d \d\d:\d\d UTC"
ALERTS = BODY.replace("target: { at_most: 2% }", "target: { at_most: 2% }, evaluate: every 1s") + """
  warm: { value: last(temp), unit: "°C" }
calendars: { default: { timezone: UTC } }
"""


def test_tables_show_times_and_figures_as_people_read_them(kpid):
    daemon = kpid(ALERTS)
    daemon.kpictl("push", "requests=397", "--type", "counter")
    daemon.kpictl("push", "failed=101", "--type", "counter")
    daemon.kpictl("push", "temp=21.5", "--type", "gauge")
    alerts = wait_until(lambda: daemon.ask("alerts")["alerts"], "the alert")
    assert {"rule", "by", "state", "since", "value", "severity"} <= set(alerts[0])
    assert alerts[0]["shown"]["value"] == "25.44 %"
    assert re.fullmatch(SHORT, alerts[0]["shown"]["since"])
    assert alerts[0]["since"].endswith("+00:00")
    assert re.search(rf"^errors +firing +{SHORT} +25.44 % +warning$", daemon.kpictl("alerts").stdout, re.MULTILINE)
    status = daemon.kpictl("status").stdout
    assert re.search(rf"^data as of {SHORT}$", status, re.MULTILINE)
    assert "21.5 °C" in status
    assert "T" not in status.splitlines()[2].replace("TARGET", "")
    card = daemon.kpictl("show", "errors").stdout
    assert re.search(rf"^  period +\d{{4}}-\d\d-\d\d, {SHORT} to {SHORT}$", card, re.MULTILINE)
    points = daemon.kpictl("query", "sum(failed)", "--tz", "Asia/Tokyo", "--step", "day").stdout
    assert re.search(r"^\d{4}-\d\d-\d\d 00:00 JST +\d{4}-\d\d-\d\d \d\d:\d\d JST +101$", points, re.MULTILINE)
    assert daemon.ask("query", "sum(failed)", "--tz", "Asia/Tokyo")["points"][0]["from"].endswith("T00:00:00+09:00")


def test_the_output_is_utf8_in_any_locale_and_has_no_colours_outside_terminals(kpid):
    daemon = kpid(ALERTS)
    daemon.kpictl("push", "temp=21.5", "--type", "gauge")
    for locale in ("C", "POSIX", "C.UTF-8", "nonsense"):
        done = subprocess.run([BUILD / "kpictl", "--socket", daemon.control, "status"], capture_output=True, check=True,
                              env={**os.environ, "LC_ALL": locale})
        assert "21.5 °C".encode() in done.stdout and b"\x1b" not in done.stdout


def in_terminal(arguments, environment):
    """What a command prints on a terminal of 60 columns."""
    try:
        mine, its = pty.openpty()
    except OSError as why:
        pytest.skip(f"this system has no terminals: {why}")
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 60, 0, 0))
    process = subprocess.Popen(arguments, stdout=its, stdin=its, env={**os.environ, **environment})
    os.close(its)
    text = b""
    while True:
        try:
            chunk = os.read(mine, 65536)
        except OSError:
            break
        if not chunk:
            break
        text += chunk
    os.close(mine)
    assert process.wait(60) == 0
    return text.decode()


def test_colours_are_for_terminals_whose_owner_wants_them(kpid):
    daemon = kpid(ALERTS)
    daemon.kpictl("push", "requests=397", "--type", "counter")
    daemon.kpictl("push", "failed=101", "--type", "counter")
    status = [BUILD / "kpictl", "--socket", daemon.control, "status"]
    colored = in_terminal(status, {"TERM": "xterm", "NO_COLOR": ""})
    assert "\x1b[31mbehind" in colored and "errors" in colored
    plain = in_terminal(status, {"TERM": "xterm", "NO_COLOR": "1"})
    assert "\x1b" not in plain and "behind" in plain


@pytest.mark.parametrize("pause", [["--watch=0.1"], ["--watch", "0.1"], ["--watch", "--count=2"]])
def test_watch_takes_fractions_of_a_second(kpid, pause):
    daemon = kpid(BODY)
    shown = daemon.kpictl("status", *pause, "--count", "2").stdout
    assert shown.count("data as of") == 2


def test_watch_says_what_it_takes(kpid):
    daemon = kpid(BODY)
    for wrong in ("--watch=0", "--watch=-1", "--watch=1e9", "--watch=soon"):
        done = daemon.kpictl("status", wrong, check=False)
        assert done.returncode == 2 and "a number of seconds from 0.1 to 3600" in done.stderr


def test_a_push_joins_the_type_that_its_metric_has(kpid):
    daemon = kpid(BODY.replace("metrics:\n  signup: { type: counter }\n", ""))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.sendto(b"signup:1|c", ("127.0.0.1", daemon.port("udp")))
    wait_until(lambda: daemon.value("sum(signup)") == 1, "the counter")
    daemon.kpictl("push", "signup=3", "plan=pro")
    assert daemon.value("sum(signup)") == 4


def test_a_push_that_would_lose_something_is_wrong_usage(kpid):
    daemon = kpid(BODY)
    for wrong in (["signup=1", "a=b", "a=c"], [b"signup\xff=1"], ["signup=1", b"a=\xff"]):
        done = subprocess.run([BUILD / "kpictl", "--socket", daemon.control, "push", *wrong], capture_output=True,
                              text=True, check=False)
        assert done.returncode == 2 and done.stderr.startswith("kpictl: "), done
    assert daemon.stored() == 0
    assert daemon.kpictl("push", "a name with spaces=3", "Ort=Köln 東京").returncode == 0
    assert daemon.value('sum("a name with spaces"{Ort="Köln 東京"})') == 3


def test_a_draft_says_why_it_is_one(kpid):
    daemon = kpid("ingest: []\nkpis:\n  own: { value: sum(a), state: draft }\n"
                  "  later: { value: sum(a), window: 90d }\n  off: { value: sum(a), state: retired }\n")
    assert re.search(r"^own: draft\n  reason +\S", daemon.kpictl("show", "own").stdout)
    assert re.search(r"^later: draft\n  reason +not built yet: window$", daemon.kpictl("show", "later").stdout,
                     re.MULTILINE)
    assert re.search(r"^off: paused\n  reason +retired$", daemon.kpictl("show", "off").stdout, re.MULTILINE)


def test_an_empty_kpid_says_so_in_every_command(kpid):
    daemon = kpid("ingest: []\n")
    assert daemon.kpictl("status").stdout == ("no KPIs: add some under 'kpis:' in kpid.yaml\n"
                                              "data as of never: no samples yet\n")
    assert daemon.ask("status")["data_as_of"] is None and daemon.ask("status")["kpis"] == []
    assert daemon.kpictl("alerts").stdout == "no alerts\n"
    assert daemon.kpictl("alerts", "--all").stdout == "no rules\n"
    assert daemon.kpictl("hooks").stdout == "no hooks\n"
    assert daemon.kpictl("ingest").stdout == "no listeners\n0 series, 0 of them active in the last 24 hours\n"
    assert "never seen" in daemon.kpictl("query", "sum(x)").stdout
    assert daemon.kpictl("show", "x", check=False).returncode == 4
    assert daemon.kpictl("status", "--check").returncode == 0


def test_mistakes_in_a_query_are_refused_with_what_is_wrong(kpid):
    daemon = kpid(BODY)
    for arguments, words in {
        ("--tz", "Mars/X"): "unknown time zone 'Mars/X'",
        ("--from", "yesterday"): "'from' is not a time: 'yesterday'",
        ("--from", "2026-13-01"): "'from' is not a time",
        ("--from", "2026-12-01", "--to", "2026-11-01"): "'from' is not before 'to'",
        ("--from", "2020-01-01", "--step", "1m"): "more than 10000 points",
        ("--step", "30s"): "not a number of whole minutes",
        ("--step", "fortnight"): "not a number of whole minutes",
    }.items():
        done = daemon.kpictl("query", "sum(signup)", *arguments, check=False)
        assert done.returncode == 4 and words in done.stderr, (arguments, done)
        assert done.stdout == ""


def test_version_and_help_need_no_kpid():
    for arguments in (["--version"], ["version"], ["help"], ["--help"], ["help", "query"], ["status", "-h"]):
        done = subprocess.run([BUILD / "kpictl", *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == 0 and done.stdout and not done.stderr, arguments


def test_show_tells_the_last_period_and_when_the_kpi_is_judged(kpid):
    daemon = kpid(BODY)
    yesterday = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 86400))
    daemon.kpictl("push", "signup=7", "--at", yesterday)
    daemon.kpictl("push", "signup=3")
    card = daemon.kpictl("show", "signups").stdout
    assert re.search(r"^  last +\d{4}-\d\d-\d\d: 7, ", card, re.MULTILINE), card
    runs = wait_until(lambda: daemon.ask("show", "signups").get("evaluate"), "the first evaluation")
    assert runs["schedule"] == "every 1m"
    assert runs["next_run"] > runs["last_run"]


def test_a_target_that_is_not_built_is_not_shown_as_another_one(kpid):
    daemon = kpid(BODY + "  mrr: { value: last(mrr), target: { increase_to: 160K, by: 2027-03-31 } }\n")
    for said in (daemon.kpictl("show", "mrr").stdout, daemon.kpictl("status").stdout):
        assert "at least 160" not in said
    assert "not built yet" in daemon.kpictl("show", "mrr").stdout
    assert daemon.kpi("mrr")["status"] == "draft"
