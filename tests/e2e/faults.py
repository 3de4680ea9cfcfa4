"""Power cuts and failing disks under a store (tests/faults): what test_faults.py runs a little of and
tools/campaign a lot."""

import os
import random
import shutil
import subprocess

from conftest import BUILD

PROGRAM = BUILD / "power_cut"
SHIM = BUILD / "libkpid_faults.so"
BATCHES = 1600  # half a day of the workload's time


def call(*arguments, **environment):
    return subprocess.run([PROGRAM, *map(str, arguments)], capture_output=True, text=True, check=False,
                          env={**os.environ, **environment})


def under_shim(folder, batches, attempts, **environment):
    folder.mkdir(parents=True, exist_ok=True)
    # The sanitizer's library wants to be the first; the shim has to be.
    return call("run", folder, batches, attempts, LD_PRELOAD=str(SHIM),
                ASAN_OPTIONS=os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0", **environment)


def power_cuts(folder, points, seed):
    """Lives once, then cuts the power at so many points of that life; returns the report."""
    lived = under_shim(folder / "life", BATCHES, 1, KPID_FAULT_LOG=str(folder / "log"))
    assert lived.returncode == 0, lived.stderr
    (folder / "cut").mkdir()
    cut = call("cut", folder / "log", folder / "cut", points, seed)
    assert cut.returncode == 0, cut.stdout + cut.stderr
    return cut.stdout.strip()


def failing_disk(folder, how, number):
    """A life in which one write or sync fails; what comes after goes on where it was."""
    life = folder / f"{how}-{number}"
    lived = under_shim(life, BATCHES, 4, KPID_FAULT_FAIL=f"{number}:{how}")
    if lived.returncode != 0:  # only the making of a store is not tried again
        assert "store_open: " in lived.stderr, lived.stderr
        assert under_shim(life, BATCHES, 1).returncode == 0
    checked = call("check", life, BATCHES)
    assert checked.returncode == 0, f"{how} at operation {number}: {checked.stderr}"
    shutil.rmtree(life)


def failing_disks(folder, rounds, seed):
    chance = random.Random(seed)
    for i in range(rounds):
        failing_disk(folder, ("eio", "enospc", "short")[i % 3], int(10 ** chance.uniform(0, 4.3)))
