"""Combinations that cannot work are refused by name."""

import pytest

from agents.helms_cat.config import HelmsCatConfig
from agents.helms_mix.config import HelmsMixConfig
from agents.mpo.config import CategoricalMPOConfig


def test_table_5():
    config = HelmsCatConfig()
    assert (config.batch_size, config.sequence_length) == (512, 10)
    assert (config.learning_rate, config.eta_y) == (2e-4, 0.01)


def test_burn_in_is_the_overlap():
    # Rows 0 to 3 of a sequence are rows 5 to 8 of the one before, which trained them;
    # its row 9 was but a bootstrap.
    assert HelmsCatConfig(sequence_length=10, sequence_period=5).burn_in_steps == 4
    assert HelmsCatConfig(sequence_length=10, sequence_period=9).burn_in_steps == 0
    assert HelmsCatConfig(critic_rnn_size=0).burn_in_steps == 0
    assert HelmsCatConfig(burn_in=False).burn_in_steps == 0


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("batch_size", 0, "batch_size must be positive"),
        ("batch_size", 10**9, "batch_size must be at most 65536, got 1000000000"),
        ("max_replay_size", 10**20, "max_replay_size must be at most 2147483647"),
        ("critic_hidden_sizes", (10**6,), "critic_hidden_sizes must be at most 65536"),
        ("discount", 1.1, "discount must be in"),
        ("sequence_length", 1, "sequence_length must be 2 or more"),
        ("sequence_period", 10, "from 1 to sequence_length - 1 = 9"),
        ("max_replay_size", 10, "nothing would ever be sampled"),
        ("samples_per_insert", -1.0, "samples_per_insert must not be negative"),
        ("eta_y", -0.1, "eta_y must not be negative"),
        ("eta_y", float("nan"), "eta_y must be finite, got nan"),
        ("samples_per_insert", float("inf"), "samples_per_insert must be finite"),
        ("init_log_alpha", float("nan"), "init_log_alpha must be finite"),
        ("learning_rate", float("inf"), "learning_rate must be finite"),
        ("policy_hidden_sizes", (), "policy_hidden_sizes must be positive sizes"),
        ("critic_hidden_sizes", (8, 0), "critic_hidden_sizes must be positive sizes"),
        ("critic_rnn_size", -1, "critic_rnn_size"),
        ("n_step", 0, "n_step must be from 1 to sequence_length - 1 = 9, got 0"),
        ("n_step", 10, "n_step must be from 1 to sequence_length - 1 = 9, got 10"),
        ("critic_warmup_steps", -1, "critic_warmup_steps must not be negative"),
        ("policy_learning_rate", 0.0, "policy_learning_rate must be positive"),
        ("target_update", "soft", "must be one of periodic, polyak, got 'soft'"),
        ("target_update_rate", 1.5, r"target_update_rate must be in \(0, 1\]"),
    ],
)
def test_bad_values(field, value, message):
    with pytest.raises(ValueError, match=message):
        CategoricalMPOConfig(**{field: value})


def test_bad_evaluation():
    with pytest.raises(ValueError, match="sampled, greedy"):
        HelmsCatConfig(evaluation="argmax")


def test_components_that_read_what_the_policy_does_not_see():
    keys = ("proprio", "camera/pixels")
    assert HelmsMixConfig(policy_keys=keys, components="scratch").components
    with pytest.raises(ValueError, match="use components scratch"):
        HelmsMixConfig(policy_keys=keys)
    with pytest.raises(ValueError, match="components must be one of posteriors, "):
        HelmsMixConfig(components="new")
