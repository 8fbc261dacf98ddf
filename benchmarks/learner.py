"""How many steps per second do the RL learners take, compared with Acme's MPO?

    python -m benchmarks.learner [--seconds=60] [--vision]
    python -m benchmarks.learner --against=COMMIT

This project's learners and Acme's are timed in turns, so that both see the same load of
the machine, on synthetic data in memory:

- `mpo`: the networks of Acme's TF MPO (policy 256, 256, 256, critic 512, 512, 256),
  without RNN, 20 samples, batches of at least as many transitions as Acme's 256. This
  project's batches are sequences of 10 rows, so that its learner improves the policy in
  a few more states;
- `helms_cat`, `helms_mix`, `npmp`: Table 5 sizes (512 sequences of 10, 20 samples, a
  critic with an LSTM) on the environment's observations. `--vision` adds helms_mix and
  asymmetric_mpo on one 64x64 camera, at a batch of 8 (and scales the result to 512).

The profile of each is by part: E-step and bootstrap, the critic's loss and gradient,
the policy's, and the rest (clipping, Adam, targets). The matrix products of the steps
run in turns with the steps: the bound for this TensorFlow on this machine.

`--against` only runs the steps of helms_mix and helms_cat in turns with those of
another commit: `ratio` of each is the steps per CPU second here over those there.
"""

from __future__ import annotations

import itertools
import json
import math
import os
import pathlib
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import reverb
import tensorflow as tf
from absl import flags
from acme import core, specs, types
from acme.adders.reverb import base

from agents.helms.config import HelmsConfig
from agents.mpo.builder import MPOBuilder
from agents.mpo.config import GaussianMPOConfig, MPOConfig, SampledMPOConfig
from agents.mpo.gaussian import GaussianMPOBuilder
from agents.mpo.learning import MPOLearner
from agents.registry import AGENTS
from benchmarks import against
from benchmarks.common import acme_mpo, products, untrained
from environments import wrappers
from launchers.common import cli, onednn

_SECONDS = flags.DEFINE_float("seconds", 60.0, "About how long to measure each.")
_VISION = flags.DEFINE_bool("vision", False, "Measure the agents on images too.")
_SEED = flags.DEFINE_integer("seed", 0, "Of weights and data.")
_AGAINST = flags.DEFINE_string(
    "against",
    None,
    "A commit to compare with, for --seconds an agent. It is built under runs/against "
    "and kept; where it asks for other packages that takes minutes and 2 GB.",
)

_ROUND = pathlib.Path(__file__).with_name("against_learner.py")
_COMPARED = ("helms_mix", "helms_cat")

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
    """Makes a batch of sequences [B, T, ...] as replay gives it."""
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
    """Makes Acme's MPO learner over one random batch, which repeats for ever."""

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
    """Makes this project's MPO learner at the sizes of Acme's."""
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
    sample = synthetic_sample(spec, builder.agent_action_spec(spec), batch, steps, rng)
    networks = builder.make_networks(spec, seed)
    return builder.make_learner(networks, itertools.repeat(sample)), sample


def table_5_learner(
    name: str, rng: np.random.Generator, seed: int, vision: bool = False
) -> tuple[MPOLearner, reverb.ReplaySample]:
    """Makes an agent's learner at Table 5 sizes, over an untrained bundle of K = 5."""
    agent = AGENTS[name]
    settings = agent.default_settings((_IMAGE,) if vision else ())
    if vision:
        settings["batch_size"] = _VISION_BATCH
    config = agent.config_type(**settings)
    spec = wrappers.environment_spec()
    if vision:
        spec.observations[_IMAGE] = specs.Array((64, 64, 3), np.uint8, name=_IMAGE)
    builder = agent.builder(config, untrained.frozen(agent.model, seed))
    assert isinstance(builder, MPOBuilder)
    sample = synthetic_sample(
        spec,
        builder.agent_action_spec(spec),
        config.batch_size,
        config.sequence_length,
        rng,
    )
    networks = builder.make_networks(spec, seed)
    return builder.make_learner(networks, itertools.repeat(sample)), sample


def step_products(name: str, config: MPOConfig) -> list[products.Product]:
    """Lists a step's matrix products at Table 5 sizes, on batches in mid-episode."""
    dims, skills = untrained.environment_dims(), HelmsConfig()
    observed = dims.proprio + dims.objects
    batch, size = config.batch_size, config.critic_rnn_size
    rows = batch * config.sequence_length
    states = batch * (config.sequence_length - config.burn_in_steps)
    inner, outer = config.input_size, config.critic_hidden_sizes
    policy = (inner, *config.policy_hidden_sizes)
    if name == "npmp":
        policy = (*policy, 2 * skills.latent_dim)
    else:
        policy = (*policy, skills.num_skills)
    parts = []
    for trained in (0, 1):  # target and online
        parts += [
            products.Product(1, rows, observed, inner, trained),
            products.Product(1, rows, inner, 4 * size, 2 * trained),
            products.Product(
                config.sequence_length - 1, batch, size, 4 * size, 2 * trained
            ),
        ]
        if name == "helms_cat":
            heads = (*outer, skills.num_skills)
            parts += products.mlp(1, states, size, heads, 2 * trained)
        else:
            assert isinstance(config, SampledMPOConfig)
            actions = states * (1 if trained else config.num_samples)
            parts.append(products.Product(1, states, size, outer[0], 2 * trained))
            parts += products.mlp(1, actions, skills.latent_dim, (*outer, 1), trained)
        parts += products.mlp(1, states, observed, policy, trained)
    if name == "helms_mix":
        heads = (*skills.hidden_sizes, 2 * skills.latent_dim)
        for trained in (0, 0, 1):  # prior, target and online
            parts += products.mlp(skills.num_skills, states, observed, heads, trained)
    return parts


def profile(learner: MPOLearner, sample: reverb.ReplaySample) -> dict[str, float]:
    """Measures the seconds of a step's parts."""
    return {name: _median_seconds(run) for name, run in learner.parts(sample).items()}


def _seconds(function: Callable[[], object]) -> float:
    begin = time.perf_counter()
    function()
    return time.perf_counter() - begin


def _median_seconds(function: Callable[[], object], rounds: int = 5) -> float:
    function()  # compiles
    return float(np.median([_seconds(function) for _ in range(rounds)]))


def against_acme(seconds: float, seed: int) -> dict[str, float]:
    """Times this project's MPO and Acme's in turns."""
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
    learner: MPOLearner,
    sample: reverb.ReplaySample,
    seconds: float,
    shapes: list[products.Product],
) -> dict[str, float]:
    """Measures a learner's steps per second, its parts' seconds, and its bound."""
    learner.step()
    bound = products.make_bound(shapes, 0) if shapes else None
    times: list[float] = []
    bounds: list[float] = []
    if bound:
        bound()
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times) < _MIN_ROUNDS:
        times.append(_seconds(learner.step))
        if bound:
            bounds.append(_seconds(bound))
    step = float(np.median(times))
    parts = profile(learner, sample)
    parts["rest"] = max(0.0, step - sum(parts.values()))
    result = {
        "steps_per_second": 1.0 / step,
        **{f"seconds_{name}": value for name, value in parts.items()},
    }
    if bound:
        result |= {
            "matmul_steps_per_second": 1.0 / float(np.median(bounds)),
            "share_of_matmul_bound": float(np.median(np.divide(bounds, times))),
            "matmul_gflop_per_step": products.flops(shapes) / 1e9,
        }
    return result


def against_commit(commit: str, seconds: float, seed: int) -> dict[str, object]:
    """Times this tree's steps and another commit's in turns, with an entry per agent.

    Raises:
      ValueError: the commit cannot be run.
    """
    sides = against.ours(), against.build(commit)
    result: dict[str, Any] = {"against": against.resolve(commit)}
    for name in _COMPARED:
        settings = {"agent": name, "seed": seed}
        rounds = against.alternate(sides, _ROUND, settings, seconds)
        result[name] = against.summarise(*rounds)
        for key, value in result[name].items():
            print(f"{name} {key:30s}{value:.4f}", flush=True)
    return result


def main(argv: list[str]) -> None:
    """Measures and prints."""
    del argv
    seconds, seed = _SECONDS.value, _SEED.value
    with cli.bad_input():
        if seconds <= 0:
            raise ValueError(f"--seconds is {seconds}; valid: above 0")
        if _AGAINST.value is not None:
            print(json.dumps(against_commit(_AGAINST.value, seconds, seed)))
            return
    result: dict[str, object] = dict(against_acme(seconds, seed))
    for name in ("steps_per_second", "acme_steps_per_second", "ratio"):
        print(f"mpo {name:30s}{result[name]:.3f}", flush=True)
    rng = np.random.default_rng(seed)
    cases = [(name, False) for name in ("helms_cat", "helms_mix", "npmp")]
    if _VISION.value:
        cases += [("helms_mix", True), ("asymmetric_mpo", True)]
    for name, vision in cases:
        agent_type = AGENTS[name]
        # With images, most of the work is in convolutions.
        shapes = [] if vision else step_products(name, agent_type.config_type())
        rates = alone(*table_5_learner(name, rng, seed, vision), seconds, shapes)
        title = name
        if vision:
            title = f"{name.removesuffix('_mpo')}_vision"
            rates["batch_size"] = _VISION_BATCH
            rates["steps_per_second_at_512"] = (
                rates["steps_per_second"] * _VISION_BATCH / 512
            )
        result[title] = rates
        for key, value in rates.items():
            print(f"{title} {key:30s}{value:.4f}", flush=True)
    result["cores"] = os.cpu_count()
    result["onednn"] = os.environ[onednn.VARIABLE] == "1"
    print(json.dumps(result))


if __name__ == "__main__":
    cli.run(main)
