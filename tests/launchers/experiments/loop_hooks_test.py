"""Counts outlive the process; a hook ends an episode."""

import types

import dm_env
import pytest
from absl import flags

from agents.builder import Stopped
from launchers.experiments import loop_hooks


@pytest.fixture(autouse=True)
def _parsed_flags():
    if not flags.FLAGS.is_parsed():
        flags.FLAGS(["test"])


def test_counter_is_kept(tmp_path):
    counter = loop_hooks.PersistentCounter(str(tmp_path))
    counter.increment(actor_steps=5)
    counter.persist()
    again = loop_hooks.PersistentCounter(str(tmp_path))
    assert again.increment(actor_steps=2) == {"actor_steps": 7}
    (tmp_path / "counts.json").write_text("{")
    with pytest.raises(ValueError, match="not readable"):
        loop_hooks.PersistentCounter(str(tmp_path))


def test_hook_may_end_an_episode():
    def stop():
        raise Stopped("now")

    with pytest.raises(Stopped):
        loop_hooks.Hooked(None, stop).update()


@pytest.mark.parametrize(
    ("told", "metrics"),
    [(True, {"success": 1.0}), (False, {"success": 0.0}), (None, {})],
)
def test_success_is_logged_where_the_environment_tells_it(told, metrics):
    observer = loop_hooks.SuccessObserver()
    environment = types.SimpleNamespace(success=lambda: told)
    observer.observe_first(environment, dm_env.restart(None))
    observer.observe(environment, dm_env.termination(0.0, None), None)
    assert observer.get_metrics() == metrics
