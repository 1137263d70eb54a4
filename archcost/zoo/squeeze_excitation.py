"""The squeeze-and-excitation block (Hu et al. 2018, section 3), as every network of the catalogue uses it.

Squeeze: the mean of each channel. Excite: two layers, C -> C/r -> C, with an activation between them and a gate behind
them. Scale: each channel is multiplied by its gate.

The paper's two layers are dense; frameworks write them as 1x1 convolutions of a 1x1 map: the same numbers, the same
parameters, other tensor shapes.
"""

from __future__ import annotations

from typing import NamedTuple

from archcost.build import Builder, Tensor
from archcost.graph import Call
from archcost.ops import Conv2d, GlobalAvgPool, Linear, Mul, ReLU, Reshape, Sigmoid
from archcost.ops.base import Op


class SENames(NamedTuple):
    """What a framework calls the parts of the block, and which of them it runs as modules.

    Another network's names are ``TIMM._replace(reduce="conv_reduce", ...)``.
    """

    pool: str = "avgpool"
    reduce: str = "fc1"
    activation: str = "activation"
    expand: str = "fc2"
    gate: str = "scale_activation"
    scale: str = "mul"
    pool_call: Call = "module"
    activation_call: Call = "module"
    gate_call: Call = "module"


TORCHVISION = SENames()
"""torchvision's block, in RegNet, EfficientNet and MobileNetV3."""

TIMM = SENames("pool", "fc1", "act", "fc2", "gate", pool_call="method")
"""timm's block of residual networks and RegNet; the mean is a tensor method."""

TIMM_MOBILE = TIMM._replace(reduce="conv_reduce", activation="act1", expand="conv_expand")
"""timm's block of EfficientNet, MobileNetV3 and GhostNet."""

TIMM_LEGACY = TIMM._replace(activation="relu", gate="sigmoid")
"""timm's port of the authors' networks."""

_RELU, _SIGMOID = ReLU(), Sigmoid()


def squeeze_excitation(
    net: Builder,
    x: Tensor,
    squeezed: int,
    *,
    scope: str = "se",
    names: SENames = TORCHVISION,
    activation: Op = _RELU,
    gate: Op = _SIGMOID,
    bias: bool = True,
    dense: bool = False,
    squeeze: bool = True,
) -> Tensor:
    """Add a squeeze-and-excitation block to ``x`` (channels, height, width); return the scaled map.

    Args:
        net: the graph that is being built.
        x: the map whose channels are scaled.
        squeezed: channels between the two layers (each network has its own rule for C/r).
        scope: name of the block in the current scope; an empty name adds the nodes to the current scope itself.
        names: what the parts are called.
        activation: between the two layers.
        gate: behind the second layer.
        bias: the two layers have biases.
        dense: write the two layers as dense ones, as the paper does, not as 1x1 convolutions.
        squeeze: take the mean of each channel; without it every position has its own gates ("NoSqueeze", Table 16;
            not with ``dense``).
    """
    if scope:
        with net.scope(scope, "SqueezeExcitation"):
            return squeeze_excitation(
                net, x, squeezed, scope="", names=names, activation=activation, gate=gate, bias=bias, dense=dense,
                squeeze=squeeze,
            )  # fmt: skip
    channels = x.channels
    gates = x
    if squeeze:
        gates = net(GlobalAvgPool(keep_axes=not dense), x, name=names.pool, call=names.pool_call)
    reduce, expand = (Linear(n, bias) if dense else Conv2d(n, 1, bias=bias) for n in (squeezed, channels))
    gates = net(reduce, gates, name=names.reduce)
    gates = net(activation, gates, name=names.activation, call=names.activation_call)
    gates = net(expand, gates, name=names.expand)
    gates = net(gate, gates, name=names.gate, call=names.gate_call)
    if dense:
        gates = net(Reshape((channels, 1, 1)), gates, name="reshape", call="function")
    return net(Mul(), x, gates, name=names.scale, call="operator")
