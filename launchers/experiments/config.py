"""Configuration of an RL experiment: agent, environment, budget.

`RunConfig` holds a user's settings. `Experiment` is what the launchers run, in one
process or many: it is picklable, and every process makes its own builder, environment
and networks from it.

The work directory gets `config.json` (the settings, see `record`), `skills/` (a copy of
the bundle), `checkpoints/`, `counts.json` (steps so far), `logs/NODE/logs.csv` beside
TensorBoard events, and `summary.json`.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Sequence
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
from agents.offline import bundle
from agents.offline.frozen import FrozenModel
from agents.registry import AGENTS
from datasets.rlds import recipes
from datasets.rlds.columns import Columns
from environments import EnvironmentConfig
from environments.stacking import EPISODE_STEPS
from environments.tasks import TASKS
from launchers.common import plugins
from launchers.experiments import demonstrations

LAUNCHES = (
    "single_process",
    "local_mt",
    "local_mp",
    "test_mt",
    "ray",
    "vertex_ai",
)

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
    loggers: tuple[str, ...] = ()  # beside the files, of `launchers.common.sinks`
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
        environment = completed(self.environment, self.skills)
        object.__setattr__(self, "environment", environment)
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
        if self.environment.environment is None:
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


def completed(environment: EnvironmentConfig, skills: str | None) -> EnvironmentConfig:
    """Fills what an environment takes from a bundle of skills.

    That is the order of the cell's objects, or the names of another one's observations.

    Raises:
      ValueError: in one line, if the bundle cannot be read.
    """
    filled = environment.proprio and environment.objects and environment.action_bounds
    if skills is None or filled:
        return environment
    columns = Columns.of_bundle(bundle.read_description(skills))
    if environment.environment is None:
        return dataclasses.replace(environment, object_order=columns.object_order)
    return dataclasses.replace(
        environment,
        proprio=environment.proprio or columns.proprio,
        objects=environment.objects or columns.objects,
        action_bounds=environment.action_bounds or columns.bounds,
    )


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
        options["context"] = _context(config.environment)
    builder = AGENTS[config.agent].builder(config.agent_config, frozen, **options)
    if config.demonstrations is not None:
        builder.demonstrate(functools.partial(_load_demonstrations, config))
    return builder


def _context(environment: EnvironmentConfig) -> np.ndarray:
    """Returns the context [C] that a distilled high level of several tasks starts with.

    The pyramid, which no stack of two is, starts as the stack of its first two objects:
    its first stages bring one to the other.
    """
    task, name = TASKS[environment.task], environment.task
    if task.trio:
        moved, beside, _ = task.roles
        name = f"stack_{moved}_{beside}"
    return recipes.context((name, environment.object_set))


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
        builder_factory=plugins.carried(functools.partial(make_builder, config)),
        environment_factory=plugins.carried(
            functools.partial(make_environment, config)
        ),
        environment_spec=spec,
        seed=config.seed,
        budget=config.budget,
    )


def derive_seed(seed: int, role: str, *numbers: int) -> int:
    """Derives the seed of a part of a run from the run's seed; 31 bits."""
    entropy = [seed, int.from_bytes(role.encode(), "little"), *numbers]
    return int(np.random.SeedSequence(entropy).generate_state(1)[0] >> 1)
