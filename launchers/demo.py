"""Runs the whole pipeline on a small scale: episodes, skills, and RL over skills.

python -m launchers.demo

Runs the commands that a user would run, one after another, prints each, and ends with a
table and a picture. Episodes, skills and their report are made from scratch. RL reuses
the skills of `pretrained/`, made by the same commands from more episodes: skills
learned in a few minutes are too coarse for stacking. Steps that are complete in the
work directory are skipped; an interrupted step resumes.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Sequence

from absl import flags

from launchers.common import atomic_files, cli

_WORKDIR = flags.DEFINE_string("workdir", "runs/demo", "Directory of the results.")
_EPISODES = flags.DEFINE_integer("episodes", 40, "Expert episodes to collect.")
_SKILL_LEARNER_STEPS = flags.DEFINE_integer(
    "skill_learner_steps", 800, "Learner steps of the skills."
)
_SKILL_BATCH_SIZE = flags.DEFINE_integer("skill_batch_size", 32, "Their batch size.")
_ROLLOUT_STEPS = flags.DEFINE_integer(
    "rollout_steps", 150, "Control steps of each skill's rollout."
)
_RL_STEPS = flags.DEFINE_integer("rl_steps", 48_000, "Actor steps of the RL run.")
_EVAL_EPISODES = flags.DEFINE_integer(
    "eval_episodes", 10, "Episodes of the evaluations before and after RL."
)
_BENCHMARK_SECONDS = flags.DEFINE_float(
    "benchmark_seconds", 10.0, "Length of the environment's benchmark."
)
_SEED = flags.DEFINE_integer("seed", 0, "Seed of everything.")


_PRETRAINED = pathlib.Path(__file__).resolve().parents[1] / "pretrained"


@dataclasses.dataclass(frozen=True)
class _Step:
    """A command of the pipeline."""

    title: str
    module: str
    arguments: tuple[str, ...]
    done: pathlib.Path  # file that it leaves when it is complete

    @property
    def prints_result(self) -> bool:
        """Whether the last line printed is the result, which is written to `done`."""
        return self.module in ("launchers.evaluate", "benchmarks.environment")


def _steps(root: pathlib.Path) -> list[_Step]:
    data, skills = root / "data", root / "skills"
    return [
        _Step(
            "1. A scripted expert stacks red on blue: episodes become a data set.",
            "launchers.collect",
            (
                f"--out={data}",
                "--task=stack_red_blue",
                "--object_set=4",
                f"--episodes={_EPISODES.value}",
                "--episodes_per_shard=4",
                f"--seed={_SEED.value}",
            ),
            data / "dataset_info.json",
        ),
        _Step(
            "2. The data set becomes skills: the HeLMS bound is maximised.",
            "launchers.train_skills",
            (
                f"--dataset={data}",
                f"--workdir={skills}",
                f"--steps={_SKILL_LEARNER_STEPS.value}",
                f"--batch_size={_SKILL_BATCH_SIZE.value}",
                "--learning_rate=0.0005",
                f"--seed={_SEED.value}",
            ),
            skills / "summary.json",
        ),
        _Step(
            "3. What each skill does: rollouts with it held, and a report of them.",
            "launchers.analyse_skills",
            (
                f"--skills={skills / 'skills'}",
                f"--out={root / 'analysis'}",
                "--episodes=2",
                "--table1_episodes=0",
                f"--steps={_ROLLOUT_STEPS.value}",
                f"--seed={_SEED.value}",
            ),
            root / "analysis" / "report.html",
        ),
        _Step(
            "4. RL reuses skills: HeLMS-cat, a new high level by MPO over Reverb. A "
            "quarter of its batches are the episodes of 1.",
            "launchers.train_agent",
            (
                "--agent=helms_cat",
                f"--skills={_PRETRAINED / 'helms_red_on_blue'}",
                "--task=stack_red_blue",
                "--reward=staged_sparse",
                "--object_set=4",
                "--scale=laptop",
                f"--demonstrations={data}",
                "--demonstration_share=0.25",
                f"--workdir={root / 'agent'}",
                f"--max_actor_steps={_RL_STEPS.value}",
                f"--eval_episodes={_EVAL_EPISODES.value}",
                "--eval_every=1000000",
                f"--seed={_SEED.value}",
            ),
            root / "agent" / "summary.json",
        ),
        _Step(
            "5. The same RL after longer: the pretrained agent stacks.",
            "launchers.evaluate",
            (
                f"--workdir={_PRETRAINED / 'helms_cat_red_on_blue'}",
                f"--episodes={_EVAL_EPISODES.value}",
                f"--video={root / 'stacking.png'}",
                f"--seed={_SEED.value}",
            ),
            root / "pretrained.json",
        ),
        _Step(
            "6. How fast the simulation runs.",
            "benchmarks.environment",
            (f"--seconds={_BENCHMARK_SECONDS.value}",),
            root / "environment.json",
        ),
    ]


def _run(step: _Step) -> None:
    print(f"\n{step.title}", flush=True)
    if step.done.exists():
        print(f"done before: {step.done}", flush=True)
        return
    arguments = ["-m", step.module, *step.arguments]
    print("$ python " + shlex.join(arguments), flush=True)
    begin = time.monotonic()
    output = subprocess.PIPE if step.prints_result else None
    # In a session of its own, so that a Ctrl-C of the terminal reaches it once.
    with subprocess.Popen(
        [sys.executable, *arguments], stdout=output, text=True, start_new_session=True
    ) as process:
        try:
            printed, _ = process.communicate()
        except KeyboardInterrupt:
            process.send_signal(signal.SIGINT)
            process.wait()  # it saves a checkpoint
            raise
        except BaseException:
            process.kill()
            raise
    if step.prints_result:
        print(printed, end="", flush=True)
        if process.returncode == 0:
            atomic_files.write_text(step.done, printed.strip().splitlines()[-1] + "\n")
    if process.returncode:
        raise SystemExit(process.returncode)
    print(f"({time.monotonic() - begin:.0f} s)", flush=True)


def _read(path: pathlib.Path) -> dict:
    return json.loads(path.read_text())


def _table(root: pathlib.Path, seconds: float) -> dict[str, str]:
    """Collects the results from the files that the commands wrote."""
    data = _read(root / "data" / "manifest.json")
    skills = _read(root / "skills" / "summary.json")
    agent = _read(root / "agent" / "summary.json")
    pretrained = _read(root / "pretrained.json")
    speed = _read(root / "environment.json")

    def result(returns: float | None, success: float, count: int) -> str:
        if returns is None:
            return "not evaluated"
        return f"{returns:.1f} of 400 (success {success:.0%} of {count} episodes)"

    pictures = (
        root / "stacking.png",
        root / "analysis" / "skill_rollouts.png",
        root / "analysis" / "skills.png",
    )
    count = agent["eval_episodes"]
    use = "  ".join(f"{share:.0%}" for share in skills["skill_use"])
    return {
        "expert success": f"{data['success_rate']:.0%} of {data['episodes']} episodes",
        "data set": f"{data['control_steps']} control steps, "
        f"{data['bytes'] / 1e6:.0f} MB",
        "held-out ELBO, nats a step": f"{skills['elbo_before']:.2f} -> "
        f"{skills['elbo_after']:.2f} in {skills['steps']} steps",
        "use of each skill": use,
        "return before RL": result(
            agent["zero_shot_return"], agent["zero_shot_success"], count
        ),
        "return after RL": result(agent["return"], agent["success"], count),
        "RL": f"{agent['actor_steps']} actor steps, {agent['learner_steps']} learner "
        f"steps in {agent['seconds']:.0f} s",
        "pretrained agent": result(
            pretrained["return_mean"],
            pretrained["success_rate"],
            pretrained["episodes"],
        ),
        "control steps a second": f"{speed['steps_per_second']:.0f} on one core with "
        f"resets; {data['collection']['control_steps_per_second']:.0f} collecting "
        f"with {data['collection']['processes']} processes",
        "picture": str(next(path for path in pictures if path.exists())),
        "time": f"{seconds:.0f} s this time",
    }


def main(argv: Sequence[str]) -> None:
    """Runs the pipeline."""
    del argv
    begin = time.monotonic()
    root = pathlib.Path(_WORKDIR.value)
    with cli.bad_input():
        if root.exists() and not root.is_dir():
            raise ValueError(f"{root} is not a directory; give another --workdir")
        root.mkdir(parents=True, exist_ok=True)
    print(f"The HeLMS pipeline, small, in {root}: about 15 minutes on 2 cores.")
    try:
        for step in _steps(root):
            _run(step)
    except KeyboardInterrupt:
        print("interrupted; the same command continues", file=sys.stderr)
        raise SystemExit(130) from None
    table = _table(root, time.monotonic() - begin)
    print()
    for name, value in table.items():
        print(f"{name:28s}{value}")
    atomic_files.write_json(root / "summary.json", table)


if __name__ == "__main__":
    cli.run(main)
