"""ShuffleNet: grouped 1x1 convolutions and a channel shuffle between them.

Source: Zhang et al. 2018, Table 1 (the network, for 1 to 8 groups), Figure 2 (the units). The first 1x1 convolution of
stage 2 is not grouped (section 3.3: its input has few channels); the bottleneck has a quarter of the unit's channels.

No framework has this network; names follow the paper's (``stage2.0.conv1``).

Where the published figures disagree: Table 1 prints 133 and 137 M mult-adds for 4 and 8 groups, which leaves the dense
layer out, and 143, 140 and 137 M for 1 to 3 groups, which counts it. The SENet paper prints 140 M for 3 groups; that is
the figure of 2 groups.

The paper does not say how scaled channels are rounded; here every group has a whole number of them.

SE-ShuffleNet: Hu et al. 2018, Table 3; squeeze-and-excitation with r = 16 at the end of a unit's branch, before it
meets the shortcut. The squeezed layer of the first unit has 216 / 16 = 13.5 channels, rounded down.
"""

from __future__ import annotations

from archcost.build import Builder, Tensor
from archcost.errors import ModelError
from archcost.geometry import Shape
from archcost.graph import Graph
from archcost.ops import Add, AvgPool2d, BatchNorm2d, ChannelShuffle, Concat, Conv2d, MaxPool2d, ReLU
from archcost.zoo.blocks import pooled_classifier
from archcost.zoo.entry import IMAGE_224
from archcost.zoo.multipliers import positive
from archcost.zoo.squeeze_excitation import squeeze_excitation

CHANNELS: dict[int, int] = {1: 144, 2: 200, 3: 240, 4: 272, 8: 384}
"""Groups -> output channels of stage 2 (Table 1); they double in stages 3 and 4."""

UNITS = (4, 8, 4)
"""Units of stages 2 to 4; the first of each halves the map."""

STEM = 24
BOTTLENECK = 4
"""Channels of a unit for each channel of its bottleneck."""

REDUCTION = 16
"""Channels for each channel of the squeezed layer, in SE-ShuffleNet."""


def shufflenet_v1(
    *,
    input_size: Shape = IMAGE_224,
    num_classes: int = 1000,
    groups: int = 3,
    width: float = 1.0,
    squeeze: bool = False,
) -> Graph:
    """Return ShuffleNet.

    Args:
        input_size: shape of one image.
        num_classes: outputs of the classifier.
        groups: of the 1x1 convolutions: 1, 2, 3, 4 or 8.
        width: the paper's scale s, multiplies the channels ("ShuffleNet 0.5x").
        squeeze: squeeze-and-excitation in every unit.
    """
    if groups not in CHANNELS:
        raise ModelError(f"`groups` (={groups}) must be one of {', '.join(map(str, CHANNELS))}")
    # A whole number of channels in each group, of the first convolution and of each bottleneck.
    stem = max(1, round(STEM * positive("width", width) / groups)) * groups
    base = max(1, round(CHANNELS[groups] * width / (BOTTLENECK * groups))) * BOTTLENECK * groups
    net = Builder()
    x = net.input(input_size)
    x = net(Conv2d(stem, 3, stride=2, padding=1, bias=False), x, name="conv1")
    x = net(BatchNorm2d(), x, name="bn1")
    x = net(ReLU(), x, name="relu")
    x = net(MaxPool2d(3, stride=2, padding=1), x, name="maxpool")
    for stage, units in enumerate(UNITS):
        for unit in range(units):
            with net.scope(f"stage{stage + 2}.{unit}", "ShuffleUnit"):
                x = _unit(net, x, base * 2**stage, groups, halves=unit == 0, first=stage == unit == 0, squeeze=squeeze)
    return net.build(pooled_classifier(net, x, num_classes))


def _unit(net: Builder, x: Tensor, channels: int, groups: int, *, halves: bool, first: bool, squeeze: bool) -> Tensor:
    """Grouped 1x1, shuffle, depthwise 3x3, grouped 1x1; a halving unit is joined to its pooled input (Figure 2c)."""
    hidden = channels // BOTTLENECK
    branch_channels = channels - x.channels if halves else channels
    branch = net(Conv2d(hidden, 1, groups=1 if first else groups, bias=False), x, name="conv1")
    branch = net(BatchNorm2d(), branch, name="bn1")
    branch = net(ReLU(), branch, name="relu1")
    branch = net(ChannelShuffle(groups), branch, name="shuffle", call="function")
    branch = net(
        Conv2d(hidden, 3, stride=2 if halves else 1, padding=1, groups=hidden, bias=False), branch, name="conv2"
    )
    branch = net(BatchNorm2d(), branch, name="bn2")
    branch = net(Conv2d(branch_channels, 1, groups=groups, bias=False), branch, name="conv3")
    branch = net(BatchNorm2d(), branch, name="bn3")
    if squeeze:
        branch = squeeze_excitation(net, branch, max(1, branch_channels // REDUCTION))
    if halves:
        pooled = net(AvgPool2d(3, stride=2, padding=1), x, name="avgpool")
        joined = net(Concat(), pooled, branch, name="concat", call="function")
    else:
        joined = net(Add(), branch, x, name="add", call="operator")
    return net(ReLU(), joined, name="relu")
