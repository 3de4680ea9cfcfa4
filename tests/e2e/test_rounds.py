"""A few rounds of what tools/campaign runs by the thousand."""

from rounds import kill_rounds


def test_nothing_acknowledged_is_lost_or_counted_twice_and_no_message_forgotten_over_kill_9(tmp_path, receiver):
    pushes, batches, sends = kill_rounds(tmp_path, receiver, rounds=20, seed=1)
    assert pushes > 0 and batches > 0 and sends > batches
