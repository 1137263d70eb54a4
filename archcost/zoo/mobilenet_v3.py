"""MobileNetV3, large and small.

Source: Howard et al. 2019, Tables 1 (large) and 2 (small), Table 3 (results); "minimalistic" is the authors' variant
without squeeze-and-excitation, hard swish and 5x5 kernels.

With a width multiplier the expansions keep their ratio to the block's input; the layer before the classifier (1280 or
1024 features) is not scaled, nor is the first convolution below width 0.75. That is the rule of timm, and it gives the
155 M and 4.0 M of Table 3 for the large network of width 0.75; torchvision's multiplier scales all of these.

Where the published figures disagree: Table 3 prints 219 M mult-adds for the large network, the authors' code 217 M,
which is right (216.6 M). The first arXiv version prints 66 M for an earlier small network.
"""

from __future__ import annotations

from itertools import groupby
from typing import Literal, NamedTuple

from archcost.build import Builder, Tensor
from archcost.errors import ModelError
from archcost.geometry import Shape, make_divisible
from archcost.graph import Graph
from archcost.ops import BatchNorm2d, Conv2d, Dropout, Flatten, GlobalAvgPool, HardSigmoid, HardSwish, Linear, ReLU
from archcost.ops.base import Op
from archcost.zoo.entry import IMAGE_224
from archcost.zoo.inverted_residual import TIMM_NAMES, TORCHVISION_V3_NAMES, Block, Port, Style, ported, trunk
from archcost.zoo.multipliers import positive, rate, scaled

Size = Literal["large", "small"]


class Row(NamedTuple):
    """One row of Table 1 or 2, with its letters."""

    kernel: int
    expansion: int  # exp size: channels of the expanded map
    channels: int  # #out
    squeeze: Literal["SE", "-"]
    activation: Literal["RE", "HS"]  # NL
    stride: int  # s


ROWS: dict[str, tuple[Row, ...]] = {
    "large": (
        Row(3, 16, 16, "-", "RE", 1),
        Row(3, 64, 24, "-", "RE", 2),
        Row(3, 72, 24, "-", "RE", 1),
        Row(5, 72, 40, "SE", "RE", 2),
        Row(5, 120, 40, "SE", "RE", 1),
        Row(5, 120, 40, "SE", "RE", 1),
        Row(3, 240, 80, "-", "HS", 2),
        Row(3, 200, 80, "-", "HS", 1),
        Row(3, 184, 80, "-", "HS", 1),
        Row(3, 184, 80, "-", "HS", 1),
        Row(3, 480, 112, "SE", "HS", 1),
        Row(3, 672, 112, "SE", "HS", 1),
        Row(5, 672, 160, "SE", "HS", 2),
        Row(5, 960, 160, "SE", "HS", 1),
        Row(5, 960, 160, "SE", "HS", 1),
    ),
    "small": (
        Row(3, 16, 16, "SE", "RE", 2),
        Row(3, 72, 24, "-", "RE", 2),
        Row(3, 88, 24, "-", "RE", 1),
        Row(5, 96, 40, "SE", "HS", 2),
        Row(5, 240, 40, "SE", "HS", 1),
        Row(5, 240, 40, "SE", "HS", 1),
        Row(5, 120, 48, "SE", "HS", 1),
        Row(5, 144, 48, "SE", "HS", 1),
        Row(5, 288, 96, "SE", "HS", 2),
        Row(5, 576, 96, "SE", "HS", 1),
        Row(5, 576, 96, "SE", "HS", 1),
    ),
}

STEM = 16
"""Channels of the first convolution."""

PENULTIMATE: dict[str, int] = {"large": 1280, "small": 1024}
"""Features of the dense layer before the classifier."""

TIMM_V3_NAMES = TIMM_NAMES._replace(
    head=lambda stages, _blocks: tuple(f"blocks.{stages}.0.{part}" for part in ("conv", "bn1", "act1"))
)
"""timm counts the last convolution of the map among the blocks; ``conv_head`` follows the pooling."""


def mobilenet_v3(
    *,
    size: Size,
    input_size: Shape = IMAGE_224,
    num_classes: int = 1000,
    width: float = 1.0,
    minimalistic: bool = False,
    dropout: float = 0.2,
    port: Port = "torchvision",
) -> Graph:
    """Return MobileNetV3.

    Args:
        size: "large" or "small".
        input_size: shape of one image.
        num_classes: outputs of the classifier.
        width: multiplies the channels.
        minimalistic: only 3x3 kernels and ReLU, no squeeze-and-excitation.
        dropout: rate of the dropout before the classifier.
        port: whose names, padding and constants: torchvision, timm or tf.
    """
    if size not in ROWS:
        raise ModelError(f"`size` (={size!r}) must be one of {', '.join(ROWS)}")
    activation: Op = ReLU() if minimalistic else HardSwish()
    norm = BatchNorm2d(eps=1e-3, momentum=0.01)
    style = ported(Style(TORCHVISION_V3_NAMES, activation, norm, HardSigmoid(), ReLU()), port)
    if port != "torchvision":
        style = style._replace(naming=TIMM_V3_NAMES)
    stem = STEM if positive("width", width) < 0.75 else scaled(STEM, width)
    head = scaled(ROWS[size][-1].expansion, width)
    net = Builder()
    x = trunk(net, net.input(input_size), stem, _stages(size, stem, width, minimalistic), head, style)
    finish = _classifier if port == "torchvision" else _timm_classifier
    return net.build(finish(net, x, num_classes, PENULTIMATE[size], rate("dropout", dropout), activation))


def _stages(size: Size, stem: int, width: float, minimalistic: bool) -> list[list[Block]]:
    """Return the scaled blocks; those with equal channels in the table are a stage."""
    stages: list[list[Block]] = []
    before, before_unscaled = stem, STEM
    for channels, rows in groupby(ROWS[size], key=lambda row: row.channels):
        stages.append([])
        for row in rows:
            hidden = before if row.expansion == before_unscaled else scaled(before, row.expansion / before_unscaled)
            squeezed = make_divisible(hidden / 4) if row.squeeze == "SE" and not minimalistic else 0
            activation: Op = ReLU() if row.activation == "RE" or minimalistic else HardSwish()
            kernel = 3 if minimalistic else row.kernel
            before, before_unscaled = scaled(channels, width), channels
            stages[-1].append(Block(before, hidden, kernel, row.stride, activation, squeezed))
    return stages


def _classifier(net: Builder, x: Tensor, num_classes: int, features: int, dropout: float, activation: Op) -> Tensor:
    x = net(GlobalAvgPool(), x, name="avgpool")
    x = net(Flatten(), x, name="flatten", call="function")
    with net.scope("classifier"):
        x = net(Linear(features), x, name="0")
        x = net(activation, x, name="1")
        x = net(Dropout(dropout), x, name="2")
        return net(Linear(num_classes), x, name="3")


def _timm_classifier(
    net: Builder, x: Tensor, num_classes: int, features: int, dropout: float, activation: Op
) -> Tensor:
    """The same numbers; the first dense layer is written as a 1x1 convolution of the pooled map."""
    x = net(GlobalAvgPool(), x, name="global_pool.pool")
    x = net(Conv2d(features, 1), x, name="conv_head")
    x = net(activation, x, name="act2")
    x = net(Flatten(), x, name="flatten")
    if dropout:
        x = net(Dropout(dropout), x, name="dropout", call="function")
    return net(Linear(num_classes), x, name="classifier", call="subclass")
