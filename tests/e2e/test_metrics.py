"""`kpictl metrics`: what comes in, of whom, and series that somebody wants to be rid of."""

import contextlib
import subprocess

import native_client
from conftest import BUILD, wait_until
from test_limits import LISTENERS, send, settled


def filled(kpid):
    made = kpid(LISTENERS)
    lines = [f"orders:{i}|c|#plan:pro,shop:{i}" for i in range(5)] + ["orders:9|g|#plan:free"]
    lines += ["visits:1|c"] * 30 + ["users:ann|s"]
    send(made, lines)
    settled(made, len(lines))
    return made


def test_list_says_what_there_is(kpid):
    made = filled(kpid)
    answer = made.ask("metrics", "list")
    by_name = {one["metric"]: one for one in answer["metrics"]}
    assert list(by_name) == ["orders", "users", "visits"]
    orders = by_name["orders"]
    assert (orders["kinds"], orders["series"], orders["active_series"]) == (["counter", "gauge"], 6, 6)
    assert (orders["samples"], orders["labels"]) == (6, ["plan", "shop"])
    assert orders["last"].endswith("Z")
    assert by_name["visits"]["samples"] == 30
    assert not answer["more"] and answer["unwanted_series"] == 0
    assert [one["metric"] for one in made.ask("metrics", "list", "--prefix", "u")["metrics"]] == ["users"]
    assert made.ask("metrics", "list", "--limit", "2")["more"]
    text = made.kpictl("metrics", "list").stdout
    assert "METRIC" in text and "plan shop" in text and "counter gauge" in text


def test_top_by_samples_and_by_series(kpid):
    made = filled(kpid)
    top = made.ask("metrics", "top")["metrics"]
    assert [(one["metric"], one["samples"]) for one in top] == [("visits", 30), ("orders", 6), ("users", 1)]
    top = made.ask("metrics", "top", "--by", "series", "-n", "2")["metrics"]
    assert [(one["metric"], one["active_series"]) for one in top][0] == ("orders", 6)
    assert len(top) == 2
    assert "visits" in made.kpictl("metrics", "top").stdout


def test_series_with_their_last_samples(kpid):
    made = filled(kpid)
    answer = made.ask("metrics", "series", 'orders{plan="pro"}')
    assert answer["count"] == 5 and not answer["more"]
    assert [(one["labels"]["shop"], one["value"]) for one in answer["series"]] == [(str(i), i) for i in range(5)]
    assert answer["series"][0]["series"] == 'orders{plan="pro",shop="0"}'
    assert all(one["last"].endswith("Z") and one["kind"] == "counter" for one in answer["series"])
    answer = made.ask("metrics", "series", "orders", "-n", "4")
    assert answer["count"] == 6 and answer["more"] and len(answer["series"]) == 4
    assert made.ask("metrics", "series", "nothing")["series"] == []
    text = made.kpictl("metrics", "series", "orders", "-n", "1").stdout
    assert "1 of 6 series" in text


ODD = [("plain.total-x", {}), ("plain.total-x", {"a": "1"}), ("sp ace/x", {}), ("sp ace/x", {"a b": "c d"}),
       ('"my" name', {"in": "x"}), ("nl", {"a": "x\ny"}), ("nl", {"a": "x\\ny"}), ("nl", {"a": "x\\x0ay"}),
       ("nl", {"a": "x\x0by\tz\r"}), ("q", {'q"uo}te': 'back\\slash"', "'": '{a="b"}'}),
       ("\u00e4pfel", {"gr\u00f6\u00dfe": "\u20ac"}),
       ("hidden", {"a": "x\u200by"}), ("hidden", {"a": "xy"}), ("hidden\u202e", {}), ("sum(a)", {"b": "in [1]"}),
       ("\u2028", {"\u0085": "\U0001f600"}), ("1", {"-": ""}), ("wide", {"a": "\uff21" * 30, "b": "z  KIND"})]


def test_what_is_shown_of_a_series_is_a_selector_of_it(kpid, tmp_path):
    made = kpid(LISTENERS + f'  - {{ protocol: native, listen: "unix:{tmp_path}/native.sock" }}\n')
    batch = native_client.Batch(1)
    for i, (name, labels) in enumerate(ODD):
        batch.add(name, float(1 << i), labels)
    with contextlib.closing(native_client.Connection(tmp_path / "native.sock")) as client:
        assert client.ask(batch).stored == len(ODD)
    listed = made.kpictl("metrics", "list").stdout.splitlines()
    of_names = {}
    for name, labels in ODD:
        answer = made.ask("metrics", "series", quoted(name))
        of_names[name] = {tuple(sorted(one["labels"].items())): one["series"] for one in answer["series"]}
    for i, (name, labels) in enumerate(ODD):
        kept = {label: value for label, value in labels.items() if value != ""}
        shown = of_names[name][tuple(sorted(kept.items()))]
        assert not any(ord(letter) < 0x20 or 0x7f <= ord(letter) < 0xa0 for letter in shown)
        # The table says the same, and what it says selects this series, and those with more labels.
        table = made.kpictl("metrics", "series", shown).stdout.splitlines()
        assert any(line.startswith(shown + "  ") for line in table), (shown, table)
        exact = [one for one in made.ask("metrics", "series", shown)["series"] if one["labels"] == kept]
        assert [one["value"] for one in exact] == [1 << i], shown
        more = [j for j, (other, its) in enumerate(ODD) if other == name and kept.items() <= its.items()]
        assert made.value(f"sum({shown})") == sum(1 << j for j in more)
        metric = shown.partition("{")[0] if not shown.startswith('"') else quoted(name)
        assert any(line.startswith(metric + "  ") for line in listed) or "\\x" in shown, (metric, listed)
    dropped = made.ask("metrics", "drop-series", of_names["nl"][("a", "x\ny"),], "--dry-run")
    assert dropped["series"] == 1


def quoted(name):
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


def test_tail_shows_a_series_as_its_selector_too(kpid):
    made = kpid(LISTENERS)
    tail = subprocess.Popen([BUILD / "kpictl", "--socket", made.control, "ingest", "tail", "-n", "1"], text=True,
                            stdout=subprocess.PIPE)
    with tail:
        wait_until(lambda: send(made, ['sp ace:1|c|#a b:x"y\\z']) or tail.poll() is not None, "a sample in the tail")
        shown = tail.stdout.read()
    selector = '"sp ace"{"a b"="x\\"y\\\\z"}'
    assert f"  {selector}  1\n" in shown
    wait_until(lambda: made.ask("metrics", "series", selector)["count"] == 1, "the series in the store")


def test_drop_series_asks_and_counts(kpid):
    made = filled(kpid)
    assert made.ask("metrics", "drop-series", "orders", "--dry-run") == {"series": 6, "dry_run": True}
    done = made.kpictl("metrics", "drop-series", 'orders{shop="3"}', text="n\n", check=False)
    assert done.returncode == 1 and "1 series go" in done.stderr and "nothing was changed" in done.stderr
    assert made.ask("metrics", "list")["unwanted_series"] == 0
    assert "1 series join __other__" in made.kpictl("metrics", "drop-series", 'orders{shop="3"}', text="y\n").stdout
    assert made.ask("metrics", "drop-series", "orders", "--yes") == {"series": 6, "dry_run": False}
    assert made.ask("metrics", "list")["unwanted_series"] == 6
    # It is remembered over a crash, and nothing of what was counted is lost.
    made.kill()
    made.start()
    assert made.ask("metrics", "list")["unwanted_series"] == 6
    assert made.value("sum(visits)") == 30


def test_wrong_usage_is_said(kpid):
    made = kpid(LISTENERS)
    for arguments in (["head"], ["series"], ["list", "x"], ["drop-series"]):
        assert made.kpictl("metrics", *arguments, check=False).returncode == 2, arguments
    for arguments in (["top", "--by", "size"], ["list", "--limit", "x"], ["series", "a{b=}"]):
        assert made.kpictl("metrics", *arguments, check=False).returncode in (2, 4), arguments
