"""Which element of its input each element of the output is, for the operators that only move elements."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from archcost.geometry import Shape, product
from archcost.kernels.movement import FILL
from archcost.kernels.step import Integers
from archcost.ops import (
    ChannelShuffle,
    DepthToSpace,
    Expand,
    Gather,
    Op,
    Pad,
    Resize,
    Slice,
    SpaceToDepth,
    Split,
    Transpose,
)


def taken(op: Op, axis: int, size: int) -> list[int] | None:
    """Return the positions that an operator takes of an axis, ``FILL`` for a constant; None if it keeps the axis.

    Args:
        op: a Split, Slice, Gather or Pad.
        axis: counted from the front.
        size: positions of the axis.
    """
    if isinstance(op, Pad):
        return padded(size, op.pads[axis], op.mode) if any(op.pads[axis]) else None
    if isinstance(op, Split):
        first = sum(op.sections[: op.index])
        return list(range(first, first + op.sections[op.index]))
    if isinstance(op, Slice):
        return list(op.taken(size))
    if isinstance(op, Gather):
        return [index % size for index in op.indices]
    return None


def padded(size: int, sides: tuple[int, int], mode: str) -> list[int]:
    """Return the source's position for each position of a padded axis."""
    before, after = sides
    result = []
    for place in range(-before, size + after):
        if 0 <= place < size:
            result.append(place)
        elif mode == "constant":
            result.append(FILL)
        elif mode == "edge":
            result.append(min(max(place, 0), size - 1))
        else:
            result.append(-place if place < 0 else 2 * (size - 1) - place)
    return result


def indices_of(op: Op, shape: Shape, output: Shape) -> Integers:
    """Return the numbers of the input's elements in the order of the output's, negative for a constant.

    Args:
        op: an operator with one input that only moves elements.
        shape: of the input.
        output: of the output; so is the result's.
    """
    numbers = np.arange(product(shape), dtype=np.int64).reshape(shape)
    if isinstance(op, Transpose):
        return numbers.transpose(op.axes)
    if isinstance(op, Expand):
        return np.broadcast_to(numbers, output)
    if isinstance(op, ChannelShuffle):
        return numbers.reshape(op.groups, -1, *shape[1:]).swapaxes(0, 1).reshape(output)
    if isinstance(op, DepthToSpace | SpaceToDepth):
        return _rearranged(op, numbers).reshape(output)
    if isinstance(op, Resize):
        for axis in op.resized(shape):
            numbers = np.take(numbers, [source.low for source in op.sources(shape, axis)], axis)
        return numbers
    for axis in axes_of(op, shape):
        if (positions := taken(op, axis, shape[axis])) is not None:
            numbers = _picked(numbers, axis, np.array(positions))
    return numbers.reshape(output)


def axes_of(op: Op, shape: Shape) -> Sequence[int]:
    """Return the axes that an operator may take positions of: its own, counted from the front, or all."""
    return [op.axis % len(shape)] if isinstance(op, Split | Slice | Gather) else range(len(shape))


def _picked(numbers: Integers, axis: int, positions: Integers) -> Integers:
    found = np.take(numbers, np.maximum(positions, 0), axis)
    gone = (positions < 0).reshape(-1, *[1] * (numbers.ndim - axis - 1))
    return np.where(gone, FILL, found)


def _rearranged(op: DepthToSpace | SpaceToDepth, numbers: Integers) -> Integers:
    channels, height, width = numbers.shape
    block = op.block
    if isinstance(op, SpaceToDepth):
        cut = numbers.reshape(channels, height // block, block, width // block, block)
        return cut.transpose(2, 4, 0, 1, 3)
    if op.mode == "DCR":
        return numbers.reshape(block, block, -1, height, width).transpose(2, 3, 0, 4, 1)
    return numbers.reshape(-1, block, block, height, width).transpose(0, 3, 1, 4, 2)
