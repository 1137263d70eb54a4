"""Operators that only move or rename elements."""

from __future__ import annotations

from typing import cast

from archcost.ops import ChannelShuffle, Pad, Reshape, Slice, Transpose
from archcost.reference.moves import take
from archcost.reference.work import Array, Count, Done, Work, around, integers, loop, place, strides_of

VIEW = Count(0, 0)


def identity(work: Work) -> Done:
    """The input itself."""
    return work.input, VIEW


def flatten(work: Work) -> Done:
    """All axes of an image in one."""
    return work.input.reshape(len(work.input), -1), VIEW


def reshape(work: Work) -> Done:
    """The elements in another shape."""
    return work.input.reshape(len(work.input), *cast("Reshape", work.op).shape), VIEW


@loop
def _permute(x: Array, y: Array, shape: Array, strides: Array) -> int:
    written = 0
    for i in range(len(y)):
        y[i] = x[place(i, shape, strides)]
        written += 1
    return written


def transpose(work: Work) -> Done:
    """The axes in another order."""
    x, order = work.input, [0, *(axis + 1 for axis in cast("Transpose", work.op).axes)]
    y = work.empty(tuple(x.shape[axis] for axis in order))
    strides = [strides_of(x.shape)[axis] for axis in order]
    return y, Count(0, _permute(x.reshape(-1), y.reshape(-1), integers(y.shape), integers(strides)))


@loop
def _shuffle(x: Array, y: Array, groups: int) -> int:
    written = 0
    images, channels, positions = x.shape
    each = channels // groups
    for image in range(images):
        for group in range(groups):
            for member in range(each):
                for i in range(positions):
                    y[image, member * groups + group, i] = x[image, group * each + member, i]
                    written += 1
    return written


def channel_shuffle(work: Work) -> Done:
    """The first channel of each group, then the second of each, and so on."""
    shape = around(work.input.shape, 0)
    y = work.empty(work.input.shape)
    groups = cast("ChannelShuffle", work.op).groups
    return y, Count(0, _shuffle(work.input.reshape(shape), y.reshape(shape), groups))


@loop
def _surround(x: Array, y: Array, sizes: Array, shape: Array, first: Array, mode: int, value: float) -> int:
    written = 0
    for i in range(len(y)):
        rest, source, stride, inside = i, 0, 1, True
        for axis in range(len(shape) - 1, -1, -1):
            position, last = rest % shape[axis] - first[axis], sizes[axis] - 1
            rest //= shape[axis]
            if position < 0 or position > last:
                if mode == 0:
                    inside = False
                elif mode == 1:
                    position = -position if position < 0 else 2 * last - position
                else:
                    position = min(max(position, 0), last)
            source += position * stride
            stride *= sizes[axis]
        y[i] = x[source] if inside else value
        written += 1
    return written


def pad(work: Work) -> Done:
    """The input with elements around it: a constant, the input mirrored at its edge, or its edge."""
    op, x = cast("Pad", work.op), work.input
    pads = [(0, 0), *op.pads]
    y = work.empty(tuple(size + before + after for size, (before, after) in zip(x.shape, pads)))
    sizes, shape, first = integers(x.shape), integers(y.shape), integers([before for before, _ in pads])
    mode = ("constant", "reflect", "edge").index(op.mode)
    return y, Count(0, _surround(x.reshape(-1), y.reshape(-1), sizes, shape, first, mode, float(op.value)))


def pick(work: Work) -> Done:
    """Some elements of an axis: those that Python takes of a list of as many elements."""
    op, x = cast("Slice", work.op), work.input
    before, size, after = around(x.shape, op.axis)
    taken = integers(list(range(size))[op.start : op.stop : op.step])
    shape = list(x.shape)
    shape[op.axis + 1 if op.axis >= 0 else op.axis] = len(taken)
    y = work.empty(tuple(shape))
    return y, Count(0, take(x.reshape(before, size, after), y.reshape(before, len(taken), after), taken))
