"""Operators that pick, repeat or regroup elements."""

from __future__ import annotations

from typing import cast

from archcost.ops import DepthToSpace, Expand, Gather, SpaceToDepth
from archcost.reference.merge import start
from archcost.reference.work import Array, Count, Done, Work, around, integers, loop, strides_of


@loop
def take(x: Array, y: Array, indices: Array) -> int:
    """Write the elements of the middle axis of ``x`` at ``indices`` to ``y``; return how many."""
    written = 0
    before, _, after = x.shape
    for i in range(before):
        for k in range(len(indices)):
            for j in range(after):
                y[i, k, j] = x[i, indices[k], j]
                written += 1
    return written


def gather(work: Work) -> Done:
    """Elements of the axis at the indices; those below 0 count from the end."""
    op, x = cast("Gather", work.op), work.input
    before, size, after = around(x.shape, op.axis)
    axis = op.axis + 1 if op.axis >= 0 else op.axis + x.ndim
    shape = (*x.shape[:axis], *op.shape, *x.shape[axis + 1 :])
    y = work.empty(shape if len(shape) > 1 else (*shape, 1))
    indices = integers([index + size if index < 0 else index for index in op.indices])
    return y, Count(0, take(x.reshape(before, size, after), y.reshape(before, len(indices), after), indices))


def expand(work: Work) -> Done:
    """The input, read again and again on the axes of size 1 and on the new ones in front."""
    shape = cast("Expand", work.op).shape
    images, *sizes = work.input.shape
    source = (images, *[1] * (len(shape) - len(sizes)), *sizes)
    steps = [step if size > 1 else 0 for step, size in zip(strides_of(source), source)]
    y = work.empty((images, *shape))
    return y, Count(0, start(work.input.reshape(-1), y.reshape(-1), integers(y.shape), integers(steps)))


@loop
def _spread(x: Array, y: Array, block: int, block_first: bool) -> int:
    written = 0
    images, channels, height, width = y.shape
    for image in range(images):
        for channel in range(channels):
            for i in range(height):
                for j in range(width):
                    place = i % block * block + j % block
                    source = place * channels + channel if block_first else channel * block**2 + place
                    y[image, channel, i, j] = x[image, source, i // block, j // block]
                    written += 1
    return written


def depth_to_space(work: Work) -> Done:
    """Each channel of a block's channels to its place in the block."""
    op, x = cast("DepthToSpace", work.op), work.input
    images, channels, height, width = x.shape
    y = work.empty((images, channels // op.block**2, height * op.block, width * op.block))
    return y, Count(0, _spread(x, y, op.block, op.mode == "DCR"))


@loop
def _collect(x: Array, y: Array, block: int) -> int:
    written = 0
    images, channels, height, width = x.shape
    for image in range(images):
        for channel in range(channels):
            for i in range(height):
                for j in range(width):
                    place = i % block * block + j % block
                    y[image, place * channels + channel, i // block, j // block] = x[image, channel, i, j]
                    written += 1
    return written


def space_to_depth(work: Work) -> Done:
    """Each place in a block to a channel of its own."""
    block, x = cast("SpaceToDepth", work.op).block, work.input
    images, channels, height, width = x.shape
    y = work.empty((images, channels * block**2, height // block, width // block))
    return y, Count(0, _collect(x, y, block))
