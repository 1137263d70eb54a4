"""A convolution as a way between a larger map and a smaller one, the border that it needs, and how it is computed."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, cast

from archcost.geometry import Pair, Shape, Sides, pair, resolve
from archcost.kernels import winograd_plan
from archcost.kernels.layout import Blocked
from archcost.kernels.panels import Filters
from archcost.kernels.passes import Window, forward_halo, spread_halo
from archcost.kernels.target import ELEMENT_BYTES, Precision, Target
from archcost.ops import Conv2d, ConvTranspose2d, Linear, Op, PartialConv2d

NO_HALO: Sides = ((0, 0), (0, 0))


class Layer(NamedTuple):
    """A convolution between two maps.

    Attributes:
        filters: its weight.
        window: how it goes from the larger map to the smaller one.
        spreads: the layer goes from the smaller map to the larger one.
    """

    filters: Filters
    window: Window
    spreads: bool = False


class Setting(NamedTuple):
    """Which vectors there are, and the element type."""

    machine: Target
    precision: Precision


FastPlan = Callable[[Layer, Pair], winograd_plan.Cut | None]
"""Layer and size of its output -> how Winograd's filtering computes it, or None."""


def direct(_layer: Layer, _size: Pair) -> winograd_plan.Cut | None:
    """Return None: every convolution is computed the direct way."""
    return None


def fast(images: int, setting: Setting, threads: int) -> FastPlan:
    """Return what chooses the way of inference for a batch of ``images`` on ``threads`` threads."""
    if not threads or setting.precision != "float32" or not winograd_plan.allowed():
        return direct

    def plan(layer: Layer, size: Pair) -> winograd_plan.Cut | None:
        if layer.spreads:
            return None
        element = ELEMENT_BYTES[setting.precision]
        return winograd_plan.planned(layer.filters, layer.window, size, images, setting.machine, element, threads)

    return plan


def layer_of(op: Op, source: Blocked, output: Blocked) -> Layer:
    """Return a layer that multiplies; a dense layer on a map is a convolution with a kernel of the map's size."""
    channels, *size = source.shape
    if isinstance(op, Linear):
        kernel = (1, 1) if source.channels_last else (size[0], size[1])
        return Layer(Filters(op.out_features, channels, kernel), Window(kernel))
    return convolution_layer(op, source.shape, output.shape)


def convolution_layer(op: Op, source: Shape, output: Shape) -> Layer:
    """Return a convolution between maps of given shapes (C, H, W)."""
    channels, *size = source
    if isinstance(op, PartialConv2d):
        kernel = pair("kernel_size", op.kernel_size)
        return Layer(Filters(output[0], channels, kernel, 1, op.connections), Window(kernel))
    op = cast("Conv2d | ConvTranspose2d", op)
    kernel, stride, padding, dilation = op.window
    window = Window(kernel, stride, resolve(padding, size, kernel, stride, dilation), dilation)
    if isinstance(op, ConvTranspose2d):
        return Layer(Filters(channels, op.out_channels, kernel, op.groups), window, spreads=True)
    return Layer(Filters(op.out_channels, channels, kernel, op.groups), window)


def input_halo(op: Op, source: Shape, output: Shape, plan: FastPlan = direct) -> Sides:
    """Return the border that an operator's input should have, given the graph's shapes of input and output.

    A narrower one costs a copy of the input at every run.
    """
    if not isinstance(op, Conv2d | ConvTranspose2d | PartialConv2d):
        return NO_HALO
    layer = convolution_layer(op, source, output)
    cut = plan(layer, (output[1], output[2]))
    if cut is not None:
        return winograd_plan.halo(layer.window, (output[1], output[2]), cut.outputs)
    return _halo(layer, source, output, backward=False)


def gradient_halo(op: Op, source: Shape, output: Shape) -> Sides:
    """Return the border that the gradient of an operator's output should have; a narrower one costs a copy."""
    if not isinstance(op, Conv2d | ConvTranspose2d | PartialConv2d):
        return NO_HALO
    return _halo(convolution_layer(op, source, output), source, output, backward=True)


def _halo(layer: Layer, source: Shape, output: Shape, *, backward: bool) -> Sides:
    """Return the border of what a layer reads: its input, or on the way back its output's gradient."""
    larger, smaller = (output[1:], source[1:]) if layer.spreads else (source[1:], output[1:])
    if layer.spreads == backward:
        return forward_halo(layer.window, larger, smaller)
    return NO_HALO if is_pixel(layer, smaller) else spread_halo(layer.window, larger, smaller)


def is_pixel(layer: Layer, smaller: Shape) -> bool:
    """Return whether the smaller map is spread over the larger one as a dense layer's input."""
    return smaller == (1, 1) and not layer.filters.is_depthwise
