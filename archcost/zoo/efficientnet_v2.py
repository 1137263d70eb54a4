"""EfficientNetV2: fused blocks first, inverted residuals with squeeze-and-excitation later.

Source: Tan & Le 2021, Table 4 (S); M, L and XL, and B0 to B3 (scaled from one table), from the authors' code. S, M and
L are torchvision's, the others timm's ports of the authors' networks. Channels of B0 to B3 are rounded to the nearest
multiple of 8, without the rule that keeps them from losing more than 10 %.

Images are those of evaluation (the authors train with smaller ones, and timm's defaults are smaller).

Where the published figures disagree: Table 7 prints 8.8 billion FLOPs for S and the authors' code 8.4; the network has
8.37 billion mult-adds at 384.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from archcost.build import Builder
from archcost.errors import ModelError
from archcost.geometry import Shape
from archcost.graph import Graph
from archcost.ops import BatchNorm2d, SiLU
from archcost.zoo.efficientnet_scaling import EFFICIENTNET_V2
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
    """One row: ``layers`` x fused or plain MBConv of this expansion, all with 3x3 kernels."""

    fused: bool
    expansion: int
    stride: int  # of the first layer
    channels: int
    layers: int


FUSED, PLAIN = True, False
STAGES: dict[str, tuple[Stage, ...]] = {
    "b": (
        Stage(FUSED, 1, 1, 16, 1),
        Stage(FUSED, 4, 2, 32, 2),
        Stage(FUSED, 4, 2, 48, 2),
        Stage(PLAIN, 4, 2, 96, 3),
        Stage(PLAIN, 6, 1, 112, 5),
        Stage(PLAIN, 6, 2, 192, 8),
    ),
    "s": (
        Stage(FUSED, 1, 1, 24, 2),
        Stage(FUSED, 4, 2, 48, 4),
        Stage(FUSED, 4, 2, 64, 4),
        Stage(PLAIN, 4, 2, 128, 6),
        Stage(PLAIN, 6, 1, 160, 9),
        Stage(PLAIN, 6, 2, 256, 15),
    ),
    "m": (
        Stage(FUSED, 1, 1, 24, 3),
        Stage(FUSED, 4, 2, 48, 5),
        Stage(FUSED, 4, 2, 80, 5),
        Stage(PLAIN, 4, 2, 160, 7),
        Stage(PLAIN, 6, 1, 176, 14),
        Stage(PLAIN, 6, 2, 304, 18),
        Stage(PLAIN, 6, 1, 512, 5),
    ),
    "l": (
        Stage(FUSED, 1, 1, 32, 4),
        Stage(FUSED, 4, 2, 64, 7),
        Stage(FUSED, 4, 2, 96, 7),
        Stage(PLAIN, 4, 2, 192, 10),
        Stage(PLAIN, 6, 1, 224, 19),
        Stage(PLAIN, 6, 2, 384, 25),
        Stage(PLAIN, 6, 1, 640, 7),
    ),
    "xl": (
        Stage(FUSED, 1, 1, 32, 4),
        Stage(FUSED, 4, 2, 64, 8),
        Stage(FUSED, 4, 2, 96, 8),
        Stage(PLAIN, 4, 2, 192, 16),
        Stage(PLAIN, 6, 1, 256, 24),
        Stage(PLAIN, 6, 2, 512, 32),
        Stage(PLAIN, 6, 1, 640, 8),
    ),
}
"""The stages between the first and the last convolution."""

STEM: dict[str, int] = {"b": 32, "s": 24, "m": 24, "l": 32, "xl": 32}
"""Channels of the first convolution."""

HEAD = 1280
"""Channels of the last convolution: the same for S to XL, scaled for B0 to B3."""

SQUEEZE = 4
"""Channels of a block's input for each channel of its squeezed layer."""


def efficientnet_v2(
    *,
    scale: str = "s",
    input_size: Shape = (3, 384, 384),
    num_classes: int = 1000,
    width: float | None = None,
    depth: float | None = None,
    dropout: float | None = None,
    drop_path: float = 0.2,
    port: Port = "torchvision",
) -> Graph:
    """Return an EfficientNetV2.

    Args:
        scale: "s", "m", "l", "xl" or "b0" to "b3".
        input_size: shape of one image.
        num_classes: outputs of the classifier.
        width: multiplies the channels (of all layers but the last convolution of S to XL).
        depth: multiplies the layers of each stage.
        dropout: rate of the dropout before the classifier.
        drop_path: rate of stochastic depth behind the last block; it rises linearly from 0.
        port: whose names, padding and constants: torchvision, timm or tf.
    """
    if scale not in EFFICIENTNET_V2:
        raise ModelError(f"`scale` (={scale!r}) must be one of {', '.join(EFFICIENTNET_V2)}")
    coefficients = EFFICIENTNET_V2[scale]
    width = positive("width", coefficients.width if width is None else width)
    depth = positive("depth", coefficients.depth if depth is None else depth)
    dropout = rate("dropout", coefficients.dropout if dropout is None else dropout)
    base = scale.startswith("b")
    table = "b" if base else scale
    rounded = _nearest if base else scaled
    activation = SiLU()
    norm = BatchNorm2d(eps=1e-3)
    style = ported(Style(TORCHVISION_EFFICIENTNET_NAMES, activation, norm, PLAIN_GATE, activation), port)
    stem = rounded(STEM[table], width)
    head = rounded(HEAD, width) if base else HEAD
    net = Builder()
    stages = _stages(STAGES[table], stem, width, depth, rounded)
    x = trunk(net, net.input(input_size), stem, stages, head, style, rate("drop_path", drop_path))
    return net.build(classifier(net, x, num_classes, dropout, style))


def _stages(
    rows: tuple[Stage, ...], stem: int, width: float, depth: float, rounded: Callable[[float, float], int]
) -> list[list[Block]]:
    """Return the scaled rows of a table, block by block."""
    stages: list[list[Block]] = []
    before = stem
    for row in rows:
        stages.append([])
        for index in range(repeated(row.layers, depth)):
            channels = rounded(row.channels, width)
            stages[-1].append(
                Block(
                    channels,
                    hidden=before * row.expansion,
                    kernel=3,
                    stride=row.stride if index == 0 else 1,
                    activation=SiLU(),
                    squeezed=0 if row.fused else before // SQUEEZE,
                    fused=row.fused,
                )
            )
            before = channels
    return stages


def _nearest(channels: float, width: float) -> int:
    """Return ``channels`` times ``width``, rounded to the nearest multiple of 8."""
    return max(8, int(channels * width + 4) // 8 * 8)
