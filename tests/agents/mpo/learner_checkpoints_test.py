"""A policy alone is written as a learner's checkpoint, and read from it."""

import numpy as np
import pytest
from acme import specs

from agents.helms_cat.config import HelmsCatConfig
from agents.mpo import learner_checkpoints
from tests.helpers import fakes


def _policy(seed=0, **overrides):
    config = HelmsCatConfig(**{**fakes.TINY_NETWORKS, **overrides})
    spec = specs.make_environment_spec(fakes.MatchingTask(seed=0))
    return fakes.make_builder(config).make_networks(spec, seed=seed).policy


def test_a_policy_is_read_as_it_was_written(tmp_path):
    directory = str(tmp_path)
    assert learner_checkpoints.newest(directory) is None
    assert learner_checkpoints.steps(directory) is None
    written, read = _policy(), _policy(seed=1)
    learner_checkpoints.save_policy(written, directory, steps=7)
    assert learner_checkpoints.steps(directory) == 7
    assert learner_checkpoints.restore_policy(read, directory) == 7
    for one, other in zip(written.variables, read.variables, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())
    with pytest.raises(ValueError, match="of another model"):
        wider = _policy(policy_hidden_sizes=(17,))
        learner_checkpoints.restore_policy(wider, directory)
