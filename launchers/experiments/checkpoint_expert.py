"""Expert from a trained agent of this project: `checkpoint:DIR`.

A run may continue while its episodes are collected. A data set therefore uses a single
checkpoint, the newest at its start, which its settings name by learner steps, as
DIR@STEPS.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, ClassVar

import dm_env
import numpy as np
from acme import specs

import environments
from agents.mpo.batched_acting import BatchedActor, BatchedPolicy
from environments import agent_view, wrappers
from launchers.experiments import config as experiment_config
from launchers.experiments import record


class CheckpointExpert:
    """Expert that acts as a run's actors do; see `datasets.experts.base.Expert`."""

    PHASES: ClassVar[tuple[str, ...]] = ()

    def __init__(self, workdir: str, environment: dm_env.Environment) -> None:
        """Loads the newest checkpoint.

        Args:
          workdir: work directory of `launchers.train_agent`.
          environment: an environment with named observations.

        Raises:
          ValueError: in one line, why no agent for this environment can be loaded.
        """
        config = record.load_config(workdir)
        builder = experiment_config.make_builder(config)
        self._view: Any = wrappers.GroupObservations(
            environment, config.environment.object_order
        )
        if config.environment.environment is not None:
            self._view = agent_view.AgentView(environment, config.environment)
        networks = builder.make_networks(
            specs.make_environment_spec(self._view), config.seed
        )
        self.learner_steps = builder.restore_policy(networks, workdir)
        self._actor = BatchedActor(BatchedPolicy(builder.make_policy(networks), seed=0))
        self.phase = -1
        self.reset(0)

    def reset(self, seed: int) -> None:
        """Starts an episode."""
        self._actor.restart(experiment_config.derive_seed(seed, "expert"))

    def step(self, timestep: dm_env.TimeStep) -> np.ndarray:
        """Returns an action, float32 [D], in the environment's own units."""
        grouped = self._view.grouped(timestep.observation)
        self.intended = self._view.scaled(self._actor.select_action(grouped))
        return self.intended


def pin(workdir: str) -> str:
    """Returns WORKDIR@STEPS for the newest checkpoint.

    Raises:
      ValueError: in one line, why no agent can be loaded.
    """
    config = record.load_config(workdir).environment
    environment = environments.build(dataclasses.replace(config, grouped=False))
    expert = CheckpointExpert(workdir, environment)
    environment.close()
    return f"{workdir}@{expert.learner_steps}"


def factory(pinned: str) -> Callable[[dm_env.Environment], CheckpointExpert]:
    """Returns a picklable function from an environment to the expert `pin` named."""
    workdir, _, steps = pinned.rpartition("@")
    return functools.partial(_load, workdir, int(steps))


def _load(
    workdir: str, learner_steps: int, environment: dm_env.Environment
) -> CheckpointExpert:
    expert = CheckpointExpert(workdir, environment)
    if expert.learner_steps != learner_steps:
        raise ValueError(
            f"the newest checkpoint of {workdir} has {expert.learner_steps} learner "
            f"steps, not {learner_steps} as when the data set was begun"
        )
    return expert
