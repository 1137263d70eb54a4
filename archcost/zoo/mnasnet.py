"""MnasNet: B1 (torchvision's mnasnet) and A1, which has squeeze-and-excitation (timm's semnasnet).

Source: Tan et al. 2019, Figure 7 (A1) and section 5 (width multiplier); B1 from the authors' code. torchvision scales
every channel count but the 1280 of the last convolution.
"""

from __future__ import annotations

from typing import NamedTuple

from archcost.build import Builder, Tensor
from archcost.geometry import Shape
from archcost.graph import Graph
from archcost.ops import Add, BatchNorm2d, Conv2d, Dropout, GlobalAvgPool, Linear, ReLU
from archcost.zoo.blocks import chain
from archcost.zoo.entry import IMAGE_224
from archcost.zoo.inverted_residual import PLAIN_GATE, TIMM_NAMES, Block, Style, classifier, trunk
from archcost.zoo.multipliers import positive, rate, scaled


class Stage(NamedTuple):
    """Blocks of one kind."""

    expansion: int
    kernel: int
    channels: int
    layers: int
    stride: int  # of the first block
    squeeze: bool = False


B1 = (
    Stage(3, 3, 24, 3, 2),
    Stage(3, 5, 40, 3, 2),
    Stage(6, 5, 80, 3, 2),
    Stage(6, 3, 96, 2, 1),
    Stage(6, 5, 192, 4, 2),
    Stage(6, 3, 320, 1, 1),
)
A1 = (
    Stage(6, 3, 24, 2, 2),
    Stage(3, 5, 40, 3, 2, squeeze=True),
    Stage(6, 3, 80, 4, 2),
    Stage(6, 3, 112, 2, 1, squeeze=True),
    Stage(6, 5, 160, 3, 2, squeeze=True),
    Stage(6, 3, 320, 1, 1),
)
"""The stages behind the first convolution and one separable convolution, which both variants share."""

STEM, SEPARABLE, HEAD = 32, 16, 1280
"""Channels of the first convolution, of the separable one behind it, and of the last."""

NORM = BatchNorm2d(momentum=1 - 0.9997)


def mnasnet(
    *, input_size: Shape = IMAGE_224, num_classes: int = 1000, width: float = 1.0, dropout: float = 0.2
) -> Graph:
    """Return MnasNet-B1.

    Args:
        input_size: shape of one image.
        num_classes: outputs of the classifier.
        width: multiplies the channels.
        dropout: rate of the dropout before the classifier.
    """
    stem, separable = scaled(STEM, positive("width", width)), scaled(SEPARABLE, width)
    net = Builder()
    x = net.input(input_size)
    with net.scope("layers"):
        x = chain(
            net, x,
            Conv2d(stem, 3, stride=2, padding=1, bias=False), NORM, ReLU(),
            Conv2d(stem, 3, padding=1, groups=stem, bias=False), NORM, ReLU(),
            Conv2d(separable, 1, bias=False), NORM,
        )  # fmt: skip
        for position, stage in enumerate(B1, start=8):
            for index in range(stage.layers):
                with net.scope(f"{position}.{index}", "InvertedResidual"):
                    x = _block(net, x, stage, scaled(stage.channels, width), stage.stride if index == 0 else 1)
        x = net(Conv2d(HEAD, 1, bias=False), x, name="14")
        x = net(NORM, x, name="15")
        x = net(ReLU(), x, name="16")
    x = net(GlobalAvgPool(keep_axes=False), x, name="avgpool", call="method")
    with net.scope("classifier"):
        return net.build(chain(net, x, Dropout(rate("dropout", dropout)), Linear(num_classes)))


def _block(net: Builder, x: Tensor, stage: Stage, channels: int, stride: int) -> Tensor:
    """Expand, filter, project; the shortcut joins where shapes agree."""
    hidden = x.channels * stage.expansion
    with net.scope("layers"):
        branch = chain(
            net, x,
            Conv2d(hidden, 1, bias=False), NORM, ReLU(),
            Conv2d(hidden, stage.kernel, stride, stage.kernel // 2, groups=hidden, bias=False), NORM, ReLU(),
            Conv2d(channels, 1, bias=False), NORM,
        )  # fmt: skip
    return net(Add(), branch, x, name="add", call="operator") if branch.shape == x.shape and stride == 1 else branch


def mnasnet_a1(
    *, input_size: Shape = IMAGE_224, num_classes: int = 1000, width: float = 1.0, dropout: float = 0.2
) -> Graph:
    """Return MnasNet-A1.

    Args:
        input_size: shape of one image.
        num_classes: outputs of the classifier.
        width: multiplies the channels.
        dropout: rate of the dropout before the classifier.
    """
    style = Style(TIMM_NAMES, ReLU(), BatchNorm2d(), PLAIN_GATE, ReLU())
    stem, before = scaled(STEM, positive("width", width)), scaled(SEPARABLE, width)
    stages = [[Block(before, stem, 3, 1, ReLU())]]
    for row in A1:
        stages.append([])
        for index in range(row.layers):
            squeezed = before // 4 if row.squeeze else 0
            stride = row.stride if index == 0 else 1
            channels = scaled(row.channels, width)
            stages[-1].append(Block(channels, before * row.expansion, row.kernel, stride, ReLU(), squeezed))
            before = channels
    net = Builder()
    x = trunk(net, net.input(input_size), stem, stages, HEAD, style)
    return net.build(classifier(net, x, num_classes, rate("dropout", dropout), style))
