"""What only days are kept of goes from one kpid to another: through kpictl, lines and back."""

import json
import re

from conftest import wait_until

BODY = """
ingest: [ { protocol: statsd, listen: "udp:127.0.0.1:0" } ]
calendars: { default: { timezone: Europe/Berlin }, east: { timezone: Asia/Kathmandu } }
metrics:
  signup: { type: counter, keep: { bucket_1m: 5000d, bucket_15m: 5000d } }
kpis:
  signups: { value: sum(signup), period: day, target: { at_least: 100 } }
"""
BERLIN_ONLY = BODY.replace(", east: { timezone: Asia/Kathmandu }", "")

BERLIN = 1714514400000  # 2024-05-01T00:00+02:00
KATHMANDU = 1714500900000  # 2024-05-01T00:00+05:45
DAY = 86400000
HOURS_FROM = 1714694400000  # 2024-05-03T00:00Z: what is before has only days


def day(zone, number, begin, count, plan):
    """A day's line: so many signups of one a sample."""
    begin += number * DAY
    return {
        "metric": "signup", "kind": "counter", "labels": {"plan": plan}, "level": "day", "zone": zone,
        "day": f"2024-05-{1 + number:02}", "from_ms": begin, "to_ms": begin + DAY,
        "count": count * 65536, "sum": float(count), "sum_low": 0.0, "min": 1.0, "max": 1.0,
        "first": 1.0, "first_at": begin + 1000, "first_arrival": 0,
        "last": 1.0, "last_at": begin + 3600000, "last_arrival": 0,
    }


def quarter(at, count):
    return {
        "metric": "signup", "kind": "counter", "labels": {"plan": "a"}, "level": "15m", "from_ms": at,
        "count": count * 65536, "sum": float(count), "sum_low": 0.0, "min": 1.0, "max": 1.0,
        "first": 1.0, "first_at": at, "first_arrival": 0,
        "last": 1.0, "last_at": at + 800000, "last_arrival": 0,
    }


LINES = [
    {"zone": "Europe/Berlin", "first_day": "2024-05-01", "last_day": "2024-05-03"},
    {"zone": "Asia/Kathmandu", "first_day": "2024-05-01", "last_day": "2024-05-03"},
    {"metric": "signup", "hours_from_ms": HOURS_FROM, "zones": {"Europe/Berlin": None, "Asia/Kathmandu": None}},
    day("Europe/Berlin", 0, BERLIN, 7, "a"),
    day("Europe/Berlin", 1, BERLIN, 9, "a"),
    day("Europe/Berlin", 2, BERLIN, 2, "a"),  # what it had before its hours are known
    day("Europe/Berlin", 0, BERLIN, 5, "b"),
    day("Asia/Kathmandu", 0, KATHMANDU, 6, "a"),
    day("Asia/Kathmandu", 1, KATHMANDU, 11, "a"),
    day("Asia/Kathmandu", 2, KATHMANDU, 1, "a"),
    day("Asia/Kathmandu", 0, KATHMANDU, 5, "b"),
    quarter(HOURS_FROM, 4),
    quarter(HOURS_FROM + 8 * 3600000, 3),
]


def text(lines):
    return "".join(json.dumps(line) + "\n" for line in lines)


def value(daemon, begin, end, zone):
    """The figure, None where something is missing of it."""
    points = daemon.ask("query", "sum(signup)", "--from", begin, "--to", end, "--tz", zone)
    return points["points"][0]["value"] if points["coverage"]["complete"] else None


def take(daemon, lines):
    """An import that is answered: in its first second a kpid has not looked at its clock, and closed nothing."""

    def answered():
        done = daemon.kpictl("import", "-", "--json", text=lines, check=False)
        return None if "is not made to days yet" in done.stderr else done

    return wait_until(answered, "days to be taken")


def check_figures(daemon, zones):
    expected = {
        "Europe/Berlin": [("2024-05-01", 12), ("2024-05-02", 9), ("2024-05-03", 9)],
        "Asia/Kathmandu": [("2024-05-01", 11), ("2024-05-02", 11), ("2024-05-03", 8)],
    }
    for zone in zones:
        for date, count in expected[zone]:
            following = date[:-1] + str(int(date[-1]) + 1)
            assert value(daemon, f"{date}T00:00", f"{following}T00:00", zone) == count, (zone, date)
    assert value(daemon, "2024-05-02T10:00", "2024-05-02T12:00", "UTC") is None  # its hours are gone
    assert value(daemon, "2024-05-03T00:00", "2024-05-03T04:00", "UTC") == 4


def test_days_are_taken_back_line_for_line(kpid, tmp_path):
    first = kpid(BODY)
    (tmp_path / "lines").write_text(text(LINES))
    done = json.loads(take(first, text(LINES)).stdout)
    assert (done["cells"], done["repeated"], done["too_old"]) == (10, 0, 0)
    check_figures(first, ["Europe/Berlin", "Asia/Kathmandu"])
    again = first.kpictl("import", tmp_path / "lines").stdout
    assert again.startswith("0 cells stored, 10 were stored before")
    check_figures(first, ["Europe/Berlin", "Asia/Kathmandu"])

    exported = [json.loads(line) for line in first.kpictl("export").stdout.splitlines()]
    assert exported[:11] == LINES[:11]
    for line in exported[11:]:
        line["level"] = "15m"  # it stands in its first minute as long as there are minutes
    assert exported[11:] == LINES[11:]

    first.kill()
    first.start()
    check_figures(first, ["Europe/Berlin", "Asia/Kathmandu"])
    verified = first.kpictl("verify", check=False)
    assert verified.returncode == 0, verified.stdout

    folder = tmp_path / "second"
    folder.mkdir()
    second = kpid(BODY, folder=folder)
    assert take(second, text(exported)).returncode == 0
    check_figures(second, ["Europe/Berlin", "Asia/Kathmandu"])
    # The first one has made more days since, of a time without data; and what is told of the day in which
    # the hours begin has its first and last sample of all of it.
    told = [[json.loads(line) for line in one.kpictl("export").stdout.splitlines()[2:]] for one in (first, second)]
    for line in told[0] + told[1]:
        line.pop("last_at", None)
    assert len(told[0]) == 11 and told[0] == told[1]


def test_a_store_without_the_calendar_takes_the_days_of_those_it_has(kpid, tmp_path):
    daemon = kpid(BERLIN_ONLY)
    refused = take(daemon, text(LINES))
    assert refused.returncode == 4
    assert "no calendar of the configuration has zone 'Asia/Kathmandu'" in refused.stderr
    assert "--zone" in refused.stderr
    assert daemon.kpictl("export").stdout == ""

    folder = tmp_path / "both"
    folder.mkdir()
    both = kpid(BODY, folder=folder)
    assert take(both, text(LINES)).returncode == 0
    lines = both.kpictl("export", "--zone", "Europe/Berlin").stdout
    assert "Kathmandu" not in lines
    assert take(daemon, lines).returncode == 0
    check_figures(daemon, ["Europe/Berlin"])
    assert value(daemon, "2024-05-01T00:00", "2024-05-02T00:00", "Asia/Kathmandu") is None


def test_days_of_a_time_that_has_hours_are_refused(kpid):
    daemon = kpid(BODY)
    daemon.kpictl("import", "-", text=text([quarter(BERLIN, 1)]))
    refused = daemon.kpictl("import", "-", text=text(LINES), check=False)
    # Nobody has made days of that quarter of an hour yet.
    assert refused.returncode != 0
    assert re.search("is not made to days yet", refused.stderr)
    assert value(daemon, "2024-05-01T00:00", "2024-05-02T00:00", "Europe/Berlin") == 1


def test_lines_of_days_that_follow_nothing_are_refused(kpid):
    daemon = kpid(BODY)
    for lines in (LINES[3:4], LINES[:2] + LINES[3:4], LINES[2:4]):
        refused = take(daemon, text(lines))
        assert refused.returncode == 4
        assert "import the file from its beginning" in refused.stderr
    assert daemon.kpictl("export").stdout == ""
