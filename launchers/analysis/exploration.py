"""Episodes of table 1 of the paper: what agents reach and cover before any RL.

Every finished episode is a line of a CSV file, so an interrupted table resumes where
it stopped. Each episode has its own seed, the same for all agents, so the table is the
same however it was interrupted.

Shape letters: T control steps, V values of a part of the state.
"""

from __future__ import annotations

import csv
import dataclasses
import functools
import io
import json
import os
import pathlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

import environments
from agents.high_level.distillation import CONTEXT
from datasets.rlds import recipes
from environments import EnvironmentConfig, contacts, observations, sensors
from environments.stacking import RgbStacking
from filesystem import regular_files
from launchers.analysis import models, zero_shot_agents
from launchers.common import atomic_files
from launchers.experiments.config import derive_seed

TABLE1 = "table1"
EPISODES_FILE = f"{TABLE1}_episodes.csv"
_REWARDS = ("dense", "staged_sparse", "sparse")
METRICS = (
    *_REWARDS,
    "joints",
    "joint_velocities",
    "grasp",
    "held",
    "objects",
    "object_positions",
    "grasp_share",
    "held_share",
    "success",
)
_KEYS = ("agent", "episode", "seed", "steps")


@dataclasses.dataclass(frozen=True)
class Setting:
    """Environment and seed of all episodes; picklable.

    Attributes:
      environment: environment of the episodes, where there are no combinations.
      seed: seed of all draws.
      combinations: tasks and object sets that episodes take in turns and agents observe
        (`recipes.context`); None: all episodes have one, and agents do not observe it.
    """

    environment: EnvironmentConfig
    seed: int
    combinations: tuple[recipes.Combination, ...] | None = None

    def combination(self, episode: int) -> recipes.Combination:
        """Returns the task and object set of an episode."""
        if self.combinations is None:
            return self.environment.task, self.environment.object_set
        return self.combinations[episode % len(self.combinations)]

    def to_json(self) -> dict[str, Any]:
        """Returns the attributes in JSON's types, the environment's included.

        The order of the objects is each agent's own.
        """
        found = {
            **self.environment.to_dict(),
            "seed": self.seed,
            "combinations": self.combinations,
        }
        found.pop("object_order", None)  # which another environment has none of
        if self.combinations is not None:
            found |= {"task": None, "object_set": None}
        return json.loads(json.dumps(found))


@dataclasses.dataclass(frozen=True)
class Agent:
    """An agent of the table; picklable.

    Attributes:
      model: model of an agent, as `zero_shot_agents.make` takes it.
      bundle: directory of the frozen model (for a fresh policy: the model whose
        statistics normalise its observations).
      skill_steps: control steps for which a skill is held.
    """

    model: str
    bundle: str
    skill_steps: int = 1

    @property
    def name(self) -> str:
        """The agent's name in files."""
        return zero_shot_agents.name(self.model, self.skill_steps)


@dataclasses.dataclass(frozen=True)
class Job:
    """One episode of one agent."""

    setting: Setting
    agent: Agent
    episode: int


def run(job: Job) -> dict[str, float | int | str]:
    """Runs an episode; caches the environment and compiled agents in the process.

    Returns:
      A row: `agent`, `episode`, `seed`, `steps` and `METRICS`. Rewards are sums over
      the episode; `success` and names that end in `_share` are shares. The others are
      variances over the episode, averaged over the values of a part of the state:
      joints [rad^2], their velocities [rad^2/s^2], the grasp flag, the grasp flag with
      an object in contact (fingers that close on nothing set the flag too), objects
      (positions [m] and unit quaternions), and their positions alone [m^2].
    """
    environment = _environment(job.setting)
    actor = make_actor(job.agent)
    seed = derive_seed(job.setting.seed, "table1", job.episode)
    combination = task, object_set = job.setting.combination(job.episode)
    environment.set_task(task)
    environment.set_objects(object_set)
    environment.seed_episode(seed)
    timestep = environment.reset()
    colors = environment.task.colors(actor.object_order)
    context = {}
    if job.setting.combinations is not None:
        context[CONTEXT] = recipes.context(combination)
    actor.begin(derive_seed(job.setting.seed, "table1_agent", job.episode))
    rewards = dict.fromkeys(_REWARDS, 0.0)
    covered = [_covered(environment)]
    while not timestep.last():
        observation = observations.group(timestep.observation, colors) | context
        timestep = environment.step(actor.act(observation))
        state = environment.state()
        for kind in _REWARDS:
            rewards[kind] += float(environment.task.reward(kind, state))
        covered.append(_covered(environment))
    parts = {key: np.stack([c[key] for c in covered]) for key in covered[0]}
    parts["objects"] = continuous_poses(parts["objects"])
    positions = parts["objects"][:, :, :3]
    return {
        "agent": job.agent.name,
        "episode": job.episode,
        "seed": seed,
        "steps": len(covered) - 1,
        **rewards,
        **{key: variance(values) for key, values in parts.items()},
        "object_positions": variance(positions),
        "grasp_share": float(parts["grasp"].mean()),
        "held_share": float(parts["held"].mean()),
        "success": float(environment.success()),
    }


def variance(values: np.ndarray) -> float:
    """Returns the variance of [T, ...] over time, averaged over a step's values."""
    return float(np.var(values, axis=0).mean())


def continuous_poses(poses: np.ndarray) -> np.ndarray:
    """Flips the signs of quaternions in poses [T, n, 7] so that none jumps.

    q and -q are the same rotation; a change of sign is no motion.
    """
    quaternions = poses[..., 3:]
    against = (quaternions[1:] * quaternions[:-1]).sum(axis=-1) < 0  # [T-1, n]
    signs = np.ones(poses.shape[:-1])
    signs[1:] = np.where(np.cumsum(against, axis=0) % 2, -1.0, 1.0)
    return np.concatenate([poses[..., :3], quaternions * signs[..., None]], axis=-1)


def collect(
    out: pathlib.Path,
    setting: Setting,
    agents: Sequence[Agent],
    episodes: int,
    run_jobs: Callable[[Iterable[Job]], Iterable[dict]],
    table: str = TABLE1,
    metrics: Sequence[str] = METRICS,
) -> dict[str, dict[str, np.ndarray]]:
    """Runs the episodes missing in `out`.

    Args:
      out: directory of the results.
      setting: setting of all episodes.
      agents: agents in the order of the table.
      episodes: number of episodes per agent.
      run_jobs: maps `run` over jobs, in any order.
      table: prefix of the files' names.
      metrics: metrics of a row that `run_jobs` yields.

    Returns:
      name of an agent -> metric -> [episodes].
    """
    path = out / f"{table}_episodes.csv"
    columns = (*_KEYS, *metrics)
    done = _repaired(path, columns)
    missing = [
        Job(setting, agent, episode)
        for episode in range(episodes)  # episodes outermost: agents advance together
        for agent in agents
        if (agent.name, episode) not in done
    ]
    for row in run_jobs(missing):
        _append(path, row, columns)
        done[row["agent"], row["episode"]] = row
    return {
        agent.name: {
            metric: np.array(
                [float(done[agent.name, e][metric]) for e in range(episodes)]
            )
            for metric in metrics
        }
        for agent in agents
    }


def check(
    out: pathlib.Path,
    setting: Setting,
    checksums: dict[str, str],
    table: str = TABLE1,
) -> None:
    """Raises ValueError if `out` holds episodes of another setting or other agents."""
    path = _run_file(out, table)
    if not path.exists():
        return
    record = atomic_files.read_json(path)
    before = EnvironmentConfig.with_defaults(record.get("setting", {}))
    for name, now in setting.to_json().items():
        was = before.get(name)
        if was != now:
            raise ValueError(
                f"{out} holds episodes of {table} with {name} {was!r}, not {now!r}; "
                "give another --out"
            )
    for agent, now in checksums.items():
        if record.get("agents", {}).get(agent, now) != now:
            raise ValueError(
                f"{out} holds episodes of {table} of another bundle of {agent}; give "
                "another --out"
            )


def record(
    out: pathlib.Path,
    setting: Setting,
    checksums: dict[str, str],
    table: str = TABLE1,
) -> None:
    """Records the setting and the agents of the episodes in `out`, for `check`."""
    path = _run_file(out, table)
    before = atomic_files.read_json(path).get("agents", {}) if path.exists() else {}
    atomic_files.write_json(
        path,
        {"setting": setting.to_json(), "agents": {**before, **checksums}},
    )


def _run_file(out: pathlib.Path, table: str) -> pathlib.Path:
    return out / f"{table}_run.json"


@functools.lru_cache(maxsize=1)
def _environment(setting: Setting) -> RgbStacking:
    return environments.build(setting.environment, seed=0)


@functools.cache
def make_actor(agent: Agent) -> zero_shot_agents.Actor:
    """Makes the actor of an agent, once in a process."""
    frozen = models.load(agent.bundle)
    explorer = zero_shot_agents.make(agent.model, frozen)
    order = models.object_order(frozen)
    return zero_shot_agents.Actor(explorer, agent.skill_steps, order)


def _covered(environment: RgbStacking) -> dict[str, np.ndarray]:
    """Returns the parts of the state, without noise or delay."""
    _, data = environment.physics
    scene = environment.scene
    poses = scene.object_qpos[:, None] + np.arange(7)
    grasp = environment.state().grasp == sensors.INWARD_GRASP
    touching = environment.state(with_contacts=True).contacts
    assert touching is not None
    held = grasp and bool(touching.touched(contacts.ROBOT) & set(observations.COLORS))
    return {
        "joints": data.qpos[scene.arm_qpos].copy(),
        "joint_velocities": data.qvel[scene.arm_dof].copy(),
        "grasp": np.array([grasp], float),
        "held": np.array([held], float),
        "objects": data.qpos[poses].copy(),
    }


def _repaired(
    path: pathlib.Path, columns: Sequence[str]
) -> dict[tuple[str, int], dict[str, str]]:
    """Reads the episodes in the file after it cuts off an unfinished last line."""
    if not path.exists():
        return {}
    text = regular_files.read_text(path)
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        atomic_files.write_text(path, whole)
    rows = csv.DictReader(io.StringIO(whole))
    if whole and tuple(rows.fieldnames or ()) != tuple(columns):
        raise ValueError(f"{path} does not hold the episodes of this table")
    return {(row["agent"], int(row["episode"])): row for row in rows}


def _append(
    path: pathlib.Path, row: dict[str, float | int | str], columns: Sequence[str]
) -> None:
    """Appends a line in one write."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    if not path.exists() or path.stat().st_size == 0:
        writer.writeheader()
    writer.writerow(row)
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(handle, text.getvalue().encode())
    finally:
        os.close(handle)
