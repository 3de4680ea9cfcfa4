"""A few rounds of what tools/campaign counting runs by the thousand."""

import pytest

from counting_rounds import kill_rounds


@pytest.mark.threads
def test_what_counts_up_is_exact_over_kills_resets_and_copies(tmp_path):  # P9, P16, O10, O19, FIG-23
    points, resent = kill_rounds(tmp_path, rounds=20, seed=4)
    assert points > 0 and resent > 0
