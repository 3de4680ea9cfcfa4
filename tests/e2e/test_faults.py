"""The store on a disk that fails and on a machine whose power is cut."""

import pytest
from faults import PROGRAM, call, failing_disks, power_cuts, under_shim

pytestmark = pytest.mark.skipif(not PROGRAM.exists(), reason="needs a build with KPID_TESTS")


def test_after_a_power_cut_all_that_was_acknowledged_is_there_once(tmp_path):
    assert "500 power cuts" in power_cuts(tmp_path, points=500, seed=1)


def test_a_write_that_fails_loses_nothing_and_counts_nothing_twice(tmp_path):
    failing_disks(tmp_path, rounds=60, seed=1)


def test_the_check_finds_a_batch_that_is_missing_and_one_too_many(tmp_path):
    assert under_shim(tmp_path, 40, 1).returncode == 0
    assert call("check", tmp_path, 40).returncode == 0
    for wrong in (39, 41):
        found = call("check", tmp_path, wrong)
        assert found.returncode == 1
        assert "holds 40 batches" in found.stderr
