"""Best weights of a training, by held-out evaluation."""

from __future__ import annotations

import json

import tensorflow as tf

from agents.offline.learning import Evaluation, scalars
from agents.offline.networks import OfflineNetworks


class BestWeights(tf.Module):
    """First and best evaluation, and the weights of the best.

    All of it is held in variables, so that a checkpoint of the learner saves it at the
    same step as the weights that train.
    """

    def __init__(self, networks: OfflineNetworks):
        """Takes a copy of the networks, which will hold the best weights."""
        super().__init__(name="selection")
        self.networks = networks
        self._first = tf.Variable("", dtype=tf.string, trainable=False)
        self._best = tf.Variable("", dtype=tf.string, trainable=False)
        self._last_step = tf.Variable(-1, dtype=tf.int64, trainable=False)
        self._stale = tf.Variable(0, dtype=tf.int64, trainable=False)

    @property
    def first(self) -> Evaluation:
        """Evaluation before training, with its `learner_steps`."""
        return json.loads(self._first.numpy())

    @property
    def best(self) -> Evaluation:
        """Best evaluation by `elbo`, with its `learner_steps`."""
        return json.loads(self._best.numpy())

    @property
    def last_step(self) -> int:
        """Learner step of the last evaluation; -1 before any."""
        return int(self._last_step)

    @property
    def stale(self) -> int:
        """Number of evaluations since the best."""
        return int(self._stale)

    def update(
        self, networks: OfflineNetworks, evaluation: Evaluation, num_steps: int
    ) -> bool:
        """Records an evaluation; returns whether it is the best so far."""
        record = json.dumps({**evaluation, "learner_steps": num_steps})
        if self.last_step < 0:
            self._first.assign(record)
        is_best = (
            self.last_step < 0
            or scalars(evaluation)["elbo"] > scalars(self.best)["elbo"]
        )
        if is_best:
            for mine, theirs in zip(
                self.networks.variables, networks.variables, strict=True
            ):
                mine.assign(theirs)
            self._best.assign(record)
            self._stale.assign(0)
        else:
            self._stale.assign_add(1)
        self._last_step.assign(num_steps)
        return is_best
