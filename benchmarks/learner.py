"""How many steps a second do the RL learners take, ours against Acme's MPO?

    python -m benchmarks.learner [--seconds=60] [--vision]

Ours and Acme's are timed in turn, so that both see the same load of the machine, on
data that is synthetic and in memory:

- `mpo`: the networks of Acme's TF MPO (policy 256, 256, 256, critic 512, 512, 256),
  without RNN, 20 samples, batches of at least as many transitions as Acme's 256. Ours
  are in sequences of 10 rows, so that it improves the policy in a few more states;
- `helms_cat`, `helms_mix`, `npmp`: Table 5 sizes (512 sequences of 10, 20 samples, a
  critic with an LSTM) on the environment's observations. `--vision` adds helms_mix and
  asymmetric_mpo on one 64x64 camera, at a batch of 8 (and what that makes at 512).

The profile of each is by part: what the E-step and the bootstrap need, the critic's
loss and gradient, the policy's, and the rest (clipping, Adam, targets).
"""

from __future__ import annotations

import itertools
import json
import math
import os
import time
from collections.abc import Callable

import numpy as np
import reverb
import tensorflow as tf
from absl import flags
from acme import core, specs, types
from acme.adders.reverb import base

from agents.mpo.config import GaussianMPOConfig
from agents.mpo.gaussian import GaussianMPOBuilder
from agents.mpo.learning import MPOLearner
from agents.rl_agents import AGENTS
from benchmarks import acme_mpo, untrained
from environments import wrappers
from launchers import command

_SECONDS = flags.DEFINE_float("seconds", 60.0, "About how long to measure each.")
_VISION = flags.DEFINE_bool("vision", False, "Measure the agents on images too.")
_SEED = flags.DEFINE_integer("seed", 0, "Of weights and data.")

_MIN_ROUNDS = 5
_ACME_OBSERVATION = 67  # dm_control's humanoid:stand
_ACME_ACTION = 21
_IMAGE = "basket_front_left/pixels"
_VISION_BATCH = 8


def synthetic_sample(
    spec: specs.EnvironmentSpec,
    latent: specs.Array,
    batch: int,
    time_steps: int,
    rng: np.random.Generator,
) -> reverb.ReplaySample:
    """A batch of sequences [B, T, ...] as replay gives it."""
    shape = (batch, time_steps)

    def draw(array: specs.Array) -> np.ndarray:
        if np.issubdtype(array.dtype, np.integer):
            high = getattr(array, "num_values", 256)
            return rng.integers(high, size=(*shape, *array.shape)).astype(array.dtype)
        return rng.normal(size=(*shape, *array.shape)).astype(np.float32)

    data = base.Trajectory(
        observation={key: draw(array) for key, array in spec.observations.items()},
        action=draw(latent),
        reward=rng.uniform(size=shape).astype(np.float32),
        discount=np.ones(shape, np.float32),
        start_of_episode=np.zeros(shape, bool),
        extras={"valid": np.ones(shape, np.float32)},
    )
    return reverb.ReplaySample(info=(), data=tf.nest.map_structure(tf.constant, data))


def acme_learner(rng: np.random.Generator) -> core.Learner:
    """Acme's."""

    def draw(*shape: int) -> tf.Tensor:
        return tf.constant(rng.normal(size=(acme_mpo.BATCH_SIZE, *shape)), tf.float32)

    transition = types.Transition(
        observation=draw(_ACME_OBSERVATION),
        action=draw(_ACME_ACTION),
        reward=draw(),
        discount=tf.ones([acme_mpo.BATCH_SIZE]),
        next_observation=draw(_ACME_OBSERVATION),
    )
    sample = reverb.ReplaySample(info=(), data=transition)
    learner, _ = acme_mpo.make_learner(
        _ACME_OBSERVATION,
        _ACME_ACTION,
        critic_sizes=(512, 512, 256),
        dataset=tf.data.Dataset.from_tensors(sample).repeat(),
    )
    return learner


def our_learner(
    rng: np.random.Generator, seed: int
) -> tuple[MPOLearner, reverb.ReplaySample]:
    """Ours at the sizes of Acme's."""
    config = GaussianMPOConfig(
        policy_keys=("state",),
        critic_keys=("state",),
        input_size=512,
        policy_hidden_sizes=(256, 256),
        critic_hidden_sizes=(512, 256),
        critic_rnn_size=0,
    )
    spec = wrappers.environment_spec()._replace(
        observations={"state": specs.Array((_ACME_OBSERVATION,), np.float32)},
        actions=specs.BoundedArray((_ACME_ACTION,), np.float32, -1.0, 1.0),
    )
    builder = GaussianMPOBuilder(config)
    steps = config.sequence_length
    batch = math.ceil(acme_mpo.BATCH_SIZE / (steps - 1))
    sample = synthetic_sample(spec, builder.latent_spec(spec), batch, steps, rng)
    networks = builder.make_networks(spec, seed)
    return builder.make_learner(networks, itertools.repeat(sample)), sample


def table_5_learner(
    name: str, rng: np.random.Generator, seed: int, vision: bool = False
) -> tuple[MPOLearner, reverb.ReplaySample]:
    """An agent's at Table 5 sizes, over an untrained bundle of K = 5."""
    agent = AGENTS[name]
    settings = agent.default_settings((_IMAGE,) if vision else ())
    if vision:
        settings["batch_size"] = _VISION_BATCH
    config = agent.config_type(**settings)
    spec = wrappers.environment_spec()
    if vision:
        spec.observations[_IMAGE] = specs.Array((64, 64, 3), np.uint8, name=_IMAGE)
    builder = agent.builder(config, untrained.frozen(agent.model, seed))
    sample = synthetic_sample(
        spec,
        builder.latent_spec(spec),
        config.batch_size,
        config.sequence_length,
        rng,
    )
    networks = builder.make_networks(spec, seed)
    return builder.make_learner(networks, itertools.repeat(sample)), sample


def profile(learner: MPOLearner, sample: reverb.ReplaySample) -> dict[str, float]:
    """Seconds of a step's parts."""
    return {name: _median_seconds(run) for name, run in learner.parts(sample).items()}


def _seconds(function: Callable[[], object]) -> float:
    begin = time.perf_counter()
    function()
    return time.perf_counter() - begin


def _median_seconds(function: Callable[[], object], rounds: int = 5) -> float:
    function()  # compiles
    return float(np.median([_seconds(function) for _ in range(rounds)]))


def against_acme(seconds: float, seed: int) -> dict[str, float]:
    """Ours and Acme's in turn."""
    rng = np.random.default_rng(seed)
    tf.random.set_seed(seed)
    ours, _ = our_learner(rng, seed)
    acme = acme_learner(rng)
    ours.step()
    acme.step()
    times: list[tuple[float, float]] = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times) < _MIN_ROUNDS:
        times.append((_seconds(ours.step), _seconds(acme.step)))
    pairs = np.array(times)
    return {
        "steps_per_second": 1.0 / float(np.median(pairs[:, 0])),
        "acme_steps_per_second": 1.0 / float(np.median(pairs[:, 1])),
        "ratio": float(np.median(pairs[:, 1] / pairs[:, 0])),
        "rounds": len(times),
    }


def alone(
    learner: MPOLearner, sample: reverb.ReplaySample, seconds: float
) -> dict[str, float]:
    """Steps a second of one learner, and its parts' seconds."""
    learner.step()
    times = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times) < _MIN_ROUNDS:
        times.append(_seconds(learner.step))
    step = float(np.median(times))
    parts = profile(learner, sample)
    parts["rest"] = max(0.0, step - sum(parts.values()))
    return {
        "steps_per_second": 1.0 / step,
        **{f"seconds_{name}": value for name, value in parts.items()},
    }


def main(argv: list[str]) -> None:
    """Measures and prints."""
    del argv
    with command.bad_input():
        if _SECONDS.value <= 0:
            raise ValueError(f"--seconds is {_SECONDS.value}; valid: above 0")
    seconds, seed = _SECONDS.value, _SEED.value
    result: dict[str, object] = dict(against_acme(seconds, seed))
    for name in ("steps_per_second", "acme_steps_per_second", "ratio"):
        print(f"mpo {name:30s}{result[name]:.3f}", flush=True)
    rng = np.random.default_rng(seed)
    cases = [(name, False) for name in ("helms_cat", "helms_mix", "npmp")]
    if _VISION.value:
        cases += [("helms_mix", True), ("asymmetric_mpo", True)]
    for name, vision in cases:
        found = alone(*table_5_learner(name, rng, seed, vision), seconds)
        title = name
        if vision:
            title = f"{name.removesuffix('_mpo')}_vision"
            found["batch_size"] = _VISION_BATCH
            found["steps_per_second_at_512"] = (
                found["steps_per_second"] * _VISION_BATCH / 512
            )
        result[title] = found
        for key, value in found.items():
            print(f"{title} {key:30s}{value:.4f}", flush=True)
    result["cores"] = os.cpu_count()
    print(json.dumps(result))


if __name__ == "__main__":
    command.run(main)
