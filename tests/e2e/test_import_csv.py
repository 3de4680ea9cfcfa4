"""kpictl import --csv: each row counts once, whatever happens in between."""

import datetime
import json
import os
import pty
import re
import subprocess
import threading
import time
import zoneinfo

import pytest

from conftest import BUILD, iso, wait_until

BODY = """
calendars: { default: { timezone: Europe/Berlin } }
metrics:
  orders: { type: counter }
"""


def csv_of(folder, rows, head="time,value,plan", name="rows.csv"):
    path = folder / name
    path.write_text("\n".join([head, *rows]) + "\n", encoding="utf-8")
    return path


def import_rows(daemon, path, *arguments, check=True, metric="orders"):
    done = daemon.kpictl("import", "--metric", metric, "--csv", path, "--json", *arguments, check=check)
    return json.loads(done.stdout)


def minutes_ago(count):
    return iso(time.time() - 60 * count)


def test_a_file_counts_once_and_what_is_appended_counts_too(kpid, tmp_path):
    daemon = kpid(BODY)
    at = minutes_ago(5)
    rows = [f"{at},1,pro", f"{at},1,pro", f'{at},2.5,"free, old"', f"{int(time.time()) - 60},4,"]
    path = csv_of(tmp_path, rows)
    first = import_rows(daemon, path, "--label", "plan")
    assert first == {"rows": 4, "stored": 4, "repeated": 0, "dropped": 0, "bad": 0, "rejected": 0, "dry_run": False,
                     "errors": []}
    again = import_rows(daemon, path, "--label", "plan")
    assert (again["stored"], again["repeated"]) == (0, 4)
    path = csv_of(tmp_path, [f"{at},1,pro", *rows])  # equal rows are told apart by their number
    more = import_rows(daemon, path, "--label=plan")
    assert (more["stored"], more["repeated"]) == (1, 4)
    assert daemon.value("sum(orders)") == 9.5
    assert daemon.value('sum(orders{plan="free, old"})') == 2.5
    assert daemon.kpictl("import", "--metric", "orders", "--csv", path, "--label", "plan").stdout == \
        "5 rows, 0 stored, 5 were stored before\n"


def test_rows_may_come_on_the_standard_input(kpid):
    daemon = kpid(BODY)
    rows = "time,value,plan\n" + "".join(f"{minutes_ago(5)},{i},pro\n" for i in range(5000))
    for stored in (5000, 0):
        done = daemon.kpictl("import", "--metric", "orders", "--csv", "-", "--json", text=rows)
        assert json.loads(done.stdout)["stored"] == stored
    assert daemon.value("sum(orders)") == sum(range(5000))
    bad = daemon.kpictl("import", "--metric", "orders", "--csv", "-", text="time,value\nnow,1\n", check=False)
    assert bad.returncode == 1 and "-:2: not a time: 'now'" in bad.stderr  # looked through first


def test_an_id_names_the_row(kpid, tmp_path):
    daemon = kpid(BODY)
    at = minutes_ago(5)
    path = csv_of(tmp_path, [f"a,{at},1,pro,x", f"b,{at},1,pro,y", f"a,{at},1,pro,x"], "id,date,amount,plan,region")
    done = import_rows(daemon, path, "--value", "amount", "--label", "plan=tariff", "--label", "all")
    assert (done["stored"], done["repeated"]) == (2, 1)
    assert daemon.value('sum(orders{tariff="pro",region="x"})') == 1
    path = csv_of(tmp_path, [f"a,{at},7,pro,x"], "id,date,amount,plan,region")
    done = daemon.kpictl("import", "--metric", "orders", "--csv", path, "--value", "amount", "--label", "plan=tariff",
                         "--label", "all", check=False)
    assert done.returncode == 4
    assert "rows.csv:2: the id came before with another sample" in done.stderr
    assert daemon.value("sum(orders)") == 2


def test_times_are_of_the_zone(kpid, tmp_path):
    daemon = kpid(BODY)
    berlin = zoneinfo.ZoneInfo("Europe/Berlin")
    tokyo = zoneinfo.ZoneInfo("Asia/Tokyo")
    at = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(minutes=3)
    import_rows(daemon, csv_of(tmp_path, [f"{at.astimezone(berlin):%Y-%m-%dT%H:%M},1"], "time,value"), metric="b")
    import_rows(daemon, csv_of(tmp_path, [f"{at.astimezone(tokyo):%Y-%m-%d %H:%M},2"], "timestamp,value"),
                "--tz", "Asia/Tokyo", metric="t")
    assert daemon.value("sum(b)") == 1
    assert daemon.value("sum(t)") == 2
    day = (at.astimezone(berlin) - datetime.timedelta(days=2)).strftime("%Y-%m-%d")
    import_rows(daemon, csv_of(tmp_path, [f"{day},5"], "date,value"), metric="d")
    noon = f"{day}T00:01"
    points = daemon.ask("query", "sum(d)", "--from", day, "--to", noon)["points"]
    assert [point["value"] for point in points] == [5]


def test_wrong_rows_are_told_and_nothing_is_sent(kpid, tmp_path):
    daemon = kpid(BODY)
    at = minutes_ago(5)
    path = csv_of(tmp_path, [f"{at},1,a", "yesterday,1,a", f'{at},"1,234",a', f"{at},1", f"{at},,a", f'{at},"1"x,a',
                             "1760000000000,1,a", f"{at},2,a"])
    done = daemon.kpictl("import", "--metric", "orders", "--csv", path, check=False)
    assert done.returncode == 1
    assert done.stdout == "8 rows, 6 wrong; nothing was sent\n"
    lines = [re.search(r"rows.csv:(\d+): (.*)", line).groups() for line in done.stderr.splitlines()]
    assert [int(line) for line, _ in lines] == [3, 4, 5, 6, 7, 8]
    assert "nothing between thousands" in lines[1][1]
    assert "2 fields, and the first row has 3" in lines[2][1]
    assert daemon.stored() == 0
    done = import_rows(daemon, path, "--skip-bad")
    assert (done["stored"], done["bad"]) == (2, 6)
    assert daemon.value("sum(orders)") == 3
    many = csv_of(tmp_path, ["x,1,a"] * 50, name="many.csv")
    done = daemon.kpictl("import", "--metric", "orders", "--csv", many, check=False)
    assert done.stderr.count("not a time") == 20
    assert "and 30 more" in done.stderr
    for head, why in (("time,amount", "no column 'value'"), ("zeit;value", "separated by commas")):
        done = daemon.kpictl("import", "--metric", "orders", "--csv", csv_of(tmp_path, ["1,2"], head), check=False)
        assert done.returncode == 2
        assert why in done.stderr


def test_a_column_that_is_used_has_its_name_for_itself(kpid, tmp_path):
    daemon = kpid(BODY)
    at = minutes_ago(5)
    for head, more, why in (
            ("date,value,value", [], "columns 2 and 3 are both called 'value'"),
            ("date,value,date", [], "columns 1 and 3 are both called 'date'"),
            ("id,date,value,id", [], "columns 1 and 4 are both called 'id'"),
            ("date,value,a,b,a", ["--label", "a=site"], "columns 3 and 5 are both called 'a'"),
            ("date,n,n,value", ["--value", "n"], "columns 2 and 3 are both called 'n'"),
            ("date,value,a,a", ["--label", "all"], "two labels are called 'a'")):
        path = csv_of(tmp_path, [",".join([at] + ["1"] * head.count(","))], head)
        done = daemon.kpictl("import", "--metric", "orders", "--csv", path, *more, check=False)
        assert done.returncode == 2, (head, done.stderr)
        assert f"rows.csv:1: {why}\n" in done.stderr
    assert daemon.stored() == 0
    done = import_rows(daemon, csv_of(tmp_path, [f"{at},1,x,y"], "date,value,note,note"))
    assert (done["stored"], done["bad"]) == (1, 0)  # nobody asks for them


def test_what_kpid_refuses_is_told_by_its_line(kpid, tmp_path):
    daemon = kpid(BODY)
    path = csv_of(tmp_path, [f"{minutes_ago(5)},1,a", "1999-01-01,1,a", f"{minutes_ago(4)},1,a"])
    done = daemon.kpictl("import", "--metric", "orders", "--csv", path, check=False)
    assert done.returncode == 4
    assert "rows.csv:3: at: too far in the past" in done.stderr
    assert done.stdout == "3 rows, 2 stored, 1 refused\n"
    assert daemon.value("sum(orders)") == 2


def test_a_dry_run_sends_nothing_and_needs_no_kpid(kpid, tmp_path):
    daemon = kpid(BODY)
    path = csv_of(tmp_path, [f"{minutes_ago(5)},1,a"])
    assert import_rows(daemon, path, "--dry-run") == {
        "rows": 1, "stored": 0, "repeated": 0, "dropped": 0, "bad": 0, "rejected": 0, "dry_run": True, "errors": []}
    assert daemon.stored() == 0
    done = daemon.kpictl("import", "--dry-run", path, check=False)  # not of cells
    assert (done.returncode, "'--dry-run' needs '--csv FILE'" in done.stderr) == (2, True)
    daemon.stop()
    assert daemon.kpictl("import", "--metric", "orders", "--csv", path, "--dry-run").stdout == \
        "1 rows; nothing was sent\n"


def start_import(daemon, path):
    return subprocess.Popen(
        [BUILD / "kpictl", "--socket", daemon.control, "import", "--metric", "orders", "--csv", path, "--label", "plan"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@pytest.mark.parametrize("victim", ["kpictl", "kpid"])
def test_what_is_killed_in_between_is_run_again_and_the_sum_is_exact(kpid, tmp_path, victim):
    daemon = kpid(BODY)
    base = int(time.time()) - 1800
    count = 12000
    path = csv_of(tmp_path, [f"{base + i % 600},{i % 7},p{i % 3}" for i in range(count)])
    for after in (1, 2500):
        importing = start_import(daemon, path)
        wait_until(lambda least=after: importing.poll() is not None or daemon.stored() >= least, "some rows")
        if victim == "kpictl":
            importing.kill()
        else:
            daemon.kill()
        importing.wait()
        if victim == "kpid":
            daemon.start()
    done = import_rows(daemon, path, "--label", "plan")
    assert done["stored"] + done["repeated"] == count
    assert done["repeated"] > 0
    assert daemon.value("sum(orders)") == sum(i % 7 for i in range(count))
    assert import_rows(daemon, path, "--label", "plan")["repeated"] == count


def test_rows_are_checked_by_the_daemon_too(kpid):
    daemon = kpid(BODY)

    def send(text):
        done = subprocess.run(["curl", "-s", "--unix-socket", daemon.control, "--data-binary", "@-",
                               "http://kpid/api/v1/import/rows"], input=text, capture_output=True, check=True)
        return json.loads(done.stdout)

    answer = send(b'{"id":"1","name":"orders","value":1}\n{"name":"orders","value":1}\n\nnonsense\n'
                  b'{"id":"2","name":"orders","value":1},{"id":"3","name":"orders","value":1}\n'
                  b'{"id":"1","name":"orders","value":1}\r\n{"id":"1","name":"orders","value":2}')
    assert (answer["taken"], answer["stored"], answer["repeated"]) == (6, 1, 1)
    assert [item["row"] for item in answer["rejected"]] == [2, 3, 4, 6]
    assert answer["rejected"][0]["reason"] == "id: missing"
    assert "1 to 5000 rows, not 0" in send(b"\n")["error"]["message"]
    assert "1 to 5000 rows, not 5001" in send(b"{}\n" * 5001)["error"]["message"]
    assert len(send(b"{}\n" * 5000)["rejected"]) == 5000
    wait_until(lambda: any(item["rejected"].get("bad_name", 0) == 5000 for item in daemon.ask("ingest")["listeners"]),
               "the refused rows in the ledger")
    assert daemon.value("sum(orders)") == 1


def test_progress_is_shown_on_a_terminal_alone(kpid, tmp_path):
    daemon = kpid(BODY)
    path = csv_of(tmp_path, [f"{minutes_ago(5)},1,a"] * 20)
    leader, terminal = pty.openpty()
    seen = []

    def read():
        try:
            while piece := os.read(leader, 4096):
                seen.append(piece)
        except OSError:
            pass

    reader = threading.Thread(target=read)
    reader.start()
    subprocess.run([BUILD / "kpictl", "--socket", daemon.control, "import", "--metric", "orders", "--csv", path],
                   stderr=terminal, stdout=subprocess.DEVNULL, check=True)
    os.close(terminal)
    reader.join()
    os.close(leader)
    assert b"100 % [####################] 20 rows" in b"".join(seen)
    assert daemon.kpictl("import", "--metric", "orders", "--csv", path).stderr == ""
