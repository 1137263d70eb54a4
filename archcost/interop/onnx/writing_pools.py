"""Pooling and reductions as ONNX nodes: one function for each operator."""

from __future__ import annotations

from typing import Any, NamedTuple, cast

from archcost.geometry import Pair, adaptive_window, pair, product
from archcost.interop.onnx.writing_place import Place, edges_of, pads_of
from archcost.ops import AdaptiveAvgPool2d, AvgPool2d, LpPool2d, SubsamplingPool2d
from archcost.ops.conv3d import AvgPool3d, Pool3d
from archcost.ops.pool import GlobalPool, Window
from archcost.ops.reduce import Reduction


class _Windows(NamedTuple):
    """A sliding window on each axis.

    Attributes:
        kernel, stride: taps and step.
        padding: (start, end), as the operator has it.
        reached: (start, end), as far as the last window reaches, which may hang over.
    """

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: list[Pair]
    reached: list[Pair]

    def attributes(self, edges: list[Pair]) -> dict[str, Any]:
        """Return ONNX's attributes, with a padding."""
        return {"kernel_shape": self.kernel, "strides": self.stride, "pads": pads_of(edges)}


def _windows(place: Place, op: Window | Pool3d) -> _Windows:
    """Return the windows of a pool; those that hang over the end become padding, which every runtime rounds alike."""
    kernel, stride, given = op.window[:3]
    size = place.shapes[0][1:]
    padding = edges_of(cast("Any", given), size, kernel, stride, [1] * len(size))
    axes = zip(place.output[1:], stride, kernel, size, padding)
    beyond = [(output - 1) * step + taps - extent - edges[0] for output, step, taps, extent, edges in axes]
    return _Windows(kernel, stride, padding, [(start, max(end, last)) for (start, end), last in zip(padding, beyond)])


def max_pool(place: Place, op: Window | Pool3d) -> None:
    """MaxPool."""
    windows = _windows(place, op)
    place.end("MaxPool", **windows.attributes(windows.reached))


def lp_pool2d(place: Place, op: LpPool2d) -> None:
    """LpPool, whose padding is zeros as ours is."""
    windows = _windows(place, op)
    place.end("LpPool", **windows.attributes(windows.reached), p=op.p)


def avg_pool(place: Place, op: AvgPool2d | AvgPool3d) -> None:
    """AveragePool.

    Taps that hang over the padding's end never count, those on the padding may: then the padding is written as an
    operator of its own, because ONNX knows one kind of padding only.
    """
    windows = _windows(place, op)
    edges, value, counted = windows.reached, place.inputs[0], op.count_include_pad
    if counted and edges != windows.padding:
        if any(map(any, windows.padding)):
            value = place.add("Pad", value, place.integers(pads_of([(0, 0), (0, 0), *windows.padding])))
        edges = [(0, reached[1] - own[1]) for own, reached in zip(windows.padding, edges)]
        counted = False
    place.end("AveragePool", value, **windows.attributes(edges), count_include_pad=int(counted))


def subsampling_pool2d(place: Place, op: SubsamplingPool2d) -> None:
    """The mean of each window, times a factor that makes it the sum, plus the bias."""
    taps = product(op.window[0])
    windows = _windows(place, op)
    mean = place.add("AveragePool", place.inputs[0], **windows.attributes(windows.reached), count_include_pad=1)
    factor = place.weight("weight", place.tensor("weight").reshape(-1, 1, 1) * taps, ".factor")
    shift = place.weight("bias", place.tensor("bias").reshape(-1, 1, 1), ".shift")
    place.end("Add", place.add("Mul", mean, factor), shift)


def adaptive_avg_pool2d(place: Place, op: AdaptiveAvgPool2d) -> None:
    """GlobalAveragePool or AveragePool where the windows are alike; else the mean of each strip, rows then columns."""
    size, output = place.shapes[0][1:], pair("output_size", op.output_size)
    if output == (1, 1):
        place.end("GlobalAveragePool")
    elif all(size[axis] % output[axis] == 0 for axis in (0, 1)):
        kernel = [size[axis] // output[axis] for axis in (0, 1)]
        place.end("AveragePool", kernel_shape=kernel, strides=kernel)
    else:
        rows = _strips(place, place.inputs[0], 2, size[0], output[0])
        columns = _strips(place, place.add("Concat", *rows, axis=2), 3, size[1], output[1])
        place.end("Concat", *columns, axis=3)


def _strips(place: Place, value: str, axis: int, size: int, output: int) -> list[str]:
    """Return the means of the adaptive windows of one axis, an axis of size 1 each."""
    means = []
    for index in range(output):
        first, stop = adaptive_window(index, size, output)
        bounds = place.integers([first]), place.integers([stop]), place.integers([axis])
        means.append(place.reduced("ReduceMean", place.add("Slice", value, *bounds), (axis,)))
    return means


def global_pool(place: Place, op: GlobalPool) -> None:
    """GlobalAveragePool or GlobalMaxPool, flattened without ``keep_axes``."""
    kind = {"GlobalAvgPool": "GlobalAveragePool", "GlobalMaxPool": "GlobalMaxPool"}[type(op).__name__]
    if op.keep_axes:
        place.end(kind)
    else:
        place.end("Flatten", place.add(kind, *place.inputs), axis=1)


def reduction(place: Place, op: Reduction) -> None:
    """ReduceMean, ReduceSum, ReduceMax, ReduceMin; an image of which nothing is left keeps one axis."""
    kind = type(op).__name__
    shape = place.shapes[0]
    axes = [axis + 1 for axis in op.reduced(shape)]
    inputs, attributes = place.reduction(kind, axes)
    if not op.keep_axes and len(axes) == len(shape):
        place.end("Reshape", place.reduced(kind, place.inputs[0], axes), place.integers([0, 1]))
    else:
        place.end(kind, *place.inputs, *inputs, **attributes, keepdims=int(op.keep_axes))
