"""Set-up of the benchmark's nodes: threads, memory, builder and environment."""

from __future__ import annotations

import ctypes
import dataclasses

import dm_env
import tensorflow as tf

from agents.mpo.builder import MPOBuilder
from agents.registry import AGENTS
from benchmarks.common import untrained

REAL_TIME = 20.0  # control steps per second of an actor
_M_MMAP_THRESHOLD = -3  # parameter of mallopt, from glibc's malloc.h
_LARGE_BYTES = 64 * 1024


def one_thread() -> None:
    """Limits TensorFlow to one thread, as in actors; call it before TensorFlow runs."""
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)


def return_memory() -> None:
    """Makes this process return large blocks to the system when they are freed.

    glibc keeps large freed blocks (its mmap threshold grows up to 32 MB) in heaps of
    several threads each. A process of hundreds of actors, whose variable clients have
    a thread each, would grow by megabytes per actor; a real actor, which has a few
    threads, does not.
    """
    ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)


def make_builder(agent: str, seed: int, replay_size: int | None = None) -> MPOBuilder:
    """Makes the agent's builder over an untrained model of the real sizes.

    Args:
      agent: name of an agent that acts on state.
      seed: seed of the model's weights.
      replay_size: sequences that replay holds; None takes the agent's default.
    """
    agent_type = AGENTS[agent]
    config = agent_type.config_type()
    if replay_size is not None:
        config = dataclasses.replace(
            config,
            max_replay_size=replay_size,
            min_replay_size=min(config.min_replay_size, replay_size),
        )
    builder = agent_type.builder(config, untrained.frozen(agent_type.model, seed))
    assert isinstance(builder, MPOBuilder)
    return builder


def make_environment(seed: int) -> dm_env.Environment:
    """Makes the real environment, as agents see it."""
    import environments

    return environments.make(
        domain_randomization=True, max_action_delay=2, seed=seed, grouped=True
    )
