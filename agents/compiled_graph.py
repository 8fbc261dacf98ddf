"""Compilation of a small TensorFlow graph by JAX, for functions called very often.

A call of a `tf.function` costs about 5 us per op, twice that once physics has filled
the caches: several times what the matrix products of a policy of 256 units take. XLA
compiles the whole graph into one function. A call of that through TensorFlow
(`jit_compile`) costs as much as the ops do, through JAX about 20 us.

The graph may hold only the ops of `_apply`, and static shapes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import tensorflow as tf

# Actors leave accelerators to the learner, so JAX must not look for any.
jax.config.update("jax_platforms", "cpu")


class Unsupported(ValueError):
    """Error of a graph that cannot be compiled here."""


class CompiledGraph:
    """Function of arrays that equals a `tf.function` of tensors, to rounding.

    The caller makes the draws of stateless random ops; the ops that compute their seeds
    are left out.

    Attributes:
      draws: kind ("normal" or "uniform") and shape of each draw that a call takes.
    """

    def __init__(self, function: Any, *specs: Any):
        """Reads and compiles the graph.

        Args:
          function: a `tf.function` from tensors to a structure of tensors.
          *specs: specs of its arguments: structures of `tf.TensorSpec` with static
            shapes.

        Raises:
          Unsupported: the graph cannot be compiled here.
        """
        graph = function.get_concrete_function(*specs)
        for op in graph.graph.get_operations():
            if op.op_def.is_stateful and op.type not in _READS:
                raise Unsupported(f"op {op.type} may have an effect")
        by_handle = {id(v.handle): v for v in graph.graph.variables}
        captured = {
            inner.ref(): by_handle.get(id(outer))
            for outer, inner in graph.graph.captures
        }
        arguments = [x for x in graph.inputs if x.ref() not in captured]
        self._arguments = [x.ref() for x in arguments]
        self._outputs = list(graph.outputs)
        ops = _needed(self._outputs)
        drawn = [op.outputs[0] for op in ops if op.type in _DRAWS]
        self._drawn = [x.ref() for x in drawn]
        self.draws = [(_DRAWS[x.op.type], tuple(x.shape)) for x in drawn]
        # Handle of each variable -> whether it is a stack of matrices of which each row
        # chooses one. These are passed one by one, so that none is copied.
        self._handles = {
            x.ref(): any(len(c.outputs[0].shape) == 3 for c in x.consumers())
            for op in ops
            if op.type in _READS
            for x in op.inputs[:1]
        }
        variables = []
        for handle in self._handles:
            variable = captured.get(handle)
            if variable is None:
                raise Unsupported("a resource that is no variable")
            variables.append(variable)
        self._variables = variables
        # A change of the last trainable variable shows that all have changed.
        learned = [v for v in variables if v.trainable] or variables
        self._told_by = learned[-1] if learned else None
        self._run = jax.jit(self._evaluate)
        self._weights: list[Any] = []
        self._seen: np.ndarray | None = None
        self.refresh()
        # Traces once, to raise `Unsupported` now and not at the first call.
        given = [
            jax.ShapeDtypeStruct(x.shape, x.dtype.as_numpy_dtype) for x in arguments
        ]
        draws = [jax.ShapeDtypeStruct(shape, np.float32) for _, shape in self.draws]
        jax.eval_shape(self._evaluate, given, draws, self._weights)

    def refresh(self) -> None:
        """Copies the present values of the variables."""
        # Held, so that TensorFlow writes a later value to another address.
        self._seen = self._view()
        values = [v.numpy() for v in self._variables]  # copies
        self._weights = jax.device_put(
            [
                list(value) if apart else value
                for value, apart in zip(values, self._handles.values(), strict=True)
            ]
        )

    def refresh_if_changed(self) -> None:
        """Copies the variables if the last trainable one has changed.

        One stands for all: learners, checkpoints and variable sources write all
        trainable variables together.
        """
        seen, now = self._seen, self._view()
        if seen is not None and now is not None and _address(now) != _address(seen):
            self.refresh()

    def __call__(self, arguments: Any, draws: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Evaluates the function.

        Args:
          arguments: arrays in the order of `tf.nest.flatten(specs)`.
          draws: float32 draws of the kinds and shapes in the attribute `draws`:
            standard normal, or uniform in [0, 1).

        Returns:
          The outputs, flattened.
        """
        outputs = self._run(arguments, draws, self._weights)
        return [np.asarray(x) for x in outputs]

    def _view(self) -> np.ndarray | None:
        """Returns a view of the variable that shows changes; None without variables."""
        if self._told_by is None:
            return None
        return np.asarray(
            tf.raw_ops.ReadVariableOp(
                resource=self._told_by.handle, dtype=self._told_by.dtype
            )
        )

    def _evaluate(
        self, arguments: Sequence[Any], draws: Sequence[Any], weights: Sequence[Any]
    ) -> list[Any]:
        """Returns the values of the outputs; JAX traces this method."""
        values: dict[Any, Any] = dict(zip(self._arguments, arguments, strict=True))
        values |= zip(self._drawn, draws, strict=True)
        values |= zip(self._handles, weights, strict=True)

        def value(tensor: tf.Tensor) -> Any:
            key = tensor.ref()
            if key not in values:
                constant = tf.get_static_value(tensor)
                values[key] = _apply(tensor, value) if constant is None else constant
            return values[key]

        return [value(x) for x in self._outputs]


class Draws:
    """Random draws for the calls of a graph: functions of a seed and a call's number.

    The draws of the first rows do not depend on how many rows there are.
    """

    def __init__(self, seed: int, draws: Sequence[tuple[str, tuple[int, ...]]]):
        """Takes the graph's `draws`."""
        self._bits = np.random.Philox(key=np.array([seed, 0], np.uint64))
        self._start = self._bits.state
        generator = np.random.Generator(self._bits)
        draw: dict[str, Callable[..., np.ndarray]] = {
            "normal": generator.standard_normal,
            "uniform": generator.random,
        }
        self._draws = [(draw[kind], shape) for kind, shape in draws]

    def of_call(self, number: int) -> list[np.ndarray]:
        """Returns the draws of one call, each from a stream of its own."""
        arrays = []
        for stream, (draw, shape) in enumerate(self._draws):
            # The generator itself counts blocks in the first of the four words.
            self._start["state"]["counter"][1:3] = number, stream
            self._bits.state = self._start
            arrays.append(draw(shape, np.float32))
        return arrays


def _needed(outputs: Sequence[tf.Tensor]) -> list[tf.Operation]:
    """Returns the ops that outputs depend on, in order, without those of seeds."""
    ops: dict[tf.Operation, None] = {}

    def visit(op: tf.Operation) -> None:
        if op in ops:
            return
        if op.type not in _DRAWS:
            for x in op.inputs:
                visit(x.op)
        ops[op] = None

    for x in outputs:
        visit(x.op)
    return list(ops)


def _apply(tensor: tf.Tensor, value: Callable[[tf.Tensor], Any]) -> Any:
    """Returns the value of a tensor by applying the op that makes it."""
    op = tensor.op
    kind, inputs = op.type, list(op.inputs)
    if not tensor.shape.is_fully_defined():
        raise Unsupported(f"the shape of {tensor.name} is not known")
    if kind in _OPS:
        return _OPS[kind](*map(value, inputs))
    if kind == "ReadVariableOp":
        return value(inputs[0])
    if kind == "ResourceGather":
        rows = value(inputs[0])
        if isinstance(rows, list):
            return rows, value(inputs[1])
        return jnp.take(rows, value(inputs[1]), axis=0)
    if kind == "MatMul":
        _no(op, "transpose_a", "transpose_b")
        return jnp.matmul(*map(value, inputs))
    if kind == "BatchMatMulV2":
        _no(op, "adj_x", "adj_y")
        x, matrices = map(value, inputs)
        return _products(x, *matrices) if isinstance(matrices, tuple) else x @ matrices
    if kind == "ConcatV2":
        return jnp.concatenate([value(x) for x in inputs[:-1]], _axis(inputs[-1]))
    if kind == "Split":
        parts = jnp.split(value(inputs[1]), op.get_attr("num_split"), _axis(inputs[0]))
        return parts[tensor.value_index]
    if kind == "StridedSlice":
        return value(inputs[0])[_places(op)]
    if kind == "Reshape":
        return value(inputs[0]).reshape(tensor.shape)
    if kind == "Fill":
        return jnp.full(tensor.shape, value(inputs[1]))
    if kind == "Mean":
        axes = tuple(np.ravel(tf.get_static_value(inputs[1])).tolist())
        return jnp.mean(value(inputs[0]), axes, keepdims=op.get_attr("keep_dims"))
    if kind == "ArgMax":
        return jnp.argmax(value(inputs[0]), _axis(inputs[1]))
    if kind == "Cast":
        return value(inputs[0]).astype(tensor.dtype.as_numpy_dtype)
    raise Unsupported(f"op {kind}")


def _no(op: tf.Operation, *attributes: str) -> None:
    for name in attributes:
        if op.get_attr(name):
            raise Unsupported(f"op {op.type} with {name}")


def _axis(tensor: tf.Tensor) -> int:
    return int(tf.get_static_value(tensor))


def _places(op: tf.Operation) -> tuple[Any, ...]:
    """Returns the NumPy index of a StridedSlice."""

    def mask(name: str, i: int) -> bool:
        return bool(op.get_attr(f"{name}_mask") & 1 << i)

    places: list[Any] = []
    ranges = zip(*(tf.get_static_value(x) for x in op.inputs[1:]), strict=True)
    for i, (begin, end, stride) in enumerate(ranges):
        if mask("ellipsis", i):
            places.append(Ellipsis)
        elif mask("new_axis", i):
            places.append(np.newaxis)
        elif mask("shrink_axis", i):
            places.append(int(begin))
        else:
            first = None if mask("begin", i) else int(begin)
            places.append(slice(first, None if mask("end", i) else int(end), stride))
    return tuple(places)


def _products(x: Any, matrices: Sequence[Any], chosen: Any) -> Any:
    """Multiplies each row of x [M, 1, in] by its choice among K matrices [in, out]."""
    branches = [lambda row, w=w: row @ w for w in matrices]
    rows = [jax.lax.switch(chosen[i], branches, x[i]) for i in range(len(x))]
    return jnp.stack(rows)


def _address(array: np.ndarray) -> int:
    return array.__array_interface__["data"][0]


_READS = ("ReadVariableOp", "ResourceGather")
_DRAWS = {
    "StatelessRandomNormalV2": "normal",
    "StatelessRandomUniformV2": "uniform",
}
_OPS: Mapping[str, Callable[..., Any]] = {
    "AddV2": jnp.add,
    "BiasAdd": jnp.add,  # of vectors: the channels are the last dimension
    "Elu": jax.nn.elu,
    "Greater": jnp.greater,
    "Identity": lambda x: x,
    "Log": jnp.log,
    "Maximum": jnp.maximum,
    "Minimum": jnp.minimum,
    "Mul": jnp.multiply,
    "Neg": jnp.negative,
    "RealDiv": jnp.divide,
    "Rsqrt": jax.lax.rsqrt,
    "SelectV2": jnp.where,
    "Sigmoid": jax.nn.sigmoid,
    "Softplus": jax.nn.softplus,
    "SquaredDifference": lambda x, y: jnp.square(x - y),
    "StopGradient": lambda x: x,
    "Sub": jnp.subtract,
    "Tanh": jnp.tanh,
}
