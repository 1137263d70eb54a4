"""Inception v3: 5x5 and 7x7 convolutions factorised into 3x3 pairs and into 1x7 and 7x1.

Source: Szegedy et al. 2016, Table 1 and Figures 5, 6, 7 and 10; channels as released (TF-slim, torchvision).

Where the published figures disagree: the paper's Table 3 gives 4.8 billion operations and its text 5 billion, for a
network of 5.71 billion mult-adds at 299x299. The Xception paper gives 23,626,728 parameters; the released network has
23,834,568, and 27,161,264 with the auxiliary classifier (``aux=True``), which only trains and which torchvision's model
holds by default.
"""

from __future__ import annotations

from archcost.build import Builder, Tensor
from archcost.geometry import Shape
from archcost.graph import Graph
from archcost.ops import AvgPool2d, Concat, Dropout, Flatten, GlobalAvgPool, Linear, MaxPool2d
from archcost.zoo.entry import IMAGE_299
from archcost.zoo.inception_blocks import AUXILIARY_CALLS, TORCHVISION_CALLS, Unit, unit
from archcost.zoo.inception_blocks import branch as any_branch

ROW, COLUMN = (1, 7), (7, 1)
"""The two halves of a 7x7 convolution."""

MIXED_5 = {"5b": 32, "5c": 64, "5d": 64}
"""Modules on the 35x35 map -> channels of the pooling branch."""

MIXED_6 = {"6b": 128, "6c": 160, "6d": 160, "6e": 192}
"""Modules on the 17x17 map -> channels between the factorised 7x7 convolutions."""

MIXED_7 = ("7b", "7c")
"""Modules on the 8x8 map."""


def inception_v3(
    *,
    input_size: Shape = IMAGE_299,
    num_classes: int = 1000,
    aux: bool = False,
    dropout: float = 0.5,
) -> Graph:
    """Return Inception v3.

    Args:
        input_size: shape of one image.
        num_classes: outputs of the classifier (and of the auxiliary one).
        aux: add the auxiliary classifier as a second output.
        dropout: rate before the classifier.
    """
    net = Builder()
    x = _stem(net, net.input(input_size))
    for name, channels in MIXED_5.items():
        with net.scope(f"Mixed_{name}", "InceptionA"):
            x = _mixed_5(net, x, channels)
    with net.scope("Mixed_6a", "InceptionB"):
        x = _reduction_6a(net, x)
    for name, channels in MIXED_6.items():
        with net.scope(f"Mixed_{name}", "InceptionC"):
            x = _mixed_6(net, x, channels)
    extra = []
    if aux:
        with net.scope("AuxLogits", "auxiliary classifier"):
            extra.append(_auxiliary(net, x, num_classes))
    with net.scope("Mixed_7a", "InceptionD"):
        x = _reduction_7a(net, x)
    for name in MIXED_7:
        with net.scope(f"Mixed_{name}", "InceptionE"):
            x = _mixed_7(net, x)
    x = net(GlobalAvgPool(), x, name="avgpool")
    x = net(Dropout(dropout), x, name="dropout")
    x = net(Flatten(), x, name="flatten", call="function")
    return net.build(net(Linear(num_classes), x, name="fc"), *extra)


def _branch(net: Builder, x: Tensor, name: str, *rows: Unit) -> Tensor:
    """Units one after the other; torchvision calls ReLU as a function."""
    return any_branch(net, x, name, *rows, calls=TORCHVISION_CALLS)


def _stem(net: Builder, x: Tensor) -> Tensor:
    """Down to the 35x35 map of 192 channels."""
    x = _branch(net, x, "Conv2d_1a_3x3", Unit(32, 3, stride=2))
    x = _branch(net, x, "Conv2d_2a_3x3", Unit(32, 3, padding=0))
    x = _branch(net, x, "Conv2d_2b_3x3", Unit(64, 3))
    x = net(MaxPool2d(3, stride=2), x, name="maxpool1")
    x = _branch(net, x, "Conv2d_3b_1x1", Unit(80, 1))
    x = _branch(net, x, "Conv2d_4a_3x3", Unit(192, 3, padding=0))
    return net(MaxPool2d(3, stride=2), x, name="maxpool2")


def _joined(net: Builder, *branches: Tensor, name: str = "concat") -> Tensor:
    return net(Concat(), *branches, name=name, call="function")


def _pooled(net: Builder, x: Tensor, channels: int) -> Tensor:
    """Average pooling and its projection."""
    x = net(AvgPool2d(3, stride=1, padding=1), x, name="pool", call="function")
    return _branch(net, x, "branch_pool", Unit(channels, 1))


def _halved(net: Builder, x: Tensor) -> Tensor:
    """The pooling branch of a module that halves the map: no projection."""
    return net(MaxPool2d(3, stride=2), x, name="pool", call="function")


def _mixed_5(net: Builder, x: Tensor, pool_channels: int) -> Tensor:
    """Figure 5 (the paper's 5x5 is two 3x3; the released network keeps one 5x5 beside them)."""
    return _joined(
        net,
        _branch(net, x, "branch1x1", Unit(64, 1)),
        _branch(net, x, "branch5x5", Unit(48, 1), Unit(64, 5)),
        _branch(net, x, "branch3x3dbl", Unit(64, 1), Unit(96, 3), Unit(96, 3)),
        _pooled(net, x, pool_channels),
    )


def _reduction_6a(net: Builder, x: Tensor) -> Tensor:
    """Figure 10: 35x35 to 17x17."""
    return _joined(
        net,
        _branch(net, x, "branch3x3", Unit(384, 3, stride=2)),
        _branch(net, x, "branch3x3dbl", Unit(64, 1), Unit(96, 3), Unit(96, 3, stride=2)),
        _halved(net, x),
    )


def _mixed_6(net: Builder, x: Tensor, channels: int) -> Tensor:
    """Figure 6 with n = 7."""
    row, column = Unit(channels, ROW), Unit(channels, COLUMN)
    return _joined(
        net,
        _branch(net, x, "branch1x1", Unit(192, 1)),
        _branch(net, x, "branch7x7", Unit(channels, 1), row, Unit(192, COLUMN)),
        _branch(net, x, "branch7x7dbl", Unit(channels, 1), column, row, column, Unit(192, ROW)),
        _pooled(net, x, 192),
    )


def _reduction_7a(net: Builder, x: Tensor) -> Tensor:
    """17x17 to 8x8."""
    return _joined(
        net,
        _branch(net, x, "branch3x3", Unit(192, 1), Unit(320, 3, stride=2)),
        _branch(net, x, "branch7x7x3", Unit(192, 1), Unit(192, ROW), Unit(192, COLUMN), Unit(192, 3, stride=2)),
        _halved(net, x),
    )


def _mixed_7(net: Builder, x: Tensor) -> Tensor:
    """Figure 7: the 3x3 convolutions fan out into 1x3 and 3x1."""
    one = _branch(net, x, "branch1x1", Unit(320, 1))
    three = _branch(net, x, "branch3x3_1", Unit(384, 1))
    three = _fan(net, three, "branch3x3_2")
    double = _branch(net, x, "branch3x3dbl", Unit(448, 1), Unit(384, 3))
    double = _fan(net, double, "branch3x3dbl_3")
    return _joined(net, one, three, double, _pooled(net, x, 192))


def _fan(net: Builder, x: Tensor, name: str) -> Tensor:
    """1x3 and 3x1 side by side."""
    row = _branch(net, x, f"{name}a", Unit(384, (1, 3)))
    column = _branch(net, x, f"{name}b", Unit(384, (3, 1)))
    return _joined(net, row, column, name=f"{name}_concat")


def _auxiliary(net: Builder, x: Tensor, num_classes: int) -> Tensor:
    """Figure 8: the auxiliary classifier on the last 17x17 map; torchvision drops it in inference."""
    x = net(AvgPool2d(5, stride=3), x, name="pool", call="training")
    x = unit(net, x, "conv0", Unit(128, 1), AUXILIARY_CALLS)
    x = unit(net, x, "conv1", Unit(768, 5, padding=0), AUXILIARY_CALLS)
    x = net(GlobalAvgPool(), x, name="avgpool", call="training")
    x = net(Flatten(), x, name="flatten", call="training")
    return net(Linear(num_classes), x, name="fc", call="training")
