"""ShuffleNetV2: half of the channels pass a unit untouched, and no 1x1 convolution is grouped.

Source: Ma et al. 2018, Table 5 (four widths), Figure 3 (c, d: the units).

Where the published figures disagree: Table 8 prints 41, 146, 299 and 591 M, about 1 % more than the mult-adds of
convolution and dense layers (40.5, 144.9, 295.8, 583.3 M); work of biases or BatchNorm would make up the rest.
"""

from __future__ import annotations

from archcost.build import Builder, Tensor
from archcost.errors import ModelError
from archcost.geometry import Shape
from archcost.graph import Graph
from archcost.ops import (
    BatchNorm2d,
    ChannelShuffle,
    Concat,
    Conv2d,
    GlobalAvgPool,
    Linear,
    MaxPool2d,
    ReLU,
    Split,
)
from archcost.zoo.blocks import chain
from archcost.zoo.entry import IMAGE_224

CHANNELS: dict[float, tuple[int, int]] = {0.5: (48, 1024), 1.0: (116, 1024), 1.5: (176, 1024), 2.0: (244, 2048)}
"""Width -> channels of stage 2 (they double in stages 3 and 4), channels of the last convolution (Table 5)."""

STEM = 24
UNITS = (4, 8, 4)
"""Units of stages 2 to 4; the first of each halves the map."""


def shufflenet_v2(*, input_size: Shape = IMAGE_224, num_classes: int = 1000, width: float = 1.0) -> Graph:
    """Return ShuffleNetV2.

    Args:
        input_size: shape of one image.
        num_classes: outputs of the classifier.
        width: 0.5, 1.0, 1.5 or 2.0.
    """
    if width not in CHANNELS:
        raise ModelError(f"`width` (={width}) must be one of {', '.join(map(str, CHANNELS))}")
    base, head = CHANNELS[width]
    net = Builder()
    x = net.input(input_size)
    with net.scope("conv1"):
        x = chain(net, x, Conv2d(STEM, 3, stride=2, padding=1, bias=False), BatchNorm2d(), ReLU())
    x = net(MaxPool2d(3, stride=2, padding=1), x, name="maxpool")
    for stage, units in enumerate(UNITS):
        for unit in range(units):
            with net.scope(f"stage{stage + 2}.{unit}", "ShuffleUnit"):
                x = _unit(net, x, base * 2**stage, halves=unit == 0)
    with net.scope("conv5"):
        x = chain(net, x, Conv2d(head, 1, bias=False), BatchNorm2d(), ReLU())
    x = net(GlobalAvgPool(keep_axes=False), x, name="avgpool", call="method")
    return net.build(net(Linear(num_classes), x, name="fc"))


def _unit(net: Builder, x: Tensor, channels: int, *, halves: bool) -> Tensor:
    """Split (or, to halve the map, work on all channels twice), transform one half, join, shuffle."""
    half = channels // 2
    stride = 2 if halves else 1
    if halves:
        untouched, branch = x, x
        with net.scope("branch1"):
            untouched = chain(
                net, x,
                Conv2d(x.channels, 3, stride, padding=1, groups=x.channels, bias=False), BatchNorm2d(),
                Conv2d(half, 1, bias=False), BatchNorm2d(), ReLU(),
            )  # fmt: skip
    else:
        untouched, branch = (
            net(Split((half, half), index), x, name=f"split{index + 1}", call="function") for index in (0, 1)
        )
    with net.scope("branch2"):
        branch = chain(
            net, branch,
            Conv2d(half, 1, bias=False), BatchNorm2d(), ReLU(),
            Conv2d(half, 3, stride, padding=1, groups=half, bias=False), BatchNorm2d(),
            Conv2d(half, 1, bias=False), BatchNorm2d(), ReLU(),
        )  # fmt: skip
    x = net(Concat(), untouched, branch, name="concat", call="function")
    return net(ChannelShuffle(2), x, name="shuffle", call="function")
