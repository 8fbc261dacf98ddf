"""Errors of libraries become one line."""

import pytest
import tensorflow as tf

from datasets.rlds import errors


def test_a_message_is_one_short_line():
    assert errors.one_line(ValueError("two\n  lines")) == "two lines"
    assert errors.one_line(EOFError()) == "EOFError"
    assert len(errors.one_line("x" * 1000)) == 300
    assert errors.named(KeyError("a")) == "KeyError: 'a'"


def test_the_graph_of_tensorflow_is_left_out():
    @tf.function
    def fails(x):
        return tf.io.decode_png(x)

    with pytest.raises(tf.errors.OpError) as raised:
        fails(tf.constant(b"no image"))
    line = errors.one_line(raised.value)
    assert line
    assert not any(text in line for text in ("{{", "[Op:", "\n"))


def test_the_code_that_made_a_graph_is_left_out():
    @tf.function
    def fails(x):
        raise ValueError(f"no {x.dtype.name}")

    with pytest.raises(ValueError, match="in user code") as raised:
        fails(tf.constant(1.0))
    assert errors.named(raised.value) == "ValueError: no float32"


def test_the_place_in_a_graph_is_left_out():
    error = ValueError("Graph execution error:\n\nDetected\nNode: 'a/b'\nIt is torn.")
    assert errors.one_line(error) == "It is torn."
