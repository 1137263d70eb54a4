"""Resizing by interpolation, one axis after the other."""

from __future__ import annotations

import math
from typing import cast

import numpy as np

from archcost.ops import Resize
from archcost.reference.work import Array, Count, Done, Work, integers, loop


@loop
def _interpolate(x: Array, y: Array, low: Array, share: Array) -> int:
    written = 0
    before, size, after = x.shape
    for i in range(before):
        for k in range(len(low)):
            first, second = min(max(low[k], 0), size - 1), min(max(low[k] + 1, 0), size - 1)
            for j in range(after):
                y[i, k, j] = (1 - share[k]) * x[i, first, j] + share[k] * x[i, second, j]
                written += 1
    return written


def resize(work: Work) -> Done:
    """Each resized axis by interpolation between the two elements around a place, or by the nearest one."""
    op, x = cast("Resize", work.op), work.input
    y = work.empty((*x.shape[: x.ndim - len(op.sizes)], *op.sizes))
    shape, values = list(x.shape), x.astype(float)
    for number, size in enumerate(op.sizes):
        axis = x.ndim - len(op.sizes) + number
        places = [_place(op, number, x.shape[axis], position) for position in range(size)]
        if op.mode == "nearest":
            places = [_nearest(op, place) for place in places]
        low = [math.floor(place) for place in places]
        share = np.array([place - below for place, below in zip(places, low)], float)
        before, after = int(np.prod(shape[:axis])), int(np.prod(shape[axis + 1 :]))
        taken = np.empty((before, size, after))
        _interpolate(values.reshape(before, shape[axis], after), taken, integers(low), share)
        shape[axis], values = size, taken
    y[...] = values.reshape(shape)
    return y, Count(0, y.size)


def _place(op: Resize, number: int, size: int, position: int) -> float:
    """Return the place on an axis of ``size`` elements of an output position: ONNX's formulas, as they stand there."""
    output = op.sizes[number]
    if op.scales is None and output == size:
        return float(position)
    scale = output / size if op.scales is None else op.scales[number]
    length = scale * size
    if op.coordinates == "align_corners":
        return position * (size - 1) / (length - 1) if length != 1 else 0.0
    if op.coordinates == "asymmetric":
        return _settled(position / scale)
    if op.coordinates == "pytorch_half_pixel" and output == 1:
        return 0.0
    if op.coordinates == "half_pixel_symmetric":
        offset = size / 2 * (1 - output / length)
        return _settled(offset + (position + 0.5) / scale - 0.5)
    return _settled((position + 0.5) / scale - 0.5)


def _settled(place: float) -> float:
    """Return ``place`` without the rounding errors of its formula and of a scale of 32 bits: whole and half places."""
    halves = round(2 * place)
    return halves / 2 if abs(2 * place - halves) < 1e-6 * (1 + abs(place)) else place


def _nearest(op: Resize, place: float) -> float:
    if op.rounding == "floor":
        return float(math.floor(place))
    if op.rounding == "ceil":
        return float(math.ceil(place))
    return float(math.ceil(place - 0.5) if op.rounding == "round_prefer_floor" else math.floor(place + 0.5))
