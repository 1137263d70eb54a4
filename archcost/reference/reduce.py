"""Reductions over any axes."""

from __future__ import annotations

from typing import cast

import numpy as np

from archcost.ops.reduce import Reduction
from archcost.reference.work import Array, Count, Done, Work, integers, loop, place, strides_of


@loop
def _sum(x: Array, y: Array, shape: Array, strides: Array) -> int:
    for i in range(len(x)):
        y[place(i, shape, strides)] += x[i]
    return len(y)


@loop
def _largest(x: Array, y: Array, shape: Array, strides: Array) -> int:
    for i in range(len(x)):
        found = place(i, shape, strides)
        y[found] = max(y[found], x[i])
    return len(y)


@loop
def _smallest(x: Array, y: Array, shape: Array, strides: Array) -> int:
    for i in range(len(x)):
        found = place(i, shape, strides)
        y[found] = min(y[found], x[i])
    return len(y)


def _targets(work: Work) -> tuple[tuple[int, ...], tuple[int, ...], list[int]]:
    """Return the output's shape with all axes in place, its final shape, and how far apart its elements lie.

    The steps are those of the input's axes: 0 on a reduced one, whose elements all meet in one place.
    """
    op, shape = cast("Reduction", work.op), work.input.shape
    axes = [axis + 1 if axis >= 0 else axis + len(shape) for axis in op.axes]
    kept = tuple(1 if axis in axes else size for axis, size in enumerate(shape))
    final = kept if op.keep_axes else tuple(size for axis, size in enumerate(shape) if axis not in axes)
    steps = [0 if axis in axes else step for axis, step in enumerate(strides_of(kept))]
    return kept, final if len(final) > 1 else (*final, 1), steps


def total(work: Work) -> Done:
    """The sum over the axes."""
    kept, final, steps = _targets(work)
    sums, y = np.zeros(kept), work.empty(final)
    written = _sum(work.input.reshape(-1), sums.reshape(-1), integers(work.input.shape), integers(steps))
    y[...] = sums.reshape(final)
    return y, Count(0, written)


def mean(work: Work) -> Done:
    """The sum over the axes, divided by the number of elements in each sum."""
    y, count = total(work)
    y *= y.size / work.input.size
    return y, count


def largest(work: Work) -> Done:
    """The largest element over the axes."""
    _, final, steps = _targets(work)
    y = work.empty(final)
    y[...] = -np.inf
    return y, Count(0, _largest(work.input.reshape(-1), y.reshape(-1), integers(work.input.shape), integers(steps)))


def smallest(work: Work) -> Done:
    """The smallest element over the axes."""
    _, final, steps = _targets(work)
    y = work.empty(final)
    y[...] = np.inf
    return y, Count(0, _smallest(work.input.reshape(-1), y.reshape(-1), integers(work.input.shape), integers(steps)))
