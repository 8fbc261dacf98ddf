"""Waits double up to a limit, however many failures there are."""

from launchers.common import backoff


def test_waits_double_up_to_the_limit():
    waits = [backoff.seconds(n, first=0.2, longest=3.0) for n in range(1, 8)]
    assert waits == [0.2, 0.4, 0.8, 1.6, 3.0, 3.0, 3.0]
    assert backoff.seconds(10**6, first=0.2, longest=3.0) == 3.0
