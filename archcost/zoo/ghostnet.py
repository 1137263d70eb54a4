"""GhostNet: half of each 1x1 convolution's outputs are made of the other half by a depthwise convolution.

Source: Han et al. 2020, Table 1 (the network), Figures 2 and 3 (module and bottleneck). Node names follow timm's, which
the authors' code became. A projection of Table 1 is a ghost module without activation; a bottleneck that changes the
shape has a depthwise and a pointwise convolution on its shortcut.
"""

from __future__ import annotations

from itertools import groupby
from typing import NamedTuple

from archcost.build import Builder, Tensor
from archcost.geometry import Shape, make_divisible
from archcost.graph import Graph
from archcost.ops import (
    Add,
    BatchNorm2d,
    Concat,
    Conv2d,
    Dropout,
    Flatten,
    GlobalAvgPool,
    HardSigmoid,
    Linear,
    ReLU,
)
from archcost.ops.base import Op
from archcost.zoo.blocks import chain
from archcost.zoo.entry import IMAGE_224
from archcost.zoo.multipliers import positive, rate
from archcost.zoo.squeeze_excitation import TIMM_MOBILE, squeeze_excitation


class Row(NamedTuple):
    """One row of Table 1: a bottleneck."""

    stage: int  # as timm counts: bottlenecks that halve the map are stages of their own
    kernel: int  # of the depthwise convolution that halves the map
    expansion: int  # #exp: channels of the expanded map
    channels: int  # #out
    squeeze: int = 0  # SE: 1 with
    stride: int = 1


ROWS = (
    Row(0, 3, 16, 16),
    Row(1, 3, 48, 24, stride=2),
    Row(2, 3, 72, 24),
    Row(3, 5, 72, 40, squeeze=1, stride=2),
    Row(4, 5, 120, 40, squeeze=1),
    Row(5, 3, 240, 80, stride=2),
    Row(6, 3, 200, 80),
    Row(6, 3, 184, 80),
    Row(6, 3, 184, 80),
    Row(6, 3, 480, 112, squeeze=1),
    Row(6, 3, 672, 112, squeeze=1),
    Row(7, 5, 672, 160, squeeze=1, stride=2),
    Row(8, 5, 960, 160),
    Row(8, 5, 960, 160, squeeze=1),
    Row(8, 5, 960, 160),
    Row(8, 5, 960, 160, squeeze=1),
)

STEM, FEATURES = 16, 1280
"""Channels of the first convolution; features of the layer before the classifier."""


def ghostnet(
    *, input_size: Shape = IMAGE_224, num_classes: int = 1000, width: float = 1.0, dropout: float = 0.2
) -> Graph:
    """Return GhostNet.

    Args:
        input_size: shape of one image.
        num_classes: outputs of the classifier.
        width: multiplies the channels; they are rounded to a multiple of 4.
        dropout: rate of the dropout before the classifier.
    """
    positive("width", width)
    net = Builder()
    x = net.input(input_size)
    x = net(Conv2d(_scaled(STEM, width), 3, stride=2, padding=1, bias=False), x, name="conv_stem")
    x = net(BatchNorm2d(), x, name="bn1")
    x = net(ReLU(), x, name="act1")
    for stage, rows in groupby(ROWS, key=lambda row: row.stage):
        for index, row in enumerate(rows):
            with net.scope(f"blocks.{stage}.{index}", "GhostBottleneck"):
                x = _bottleneck(net, x, row, width)
    with net.scope(f"blocks.{ROWS[-1].stage + 1}.0"):
        x = net(Conv2d(_scaled(ROWS[-1].expansion, width), 1, bias=False), x, name="conv")
        x = net(BatchNorm2d(), x, name="bn1", call="function")
        x = net(ReLU(), x, name="act1")
    x = net(GlobalAvgPool(), x, name="global_pool.pool")
    x = net(Conv2d(FEATURES, 1), x, name="conv_head")
    x = net(ReLU(), x, name="act2")
    x = net(Flatten(), x, name="flatten")
    if rate("dropout", dropout):
        x = net(Dropout(dropout), x, name="dropout", call="function")
    return net.build(net(Linear(num_classes), x, name="classifier", call="subclass"))


def _scaled(channels: int, width: float) -> int:
    return make_divisible(channels * width, 4)


def _bottleneck(net: Builder, x: Tensor, row: Row, width: float) -> Tensor:
    """Ghost module, depthwise convolution if the map is halved, gates, ghost module; plus the shortcut."""
    channels, hidden, padding = _scaled(row.channels, width), _scaled(row.expansion, width), row.kernel // 2
    branch = _module(net, x, hidden, "ghost1", ReLU())
    if row.stride > 1:
        filters = Conv2d(hidden, row.kernel, row.stride, padding, groups=hidden, bias=False)
        branch = net(filters, branch, name="conv_dw")
        branch = net(BatchNorm2d(), branch, name="bn_dw")
    if row.squeeze:
        squeezed = make_divisible(hidden / 4, 4)
        branch = squeeze_excitation(net, branch, squeezed, names=TIMM_MOBILE, gate=HardSigmoid())
    branch = _module(net, branch, channels, "ghost2")
    shortcut = x
    if row.stride > 1 or x.channels != channels:
        filters = Conv2d(x.channels, row.kernel, row.stride, padding, groups=x.channels, bias=False)
        with net.scope("shortcut"):
            shortcut = chain(net, x, filters, BatchNorm2d(), Conv2d(channels, 1, bias=False), BatchNorm2d())
    return net(Add(), branch, shortcut, name="add", call="operator")


def _module(net: Builder, x: Tensor, channels: int, name: str, *activation: Op) -> Tensor:
    """Half of the channels by a 1x1 convolution, the other half from those by a depthwise 3x3 ("cheap operation")."""
    half = channels // 2
    with net.scope(name, "GhostModule"):
        with net.scope("primary_conv"):
            primary = chain(net, x, Conv2d(half, 1, bias=False), BatchNorm2d(), *activation)
        with net.scope("cheap_operation"):
            filters = Conv2d(half, 3, padding=1, groups=half, bias=False)
            cheap = chain(net, primary, filters, BatchNorm2d(), *activation)
        return net(Concat(), primary, cheap, name="concat", call="function")
