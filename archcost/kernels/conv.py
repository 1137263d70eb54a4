"""Convolutions: standard, grouped, depthwise, pointwise, dilated, strided, transposed, and of listed connections.

All of them go between a larger map and a smaller one: ``correlate`` from the larger to the smaller (convolution, the
gradient of a transposed convolution), ``spread`` back (transposed convolution, the gradient of a convolution). Both
return the steps that pack the weights apart from those that compute, since inference packs once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from archcost.errors import GraphError
from archcost.geometry import Pair
from archcost.kernels import depthwise, layers
from archcost.kernels.contraction import Panel, contraction, panel_rows
from archcost.kernels.field import NOTHING, Field
from archcost.kernels.layers import FastPlan, Layer, Setting
from archcost.kernels.layout import Array, Blocked, Shared
from archcost.kernels.operation import Gradient, Operation
from archcost.kernels.packing import packed_biases, packing
from archcost.kernels.panels import Filters, Panels
from archcost.kernels.passes import (
    Pass,
    backward_passes,
    forward_halo,
    forward_pass,
    spread_halo,
    taps_in_line,
    with_halo,
)
from archcost.kernels.pointwise import Operand, pointwise
from archcost.kernels.reduce import channel_sums, collected
from archcost.kernels.step import Step
from archcost.kernels.strassen import multiplied
from archcost.kernels.strassen_plan import Split
from archcost.kernels.weight_gradient import weight_gradient
from archcost.kernels.winograd_layer import filtered
from archcost.kernels.winograd_plan import Cut
from archcost.ops import Linear, Op, RadialBasis


@dataclass(frozen=True)
class Fusion:
    """What inference computes together with a convolution: activation(scale * convolution + shift + residual).

    Attributes:
        activation: operator.
        residual: a tensor of the output's shape.
        scale, shift: a number for each output channel, in whole blocks; the bias is scaled too. Read by the steps that
            pack (a folded BatchNorm).
        fast: which convolutions are computed in a fast way.
        panels, scratch: as in ``Operation``.
    """

    activation: str = "Identity"
    residual: Blocked | None = None
    scale: Array | None = None
    shift: Array | None = None
    fast: FastPlan = layers.direct
    panels: Shared | None = None
    scratch: Shared | None = None

    def only_adds_to(self, target: Blocked, bias: Array | None) -> bool:
        """Return whether outputs without any tap stay what they are: a gradient that is added to."""
        return self.residual is target and bias is None and self.shift is None and self.activation == "Identity"


class Parts(NamedTuple):
    """Steps to run when the parameters have changed, and steps to run every time."""

    pack: list[Step]
    compute: list[Step]


def correlate(
    layer: Layer, source: Blocked, target: Blocked, weight: Array, bias: Array | None, setting: Setting, fusion: Fusion
) -> Parts:
    """Return the steps that compute the smaller map ``target`` from the larger map ``source``."""
    cut = fusion.fast(layer._replace(spreads=False), target.shape[1:])
    if isinstance(cut, Split):
        return Parts(*multiplied(layer, source, target, weight, bias, setting, fusion, cut))
    if cut is not None:
        return Parts(*filtered(layer, source, target, weight, bias, setting, fusion, cut))
    needed = forward_halo(layer.window, source.shape[1:], target.shape[1:])
    copies, source = with_halo(source, needed, *setting)
    one = forward_pass(layer.window, source, target, fusion.residual, every_tap=layer.filters.is_depthwise)
    parts = _passes([one], layer, source, target, weight, bias, setting, fusion, transposed=False)
    return Parts(parts.pack, copies + parts.compute)


def spread(
    layer: Layer, source: Blocked, target: Blocked, weight: Array, bias: Array | None, setting: Setting, fusion: Fusion
) -> Parts:
    """Return the steps that compute the larger map ``target`` from the smaller map ``source``."""
    if layers.is_pixel(layer, source.shape[1:]):
        return _spread_pixel(layer, source, target, weight, bias, setting, fusion)
    turned = layers.turned(layer)
    cut = fusion.fast(turned, target.shape[1:]) if turned else None
    if turned is not None and isinstance(cut, Cut):
        return Parts(*filtered(turned, source, target, weight, bias, setting, fusion, cut, turned=True))
    needed = spread_halo(layer.window, target.shape[1:], source.shape[1:])
    copies, source = with_halo(source, needed, *setting)
    passes = backward_passes(layer.window, source, target, fusion.residual)
    if fusion.only_adds_to(target, bias):
        passes = [one for one in passes if one.taps]
    parts = _passes(passes, layer, source, target, weight, bias, setting, fusion, transposed=True)
    return Parts(parts.pack, copies + parts.compute)


def _passes(
    passes: Sequence[Pass],
    layer: Layer,
    source: Blocked,
    target: Blocked,
    weight: Array,
    bias: Array | None,
    setting: Setting,
    fusion: Fusion,
    *,
    transposed: bool,
) -> Parts:
    biases_steps, biases = packed_biases(
        target.shape[0], target.lanes, bias, setting.precision, fusion.scale, fusion.shift
    )
    if layer.filters.is_depthwise:
        pack, compute = depthwise.channel_filters(
            passes, layer.filters, (source, target, fusion.residual), weight, biases, fusion.scale, fusion.activation,
            *setting,
        )  # fmt: skip
        return Parts([*biases_steps, *pack], compute)
    packed: list[Panels] = []
    compute = []
    for one in passes:
        field = one.field.simplified()
        vectors = field.vectors(target.memory.shape[1], setting.machine)
        panels = _panels(layer.filters, one.taps, vectors, target, transposed=transposed, may_be_short=True)
        if one.taps:
            packed.append(panels)
        times = taps_in_line(one.offsets, panels.depth * panels.memory.itemsize)
        rows, tables = panel_rows(panels, one.offsets[::times] or (0,), biases, field, is_filling=not one.taps)
        keep = [source, target, fusion.residual, biases, panels.memory, *tables]
        step = contraction(
            field,
            rows,
            panels.depth * times,
            *setting,
            keep,
            input_bytes=source.memory.nbytes,
            activation=fusion.activation,
        )
        compute.append(step)
    return Parts([*biases_steps, *packing(packed, weight, *setting, fusion.scale)], compute)


def _panels(
    filters: Filters, taps: Sequence[Pair], vectors: int, target: Blocked, *, transposed: bool, may_be_short: bool
) -> Panels:
    """Return panels for a list of taps; without any, there is one with weights of zero, which nobody packs."""
    if not taps:
        outputs = min(filters.outputs, target.lanes)
        filters, taps = Filters(outputs, filters.inputs, (1, 1)), [(0, 0)]
    return Panels.make(
        filters, taps, vectors, target.lanes, target.memory.dtype, transposed=transposed, may_be_short=may_be_short
    )


def _spread_pixel(
    layer: Layer, source: Blocked, target: Blocked, weight: Array, bias: Array | None, setting: Setting, fusion: Fusion
) -> Parts:
    """Return the steps that spread a map of one pixel: each tap of the kernel is one position of the larger map.

    The pixels of a tile are the images.
    """
    window, (_, height, width) = layer.window, target.shape
    biases_steps, biases = packed_biases(
        target.shape[0], target.lanes, bias, setting.precision, fusion.scale, fusion.shift
    )
    residual = fusion.residual
    field = Field(
        target.images, 1, 1, Operand.exact(source), Operand.exact(target),
        Operand.exact(residual) if residual else NOTHING,
    ).simplified()  # fmt: skip
    if residual and (residual.row_step, residual.pixel_step, residual.block_step) != (
        target.row_step, target.pixel_step, target.block_step
    ):  # fmt: skip
        copy = Blocked.make(target.images, target.shape, target.halo, target.lanes, target.memory.dtype)
        step = pointwise("copy", copy, [Operand.exact(residual)], *setting, [residual])
        parts = _spread_pixel(layer, source, target, weight, bias, setting, replace(fusion, residual=copy))
        return Parts(parts.pack, [step, *parts.compute])
    vectors = field.vectors(target.memory.shape[1], setting.machine)
    packed: list[Panels] = []
    rows: list[Panel] = []
    keep: list[object] = [source, target, residual, biases]
    for row in range(height):
        for column in range(width):
            place = [
                (position + window.padding[axis][0]) / window.dilation[axis]
                for axis, position in enumerate((row, column))
            ]
            reached = all(tap.is_integer() and 0 <= tap < size for tap, size in zip(place, window.kernel))
            if not reached and fusion.only_adds_to(target, bias):
                continue
            taps = [(int(place[0]), int(place[1]))] if reached else []
            # All of them, those of zeros too, are read with one depth.
            panels = _panels(layer.filters, taps, vectors, target, transposed=True, may_be_short=False)
            if reached:
                packed.append(panels)
            shift = row * target.row_step + column * target.pixel_step
            lines, tables = panel_rows(panels, [0], biases, field, shift, is_filling=not reached)
            rows += lines
            keep += [panels.memory, *tables]
    if not rows:
        return Parts([], [])
    depth = min(source.shape[0], source.lanes)
    step = contraction(
        field, rows, depth, *setting, keep, input_bytes=source.memory.nbytes, activation=fusion.activation
    )
    return Parts([*biases_steps, *packing(packed, weight, *setting, fusion.scale)], [step])


def forward_parts(operation: Operation, fusion: Fusion | None = None) -> Parts:
    """Return the steps of a layer that multiplies: Conv2d, ConvTranspose2d, PartialConv2d, Linear.

    Args:
        operation: the layer; its output is that of the last operator that is fused.
        fusion: what is computed together with it.
    """
    (source,), output = operation.inputs, operation.output
    require_channels(operation)
    layer = layers.layer_of(operation.op, source, output)
    function = spread if layer.spreads else correlate
    setting = Setting(operation.machine, operation.precision)
    weight, bias = operation.parameters["weight"], operation.parameters.get("bias")
    return function(layer, source, output, weight, bias, setting, fusion or _with_ways(operation))


def _with_ways(operation: Operation) -> Fusion:
    """Return what says how an operation may be computed, and nothing that is computed with it."""
    return Fusion(fast=operation.fast, panels=operation.panels, scratch=operation.scratch)


def require_channels(operation: Operation) -> None:
    """Raise GraphError if the last axis, on which a dense layer works, is not the tensor's channels."""
    if len(operation.input_shapes[0]) == 3 and not operation.inputs[0].channels_last and last_axis(operation.op):
        raise GraphError(f"{operation.name}: {type(operation.op).__name__} runs on vectors and channels-last maps only")


def last_axis(op: Op) -> bool:
    """Return whether an operator works on the last axis."""
    return isinstance(op, Linear | RadialBasis)


def forward(operation: Operation) -> list[Step]:
    """Return the steps of a layer that multiplies."""
    parts = forward_parts(operation)
    return [*(replace(step, prepares=True) for step in parts.pack), *parts.compute]


def backward(gradient: Gradient) -> list[Step]:
    """Return the steps of the gradients of a layer that multiplies: to the input, the weight and the bias."""
    operation, (target,), output = gradient.forward, gradient.inputs, gradient.output
    (source,), setting = operation.inputs, Setting(operation.machine, operation.precision)
    layer = layers.layer_of(operation.op, source, operation.output)
    steps: list[Step] = []
    if "weight" in gradient.parameters:
        larger, smaller = (output, source) if layer.spreads else (source, output)
        steps += weight_gradient(layer.filters, layer.window, larger, smaller, gradient.parameters["weight"], *setting)
    steps += bias_gradient(gradient)
    if target is not None:
        residual = target if gradient.adds[0] else None
        function = correlate if layer.spreads else spread
        fusion = replace(_with_ways(operation), residual=residual)
        parts = function(layer, output, target, operation.parameters["weight"], None, setting, fusion)
        steps += [*parts.pack, *parts.compute]
    return steps


def bias_gradient(gradient: Gradient) -> list[Step]:
    """Return the steps of the gradient to the bias, if one is wanted."""
    if "bias" not in gradient.parameters:
        return []
    output, (machine, precision) = gradient.output, (gradient.forward.machine, gradient.forward.precision)
    step, sums = channel_sums("value", output, [Operand.exact(output)], machine, precision, [output])
    return [step, collected(sums, 0, output, gradient.parameters["bias"], precision)]
