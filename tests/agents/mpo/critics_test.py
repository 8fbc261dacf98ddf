"""Critics value any action at a state as if it were the only one."""

import numpy as np
import tensorflow as tf

from agents.mpo import critics
from agents.mpo.representation import InputRepresentation


def test_many_actions_at_a_state_are_valued_as_one_by_one():
    representation = InputRepresentation({"proprio": (3,)}, ("proprio",), {}, size=5)
    critic = critics.ActionCritic(representation, (8, 8), 2, 4)
    rng = np.random.default_rng(0)
    observation = {"proprio": tf.constant(rng.normal(size=(2, 2, 3)), tf.float32)}
    critic.make_variables(observation)
    actions = tf.random.stateless_normal([6, 2, 2, 2], [1, 2])
    together = critic(observation, actions)
    assert together.shape == (6, 2, 2)
    for i in range(6):
        np.testing.assert_allclose(
            critic(observation, actions[i]), together[i], atol=1e-5
        )
