"""MobileNetV2.

Source: Sandler et al. 2018, Table 2 (the network), section 5 (width multiplier), Table 4 (results).

Below width 1 the last convolution keeps its 1280 channels (section 5); above, it grows too.

Where the published figures disagree:

- Table 4 prints 3.4 M parameters; the network has 3.50 M, or 3.47 M without BatchNorm, as the authors' code counts.
- Table 4 prints 585 M mult-adds and 6.9 M parameters for width 1.4; the network has 582 M and 6.11 M, and the authors'
  code says 582 M and 6.06 M (without BatchNorm).

``depth`` repeats the layers of every stage, as EfficientNet's Table 3 does with depth 4 (1,219,587,776 mult-adds). With
``fix_ends`` the first and the last stage keep their layers, the first convolution its 32 channels and the last its
1280: timm's 110d and 120d.
"""

from __future__ import annotations

from typing import NamedTuple

from archcost.build import Builder
from archcost.geometry import Shape
from archcost.graph import Graph
from archcost.ops import BatchNorm2d, ReLU6
from archcost.zoo.entry import IMAGE_224
from archcost.zoo.inverted_residual import (
    PLAIN_GATE,
    TORCHVISION_V2_NAMES,
    Block,
    Port,
    Style,
    classifier,
    ported,
    trunk,
)
from archcost.zoo.multipliers import positive, rate, repeated, scaled


class Stage(NamedTuple):
    """One row of Table 2, with its letters."""

    expansion: int  # t
    channels: int  # c
    layers: int  # n
    stride: int  # s, of the first layer


STAGES = (
    Stage(1, 16, 1, 1),
    Stage(6, 24, 2, 2),
    Stage(6, 32, 3, 2),
    Stage(6, 64, 4, 2),
    Stage(6, 96, 3, 1),
    Stage(6, 160, 3, 2),
    Stage(6, 320, 1, 1),
)
"""The rows between the first and the last convolution."""

STEM, HEAD = 32, 1280
"""Channels of the first and of the last convolution."""

STYLE = Style(TORCHVISION_V2_NAMES, ReLU6(), BatchNorm2d(), PLAIN_GATE, ReLU6())


def mobilenet_v2(
    *,
    input_size: Shape = IMAGE_224,
    num_classes: int = 1000,
    width: float = 1.0,
    depth: float = 1.0,
    fix_ends: bool = False,
    dropout: float = 0.2,
    port: Port = "torchvision",
) -> Graph:
    """Return MobileNetV2.

    Args:
        input_size: shape of one image.
        num_classes: outputs of the classifier.
        width: multiplies the channels.
        depth: multiplies the layers of each stage.
        fix_ends: ``width`` and ``depth`` leave the first and the last layers alone.
        dropout: rate of the dropout before the classifier.
        port: whose names, padding and constants: torchvision, timm or tf.
    """
    positive("width", width)
    positive("depth", depth)
    channels = STEM if fix_ends else scaled(STEM, width)
    head = HEAD if fix_ends else scaled(HEAD, max(1.0, width))
    net = Builder()
    stages: list[list[Block]] = []
    before = channels
    for row in STAGES:
        fixed = fix_ends and row in (STAGES[0], STAGES[-1])
        stage = []
        for index in range(row.layers if fixed else repeated(row.layers, depth)):
            out = scaled(row.channels, width)
            stage.append(Block(out, before * row.expansion, 3, row.stride if index == 0 else 1, STYLE.activation))
            before = out
        stages.append(stage)
    style = ported(STYLE, port)
    x = trunk(net, net.input(input_size), channels, stages, head, style)
    return net.build(classifier(net, x, num_classes, rate("dropout", dropout), style, "function"))
