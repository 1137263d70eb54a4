"""A convolution as a way between a larger map and a smaller one, the border that it needs, and how it is computed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple, cast

from archcost.geometry import Pair, Shape, Sides, pair, resolve
from archcost.kernels import strassen_plan, winograd_plan
from archcost.kernels.layout import NO_HALO, Blocked
from archcost.kernels.panels import Filters
from archcost.kernels.passes import Window, forward_halo, spread_halo
from archcost.kernels.target import ELEMENT_BYTES, Precision, Target
from archcost.ops import Conv2d, ConvTranspose2d, Linear, Op, PartialConv2d


class Layer(NamedTuple):
    """A convolution between two maps.

    Attributes:
        filters: its weight.
        window: how it goes from the larger map to the smaller one.
        spreads: the layer goes from the smaller map to the larger one.
        is_gradient: it computes a gradient (``turned``).
    """

    filters: Filters
    window: Window
    spreads: bool = False
    is_gradient: bool = False


class Setting(NamedTuple):
    """Which vectors there are, and the element type."""

    machine: Target
    precision: Precision


class Place(NamedTuple):
    """A convolution as a network uses it: the layer, the size of its output, the images of a run."""

    layer: Layer
    size: Pair
    images: int


class Choice(NamedTuple):
    """How measurements say that a convolution is best computed (``engine.tuning``).

    Attributes:
        outputs: outputs of the side of Winograd's tile; 0: it is computed the direct way.
        cuts: number of threads -> tiles of a unit and panel groups (``winograd_plan.Cut``).
    """

    outputs: int
    cuts: tuple[tuple[int, tuple[int, int]], ...] = ()


Choices = Mapping[Place, Choice]
NO_CHOICES: Choices = MappingProxyType({})

FastWay = winograd_plan.Cut | strassen_plan.Split | None
"""How a convolution is computed: by Winograd's filtering, by Strassen's product, or directly (None)."""

FastPlan = Callable[[Layer, Pair], FastWay]
"""Layer and size of its output -> how it is computed."""


def direct(_layer: Layer, _size: Pair) -> winograd_plan.Cut | None:
    """Return None: every convolution is computed the direct way."""
    return None


def fast(images: int, setting: Setting, threads: int, *, packs: bool = False, tuned: Choices = NO_CHOICES) -> FastPlan:
    """Return what chooses the way of each convolution for a batch of ``images`` on ``threads`` threads.

    Args:
        images: size of the batch.
        setting: machine and precision.
        threads: how many compute; 0: all convolutions are computed the direct way.
        packs: weights are transformed in every run (training), not once. Forward, tiles of 2x2 alone are allowed
            then, which round like the direct way: each rounding may turn decisions of ReLU, and gradients with them.
        tuned: what measurements say; the model of cycles decides about all other convolutions.
    """
    if not threads or setting.precision != "float32":
        return direct
    filtering, multiplying = winograd_plan.allowed(), strassen_plan.allowed() and not packs

    def plan(layer: Layer, size: Pair) -> FastWay:
        # Training packs weights into memory that convolutions share, one at a time.
        if layer.spreads or (packs and layer.filters.groups > 1):
            return None
        element = ELEMENT_BYTES[setting.precision]
        if layer.window.kernel == (1, 1) and multiplying:
            return strassen_plan.planned(layer.filters, layer.window, size, images, setting.machine, element, threads)
        if not filtering:
            return None
        choice = tuned.get(Place(layer, size, images)) if tuned else None
        if choice is not None:
            return _chosen(choice, layer.filters, size, images, setting, threads)
        return winograd_plan.planned(
            layer.filters,
            layer.window,
            size,
            images,
            setting.machine,
            element,
            threads,
            packs=packs,
            sides=(2,) if packs and not layer.is_gradient else (2, 4),
        )

    return plan


def _chosen(
    choice: Choice, filters: Filters, size: Pair, images: int, setting: Setting, threads: int
) -> winograd_plan.Cut | None:
    """Return what a choice means for a number of threads: the model cuts the work where nothing was measured."""
    if not choice.outputs:
        return None
    measured = dict(choice.cuts).get(threads)
    if measured is not None:
        return winograd_plan.Cut(choice.outputs, *measured, threads)
    element = ELEMENT_BYTES[setting.precision]
    (cut,) = winograd_plan.best_cuts(filters, size, images, choice.outputs, setting.machine, element, threads, 1)
    return cut


def turned(layer: Layer) -> Layer | None:
    """Return the convolution that spreads the smaller map of ``layer`` over the larger one, if it is a plain one.

    That is the gradient to the input of a convolution without stride: a convolution with the kernels turned by half a
    turn, whose padding fills up the first one's to the kernel.
    """
    filters, window = layer.filters, layer.window
    if not winograd_plan.fits(filters, window):
        return None
    rows, columns = ((2 - before, 2 - after) for before, after in window.padding)
    if min(*rows, *columns) < 0:
        return None
    return Layer(
        Filters(filters.inputs, filters.outputs, filters.kernel),
        window._replace(padding=(rows, columns)),
        is_gradient=True,
    )


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
    return _halo(convolution_layer(op, source, output), source, output, plan, backward=False)


def gradient_halo(op: Op, source: Shape, output: Shape, plan: FastPlan = direct) -> Sides:
    """Return the border that the gradient of an operator's output should have; a narrower one costs a copy."""
    if not isinstance(op, Conv2d | ConvTranspose2d | PartialConv2d):
        return NO_HALO
    return _halo(convolution_layer(op, source, output), source, output, plan, backward=True)


def _halo(layer: Layer, source: Shape, output: Shape, plan: FastPlan, *, backward: bool) -> Sides:
    """Return the border of what a layer reads: its input, or on the way back its output's gradient."""
    larger, smaller = (output[1:], source[1:]) if layer.spreads else (source[1:], output[1:])
    gathers = layer.spreads == backward
    computed, size = fast_layer(layer, larger, smaller, gathers=gathers)
    cut = plan(computed, size) if computed else None
    if computed is not None and isinstance(cut, winograd_plan.Cut):
        return winograd_plan.halo(computed.window, size, cut.outputs)
    if gathers:
        return forward_halo(layer.window, larger, smaller)
    return NO_HALO if is_pixel(layer, smaller) else spread_halo(layer.window, larger, smaller)


def fast_layer(layer: Layer, larger: Shape, smaller: Shape, *, gathers: bool) -> tuple[Layer | None, Pair]:
    """Return the convolution that a fast way would compute, and the size of its result.

    Args:
        layer: a convolution between two maps.
        larger: size (height, width) of the larger map.
        smaller: size of the smaller map.
        gathers: from the larger map to the smaller one; else the other way.
    """
    if gathers:
        return layer._replace(spreads=False), (smaller[0], smaller[1])
    return None if is_pixel(layer, smaller) else turned(layer), (larger[0], larger[1])


def is_pixel(layer: Layer, smaller: Shape) -> bool:
    """Return whether the smaller map is spread over the larger one as a dense layer's input."""
    return smaller == (1, 1) and not layer.filters.is_depthwise
