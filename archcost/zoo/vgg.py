"""VGG: 3x3 convolutions and 2x2 pooling only, 11 to 19 weighted layers.

Source: Simonyan & Zisserman 2015, Table 1 (configurations A to E), Table 2 (parameters), section 4.3 (the shallow net).
BatchNorm after each convolution (``vgg16_bn``) is torchvision's addition, not the paper's.

The lecture calls VGG "AlexNet++, better and simplified version".

Where the published figures disagree: the ResNet paper gives VGG-16 without its dense layers (15.3 billion; 15.35
exactly) and VGG-19 with them (19.6). The MobileNet paper, and the lecture after it, writes that 15.3 as 15300 million;
the whole of VGG-16 has 15,470 million mult-adds.
"""

from __future__ import annotations

from archcost.build import Builder, Tensor
from archcost.errors import ModelError
from archcost.geometry import Shape
from archcost.graph import Graph
from archcost.ops import AdaptiveAvgPool2d, BatchNorm2d, Conv2d, Dropout, Flatten, Linear, MaxPool2d, ReLU
from archcost.ops.base import Op
from archcost.zoo.alexnet import RESPONSE_NORM
from archcost.zoo.entry import IMAGE_224

CHANNELS = (64, 128, 256, 512, 512)
"""Channels of the five blocks; a 2x2 max pooling closes each."""

Kernels = tuple[tuple[int, ...], ...]

CONFIGURATIONS: dict[str, Kernels] = {
    "A": ((3,), (3,), (3, 3), (3, 3), (3, 3)),
    "B": ((3, 3),) * 5,
    "B shallow": ((5,),) * 5,
    "C": ((3, 3), (3, 3), (3, 3, 1), (3, 3, 1), (3, 3, 1)),
    "D": ((3, 3), (3, 3), (3, 3, 3), (3, 3, 3), (3, 3, 3)),
    "E": ((3, 3), (3, 3), (3, 3, 3, 3), (3, 3, 3, 3), (3, 3, 3, 3)),
}
"""Configuration -> kernel sizes of the convolutions of each block (Table 1).

"B shallow" is the net of section 4.3: each pair of 3x3 convolutions is one 5x5, which sees as far.
"""

HIDDEN = 4096
"""Features of the first two dense layers."""


def vgg(
    *,
    configuration: str,
    input_size: Shape = IMAGE_224,
    num_classes: int = 1000,
    batch_norm: bool = False,
    response_norm: bool = False,
    include_top: bool = True,
    dropout: float = 0.5,
) -> Graph:
    """Return a VGG network.

    Args:
        configuration: column of Table 1: "A", "B", "C", "D" (VGG-16), "E" (VGG-19), or "B shallow".
        input_size: shape of one image.
        num_classes: outputs of the classifier.
        batch_norm: normalise after each convolution.
        response_norm: local response normalisation after the first convolution (A-LRN).
        include_top: False leaves the convolutions alone, with the last feature map as output.
        dropout: rate after the first two dense layers.
    """
    if configuration not in CONFIGURATIONS:
        raise ModelError(f"`configuration` (={configuration!r}) must be one of {', '.join(CONFIGURATIONS)}")
    net = Builder()
    x = net.input(input_size)
    with net.scope("features", "convolutions"):
        for index, op in enumerate(_features(CONFIGURATIONS[configuration], batch_norm, response_norm)):
            x = net(op, x, name=str(index))
    return net.build(_classifier(net, x, num_classes, dropout) if include_top else x)


def _features(blocks: Kernels, batch_norm: bool, response_norm: bool) -> list[Op]:
    """The convolutions as one sequence, numbered through."""
    layers: list[Op] = []
    for channels, kernels in zip(CHANNELS, blocks):
        for kernel in kernels:
            layers.append(Conv2d(channels, kernel, padding=kernel // 2))
            if batch_norm:
                layers.append(BatchNorm2d())
            layers.append(ReLU())
        if response_norm and channels == CHANNELS[0]:
            layers.append(RESPONSE_NORM)
        layers.append(MaxPool2d(2))
    return layers


def _classifier(net: Builder, x: Tensor, num_classes: int, dropout: float) -> Tensor:
    """Three dense layers on the 7x7 map."""
    x = net(AdaptiveAvgPool2d(7), x, name="avgpool")
    x = net(Flatten(), x, name="flatten", call="function")
    with net.scope("classifier", "dense layers"):
        for first in (0, 3):
            x = net(Linear(HIDDEN), x, name=str(first))
            x = net(ReLU(), x, name=str(first + 1))
            x = net(Dropout(dropout), x, name=str(first + 2))
        return net(Linear(num_classes), x, name="6")
