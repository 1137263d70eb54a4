"""A layer of a network as convolutions by Winograd's filtering: borders, biases, and groups one after the other."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from archcost.kernels import winograd_plan
from archcost.kernels.layers import Layer, Setting
from archcost.kernels.layout import Array, Blocked
from archcost.kernels.packing import packed_biases
from archcost.kernels.passes import with_halo
from archcost.kernels.step import Step
from archcost.kernels.winograd import winograd
from archcost.kernels.winograd_tables import Ends

if TYPE_CHECKING:
    from archcost.kernels.conv import Fusion


def filtered(
    layer: Layer,
    source: Blocked,
    target: Blocked,
    weight: Array,
    bias: Array | None,
    setting: Setting,
    fusion: Fusion,
    cut: winograd_plan.Cut,
    *,
    turned: bool = False,
) -> tuple[list[Step], list[Step]]:
    """Return the steps that pack, and those that compute, of a 3x3 convolution.

    Args:
        layer: what is computed.
        source: the input; it is copied where its border is not wide enough for the tiles.
        target: the output.
        weight: the plain array, read by the steps that pack.
        bias: the plain biases, or None.
        setting: machine and precision.
        fusion: what is computed together with it.
        cut: the size of a tile, and how the work is cut into units.
        turned: the weight is that of the convolution whose gradient to the input this is.
    """
    copies, source = with_halo(source, winograd_plan.halo(layer.window, target.shape[1:], cut.outputs), *setting)
    steps, biases = packed_biases(target.shape[0], target.lanes, bias, setting.precision, fusion.scale, fusion.shift)
    padding = layer.window.padding[0][0], layer.window.padding[1][0]
    pack, compute = list(steps), list(copies)
    filters, groups = winograd_plan.of_group(layer.filters), layer.filters.groups
    for group in range(groups):
        first = group * filters.outputs
        residual = None if fusion.residual is None else _of_group(fusion.residual, group, groups)
        found = winograd(
            Ends(_of_group(source, group, groups), _of_group(target, group, groups), residual), filters, padding,
            weight[first : first + filters.outputs] if groups > 1 else weight, biases[first:],
            None if fusion.scale is None else fusion.scale[first:], fusion.activation, cut, *setting, turned=turned,
            shared=fusion.panels, scratch=fusion.scratch,
        )  # fmt: skip
        pack += found[0]
        compute += found[1]
    return pack, compute


def _of_group(tensor: Blocked, group: int, groups: int) -> Blocked:
    """Return the channels of a group, which are whole blocks if there are several."""
    if groups == 1:
        return tensor
    channels, blocks = tensor.shape[0] // groups, tensor.memory.shape[1] // groups
    memory = tensor.memory[:, group * blocks : (group + 1) * blocks]
    return replace(tensor, shape=(channels, *tensor.shape[1:]), memory=memory)
