"""Trains an agent that reuses skills, by reinforcement learning.

python -m launchers.train_agent --agent=helms_cat --skills=DIR --workdir=DIR

Writes logs (CSV and TensorBoard), checkpoints and summary.json into the work directory.
The same command resumes where it stopped; Ctrl-C stops with a checkpoint. With --seeds
it runs one experiment of several seeds, each in WORKDIR/seed_SEED, and compares them.
"""

from __future__ import annotations

import dataclasses
import pathlib
import sys

from launchers.common import private_network

if __name__ == "__main__":  # before TensorFlow starts threads
    private_network.enter_for_command(sys.argv)

from collections.abc import Sequence
from typing import TYPE_CHECKING

import tensorflow as tf
from absl import flags

from agents import scales
from agents.mpo.config import MPOConfig
from agents.registry import AGENTS
from environments import EnvironmentConfig
from launchers.common import (
    cli,
    environment_flags,
    plugins,
    settings,
    signals,
    sinks,
)
from launchers.distributed.config import Layout

if TYPE_CHECKING:
    from launchers.experiments.config import RunConfig

if __name__ == "__main__":  # before flags list what it registers
    plugins.import_for_command(sys.argv)

_CONFIG = flags.DEFINE_string(
    "config",
    None,
    "A run's own config.json, whose settings hold where no flag gives one; without its "
    "workdir.",
)
_AGENT = flags.DEFINE_string("agent", "helms_cat", f"Agent: {', '.join(AGENTS)}.")
_SKILLS = flags.DEFINE_string(
    "skills",
    None,
    "Directory of the bundle that the agent builds on (WORKDIR/skills of "
    "train_skills): helms for helms_mix and helms_cat, else of the agent's name; mpo "
    "takes any, for its observation statistics, or none.",
)
_WORKDIR = flags.DEFINE_string("workdir", None, "Directory of logs and checkpoints.")
_ENVIRONMENT = environment_flags.define(
    EnvironmentConfig.paper(),
    "task",
    "reward",
    "object_set",
    "domain_randomization",
    "max_action_delay",
    "cameras",
    "preset",
    "environment",
    "proprio",
    "objects",
)
_OBSERVATIONS = flags.DEFINE_string(
    "observations",
    None,
    "What the policy sees: state; or vision, images in place of the objects' state "
    "(helms_mix, mpo, asymmetric_mpo). Default: state, of asymmetric_mpo vision.",
)
_ASYMMETRIC_CRITIC = flags.DEFINE_bool(
    "asymmetric_critic",
    None,
    "With --observations=vision: whether the critic sees the objects' state, not "
    "images. Default: true for helms_mix and asymmetric_mpo, false for mpo.",
)
_LAUNCH = flags.DEFINE_string(
    "launch",
    "single_process",
    "Launch: single_process; or a program of threads (local_mt; test_mt, which ends "
    "where a node fails and starts no debugger), of processes (local_mp), or of many "
    "machines (ray, vertex_ai: docs/guides/cluster.md).",
)
_RAY_ADDRESS = flags.DEFINE_string(
    "ray_address",
    None,
    "With ray: HOST:PORT of the cluster's head, or auto for the cluster of this host. "
    "Default: a Ray of our own on this host.",
)
_PRIVATE_NETWORK = flags.DEFINE_bool(
    "private_network",
    True,
    "Run in a network of its own, which no other host reaches (launches on this "
    "machine; docs/guides/distributed.md).",
)
_DEBUG = flags.DEFINE_bool(
    "debug",
    False,
    "Run TensorFlow eagerly, so that a debugger can step through everything "
    "(single_process).",
)
_NUM_ACTORS = flags.DEFINE_integer("num_actors", 1, "Actors of a distributed launch.")
_ACTORS_PER_PROCESS = flags.DEFINE_integer(
    "actors_per_process",
    1,
    "Actors that share a process and their policy's calls, in a distributed launch.",
)
_NUM_REPLAY_SHARDS = flags.DEFINE_integer(
    "num_replay_shards", 1, "Replay servers of a distributed launch."
)
_NUM_CACHERS = flags.DEFINE_integer(
    "num_cachers",
    0,
    "Nodes that serve the learner's variables to actors; 0: the learner.",
)
_RESTART = flags.DEFINE_bool(
    "restart",
    False,
    "Begin anew; a run that WORKDIR holds moves to WORKDIR.before_1 (or 2 and so on).",
)
_SEED = flags.DEFINE_integer("seed", 0, "Of networks, draws and environments.")
_SEEDS = flags.DEFINE_list(
    "seeds",
    [],
    "Several seeds, as 0,1,2: a process each, side by side (single_process).",
)
_JOBS = flags.DEFINE_integer(
    "jobs", None, "Seeds that run at a time; one a core by default.", lower_bound=1
)

_MAX_ACTOR_STEPS = flags.DEFINE_integer(
    "max_actor_steps", 100_000, "Stop at so many actor steps in all; 0: no such limit."
)
_RUN_SECONDS = flags.DEFINE_float(
    "run_seconds", 0.0, "Stop after so many seconds; 0: no such limit."
)
_EVAL_EVERY = flags.DEFINE_integer(
    "eval_every", 20_000, "Actor steps between evaluations."
)
_EVAL_EPISODES = flags.DEFINE_integer(
    "eval_episodes", 10, "Episodes of an evaluation; 0: none."
)
_LOG_SECONDS = flags.DEFINE_float(
    "log_seconds", 10.0, "Seconds between lines in the terminal."
)
_LOGGERS = flags.DEFINE_list(
    "loggers",
    [],
    "Beside CSV and TensorBoard: wandb, mlflow, or both (docs/guides/compare.md).",
)
_EVAL_VIDEO = flags.DEFINE_bool(
    "eval_video",
    True,
    "Write a video of each evaluation's first episode, where rendering works.",
)
_CHECKPOINT_MINUTES = flags.DEFINE_float(
    "checkpoint_minutes", 5.0, "Least minutes between checkpoints."
)
_CHECKPOINT_REPLAY = flags.DEFINE_bool(
    "checkpoint_replay",
    True,
    "Keep replay with each checkpoint; without, a resumed run starts with none.",
)

_SCALE = flags.DEFINE_string(
    "scale",
    "paper",
    "Settings where no flag gives one: paper (1500 actors) or laptop (two cores; "
    "docs/guides/agents.md has the table).",
)
_DEMONSTRATIONS = flags.DEFINE_string(
    "demonstrations",
    None,
    "Directory of a data set of this task, reward and object set, of which each batch "
    "has demonstration_share (0.5 with it, if not given).",
)
_TARGET_UPDATE_PERIOD = flags.DEFINE_integer(
    "target_update_period",
    None,
    "Learner steps between updates of both targets. Default: 100.",
)
_SETTINGS = settings.Settings(
    "agent",
    {name: agent.config_type() for name, agent in AGENTS.items()},
    without=("policy_keys", "critic_keys"),  # set by --observations
)


def _environment() -> EnvironmentConfig:
    """Returns the environment's settings; agents for vision only see images."""
    default = "vision" if AGENTS[_AGENT.value].vision_only else "state"
    environment = _ENVIRONMENT()
    if environment.environment is not None and not flags.FLAGS["observations"].present:
        return environment
    observations = _OBSERVATIONS.value or default
    return dataclasses.replace(environment, observations=observations)


def _agent_config(environment: EnvironmentConfig) -> MPOConfig:
    from launchers.experiments import config as experiment_config

    agent = AGENTS[_AGENT.value]
    images = experiment_config.image_keys(environment.image_cameras)
    values = agent.default_settings(images, _ASYMMETRIC_CRITIC.value)
    values.update(scales.settings(_SCALE.value, _AGENT.value, bool(images)))
    if _DEMONSTRATIONS.value:
        values["demonstration_share"] = 0.5  # RLPD
    values.update(_SETTINGS.given(_AGENT.value))
    if values.get("demonstration_share") and not _DEMONSTRATIONS.value:
        raise ValueError("--demonstration_share needs --demonstrations")
    if environment.environment is None:
        # Checked here, because the agent's own check does not know the limit.
        experiment_config.check_skill_steps(values.get("skill_steps", 1))
    if _TARGET_UPDATE_PERIOD.value is not None:
        for target in ("policy", "critic"):
            values[f"target_{target}_update_period"] = _TARGET_UPDATE_PERIOD.value
    return agent.config_type(**values)


def _fill_from(path: str) -> None:
    """Sets flags that are not given to the values in a run's record."""
    from launchers.experiments import record

    found = record.recorded_settings(pathlib.Path(path).expanduser())
    if flags.FLAGS["agent"].present and _AGENT.value != found["agent"]:
        raise ValueError(
            f"--config={path} is of agent {found['agent']}, not {_AGENT.value}"
        )
    # A missing limit is None in a record and 0 on the command line.
    found |= {k: found[k] or 0 for k in ("max_actor_steps", "run_seconds")}
    if found["observations"] == "vision":
        found["asymmetric_critic"] = "objects" in found["critic_keys"]
    settings.fill({k: v for k, v in found.items() if k in flags.FLAGS})


def _config() -> RunConfig:
    """Returns the configuration from the flags; raises ValueError, in one line."""
    from launchers.experiments import config as experiment_config

    if _CONFIG.value is not None:
        _fill_from(_CONFIG.value)
    experiment_config.check_agent(_AGENT.value)
    experiment_config.check_launch(_LAUNCH.value)
    needed = [_WORKDIR]
    if AGENTS[_AGENT.value].model is not None:
        needed.append(_SKILLS)
    for flag in needed:
        if not flag.value:
            raise ValueError(f"--{flag.name} is required")
    if _DEBUG.value and _LAUNCH.value != "single_process":
        raise ValueError("--debug is for --launch=single_process")
    if _RAY_ADDRESS.value and _LAUNCH.value != "ray":
        raise ValueError("--ray_address is for --launch=ray")
    if _LAUNCH.value in ("ray", "vertex_ai") and flags.FLAGS["private_network"].present:
        raise ValueError(
            "--private_network is for launches on this machine, not for "
            f"--launch={_LAUNCH.value}"
        )
    sinks.check(_LOGGERS.value)
    if _PRIVATE_NETWORK.value and _LAUNCH.value not in ("ray", "vertex_ai"):
        sinks.check_reach(_LOGGERS.value)
    environment = _environment()
    return experiment_config.RunConfig(
        agent=_AGENT.value,
        skills=_SKILLS.value,
        workdir=_WORKDIR.value,
        environment=environment,
        seed=_SEED.value,
        demonstrations=_DEMONSTRATIONS.value,
        agent_config=_agent_config(environment),
        budget=experiment_config.Budget(
            max_actor_steps=_MAX_ACTOR_STEPS.value or None,
            run_seconds=_RUN_SECONDS.value or None,
            eval_every=_EVAL_EVERY.value,
            eval_episodes=_EVAL_EPISODES.value,
            eval_video=_EVAL_VIDEO.value,
            log_seconds=_LOG_SECONDS.value,
            loggers=tuple(_LOGGERS.value),
            checkpoint_minutes=_CHECKPOINT_MINUTES.value,
            checkpoint_replay=_CHECKPOINT_REPLAY.value,
        ),
    )


def _run_seeds() -> None:
    """Runs and compares several seeds, as the flags say."""
    from launchers.transfer import seeds

    with cli.bad_input():
        configs = _seed_configs()
    try:
        seeds.run(
            configs,
            arguments=sys.argv[1:],
            jobs=_JOBS.value,
            report=lambda line: print(line, flush=True),
        )
    except KeyboardInterrupt:
        _end_stopped(_WORKDIR.value)
    except seeds.SeedsError as e:
        print(f"error: {e}", file=sys.stderr)
        raise SystemExit(e.exit_code) from None


def _seed_configs() -> list[RunConfig]:
    """Returns a configuration per seed; raises ValueError, in one line."""
    if _LAUNCH.value != "single_process":
        raise ValueError("--seeds is for --launch=single_process")
    if flags.FLAGS["seed"].present:
        raise ValueError("give --seeds or --seed, not both")
    if _RESTART.value:
        raise ValueError("--restart is for one run: give another --workdir to --seeds")
    from launchers.transfer import seeds

    return seeds.split(_config(), seeds.parse(_SEEDS.value))


def _end_stopped(workdir: str) -> None:
    """Ends a command that a signal has stopped."""
    print(f"stopped; the same command resumes (see {workdir})", file=sys.stderr)
    raise SystemExit(signals.INTERRUPTED) from None


def main(argv: Sequence[str]) -> None:
    """Trains and prints a summary."""
    del argv
    if _SEEDS.value:
        _run_seeds()
        return
    with cli.bad_input():
        config = _config()
        from launchers.experiments.config import SetupError
        from launchers.transfer import training

        if _DEBUG.value:
            tf.config.run_functions_eagerly(True)
        layout = Layout(
            actors_per_process=_ACTORS_PER_PROCESS.value,
            num_replay_shards=_NUM_REPLAY_SHARDS.value,
            num_cachers=_NUM_CACHERS.value,
        )
        experiment, record = training.prepare(
            config,
            _LAUNCH.value,
            _NUM_ACTORS.value,
            _RAY_ADDRESS.value,
            restart=_RESTART.value,
        )
    if record.resumes:
        print(f"resumes the run in {config.workdir}", flush=True)
    if _LAUNCH.value == "vertex_ai":
        from launchers.distributed import vertex

        vertex.launch(experiment, _NUM_ACTORS.value, layout)
        return
    try:
        summary = training.run(
            experiment,
            _LAUNCH.value,
            _NUM_ACTORS.value,
            record,
            report=lambda line: print(line, flush=True),
            layout=layout,
            ray_address=_RAY_ADDRESS.value,
            isolated=_PRIVATE_NETWORK.value,
        )
    except SetupError as e:
        cli.fail(e)
    except (RuntimeError, FloatingPointError) as e:
        print(f"error: {e}", file=sys.stderr)
        raise SystemExit(1) from None
    print(training.describe(summary))
    print(f"results: {config.workdir}/summary.json")
    print(f"curves: tensorboard --logdir={config.workdir}/logs")
    if (videos := pathlib.Path(config.workdir) / "videos").is_dir():
        print(f"videos: {videos}")
    if summary["stopped_by"] == "signal":
        _end_stopped(config.workdir)


if __name__ == "__main__":
    cli.run(main)
