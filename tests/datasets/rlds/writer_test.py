"""Serialisation against TFDS's own, which goes through the steps one by one."""

import numpy as np
import pytest
import tensorflow as tf
from dm_env import specs
from tensorflow_datasets.core import example_serializer

from datasets.rlds import schema, writer
from environments import observations
from tests.helpers import dataset_files

SPEC = {
    name: specs.Array(observations.shape(name), observations.dtype(name))
    for name in (*observations.FRAME_SIZES, observations.PREVIOUS_ACTION)
}
FEATURES = schema.features(SPEC, specs.Array((schema.ACTION_SIZE,), np.float32))


def test_the_bytes_are_those_of_tfds():
    serialize = writer.Serializer(FEATURES)
    theirs = example_serializer.ExampleSerializer(FEATURES.get_serialized_info())
    for example in dataset_files.examples(2):
        proto = theirs.get_tf_example(FEATURES.encode_example(example))
        assert serialize(example) == proto.SerializeToString(deterministic=True)


def test_what_is_parsed_is_what_was_serialised():
    (example,) = dataset_files.examples(1)
    parse = writer.Parser(FEATURES)
    parsed = parse(tf.constant(writer.Serializer(FEATURES)(example)))
    for name, values in writer.flattened(example["steps"]).items():
        found = writer.flattened(parsed["steps"])[name]
        np.testing.assert_array_equal(found, values)
        assert found.dtype == values.dtype


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x: x.astype(np.float64), "action is float64 .5., but .* float32"),
        (lambda x: x[:, :4], r"action is float32 \[4\], but the features say .* \[5\]"),
        (None, "the steps and the features differ in action"),
    ],
)
def test_steps_that_do_not_fit_are_refused(change, message):
    (example,) = dataset_files.examples(1)
    action = example["steps"].pop("action")
    if change is not None:
        example["steps"]["action"] = change(action)
    with pytest.raises(ValueError, match=message):
        writer.Serializer(FEATURES)(example)
