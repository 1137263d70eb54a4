"""EfficientNet B0 to B8 and the Lite variants, from one table by compound scaling.

Source: Tan & Le 2019, Table 1 (B0), equation 3 (scaling), Table 2 (results); coefficients in ``efficientnet_scaling``.
Lite (the authors' code): no squeeze-and-excitation, ReLU6, and the first and last layers are not scaled.

Names, constants and stochastic depth are torchvision's for B0 to B7, timm's for B8 and Lite, which torchvision lacks.
The images are the paper's; torchvision evaluates B2 at 288, not at 260, and timm Lite-3 and Lite-4 at 300 and 380, not
at 280 and 300. The authors normalise with epsilon 1e-3; torchvision's B0 to B4 have 1e-5.

Where the published figures disagree: Table 2 prints 4.2 and 9.9 billion for B4 and B5; at their images the networks
have 4.39 and 10.27 billion mult-adds (a footnote says that FLOPS may differ from theory because of rounding).
"""

from __future__ import annotations

from typing import NamedTuple

from archcost.build import Builder
from archcost.errors import ModelError
from archcost.geometry import Shape
from archcost.graph import Graph
from archcost.ops import BatchNorm2d, ReLU6, SiLU
from archcost.ops.base import Op
from archcost.zoo.efficientnet_scaling import EFFICIENTNET
from archcost.zoo.entry import IMAGE_224
from archcost.zoo.inverted_residual import (
    PLAIN_GATE,
    TORCHVISION_EFFICIENTNET_NAMES,
    Block,
    Port,
    Style,
    classifier,
    ported,
    trunk,
)
from archcost.zoo.multipliers import positive, rate, repeated, scaled


class Stage(NamedTuple):
    """One row of Table 1: ``layers`` x MBConv of this expansion and kernel."""

    expansion: int
    kernel: int
    stride: int  # of the first layer
    channels: int
    layers: int


STAGES = (
    Stage(1, 3, 1, 16, 1),
    Stage(6, 3, 2, 24, 2),
    Stage(6, 5, 2, 40, 2),
    Stage(6, 3, 2, 80, 3),
    Stage(6, 5, 1, 112, 3),
    Stage(6, 5, 2, 192, 4),
    Stage(6, 3, 1, 320, 1),
)
"""Stages 2 to 8 of B0."""

STEM, HEAD = 32, 1280
"""Channels of stages 1 and 9."""

SQUEEZE = 4
"""Channels of a block's input for each channel of its squeezed layer."""

AUTHORS_NORM = BatchNorm2d(eps=1e-3, momentum=0.01)


def efficientnet(
    *,
    scale: str = "b0",
    input_size: Shape = IMAGE_224,
    num_classes: int = 1000,
    width: float | None = None,
    depth: float | None = None,
    dropout: float | None = None,
    drop_path: float = 0.2,
    port: Port = "torchvision",
) -> Graph:
    """Return an EfficientNet.

    Args:
        scale: "b0" to "b8" or "lite0" to "lite4": where the coefficients come from that are not given.
        input_size: shape of one image.
        num_classes: outputs of the classifier.
        width: multiplies the channels.
        depth: multiplies the layers of each stage.
        dropout: rate of the dropout before the classifier.
        drop_path: rate of stochastic depth behind the last block; it rises linearly from 0.
        port: whose names, padding and constants: torchvision, timm or tf.
    """
    if scale not in EFFICIENTNET:
        raise ModelError(f"`scale` (={scale!r}) must be one of {', '.join(EFFICIENTNET)}")
    coefficients = EFFICIENTNET[scale]
    lite = scale.startswith("lite")
    width = positive("width", coefficients.width if width is None else width)
    depth = positive("depth", coefficients.depth if depth is None else depth)
    dropout = rate("dropout", coefficients.dropout if dropout is None else dropout)
    activation: Op = ReLU6() if lite else SiLU()
    norm = AUTHORS_NORM if scale in ("b5", "b6", "b7", "b8") else BatchNorm2d()
    style = ported(Style(TORCHVISION_EFFICIENTNET_NAMES, activation, norm, PLAIN_GATE, activation), port)
    stem, head = (STEM, HEAD) if lite else (scaled(STEM, width), scaled(HEAD, width))
    net = Builder()
    stages = _stages(stem, width, depth, lite, activation)
    x = trunk(net, net.input(input_size), stem, stages, head, style, rate("drop_path", drop_path))
    return net.build(classifier(net, x, num_classes, dropout, style))


def _stages(stem: int, width: float, depth: float, lite: bool, activation: Op) -> list[list[Block]]:
    """Return the scaled rows of the table, block by block."""
    stages: list[list[Block]] = []
    before = stem
    for row in STAGES:
        stages.append([])
        fixed = lite and row in (STAGES[0], STAGES[-1])
        for index in range(row.layers if fixed else repeated(row.layers, depth)):
            squeezed = 0 if lite else before // SQUEEZE
            stride = row.stride if index == 0 else 1
            channels = scaled(row.channels, width)
            stages[-1].append(Block(channels, before * row.expansion, row.kernel, stride, activation, squeezed))
            before = channels
    return stages
