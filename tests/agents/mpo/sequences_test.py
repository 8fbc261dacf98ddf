"""Sequences as a real Reverb server has them, against Acme's own adder."""

import dm_env
import numpy as np
import pytest
import reverb
import tensorflow as tf
import tree
from acme import specs
from acme.adders import reverb as reverb_adders

from agents.mpo import sequences
from agents.mpo.interruptible_writer import InterruptibleClient

_TABLE = "t"
_EXTRAS = {"valid": specs.Array((), np.float32, name="valid")}
_SPEC = specs.EnvironmentSpec(
    observations={
        "b": specs.Array((3,), np.float32, name="b"),
        "a": specs.Array((2, 2), np.uint8, name="a"),
    },
    actions=specs.Array((2,), np.float32, name="action"),
    rewards=specs.Array((), np.float32, name="reward"),
    discounts=specs.Array((), np.float64, name="discount"),
)


def _episode(adder, steps, rng):
    def observation():
        return {
            "a": rng.integers(1, 255, (2, 2)).astype(np.uint8),
            "b": rng.normal(size=3).astype(np.float32),
        }

    adder.add_first(dm_env.restart(observation()))
    for step in range(steps):
        last = step == steps - 1
        adder.add(
            rng.normal(size=2).astype(np.float32),
            dm_env.TimeStep(
                dm_env.StepType.LAST if last else dm_env.StepType.MID,
                np.float32(rng.normal()),
                0.5,
                observation(),
            ),
            extras={"valid": np.float32(1.0)},
        )


def _items(make_adder, signature, episodes):
    """What the table has after these numbers of steps, oldest first."""
    table = reverb.Table(
        _TABLE,
        sampler=reverb.selectors.Fifo(),
        remover=reverb.selectors.Fifo(),
        max_size=10_000,
        max_times_sampled=1,
        rate_limiter=reverb.rate_limiters.MinSize(1),
        signature=signature,
    )
    server = reverb.Server([table], port=None)
    client = reverb.Client(f"localhost:{server.port}")
    adder = make_adder(InterruptibleClient(client, stopped=lambda: False))
    rng = np.random.default_rng(0)
    for steps in episodes:
        _episode(adder, steps, rng)
    count = client.server_info()[_TABLE].current_size
    # No more than there are: a sampler that waits for another holds the server up.
    dataset = reverb.TrajectoryDataset.from_table_signature(
        f"localhost:{server.port}", _TABLE, 1, max_samples=count
    )
    found = list(dataset)
    del adder  # the server waits for its stream too
    server.stop()
    return found


@pytest.mark.parametrize(
    ("length", "period"), [(10, 5), (6, 4), (5, 3), (4, 4), (3, 5), (2, 1)]
)
def test_the_sequences_are_those_of_acme(length, period):
    episodes = [1, 2, length - 1, length, length + 1, 23, 40]

    def acme(client):
        return reverb_adders.SequenceAdder(
            client,
            priority_fns={_TABLE: None},
            sequence_length=length,
            period=period,
            end_of_episode_behavior=reverb_adders.EndBehavior.ZERO_PAD,
        )

    def ours(client):
        return sequences.BlockSequenceAdder(client, _TABLE, length, period)

    expected = _items(
        acme,
        reverb_adders.SequenceAdder.signature(_SPEC, _EXTRAS, length),
        episodes,
    )
    blocks = _items(ours, sequences.signature(_SPEC, _EXTRAS, length, period), episodes)
    assert len(blocks) == len(expected) > len(episodes)
    for mine, theirs in zip(blocks, expected, strict=True):
        batch = tree.map_structure(lambda x: x[None], mine.data)
        joined = sequences.joined(reverb.ReplaySample(mine.info, batch)).data
        tree.assert_same_structure(joined, theirs.data)
        for a, b in zip(tree.flatten(joined), tree.flatten(theirs.data), strict=True):
            assert a.dtype == b.dtype
            np.testing.assert_array_equal(a[0], b)


def test_an_episode_that_was_given_up_leaves_nothing():
    def adder(client):
        made = sequences.BlockSequenceAdder(client, _TABLE, 4, 2)
        observation = {"a": np.ones((2, 2), np.uint8), "b": np.ones(3, np.float32)}
        made.add_first(dm_env.restart(observation))
        for _ in range(3):
            step = dm_env.transition(np.float32(1.0), observation, 1.0)
            made.add(np.ones(2, np.float32), step, {"valid": np.float32(1.0)})
        made.reset()
        return made

    first, second = _items(adder, sequences.signature(_SPEC, _EXTRAS, 4, 2), [4])
    starts = np.reshape(first.data.start_of_episode, -1)
    np.testing.assert_array_equal(starts, [True, False, False, False])
    assert (np.reshape(first.data.extras["valid"], -1) == 1).all()
    np.testing.assert_array_equal(first.data.reward[1], second.data.reward[0])


def test_an_adder_says_what_is_out_of_order():
    adder = sequences.BlockSequenceAdder(None, _TABLE, 4, 2)
    step = dm_env.transition(1.0, {})
    with pytest.raises(ValueError, match="add_first"):
        adder.add(0, step)
    with pytest.raises(ValueError, match="first time step"):
        adder.add_first(step)


def test_a_batch_of_unknown_size_is_joined():
    spec = tf.TensorSpec([None, 2, 5, 3], tf.float32)
    join = tf.function(lambda data: sequences.joined(reverb.ReplaySample((), data)))
    found = join.get_concrete_function(spec).structured_outputs.data
    assert found.shape.as_list() == [None, 10, 3]
