"""Learned transition prior of the skills as the prior of a high level.

Shape letters: B batch, T time (decisions), R rows that train, K skills.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from agents.helms.frozen import Skills
from agents.mpo.batched_acting import NO_SKILL
from agents.mpo.rows import Rows


class TransitionPrior:
    """Prior log p(y_t | y_{t-1}), with the skill of the last decision as y_{t-1}."""

    def __init__(self, skills: Skills):
        """Reads the prior; an episode's first decision has the uniform p(y_0).

        Raises:
          ValueError: the skills have none.
        """
        if skills.num_skills < 2:
            raise ValueError(
                "skill_prior transition needs a bundle with a transition prior, and "
                f"this one has a single skill (variant {skills.config.variant})"
            )
        log_probs = skills.transition_log_probs()
        first = tf.fill([1, skills.num_skills], -tf.math.log(float(skills.num_skills)))
        self._log_probs = tf.concat([first, log_probs], axis=0)  # [1 + K, K]

    def __call__(self, data: Any, rows: Rows) -> tf.Tensor:
        """Returns log probabilities [R, K] in rows of a batch of sequences [B, T, ...].

        Within a sequence y_{t-1} is the skill of the row before, also at a final
        observation. Only a sequence's first row needs `previous_skill`.
        """
        skill, previous = data.extras["skill"], data.extras["previous_skill"]
        previous = tf.concat([previous[:, :1], skill[:, :-1]], axis=1)
        return tf.gather(self._log_probs, rows.take(previous) - NO_SKILL)
