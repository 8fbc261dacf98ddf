"""The model against one written in loops: the same bound and the same gradients."""

import numpy as np
import pytest
import tensorflow as tf

from agents.helms import networks
from agents.helms.config import HelmsConfig
from agents.helms.model import HelmsModel
from agents.offline import learning
from agents.offline.networks import Dims, unit_statistics
from benchmarks import reference_helms

DIMS = Dims(proprio=6, objects=4, action=3)


@pytest.mark.parametrize("hidden_sizes", [(8,), (8, 7)])
def test_loss_and_gradients_equal_those_of_the_loop(hidden_sizes):
    config = HelmsConfig(
        num_skills=3,
        latent_dim=2,
        look_ahead=2,
        window=4,
        batch_size=5,
        hidden_sizes=hidden_sizes,
        initial_stay_probability=0.6,
    )
    rng = np.random.default_rng(0)
    batch = {
        "proprio": rng.normal(size=(5, 6, 6)),
        "objects": rng.normal(size=(5, 6, 4)),
        "action": rng.uniform(-1, 1, size=(5, 4, 3)),
        "mask": np.arange(4) < np.array([[4], [2], [1], [4], [0]]),
    }
    batch = {key: tf.constant(value, tf.float32) for key, value in batch.items()}
    nets = networks.HelmsNetworks(config, DIMS, unit_statistics(DIMS))
    loop = reference_helms.ReferenceHelms(
        config, {v.name: v.numpy() for v in nets.variables}
    )
    noise = tf.random.stateless_normal([5, 4, 3, 2], [config.seed, 0])
    with tf.GradientTape() as tape:
        loss = loop.loss(batch, noise)
    expected = tape.gradient(loss, loop.parameters)

    learner = learning.OfflineLearner(HelmsModel(nets), lambda _: iter([batch]))
    names = [v.name for v in nets.trainable_variables]
    means = learner.step()
    np.testing.assert_allclose(means["loss"], loss, rtol=1e-5)
    # Adam's first moment after one step is a tenth of the gradient.
    moments = [10 * m.numpy() for m in learner.checkpointables["optimizer"].m]
    gradients = dict(zip(names, moments, strict=True))
    actual = reference_helms.own_values(gradients, config)
    for mine, theirs in zip(actual, expected, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-3, atol=1e-5)
        assert np.abs(theirs).max() > 1e-4
