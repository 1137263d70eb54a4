"""Reductions over any axes, and global pools of what is no map, in plain loops."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

from archcost.geometry import Shape, product
from archcost.kernels import pool
from archcost.kernels.along import along
from archcost.kernels.channels import blocked_axis
from archcost.kernels.layout import Blocked
from archcost.kernels.moves import lanes_cleared
from archcost.kernels.operation import Gradient, Operation
from archcost.kernels.places import groups_of, is_map
from archcost.kernels.step import Step
from archcost.kernels.target import Precision
from archcost.ops import GlobalAvgPool, GlobalMaxPool, ReduceMean, ReduceMin, ReduceSum
from archcost.ops.reduce import Reduction


def _axes(operation: Operation) -> tuple[int, ...]:
    op, shape = operation.op, operation.input_shapes[0]
    if isinstance(op, GlobalAvgPool | GlobalMaxPool):
        return tuple(range(1, len(shape)))
    return cast("Reduction", op).reduced(shape)


def _function(operation: Operation) -> tuple[str, str, float]:
    """Return the functions of a line, forward and backward, and their number."""
    op, shape = operation.op, operation.input_shapes[0]
    if isinstance(op, ReduceSum):
        return "sum", "spread", 1.0
    if isinstance(op, ReduceMean | GlobalAvgPool):
        return "sum", "spread", 1 / product([shape[axis] for axis in _axes(operation)])
    return "largest", "largest_gradient", -1.0 if isinstance(op, ReduceMin) else 1.0


def _as_map_pool(operation: Operation) -> Operation | None:
    """Return the global pool of a map that a reduction is, for vector code; None if it is none."""
    op, shape, (source,), output = operation.op, operation.input_shapes[0], operation.inputs, operation.output
    if isinstance(op, ReduceSum | ReduceMin) or not is_map(source, shape):
        return None
    if {blocked_axis(source, axis, shape) for axis in _axes(operation)} != {1, 2}:
        return None
    if output.shape != (source.shape[0], 1, 1):
        return None
    return replace(operation, op=GlobalAvgPool() if isinstance(op, ReduceMean | GlobalAvgPool) else GlobalMaxPool())


def forward(operation: Operation) -> list[Step]:
    """Return the steps of a reduction."""
    if pooled := _as_map_pool(operation):
        return (pool.average if isinstance(pooled.op, GlobalAvgPool) else pool.maximum)(pooled)
    name, _, number = _function(operation)
    source, output = operation.inputs[0], operation.output
    places = [
        groups_of(source, operation.input_shapes[0], _axes(operation)), groups_of(output, operation.output_shape, ())
    ]  # fmt: skip
    step = along(name, places, operation.precision, number=number)
    return [*lanes_cleared(output, operation.precision), step]


def backward(gradient: Gradient) -> list[Step]:
    """Return the steps of a reduction's gradient."""
    operation, (target,), (adds,) = gradient.forward, gradient.inputs, gradient.adds
    if target is None:
        return []
    if pooled := _as_map_pool(operation):
        function = pool.average_backward if isinstance(pooled.op, GlobalAvgPool) else pool.maximum_backward
        return function(replace(gradient, forward=pooled))
    _, name, number = _function(operation)
    shape, precision = operation.input_shapes[0], operation.precision
    tensors = [operation.inputs[0], target] if name == "largest_gradient" else [target]
    places = [
        groups_of(gradient.output, operation.output_shape, ()),
        *(groups_of(tensor, shape, _axes(operation)) for tensor in tensors),
    ]
    cleared = [] if adds else lanes_cleared(target, precision)
    return [*cleared, along(name, places, precision, adds=adds, number=number)]


def summed_to(
    target: tuple[Blocked, Shape], source: tuple[Blocked, Shape], precision: Precision, *, adds: bool
) -> list[Step]:
    """Return the steps that sum a tensor over the axes on which ``target`` has been broadcast to its shape.

    Args:
        target: what is written, and its shape in the graph.
        source: what is read, and its shape: as many axes as the target's or more in front, of any size where the
            target has one element.
        precision: element type.
        adds: add to the target.
    """
    shape = source[1]
    kept = (*[1] * (len(shape) - len(target[1])), *target[1])
    axes = tuple(axis for axis, (size, whole) in enumerate(zip(kept, shape)) if size == 1 < whole)
    places = [groups_of(source[0], shape, axes), groups_of(*target, ())]
    cleared = [] if adds else lanes_cleared(target[0], precision)
    return [*cleared, along("sum", places, precision, adds=adds, number=1.0)]
