"""The last axis of a tensor as the channels of a map: what dense layers, softmax and layer norm in vector code need."""

from __future__ import annotations

import numpy as np

from archcost.geometry import Shape, product
from archcost.kernels.layout import NO_HALO, Blocked
from archcost.kernels.moves import lanes_cleared, moved
from archcost.kernels.places import is_map, is_vector
from archcost.kernels.plain import Steps, conversion
from archcost.kernels.step import Integers, Step
from archcost.kernels.target import Precision, Target


def rows_shape(shape: Shape) -> Shape:
    """Return the graph's shape of a tensor with all axes but the last in one: (rows, 1, features)."""
    return product(shape[:-1]), 1, shape[-1]


def rows_of(tensor: Blocked, shape: Shape) -> Blocked | None:
    """Return a tensor's memory as a map of one pixel for each row, whose channels are the last axis.

    Returns:
        The map, or None if it would need a copy: where the last axis does not fill whole vectors.
    """
    if len(shape) == 1 or (is_map(tensor, shape) and tensor.channels_last):
        return tensor
    rows, _, features = rows_shape(shape)
    lanes, size = tensor.lanes, tensor.memory.itemsize
    if not _is_contiguous(tensor, shape) or features % lanes:
        return None
    strides = (tensor.image_step, lanes * size, features * size, features * size, size)
    memory = np.lib.stride_tricks.as_strided(
        tensor.memory, (tensor.images, features // lanes, rows, 1, lanes), strides
    )  # fmt: skip
    return Blocked(tensor.images, (features, rows, 1), NO_HALO, lanes, memory, channels_last=True)


def empty_rows(tensor: Blocked, shape: Shape) -> Blocked:
    """Return a map for a copy of a tensor: the channels are its last axis."""
    rows, _, features = rows_shape(shape)
    made = Blocked.make(
        tensor.images, (features, rows, 1), NO_HALO, tensor.lanes, tensor.memory.dtype
    )  # fmt: skip
    return Blocked(made.images, made.shape, made.halo, made.lanes, made.memory, channels_last=True)


def to_rows(tensor: Blocked, shape: Shape, machine: Target, precision: Precision) -> tuple[list[Step], Blocked]:
    """Return a tensor by rows, its own memory where that allows it, and the steps that copy it otherwise."""
    view = rows_of(tensor, shape)
    if view is not None:
        return [], view
    copy = empty_rows(tensor, shape)
    if _is_contiguous(tensor, shape):
        return [
            conversion("write", copy, tensor.address(), machine, precision, steps=_steps(tensor, shape), keep=(tensor,))
        ], copy
    ends = (copy, rows_shape(shape)), (tensor, shape)
    return moved(*ends, _numbers(shape, rows_shape(shape)), precision), copy


def from_rows(
    rows: Blocked, tensor: Blocked, shape: Shape, machine: Target, precision: Precision, *, adds: bool
) -> list[Step]:
    """Return the steps that bring a copy by rows back to the tensor."""
    if _is_contiguous(tensor, shape) and not adds:
        filled = conversion(
            "read", rows, tensor.address(), machine, precision, steps=_steps(tensor, shape), keep=(tensor,)
        )
        return [*lanes_cleared(tensor, precision), filled]
    ends = (tensor, shape), (rows, rows_shape(shape))
    return moved(*ends, _numbers(rows_shape(shape), shape), precision, adds=adds)


def _is_contiguous(tensor: Blocked, shape: Shape) -> bool:
    """Tell whether the elements of an image follow one another in memory."""
    return is_vector(tensor, shape) and tensor.block_step == tensor.lanes * tensor.memory.itemsize


def _numbers(source: Shape, target: Shape) -> Integers:
    return np.arange(product(source), dtype=np.int64).reshape(target)


def _steps(tensor: Blocked, shape: Shape) -> Steps:
    """Return the distances in a vector's memory by the axes of its map by rows."""
    size = tensor.memory.itemsize
    return Steps(tensor.image_step, size, shape[-1] * size, shape[-1] * size)
