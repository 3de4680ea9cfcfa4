"""kpictl: shapes that others build on, exit codes, words."""

import json
import subprocess

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
    assert {"complete", "levels", "newest"} <= set(found["coverage"])


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
