"""A few rounds of what tools/campaign runs by the thousand."""

from rounds import kill_rounds


def test_nothing_acknowledged_is_lost_and_no_message_forgotten_over_kill_9(tmp_path, receiver):
    assert kill_rounds(tmp_path, receiver, rounds=8, seed=1) > 0
