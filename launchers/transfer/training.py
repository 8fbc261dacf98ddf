"""RL training from a configuration to a summary, without flags."""

from __future__ import annotations

import pathlib
import time
from collections.abc import Callable
from typing import Any

from launchers.common import atomic_files, loggers, private_network, sinks
from launchers.distributed.config import Layout
from launchers.experiments import config as experiment_config
from launchers.experiments import evaluation, record, single_process
from launchers.experiments.config import RunConfig
from launchers.experiments.record import RunRecord

_SUMMARY = "summary.json"


def train(
    config: RunConfig,
    launch: str = "single_process",
    num_actors: int = 1,
    report: Callable[[str], None] = print,
    layout: Layout | None = None,
    ray_address: str | None = None,
    isolated: bool = True,
) -> dict[str, Any]:
    """Trains until the budget is spent; resumes where an earlier call stopped.

    A fresh run is evaluated before it learns ("zero shot"), with a new high level over
    the skills. Every run is evaluated when it ends.

    Args:
      config: configuration of the run.
      launch: single_process, local_mt, local_mp or ray.
      num_actors: number of actors; always 1 in one process.
      report: receives lines of progress.
      layout: layout of a distributed program.
      ray_address: address of the cluster, with ray; None for a private one.
      isolated: see `run`.

    Returns:
      The summary; see `run`.

    Raises:
      ValueError: in one line, what does not fit; nothing was run.
      RuntimeError: a node of a distributed program failed.
      FloatingPointError: a value was not finite; the last good checkpoint is kept.
    """
    experiment, found = prepare(config, launch, num_actors, ray_address)
    return run(
        experiment, launch, num_actors, found, report, layout, ray_address, isolated
    )


def prepare(
    config: RunConfig,
    launch: str,
    num_actors: int,
    ray_address: str | None = None,
    restart: bool = False,
) -> tuple[experiment_config.Experiment, RunRecord]:
    """Checks all that can be checked before a run, and records a new run.

    Args:
      config, launch, num_actors, ray_address: as in `train`.
      restart: see `record.check`.

    Returns:
      The experiment, and its record for `run`.

    Raises:
      ValueError: in one line, what does not fit.
    """
    experiment_config.check_launch(launch)
    sinks.check(config.budget.loggers)
    if num_actors < 1:
        raise ValueError(f"num_actors must be at least 1, got {num_actors}")
    if launch == "single_process" and num_actors != 1:
        raise ValueError(
            f"single_process has 1 actor, not {num_actors}; "
            "use --launch=local_mp or local_mt for more"
        )
    if launch == "ray":
        from launchers.distributed.ray import cluster

        cluster.join(ray_address)
    elif launch == "vertex_ai":
        from launchers.distributed import vertex

        vertex.check(config.workdir, config.skills)
    experiment = experiment_config.make_experiment(config)
    return experiment, record.check(config, restart)


def run(
    experiment: experiment_config.Experiment,
    launch: str,
    num_actors: int = 1,
    record: RunRecord | None = None,
    report: Callable[[str], None] = print,
    layout: Layout | None = None,
    ray_address: str | None = None,
    isolated: bool = True,
) -> dict[str, Any]:
    """Runs an experiment that `prepare` made, by any launch but vertex_ai.

    Args:
      experiment, launch, num_actors, report, layout, ray_address: as in `train`.
      record: record of this start, from `prepare`; None records nothing.
      isolated: whether a launch on this machine shall be out of other hosts' reach.
        Processes get a network of their own. One process and threads have that of the
        caller, who enters one by `private_network.enter` before libraries start
        threads. A line is reported where there is none.

    Returns:
      The summary, which is also in `WORKDIR/summary.json`: `zero_shot_return`,
      `zero_shot_success`, `return`, `success`, `eval_episodes`,
      `evaluated_actor_steps` (of the last final evaluation, which an earlier start may
      have made; None where there was none), `actor_steps`, `learner_steps` (in all),
      `seconds`, `actor_steps_per_second`, `learner_steps_per_second` (of this call,
      from the first row logged to the last), `resumed`, `stopped_by` (max_actor_steps,
      run_seconds or signal).
    """
    begin = time.time()
    in_process = launch in private_network.IN_PROCESS
    if isolated and in_process and not private_network.entered():
        report(private_network.warning())
    if launch == "single_process":
        commit = None if record is None else record.commit
        stopped_by = single_process.run(experiment, report, commit)
    elif launch == "ray":
        from launchers.distributed import program
        from launchers.distributed.ray import launch as ray_launch

        program.hide_gpu()
        _commit(record, experiment.workdir)
        stopped_by = ray_launch.run(
            experiment, num_actors, ray_address, report, layout=layout
        )
    else:
        from launchers.distributed import program  # one process needs no Launchpad

        program.hide_gpu()
        _commit(record, experiment.workdir)
        stopped_by = program.run(
            experiment, num_actors, launch, report, layout, isolated
        )
    seconds = time.time() - begin
    counts = _counts(experiment.workdir)
    path = pathlib.Path(experiment.workdir) / _SUMMARY
    last = _last_evaluation(path)
    if experiment.budget.eval_episodes and stopped_by != "signal":
        result, _ = evaluation.evaluate_experiment(
            experiment, experiment.budget.eval_episodes
        )
        last = {
            "return": result["return_mean"],
            "success": result.get("success_rate"),
            "eval_episodes": experiment.budget.eval_episodes,
            "evaluated_actor_steps": counts["actor_steps"],
        }
    evaluations = loggers.read_rows(experiment.workdir, "evaluator")
    first = evaluations[0] if evaluations and not evaluations[0]["actor_steps"] else {}
    summary = {
        "launch": launch,
        "num_actors": num_actors,
        "resumed": record is not None and record.resumes,
        "stopped_by": stopped_by,
        "zero_shot_return": first.get("return_mean"),
        "zero_shot_success": first.get("success_rate"),
        **last,
        "actor_steps": counts["actor_steps"],
        "learner_steps": counts["learner_steps"],
        "seconds": round(seconds, 3),
        "actor_steps_per_second": loggers.rate(
            loggers.actor_rows(experiment.workdir), "actor_steps", begin
        ),
        "learner_steps_per_second": loggers.rate(
            loggers.read_rows(experiment.workdir, "learner"), "learner_steps", begin
        ),
    }
    atomic_files.write_json(path, summary)
    return summary


def is_complete(config: RunConfig) -> bool:
    """Returns whether a run has taken its actor steps, and all that follows them.

    Raises:
      ValueError: in one line, if the work directory holds another run.
    """
    path, limit = pathlib.Path(config.workdir) / _SUMMARY, config.budget.max_actor_steps
    if not record.holds(config) or limit is None or not path.exists():
        return False
    summary = atomic_files.read_json(path)
    ended = summary.get("stopped_by") == "max_actor_steps"
    return ended and summary["actor_steps"] >= limit


def _last_evaluation(path: pathlib.Path) -> dict[str, Any]:
    """Returns the final evaluation in an earlier start's summary, None for none."""
    names = ("return", "success", "eval_episodes", "evaluated_actor_steps")
    try:
        earlier = atomic_files.read_json(path) if path.exists() else {}
    except ValueError:  # a summary is a result, which the run can do without
        earlier = {}
    return {name: earlier.get(name) for name in names}


def _commit(record: RunRecord | None, workdir: str) -> None:
    """Records the start of a distributed program, whose nodes read the checkpoints."""
    if record is None:
        return
    try:
        record.commit(_counts(workdir))
    except ValueError:  # the coordinator says what is wrong with the counts
        record.commit()


def _counts(workdir: str) -> dict[str, int]:
    path = pathlib.Path(workdir) / "counts.json"
    counts = atomic_files.read_json(path) if path.exists() else {}
    return {key: int(counts.get(key, 0)) for key in ("actor_steps", "learner_steps")}


def describe(summary: dict[str, Any]) -> str:
    """Formats a summary in a few lines for a terminal."""

    def of(result: float | None, success: float | None) -> str:
        if result is None:
            return "not evaluated"
        if success is None:  # an environment that does not tell
            return f"{result:.2f}"
        return f"{result:.2f} (success {100 * success:.0f} %)"

    return "\n".join(
        [
            "return at the start: "
            + of(summary["zero_shot_return"], summary["zero_shot_success"]),
            f"return after {summary['evaluated_actor_steps'] or 0:,} steps: "
            f"{of(summary['return'], summary['success'])}",
            f"actor steps: {summary['actor_steps']:,} "
            f"({summary['actor_steps_per_second']:.1f}/s)",
            f"learner steps: {summary['learner_steps']:,} "
            f"({summary['learner_steps_per_second']:.2f}/s)",
        ]
    )
