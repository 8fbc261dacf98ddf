"""Episodes for actors without physics: recorded from the real agent, or synthetic."""

from __future__ import annotations

import pathlib
from typing import NamedTuple

import dm_env
import numpy as np
import tqdm
from acme import specs

from environments import wrappers
from launchers.common import atomic_files

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


def synthetic(
    environment_spec: specs.EnvironmentSpec,
    agent_action_spec: dm_env.specs.Array,
    count: int,
    seed: int,
    length: int = LENGTH,
) -> list[Episode]:
    """Noise of the specs' shapes and types: it compresses worse than real data."""
    rng = np.random.default_rng(seed)

    def draw(rows: int, spec: dm_env.specs.Array) -> np.ndarray:
        if np.issubdtype(spec.dtype, np.integer):
            high = getattr(spec, "num_values", 256)
            return rng.integers(high, size=(rows, *spec.shape)).astype(spec.dtype)
        return rng.normal(size=(rows, *spec.shape)).astype(spec.dtype)

    return [
        Episode(
            {k: draw(length + 1, s) for k, s in environment_spec.observations.items()},
            draw(length, agent_action_spec),
            rng.uniform(size=length).astype(environment_spec.rewards.dtype),
            np.ones(length, environment_spec.discounts.dtype),
        )
        for _ in range(count)
    ]


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
    found = []
    with tqdm.tqdm(total=count * LENGTH, desc="recording", unit="step") as bar:
        for _ in range(count):
            timesteps, latents = [environment.reset()], []
            while not timesteps[-1].last():
                action = actor.select_action(timesteps[-1].observation)
                latents.append(actor.agent_action)
                timesteps.append(environment.step(action))
                bar.update()
            found.append(_from_timesteps(timesteps, latents))
    environment.close()
    return found


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


def save(path: pathlib.Path, episodes: list[Episode]) -> None:
    """Writes them."""
    arrays = {}
    for i, episode in enumerate(episodes):
        for key, value in episode.observation.items():
            arrays[f"{i}/observation/{key}"] = value
        for key in ("latent", "reward", "discount"):
            arrays[f"{i}/{key}"] = getattr(episode, key)
    with atomic_files.aside(path) as aside, open(aside, "wb") as file:
        np.savez(file, **arrays)


def load(path: pathlib.Path) -> list[Episode]:
    """Reads them back.

    Raises:
      ValueError: in one line, if these are no episodes.
    """
    try:
        with np.load(path) as found:
            arrays = {key: found[key] for key in found.files}
        count = 1 + max(int(key.partition("/")[0]) for key in arrays)
        episodes = []
        for i in range(count):
            prefix = f"{i}/observation/"
            observation = {
                key.removeprefix(prefix): value
                for key, value in arrays.items()
                if key.startswith(prefix)
            }
            rest = [arrays[f"{i}/{key}"] for key in ("latent", "reward", "discount")]
            episodes.append(Episode(observation, *rest))
    except (OSError, KeyError, ValueError) as e:
        raise ValueError(f"{path} holds no episodes: {e}") from e
    return episodes
