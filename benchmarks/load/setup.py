"""What every node of the benchmark makes for itself: builder, environment, tables."""

from __future__ import annotations

import dataclasses

import dm_env
import tensorflow as tf

from agents.mpo.builder import MPOBuilder
from agents.rl_agents import AGENTS
from benchmarks import untrained
from environments import wrappers


def one_thread() -> None:
    """Keeps TensorFlow to one thread, as actors do; before it is used."""
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)


def make_builder(agent: str, seed: int, replay_size: int | None = None) -> MPOBuilder:
    """The agent's builder over an untrained model of the real sizes.

    Args:
      agent: its name; one that acts on state.
      seed: of the model's weights.
      replay_size: sequences that replay holds; None for the agent's.
    """
    made = AGENTS[agent]
    config = made.config_type()
    if replay_size is not None:
        config = dataclasses.replace(
            config,
            max_replay_size=replay_size,
            min_replay_size=min(config.min_replay_size, replay_size),
        )
    return made.builder(config, untrained.frozen(made.model, seed))


def make_environment(seed: int) -> dm_env.Environment:
    """The real one, as agents see it."""
    import environments

    return wrappers.GroupObservations(
        environments.make(domain_randomization=True, max_action_delay=2, seed=seed)
    )
