"""Episodes of a policy that does not learn, and their statistics."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable

import dm_env
import numpy as np
import tqdm
from acme import core

from launchers.common import intervals
from launchers.experiments.config import derive_seed


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """Undiscounted return and success of each episode.

    Success is None where the environment does not tell. `stages` are the rewards of the
    task's stages, averaged over all steps, in order; empty where the environment does
    not report them.
    """

    returns: tuple[float, ...]
    successes: tuple[bool | None, ...]
    steps: int
    seconds: float
    stages: tuple[float, ...] = ()

    def scalars(self) -> dict[str, float]:
        """Returns means and 95 % intervals: normal for returns, Wilson for success.

        Where the environment tells no success, there is no `success_` among them.
        """
        returns = np.asarray(self.returns)
        known = [success for success in self.successes if success is not None]
        success = {}
        if known:
            low, high = intervals.wilson(sum(known), len(known))
            success = {
                "success_rate": float(np.mean(known)),
                "success_low": low,
                "success_high": high,
            }
        return {
            "episodes": len(returns),
            "return_mean": float(returns.mean()),
            "return_interval": intervals.normal_half_width(self.returns),
            "return_min": float(returns.min()),
            "return_max": float(returns.max()),
            **success,
            "steps_per_second": self.steps / max(self.seconds, 1e-9),
            **{f"stage_{i}": value for i, value in enumerate(self.stages)},
        }


def run_episodes(
    environment: dm_env.Environment,
    actor: core.Actor,
    episodes: int,
    seed: int,
    stopped: Callable[[], bool] = lambda: False,
    on_step: Callable[[dm_env.Environment, dm_env.TimeStep], None] | None = None,
    progress: bool = False,
) -> Evaluation | None:
    """Runs episodes and collects their statistics.

    Args:
      environment: environment to act in; its `success()`, if it has one, is read at the
        end of an episode.
      actor: actor that observes first time steps and selects actions.
      episodes: number of episodes, at least 1.
      seed: episode i is drawn from (seed, i) where the environment takes a seed.
      stopped: called after every step; True ends the evaluation.
      on_step: called with the environment and its time step after every reset and
        step.
      progress: whether to show a bar on standard error, if that is a terminal.

    Returns:
      The statistics, or None if `stopped` ended it.
    """
    returns, successes, steps, begin = [], [], 0, time.monotonic()
    stage_rewards = getattr(environment, "stage_rewards", lambda: ())
    stages: np.ndarray | float = 0.0
    bar = tqdm.tqdm(
        range(episodes),
        "evaluation",
        unit="episode",
        disable=None if progress else True,  # None: unless it is a terminal
    )
    for episode in bar:
        seed_episode = getattr(environment, "seed_episode", None)
        if seed_episode is not None:
            seed_episode(derive_seed(seed, "evaluation", episode))
        timestep = environment.reset()
        actor.observe_first(timestep)
        if on_step is not None:
            on_step(environment, timestep)
        total = 0.0
        while not timestep.last():
            timestep = environment.step(actor.select_action(timestep.observation))
            if on_step is not None:
                on_step(environment, timestep)
            stages = stages + np.asarray(stage_rewards())
            total += float(timestep.reward)
            steps += 1
            if stopped():
                return None
        returns.append(total)
        successes.append(episode_success(environment))
        text = f"return {np.mean(returns):.2f}"
        known = [success for success in successes if success is not None]
        if known:
            text += f", success {100 * np.mean(known):.0f} %"
        bar.set_postfix_str(text, refresh=False)
    return Evaluation(
        tuple(returns),
        tuple(successes),
        steps,
        time.monotonic() - begin,
        tuple((np.atleast_1d(stages) / max(steps, 1)).tolist()),
    )


def episode_success(environment: dm_env.Environment) -> bool | None:
    """Returns whether the task is solved now; None if the environment cannot tell."""
    success = getattr(environment, "success", None)
    told = None if success is None else success()
    return None if told is None else bool(told)
