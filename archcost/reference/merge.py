"""Operators that join or cut tensors: addition, multiplication, concatenation, split."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from archcost.ops import Concat, Split
from archcost.reference.work import Array, Count, Done, Work, around, integers, loop, place, strides_of


@loop
def start(x: Array, y: Array, shape: Array, strides: Array) -> int:
    """Write the elements of ``x`` that a tensor of ``shape`` reads at ``strides``; return how many."""
    written = 0
    for i in range(len(y)):
        y[i] = x[place(i, shape, strides)]
        written += 1
    return written


@loop
def _add(x: Array, y: Array, shape: Array, strides: Array) -> int:
    for i in range(len(y)):
        y[i] += x[place(i, shape, strides)]
    return 0


@loop
def _multiply(x: Array, y: Array, shape: Array, strides: Array) -> int:
    for i in range(len(y)):
        y[i] *= x[place(i, shape, strides)]
    return 0


def merged(work: Work, further: Callable[[Array, Array, Array, Array], int]) -> Done:
    """Write the first input, then merge the others into it; an axis of size 1 is read again and again."""
    shape = tuple(max(sizes) for sizes in zip(*(x.shape for x in work.inputs)))
    y, written = work.empty(shape), 0
    for index, x in enumerate(work.inputs):
        steps = [step if size > 1 else 0 for step, size in zip(strides_of(x.shape), x.shape)]
        merge = further if index else start
        written += merge(x.reshape(-1), y.reshape(-1), integers(shape), integers(steps))
    return y, Count(0, written)


def add(work: Work) -> Done:
    """The sum of the inputs."""
    return merged(work, _add)


def multiply(work: Work) -> Done:
    """The product of the inputs."""
    return merged(work, _multiply)


@loop
def _copy(x: Array, y: Array, first: int) -> int:
    written = 0
    before, size, after = x.shape
    for i in range(before):
        for k in range(size):
            for j in range(after):
                y[i, first + k, j] = x[i, k, j]
                written += 1
    return written


def concatenate(work: Work) -> Done:
    """The inputs one after the other along the axis."""
    axis, shape = cast("Concat", work.op).axis, list(work.input.shape)
    sizes = [around(x.shape, axis) for x in work.inputs]
    before, _, after = sizes[0]
    total = sum(size for _, size, _ in sizes)
    shape[axis + 1 if axis >= 0 else axis] = total
    y, written, first = work.empty(tuple(shape)), 0, 0
    for x, size in zip(work.inputs, sizes):
        written += _copy(x.reshape(size), y.reshape(before, total, after), first)
        first += size[1]
    return y, Count(0, written)


def split(work: Work) -> Done:
    """Part of the input along the axis: a view."""
    op, x = cast("Split", work.op), work.input
    axis = op.axis + 1 if op.axis >= 0 else op.axis + x.ndim
    first = sum(op.sections[: op.index])
    part = (slice(None),) * axis + (slice(first, first + op.sections[op.index]),)
    return x[part], Count(0, 0)
