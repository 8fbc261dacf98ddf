"""Evaluation of a run's checkpoint or of an untrained agent, with optional video."""

from __future__ import annotations

import pathlib
from collections.abc import Callable
from typing import Any

import dm_env
from acme import core

from launchers.experiments import episodes as evaluation_episodes
from launchers.experiments import video as experiments_video
from launchers.experiments.config import (
    Experiment,
    RunConfig,
    derive_seed,
    make_experiment,
)

VIDEO_SUFFIXES = (".mp4", ".gif", ".png")


def evaluate(
    config: RunConfig,
    episodes: int,
    seed: int = 0,
    untrained: bool = False,
    video: str | None = None,
    progress: bool = False,
) -> dict[str, Any]:
    """Runs episodes of a run's newest checkpoint.

    Args:
      config: configuration of the run (`config.load_config`).
      episodes: number of episodes.
      seed: seed of the episodes and of the policy's draws.
      untrained: evaluate a new high level over the skills, and no checkpoint.
      video: file for the first episode (.mp4, .gif, or .png of eight images).
      progress: whether to show a bar on standard error, if that is a terminal.

    Returns:
      The scalars of `episodes.Evaluation`, `learner_steps` of the checkpoint and, if
      `video` is given, `video`: the file, or None with `video_error`.

    Raises:
      ValueError: in one line, what does not fit.
    """
    if episodes < 1:
        raise ValueError(f"episodes must be at least 1, got {episodes}")
    if video and pathlib.Path(video).suffix not in VIDEO_SUFFIXES:
        raise ValueError(
            f"video must end in one of {', '.join(VIDEO_SUFFIXES)}, got {video!r}"
        )
    experiment = make_experiment(config)
    recorder = experiments_video.Recorder() if video else None
    scalars, learner_steps = evaluate_experiment(
        experiment, episodes, seed, untrained, recorder, progress
    )
    result: dict[str, Any] = {**scalars, "learner_steps": learner_steps}
    if video and recorder is not None:
        result |= recorder.write(pathlib.Path(video))
    return result


def evaluate_experiment(
    experiment: Experiment,
    episodes: int,
    seed: int = 0,
    untrained: bool = False,
    recorder: experiments_video.Recorder | None = None,
    progress: bool = False,
) -> tuple[dict[str, float], int]:
    """Evaluates as `evaluate` does, for an experiment that is already made.

    Returns:
      The scalars, and the learner steps of the checkpoint.
    """
    builder = experiment.builder_factory()
    networks = builder.make_networks(experiment.environment_spec, experiment.seed)
    learner_steps = (
        0 if untrained else builder.restore_policy(networks, experiment.workdir)
    )
    actor = builder.make_actor(
        builder.make_policy(networks, evaluation=True), derive_seed(seed, "actor")
    )
    environment = experiment.environment_factory(derive_seed(seed, "environment"))
    try:
        result = evaluation_episodes.run_episodes(
            environment, actor, episodes, seed, on_step=recorder, progress=progress
        )
    finally:
        environment.close()
    assert result is not None  # `stopped` is never True
    return result.scalars(), learner_steps


def evaluate_in_run(
    experiment: Experiment,
    environment: dm_env.Environment,
    actor: core.Actor,
    actor_steps: int,
    stopped: Callable[[], bool],
) -> evaluation_episodes.Evaluation | None:
    """Evaluates an actor during a run, and records the video that the budget asks for.

    Args:
      experiment: the run's experiment.
      environment: environment to act in.
      actor: actor to evaluate.
      actor_steps: actor steps of the run so far, by which the video is named.
      stopped: called after every step; True ends the evaluation.

    Returns:
      The statistics, or None if `stopped` ended it.
    """
    budget = experiment.budget
    recorder = experiments_video.Recorder() if budget.eval_video else None
    result = evaluation_episodes.run_episodes(
        environment, actor, budget.eval_episodes, experiment.seed, stopped, recorder
    )
    if result is not None and recorder is not None:
        recorder.write(experiments_video.path(experiment.workdir, actor_steps))
    return result
