"""BN-Inception, the network in which BatchNorm was introduced, and its squeeze-and-excitation variant.

Sources: Ioffe & Szegedy 2015, Figure 5 (Appendix); Hu et al. 2018, Table 2 and Figure 2 (SE-BN-Inception).

``bn_inception`` has a plain 7x7 first convolution, which the later papers count (2.03 billion mult-adds). The paper's
own is separable with depth multiplier 8: ``separable_stem=True``, 1.95 billion.

Where the published figures disagree: Figure 5 gives 4c, 4d 576 and 4e 1024 channels of output, but its own columns add
up to 608, 608 and 1056. The columns are what is built here. The SENet paper's 2.04 billion for the SE variant is 2.033,
or 2.036 with the average pooling and scaling of the SE blocks.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from archcost.build import Builder, Tensor
from archcost.errors import ModelError
from archcost.geometry import Shape
from archcost.graph import Graph
from archcost.ops import AvgPool2d, BatchNorm2d, Concat, Conv2d, MaxPool2d, ReLU
from archcost.zoo.blocks import pooled_classifier
from archcost.zoo.entry import IMAGE_224
from archcost.zoo.googlenet import DEPTH_MULTIPLIER
from archcost.zoo.inception_blocks import EPSILON, Unit, branch, unit
from archcost.zoo.squeeze_excitation import squeeze_excitation


class Row(NamedTuple):
    """Channels of a module, the columns of Figure 5.

    Without 1x1 channels the module halves the map: its last convolutions and its pooling have stride 2, and the pooled
    channels pass through without projection.
    """

    conv1x1: int
    reduce3x3: int
    conv3x3: int
    reduce_double: int
    conv_double: int
    pool: Literal["average", "max"]
    pool_projection: int


MODULES: dict[str, Row] = {
    "3a": Row(64, 64, 64, 64, 96, "average", 32),
    "3b": Row(64, 64, 96, 64, 96, "average", 64),
    "3c": Row(0, 128, 160, 64, 96, "max", 0),
    "4a": Row(224, 64, 96, 96, 128, "average", 128),
    "4b": Row(192, 96, 128, 96, 128, "average", 128),
    "4c": Row(160, 128, 160, 128, 160, "average", 128),
    "4d": Row(96, 128, 192, 160, 192, "average", 128),
    "4e": Row(0, 128, 192, 192, 256, "max", 0),
    "5a": Row(352, 192, 320, 160, 224, "average", 128),
    "5b": Row(352, 192, 320, 192, 224, "max", 128),
}
"""Figure 5."""


def bn_inception(
    *,
    input_size: Shape = IMAGE_224,
    num_classes: int = 1000,
    separable_stem: bool = False,
    se_reduction: int = 0,
) -> Graph:
    """Return BN-Inception.

    Args:
        input_size: shape of one image.
        num_classes: outputs of the classifier.
        separable_stem: the first convolution is depthwise, then 1x1.
        se_reduction: squeeze-and-excitation after each module, to this fraction of its channels (16); 0 for none.
    """
    if isinstance(se_reduction, bool) or not isinstance(se_reduction, int) or se_reduction < 0:
        raise ModelError(f"`se_reduction` (={se_reduction!r}) must be an integer from 0 (no squeeze-and-excitation)")
    net = Builder()
    x = _stem(net, net.input(input_size), separable_stem)
    for name, row in MODULES.items():
        with net.scope(f"inception{name}", "Inception"):
            x = _module(net, x, row)
            if se_reduction:
                x = squeeze_excitation(net, x, max(1, x.channels // se_reduction), dense=True)
    return net.build(pooled_classifier(net, x, num_classes))


def _stem(net: Builder, x: Tensor, separable: bool) -> Tensor:
    """Down to the 28x28 map of 192 channels."""
    if separable:
        with net.scope("conv1", "separable conv, BatchNorm, ReLU"):
            channels = x.channels * DEPTH_MULTIPLIER
            depthwise = Conv2d(channels, 7, stride=2, padding=3, groups=x.channels, bias=False)
            x = net(depthwise, x, name="depthwise")
            x = net(Conv2d(64, 1, bias=False), x, name="pointwise")
            x = net(BatchNorm2d(eps=EPSILON), x, name="bn")
            x = net(ReLU(), x, name="relu")
    else:
        x = unit(net, x, "conv1", Unit(64, 7, stride=2, padding=3))
    x = net(MaxPool2d(3, stride=2, ceil_mode=True), x, name="maxpool1")
    x = unit(net, x, "conv2", Unit(64, 1))
    x = unit(net, x, "conv3", Unit(192, 3))
    return net(MaxPool2d(3, stride=2, ceil_mode=True), x, name="maxpool2")


def _module(net: Builder, x: Tensor, row: Row) -> Tensor:
    """1x1; 3x3; two 3x3 in the place of GoogLeNet's 5x5; pooling and projection."""
    stride = 1 if row.conv1x1 else 2
    branches = [unit(net, x, "branch1x1", Unit(row.conv1x1, 1))] if row.conv1x1 else []
    last3x3 = Unit(row.conv3x3, 3, stride, padding=1)
    last_double = Unit(row.conv_double, 3, stride, padding=1)
    branches.append(branch(net, x, "branch3x3", Unit(row.reduce3x3, 1), last3x3))
    branches.append(branch(net, x, "branch3x3dbl", Unit(row.reduce_double, 1), Unit(row.conv_double, 3), last_double))
    if stride == 2:
        # Rounded up, as in Caffe: 28 becomes 14 with or without padding, and so the branches fit.
        pooled = net(MaxPool2d(3, stride=2, ceil_mode=True), x, name="pool")
    else:
        pooling = AvgPool2d if row.pool == "average" else MaxPool2d
        pooled = net(pooling(3, stride=1, padding=1), x, name="pool")
    if row.pool_projection:
        pooled = unit(net, pooled, "branch_pool", Unit(row.pool_projection, 1))
    return net(Concat(), *branches, pooled, name="concat", call="function")
