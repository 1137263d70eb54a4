"""AlexNet: the network of 2012 on two GPUs, and its simpler successor of 2014.

Sources: Krizhevsky et al. 2012, section 3.5 and Figure 2; Krizhevsky 2014 ("One weird trick"), section 5.

Which network a name means:

- ``alexnet`` is the paper's: convolutions 2, 4 and 5 see only the maps of their own GPU (2 groups), local response
  normalisation after the first two, overlapping 3x3 pooling at stride 2. 60,965,224 parameters.
- ``alexnet_owt`` is what torchvision calls alexnet: one tower of 64-192-384-256-256 channels, no normalisation.

Where the published figures disagree: the paper's text says 224x224 images, but only 227x227 (or a padding of 2) gives
its 55x55 maps; its Figure 2 gives conv1 253,440 neurons, 55x55x96 is 290,400; its "60 million" is 60.97 cut off.
"""

from __future__ import annotations

from typing import NamedTuple

from archcost.build import Builder, Tensor
from archcost.errors import ModelError
from archcost.geometry import Shape
from archcost.graph import Graph
from archcost.ops import AdaptiveAvgPool2d, Conv2d, Dropout, Flatten, Linear, LocalResponseNorm, MaxPool2d, ReLU
from archcost.zoo.entry import IMAGE_224

IMAGE_227: Shape = (3, 227, 227)

RESPONSE_NORM = LocalResponseNorm(size=5, alpha=5e-4, beta=0.75, k=2.0)
"""Section 3.3. The paper's alpha (1e-4) weighs the sum of squares, the operator's their mean over the 5 channels."""


class Layer(NamedTuple):
    """A convolution and what follows it."""

    channels: int
    kernel: int
    stride: int
    padding: int
    grouped: bool
    """Sees only the maps of its own GPU."""
    norm: bool
    pool: bool


PAPER = (
    Layer(96, 11, 4, 0, grouped=False, norm=True, pool=True),
    Layer(256, 5, 1, 2, grouped=True, norm=True, pool=True),
    Layer(384, 3, 1, 1, grouped=False, norm=False, pool=False),
    Layer(384, 3, 1, 1, grouped=True, norm=False, pool=False),
    Layer(256, 3, 1, 1, grouped=True, norm=False, pool=True),
)
"""Section 3.5."""

ONE_TOWER = (
    Layer(64, 11, 4, 2, grouped=False, norm=False, pool=True),
    Layer(192, 5, 1, 2, grouped=False, norm=False, pool=True),
    Layer(384, 3, 1, 1, grouped=False, norm=False, pool=False),
    Layer(256, 3, 1, 1, grouped=False, norm=False, pool=False),
    Layer(256, 3, 1, 1, grouped=False, norm=False, pool=True),
)
"""Krizhevsky 2014, as torchvision builds it."""

HIDDEN = 4096
"""Features of the first two dense layers."""


def alexnet(*, input_size: Shape = IMAGE_227, num_classes: int = 1000, groups: int = 2, dropout: float = 0.5) -> Graph:
    """Return AlexNet of 2012.

    Args:
        input_size: shape of one image.
        num_classes: outputs of the classifier.
        groups: 2 for the paper's two GPUs; 1 for a single tower, in which every filter sees all maps.
        dropout: rate after the first two dense layers.
    """
    if groups not in (1, 2):
        raise ModelError(f"`groups` (={groups!r}) must be 1 (one tower) or 2 (the paper's two GPUs)")
    net = Builder()
    x = net.input(input_size)
    for number, row in enumerate(PAPER, start=1):
        convolution = Conv2d(row.channels, row.kernel, row.stride, row.padding, groups=groups if row.grouped else 1)
        x = net(convolution, x, name=f"conv{number}")
        x = net(ReLU(), x, name=f"relu{number}")
        if row.norm:
            x = net(RESPONSE_NORM, x, name=f"norm{number}")
        if row.pool:
            x = net(MaxPool2d(3, stride=2), x, name=f"pool{number}")
    x = net(Flatten(), x, name="flatten", call="function")
    for number in (6, 7):
        x = net(Linear(HIDDEN), x, name=f"fc{number}")
        x = net(ReLU(), x, name=f"relu{number}")
        x = net(Dropout(dropout), x, name=f"dropout{number}")
    return net.build(net(Linear(num_classes), x, name="fc8"))


def alexnet_owt(*, input_size: Shape = IMAGE_224, num_classes: int = 1000, dropout: float = 0.5) -> Graph:
    """Return AlexNet of 2014 in one tower, torchvision's alexnet.

    Args:
        input_size: shape of one image.
        num_classes: outputs of the classifier.
        dropout: rate before the first two dense layers.
    """
    net = Builder()
    x = net.input(input_size)
    with net.scope("features", "convolutions"):
        x = _numbered(net, x, ONE_TOWER)
    x = net(AdaptiveAvgPool2d(6), x, name="avgpool")
    x = net(Flatten(), x, name="flatten", call="function")
    with net.scope("classifier", "dense layers"):
        for first in (0, 3):
            x = net(Dropout(dropout), x, name=str(first))
            x = net(Linear(HIDDEN), x, name=str(first + 1))
            x = net(ReLU(), x, name=str(first + 2))
        return net.build(net(Linear(num_classes), x, name="6"))


def _numbered(net: Builder, x: Tensor, rows: tuple[Layer, ...]) -> Tensor:
    """The convolutions as one sequence, numbered through."""
    index = 0
    for row in rows:
        x = net(Conv2d(row.channels, row.kernel, row.stride, row.padding), x, name=str(index))
        x = net(ReLU(), x, name=str(index + 1))
        index += 2
        if row.pool:
            x = net(MaxPool2d(3, stride=2), x, name=str(index))
            index += 1
    return x
