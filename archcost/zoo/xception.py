"""Xception: depthwise separable convolutions throughout, with residual connections.

Source: Chollet 2017, Figure 5 (entry, middle and exit flow). Names are those of timm's legacy_xception.

22,855,952 parameters at 299x299, as the paper's Table 3 prints; Keras prints 22,910,480 because it adds BatchNorm's
running statistics. The deeper, aligned variants are in ``xception_aligned``.
"""

from __future__ import annotations

from typing import NamedTuple

from archcost.build import Builder, Tensor
from archcost.geometry import Shape
from archcost.graph import Graph
from archcost.ops import Add, BatchNorm2d, Conv2d, Dropout, Flatten, GlobalAvgPool, Linear, MaxPool2d, ReLU
from archcost.zoo.entry import IMAGE_299


class Block(NamedTuple):
    """A residual block: output channels of its separable convolutions, and whether pooling halves the map."""

    channels: tuple[int, ...]
    halve: bool


MIDDLE_BLOCKS = 8

BLOCKS = (
    *(Block((channels, channels), halve=True) for channels in (128, 256, 728)),
    *(Block((728, 728, 728), halve=False),) * MIDDLE_BLOCKS,
    Block((728, 1024), halve=True),
)
"""Figure 5."""

EXIT_CHANNELS = (1536, 2048)
"""Channels of the two separable convolutions after the blocks."""


def xception(*, input_size: Shape = IMAGE_299, num_classes: int = 1000, dropout: float = 0.5) -> Graph:
    """Return Xception.

    Args:
        input_size: shape of one image.
        num_classes: outputs of the classifier.
        dropout: rate before the classifier (section 4.3; timm's default is 0).
    """
    net = Builder()
    x = net.input(input_size)
    for number, channels, stride in ((1, 32, 2), (2, 64, 1)):
        x = net(Conv2d(channels, 3, stride=stride, bias=False), x, name=f"conv{number}")
        x = net(BatchNorm2d(), x, name=f"bn{number}")
        x = net(ReLU(), x, name=f"act{number}")
    for number, row in enumerate(BLOCKS, start=1):
        with net.scope(f"block{number}", "residual block"):
            # The stem already ends in a ReLU.
            x = _block(net, x, row, starts_with_relu=number > 1)
    for number, channels in enumerate(EXIT_CHANNELS, start=3):
        x = _separable(net, x, f"conv{number}", channels)
        x = net(BatchNorm2d(), x, name=f"bn{number}")
        x = net(ReLU(), x, name=f"act{number}")
    with net.scope("global_pool"):
        x = net(GlobalAvgPool(), x, name="pool")
        x = net(Flatten(), x, name="flatten")
    x = net(Dropout(dropout), x, name="dropout", call="function")
    return net.build(net(Linear(num_classes), x, name="fc"))


def _separable(net: Builder, x: Tensor, name: str, channels: int) -> Tensor:
    """3x3 on each channel, then 1x1 to ``channels``; nothing between them (section 4.7)."""
    with net.scope(name, "separable conv"):
        x = net(Conv2d(x.channels, 3, padding=1, groups=x.channels, bias=False), x, name="conv1")
        return net(Conv2d(channels, 1, bias=False), x, name="pointwise")


def _block(net: Builder, x: Tensor, row: Block, *, starts_with_relu: bool) -> Tensor:
    """ReLU, separable convolution, BatchNorm, repeated; then pooling; the shortcut is projected where shapes change."""
    branch, index = x, 0
    with net.scope("rep", "separable convs"):
        for place, channels in enumerate(row.channels):
            if place or starts_with_relu:
                branch = net(ReLU(), branch, name=str(index))
                index += 1
            branch = _separable(net, branch, str(index), channels)
            branch = net(BatchNorm2d(), branch, name=str(index + 1))
            index += 2
        if row.halve:
            branch = net(MaxPool2d(3, stride=2, padding=1), branch, name=str(index))
    shortcut = x
    if row.halve:
        shortcut = net(Conv2d(branch.channels, 1, stride=2, bias=False), x, name="skip")
        shortcut = net(BatchNorm2d(), shortcut, name="skipbn")
    return net(Add(), branch, shortcut, name="add", call="operator")
