"""A policy as one TensorFlow SavedModel, which acts without this repository.

It has the form of the public RGB-stacking agents: `initial_state()` and
`step(timestep, state)`, which returns `((action, extras), state)`, batched by 1.
`timestep` is a `dm_env.TimeStep(None, None, None, observation)` or any named tuple of
that name and fields; `observation` has the environment's named observations in physical
units; so has the action. `extras["normalized_action"]` is the same in [-1, 1].

`state.seed`, int32 [1], decides all draws with the number of the step since
`initial_state()`.
"""

from __future__ import annotations

import functools
import pathlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import dm_env
import numpy as np
import tensorflow as tf

from agents import registry
from agents.builder import Decision, Held, Policy
from agents.helms.frozen import Skills
from agents.helms_cat.networks import SkillPolicy
from agents.high_level import distillation
from agents.offline import bundle
from agents.offline.frozen import FrozenPolicy
from datasets.experts import saved_model
from datasets.rlds.columns import Columns
from environments import observations, tasks
from launchers.common import atomic_files
from launchers.experiments import record
from launchers.experiments.config import make_experiment

Specs = dict[str, tf.TensorSpec]


class State(NamedTuple):
    """State between two steps.

    Attributes:
      counter: steps since the start, int32 [1].
      seed: int32 [1].
      held: what a policy that decides every few steps holds, [1, ...].
    """

    counter: Any
    seed: Any
    held: Any


def export_run(workdir: str, skills: str | None, out: pathlib.Path) -> str:
    """Writes the newest policy of a run, or of an exported one.

    Args:
      workdir: work directory of `launchers.train_agent`.
      skills: directory of its bundle; None takes the recorded one.
      out: directory to make.

    Returns:
      What was written, in words.

    Raises:
      ValueError: in one line, why it cannot be exported.
    """
    _check_new(out)
    config = record.load_config(workdir, skills)
    experiment = make_experiment(config)
    builder = experiment.builder_factory()
    spec = experiment.environment_spec
    networks = builder.make_networks(spec, experiment.seed)
    steps = builder.restore_policy(networks, config.workdir)
    images = {
        name: tf.TensorSpec((1, *array.shape), array.dtype)
        for name, array in spec.observations.items()
        if name not in observations.GROUPS
    }
    task = tasks.TASKS[config.environment.task]
    colors = task.colors(config.environment.object_order)
    save(builder.make_policy(networks), images, out, colors)
    return f"{config.agent} of {steps} learner steps"


def export_bundle(directory: str, out: pathlib.Path) -> str:
    """Writes the policy of a bundle; else as `export_run`.

    A clone draws its actions. Skills of HeLMS act by their distilled high level: its
    likeliest skill at every step, and z's mean.
    """
    _check_new(out)
    frozen = registry.load_bundle(directory)
    if Columns.of_bundle(frozen.description).object_order != "color":
        raise ValueError(
            f"{directory} observes the objects by their role in a task, and no task is "
            "known: export a run of train_agent"
        )
    if isinstance(frozen, FrozenPolicy):
        save(_Clone(frozen), {}, out)
        return frozen.model
    if not isinstance(frozen, Skills):
        raise ValueError(
            f"{directory} is a bundle of {frozen.model}, which has no policy: export a "
            "run of train_agent; valid: bundles of clones, and of helms with a "
            "distilled high level"
        )
    if distillation.reads_context(frozen):
        raise ValueError(
            f"the high level of {directory} is of several tasks: export a run of "
            "train_agent --high_level=distilled"
        )
    high_level = distillation.load(frozen)
    save(SkillPolicy(high_level, frozen, greedy=True, sample_latent=False), {}, out)
    return f"{frozen.model} with its distilled high level"


def is_bundle(directory: str) -> bool:
    """Returns whether a directory holds a bundle of skills, and no run."""
    try:
        bundle.read_description(directory)
    except ValueError:
        return False
    return True


def _check_new(out: pathlib.Path) -> None:
    if out.exists():
        raise ValueError(f"{out} exists; give another directory")


class _Clone(Policy):
    """Behaviour clone, which draws its actions."""

    def __init__(self, frozen: FrozenPolicy) -> None:
        super().__init__()
        self._frozen = frozen

    def __call__(
        self, observation: Any, seed: tf.Tensor, held: Held | None = None
    ) -> Decision:
        action = self._frozen.sample(observation, seed)
        return Decision(action, action)

    @property
    def learned_variables(self) -> list[tf.Variable]:
        return []


def save(
    policy: Policy,
    images: Mapping[str, Any],
    out: pathlib.Path,
    colors: tuple[str, ...] = observations.COLORS,
) -> None:
    """Writes a policy; see the module.

    Args:
      policy: policy of the groups of `environments.observations`, and of `images`.
      images: specs [1, H, W, 3] by name of the images that it observes.
      out: directory to make.
      colors: order in which it observes the objects.
    """
    inputs: dict[str, Any] = {
        name: tf.TensorSpec((1, *observations.shape(name)), observations.dtype(name))
        for names in observations.GROUPS.values()
        for name in names
    }
    inputs |= images
    decide = functools.partial(_decide, policy, tuple(images), colors)
    seed = tf.TensorSpec([2], tf.int32)
    decided = tf.function(decide, autograph=False).get_concrete_function(inputs, seed)
    held = decided.structured_outputs[1]
    state = State(
        tf.TensorSpec([1], tf.int32),
        tf.TensorSpec([1], tf.int32),
        tf.TensorSpec(held.shape, held.dtype),
    )
    module = tf.Module()
    module.step = tf.function(_step(decide, policy.skill_steps), autograph=False)
    timestep = dm_env.TimeStep(None, None, None, inputs)
    concrete = module.step.get_concrete_function(timestep, state)
    # Saved are variables that the module has; the policy's other parts are none of it.
    module.kept = list(concrete.graph.variables)

    def initial_state() -> State:
        return State(*(tf.zeros(spec.shape, spec.dtype) for spec in state))

    module.initial_state = tf.function(
        initial_state, input_signature=[], autograph=False
    )
    with atomic_files.new_directory(out) as aside:
        tf.saved_model.save(module, str(aside))


def _decide(
    policy: Policy,
    images: tuple[str, ...],
    colors: tuple[str, ...],
    named: Mapping[str, tf.Tensor],
    seed: tf.Tensor,
    held: Held | None = None,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the action [1, A] in [-1, 1], and what is held."""
    cameras = {name: named[name] for name in images}
    observation = observations.group(named, colors) | cameras
    decision = policy(observation, seed, held)
    action = tf.clip_by_value(decision.environment_action, -1.0, 1.0)
    return action, decision.agent_action if decision.held is None else decision.held


def _step(
    decide: Callable[..., tuple[tf.Tensor, tf.Tensor]], skill_steps: int
) -> Callable[..., Any]:
    scale = tf.constant(saved_model.ACTION_SCALE.astype(np.float32))

    def step(timestep: dm_env.TimeStep, state: State) -> Any:
        seed = tf.concat([state.seed, state.counter], axis=0)
        held = None
        if skill_steps > 1:
            held = Held(state.held, tf.equal(state.counter % skill_steps, 0))
        action, new = decide(timestep.observation, seed, held)
        extras = {"normalized_action": action}
        return (action * scale, extras), State(state.counter + 1, state.seed, new)

    return step
