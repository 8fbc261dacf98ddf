"""Runs an episode of an expert and turns its steps into RLDS arrays."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping
from typing import Any

import dm_env
import numpy as np

import environments
from datasets.experts import base
from datasets.rlds import schema


def _nothing() -> None:
    pass


def environment_maker(
    settings: schema.Settings,
) -> Callable[[], dm_env.Environment]:
    """Returns a picklable function that builds the environment of a data set.

    It starts with the first episode's task and objects; `run_episode` changes them.
    """
    return functools.partial(environments.build, settings.environment, seed=0)


def run_episode(
    environment: dm_env.Environment,
    expert: base.Expert,
    settings: schema.Settings,
    index: int,
    on_step: Callable[[], None] = _nothing,
) -> dict[str, Any]:
    """Runs episode `index` and returns it as an RLDS example.

    Args:
      environment: environment with `seed_episode`, `success`, `episode_info` and, of
        the cell, `set_task` and `set_objects` besides the methods of dm_env.
      expert: expert that acts in it.
      settings: settings that give seed, task, objects and metadata.
      index: index of the episode, from 0, over all that are tried.
      on_step: called before each control step; may raise to stop.

    Returns:
      `steps`: arrays [T+1, ...] by name, for T control steps; `episode_metadata`.

    Raises:
      ValueError: a number is not finite, or an array does not fit its spec.
    """
    seed = settings.episode_seed(index)
    task, object_set = settings.combination(index)
    environment.seed_episode(seed)
    is_cell = settings.environment.environment is None
    if is_cell:
        environment.set_task(task)
        environment.set_objects(object_set)
    timestep = environment.reset()
    expert.reset(settings.expert_seed(index))
    observations, actions, intended, rewards = [], [], [], []
    discounts, phases = [], []
    while not timestep.last():
        on_step()
        action = np.array(expert.step(timestep), np.float32)
        label = np.array(getattr(expert, "intended", action), np.float32)
        if not is_cell:  # whose own experts stay within their bounds
            spec = environment.action_spec()
            action, label = (
                np.clip(x, spec.minimum, spec.maximum) for x in (action, label)
            )
        observations.append(timestep.observation)
        timestep = environment.step(action)
        actions.append(action)
        intended.append(label)
        phases.append(expert.phase)
        rewards.append(timestep.reward)
        discounts.append(timestep.discount)
    terminal = timestep.discount == 0.0
    observations.append(timestep.observation)

    length = len(observations)
    none = np.zeros(environment.action_spec().shape, np.float32)
    last = np.arange(length) == length - 1
    steps = {
        "observation": _stacked(environment.observation_spec(), observations),
        "action": np.stack([*actions, none]),
        schema.EXPERT_ACTION: np.stack([*intended, none]),
        "reward": np.array([*rewards, 0.0], np.float32),
        "discount": np.array([*discounts, 0.0], np.float32),
        "is_first": np.arange(length) == 0,
        "is_last": last,
        "is_terminal": last & terminal,
        "expert_phase": np.array([*phases, schema.UNKNOWN_PHASE], np.int32),
    }
    _check(f"episode {index} (seed {seed})", steps)
    info = dict(environment.episode_info())
    info.pop("seed", None)
    metadata = {
        "success": bool(environment.success()),
        "task": task,
        "reward": settings.environment.reward if is_cell else "",
        "object_set": schema.object_set_number(object_set),
        "seed": seed,
        "episode_index": index,
        "action_delay": int(info.pop("action_delay", 0)),
        "expert": settings.expert,
        "expert_phases": json.dumps(list(expert.PHASES)),
        "invalid": bool(info.pop("diverged", False)),
        "randomization": json.dumps(info, sort_keys=True, default=float),
    }
    return {"steps": steps, "episode_metadata": metadata}


def _stacked(
    spec: Mapping[str, Any], observations: list[Mapping[str, np.ndarray]]
) -> dict[str, np.ndarray]:
    stacked = {}
    for name, array in spec.items():
        values = np.stack([o[name] for o in observations])
        if values.shape[1:] != array.shape or values.dtype != array.dtype:
            raise ValueError(
                f"{name} is {values.dtype} {list(values.shape[1:])}, but its spec is "
                f"{array.dtype} {list(array.shape)}"
            )
        stacked[name] = values
    return stacked


def _check(episode: str, steps: Mapping[str, Any]) -> None:
    arrays = {k: v for k, v in steps.items() if k != "observation"}
    for name, values in (arrays | steps["observation"]).items():
        flat = values.reshape(len(values), -1)
        bad = np.flatnonzero(~np.isfinite(flat).all(axis=1))
        if bad.size:
            raise ValueError(f"{episode}: {name} is not finite at step {bad[0]}")
