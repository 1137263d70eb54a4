"""Wide residual networks for CIFAR.

Source: Zagoruyko & Komodakis 2016, Table 1 (structure), Table 4 (sizes): WRN-n-k has n layers and k times the channels
of the thin network. Blocks are pre-activated: normalisation and ReLU stand before each of the two 3x3 convolutions;
where the shape changes, the shortcut is a 1x1 convolution of the activated input. Those of ImageNet: see ``resnet``.

The depth n = 6N + 4 counts the three projections; N is the number of blocks of each of the three groups.

No framework has these networks; the names of the groups are the paper's, those of the layers torchvision's.
"""

from __future__ import annotations

from archcost.build import Builder, Tensor
from archcost.errors import ModelError
from archcost.geometry import Shape
from archcost.graph import Graph
from archcost.ops import Add, BatchNorm2d, Conv2d, Dropout, ReLU
from archcost.zoo.blocks import pooled_classifier

STEM_CHANNELS = 16
GROUP_CHANNELS = (16, 32, 64)


def wide_resnet(
    *, depth: int, width: int, input_size: Shape = (3, 32, 32), num_classes: int = 10, dropout: float = 0.0
) -> Graph:
    """Return WRN-``depth``-``width``.

    Args:
        depth: n = 6N + 4: 10, 16, 22, 28, 40, ...
        width: k, the factor for the channels of the three groups.
        input_size: shape of one image.
        num_classes: outputs of the classifier.
        dropout: rate between the two convolutions of a block (the paper's WRN with dropout: 0.3); 0 adds no layer.
    """
    blocks, rest = divmod(depth - 4, 6)
    if blocks < 1 or rest:
        raise ModelError(f"`depth` (={depth}) must be 6N + 4 with N of at least 1")
    if not isinstance(width, int) or width < 1:
        raise ModelError(f"`width` (={width!r}) must be an integer of at least 1")
    net = Builder()
    x = net.input(input_size)
    x = net(Conv2d(STEM_CHANNELS, 3, padding=1, bias=False), x, name="conv1")
    for group, thin in enumerate(GROUP_CHANNELS, 2):
        with net.scope(f"conv{group}", f"conv{group}"):
            for block in range(blocks):
                with net.scope(str(block), "PreActivationBlock"):
                    x = _block(net, x, thin * width, 2 if group > 2 and block == 0 else 1, dropout)
    x = net(BatchNorm2d(), x, name="bn")
    x = net(ReLU(), x, name="relu")
    return net.build(pooled_classifier(net, x, num_classes))


def _block(net: Builder, x: Tensor, channels: int, stride: int, dropout: float) -> Tensor:
    """BN, ReLU, 3x3, BN, ReLU, (dropout,) 3x3; a projection reads what the first ReLU writes."""
    active = net(BatchNorm2d(), x, name="bn1")
    active = net(ReLU(), active, name="relu1")
    branch = net(Conv2d(channels, 3, stride=stride, padding=1, bias=False), active, name="conv1")
    branch = net(BatchNorm2d(), branch, name="bn2")
    branch = net(ReLU(), branch, name="relu2")
    if dropout:
        branch = net(Dropout(dropout), branch, name="dropout")
    branch = net(Conv2d(channels, 3, padding=1, bias=False), branch, name="conv2")
    if stride > 1 or x.channels != channels:
        x = net(Conv2d(channels, 1, stride=stride, bias=False), active, name="shortcut")
    return net(Add(), branch, x, call="operator")
