"""Matrix products of a training step: TensorFlow's bound on this machine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf


class Product(NamedTuple):
    """Products [rows, inputs] x [inputs, outputs] of one size, and their gradients."""

    copies: int  # number of equal products
    rows: int
    inputs: int
    outputs: int
    # 0: none; 1: with respect to weights, as in a first layer; 2: also to inputs. Each
    # takes another product.
    gradients: int


def mlp(
    count: int, rows: int, inputs: int, sizes: Sequence[int], gradients: int
) -> list[Product]:
    """Lists the products of `count` equal MLPs; `gradients` are those of layer one."""
    products = []
    for size in sizes:
        products.append(Product(count, rows, inputs, size, gradients))
        inputs, gradients = size, 2 if gradients else 0
    return products


def flops(products: Sequence[Product]) -> float:
    """Counts floating-point operations, forward and backward."""
    return sum(
        2.0 * p.copies * p.rows * p.inputs * p.outputs * (1 + p.gradients)
        for p in products
    )


def make_bound(products: Sequence[Product], seed: int) -> Callable[[], object]:
    """Makes a compiled function that computes the products on its own tensors."""
    rng = np.random.default_rng(seed)
    draws = []
    # A tensor for each product: of two equal ones, TensorFlow would compute one.
    for product in products:
        rows, inputs, outputs = product[1:4]
        sizes = (rows, inputs), (inputs, outputs), (rows, outputs)
        for _ in range(product.copies):
            tensors = tuple(
                tf.constant(rng.standard_normal(size, np.float32)) for size in sizes
            )
            draws.append((product.gradients, tensors))

    @tf.function(autograph=False)
    def run(tensors: Sequence[Sequence[tf.Tensor]]) -> list[tf.Tensor]:
        results = []
        for (gradients, _), (x, w, gradient) in zip(draws, tensors, strict=True):
            results.append(tf.matmul(x, w))
            if gradients >= 1:
                results.append(tf.matmul(x, gradient, transpose_a=True))
            if gradients >= 2:
                results.append(tf.matmul(gradient, w, transpose_b=True))
        return results

    return lambda: run([tensors for _, tensors in draws])[-1].numpy()
