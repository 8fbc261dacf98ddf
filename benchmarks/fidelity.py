"""Episodes of a trained agent, for `specialist_fidelity`; defines no flags."""

from __future__ import annotations

import dataclasses
import functools
import json
import pathlib
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import tqdm

from environments import scene
from launchers.common import intervals, workers

_LATE = 20  # last control steps of an episode
_STACKED = 0.95  # least shaped reward of a stack


@dataclasses.dataclass(frozen=True)
class Setting:
    """Settings that decide an episode, besides its seed."""

    policy: str
    object_set: int
    preset: str
    overrides: str

    @functools.cached_property
    def physics(self) -> scene.Physics:
        """The physics: the preset with the overrides."""
        scene.one_of("preset", self.preset, scene.PRESETS)
        return scene.PRESETS[self.preset].override(self.overrides)

    @property
    def key(self) -> dict:
        """The record of the setting, which does not depend on the settings' names."""
        return {
            "policy": pathlib.Path(self.policy).name,
            "object_set": self.object_set,
            "physics": json.loads(json.dumps(dataclasses.asdict(self.physics))),
        }


@functools.lru_cache(maxsize=1)
def _make(setting: Setting) -> tuple[Any, Any]:
    """Makes the environment and the agent, once per process."""
    import environments
    from datasets.experts import saved_model

    environment = environments.make(
        object_set=setting.object_set, reward="dense", preset=setting.physics, seed=0
    )
    return environment, saved_model.SavedModelExpert(setting.policy)


def _episode(job: tuple[Setting, int]) -> dict[str, float | int]:
    setting, seed = job
    begin = time.perf_counter()
    environment, expert = _make(setting)
    environment.seed_episode(seed)
    expert.reset(seed)
    timestep = environment.reset()
    rewards = []
    while not timestep.last():
        timestep = environment.step(expert.step(timestep))
        rewards.append(float(timestep.reward))
    return {
        "seed": seed,
        "success": int(environment.success()),
        "mean_reward": float(np.mean(rewards)),
        "stacked_late": int(max(rewards[-_LATE:]) > _STACKED),
        "diverged": int(timestep.discount == 0.0),
        "seconds": time.perf_counter() - begin,
    }


def _known(path: pathlib.Path | None, setting: Setting) -> dict[int, dict]:
    """Reads the episodes of the same setting in the file, by seed."""
    if path is None or not path.exists():
        return {}
    records = []
    for line in path.read_text().splitlines():
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError:  # an unfinished line of a killed run
            continue
    return {r["seed"]: r for r in records if r["setting"] == setting.key}


def evaluate(
    setting: Setting,
    seeds: Sequence[int],
    processes: int = 1,
    out: pathlib.Path | None = None,
) -> list[dict]:
    """Runs an episode for each seed that `out` does not have yet.

    Returns:
      A record of each episode; new ones are also appended to `out`, a line each.
    """
    known = _known(out, setting)
    records = [known[s] for s in seeds if s in known]
    missing = [s for s in seeds if s not in known]
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
    with (
        workers.Workers(processes, show_progress=False) as pool,
        tqdm.tqdm(total=len(seeds), initial=len(records), unit="episode") as bar,
    ):
        jobs = [(setting, seed) for seed in missing]
        for record in pool.run(_episode, jobs, "episodes"):
            records.append(record | {"setting": setting.key})
            if out is not None:
                # One write per line, because several runs may share the file.
                line = json.dumps(records[-1]) + "\n"
                with out.open("a") as file:
                    file.write(line)
            bar.update()
            bar.set_postfix(success=f"{np.mean([r['success'] for r in records]):.2f}")
    return records


def summary(records: list[dict], setting: Setting) -> dict[str, Any]:
    """Returns success with its 95 % Wilson interval, and mean rewards."""
    successes = sum(r["success"] for r in records)
    low, high = intervals.wilson(successes, len(records))
    rewards = [r["mean_reward"] for r in records]
    return {
        "success": successes / len(records),
        "low": low,
        "high": high,
        "episodes": len(records),
        "preset": setting.preset,
        "physics": setting.overrides,
        "object_set": setting.object_set,
        "mean_reward": float(np.mean(rewards)),
        "mean_reward_interval": intervals.normal_half_width(rewards),
        "stacked_late": float(np.mean([r["stacked_late"] for r in records])),
        "diverged": sum(r["diverged"] for r in records),
    }
