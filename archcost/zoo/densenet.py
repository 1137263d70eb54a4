"""Densely connected networks: every layer of a dense block reads the outputs of all layers before it.

Source: Huang et al. 2017, Table 1 (ImageNet: 121, 169, 201 and 264 layers with growth rate k = 32, 161 with k = 48),
section 3 and Table 2 (CIFAR). "B": a 1x1 convolution to 4k channels before each 3x3; "C": transitions halve the
channels.

The ImageNet networks are torchvision's, node for node; each layer concatenates all maps before it anew, as it is
executed there. ``densenet264d`` is timm's: k = 48 and a stem of three 3x3 convolutions.

Where the published figures disagree: EfficientNet's Table 2 gives DenseNet-169 3.5 and DenseNet-264 6.0 billion; they
have 3,359,843,328 and 5,751,653,376 mult-adds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from archcost.build import Builder, Tensor
from archcost.errors import ModelError
from archcost.geometry import Shape
from archcost.graph import Call, Graph
from archcost.ops import (
    AvgPool2d,
    BatchNorm2d,
    Concat,
    Conv2d,
    Dropout,
    Flatten,
    GlobalAvgPool,
    Linear,
    MaxPool2d,
    ReLU,
)
from archcost.zoo.entry import IMAGE_224

BOTTLENECK = 4
"""Output channels of a layer's 1x1 convolution for each channel of the growth rate ("B")."""


class Row(NamedTuple):
    """One network of Table 1; ``stem`` gives the channels of the convolutions before the first dense block."""

    layers: tuple[int, int, int, int]
    growth: int = 32
    stem: tuple[int, ...] = (64,)


class Calls(NamedTuple):
    """How the mirrored model calls its normalisations, and the ReLU and the pooling behind the last block."""

    norm: Call
    head: Call


TORCHVISION_CALLS = Calls("module", "function")
TIMM_CALLS = Calls("function", "module")
"""In timm a normalisation is a function call in a module that holds its ReLU too."""

NETWORKS: dict[int | str, Row] = {
    121: Row((6, 12, 24, 16)),
    161: Row((6, 12, 36, 24), 48, (96,)),
    169: Row((6, 12, 32, 32)),
    201: Row((6, 12, 48, 32)),
    264: Row((6, 12, 64, 48)),
    "264d": Row((6, 12, 64, 48), 48, (48, 48, 96)),
}


def densenet(
    *, depth: Literal[121, 161, 169, 201, 264, "264d"], input_size: Shape = IMAGE_224, num_classes: int = 1000,
    dropout: float = 0.0,
) -> Graph:  # fmt: skip
    """Return a DenseNet-BC for ImageNet.

    Args:
        depth: 121, 161, 169, 201, 264, or "264d" with the deep stem.
        input_size: shape of one image.
        num_classes: outputs of the classifier.
        dropout: rate behind the last convolution of every layer; 0 adds no layer.
    """
    if depth not in NETWORKS:
        raise ModelError(f"`depth` (={depth!r}) must be one of {', '.join(map(str, NETWORKS))}")
    row = NETWORKS[depth]
    calls = TIMM_CALLS if depth == "264d" else TORCHVISION_CALLS
    net = Builder()
    x = net.input(input_size)
    with net.scope("features"):
        for index, channels in enumerate(row.stem):
            kernel = 7 if len(row.stem) == 1 else 3
            conv = Conv2d(channels, kernel, stride=1 if index else 2, padding=kernel // 2, bias=False)
            x = net(conv, x, name=f"conv{index}")
            x = net(BatchNorm2d(), x, name=f"norm{index}", call=calls.norm)
            x = net(ReLU(), x, name=f"relu{index}")
        x = net(MaxPool2d(3, stride=2, padding=1), x, name="pool0")
        x = _dense_blocks(net, x, row.layers, row.growth, dropout=dropout, bottleneck=True, calls=calls)
        x = net(BatchNorm2d(), x, name="norm5", call=calls.norm)
    return net.build(_head(net, x, num_classes, calls))


def densenet_cifar(
    *,
    depth: int,
    growth: int,
    bottleneck: bool = False,
    input_size: Shape = (3, 32, 32),
    num_classes: int = 10,
    dropout: float = 0.0,
) -> Graph:
    """Return a DenseNet for CIFAR: three dense blocks of equal length, 16 channels before them (BC: 2k).

    Args:
        depth: weighted layers: 3n + 4, or 6n + 4 with ``bottleneck``.
        growth: k, the channels that each layer adds.
        bottleneck: DenseNet-BC: bottlenecks, and transitions that halve the channels.
        input_size: shape of one image.
        num_classes: outputs of the classifier.
        dropout: rate behind every convolution of a layer (the paper, without augmentation: 0.2); 0 adds no layer.
    """
    period = 6 if bottleneck else 3
    layers, rest = divmod(depth - 4, period)
    if layers < 1 or rest:
        raise ModelError(f"`depth` (={depth}) must be {period}n + 4 with n of at least 1")
    if not isinstance(growth, int) or growth < 1:
        raise ModelError(f"`growth` (={growth!r}) must be an integer of at least 1")
    net = Builder()
    x = net.input(input_size)
    with net.scope("features"):
        x = net(Conv2d(2 * growth if bottleneck else 16, 3, padding=1, bias=False), x, name="conv0")
        x = _dense_blocks(
            net, x, (layers,) * 3, growth, dropout=dropout, bottleneck=bottleneck, calls=TORCHVISION_CALLS
        )
        x = net(BatchNorm2d(), x, name="norm")
    return net.build(_head(net, x, num_classes, TORCHVISION_CALLS))


def _dense_blocks(
    net: Builder, x: Tensor, layers: Sequence[int], growth: int, *, dropout: float, bottleneck: bool, calls: Calls
) -> Tensor:
    """Dense blocks with a transition between each two; it halves the channels if there are bottlenecks ("BC")."""
    for block, count in enumerate(layers, 1):
        with net.scope(f"denseblock{block}", "DenseBlock"):
            maps = [x]
            for layer in range(1, count + 1):
                with net.scope(f"denselayer{layer}", "DenseLayer"):
                    maps.append(_layer(net, maps, growth, dropout, bottleneck, calls))
            x = net(Concat(), *maps, name="cat", call="function")
        if block < len(layers):
            with net.scope(f"transition{block}", "Transition"):
                x = net(BatchNorm2d(), x, name="norm", call=calls.norm)
                x = net(ReLU(), x, name="relu")
                x = net(Conv2d(x.channels // 2 if bottleneck else x.channels, 1, bias=False), x, name="conv")
                x = net(AvgPool2d(2), x, name="pool")
    return x


def _layer(net: Builder, maps: Sequence[Tensor], growth: int, dropout: float, bottleneck: bool, calls: Calls) -> Tensor:
    """BN, ReLU, 1x1 to 4k channels, then BN, ReLU, 3x3 to k channels; without bottleneck only the latter three."""
    x = net(Concat(), *maps, name="cat", call="function")
    convolutions = [Conv2d(BOTTLENECK * growth, 1, bias=False)] if bottleneck else []
    convolutions.append(Conv2d(growth, 3, padding=1, bias=False))
    for index, conv in enumerate(convolutions, 1):
        x = net(BatchNorm2d(), x, name=f"norm{index}", call=calls.norm)
        x = net(ReLU(), x, name=f"relu{index}")
        x = net(conv, x, name=f"conv{index}")
    return net(Dropout(dropout), x, name="dropout", call="function") if dropout else x


def _head(net: Builder, x: Tensor, num_classes: int, calls: Calls) -> Tensor:
    """ReLU, global average pooling, one dense layer."""
    x = net(ReLU(), x, name="relu", call=calls.head)
    x = net(GlobalAvgPool(), x, name="avgpool", call=calls.head)
    x = net(Flatten(), x, name="flatten", call="function")
    return net(Linear(num_classes), x, name="classifier")
