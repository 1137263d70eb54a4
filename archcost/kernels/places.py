"""Where the elements of a tensor lie, in the order of the graph's axes: tables for kernels in plain loops.

A tensor of one axis or a map lies in blocks, any other as one vector of features. The tables address that memory as it
is, so that operators which need the axes (and have no vector kernel) read and write it without copies.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from archcost.geometry import Shape, product
from archcost.kernels.channels import blocked_axis
from archcost.kernels.layout import Array, Blocked
from archcost.kernels.step import Integers

ABSENT = -(1 << 60)
"""In a table: no element lies there; any sum with it is negative."""

WIDEST_LINE = 2048
"""Most elements of a line that is made of several axes."""


class Places(NamedTuple):
    """Elements in lines: element i of line l lies at ``outer[l] + inner[l % period * width + i]`` from the address.

    Attributes:
        address: of element 0 of the first image.
        outer: elements to each line, those of the first image first.
        inner: elements to each element of a line.
        period: lines of ``inner``: one that holds for all, or those of an image.
        keep: what the address points into.
    """

    address: int
    outer: Integers
    inner: Integers
    period: int
    keep: object

    @property
    def arguments(self) -> tuple[int, int, int, int]:
        """What a step needs to know: address, table of lines, table of elements, period."""
        return self.address, int(self.outer.ctypes.data), int(self.inner.ctypes.data), self.period

    @property
    def width(self) -> int:
        """Elements of a line."""
        return len(self.inner) // self.period


def is_vector(tensor: Blocked, shape: Shape) -> bool:
    """Tell whether a tensor that the graph calls ``shape`` is held as one vector, in the order of the graph's axes."""
    return tensor.shape == (product(shape), 1, 1) and (len(shape) != 3 or shape != tensor.shape)


def is_map(tensor: Blocked, shape: Shape) -> bool:
    """Tell whether a tensor that the graph calls ``shape`` is held by channels, rows and columns."""
    return len(shape) == 3 and not is_vector(tensor, shape)


def offsets_of(tensor: Blocked, shape: Shape) -> Integers:
    """Return how many elements from the first one each element of an image lies: an array of the graph's ``shape``."""
    if is_map(tensor, shape):
        return _sums([_along_axis(tensor, blocked_axis(tensor, axis, shape)) for axis in range(3)])
    by_axis = [_along_axis(tensor, axis) for axis in range(3)]
    whole = by_axis[0][:, None, None] + by_axis[1][:, None] + by_axis[2]
    if len(shape) == 2 and not is_vector(tensor, shape):
        return whole.transpose(1, 2, 0).reshape(shape)
    return whole.reshape(shape)


def _along_axis(tensor: Blocked, axis: int) -> Integers:
    """Return the elements to each channel (axis 0), row or column."""
    size, lanes = tensor.memory.itemsize, tensor.lanes
    numbers = np.arange(tensor.shape[axis], dtype=np.int64)
    if axis == 0:
        return numbers // lanes * (tensor.block_step // size) + numbers % lanes
    return numbers * ((tensor.row_step if axis == 1 else tensor.pixel_step) // size)


def _sums(tables: Sequence[Integers]) -> Integers:
    """Return the sums of an element of each table, an axis for each of them."""
    total = np.zeros((), np.int64)
    for table in tables:
        total = total[..., None] + table
    return total


def cut_offsets(tensor: Blocked, shape: Shape, split: int) -> tuple[Integers, Integers]:
    """Return the offsets of an image's elements in two parts: those by the axes before ``split``, and by the others.

    Large maps have no table of all their elements then.
    """
    if is_map(tensor, shape):
        tables = [_along_axis(tensor, blocked_axis(tensor, axis, shape)) for axis in range(3)]
        return _sums(tables[:split]).ravel(), _sums(tables[split:]).ravel()
    table = offsets_of(tensor, shape).reshape(product(shape[:split]), -1)
    return table[:, 0], table[0] - table[0, 0]


def line_width(shape: Shape) -> int:
    """Return how many elements of a contiguous array of ``shape`` form a line: whole axes from the last one on."""
    width = 1
    for size in reversed(shape):
        if width > 1 and width * size > WIDEST_LINE:
            break
        width *= size
    return width


def image_starts(tensor: Blocked) -> Integers:
    """Return the elements to each image."""
    return np.arange(tensor.images, dtype=np.int64) * (tensor.image_step // tensor.memory.itemsize)


def lined(tensor: Blocked, offsets: Integers, width: int) -> Places:
    """Return the places of an image's elements by ``offsets``, negative for none, in lines of ``width``."""
    outer, inner, period = _separated(offsets.reshape(-1, width))
    lines = (image_starts(tensor)[:, None] + outer).ravel()
    return Places(tensor.address(), np.ascontiguousarray(lines), inner, period, tensor)


def _separated(table: Integers) -> tuple[Integers, Integers, int]:
    """Return lines, elements and period of a table; one line of elements, if all lines are equal up to their start."""
    valid = np.asarray(table >= 0)
    rows, columns = np.asarray(valid.any(1)), np.asarray(valid.any(0))
    if not valid.any():
        return np.full(len(table), ABSENT), np.zeros(table.shape[1], np.int64), 1
    if np.array_equal(valid, rows[:, None] & columns):
        row, column = int(rows.argmax()), int(columns.argmax())
        outer = np.where(rows, table[:, column], ABSENT)
        inner = np.where(columns, table[row] - table[row, column], ABSENT)
        if np.array_equal(np.where(valid, outer[:, None] + inner, 0), np.where(valid, table, 0)):
            return outer, np.ascontiguousarray(inner), 1
    return np.zeros(len(table), np.int64), np.where(valid, table, ABSENT).ravel(), len(table)


def groups_of(tensor: Blocked, shape: Shape, axes: Sequence[int]) -> Places:
    """Return a line of the elements along ``axes`` for every image and every place on the other axes."""
    table = _by_groups(offsets_of(tensor, shape), axes)
    return lined(tensor, table, table.shape[1])


def groups_of_all(tensor: Blocked, shape: Shape, axes: Sequence[int]) -> Places:
    """Return a line of the elements of all images along ``axes`` for every place on the other axes."""
    outer, inner, period = _separated(_by_groups(offsets_of(tensor, shape), axes))
    if period > 1:
        raise ValueError(f"the axes {axes} do not lie apart in memory")
    lines = (image_starts(tensor)[:, None] + inner).ravel()
    return Places(tensor.address(), outer, np.ascontiguousarray(lines), 1, tensor)


def _by_groups(offsets: Integers, axes: Sequence[int]) -> Integers:
    """Return a table with a row for each place on the axes that are not in ``axes``, of what lies along these."""
    kept = [axis for axis in range(offsets.ndim) if axis not in axes]
    rows = product([offsets.shape[axis] for axis in kept])
    return offsets.transpose(*kept, *axes).reshape(rows, -1)


def array_places(values: Array, indices: Integers, width: int, images: int) -> Places:
    """Return the places of a contiguous array's elements with the numbers ``indices``, the same for every image."""
    outer, inner, period = _separated(indices.reshape(-1, width))
    return Places(int(values.ctypes.data), np.tile(outer, images), inner, period, values)


def array_lines(values: Array, lines: Integers, elements: Integers) -> Places:
    """Return places in a contiguous array: the elements to each line, and to each element of a line."""
    outer, inner = (np.ascontiguousarray(table, np.int64) for table in (lines, elements))
    return Places(int(values.ctypes.data), outer, inner, 1, values)


def spare_lanes(tensor: Blocked) -> Integers:
    """Return where in an image the lanes lie that fill up the last block and belong to no channel."""
    size, lanes = tensor.memory.itemsize, tensor.lanes
    blocks = tensor.memory.shape[1]
    lane = np.arange(tensor.shape[0], blocks * lanes, dtype=np.int64)
    channels = (blocks - 1) * (tensor.block_step // size) + lane % lanes
    rows = np.arange(tensor.shape[1], dtype=np.int64) * (tensor.row_step // size)
    columns = np.arange(tensor.shape[2], dtype=np.int64) * (tensor.pixel_step // size)
    return (rows[:, None, None] + columns[:, None] + channels).ravel()
