"""The commands and samples of README.md, as they are written there."""

import os
import pathlib
import re
import subprocess

import pytest

from conftest import BUILD, wait_until

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
            pytest.skip("somebody listens on 127.0.0.1:8125")
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
    assert "ok: 1 KPI, 1 rule, 1 hook, 1 listener, 0 warnings" in shell(f"{export}; {check}", folder)
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
