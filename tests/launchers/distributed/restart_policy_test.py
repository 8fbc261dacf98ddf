"""When a node is started again, and what ends the program."""

import pytest

from launchers.distributed import restart_policy


def test_restarts_back_off_and_end():
    rules = restart_policy.Restarts(
        restart_policy.RestartPolicy(limit=3, longest_delay=3.0)
    )
    delays = [_died(rules, "actor/1", now) for now in (0.0, 10.0, 20.0)]
    assert delays == [1.0, 2.0, 3.0]
    assert _died(rules, "actor/2", 25.0) == 1.0  # counted apart
    with pytest.raises(
        restart_policy.Failed, match="actor/1 failed 4 times.*out of memory"
    ):
        rules.after_death(
            restart_policy.Loss("actor/1", "out of memory", 5.0, True, {}), 30.0
        )


def _died(rules, name, now, worked=5.0, peers=None):
    loss = restart_policy.Loss(name, "killed", worked, True, peers or {})
    return rules.after_death(loss, now)


def _raised(rules, name, now, worked=5.0, dispensable=True, peers=None):
    loss = restart_policy.Loss(name, "KeyError: 'x'", worked, dispensable, peers or {})
    return rules.after_exception(loss, now)


def test_a_node_that_had_worked_may_be_killed_as_often_as_it_likes():
    rules = restart_policy.Restarts(restart_policy.RestartPolicy(limit=2, settled=20.0))
    assert [_died(rules, "a", 25.0 * i, worked=20.0) for i in range(9)] == [1.0] * 9
    assert _died(rules, "a", 230.0) == 2.0
    with pytest.raises(restart_policy.Failed, match="a failed 3 times"):
        _died(rules, "a", 235.0)
    # Exceptions are counted all the same: they repeat themselves.
    for i, delay in enumerate((1.0, 2.0)):
        assert _raised(rules, "b", 25.0 * i, 20.0) == delay
    with pytest.raises(restart_policy.Failed, match="b failed 3 times"):
        _raised(rules, "b", 75.0, 20.0)


def test_restarts_are_forgotten_after_the_window():
    rules = restart_policy.Restarts(restart_policy.RestartPolicy(limit=1, window=600.0))
    assert _died(rules, "learner/0", 0.0) == 1.0
    assert _died(rules, "learner/0", 600.1) == 1.0


def test_a_lost_host_counts_for_no_node():
    rules = restart_policy.Restarts(restart_policy.RestartPolicy(limit=1))
    for now in range(5):
        rules.after_host_lost("actor/1", float(now))
    assert _died(rules, "actor/1", 6.0) == 1.0


@pytest.mark.parametrize(
    ("worked", "dispensable", "loss", "ends"),
    [
        (5.0, True, None, True),  # broken from the start
        (25.0, True, None, False),
        (25.0, False, None, True),
        (5.0, False, ("replay/0", 60.0), False),  # a result of the other's loss
        (5.0, False, ("replay/0", 30.0), True),  # too long ago
        (5.0, False, ("actor/1", 99.0), True),  # its own loss excuses nothing
    ],
)
def test_an_exception_ends_the_program_unless(worked, dispensable, loss, ends):
    rules = restart_policy.Restarts()
    if loss:
        _died(rules, *loss)
    if ends:
        with pytest.raises(restart_policy.Failed, match="^actor/1: KeyError: 'x'$"):
            _raised(rules, "actor/1", 100.0, worked, dispensable)
    else:
        assert _raised(rules, "actor/1", 100.0, worked, dispensable) == 1.0


def test_exceptions_do_not_excuse_each_other():
    rules = restart_policy.Restarts()
    _raised(rules, "actor/1", 100.0, worked=25.0)
    with pytest.raises(restart_policy.Failed):
        _raised(rules, "actor/2", 101.0)


def test_nothing_ends_the_program_while_a_peer_works():
    rules = restart_policy.Restarts(
        restart_policy.RestartPolicy(limit=2, longest_delay=3.0)
    )
    settled, new = {"actor/2": 20.0}, {"actor/2": 19.0}
    delays = [_died(rules, "actor/1", float(i), peers=settled) for i in range(5)]
    assert delays == [1.0, 2.0, 3.0, 3.0, 3.0]
    assert _raised(rules, "actor/1", 5.0, peers=settled) == 3.0
    assert _raised(rules, "actor/3", 100.0, peers=settled) == 1.0
    for fail in (_died, _raised):
        with pytest.raises(restart_policy.Failed):
            fail(rules, "actor/1", 101.0, peers=new)
    with pytest.raises(
        restart_policy.Failed
    ):  # a shard is missed, whatever the others do
        _raised(rules, "actor/1", 101.0, dispensable=False, peers=settled)


def test_all_that_fail_alike_end_the_program():
    rules = restart_policy.Restarts(restart_policy.RestartPolicy(limit=2, settled=20.0))
    for now in (25.0, 50.0):
        for name, peer in (("actor/1", "actor/2"), ("actor/2", "actor/1")):
            _raised(rules, name, now, worked=25.0, peers={peer: 25.0})
    with pytest.raises(restart_policy.Failed, match="actor/1 failed 3 times"):
        _raised(rules, "actor/1", 75.0, worked=25.0, peers={"actor/2": 25.0})
