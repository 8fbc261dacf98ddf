"""How many training steps per second does the HeLMS learner take, and how many can it?

    python -m benchmarks.offline_learner [--num_skills=10] [--seconds=60] [--xla]

A step is loss, gradient and Adam at the sizes of Table 5 and of the environment, on
synthetic data in memory. In turns with it, so that all see the same load of the
machine, run:

- the same model in loops over steps and skills (`reference_helms`), compiled as one
  tf.function with the same optimiser, and a few times as plain Python, not compiled;
- the step's matrix products alone: the bound for this TensorFlow on this machine.

A check shows first that learner and loop have the same loss and gradients.
"""

from __future__ import annotations

import itertools
import json
import os
import time
from collections.abc import Callable, Mapping

import numpy as np
import sonnet as snt
import tensorflow as tf
from absl import flags

from agents.helms import networks
from agents.helms.config import HelmsConfig
from agents.helms.model import HelmsModel
from agents.offline import learning
from agents.offline.networks import Dims, unit_statistics
from benchmarks import reference_helms
from benchmarks.common import products, untrained
from launchers.common import cli, onednn

_DEFAULTS = HelmsConfig()

_NUM_SKILLS = flags.DEFINE_integer("num_skills", _DEFAULTS.num_skills, "K.")
_BATCH_SIZE = flags.DEFINE_integer(
    "batch_size", _DEFAULTS.batch_size, "Windows of 25 control steps a training step."
)
_SECONDS = flags.DEFINE_float(
    "seconds", 60.0, "About how long to measure, after compiling."
)
_XLA = flags.DEFINE_bool("xla", False, "Compile learner and loop with XLA.")
_SEED = flags.DEFINE_integer("seed", 0, "Of weights and data.")

_MIN_ROUNDS = 5
_UNCOMPILED_ROUNDS = 3
_GRADIENT_TOLERANCE = 1e-3  # relative to a variable's largest; float32 gives 1e-5


def synthetic_batch(config: HelmsConfig, dims: Dims) -> dict[str, tf.Tensor]:
    """Makes a batch of smooth normalised observations, held actions, early ends."""
    rng = np.random.default_rng(config.seed)
    size, frames = config.batch_size, config.window + config.look_ahead

    def smooth(features: int) -> np.ndarray:
        start = rng.normal(size=(size, 1, features))
        moves = rng.normal(scale=0.1, size=(size, frames, features))
        return np.clip(start + np.cumsum(moves, axis=1), -8.0, 8.0)

    held = np.sign(smooth(dims.action)[:, : config.window])
    lengths = rng.integers(1, 10 * config.window, size=(size, 1))
    batch = {
        "proprio": smooth(dims.proprio),
        "objects": smooth(dims.objects),
        "action": np.clip(held * rng.uniform(0.5, 1.0, size=held.shape), -1.0, 1.0),
        "mask": np.arange(config.window) < lengths,
    }
    return {key: tf.constant(value, tf.float32) for key, value in batch.items()}


class LoopLearner:
    """Learner of the model in loops, which trains as the project's learner does."""

    def __init__(self, config: HelmsConfig, weights: Mapping[str, np.ndarray]):
        self._config = config
        self._model = reference_helms.ReferenceHelms(config, weights)
        self._optimizer = snt.optimizers.Adam(config.learning_rate)
        self._optimizer.apply(
            [tf.zeros_like(v) for v in self._model.parameters], self._model.parameters
        )

    def gradients(
        self, batch: Mapping[str, tf.Tensor], step: int | tf.Tensor
    ) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """Returns the loss, and its gradients in the order of the parameters."""
        config = self._config
        shape = [config.batch_size, config.window, config.num_skills, config.latent_dim]
        noise = tf.random.stateless_normal(shape, tf.stack([config.seed, step]))
        with tf.GradientTape() as tape:
            loss = self._model.loss(batch, noise)
        return loss, tape.gradient(loss, self._model.parameters)

    def step(self, batch: Mapping[str, tf.Tensor], step: tf.Tensor) -> tf.Tensor:
        """Takes a step of Adam; returns the loss before it."""
        loss, gradients = self.gradients(batch, step)
        self._optimizer.apply(gradients, self._model.parameters)
        return loss


def step_products(config: HelmsConfig, dims: Dims) -> list[products.Product]:
    """Lists the matrix products of a step."""
    rows, skills = config.batch_size * config.window, config.num_skills
    features, hidden = dims.proprio + dims.objects, config.hidden_sizes
    frames = (config.look_ahead + 1) * features
    return [
        *products.mlp(1, rows, frames, (*hidden, skills**2), 1),
        *products.mlp(skills, rows, features, (*hidden, 2 * config.latent_dim), 1),
        # Low level: proprioception's part of the first layer is shared by all skills.
        products.Product(1, rows, dims.proprio, hidden[0], 1),
        *products.mlp(1, rows * skills, config.latent_dim, (*hidden, dims.action), 2),
    ]


def _check_same(
    learner: learning.OfflineLearner,
    names: list[str],
    loop: LoopLearner,
    batch: Mapping[str, tf.Tensor],
    config: HelmsConfig,
) -> float:
    """Takes the learner's first step; returns the largest difference of gradients.

    Raises:
      RuntimeError: loss or gradients of learner and loop differ.
    """
    loss, expected = loop.gradients(batch, 0)
    actual = learner.step()["loss"]
    if not np.isclose(actual, loss, rtol=1e-4):
        raise RuntimeError(f"the losses differ: learner {actual}, loop {loss}")
    # Adam's first moment after the first step is a tenth of the gradient.
    moments = [10.0 * m.numpy() for m in learner.checkpointables["optimizer"].m]
    gradients = dict(zip(names, moments, strict=True))
    worst = 0.0
    for mine, other in zip(
        reference_helms.own_values(gradients, config), expected, strict=True
    ):
        scale = np.abs(other).max()
        worst = max(worst, float(np.abs(mine - other).max() / scale) if scale else 0.0)
    if worst > _GRADIENT_TOLERANCE:
        raise RuntimeError(f"the gradients differ by {worst:.2g} of the largest")
    return worst


def _seconds(function: Callable[[], object]) -> float:
    begin = time.perf_counter()
    function()
    return time.perf_counter() - begin


def measure(
    config: HelmsConfig, dims: Dims, seconds: float, xla: bool
) -> dict[str, float]:
    """Times learner, loop and bound in turn for about `seconds`.

    Raises:
      RuntimeError: learner and loop do not compute the same.
    """
    batch = synthetic_batch(config, dims)
    nets = networks.HelmsNetworks(config, dims, unit_statistics(dims))
    weights = {v.name: v.numpy() for v in nets.variables}
    names = [v.name for v in nets.trainable_variables]
    learner = learning.OfflineLearner(
        HelmsModel(nets), lambda _: itertools.repeat(batch), jit_compile=xla
    )
    loop = LoopLearner(config, weights)
    difference = _check_same(learner, names, loop, batch, config)
    compiled = tf.function(loop.step, jit_compile=xla)
    steps = itertools.count()
    shapes = step_products(config, dims)
    runs = {
        "learner": learner.step,
        "loop": lambda: compiled(batch, tf.constant(next(steps))).numpy(),
        "bound": products.make_bound(shapes, config.seed),
    }
    compile_seconds = {name: _seconds(run) for name, run in runs.items()}
    times: dict[str, list[float]] = {name: [] for name in runs}
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times["loop"]) < _MIN_ROUNDS:
        for name, run in runs.items():
            times[name].append(_seconds(run))
    plain = [
        (_seconds(learner.step), _seconds(lambda: loop.step(batch, next(steps))))
        for _ in range(_UNCOMPILED_ROUNDS)
    ]
    median = {name: float(np.median(values)) for name, values in times.items()}
    ratios = np.divide(times["loop"], times["learner"])
    return {
        "steps_per_second": 1.0 / median["learner"],
        "loop_steps_per_second": 1.0 / median["loop"],
        "ratio": float(np.median(ratios)),
        "uncompiled_loop_steps_per_second": float(1 / np.median([b for _, b in plain])),
        "uncompiled_ratio": float(np.median([b / a for a, b in plain])),
        "matmul_steps_per_second": 1.0 / median["bound"],
        "share_of_matmul_bound": float(
            np.median(np.divide(times["bound"], times["learner"]))
        ),
        "ratio_at_matmul_bound": float(
            np.median(np.divide(times["loop"], times["bound"]))
        ),
        "matmul_gflop_per_step": products.flops(shapes) / 1e9,
        "gflops": products.flops(shapes) / 1e9 / median["learner"],
        "loop_compile_seconds": compile_seconds["loop"],
        "gradient_difference": difference,
        "rounds": len(times["loop"]),
    }


def main(argv: list[str]) -> None:
    """Measures and prints."""
    del argv
    with cli.bad_input():
        if _SECONDS.value <= 0:
            raise ValueError(f"--seconds is {_SECONDS.value}; valid: above 0")
        config = HelmsConfig(
            num_skills=_NUM_SKILLS.value,
            batch_size=_BATCH_SIZE.value,
            seed=_SEED.value,
        )
    dims = untrained.environment_dims()
    result = measure(config, dims, _SECONDS.value, _XLA.value) | {
        "num_skills": config.num_skills,
        "batch_size": config.batch_size,
        "xla": _XLA.value,
        "onednn": os.environ[onednn.VARIABLE] == "1",
        "cores": os.cpu_count(),
    }
    for name, value in result.items():
        print(f"{name:35s}{round(value, 5)}")
    print(json.dumps(result))


if __name__ == "__main__":
    cli.run(main)
