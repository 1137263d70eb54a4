"""Arrays for one operator: random inputs, parameters and buffers in the shapes that it states."""

from __future__ import annotations

from typing import Any

import numpy as np

from archcost.geometry import Shape
from archcost.ops import Op
from archcost.reference import Count, run

Array = np.ndarray[Any, np.dtype[Any]]


def drawn(shape: tuple[int, ...], dtype: str = "float64", seed: int = 0) -> Array:
    """Return normal random numbers."""
    return np.random.default_rng([seed, *shape]).normal(size=shape).astype(dtype)


def tensors(op: Op, shapes: tuple[Shape, ...], dtype: str = "float64") -> tuple[dict[str, Array], dict[str, Array]]:
    """Return random parameters and buffers; variances are positive."""
    parameters = {name: drawn(shape, dtype, 7 + i) for i, (name, shape) in enumerate(op.params(*shapes).items())}
    buffers = {name: drawn(shape, dtype, 17 + i) for i, (name, shape) in enumerate(op.buffers(*shapes).items())}
    if "running_var" in buffers:
        buffers["running_var"] = np.abs(buffers["running_var"]) + 0.1
        buffers["num_batches_tracked"] = np.zeros((), np.int64)
    return parameters, buffers


def inputs_of(shapes: tuple[Shape, ...], batch: int = 2, dtype: str = "float64") -> list[Array]:
    """Return a random batch for each input."""
    return [drawn((batch, *shape), dtype, 100 + index) for index, shape in enumerate(shapes)]


def run_on(
    op: Op, x: Array, parameters: dict[str, Array] | None = None, buffers: dict[str, Array] | None = None
) -> Array:
    """Return the output of an operator with one input, in inference."""
    y, _ = run(op, [x], parameters or {}, buffers or {})
    return y


def done(op: Op, shapes: tuple[Shape, ...], batch: int = 2, dtype: str = "float64") -> tuple[Array, Count]:
    """Run an operator on random arrays, in inference."""
    return run(op, inputs_of(shapes, batch, dtype), *tensors(op, shapes, dtype), batch=batch)
