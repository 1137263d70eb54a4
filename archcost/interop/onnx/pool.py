"""Pooling of ONNX: over windows, and over all positions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from math import gcd
from typing import Any

import numpy as np

from archcost.build import Tensor
from archcost.errors import ModelError
from archcost.geometry import Pair, Shape, product, window_output
from archcost.interop.onnx.importer import Importer
from archcost.interop.onnx.registry import converts
from archcost.interop.onnx.values import Constant, Runtime, Value
from archcost.interop.onnx.windows import Windows, windows
from archcost.ops import (
    AvgPool2d,
    AvgPool3d,
    Gather,
    GlobalAvgPool,
    GlobalMaxPool,
    LpPool2d,
    MaxPool2d,
    MaxPool3d,
    Mul,
    Op,
    Pad,
    Slice,
)

MOST_TAPS = 2**22
"""Taps of all windows on an axis, where they are laid side by side."""

LOWEST = float(np.finfo(np.float32).min)

Pooling = Callable[[Any, Any, Any, bool], Op]
"""An operator of ours from kernel, stride, padding and whether to round up."""


def _window(
    net: Importer, x: Value, kernel: Sequence[int], strides: Any, pads: Any, dilations: Any, auto_pad: str
) -> tuple[Runtime, Windows]:
    data = net.runtime(x)
    if not 3 <= len(data.shape) <= 5:
        raise ModelError(f"its input has {len(data.shape)} axes; 3, 4 and 5 are read")
    return data, windows(data.shape[2:], kernel, strides, pads, dilations, auto_pad).rows_and_columns


def _fits(window: Windows, size: Sequence[int], *, ceil_mode: bool) -> bool:
    """Return whether the windows are ones that our pools take: without dilation, at most half of them padding."""
    if any(dilation > 1 for dilation in window.dilations):
        return False
    if any(min(pads) < 0 or 2 * max(pads) > kernel for pads, kernel in zip(window.pads, window.kernel)):
        return False
    return bool(ceil_mode) or all(
        length + sum(pads) >= kernel for length, pads, kernel in zip(size, window.pads, window.kernel)
    )


def _pooled(net: Importer, data: Runtime, window: Windows, make: Pooling, *, ceil_mode: int) -> Runtime:
    op = make(window.kernel, window.strides, window.pads, bool(ceil_mode))
    if len(window.kernel) == 3:
        return net.images(data, lambda tensor: net.add(op, tensor))
    return net.images(data, lambda tensor: net.as_image(tensor, lambda one: net.add(op, one)))


@converts("MaxPool")
def max_pool(
    net: Importer,
    x: Value,
    *,
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    dilations: Sequence[int] | None = None,
    kernel_shape: Sequence[int] = (),
    pads: Sequence[int] | None = None,
    storage_order: int = 0,
    strides: Sequence[int] | None = None,
) -> Runtime:
    """Largest element of each window; those with dilation or much padding are brought to plain ones."""
    data, window = _window(net, x, kernel_shape, strides, pads, dilations, auto_pad)
    size = _positions(data, window)
    if len(window.kernel) == 3 or _fits(window, size, ceil_mode=bool(ceil_mode)):
        if max(window.dilations) > 1:
            raise ModelError("`dilations` are not supported over three axes")
        make = MaxPool3d if len(window.kernel) == 3 else MaxPool2d
        return _pooled(net, data, window, make, ceil_mode=ceil_mode)

    def one(tensor: Tensor) -> Tensor:
        taps, kernel, stride = _laid_out(net, tensor, window, ceil_mode=bool(ceil_mode), value=LOWEST)
        return net.add(MaxPool2d(kernel, stride), taps)

    return net.images(data, lambda tensor: net.as_image(tensor, one))


def _positions(data: Runtime, window: Windows) -> Shape:
    size = data.shape[2:]
    return size if len(size) == len(window.kernel) else (1, *size)


def _lengths(size: Sequence[int], window: Windows, *, ceil_mode: bool) -> tuple[int, ...]:
    axes = zip(size, window.kernel, window.strides, window.pads, window.dilations)
    return tuple(window_output(*axis, ceil_mode) for axis in axes)


def _laid_out(
    net: Importer, tensor: Tensor, window: Windows, *, ceil_mode: bool, value: float
) -> tuple[Tensor, Pair, Pair]:
    """Return a tensor, a kernel and a stride of a pool without dilation and padding that has the same windows.

    The tensor is padded with ``value``. A step that stride and dilation have in common leaves elements out that no
    window reads; where a dilation remains, the taps of all windows are laid side by side.
    """
    size = tensor.shape[1:]
    lengths = _lengths(size, window, ceil_mode=ceil_mode)
    axes = list(zip(lengths, window.kernel, window.strides, window.dilations))
    reach = [(length - 1) * stride + (kernel - 1) * dilation + 1 for length, kernel, stride, dilation in axes]
    sides = [(before, max(0, end - before - length)) for (before, _), end, length in zip(window.pads, reach, size)]
    if any(any(pair) for pair in sides):
        tensor = net.add(Pad(((0, 0), *sides), value=value), tensor, role="pad")
    strides = []
    for axis, (length, kernel, stride, dilation) in enumerate(axes, 1):
        step = gcd(stride, dilation)
        if step > 1 or tensor.shape[axis] > reach[axis - 1]:
            tensor = net.add(Slice(axis, 0, reach[axis - 1], step), tensor, role="part")
        if dilation == step:
            strides.append(stride // step)
            continue
        if length * kernel > MOST_TAPS:
            raise ModelError("windows with this dilation are not supported for so many positions")
        places = [
            position * (stride // step) + tap * (dilation // step)
            for position in range(length)
            for tap in range(kernel)
        ]
        tensor = net.add(Gather(axis, tuple(places), (len(places),)), tensor, role="taps")
        strides.append(kernel)
    return tensor, (window.kernel[0], window.kernel[1]), (strides[0], strides[1])


@converts("AveragePool")
def average_pool(
    net: Importer,
    x: Value,
    *,
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    count_include_pad: int = 0,
    dilations: Sequence[int] | None = None,
    kernel_shape: Sequence[int] = (),
    pads: Sequence[int] | None = None,
    strides: Sequence[int] | None = None,
) -> Runtime:
    """Mean of each window; those with dilation or much padding are brought to plain ones."""
    data, window = _window(net, x, kernel_shape, strides, pads, dilations, auto_pad)
    size, counted = _positions(data, window), bool(count_include_pad)
    if len(window.kernel) == 3 or _fits(window, size, ceil_mode=bool(ceil_mode)):
        if max(window.dilations) > 1:
            raise ModelError("`dilations` are not supported over three axes")
        kind = AvgPool3d if len(window.kernel) == 3 else AvgPool2d
        make = partial(kind, count_include_pad=counted)
        return _pooled(net, data, window, make, ceil_mode=ceil_mode)
    lengths = _lengths(size, window, ceil_mode=bool(ceil_mode))
    shares = Constant.of(_shares(size, lengths, window, padding_counts=counted))

    def one(tensor: Tensor) -> Tensor:
        taps, kernel, stride = _laid_out(net, tensor, window, ceil_mode=bool(ceil_mode), value=0.0)
        means = net.add(AvgPool2d(kernel, stride), taps, role="mean")
        return net.add(Mul(), means, net.constant(shares, shares.shape))

    return net.images(data, lambda tensor: net.as_image(tensor, one))


def _shares(
    size: Sequence[int], lengths: Sequence[int], window: Windows, *, padding_counts: bool
) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Return the taps of a window over the number of those that count, for each position: (1, rows, columns)."""
    counts = []
    for axis, length in enumerate(lengths):
        before, after = window.pads[axis]
        lowest, highest = (-before, size[axis] + after) if padding_counts else (0, size[axis])
        starts = np.arange(length) * window.strides[axis] - before
        taps = starts[:, None] + np.arange(window.kernel[axis]) * window.dilations[axis]
        counts.append(((taps >= lowest) & (taps < highest)).sum(axis=1))
    return np.asarray(product(window.kernel) / np.maximum(np.multiply.outer(*counts), 1), np.float32)[None]


@converts("LpPool")
def lp_pool(
    net: Importer,
    x: Value,
    *,
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    dilations: Sequence[int] | None = None,
    kernel_shape: Sequence[int] = (),
    p: int = 2,
    pads: Sequence[int] | None = None,
    strides: Sequence[int] | None = None,
) -> Runtime:
    """The p-norm of each window."""
    data, window = _window(net, x, kernel_shape, strides, pads, dilations, auto_pad)
    if len(window.kernel) == 3:
        raise ModelError("an LpPool over three axes is not supported")
    if _fits(window, _positions(data, window), ceil_mode=bool(ceil_mode)):
        return _pooled(net, data, window, partial(LpPool2d, p=p), ceil_mode=ceil_mode)

    def one(tensor: Tensor) -> Tensor:
        taps, kernel, stride = _laid_out(net, tensor, window, ceil_mode=bool(ceil_mode), value=0.0)
        return net.add(LpPool2d(kernel, stride, p=p), taps)

    return net.images(data, lambda tensor: net.as_image(tensor, one))


@converts("GlobalAveragePool")
def global_average_pool(net: Importer, x: Value) -> Runtime:
    """Mean over all positions."""
    return net.images(net.runtime(x), lambda tensor: net.add(GlobalAvgPool(), tensor))


@converts("GlobalMaxPool")
def global_max_pool(net: Importer, x: Value) -> Runtime:
    """Largest element over all positions."""
    return net.images(net.runtime(x), lambda tensor: net.add(GlobalMaxPool(), tensor))
