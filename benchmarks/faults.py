"""What does a running program lose when one of its nodes is killed?

    python -m benchmarks.faults [--nodes=actor/0,learner/0] [--tries=5]

Launches `launchers.train_agent --launch=local_mp` on the real environment with
untrained skills, kills one node after another with SIGKILL while the program works, and
waits until it is steady again: the node runs, actors act and the learner learns.

Reports for each fault the seconds until then; the actor steps taken meanwhile (other
nodes continue); and the losses: how far the counts of actor steps, learner steps and a
killed shard's items fell back in the status, which is written every 2 s, and the steps
of a killed actor's unfinished episode, estimated from the time since its last episode
and its rate. faults.csv in --out has a row per try; the last line is one JSON object.
"""

from __future__ import annotations

import json
import os
import pathlib
import signal
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tqdm
from absl import flags

from benchmarks.common import training, untrained
from launchers.common import atomic_files, cli, loggers
from launchers.distributed import status

_NODES = flags.DEFINE_list(
    "nodes",
    ["actor/0", "learner/0", "replay/0", "cacher/0", "coordinator/0"],
    "What is killed.",
)
_TRIES = flags.DEFINE_integer("tries", 5, "Of each.", lower_bound=1)
_OUT = flags.DEFINE_string("out", "runs/faults", "Directory of the results.")
_SEED = flags.DEFINE_integer("seed", 0, "Of the run and of the moments.")

_GROUPS = ("actor", "learner", "replay", "cacher", "coordinator")
_SETTINGS: dict[str, Any] = {
    "agent": "helms_cat",
    "launch": "local_mp",
    "num_actors": 2,
    "num_replay_shards": 2,
    "num_cachers": 1,
    "batch_size": 16,
    "samples_per_insert": 2,
    "min_replay_size": 50,
    "variable_update_period": 100,
    "critic_rnn_size": 0,
    "checkpoint_minutes": 0.25,
    "eval_episodes": 0,
    "max_actor_steps": 0,
    "run_seconds": 36000,
}
_LIMIT_SECONDS = 300.0
_PAUSE_SECONDS = (8.0, 20.0)  # range of steady work before a kill
_POLL_SECONDS = 0.2


class _Run:
    """The launched program, observed from outside."""

    def __init__(self, workdir: pathlib.Path, skills: pathlib.Path):
        self.workdir = workdir
        self.lowest: dict[str, float] = {}  # lowest counts since the last clear
        self._launcher = training.start(
            workdir.parent / "launcher.log",
            seed=_SEED.value,
            skills=skills,
            workdir=workdir,
            **_SETTINGS,
        )

    def pid(self, node: str) -> int | None:
        """Returns the pid of a node's process; None if it is gone."""
        return training.pid_of_node(self._launcher.pid, node)

    def state(self) -> Mapping[str, float]:
        """Reads the last steps of actors and learner, and items of each shard."""
        content = status.read(str(self.workdir)) or {}
        counts = content.get("counts", {})
        shards = content.get("replay", [])
        state = {
            "time": content.get("time", 0.0),
            "actor_steps": counts.get("actor_steps", 0.0),
            "learner_steps": counts.get("learner_steps", 0.0),
            **{
                f"replay/{i}": float(shard["size"])
                for i, shard in enumerate(shards)
                if shard is not None
            },
        }
        for key, value in state.items() if content else ():
            self.lowest[key] = min(self.lowest.get(key, np.inf), value)
        return state

    def steps_of_episode(self, node: str) -> float:
        """Estimates an actor's steps in its current episode, by its rate; else 0."""
        group, index = node.split("/")
        if group != "actor":
            return 0.0
        row = loggers.last_row(str(self.workdir), f"actor_{index}")
        return (time.time() - row["time"]) * row["steps_per_second"] if row else 0.0

    def wait(self, condition: Callable[[], bool]) -> bool:
        """Waits for a condition; returns whether it came true in time.

        Raises:
          RuntimeError: the program has ended.
        """
        deadline = time.monotonic() + _LIMIT_SECONDS
        while time.monotonic() < deadline:
            if self._launcher.poll() is not None:
                raise RuntimeError(f"the program ended; see {self.workdir.parent}")
            if condition():
                return True
            time.sleep(_POLL_SECONDS)
        return False

    def progresses(self) -> bool:
        """Waits until actors and learner have advanced; returns whether they have."""
        before = self.state()

        def moved() -> bool:
            now = self.state()
            return {"replay/0", "replay/1"} <= now.keys() and all(
                now[key] > before[key] for key in ("actor_steps", "learner_steps")
            )

        return self.wait(moved)

    def stop(self) -> None:
        """Stops the program as Ctrl-C does."""
        self._launcher.send_signal(signal.SIGINT)
        self._launcher.wait()


def attempt(run: _Run, node: str) -> dict[str, Any]:
    """Kills a node of a working program, and waits until it works again."""
    before, pid = run.state(), run.pid(node)
    episode = run.steps_of_episode(node)
    assert pid is not None, f"{node} does not run"
    os.kill(pid, signal.SIGKILL)
    begin = time.monotonic()
    run.lowest.clear()

    def back() -> bool:
        reported = run.state()["time"] > before["time"] + status.WRITE_SECONDS
        return reported and run.pid(node) not in (None, pid)

    came_back = run.wait(back) and run.progresses()
    after = run.state()
    return {
        "node": node,
        "recovered": float(came_back),
        "seconds": time.monotonic() - begin,
        "actor_steps_meanwhile": after["actor_steps"] - before["actor_steps"],
        "episode_steps_lost": episode,
        **{
            f"{key}_lost": before[key] - run.lowest[key]
            for key in ("actor_steps", "learner_steps")
        },
        "items_lost": before[node] - run.lowest[node] if node in before else 0.0,
    }


def main(argv: list[str]) -> None:
    """Launches, kills and prints."""
    del argv
    out = pathlib.Path(_OUT.value)
    with cli.bad_input():
        for node in _NODES.value:
            if node.split("/")[0] not in _GROUPS or "/" not in node:
                raise ValueError(
                    f"unknown node {node!r}; valid: GROUP/INDEX of {', '.join(_GROUPS)}"
                )
        if (out / "run").exists():
            raise ValueError(f"{out} holds another run; give another --out")
        out.mkdir(parents=True, exist_ok=True)
    untrained.save("helms", _SEED.value, str(out / "skills"))
    rng, rows = np.random.default_rng(_SEED.value), []
    run = _Run(out / "run", out / "skills")
    try:
        run.progresses()
        faults = [node for _ in range(_TRIES.value) for node in _NODES.value]
        for node in tqdm.tqdm(faults, unit="fault"):
            time.sleep(rng.uniform(*_PAUSE_SECONDS))
            rows.append(attempt(run, node))
            values = (row.values() for row in rows)
            atomic_files.write_csv(out / "faults.csv", list(rows[0]), values)
    finally:
        run.stop()
    print(json.dumps(summary(rows)))


def summary(rows: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Returns each node's tries, recoveries, mean and worst seconds, mean losses."""
    result: dict[str, dict[str, float]] = {}
    for node in dict.fromkeys(row["node"] for row in rows):
        own = [row for row in rows if row["node"] == node]
        seconds = [row["seconds"] for row in own]
        result[node] = {
            "tries": len(own),
            "recovered": sum(row["recovered"] for row in own),
            "seconds_mean": float(np.mean(seconds)),
            "seconds_max": float(np.max(seconds)),
            **{
                name: float(np.mean([row[name] for row in own]))
                for name in own[0]
                if name.endswith("_lost")
            },
        }
    return result


if __name__ == "__main__":
    cli.run(main)
