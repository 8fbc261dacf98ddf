"""Checkpoints that a learner writes: their place, their steps, their policy."""

from __future__ import annotations

import pathlib

import sonnet as snt
import tensorflow as tf

from agents import checkpoints

NAME = "learner"  # of the directory within `checkpoints`
_NUM_STEPS = "num_steps/.ATTRIBUTES/VARIABLE_VALUE"


def newest(directory: str) -> str | None:
    """Finds the newest checkpoint below a work directory (`agents.checkpoints`)."""
    path = pathlib.Path(directory, "checkpoints", NAME)
    return checkpoints.newest(path)


def steps(directory: str) -> int | None:
    """Reads the learner steps of a learner's newest checkpoint.

    Returns:
      None where there is no checkpoint.

    Raises:
      ValueError: in one line, if there is one that cannot be read.
    """
    path = newest(directory)
    if path is None:
        return None
    with checkpoints.reading(path):
        return int(tf.train.load_variable(path, _NUM_STEPS))


def restore_policy(policy: snt.Module, directory: str) -> int:
    """Reads a policy, with its variables made, from a learner's newest checkpoint.

    Returns:
      The learner steps of that checkpoint.

    Raises:
      ValueError: there is no checkpoint, or it is of another model.
    """
    return _restore(directory, "it is of another model", policy=policy)


def restore_critic(critic: snt.Module, directory: str) -> int:
    """Reads a critic as `restore_policy` reads a policy.

    Raises:
      ValueError: there is no checkpoint, or it has no such critic.
    """
    mismatch = "it has no such critic; exported agents have none"
    return _restore(directory, mismatch, critic=critic)


def _restore(directory: str, mismatch: str, **modules: snt.Module) -> int:
    path = newest(directory)
    if path is None:
        raise ValueError(f"no checkpoint in {directory}")
    num_steps = tf.Variable(0, dtype=tf.int64, trainable=False)
    with checkpoints.reading(path):
        restored = tf.train.Checkpoint(num_steps=num_steps, **modules)
        try:
            status = restored.restore(path)
            status.expect_partial()  # or TensorFlow lists all that is not read
            status.assert_existing_objects_matched()
        except (AssertionError, ValueError) as e:
            raise ValueError(mismatch) from e
    return int(num_steps)


def save_policy(policy: snt.Module, directory: str, steps: int) -> None:
    """Writes a checkpoint of a policy alone, which `restore_policy` reads."""
    num_steps = tf.Variable(steps, dtype=tf.int64, trainable=False)
    path = pathlib.Path(directory, "checkpoints", NAME)
    prefix = f"{checkpoints.plain(path)}/ckpt"
    tf.train.Checkpoint(policy=policy, num_steps=num_steps).save(prefix)
