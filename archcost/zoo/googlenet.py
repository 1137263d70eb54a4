"""GoogLeNet as the paper describes it, and one Inception module on its own as the lecture counts it.

Source: Szegedy et al. 2015, Figure 2 (modules), Figure 3 (auxiliary classifiers), Table 1, section 5.

- ``googlenet``: 5x5 branches, local response normalisation, biases, no BatchNorm, as Caffe's bvlc_googlenet rebuilt it.
  6,998,552 parameters, 1,583 million mult-adds; 13,378,280 and 1,591 million with the two auxiliary classifiers, which
  only train. Another network than torchvision's googlenet (here ``googlenet_bn``).
- ``separable_stem=True`` is the net of Table 1: its 2.7K weights and 34M operations of the first layer are those of a
  separable convolution with depth multiplier 8 (2,712 and 34.0 million; a plain 7x7 has 9,408 and 118 million). The
  BN-Inception paper says so in words. The whole is then 1,499 million, the paper's "1.5 billion".
- ``inception_module`` is module 3a alone; ``inception_module_naive`` is Figure 2(a) with the same outputs, for the
  lecture's 120M against 12.4M (its 5x5 branch, with and without the 1x1 in front).

Where the published figures disagree: Table 1's K is 1024. The quoted "6.8 million" is the sum of its column in those
units. Its row 5a (1072K, 54M) does not belong to the channels printed beside it (1018K, 51M); row 4c prints 463K for
497K. No variant gives the 1550 million of the MobileNet paper's Table 8, which the lecture repeats. The lecture's
"28x28x16x16x192" must read 28x28x16x1x1x192, its 3x3 branch has 128 outputs, not 28, and its pooling branch needs a 1x1
convolution to come from 192 channels to 32: pooling alone keeps them.
"""

from __future__ import annotations

from typing import NamedTuple

from archcost.build import Builder, Tensor
from archcost.geometry import Shape
from archcost.graph import Graph
from archcost.ops import (
    AvgPool2d,
    Concat,
    Conv2d,
    Dropout,
    Flatten,
    GlobalAvgPool,
    Linear,
    LocalResponseNorm,
    MaxPool2d,
    ReLU,
)
from archcost.zoo.entry import IMAGE_224


class Row(NamedTuple):
    """Channels of a module, the columns of Table 1; a reduction to 0 channels means that there is none."""

    conv1x1: int
    reduce3x3: int
    conv3x3: int
    reduce5x5: int
    conv5x5: int
    pool_projection: int


MODULES: dict[str, Row] = {
    "3a": Row(64, 96, 128, 16, 32, 32),
    "3b": Row(128, 128, 192, 32, 96, 64),
    "4a": Row(192, 96, 208, 16, 48, 64),
    "4b": Row(160, 112, 224, 24, 64, 64),
    "4c": Row(128, 128, 256, 24, 64, 64),
    "4d": Row(112, 144, 288, 32, 64, 64),
    "4e": Row(256, 160, 320, 32, 128, 128),
    "5a": Row(256, 160, 320, 32, 128, 128),
    "5b": Row(384, 192, 384, 48, 128, 128),
}
"""Table 1."""

POOLS = {"4a": "maxpool3", "5a": "maxpool4"}
"""Module -> the pooling before it."""

AUXILIARY = {"4a": "aux1", "4d": "aux2"}
"""Module -> the auxiliary classifier on its output."""

MODULE_INPUT: Shape = (192, 28, 28)
"""Input of module 3a."""

DEPTH_MULTIPLIER = 8
"""Filters for each colour in the separable first convolution (Ioffe & Szegedy 2015, Appendix)."""

RESPONSE_NORM = LocalResponseNorm(size=5, alpha=1e-4, beta=0.75, k=1.0)
"""The paper gives no constants; these are Caffe's."""


def googlenet(
    *,
    input_size: Shape = IMAGE_224,
    num_classes: int = 1000,
    aux: bool = False,
    separable_stem: bool = False,
    dropout: float = 0.4,
    aux_dropout: float = 0.7,
) -> Graph:
    """Return GoogLeNet.

    Args:
        input_size: shape of one image.
        num_classes: outputs of the classifier (and of each auxiliary one).
        aux: add the two auxiliary classifiers as further outputs.
        separable_stem: the first convolution is depthwise, then 1x1, as Table 1 counts it.
        dropout: rate before the classifier.
        aux_dropout: rate in the auxiliary classifiers.
    """
    net = Builder()
    x = _stem(net, net.input(input_size), separable_stem)
    extra: list[Tensor] = []
    for name, row in MODULES.items():
        if name in POOLS:
            x = net(MaxPool2d(3, stride=2, ceil_mode=True), x, name=POOLS[name])
        with net.scope(f"inception{name}", "Inception"):
            x = _module(net, x, row)
        if aux and name in AUXILIARY:
            with net.scope(AUXILIARY[name], "auxiliary classifier"):
                extra.append(_auxiliary(net, x, num_classes, aux_dropout))
    x = net(GlobalAvgPool(), x, name="avgpool")
    x = net(Flatten(), x, name="flatten", call="function")
    x = net(Dropout(dropout), x, name="dropout")
    return net.build(net(Linear(num_classes), x, name="fc"), *extra)


def inception_module(*, input_size: Shape = MODULE_INPUT, reduction: bool = True, bias: bool = False) -> Graph:
    """Return module 3a on its own.

    Args:
        input_size: shape of its input.
        reduction: 1x1 convolutions in front of the 3x3 and 5x5 (Figure 2(b)); False is the naive module of
            Figure 2(a), except that its pooling branch is projected in both, or its output would not be 256 channels.
        bias: whether the convolutions have one; the lecture counts none.
    """
    row = MODULES["3a"] if reduction else MODULES["3a"]._replace(reduce3x3=0, reduce5x5=0)
    net = Builder()
    return net.build(_module(net, net.input(input_size), row, bias=bias))


def _stem(net: Builder, x: Tensor, separable: bool) -> Tensor:
    """Down to the 28x28 map of 192 channels. Caffe rounds pooled sizes up: the paper's 56, 28, 14, 7 come out."""
    with net.scope("conv1", "conv, ReLU"):
        if separable:
            depthwise = Conv2d(x.channels * DEPTH_MULTIPLIER, 7, stride=2, padding=3, groups=x.channels, bias=False)
            x = net(depthwise, x, name="depthwise")
            x = net(Conv2d(64, 1), x, name="pointwise")
        else:
            x = net(Conv2d(64, 7, stride=2, padding=3), x, name="conv")
        x = net(ReLU(), x, name="relu")
    x = net(MaxPool2d(3, stride=2, ceil_mode=True), x, name="maxpool1")
    x = net(RESPONSE_NORM, x, name="norm1")
    x = _convolution(net, x, "conv2", Conv2d(64, 1))
    x = _convolution(net, x, "conv3", Conv2d(192, 3, padding=1))
    x = net(RESPONSE_NORM, x, name="norm2")
    return net(MaxPool2d(3, stride=2, ceil_mode=True), x, name="maxpool2")


def _convolution(net: Builder, x: Tensor, scope: str, op: Conv2d) -> Tensor:
    """A convolution and its ReLU in a scope of their own."""
    with net.scope(scope, "conv, ReLU"):
        return net(ReLU(), net(op, x, name="conv"), name="relu")


def _module(net: Builder, x: Tensor, row: Row, *, bias: bool = True) -> Tensor:
    """Four branches side by side: 1x1; 3x3 and 5x5, each behind its reduction; 3x3 pooling and a 1x1 projection."""
    branches = [_convolution(net, x, "branch1x1", Conv2d(row.conv1x1, 1, bias=bias))]
    for kernel, reduced, channels in ((3, row.reduce3x3, row.conv3x3), (5, row.reduce5x5, row.conv5x5)):
        with net.scope(f"branch{kernel}x{kernel}", "reduction, conv" if reduced else "conv"):
            y = x
            if reduced:
                y = net(Conv2d(reduced, 1, bias=bias), y, name="reduce")
                y = net(ReLU(), y, name="reduce_relu")
            y = net(Conv2d(channels, kernel, padding=kernel // 2, bias=bias), y, name="conv")
            branches.append(net(ReLU(), y, name="relu"))
    with net.scope("branch_pool", "max pool, projection"):
        y = net(MaxPool2d(3, stride=1, padding=1), x, name="pool")
        y = net(Conv2d(row.pool_projection, 1, bias=bias), y, name="projection")
        branches.append(net(ReLU(), y, name="relu"))
    return net(Concat(), *branches, name="concat", call="function")


def _auxiliary(net: Builder, x: Tensor, num_classes: int, dropout: float) -> Tensor:
    """Section 5: 5x5 average pooling, a 1x1 convolution of 128, dense layers of 1024 and the classes."""
    x = net(AvgPool2d(5, stride=3), x, name="avgpool")
    x = _convolution(net, x, "conv", Conv2d(128, 1))
    x = net(Flatten(), x, name="flatten", call="function")
    x = net(Linear(1024), x, name="fc1")
    x = net(ReLU(), x, name="relu")
    x = net(Dropout(dropout), x, name="dropout")
    return net(Linear(num_classes), x, name="fc2")
