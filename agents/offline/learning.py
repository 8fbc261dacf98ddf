"""Offline learner: one compiled step of Adam on any `OfflineModel`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import acme
import numpy as np
import sonnet as snt
import tensorflow as tf
from acme.utils import counting, loggers

from agents.offline.config import OfflineConfig
from agents.offline.model import Batch, OfflineModel
from agents.offline.schedule import CosineAdam

# Means over the valid steps of a data set, likelihoods and KLs in nats per step: `elbo`
# (the model's objective), those of `OfflineModel.metrics`, and `steps`, their number.
Evaluation = dict[str, float | list[float]]

_KEYS = ("proprio", "objects", "action", "mask")


def scalars(evaluation: Evaluation) -> dict[str, float]:
    """Returns a flat dict for loggers; a list `x` becomes x_0, x_1 and so on."""
    flat = {}
    for key, value in evaluation.items():
        if isinstance(value, list):
            flat.update({f"{key}_{i}": item for i, item in enumerate(value)})
        else:
            flat[key] = value
    return flat


class OfflineLearner(acme.Learner):
    """Learner that maximises a model's objective on batches of windows.

    A batch whose loss or gradient is not finite changes nothing and raises.
    """

    def __init__(
        self,
        model: OfflineModel,
        make_batches: Callable[[int], Iterable[Batch]] | None = None,
        counter: counting.Counter | None = None,
        logger: loggers.Logger | None = None,
        jit_compile: bool = False,
    ):
        """Prepares the learner; reads no data yet.

        Args:
          model: model with the objective, the variables and the optimiser's settings.
          make_batches: maps the number of batches that training has used (so that a
            resumed run continues in the data where it stopped) to the endless rest of
            them. Only `step` needs it.
          counter: counts steps and the time they take.
          logger: receives the means of each step.
          jit_compile: compile the step with XLA. On a CPU the step gains nothing and
            takes three times as long to compile.
        """
        self._model, self._config = model, model.config
        self._make_batches = make_batches
        self._batches: Iterator[Batch] | None = None
        self._counter = counter or counting.Counter()
        self._logger = logger or loggers.NoOpLogger()
        self._variables = model.networks.trainable_variables
        self._optimizer = _make_optimizer(self._config)
        # Makes the moments now, so that a checkpoint can restore them.
        self._optimizer.apply(
            [tf.zeros_like(v) for v in self._variables], self._variables
        )
        self._optimizer.step.assign(0)
        self._num_steps = tf.Variable(0, dtype=tf.int64, trainable=False)

        dims, window = model.networks.dims, self._config.window
        frames = window + self._config.look_ahead
        shapes = {
            "proprio": (frames, dims.proprio),
            "objects": (frames, dims.objects),
            "action": (window, dims.action),
            "mask": (window,),
        }
        self._spec = {
            key: tf.TensorSpec([None, *shape], tf.float32, name=key)
            for key, shape in shapes.items()
        }
        seed = tf.TensorSpec([2], tf.int32, name="seed")
        self._step = tf.function(
            self._train,
            input_signature=[self._spec, seed],
            autograph=False,  # converting code without control flow takes seconds
            jit_compile=jit_compile,
        )
        self._sums = tf.function(
            self._evaluation_sums,
            input_signature=[self._spec, seed],
            autograph=False,
        )

    @property
    def num_steps(self) -> int:
        """Number of steps taken, those before a restart included."""
        return int(self._num_steps)

    @property
    def checkpointables(self) -> dict[str, Any]:
        """Objects that a checkpoint must hold to resume as if never stopped."""
        return {
            "networks": self._model.networks,
            "optimizer": self._optimizer,
            "num_steps": self._num_steps,
        }

    def step(self) -> dict[str, float]:
        """Takes one learner step and returns its means in nats per step.

        Raises:
          FloatingPointError: the loss or a gradient is not finite; weights, optimiser
            and step count are as before.
          ValueError: the batch does not have the shapes of the networks.
        """
        if self._batches is None:
            if self._make_batches is None:
                raise ValueError("this learner was made without batches to train on")
            self._batches = iter(self._make_batches(self.num_steps))
        start = time.perf_counter()
        batch = self._check(next(self._batches))
        # A function of the step alone, so a resumed run draws as if never stopped.
        seed = tf.constant([self._config.seed, self.num_steps], tf.int32)
        means = {k: float(v) for k, v in self._step(batch, seed).items()}
        if means.pop("finite") < 1.0:
            raise FloatingPointError(
                f"loss {means['loss']} or gradient norm {means['gradient_norm']} is "
                f"not finite at step {self.num_steps + 1}; the weights stay those of "
                f"step {self.num_steps}; look for NaN in the data or lower "
                "learning_rate"
            )
        counts = self._counter.increment(steps=1, walltime=time.perf_counter() - start)
        self._logger.write({**means, **counts})
        return means

    def get_variables(self, names: list[str]) -> list[list[np.ndarray]]:
        """Returns all variables of the networks, once per name."""
        return [[v.numpy() for v in self._model.networks.variables] for _ in names]

    def evaluate(self, batches: Iterable[Batch]) -> Evaluation:
        """Returns means over one finite pass, with the same noise every time.

        Raises:
          ValueError: there is no valid step.
          FloatingPointError: the objective is not finite.
        """
        total: dict[str, np.ndarray] = {}
        for index, batch in enumerate(batches):
            seed = tf.constant([self._config.seed + 1, index], tf.int32)
            for key, value in self._sums(self._check(batch), seed).items():
                total[key] = total.get(key, 0.0) + value.numpy().astype(np.float64)
        steps = total.pop("steps", 0.0)
        if steps == 0:
            raise ValueError("no valid step to evaluate on")
        means = {key: value / steps for key, value in total.items()}
        elbo = float(means.pop("elbo"))
        if not np.isfinite(elbo):
            raise FloatingPointError(f"the bound is {elbo} in evaluation")
        return {"elbo": elbo, **self._model.metrics(means), "steps": int(steps)}

    def _check(self, batch: Batch) -> dict[str, tf.Tensor]:
        missing = [key for key in _KEYS if key not in batch]
        if missing:
            raise ValueError(f"a batch needs {', '.join(_KEYS)}; missing: {missing[0]}")
        tensors = {key: tf.convert_to_tensor(batch[key], tf.float32) for key in _KEYS}
        for key, spec in self._spec.items():
            if not spec.shape.is_compatible_with(tensors[key].shape):
                raise ValueError(
                    f"{key} of a batch has shape {tuple(tensors[key].shape)}, the "
                    f"model takes {tuple(spec.shape)}"
                )
        return tensors

    def _train(self, batch: Batch, seed: tf.Tensor) -> dict[str, tf.Tensor]:
        with tf.GradientTape() as tape:
            terms = self._model.terms(batch, seed)
            # A constant scale (not the number of valid steps, which differs between
            # batches), so that the gradient is that of the bound of the data set.
            loss = -tf.reduce_mean(terms.objective) / self._config.window
        gradients = tape.gradient(loss, self._variables)
        norm = tf.linalg.global_norm(gradients)
        finite = tf.math.is_finite(loss) & tf.math.is_finite(norm)
        if self._config.max_gradient_norm is not None:
            gradients, _ = tf.clip_by_global_norm(
                gradients, self._config.max_gradient_norm, use_norm=norm
            )

        def apply() -> tf.Tensor:
            self._optimizer.apply(gradients, self._variables)
            return tf.identity(self._num_steps.assign_add(1))

        tf.cond(finite, apply, lambda: tf.identity(self._num_steps))
        steps = tf.maximum(tf.reduce_sum(batch["mask"]), 1.0)
        return {
            "finite": tf.cast(finite, tf.float32),
            "loss": loss,
            "gradient_norm": norm,
            "elbo": tf.reduce_sum(terms.objective) / steps,
            **{key: value / steps for key, value in terms.sums.items()},
        }

    def _evaluation_sums(self, batch: Batch, seed: tf.Tensor) -> dict[str, tf.Tensor]:
        terms = self._model.terms(batch, seed, evaluation=True)
        return {
            "steps": tf.reduce_sum(tf.cast(batch["mask"] > 0, tf.float32)),
            "elbo": tf.reduce_sum(terms.objective),
            **terms.sums,
        }


def _make_optimizer(config: OfflineConfig) -> snt.optimizers.Adam:
    if config.learning_rate_schedule == "cosine":
        return CosineAdam(config.learning_rate, config.learning_rate_steps)
    return snt.optimizers.Adam(config.learning_rate)
