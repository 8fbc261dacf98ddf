"""Parts of `benchmarks.small_transfer`: data, skills, runs and their results."""

from __future__ import annotations

import itertools
import pathlib
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tqdm
from acme import specs

from agents import registry
from agents.builder import AgentBuilder
from agents.helms import frozen as helms_skills
from agents.helms.config import HelmsConfig
from agents.helms.model import HelmsModel
from agents.offline import bundle
from agents.offline.learning import OfflineLearner
from agents.offline.model import Batch
from agents.offline.networks import Dims
from benchmarks import two_targets
from benchmarks.common import one_process
from launchers.common import atomic_files, curves, figures

AGENTS = ("helms_cat", "helms_mix", "mpo")
WINDOW, SUCCESS = 20, 0.9  # episodes, and their share of successes that solves the task

_DATA_STEPS = 100  # control steps of an episode of the data
_ARRIVED = 0.03  # m from the goal, at which the controller chooses another
_GAIN = 10.0  # of the controller: full force from 0.1 m
_NOISE = 0.3  # standard deviation of noise on the intended action
_PLACES = ((0.0, 0.0), (0.2, 0.2))  # goals besides A and B: the centre and a corner
_NEXT = ((2, 3), (0, 2, 3), (0, 1, 3), (0, 1, 2))  # goals that may follow each goal
_SKILLS = HelmsConfig(
    num_skills=4,
    latent_dim=2,
    look_ahead=8,
    hidden_sizes=(64, 64),
    window=15,
    batch_size=32,
    learning_rate=3e-3,
    beta_z=0.01,
    initial_stay_probability=0.8,
)
_STEPS_A_LEARNER_STEP = 4  # environment steps per learner step
_RL = {
    "input_size": 64,
    "policy_hidden_sizes": (64, 64),
    "critic_hidden_sizes": (64, 64),
    "critic_rnn_size": 0,
    "learning_rate": 1e-3,
    "target_update": "polyak",
    "target_update_rate": 0.02,
}
# Bounds and duals; at Acme's, every agent would take hours.
_CATEGORICAL = {
    "epsilon_policy": 0.01,
    "init_log_temperature": 0.0,
    "init_log_alpha": 1.0,
}
_CONTINUOUS = {
    "epsilon_mean": 0.1,
    "epsilon_stddev": 0.01,
    "init_log_temperature": 0.0,
    "init_log_alpha_mean": 1.0,
    "init_log_alpha_stddev": 1.0,
}
_COLUMNS = ("environment_steps", "return", "success", "cpu_seconds")


def collect(episodes: int, seed: int) -> dict[str, np.ndarray]:
    """Collects episodes of a controller that goes between goals, but never from A to B.

    Returns:
      `proprio` [E, T+1, P] and `objects` [E, T+1, O]; `action` [E, T, D], the intended
      one, without the noise of the executed one. All float32.
    """
    environment = two_targets.make(seed, free=True)
    rng = np.random.default_rng(seed)
    data: dict[str, list] = {"proprio": [], "objects": [], "action": []}
    for _ in range(episodes):
        goal = int(rng.integers(len(_NEXT)))
        observations, actions = [environment.reset().observation], []
        for _ in range(_DATA_STEPS):
            to_goal = _way(observations[-1], goal)
            if np.linalg.norm(to_goal) < _ARRIVED:
                goal = int(rng.choice(_NEXT[goal]))
                to_goal = _way(observations[-1], goal)
            actions.append(np.clip(_GAIN * to_goal, -1.0, 1.0))
            executed = actions[-1] + _NOISE * rng.normal(size=2)
            timestep = environment.step(executed.astype(np.float32))
            observations.append(timestep.observation)
        data["action"].append(actions)
        for key in ("proprio", "objects"):
            data[key].append([observation[key] for observation in observations])
    return {key: np.asarray(value, np.float32) for key, value in data.items()}


def _way(observation: Mapping[str, np.ndarray], goal: int) -> np.ndarray:
    """Returns the vector [2] to a goal: A, B, then `_PLACES`."""
    if goal < 2:
        return observation["objects"][2 * goal : 2 * goal + 2]
    return np.subtract(_PLACES[goal - 2], observation["proprio"][:2])


def windows(
    data: dict[str, np.ndarray], config: HelmsConfig, skip: int = 0
) -> Iterator[Batch]:
    """Yields batches of windows as `datasets.loader.windows` does, after `skip`."""
    episodes, steps = data["action"].shape[:2]
    acting, frames = config.window, config.window + config.look_ahead
    for batch in itertools.count(skip):
        rng = np.random.default_rng([config.seed, batch])
        episode = rng.integers(episodes, size=(config.batch_size, 1))
        start = rng.integers(steps + 2 - frames, size=(config.batch_size, 1))
        reach = start + np.arange(frames)
        yield {
            "proprio": data["proprio"][episode, reach],
            "objects": data["objects"][episode, reach],
            "action": data["action"][episode, reach[:, :acting]],
            "mask": np.ones((config.batch_size, acting), np.float32),
        }


def train_skills(directory: pathlib.Path, episodes: int, steps: int) -> None:
    """Collects episodes, trains skills and writes a bundle."""
    data, config = collect(episodes, seed=0), _SKILLS
    statistics = {
        key: (data[key].mean(axis=(0, 1)), data[key].std(axis=(0, 1)))
        for key in ("proprio", "objects")
    }
    dims = Dims(**{key: value.shape[-1] for key, value in data.items()})
    networks = HelmsModel.networks_type(config, dims, statistics)
    learner = OfflineLearner(
        HelmsModel(networks), lambda skip: windows(data, config, skip)
    )
    for _ in tqdm.trange(steps, desc="skills", unit="step"):
        learner.step()
    held_out = itertools.islice(windows(collect(20, seed=1), config), 10)
    evaluation = learner.evaluate(held_out)
    names = {key: (key,) for key in statistics}
    bundle.save(directory, networks, names, training=evaluation)


def make_builder(
    agent: str, skills: helms_skills.Skills, skill_steps: int
) -> AgentBuilder:
    """Makes the builder of one of `AGENTS`, with rows of `skill_steps` for HeLMS.

    All take a learner step every `_STEPS_A_LEARNER_STEP` environment steps.
    """
    kind = registry.AGENTS[agent]
    settings: dict[str, Any] = dict(_RL)
    if agent == "mpo":
        settings |= {"sequence_length": 10, "n_step": 5, "init_stddev": 0.5}
    else:
        settings |= {"sequence_length": 5, "skill_steps": skill_steps}
    settings |= _CATEGORICAL if agent == "helms_cat" else _CONTINUOUS
    period = settings["sequence_length"] - 1
    rows = period * settings.get("skill_steps", 1)  # environment steps per sequence
    batch_size = 256 // period
    config = kind.config_type(
        **settings,
        sequence_period=period,
        batch_size=batch_size,
        min_replay_size=max(1, 2000 // rows),
        samples_per_insert=batch_size * rows / _STEPS_A_LEARNER_STEP,
    )
    return kind.builder(config, skills)


def run(
    out: pathlib.Path, agent: str, seed: int, steps: int, skill_steps: int
) -> np.ndarray:
    """Returns a row of `_COLUMNS` per episode of a run, which is made now or read."""
    held = "" if agent == "mpo" else f"_{skill_steps}"
    path = out / f"{agent}{held}_{steps}_{seed}.csv"
    if not path.exists():
        environment = two_targets.make(seed)
        builder = make_builder(agent, helms_skills.load(out / "skills"), skill_steps)
        spec = specs.make_environment_spec(environment)
        begin = time.process_time()
        server, actor = one_process.make(builder, spec, seed)
        rows = []
        with tqdm.tqdm(total=steps, desc=path.stem, unit="step") as bar:
            for done, result in one_process.episodes(environment, actor, steps):
                success = int(result["success"])
                seconds = round(time.process_time() - begin, 2)
                rows.append((done, float(result["episode_return"]), success, seconds))
                last = np.mean([row[2] for row in rows[-WINDOW:]])
                bar.set_postfix({"success": f"{last:.0%}"}, refresh=False)
                bar.update(done - bar.n)
                if steps_to_solve(np.asarray(rows)) is not None:
                    break
        server.stop()
        atomic_files.write_csv(path, _COLUMNS, rows)
    return curves.read(path)


def recent_success(curve: np.ndarray) -> np.ndarray:
    """Returns the share of successes of each `WINDOW` consecutive episodes.

    Args:
      curve: rows of `_COLUMNS`, [E, C].

    Returns:
      [E - WINDOW + 1]; empty for fewer episodes.
    """
    if len(curve) < WINDOW:
        return np.zeros(0)
    return np.convolve(curve[:, 2], np.ones(WINDOW), mode="valid") / WINDOW


def steps_to_solve(curve: np.ndarray) -> int | None:
    """Finds the first step whose last `WINDOW` episodes have `SUCCESS`, or None.

    Args:
      curve: rows of `_COLUMNS`.
    """
    solved = np.flatnonzero(recent_success(curve) >= SUCCESS - 1e-9)
    return int(curve[solved[0] + WINDOW - 1, 0]) if solved.size else None


def draw(path: pathlib.Path, runs: Mapping[str, Sequence[np.ndarray]]) -> None:
    """Draws each run's success in its last `WINDOW` episodes, until it is solved."""
    figure = figures.make(5.0, 3.2)
    axes = figure.add_subplot()
    for i, (agent, agent_curves) in enumerate(runs.items()):
        for k, curve in enumerate(agent_curves):
            success, steps = recent_success(curve), curve[WINDOW - 1 :, 0]
            label = agent if k == 0 else None
            axes.plot(steps, 100 * success, color=f"C{i}", label=label, lw=1)
            if (solved := steps_to_solve(curve)) is not None:
                axes.plot(solved, 100 * success[-1], "o", color=f"C{i}", ms=4)
    axes.axhline(100 * SUCCESS, color="0.6", lw=0.8, ls="--")
    axes.set(xlabel="environment steps", ylabel=f"success of {WINDOW} episodes, %")
    axes.set(title="touch A, then B", ylim=(0, 105))
    axes.legend(frameon=False, loc="upper center")
    figures.save(path, figure, dpi=150)


def summary(runs: Mapping[str, Sequence[np.ndarray]], steps: int) -> dict[str, Any]:
    """Returns each agent's steps to solve, and the ratio of MPO's mean to theirs.

    A run of MPO that did not solve the task counts as `steps`; another agent with such
    a run has no `mpo_ratio`. `cpu_seconds` are those of the longest run.
    """
    solved = {
        a: [steps_to_solve(c) for c in agent_curves] for a, agent_curves in runs.items()
    }
    result: dict[str, Any] = {}
    for agent, agent_steps in solved.items():
        result[agent] = {
            "steps_to_solve": agent_steps,
            "solved": len(agent_steps) - agent_steps.count(None),
            "cpu_seconds": max(float(curve[-1, 3]) for curve in runs[agent]),
        }
        known = [s for s in agent_steps if s is not None]
        if agent != "mpo" and "mpo" in solved and len(known) == len(agent_steps):
            mpo = np.mean([steps if s is None else s for s in solved["mpo"]])
            result[agent]["mpo_ratio"] = float(mpo / np.mean(known))
    return result
