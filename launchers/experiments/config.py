"""Configuration of an RL experiment: agent, environment, budget; its record on disk.

`RunConfig` holds a user's settings. `Experiment` is what the launchers run, in one
process or many: it is picklable, and every process makes its own builder, environment
and networks from it.

The work directory gets `config.json` (the settings), `checkpoints/`, `counts.json`
(steps so far), `logs/NODE/logs.csv` beside TensorBoard events, and `summary.json`.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import os
import pathlib
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import dm_env
import numpy as np
from acme import specs

import environments
from agents import registry
from agents.builder import AgentBuilder
from agents.helms.frozen import Skills
from agents.high_level import distillation
from agents.high_level.config import HighLevelOptions
from agents.mpo.config import MPOConfig
from agents.mpo.demonstrations import Episode, check_fits
from agents.offline.bundle import replaced
from agents.offline.frozen import FrozenModel
from agents.registry import AGENTS
from datasets.rlds import recipes
from environments import EnvironmentConfig
from environments.stacking import EPISODE_STEPS
from launchers.common import atomic_files, workdir_lock
from launchers.experiments import demonstrations

LAUNCHES = (
    "single_process",
    "local_mt",
    "local_mp",
    "test_mt",
    "ray",
    "vertex_ai",
)

_CONFIG = "config.json"
_BUNDLE = "skills"  # name of the bundle's directory in an exported run
_FORMAT = {"format": "helms-agent", "version": 1}
# A run that differs in one of these trains another model or task, so its checkpoint
# does not fit. The agent's come with the values of records that lack them.
_ENVIRONMENT_IDENTITY = ("task", "reward", "object_set", "observations", "preset")
_AGENT_IDENTITY = {
    "policy_hidden_sizes": None,
    "critic_hidden_sizes": None,
    "input_size": None,
    "critic_rnn_size": None,
    "policy_keys": None,
    "critic_keys": None,
    "components": None,
    "skill_steps": 1,
    "high_level": "new",  # used at the start only: a resumed run cannot change it
    "skill_prior": "uniform",
    "finger": "gaussian",  # None, of clones: the bundle's, whose checksum is compared
}

BuilderFactory = Callable[[], AgentBuilder]
EnvironmentFactory = Callable[[int], dm_env.Environment]  # takes a seed


class SetupError(ValueError):
    """What a work directory holds cannot be read; nothing in it was changed."""


@dataclasses.dataclass(frozen=True)
class Budget:
    """Configuration of a run's end, evaluations, reports and checkpoints."""

    max_actor_steps: int | None = 100_000  # counted from the first start
    run_seconds: float | None = None  # counted from this start
    eval_every: int = 20_000  # actor steps between evaluations
    eval_episodes: int = 10  # per evaluation; 0 for none
    eval_video: bool = True  # films each evaluation's first episode, if rendering works
    log_seconds: float = 10.0  # between lines in the terminal
    checkpoint_minutes: float = 5.0  # least time between two checkpoints
    checkpoint_replay: bool = True  # whether a checkpoint includes the replay

    def __post_init__(self) -> None:
        """Raises ValueError for a budget that never ends or is invalid."""
        if self.max_actor_steps is None and self.run_seconds is None:
            raise ValueError(
                "give max_actor_steps or run_seconds, or the run never ends"
            )
        for name in (
            "max_actor_steps",
            "run_seconds",
            "eval_every",
            "log_seconds",
            "checkpoint_minutes",
        ):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise ValueError(f"{name} must be positive and finite, got {value}")
        if self.eval_episodes < 0:
            raise ValueError(
                f"eval_episodes must not be negative, got {self.eval_episodes}"
            )


@dataclasses.dataclass(frozen=True)
class RunConfig:
    """A user's settings; defaults are the paper's where it gives them."""

    skills: str | None  # directory of the bundle; None for an agent that needs none
    workdir: str
    agent: str = "helms_cat"
    environment: EnvironmentConfig = EnvironmentConfig.paper()
    seed: int = 0
    # Directory of a data set, which makes up `demonstration_share` of each batch.
    demonstrations: str | None = None
    # None takes the agent's defaults, which __post_init__ fills in.
    agent_config: MPOConfig = None  # type: ignore[assignment]
    budget: Budget = dataclasses.field(default_factory=Budget)

    def __post_init__(self) -> None:
        """Raises ValueError for an unknown agent or settings of another agent."""
        check_agent(self.agent)
        agent = AGENTS[self.agent]
        config_type = agent.config_type
        settings = agent.default_settings(image_keys(self.environment.image_cameras))
        if self.agent_config is None:
            object.__setattr__(self, "agent_config", config_type(**settings))
        elif type(self.agent_config) is not config_type:
            raise ValueError(
                f"agent {self.agent} has a {config_type.__name__}, not a "
                f"{type(self.agent_config).__name__}"
            )
        if self.demonstrations is not None:
            if self.environment.image_cameras:
                raise ValueError("demonstrations have no images; valid: on state")
            if not self.agent_config.demonstration_share:
                raise ValueError("demonstrations need a demonstration_share above 0")
        check_skill_steps(self.agent_config.skill_steps)


@dataclasses.dataclass(frozen=True)
class Experiment:
    """Experiment as the launchers run it; picklable."""

    workdir: str
    builder_factory: BuilderFactory
    environment_factory: EnvironmentFactory
    environment_spec: specs.EnvironmentSpec
    seed: int
    budget: Budget


def image_keys(cameras: Sequence[str]) -> tuple[str, ...]:
    """Returns the names of the cameras' images among the observations."""
    return tuple(f"{camera}/pixels" for camera in cameras)


def check_agent(agent: str) -> None:
    """Raises ValueError unless the agent is known."""
    if agent not in AGENTS:
        raise ValueError(f"unknown agent {agent!r}; valid: {', '.join(AGENTS)}")


def check_skill_steps(steps: int) -> None:
    """Raises ValueError unless a decision may last this many control steps."""
    if not 1 <= steps < EPISODE_STEPS:
        raise ValueError(
            f"skill_steps must be from 1 to {EPISODE_STEPS - 1}, fewer than an "
            f"episode's control steps, got {steps}"
        )


def check_launch(launch: str) -> None:
    """Raises ValueError unless the launch is known."""
    if launch not in LAUNCHES:
        raise ValueError(f"unknown launch {launch!r}; valid: {', '.join(LAUNCHES)}")


def make_environment(config: RunConfig, seed: int) -> dm_env.Environment:
    """Makes the environment as agents see it: grouped observations, and images."""
    return environments.build(
        dataclasses.replace(config.environment, grouped=True), seed
    )


def make_builder(config: RunConfig) -> AgentBuilder:
    """Makes the builder of the agent over its frozen model."""
    check_agent(config.agent)
    frozen = load_frozen(config)
    options: dict[str, Any] = {}
    agent = config.agent_config
    distilled = isinstance(agent, HighLevelOptions) and agent.needs_distilled
    if distilled and isinstance(frozen, Skills) and distillation.reads_context(frozen):
        options["context"] = recipes.context(
            (config.environment.task, config.environment.object_set)
        )
    builder = AGENTS[config.agent].builder(config.agent_config, frozen, **options)
    if config.demonstrations is not None:
        builder.demonstrate(functools.partial(_load_demonstrations, config))
    return builder


def _load_demonstrations(config: RunConfig) -> list[Episode]:
    assert config.demonstrations is not None
    return demonstrations.load(config.demonstrations, config.environment)


def load_frozen(config: RunConfig) -> FrozenModel | None:
    """Loads the bundle that the agent builds on; None if no bundle is given.

    Raises:
      ValueError: in one line, if it cannot be read or holds another model.
    """
    model = AGENTS[config.agent].model
    if config.skills is None:
        if model is not None:
            raise ValueError(
                f"agent {config.agent} needs --skills, a bundle of {model}"
            )
        return None
    return registry.load_bundle(config.skills, model=model)


def make_experiment(config: RunConfig) -> Experiment:
    """Checks that agent, skills and environment fit, and makes the experiment.

    Raises:
      ValueError: in one line, what does not fit.
    """
    check_agent(config.agent)
    environment = make_environment(config, config.seed)
    spec = specs.make_environment_spec(environment)
    builder = make_builder(config)
    builder.make_networks(spec, config.seed)
    environment.close()
    if config.demonstrations is not None:
        check_fits(spec, _load_demonstrations(config)[0])
    return Experiment(
        workdir=config.workdir,
        builder_factory=functools.partial(make_builder, config),
        environment_factory=functools.partial(make_environment, config),
        environment_spec=spec,
        seed=config.seed,
        budget=config.budget,
    )


def derive_seed(seed: int, role: str, *numbers: int) -> int:
    """Derives the seed of a part of a run from the run's seed; 31 bits."""
    entropy = [seed, int.from_bytes(role.encode(), "little"), *numbers]
    return int(np.random.SeedSequence(entropy).generate_state(1)[0] >> 1)


def record(config: RunConfig) -> bool:
    """Writes `config.json`, or checks that the existing one is of the same model.

    Returns:
      Whether this resumes a run.

    Raises:
      ValueError: in one line, if the work directory holds another run.
    """
    root = pathlib.Path(config.workdir)
    new = _describe(config)
    workdir_lock.hold(root)
    resumes = (root / _CONFIG).exists()
    if resumes:
        old = atomic_files.read_json(root / _CONFIG)
        if old.get("format") != _FORMAT["format"]:
            raise ValueError(f"{root / _CONFIG} is not the record of an agent")
        if old.get("policy_only"):
            raise ValueError(
                f"workdir {root} was exported: it has a policy alone and cannot go on; "
                "give another --workdir"
            )
        for name, was, now in _differences(old, new):
            raise ValueError(
                f"workdir {root} holds another run, with {name} {was!r} and not "
                f"{now!r}; give another --workdir"
            )
        # The lock is held: what is unfinished there is of a process that was killed.
        atomic_files.remove_temporaries(root, below=True)
    elif any(not atomic_files.is_temporary(path) for path in root.iterdir()):
        raise ValueError(
            f"workdir {root} is not empty and has no {_CONFIG}; give another --workdir"
        )
    atomic_files.write_json(root / _CONFIG, new)
    return resumes


def load_config(workdir: str, skills: str | None = None) -> RunConfig:
    """Reads the record of a run for its evaluation, without demonstrations.

    Args:
      workdir: work directory of a run.
      skills: current directory of the skill bundle; None takes the recorded one.

    Raises:
      ValueError: in one line, why this is no run, or that the skills differ.
    """
    path = pathlib.Path(workdir) / _CONFIG
    if not path.is_file():
        raise ValueError(f"no run in {workdir}: it has no {_CONFIG}")
    recorded = atomic_files.read_json(path)
    try:
        check_agent(recorded["agent"])
        config_type = AGENTS[recorded["agent"]].config_type
        known = {field.name for field in dataclasses.fields(config_type)}
        agent_config: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value
            for key, value in recorded["agent_config"].items()
            if key in known
        }
        config = RunConfig(
            skills=skills or _found_skills(path.parent, recorded["skills"]["path"]),
            workdir=str(workdir),
            agent_config=config_type(**agent_config),
            agent=recorded["agent"],
            environment=EnvironmentConfig.from_dict(_environment(recorded)),
            seed=recorded["seed"],
        )
        checksum = recorded["skills"]["checksum"]
    except (KeyError, TypeError) as e:
        raise ValueError(f"{path} is not the record of an agent: {e!r}") from e
    if _skills_checksum(config) != checksum:
        raise ValueError(
            f"the skills at {config.skills} are not those that {workdir} was run with"
        )
    return config


def recorded_settings(path: pathlib.Path) -> dict[str, Any]:
    """Reads a run's settings by the names of train_agent's flags.

    Args:
      path: path of a `config.json`.

    Returns:
      The settings of environment, agent and budget, and agent, skills, seed and
      demonstrations.

    Raises:
      ValueError: in one line, why this is no record of a run.
    """
    if not path.is_file():
        raise ValueError(f"{path} is not a file; valid: the config.json of a run")
    found = atomic_files.read_json(path)
    try:
        check_agent(found["agent"])
        skills = found["skills"]["path"]
        return {
            "agent": found["agent"],
            "skills": _found_skills(path.parent, skills),
            "seed": found["seed"],
            "demonstrations": found.get("demonstrations"),
            **_environment(found),
            **found["agent_config"],
            **found["budget"],
        }
    except (KeyError, TypeError) as e:
        raise ValueError(f"{path} is not the record of an agent: {e!r}") from e


def _found_skills(workdir: pathlib.Path, path: str | None) -> str | None:
    """Resolves a bundle's path, which may be relative to the record's directory."""
    return path and os.path.normpath(workdir / path)


def export(config: RunConfig, out: pathlib.Path, copy_skills: bool) -> int:
    """Writes all that an evaluation of an agent needs: settings, policy and bundle.

    Args:
      config: configuration of the run (`load_config`).
      out: directory to make; `load_config` and `evaluate` take it as a run's.
      copy_skills: whether to copy the bundle of skills into `out`, which otherwise
        refers to it by a relative path.

    Returns:
      The learner steps of the policy.

    Raises:
      ValueError: `out` exists, or there is no checkpoint.
    """
    if out.exists():
        raise ValueError(f"{out} exists; give another directory")
    experiment = make_experiment(config)
    builder = experiment.builder_factory()
    networks = builder.make_networks(experiment.environment_spec, experiment.seed)
    learner_steps = builder.restore_policy(networks, config.workdir)
    description = _describe(config)
    with replaced(out) as aside:
        builder.save_policy(networks, str(aside), learner_steps)
        if config.skills is not None:
            path = _BUNDLE if copy_skills else os.path.relpath(config.skills, out)
            if copy_skills:
                shutil.copytree(config.skills, aside / path)
            description["skills"]["path"] = path
        description |= {"demonstrations": None, "policy_only": True}
        atomic_files.write_json(aside / _CONFIG, description)
    return learner_steps


def _describe(config: RunConfig) -> dict[str, Any]:
    return {
        **_FORMAT,
        "agent": config.agent,
        "skills": {
            "path": None if config.skills is None else os.path.abspath(config.skills),
            "checksum": _skills_checksum(config),
        },
        "environment": config.environment.to_dict(),
        "seed": config.seed,
        "demonstrations": config.demonstrations
        and os.path.abspath(config.demonstrations),
        "agent_config": dataclasses.asdict(config.agent_config),
        "budget": dataclasses.asdict(config.budget),
    }


def _differences(
    old: dict[str, Any], new: dict[str, Any]
) -> Iterator[tuple[str, Any, Any]]:
    """Yields (name, old value, new value) of settings that make two models differ."""
    new = json.loads(json.dumps(new))  # tuples become lists, as on disk
    if old.get("agent") != new["agent"]:
        yield "agent", old.get("agent"), new["agent"]
    was, now = (_environment(record) for record in (old, new))
    same_images = was.get("observations") == now["observations"] == "vision"
    for key in (*_ENVIRONMENT_IDENTITY, *(["cameras"] if same_images else [])):
        if was.get(key) != now[key]:
            yield key, was.get(key), now[key]
    was = old.get("skills", {}).get("checksum")
    if was != new["skills"]["checksum"]:
        yield "skills of checksum", str(was)[:12], str(new["skills"]["checksum"])[:12]
    for key, absent in _AGENT_IDENTITY.items():
        was, now = (c.get("agent_config", {}).get(key, absent) for c in (old, new))
        if was != now and not (key == "finger" and None in (was, now)):
            yield key, was, now


def _environment(record: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the environment's settings, which old records mix with the others."""
    if "environment" in record:
        return record["environment"]
    names = {field.name for field in dataclasses.fields(EnvironmentConfig)}
    found = EnvironmentConfig().to_dict()
    found |= {k: v for k, v in record.items() if k in names}
    found["observations"] = "vision" if record["cameras"] else "state"
    return {**found, "cameras": record["cameras"] or list(EnvironmentConfig().cameras)}


def _skills_checksum(config: RunConfig) -> str | None:
    """Reads the checksum of the bundle's weights from its description."""
    frozen = load_frozen(config)
    return None if frozen is None else str(frozen.description["checksum"])
