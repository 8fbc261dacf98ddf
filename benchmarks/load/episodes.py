"""Episodes for actors without physics, recorded from the real agent."""

from __future__ import annotations

from typing import NamedTuple

import dm_env
import numpy as np
import tqdm

from environments import wrappers

LENGTH = 400  # control steps of a real episode


class Episode(NamedTuple):
    """What an actor adds to replay in T steps."""

    observation: dict[str, np.ndarray]  # name -> [T + 1, size]
    latent: np.ndarray  # [T, ...]
    reward: np.ndarray  # [T]
    discount: np.ndarray  # [T]

    @property
    def steps(self) -> int:
        """T."""
        return len(self.reward)

    def timestep(self, t: int, first: bool = False) -> dm_env.TimeStep:
        """What the environment gave after t steps, or as if it began there."""
        observation = {key: value[t] for key, value in self.observation.items()}
        if first:
            return dm_env.restart(observation)
        kind = dm_env.StepType.LAST if t == self.steps else dm_env.StepType.MID
        return dm_env.TimeStep(
            kind, self.reward[t - 1], self.discount[t - 1], observation
        )


def record(agent: str, count: int, seed: int) -> list[Episode]:
    """Runs the untrained agent in the real environment; shows its progress."""
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
