"""Recorded episodes of the real agent, for actors without physics."""

from __future__ import annotations

from typing import NamedTuple

import dm_env
import numpy as np
import tqdm

from environments import wrappers

LENGTH = 400  # control steps of a real episode


class Episode(NamedTuple):
    """Recorded episode: the data that an actor adds to replay in T steps."""

    observation: dict[str, np.ndarray]  # name -> [T + 1, size]
    latent: np.ndarray  # [T, ...]
    reward: np.ndarray  # [T]
    discount: np.ndarray  # [T]

    @property
    def steps(self) -> int:
        """The number of steps, T."""
        return len(self.reward)

    def timestep(self, t: int, first: bool = False) -> dm_env.TimeStep:
        """Returns the time step after t steps; if `first`, as an episode's first."""
        observation = {key: value[t] for key, value in self.observation.items()}
        if first:
            return dm_env.restart(observation)
        kind = dm_env.StepType.LAST if t == self.steps else dm_env.StepType.MID
        return dm_env.TimeStep(
            kind, self.reward[t - 1], self.discount[t - 1], observation
        )


def record(agent: str, count: int, seed: int) -> list[Episode]:
    """Records the untrained agent in the real environment; shows progress."""
    # Here, because light actors need neither physics nor policy.
    from benchmarks.load import setup

    environment = setup.make_environment(seed)
    builder = setup.make_builder(agent, seed)
    policy = builder.make_policy(
        builder.make_networks(wrappers.environment_spec(), seed)
    )
    actor = builder.make_actor(policy, seed)
    episodes = []
    with tqdm.tqdm(total=count * LENGTH, desc="recording", unit="step") as bar:
        for _ in range(count):
            timesteps, latents = [environment.reset()], []
            while not timesteps[-1].last():
                action = actor.select_action(timesteps[-1].observation)
                latents.append(actor.agent_action)
                timesteps.append(environment.step(action))
                bar.update()
            episodes.append(_from_timesteps(timesteps, latents))
    environment.close()
    return episodes


def _from_timesteps(
    timesteps: list[dm_env.TimeStep], latents: list[np.ndarray]
) -> Episode:
    return Episode(
        {
            key: np.stack([timestep.observation[key] for timestep in timesteps])
            for key in timesteps[0].observation
        },
        np.stack(latents),
        np.array([timestep.reward for timestep in timesteps[1:]]),
        np.array([timestep.discount for timestep in timesteps[1:]]),
    )
