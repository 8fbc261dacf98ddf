"""Statistics of evaluations, with numbers worked out by hand."""

import io

import numpy as np
import pytest

from launchers.experiments import episodes
from tests.helpers import fakes


class _Oracle:
    def observe_first(self, timestep):
        assert timestep.first()

    def select_action(self, observation):
        symbol = int(np.argmax(observation["objects"]))
        return np.array([(-0.8, 0.0, 0.8)[symbol]], np.float32)


def test_run_episodes():
    steps = []
    result = episodes.run_episodes(
        fakes.MatchingTask(seed=0),
        _Oracle(),
        3,
        seed=0,
        on_step=lambda environment, timestep: steps.append(timestep.last()),
    )
    assert result is not None
    assert result.returns == (8.0, 8.0, 8.0)
    assert result.successes == (True, True, True)
    assert result.steps == 24 and len(steps) == 27 and sum(steps) == 3
    scalars = result.scalars()
    assert scalars["return_mean"] == 8.0 and scalars["success_rate"] == 1.0


@pytest.mark.parametrize("terminal", [False, True])
def test_a_bar_shows_episodes_on_a_terminal(terminal, monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(stream, "isatty", lambda: terminal)
    monkeypatch.setattr("sys.stderr", stream)
    for progress in (False, True):
        task = fakes.MatchingTask(seed=0)
        episodes.run_episodes(task, _Oracle(), 3, seed=0, progress=progress)
        assert ("3/3" in stream.getvalue()) == (progress and terminal)
    if terminal:
        assert "return 8.00, success 100 %" in stream.getvalue()
    else:
        assert stream.getvalue() == ""


def test_stopped():
    assert (
        episodes.run_episodes(
            fakes.MatchingTask(seed=0), _Oracle(), 3, 0, stopped=lambda: True
        )
        is None
    )


def test_the_rewards_of_stages_are_means_over_steps():
    class Staged(fakes.MatchingTask):
        def stage_rewards(self):
            return [1.0, self._step / 10]

    result = episodes.run_episodes(Staged(seed=0), _Oracle(), 2, seed=0)
    assert result is not None
    assert result.stages == pytest.approx((1.0, 0.45))  # of steps 1 to 8
    assert result.scalars()["stage_1"] == pytest.approx(0.45)
