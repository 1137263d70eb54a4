"""Which part of the input an output element can see, for any branching graph.

Per spatial axis, output element i of a node sees the input interval [first + i*stride, last + i*stride], padding
included (Araujo et al. 2019, Computing Receptive Fields of Convolutional Neural Networks). A merge takes the union of
its branches; what looks at all positions (global pooling, flatten, an SE gate) sees the whole input.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import floor

from archcost.geometry import Pair, Shape, adaptive_taps, pair, resolve, sides
from archcost.graph import Graph, Node
from archcost.ops import (
    AdaptiveAvgPool2d,
    Conv2d,
    ConvTranspose2d,
    Flatten,
    Input,
    LayerNorm,
    Linear,
    Pad,
    PartialConv2d,
    RadialBasis,
    Reshape,
    Slice,
    Softmax,
    Split,
    Transpose,
)
from archcost.ops.dense import MatMul
from archcost.ops.functions import LogSoftmax
from archcost.ops.moves import DepthToSpace, Expand, Gather, SpaceToDepth
from archcost.ops.norm import InstanceNorm
from archcost.ops.pool import GlobalPool, Window
from archcost.ops.reduce import Reduction
from archcost.ops.resize import Resize, place_of
from archcost.ops.unknown import Unknown

ALL_POSITIONS = (Flatten, Reshape, GlobalPool, InstanceNorm, RadialBasis, MatMul, Unknown)
"""Operators whose every output may see every position of their input."""


@dataclass(frozen=True)
class Field:
    """What the outputs of one axis see: element i sees [first + i*stride, last + i*stride] of the input axis.

    Attributes:
        first: first input position that output 0 sees; negative inside the padding.
        last: last input position that output 0 sees.
        stride: input positions from one output to the next; a fraction after upsampling.
        everything: every output sees the whole axis.
    """

    first: int
    last: int
    stride: Fraction = Fraction(1)
    everything: bool = False

    @property
    def size(self) -> int:
        """Input positions that one output sees, padding included."""
        return self.last - self.first + 1

    @property
    def offset(self) -> Fraction:
        """Centre of what output 0 sees, in input positions."""
        return Fraction(self.first + self.last, 2)


@dataclass(frozen=True)
class ReceptiveField:
    """Receptive field of a node, per axis of the input image.

    Attributes:
        size: (rows, columns) that one output element sees; the whole input where ``everything``.
        stride: (rows, columns) between neighbouring outputs.
        offset: (row, column) of the centre of what the first output sees.
        everything: whether every output sees the whole image.
    """

    size: Pair
    stride: tuple[Fraction, Fraction]
    offset: tuple[Fraction, Fraction]
    everything: bool


def receptive_fields(graph: Graph) -> dict[str, ReceptiveField]:
    """Return the receptive field of every node whose value depends on an image, in time linear in the graph.

    The image is the first input of three axes; every other input counts as seeing nothing.
    """
    image = next((node for node in graph.inputs if len(graph.shapes[node.name]) == 3), None)
    if image is None:
        return {}
    size = graph.shapes[image.name][1:]
    whole = tuple(Field(0, extent - 1, Fraction(1), everything=True) for extent in size)
    states: dict[str, tuple[Field, Field] | None] = {}
    axes: dict[str, Pair | None] = {}
    result: dict[str, ReceptiveField] = {}
    for node in graph:
        if isinstance(node.op, Input):
            states[node.name] = (Field(0, 0), Field(0, 0)) if node is image else None
            axes[node.name] = (1, 2)
        else:
            seen = [(graph.shapes[name], state) for name in node.inputs if (state := states[name]) is not None]
            where = next((axes[name] for name in node.inputs if axes[name] is not None), None)
            axes[node.name] = _spatial_axes(node, graph.shapes[node.name], where)
            states[node.name] = (
                _step(node, graph.input_shapes(node), graph.shapes[node.name], seen, where, (whole[0], whole[1]))
                if seen
                else None
            )
        state = states[node.name]
        if state is not None:
            rows, columns = state
            result[node.name] = ReceptiveField(
                (rows.size, columns.size),
                (rows.stride, columns.stride),
                (rows.offset, columns.offset),
                rows.everything and columns.everything,
            )
    return result


def _spatial_axes(node: Node, shape: Shape, before: Pair | None) -> Pair | None:
    """Return which axes of the output hold the image's rows and columns; None when they are gone."""
    if before is None or len(shape) != 3 or isinstance(node.op, (Flatten, Reshape, MatMul, Unknown)):
        return None
    if isinstance(node.op, Transpose):
        return node.op.axes.index(before[0]), node.op.axes.index(before[1])
    return before


def _step(
    node: Node,
    shapes: tuple[Shape, ...],
    output: Shape,
    seen: list[tuple[Shape, tuple[Field, Field]]],
    axes: Pair | None,
    whole: tuple[Field, Field],
) -> tuple[Field, Field]:
    if axes is None or isinstance(node.op, ALL_POSITIONS):
        return whole
    rows, columns = (
        _axis(
            node.op,
            shapes[0],
            _union([(shape, fields[axis]) for shape, fields in seen], output, axes[axis], whole[axis]),
            axes[axis],
            whole[axis],
        )
        for axis in (0, 1)
    )
    return rows, columns


def _union(seen: list[tuple[Shape, Field]], output: Shape, place: int, whole: Field) -> Field:
    """Return what is seen through all inputs of a node; everything, if it is no single interval for each output."""
    fields = [field for _, field in seen]
    if len(seen) > 1 and output[place] > 1:
        same = len({field.stride for field in fields}) == 1
        if not same or any(shape[place] != output[place] for shape, _ in seen):
            return whole
    if any(field.everything for field in fields):
        return whole
    first, last = min(field.first for field in fields), max(field.last for field in fields)
    return Field(first, last, max(field.stride for field in fields))


def _axis(op: object, shape: Shape, seen: Field, place: int, whole: Field) -> Field:
    """Return what one axis sees after ``op``: a window of taps at ``start``, ``start + dilation``, ... per output.

    Args:
        op: the operator.
        shape: its (first) input.
        seen: what the inputs see.
        place: which axis of ``shape`` it is.
        whole: the axis of the image.
    """
    if seen.everything or _mixes(op, shape, place):
        return whole
    if isinstance(op, Pad):
        return _window(seen, -op.pads[place][0], 0, Fraction(1))
    if isinstance(op, Slice) and op.axis % len(shape) == place:
        taken = op.taken(shape[place])
        return _window(seen, taken.start, 0, Fraction(taken.step)) if taken.step > 0 else whole
    if isinstance(op, Split) and op.axis % len(shape) == place:
        return _window(seen, sum(op.sections[: op.index]), 0, Fraction(1))
    if isinstance(op, Resize):
        return _resized(op, shape, seen, place)
    axis = place - 1
    if axis < 0:  # the image's axis lies where the channels are: a convolution adds them all up
        return whole if isinstance(op, (Conv2d, ConvTranspose2d, PartialConv2d)) else seen
    if isinstance(op, (Conv2d, Window)):
        kernel, stride = pair("", op.kernel_size), pair("", op.stride)
        dilation = pair("", op.dilation) if isinstance(op, Conv2d) else (1, 1)
        padding = resolve(sides(op.padding), shape[1:], kernel, stride, dilation)
        return _window(seen, -padding[axis][0], (kernel[axis] - 1) * dilation[axis], Fraction(stride[axis]))
    if isinstance(op, PartialConv2d):
        return _window(seen, 0, pair("", op.kernel_size)[axis] - 1, Fraction(1))
    if isinstance(op, ConvTranspose2d):
        kernel, stride, written, dilation = op.window
        edges = resolve(written, shape, kernel, stride, dilation)
        reach = (kernel[axis] - 1) * dilation[axis] // stride[axis]
        return _window(seen, edges[axis][0] // stride[axis] - reach, reach, Fraction(1, stride[axis]))
    if isinstance(op, AdaptiveAvgPool2d):
        size, output = shape[place], pair("", op.output_size)[axis]
        longest = -(-adaptive_taps(size, output) // output)
        return whole if longest == size else _window(seen, 0, longest - 1, Fraction(size, output))
    if isinstance(op, DepthToSpace):
        return _window(seen, 0, 0, Fraction(1, op.block))
    if isinstance(op, SpaceToDepth):
        return _window(seen, 0, op.block - 1, Fraction(op.block))
    return seen


def _mixes(op: object, shape: Shape, place: int) -> bool:
    """Return whether every output along an axis may see all of it."""
    last = len(shape) - 1
    if isinstance(op, Linear):
        return place == last
    if isinstance(op, (Softmax, LogSoftmax)):
        return op.axis % len(shape) == place
    if isinstance(op, LayerNorm):
        return place == 0 if op.axis == 0 else place > last - op.normalized_axes
    if isinstance(op, Gather):
        return op.axis % len(shape) == place
    if isinstance(op, Expand):
        return op.shape[len(op.shape) - len(shape) + place] != shape[place]
    return isinstance(op, Reduction) and place in op.reduced(shape)


def _resized(op: Resize, shape: Shape, seen: Field, place: int) -> Field:
    """One input position, or two neighbours that are interpolated, for each output position."""
    number = place - (len(shape) - len(op.sizes))
    if place not in op.resized(shape):
        return seen
    size, output = shape[place], op.sizes[number]
    scale = None if op.scales is None else op.scales[number]
    first = floor(place_of(0, size, output, scale, op.coordinates))
    step = Fraction(size, output) if scale is None else 1 / Fraction(scale)
    return _window(seen, max(first, 0), 0 if op.mode == "nearest" else 1, step)


def _window(seen: Field, start: int, reach: int, step: Fraction) -> Field:
    first = seen.first + start * seen.stride // 1
    last = seen.last - (-(start + reach) * seen.stride) // 1
    return Field(first, last, seen.stride * step)
