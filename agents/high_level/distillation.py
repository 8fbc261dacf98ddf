"""Distillation of HeLMS-cat's high level from the posterior, kept in the bundle.

The posterior q(y_t | x_{1:t}) sees frames ahead and the past; pi(y | x_t), which RL
trains, sees only x_t. The distilled pi is the best start that the data give, and its
success is what the frozen skills allow a policy that uses them as the data do.

Skills of several tasks and object sets need a high level that knows the task and the
set: it also reads a context. A run of RL has one task and object set, so its high level
takes the context into a bias (`restore`).

Shape letters: B batch, T time, L look-ahead, K skills, P proprioception, O objects,
C context.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
import zipfile
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import sonnet as snt
import tensorflow as tf

from agents.helms.frozen import Skills
from agents.high_level.transition_prior import TransitionPrior
from agents.mpo import networks as mpo_networks
from agents.mpo.config import MPOConfig
from agents.mpo.rows import Rows
from agents.offline import bundle
from agents.offline.model import Batch
from agents.offline.schedule import CosineAdam

DESCRIPTION = "high_level.json"
WEIGHTS = "weights.npz"
CONTEXT = "context"  # observation that a high level of several tasks reads
CONTEXT_SIZE = "context_size"  # key in the description; absent: 0


@dataclasses.dataclass(frozen=True)
class DistillationConfig:
    """Configuration of a distillation; the network has the sizes of `MPOConfig`."""

    steps: int = 6000
    batch_size: int = 32  # windows
    learning_rate: float = 5e-4  # of Adam; falls to a tenth along a cosine over `steps`
    seed: int = 0  # of initial weights; the caller orders the batches by it

    def __post_init__(self) -> None:
        """Raises ValueError for a value that is not valid."""
        for name, low in (("steps", 1), ("batch_size", 1), ("seed", 0)):
            if getattr(self, name) < low:
                raise ValueError(
                    f"{name} is {getattr(self, name)}; valid: whole numbers from {low}"
                )
        if not self.learning_rate > 0:
            raise ValueError(
                f"learning_rate must be positive, got {self.learning_rate}"
            )


def make_high_level(
    skills: Skills, seed: int | None, context_size: int = 0
) -> mpo_networks.CategoricalPolicy:
    """Makes the high level that HeLMS-cat starts with by default.

    Args:
      skills: skills whose statistics normalise the observations.
      seed: seed of the weights; None for weights that are assigned anyway.
      context_size: C of the observation "context" that it reads besides "proprio" [P]
        and "objects" [O]; 0: it reads none.
    """
    shapes = {"proprio": (skills.proprio_dim,), "objects": (skills.object_dim,)}
    if context_size:
        shapes[CONTEXT] = (context_size,)
    config = MPOConfig()
    high_level = mpo_networks.CategoricalPolicy(
        mpo_networks.InputRepresentation(
            shapes, tuple(shapes), skills.observation_statistics(), config.input_size
        ),
        config.policy_hidden_sizes,
        skills.num_skills,
    )
    if seed is not None:
        tf.random.set_seed(seed)  # Sonnet draws from the global generator
    high_level({key: tf.zeros([1, *shape]) for key, shape in shapes.items()})
    return high_level


class Distillation:
    """Training that minimises the cross-entropy of pi(y | x_t) to q(y_t | x_{1:t})."""

    def __init__(
        self, skills: Skills, config: DistillationConfig, context_size: int = 0
    ):
        """Makes the high level and its optimiser.

        Args:
          skills: frozen skills, whose posterior reads no context.
          config: configuration of the training.
          context_size: C, where batches have "context" [B, T or more, C], which the
            high level is to read.
        """
        self._skills = skills
        self._keys = ("proprio", "objects", CONTEXT)[: 3 if context_size else 2]
        self.high_level = make_high_level(skills, config.seed, context_size)
        self._variables = self.high_level.trainable_variables
        self._optimizer = CosineAdam(config.learning_rate, config.steps)
        # Makes the moments outside the compiled function.
        self._optimizer.apply(
            [tf.zeros_like(v) for v in self._variables], self._variables
        )
        self._optimizer.step.assign(0)
        self._step = tf.function(self._train, autograph=False)
        self._sums = tf.function(self._evaluation_sums, autograph=False)

    def step(self, batch: Batch) -> float:
        """Takes one step and returns the cross-entropy of the batch, nats.

        Raises:
          FloatingPointError: it is not finite.
        """
        loss = float(self._step(self._tensors(batch)))
        if not np.isfinite(loss):
            raise FloatingPointError(f"the cross-entropy of the distillation is {loss}")
        return loss

    def evaluate(self, batches: Iterable[Batch]) -> dict[str, float]:
        """Returns means over the valid steps of one finite pass.

        Returns:
          `agreement`: share of steps at which the likeliest skills are the same;
          `cross_entropy` and `posterior_entropy` [nats]: the latter is a lower bound of
          the former.

        Raises:
          ValueError: there is no valid step.
          FloatingPointError: a mean is not finite.
        """
        total: dict[str, float] = {}
        for batch in batches:
            for key, value in self._sums(self._tensors(batch)).items():
                total[key] = total.get(key, 0.0) + float(value)
        steps = total.pop("steps", 0.0)
        if not steps:
            raise ValueError("no valid step to evaluate on")
        means = {key: value / steps for key, value in total.items()}
        if not np.isfinite(list(means.values())).all():
            raise FloatingPointError(
                f"the held-out cross-entropy is not finite: {means}"
            )
        return means

    def _tensors(self, batch: Batch) -> dict[str, tf.Tensor]:
        keys = (*self._keys, "mask")
        return {key: tf.convert_to_tensor(batch[key], tf.float32) for key in keys}

    def _train(self, batch: Batch) -> tf.Tensor:
        with tf.GradientTape() as tape:
            logits, target, mask = self._outputs(batch)
            losses = tf.nn.softmax_cross_entropy_with_logits(target, logits)  # [B, T]
            loss = tf.reduce_sum(mask * losses) / tf.maximum(tf.reduce_sum(mask), 1.0)
        self._optimizer.apply(tape.gradient(loss, self._variables), self._variables)
        return loss

    def _evaluation_sums(self, batch: Batch) -> dict[str, tf.Tensor]:
        logits, target, mask = self._outputs(batch)
        same = tf.equal(tf.argmax(logits, axis=-1), tf.argmax(target, axis=-1))
        values = {
            "steps": tf.ones_like(mask),
            "agreement": tf.cast(same, tf.float32),
            "cross_entropy": tf.nn.softmax_cross_entropy_with_logits(target, logits),
            "posterior_entropy": -tf.reduce_sum(tf.math.xlogy(target, target), axis=-1),
        }
        return {key: tf.reduce_sum(mask * value) for key, value in values.items()}

    def _outputs(self, batch: Batch) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Returns logits [B, T, K], the posterior [B, T, K] and the mask [B, T]."""
        mask = batch["mask"]
        target = self._skills.posterior(batch["proprio"], batch["objects"])
        window = mask.shape[1]
        logits = self.high_level({key: batch[key][:, :window] for key in self._keys})
        return logits, target, mask


def save(
    skills: Skills,
    high_level: mpo_networks.CategoricalPolicy,
    description: Mapping[str, Any],
) -> None:
    """Writes a distilled high level into the directory of its bundle.

    Args:
      skills: skills read from that bundle.
      high_level: high level distilled from them.
      description: facts to store about the high level (JSON values); `CONTEXT_SIZE` if
        it reads a context.

    Raises:
      ValueError: a weight is not finite.
    """
    weights = _named(high_level)
    if not all(np.isfinite(value).all() for value in weights.values()):
        raise ValueError("a weight of the distilled high level is not finite")
    _write(skills, weights, description)


def describe(skills: Skills, **entries: Any) -> None:
    """Adds entries to the description of the distilled high level in a bundle."""
    description, weights = _read(skills)
    _write(skills, weights, {**description, **entries})


def read_description(skills: Skills) -> dict[str, Any] | None:
    """Returns the description of a bundle's distilled high level; None if it has none.

    Raises:
      ValueError: the high level cannot be used; one line says why.
    """
    return _read(skills)[0] if (_directory(skills) / DESCRIPTION).exists() else None


def reads_context(skills: Skills) -> bool:
    """Returns whether a bundle has a distilled high level that reads a context.

    Raises:
      ValueError: the high level cannot be used; one line says why.
    """
    return bool((read_description(skills) or {}).get(CONTEXT_SIZE))


def load(skills: Skills) -> mpo_networks.CategoricalPolicy:
    """Returns the distilled high level of a bundle, which may read a context.

    Raises:
      ValueError: there is none that can be used; one line says why.
    """
    description, weights = _read(skills)
    high_level = make_high_level(skills, None, description.get(CONTEXT_SIZE, 0))
    variables = _variables(high_level)
    shapes = {name: tuple(variable.shape) for name, variable in variables.items()}
    if shapes != {name: value.shape for name, value in weights.items()}:
        raise ValueError(
            f"the distilled high level at {_directory(skills)} is of another version; "
            "remove it"
        )
    for name, variable in variables.items():
        variable.assign(weights[name])
    return high_level


def restore(
    skills: Skills,
    *high_levels: mpo_networks.CategoricalPolicy,
    context: np.ndarray | None = None,
    temperature: float = 1.0,
) -> None:
    """Assigns the distilled weights of a bundle to high levels that read no context.

    Args:
      skills: skills of the bundle.
      high_levels: high levels with variables; they read "proprio" and "objects".
      context: [C], the constant context of a distilled high level that reads one.
      temperature: divisor of the logits; 1 leaves them as they are.

    Raises:
      ValueError: there are no weights that fit; one line says why.
    """
    distilled, constants = load(skills), {}
    if reads_context(skills):
        if context is None:
            raise ValueError(
                f"the distilled high level at {_directory(skills)} is of several "
                "tasks, and it is not said which to start from"
            )
        constants[CONTEXT] = context
    for high_level in high_levels:
        try:
            high_level.fold(distilled, constants)
        except ValueError:
            raise ValueError(
                f"the distilled high level at {_directory(skills)} has other "
                "observations or sizes than the agent's; use high_level new, or the "
                "agent's default networks"
            ) from None
        high_level.temper(temperature)


class DistilledPrior:
    """Prior of a policy: log pi(y | x_t) of the distilled high level."""

    def __init__(self, skills: Skills, context: np.ndarray | None = None):
        """Reads the high level; arguments and errors are those of `restore`."""
        self._high_level = make_high_level(skills, None)
        restore(skills, self._high_level, context=context)

    def __call__(self, data: Any, rows: Rows) -> tf.Tensor:
        """Returns logits [R, K] in rows of a batch of trajectories [B, T, ...]."""
        return self._high_level(rows.take(data.observation))


def make_skill_prior(
    kind: str | None, skills: Skills, context: np.ndarray | None = None
) -> TransitionPrior | DistilledPrior | None:
    """Makes the prior of the high level, which eta_y weighs; None: the uniform.

    Args:
      kind: one of `agents.high_level.config.SKILL_PRIORS`.
      skills: frozen skills.
      context: see `restore`.

    Raises:
      ValueError: the bundle has no such prior.
    """
    if kind == "transition":
        return TransitionPrior(skills)
    return DistilledPrior(skills, context) if kind == "distilled" else None


def _read(skills: Skills) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    directory = _directory(skills)
    if not (directory / DESCRIPTION).is_file():
        raise ValueError(
            f"the skills at {skills.directory} have no distilled high level; "
            "launchers.analyse_skills --dataset=DIR and benchmarks.ceiling make one"
        )
    try:
        description = json.loads((directory / DESCRIPTION).read_text())
        weights = bundle.read_weights(directory / WEIGHTS)
        said = description["checksum"], description["skills"]
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as e:
        raise ValueError(
            f"the distilled high level at {directory} is not readable: {e}"
        ) from e
    skills_checksum = skills.description["checksum"]
    if said != (bundle.checksum({"skills": said[1]}, weights), skills_checksum):
        raise ValueError(
            f"the distilled high level at {directory} is damaged, or of other skills: "
            "remove it"
        )
    return description, weights


def _write(
    skills: Skills, weights: Mapping[str, np.ndarray], description: Mapping[str, Any]
) -> None:
    checksum = skills.description["checksum"]
    content = {
        **description,
        "skills": checksum,
        "checksum": bundle.checksum({"skills": checksum}, weights),
    }
    with bundle.replaced(_directory(skills)) as aside:
        np.savez(aside / WEIGHTS, **weights)
        text = json.dumps(content, indent=2, allow_nan=False)
        (aside / DESCRIPTION).write_text(text + "\n")


def _directory(skills: Skills) -> pathlib.Path:
    if skills.directory is None:
        raise ValueError("a distilled high level belongs to skills of a bundle")
    return pathlib.Path(skills.directory) / bundle.HIGH_LEVEL


def _named(high_level: snt.Module) -> dict[str, np.ndarray]:
    return {name: v.numpy() for name, v in _variables(high_level).items()}


def _variables(high_level: snt.Module) -> dict[str, tf.Variable]:
    """Returns the variables by a key of position (in the order of parts) and name."""
    return {
        f"{i:02d}_{v.name.split('/')[-1].removesuffix(':0')}": v
        for i, v in enumerate(high_level.variables)
    }
