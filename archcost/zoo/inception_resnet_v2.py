"""Inception-ResNet-v2: Inception modules as residual branches.

Source: Szegedy et al. 2017, Figures 15 to 19 and Table 1, as TF-slim released it (the stem is Inception v3's, and the
last stage has nine modules and one without ReLU). Names are timm's.

The paper multiplies a residual by 0.1 to 0.3 before it is added (section 3.3). The factors stand in ``STAGES``; they
have no parameters and no mult-adds, and this graph leaves the multiplication out.

55,843,464 parameters and 13.16 billion mult-adds at 299x299. The SENet paper's Table 2 gives 11.75 billion; no variant
known gives that.
"""

from __future__ import annotations

from typing import NamedTuple

from archcost.build import Builder, Tensor
from archcost.geometry import Shape
from archcost.graph import Graph
from archcost.ops import Add, AvgPool2d, ConstantScale, Conv2d, Dropout, Flatten, GlobalAvgPool, Linear, MaxPool2d, ReLU
from archcost.ops.base import Op
from archcost.zoo.entry import IMAGE_299
from archcost.zoo.inception_blocks import Unit, mixed
from archcost.zoo.inception_blocks import timm_unit as unit

# The average leaves the padding out, as TensorFlow's does.
AVERAGE = AvgPool2d(3, stride=1, padding=1, count_include_pad=False)
HALVE = MaxPool2d(3, stride=2)

Branches = tuple[tuple[Unit | Op, ...], ...]

MIXED_5B: Branches = (
    (Unit(96, 1),),
    (Unit(48, 1), Unit(64, 5)),
    (Unit(64, 1), Unit(96, 3), Unit(96, 3)),
    (AVERAGE, Unit(64, 1)),
)
BLOCK_35: Branches = (
    (Unit(32, 1),),
    (Unit(32, 1), Unit(32, 3)),
    (Unit(32, 1), Unit(48, 3), Unit(64, 3)),
)
MIXED_6A: Branches = (
    (Unit(384, 3, stride=2),),
    (Unit(256, 1), Unit(256, 3), Unit(384, 3, stride=2)),
    (HALVE,),
)
BLOCK_17: Branches = (
    (Unit(192, 1),),
    (Unit(128, 1), Unit(160, (1, 7)), Unit(192, (7, 1))),
)
MIXED_7A: Branches = (
    (Unit(256, 1), Unit(384, 3, stride=2)),
    (Unit(256, 1), Unit(288, 3, stride=2)),
    (Unit(256, 1), Unit(288, 3), Unit(320, 3, stride=2)),
    (HALVE,),
)
BLOCK_8: Branches = (
    (Unit(192, 1),),
    (Unit(192, 1), Unit(224, (1, 3)), Unit(256, (3, 1))),
)


class Stage(NamedTuple):
    """A module that changes the map, and the residual modules that follow."""

    entry: str
    entry_branches: Branches
    name: str
    kind: str
    branches: Branches
    repeats: int
    factor: float
    """What the paper multiplies the residual by."""
    activation: str
    """timm's name of the ReLU after the addition."""


STAGES = (
    Stage("mixed_5b", MIXED_5B, "repeat", "Block35", BLOCK_35, 10, 0.17, "act"),
    Stage("mixed_6a", MIXED_6A, "repeat_1", "Block17", BLOCK_17, 20, 0.10, "act"),
    Stage("mixed_7a", MIXED_7A, "repeat_2", "Block8", BLOCK_8, 9, 0.20, "relu"),
)


def inception_resnet_v2(*, input_size: Shape = IMAGE_299, num_classes: int = 1000, dropout: float = 0.2) -> Graph:
    """Return Inception-ResNet-v2.

    Args:
        input_size: shape of one image.
        num_classes: outputs of the classifier.
        dropout: rate before the classifier (the paper keeps 0.8; timm's default is 0).
    """
    net = Builder()
    x = _stem(net, net.input(input_size))
    for stage in STAGES:
        with net.scope(stage.entry, "branches"):
            x = mixed(net, x, *stage.entry_branches)
        for block in range(stage.repeats):
            with net.scope(f"{stage.name}.{block}", stage.kind):
                x = net(ReLU(), _residual(net, x, stage.branches, stage.factor), name=stage.activation)
    # The last module is as those before it, but its residual is added in full and no ReLU follows.
    with net.scope("block8", "Block8"):
        x = _residual(net, x, BLOCK_8, 1.0)
    x = unit(net, x, "conv2d_7b", Unit(1536, 1))
    with net.scope("global_pool"):
        x = net(GlobalAvgPool(), x, name="pool")
        x = net(Flatten(), x, name="flatten")
    x = net(Dropout(dropout), x, name="head_drop")
    return net.build(net(Linear(num_classes), x, name="classif"))


def _stem(net: Builder, x: Tensor) -> Tensor:
    """Down to the 35x35 map of 192 channels."""
    x = unit(net, x, "conv2d_1a", Unit(32, 3, stride=2))
    x = unit(net, x, "conv2d_2a", Unit(32, 3, padding=0))
    x = unit(net, x, "conv2d_2b", Unit(64, 3))
    x = net(HALVE, x, name="maxpool_3a")
    x = unit(net, x, "conv2d_3b", Unit(80, 1))
    x = unit(net, x, "conv2d_4a", Unit(192, 3, padding=0))
    return net(HALVE, x, name="maxpool_5a")


def _residual(net: Builder, x: Tensor, branches: Branches, factor: float) -> Tensor:
    """Branches, a 1x1 convolution back to the input's channels (with bias, no BatchNorm), scaling, the addition."""
    y = mixed(net, x, *branches)
    y = net(Conv2d(x.channels, 1), y, name="conv2d")
    if factor != 1:
        y = net(ConstantScale(factor), y, name="scale", call="operator")
    return net(Add(), y, x, name="add", call="operator")
