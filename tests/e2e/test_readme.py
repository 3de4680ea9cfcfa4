"""The commands and samples of README.md, as they are written there."""

import datetime
import json
import os
import pathlib
import re
import subprocess

import pytest

from conftest import BUILD, wait_until
from ports import free_port
from real_clients import Program

README = (pathlib.Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")
ENVIRONMENT = {**os.environ, "PATH": f"{BUILD}:{os.environ['PATH']}"}


def blocks(kind):
    found = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    return [text for name, text in found if name == kind]


def shell(line, folder, expected=0):
    done = subprocess.run(["bash", "-c", line], cwd=folder, env={**ENVIRONMENT, "TZ": "Europe/Berlin"},
                          capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == expected, f"{line}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture
def running(tmp_path):
    """running(YAML) starts kpid as the README does, in a folder."""
    made = []

    def start(text, environment=None):
        (tmp_path / "kpid.yaml").write_text(text)
        with open(tmp_path / "log", "ab") as log:
            made.append(subprocess.Popen(["kpid", "-c", "kpid.yaml"], cwd=tmp_path, stderr=log, stdout=log,
                                         env={**ENVIRONMENT, **(environment or {}), "TZ": "Europe/Berlin"}))
        wait_until(lambda: made[-1].poll() is not None or (tmp_path / "kpid.sock").exists(), "kpid to start")
        if "Address already in use" in (tmp_path / "log").read_text():
            pytest.skip("somebody listens on a port that the README names")
        assert made[-1].poll() is None, (tmp_path / "log").read_text()
        return tmp_path

    yield start
    for process in made:
        if process.poll() is None:
            process.terminate()
            assert process.wait(60) == 0


def columns(table, names):
    """Of a table as kpictl prints it, the cells of some columns."""
    lines = table.strip().splitlines()
    heads = [(match.group(), match.start(), match.end()) for match in re.finditer(r"\S+( \S+)*", lines[0])]
    assert set(names) <= {head for head, _, _ in heads}, lines[0]
    rows = []
    for line in lines[1:]:
        cells = re.split(r"  +", line.strip())
        if len(cells) == len(heads):
            rows.append([cells[i] for i, (head, _, _) in enumerate(heads) if head in names])
    return [head for head, _, _ in heads], rows


def test_the_table_at_the_top_is_what_its_configuration_prints(running):
    sample = next(block for block in blocks("") if block.startswith("$ kpictl status\n"))
    folder = running(blocks("yaml")[0] + blocks("yaml")[2])
    for push in ("order=312", "payment.failed=10", "payment.tried=400"):
        shell(f"kpictl --socket kpid.sock push {push} --type counter", folder)
    shell("kpictl --socket kpid.sock push queue=7 --type gauge", folder)
    printed = shell("kpictl --socket kpid.sock status", folder)
    names = ["KPI", "VALUE", "TARGET", "STATUS"]
    assert columns(printed, names) == columns(sample.partition("\n")[2], names)
    assert re.fullmatch(r"data as of \d{4}-\d\d-\d\d \d\d:\d\d CES?T", printed.splitlines()[-1])
    assert re.fullmatch(r"data as of \d{4}-\d\d-\d\d \d\d:\d\d CES?T", sample.splitlines()[-1])


def test_the_commands_of_the_first_minute_work_as_they_are_written(running):
    start = next(block for block in blocks("sh") if "kpid --check" in block).splitlines()
    rest = next(block for block in blocks("sh") if "kpictl --socket" in block).splitlines()
    export = next(line for line in start if line.startswith("export CHAT_URL=")).split("#")[0]
    text = blocks("yaml")[1] + blocks("yaml")[2]
    folder = running(text, {"CHAT_URL": export.split("=", 1)[1].strip()})
    check = next(line for line in start if "--check" in line)
    assert "ok: 1 KPI, 1 rule, 1 hook, 2 listeners, 0 warnings" in shell(f"{export}; {check}", folder)
    said = {line.split("#")[0].strip(): shell(line, folder) for line in rest}
    assert len(said) >= 6
    # StatsD is stored within a second or so.
    wait_until(lambda: re.search(r"^signups +4 +at least 100 ", shell("kpictl --socket kpid.sock status", folder),
                                 re.MULTILINE), "both samples")
    assert "stored 1 sample\n" in said.values()


def test_the_shortest_file_is_complete():
    """It needs no more keys; only its secret."""
    done = subprocess.run(["kpid", "--check", "-c", "/dev/stdin"], input=blocks("yaml")[1], text=True, check=False,
                          capture_output=True, env={**ENVIRONMENT, "CHAT_URL": "https://hooks.slack.com/services/x"})
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


# --- a recipe for each protocol ---


def listener(protocol, transport):
    """As the README writes it, in a block or between its words."""
    return next(found for found in re.findall(r"\{ protocol: \w+, listen: \"[^}]*\}", README)
                if f"protocol: {protocol}," in found and f'"{transport}:' in found)


def start_with(running, *listeners):
    """Starts kpid in the folder of the first steps."""
    ingest = "".join(f"  - {listener(*one)}\n" for one in listeners)
    return running((f"ingest:\n{ingest}" if ingest else "") + blocks("yaml")[2])


def is_complete(command):
    """Of a here-document without its end bash says something, and takes it."""
    done = subprocess.run(["bash", "-n", "-c", command], capture_output=True, check=False)
    return done.returncode == 0 and not done.stderr


def commands_of(block):
    """[(command, what it prints)] of a block with prompts. A command ends where bash takes it for complete."""
    found = []
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        lines = part.splitlines()
        complete = next(count for count in range(1, len(lines) + 1) if is_complete("\n".join(lines[:count])))
        found.append(("\n".join(lines[:complete]), "\n".join(lines[complete:])))
    return found


def run_block(block, folder):
    """Runs each command as it is written, but for a date that has gone by; it prints what it says there."""
    for command, expected in commands_of(block):
        command = command.replace("2026-11-03", datetime.date.today().isoformat())
        printed = shell(f"set -o pipefail; {command}", folder).replace("\r", "")
        assert printed.startswith(expected), (command, printed)


def figure(folder, expression):
    """Over all days that a recipe may have meant."""
    begin = min(datetime.date(2026, 11, 1), datetime.date.today())
    end = datetime.date.today() + datetime.timedelta(days=2)
    asked = f"kpictl --socket kpid.sock query '{expression}' --from {begin} --to {end} --json"
    return json.loads(shell(asked, folder))["points"][0]["value"]


RECIPES = {  # the word that finds its block: (listeners, figures)
    "/write?db=any": ([("influx", "http")], {"sum(shop_orders)": 1, "sum(shop_amount)": 49.9,
                                              "avg(cpu_usage_user)": 2.5}),
    "/dev/tcp/127.0.0.1/2003": ([("graphite", "tcp"), ("graphite_pickle", "tcp"), ("influx", "udp")],
                                {"sum(shop.orders)": 5, "sum(shop_orders)": 1, "sum(shop_amount)": 49.9}),
    "kpiload -t unix -a ingest.sock": ([], {"sum(bench_api_cnt)": 36761}),
    "_e{9,7}": ([("dogstatsd", "udp")], {'sum(signup{plan="pro"})': 1, "last(service_check.db.up)": 2}),
    "/push": ([("json", "http")], {"sum(leads)": 12, "last(cash)": 81250.5}),
    "--csv leads.csv": ([], {"sum(leads)": 19, 'sum(leads{source="web"})': 7}),
}


def recipe(word):
    block, = [block for block in blocks("console") if word in block]
    return block


@pytest.mark.parametrize("word", list(RECIPES))
def test_a_recipe_works_as_it_is_written(running, word):
    listeners, figures = RECIPES[word]
    folder = start_with(running, *listeners)
    run_block(recipe(word), folder)
    if "Idempotency-Key" in recipe(word):  # sent again it counts once, and is answered the same
        run_block(recipe(word), folder)
    for expression, value in figures.items():
        wait_until(lambda expression=expression, value=value: figure(folder, expression) == value,
                   f"{expression} to be {value}, not {figure(folder, expression)}")


def test_each_recipe_is_run_by_a_test():
    assert not [block for block in blocks("console") if not any(word in block for word in RECIPES)]


def test_the_recipe_of_opentelemetry(running):
    folder = start_with(running, ("otlp", "http"))
    block, = [block for block in blocks("sh") if "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT" in block]
    assert "# {}: stored" in block
    assert shell(f"set -e\n{block}", folder) == "{}"
    assert figure(folder, "last(carts.open)") == 12


def test_the_recipe_of_collectd(running):
    folder = start_with(running, ("collectd", "http"))
    block, = blocks("apacheconf")
    (folder / "collectd.conf").write_text(
        f'FQDNLookup false\nBaseDir "{folder}"\nPIDFile "{folder}/pid"\nTypesDB "/usr/share/collectd/types.db"\n'
        f"Interval 0.1\nLoadPlugin load\n{block}")
    with Program(folder, "collectd", "-f", "-C", folder / "collectd.conf"):
        wait_until(lambda: figure(folder, "last(collectd.load.load.shortterm)") is not None, "what collectd measured")


def test_the_recipe_of_prometheus(running):
    folder = start_with(running, ("prometheus", "http"))
    block, = [block for block in blocks("yaml") if block.startswith("remote_write:")]
    port = free_port()
    (folder / "prometheus.yml").write_text(
        f"scrape_configs: [ {{ job_name: itself, scrape_interval: 200ms, scrape_timeout: 200ms,\n"
        f'  static_configs: [ {{ targets: [ "127.0.0.1:{port}" ] }} ] }} ]\n{block}')
    with Program(folder, "prometheus", "--config.file=prometheus.yml", "--storage.tsdb.path=tsdb",
                 f"--web.listen-address=127.0.0.1:{port}", "--storage.remote.flush-deadline=1s"):
        wait_until(lambda: figure(folder, "last(up)") == 1, "what Prometheus scraped")
