"""GoogLeNet as torchvision (after TF-slim) builds it: with BatchNorm, and 3x3 where the paper has 5x5.

Source: the channels of Szegedy et al. 2015, Table 1 (``googlenet.MODULES``). 6,624,904 parameters and 1,498 million
mult-adds; 13,004,888 parameters with the auxiliary classifiers (``aux=True``), which torchvision's model holds by
default but runs only in training: 1,507 million mult-adds then. torchvision also rescales the colours of an image first
when it loads its published weights; that is preparation of the input, not part of this graph.
"""

from __future__ import annotations

from archcost.build import Builder, Tensor
from archcost.geometry import Shape
from archcost.graph import Graph
from archcost.ops import AdaptiveAvgPool2d, Concat, Dropout, Flatten, GlobalAvgPool, Linear, MaxPool2d, ReLU
from archcost.zoo.entry import IMAGE_224
from archcost.zoo.googlenet import AUXILIARY, MODULES, POOLS, Row
from archcost.zoo.inception_blocks import AUXILIARY_CALLS, TORCHVISION_CALLS, Unit, unit

POOL_KERNELS = {"4a": 3, "5a": 2}
"""Module -> kernel of the pooling before it (the paper's are all 3x3)."""


def googlenet_bn(
    *,
    input_size: Shape = IMAGE_224,
    num_classes: int = 1000,
    aux: bool = False,
    dropout: float = 0.2,
    aux_dropout: float = 0.7,
) -> Graph:
    """Return torchvision's googlenet.

    Args:
        input_size: shape of one image.
        num_classes: outputs of the classifier (and of each auxiliary one).
        aux: add the two auxiliary classifiers as further outputs.
        dropout: rate before the classifier.
        aux_dropout: rate in the auxiliary classifiers.
    """
    net = Builder()
    x = net.input(input_size)
    x = unit(net, x, "conv1", Unit(64, 7, stride=2, padding=3), TORCHVISION_CALLS)
    x = net(MaxPool2d(3, stride=2, ceil_mode=True), x, name="maxpool1")
    x = unit(net, x, "conv2", Unit(64, 1), TORCHVISION_CALLS)
    x = unit(net, x, "conv3", Unit(192, 3), TORCHVISION_CALLS)
    x = net(MaxPool2d(3, stride=2, ceil_mode=True), x, name="maxpool2")
    extra: list[Tensor] = []
    for name, row in MODULES.items():
        if name in POOLS:
            x = net(MaxPool2d(POOL_KERNELS[name], stride=2, ceil_mode=True), x, name=POOLS[name])
        with net.scope(f"inception{name}", "Inception"):
            x = _module(net, x, row)
        if aux and name in AUXILIARY:
            with net.scope(AUXILIARY[name], "auxiliary classifier"):
                extra.append(_auxiliary(net, x, num_classes, aux_dropout))
    x = net(GlobalAvgPool(), x, name="avgpool")
    x = net(Flatten(), x, name="flatten", call="function")
    x = net(Dropout(dropout), x, name="dropout")
    return net.build(net(Linear(num_classes), x, name="fc"), *extra)


def _module(net: Builder, x: Tensor, row: Row) -> Tensor:
    """The paper's four branches; the third convolves 3x3 where the paper has 5x5."""
    branches = [unit(net, x, "branch1", Unit(row.conv1x1, 1), TORCHVISION_CALLS)]
    for name, reduced, channels in (
        ("branch2", row.reduce3x3, row.conv3x3),
        ("branch3", row.reduce5x5, row.conv5x5),
    ):
        y = unit(net, x, f"{name}.0", Unit(reduced, 1), TORCHVISION_CALLS)
        branches.append(unit(net, y, f"{name}.1", Unit(channels, 3), TORCHVISION_CALLS))
    y = net(MaxPool2d(3, stride=1, padding=1, ceil_mode=True), x, name="branch4.0")
    branches.append(unit(net, y, "branch4.1", Unit(row.pool_projection, 1), TORCHVISION_CALLS))
    return net(Concat(), *branches, name="concat", call="function")


def _auxiliary(net: Builder, x: Tensor, num_classes: int, dropout: float) -> Tensor:
    """The paper's auxiliary classifier, its average pooling adaptive; torchvision drops it in inference."""
    x = net(AdaptiveAvgPool2d(4), x, name="avgpool", call="training")
    x = unit(net, x, "conv", Unit(128, 1), AUXILIARY_CALLS)
    x = net(Flatten(), x, name="flatten", call="training")
    x = net(Linear(1024), x, name="fc1", call="training")
    x = net(ReLU(), x, name="relu", call="training")
    x = net(Dropout(dropout), x, name="dropout", call="training")
    return net(Linear(num_classes), x, name="fc2", call="training")
