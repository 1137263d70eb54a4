"""Convolution and pooling of volumes, (channels, depth, height, width): shapes and costs; the engine does not run them.

The rules are those of two dimensions with one axis more; see ``conv`` and ``pool``.
"""

from __future__ import annotations

from typing import ClassVar, cast

from archcost.cost import NO_COST, POOL_OPS_PER_TAP, BackwardCost, Cost
from archcost.errors import OperatorError
from archcost.geometry import (
    IntOrTriple,
    PaddingName,
    Shape,
    Sides3d,
    Sides3dLike,
    Triple,
    product,
    same_padding,
    shape_text,
    sides_3d,
    triple,
    whole,
    window_output,
)
from archcost.ops.base import Op, ParameterFree, Saved, Tensors, operator
from archcost.ops.conv import Multiplying

Window3d = tuple[Triple, Triple, "Sides3d | PaddingName", Triple]
"""Kernel size, stride, padding, dilation."""


def volume(op: Op, inputs: tuple[Shape, ...]) -> tuple[int, Triple]:
    """Return the only input's channels and its (depth, height, width). Raises OperatorError for another rank."""
    shape = op.one(inputs)
    if len(shape) != 4:
        raise OperatorError(
            f"{type(op).__name__} needs an input of (channels, depth, height, width), not {shape_text(shape)}"
        )
    return shape[0], (shape[1], shape[2], shape[3])


def positions(window: Window3d, size: Triple, *, ceil_mode: bool = False) -> Triple:
    """Return how many windows fit on each axis of ``size``. Raises OperatorError if not one does."""
    kernel, stride, padding, dilation = window
    edges = [
        same_padding(*axis) if isinstance(padding, str) else padding[place]
        for place, axis in enumerate(zip(size, kernel, stride, dilation))
    ]
    axes = zip(size, kernel, stride, edges, dilation)
    depth, height, width = (window_output(*axis, ceil_mode) for axis in axes)
    return depth, height, width


def text_3d(kernel: Triple, stride: Triple) -> str:
    """Return ``3x3x3``, ``3x3x3/2``."""
    text = shape_text(kernel)
    if stride == (1, 1, 1):
        return text
    return f"{text}/{stride[0]}" if len(set(stride)) == 1 else f"{text}/{shape_text(stride)}"


@operator
class Conv3d(Multiplying):
    """Cross-correlation of (in_channels, depth, height, width); weight (out, in/groups, kd, kh, kw).

    The arguments are those of Conv2d, in threes: (depth, rows, columns).
    """

    family: ClassVar[str] = "conv"
    out_channels: int
    kernel_size: IntOrTriple
    stride: IntOrTriple = 1
    padding: Sides3dLike = 0
    dilation: IntOrTriple = 1
    groups: int = 1
    bias: bool = True

    def __post_init__(self) -> None:
        whole("out_channels", self.out_channels)
        whole("groups", self.groups)
        for name in ("kernel_size", "stride", "dilation"):
            object.__setattr__(self, name, triple(name, getattr(self, name)))
        object.__setattr__(self, "padding", sides_3d(self.padding))
        if self.out_channels % self.groups:
            raise OperatorError(f"`groups` (={self.groups}) must divide `out_channels` (={self.out_channels})")

    @property
    def window(self) -> Window3d:
        """Kernel size, stride, padding and dilation in the full form that construction gave them."""
        return cast("Window3d", (self.kernel_size, self.stride, self.padding, self.dilation))

    def out_shape(self, *inputs: Shape) -> Shape:
        channels, size = volume(self, inputs)
        if channels % self.groups:
            raise OperatorError(f"`groups` (={self.groups}) must divide the {channels} input channels")
        return self.out_channels, *positions(self.window, size)

    def params(self, *inputs: Shape) -> Tensors:
        weight = (self.out_channels, inputs[0][0] // self.groups, *self.window[0])
        return {"weight": weight, "bias": (self.out_channels,)} if self.bias else {"weight": weight}

    def cost(self, *inputs: Shape, training: bool = False) -> Cost:
        taps = product(self.window[0]) * (inputs[0][0] // self.groups)
        return Cost(product(self.out_shape(*inputs)) * taps)

    def kind(self, *inputs: Shape) -> str:
        if self.groups > 1:
            return "depthwise" if self.groups == inputs[0][0] else "grouped"
        return "pointwise" if self.kernel_size == (1, 1, 1) else "conv"

    def label(self, *inputs: Shape) -> str:
        return f"{self.kind(*inputs)} {text_3d(*self.window[:2])}"


@operator
class Pool3d(ParameterFree):
    """What the pools of volumes share; the arguments are those of MaxPool2d, in threes."""

    family: ClassVar[str] = "pool"
    kernel_size: IntOrTriple
    stride: IntOrTriple | None = None
    padding: Sides3dLike = 0
    ceil_mode: bool = False

    def __post_init__(self) -> None:
        kernel = triple("kernel_size", self.kernel_size)
        object.__setattr__(self, "kernel_size", kernel)
        object.__setattr__(self, "stride", kernel if self.stride is None else triple("stride", self.stride))
        padding = sides_3d(self.padding)
        object.__setattr__(self, "padding", padding)
        if not isinstance(padding, str) and any(2 * max(edges) > kernel[axis] for axis, edges in enumerate(padding)):
            raise OperatorError(f"`padding` (={padding}) must be at most half of `kernel_size` (={kernel})")

    @property
    def window(self) -> Window3d:
        """Kernel size, stride, padding and dilation in the full form that construction gave them."""
        return cast("Window3d", (self.kernel_size, self.stride, self.padding, (1, 1, 1)))

    def out_shape(self, *inputs: Shape) -> Shape:
        channels, size = volume(self, inputs)
        return channels, *positions(self.window, size, ceil_mode=self.ceil_mode)

    def taps(self, *inputs: Shape) -> int:
        """Return the number of window positions times the taps of a window."""
        return product(self.out_shape(*inputs)) * product(self.window[0])

    def cost(self, *inputs: Shape, training: bool = False) -> Cost:
        return Cost(0, POOL_OPS_PER_TAP * self.taps(*inputs))


class MaxPool3d(Pool3d):
    """Largest element of each window."""

    saved_for_input: ClassVar[frozenset[Saved]] = frozenset({"indices"})

    def backward_cost(self, *inputs: Shape, trainable: bool = True) -> BackwardCost:
        return BackwardCost((Cost(0, product(self.out_shape(*inputs))),), NO_COST)

    def label(self, *inputs: Shape) -> str:
        return f"max pool {text_3d(*self.window[:2])}"


@operator
class AvgPool3d(Pool3d):
    """Mean of each window; ``count_include_pad`` divides by the whole kernel, else by the taps inside the input."""

    count_include_pad: bool = True

    def backward_cost(self, *inputs: Shape, trainable: bool = True) -> BackwardCost:
        return BackwardCost((Cost(0, POOL_OPS_PER_TAP * self.taps(*inputs)),), NO_COST)

    def label(self, *inputs: Shape) -> str:
        return f"average pool {text_3d(*self.window[:2])}"
