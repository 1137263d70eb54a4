"""Convolutions: standard, grouped, depthwise, pointwise, dilated, transposed, and LeNet-5's partial connections."""

from __future__ import annotations

from typing import ClassVar, cast

from archcost.cost import NO_COST, BackwardCost, Cost
from archcost.errors import OperatorError
from archcost.geometry import (
    IntOrPair,
    PaddingLike,
    PaddingName,
    Pair,
    Shape,
    Sides,
    pair,
    product,
    resolve,
    shown,
    sides,
    transposed_output,
    whole,
    wholes,
    window_output,
)
from archcost.ops.base import Op, Saved, Tensors, operator


class Multiplying(Op):
    """What all layers of multiply-accumulates share: the backward pass repeats the forward's products twice.

    Each product of an output element and a weight tap is done once forward, once for the gradient to the input and once
    for the gradient to the weights (Goodfellow et al. 2016, section 9.5); the gradient of the bias adds every output
    element once.
    """

    saved_for_params: ClassVar[frozenset[Saved]] = frozenset({"input"})

    def backward_cost(self, *inputs: Shape, trainable: bool = True) -> BackwardCost:
        products = self.cost(*inputs).mult_adds
        bias = product(self.out_shape(*inputs)) if "bias" in self.params(*inputs) else 0
        return BackwardCost((Cost(products),), Cost(products, bias) if trainable else NO_COST)


@operator
class Convolution(Multiplying):
    """What convolution and transposed convolution share: the hyper-parameters and their checks."""

    family: ClassVar[str] = "conv"
    out_channels: int
    kernel_size: IntOrPair
    stride: IntOrPair = 1
    padding: PaddingLike = 0
    dilation: IntOrPair = 1
    groups: int = 1
    bias: bool = True

    def __post_init__(self) -> None:
        whole("out_channels", self.out_channels)
        whole("groups", self.groups)
        for name in ("kernel_size", "stride", "dilation"):
            object.__setattr__(self, name, pair(name, getattr(self, name)))
        object.__setattr__(self, "padding", sides(self.padding))
        if self.out_channels % self.groups:
            raise OperatorError(f"`groups` (={self.groups}) must divide `out_channels` (={self.out_channels})")

    @property
    def window(self) -> tuple[Pair, Pair, Sides | PaddingName, Pair]:
        """Kernel size, stride, padding and dilation in the full form that construction gave them."""
        window = (self.kernel_size, self.stride, self.padding, self.dilation)
        return cast("tuple[Pair, Pair, Sides | PaddingName, Pair]", window)

    def grouped_image(self, inputs: tuple[Shape, ...]) -> tuple[int, int, int]:
        """Return the input's (channels, height, width). Raises OperatorError if the groups do not divide them."""
        channels, height, width = self.image(inputs)
        if channels % self.groups:
            raise OperatorError(f"`groups` (={self.groups}) must divide the {channels} input channels")
        return channels, height, width

    def with_bias(self, weight: Shape) -> Tensors:
        """Return the parameters, given the shape of the weight."""
        return {"weight": weight, "bias": (self.out_channels,)} if self.bias else {"weight": weight}


class Conv2d(Convolution):
    """Cross-correlation of (in_channels, height, width) with ``out_channels`` filters; weight (out, in/groups, kh, kw).

    Args:
        out_channels: number of filters.
        kernel_size: rows and columns of a filter.
        stride: step of the window.
        padding: zeros around the input: integer, pair, ((top, bottom), (left, right)), "valid" or "same"
            (output = ceil(input / stride), the odd zero at the end).
        dilation: distance between taps.
        groups: the input channels are cut into this many groups, each seen by its own share of the filters;
            ``groups=in_channels`` is a depthwise convolution.
        bias: add a learned scalar for each filter.
    """

    def out_shape(self, *inputs: Shape) -> Shape:
        _, *size = self.grouped_image(inputs)
        kernel, stride, padding, dilation = self.window
        padding = resolve(padding, size, kernel, stride, dilation)
        height = window_output(size[0], kernel[0], stride[0], padding[0], dilation[0])
        width = window_output(size[1], kernel[1], stride[1], padding[1], dilation[1])
        return self.out_channels, height, width

    def params(self, *inputs: Shape) -> Tensors:
        return self.with_bias((self.out_channels, inputs[0][0] // self.groups, *self.window[0]))

    def cost(self, *inputs: Shape, training: bool = False) -> Cost:
        taps = product(self.window[0]) * (inputs[0][0] // self.groups)
        return Cost(product(self.out_shape(*inputs)) * taps)

    def kind(self, *inputs: Shape) -> str:
        if self.groups > 1:
            return "depthwise" if self.groups == inputs[0][0] else "grouped"
        return "pointwise" if self.kernel_size == (1, 1) else "conv"

    def label(self, *inputs: Shape) -> str:
        return f"{self.kind(*inputs)} {window_text(*self.window)}"


@operator
class ConvTranspose2d(Convolution):
    """Transposed convolution (the gradient of Conv2d to its input); weight (in, out/groups, kh, kw).

    Mult-adds: one for each input element and weight tap that it is spread over. The arguments are Conv2d's (a padding
    in numbers takes rows and columns away from the output), and ``output_padding``: rows and columns added at the end.
    """

    output_padding: IntOrPair = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        extra = pair("output_padding", self.output_padding, 0)
        object.__setattr__(self, "output_padding", extra)
        _, stride, padding, dilation = self.window
        if isinstance(padding, str):
            raise OperatorError(f"`padding` (={padding!r}) must be given in numbers for a transposed convolution")
        if any(extra[axis] >= max(stride[axis], dilation[axis]) for axis in (0, 1)):
            raise OperatorError(f"`output_padding` (={extra}) must be smaller than the stride or the dilation")

    def out_shape(self, *inputs: Shape) -> Shape:
        _, *size = self.grouped_image(inputs)
        kernel, stride, padding, dilation = self.window
        edges, extra = resolve(padding, size, kernel, stride, dilation), pair("output_padding", self.output_padding, 0)
        height, width = (
            transposed_output(size[axis], kernel[axis], stride[axis], edges[axis], dilation[axis], extra[axis])
            for axis in (0, 1)
        )
        return self.out_channels, height, width

    def params(self, *inputs: Shape) -> Tensors:
        return self.with_bias((inputs[0][0], self.out_channels // self.groups, *self.window[0]))

    def cost(self, *inputs: Shape, training: bool = False) -> Cost:
        taps = product(self.window[0]) * (self.out_channels // self.groups)
        return Cost(product(inputs[0]) * taps)

    def kind(self, *inputs: Shape) -> str:
        return "transposed"

    def label(self, *inputs: Shape) -> str:
        return f"transposed {window_text(*self.window)}"


@operator
class PartialConv2d(Multiplying):
    """Convolution whose filters see only some input channels: layer C3 of LeNet-5 (LeCun et al. 1998, Table I).

    Args:
        connections: for each output channel, the input channels that it sees.
        kernel_size: rows and columns of a filter.
    """

    family: ClassVar[str] = "conv"
    connections: tuple[tuple[int, ...], ...]
    kernel_size: IntOrPair
    bias: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "kernel_size", pair("kernel_size", self.kernel_size))
        if not isinstance(self.connections, (tuple, list)):
            raise OperatorError(f"`connections` (={shown(self.connections)}) must be a list for each output channel")
        seen_by = tuple(wholes("connections", seen, 0) for seen in self.connections)
        object.__setattr__(self, "connections", seen_by)
        if not self.connections or not all(self.connections):
            raise OperatorError("`connections` must give every output channel at least one input channel")
        for seen in self.connections:
            if len(set(seen)) != len(seen):
                raise OperatorError(f"`connections` {seen} must name no input channel twice")

    @property
    def links(self) -> int:
        """Number of (output channel, input channel) connections."""
        return sum(len(seen) for seen in self.connections)

    def out_shape(self, *inputs: Shape) -> Shape:
        channels, *size = self.image(inputs)
        highest = max(max(seen) for seen in self.connections)
        if highest >= channels:
            raise OperatorError(f"`connections` name channel {highest}, but the input has {channels}")
        kernel = pair("kernel_size", self.kernel_size)
        height, width = (window_output(size[axis], kernel[axis], 1, (0, 0)) for axis in (0, 1))
        return len(self.connections), height, width

    def params(self, *inputs: Shape) -> Tensors:
        weight = (self.links, *pair("kernel_size", self.kernel_size))
        return {"weight": weight, "bias": (len(self.connections),)} if self.bias else {"weight": weight}

    def cost(self, *inputs: Shape, training: bool = False) -> Cost:
        _, height, width = self.out_shape(*inputs)
        return Cost(self.links * product(pair("kernel_size", self.kernel_size)) * height * width)

    def label(self, *inputs: Shape) -> str:
        rows, columns = pair("kernel_size", self.kernel_size)
        return f"partial conv {rows}x{columns}"


def window_text(kernel: Pair, stride: Pair, _padding: object, dilation: Pair = (1, 1)) -> str:
    """Return ``3x3``, ``7x7/2``, ``3x3 dil 2``: the kernel, then stride and dilation where they are not 1."""
    text = f"{kernel[0]}x{kernel[1]}"
    if stride != (1, 1):
        text += f"/{stride[0]}" if stride[0] == stride[1] else f"/{stride[0]}x{stride[1]}"
    if dilation != (1, 1):
        text += f" dil {dilation[0]}" if dilation[0] == dilation[1] else f" dil {dilation[0]}x{dilation[1]}"
    return text
