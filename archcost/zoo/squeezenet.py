"""SqueezeNet: fire modules squeeze with 1x1 convolutions before they expand with 1x1 and 3x3.

Source: Iandola et al. 2016, Table 1 (v1.0); v1.1 is the authors' later release: a smaller first convolution and earlier
pooling, 2.3 times fewer mult-adds at the same accuracy.

Where the published figures disagree: the MobileNet paper's Table 9 gives v1.0 1,700 million mult-adds; it has 819
million, so that figure is nearer to two operations for each (AlexNet, in the same column, is counted with one).
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from archcost.build import Builder, Tensor
from archcost.errors import ModelError
from archcost.geometry import Shape
from archcost.graph import Graph
from archcost.ops import Concat, Conv2d, Dropout, Flatten, GlobalAvgPool, MaxPool2d, ReLU
from archcost.zoo.entry import IMAGE_224


class Release(NamedTuple):
    """What differs between the two releases."""

    stem_channels: int
    stem_kernel: int
    pools_before: tuple[int, ...]
    """Fire modules that a pooling precedes (the first always has one)."""


RELEASES = {"1.0": Release(96, 7, (2, 5, 9)), "1.1": Release(64, 3, (2, 4, 6))}

FIRE = {2: (16, 64), 3: (16, 64), 4: (32, 128), 5: (32, 128), 6: (48, 192), 7: (48, 192), 8: (64, 256), 9: (64, 256)}
"""Fire module -> channels squeezed to, channels of each of the two expansions (Table 1)."""


def squeezenet(
    *,
    release: Literal["1.0", "1.1"],
    input_size: Shape = IMAGE_224,
    num_classes: int = 1000,
    dropout: float = 0.5,
) -> Graph:
    """Return SqueezeNet without bypass.

    Args:
        release: "1.0" (the paper) or "1.1".
        input_size: shape of one image.
        num_classes: channels of the last convolution, whose maps are averaged to the outputs.
        dropout: rate before that convolution.
    """
    if release not in RELEASES:
        raise ModelError(f"`release` (={release!r}) must be {' or '.join(map(repr, RELEASES))}")
    row = RELEASES[release]
    net = Builder()
    x = net.input(input_size)
    with net.scope("features", "stem and fire modules"):
        x = net(Conv2d(row.stem_channels, row.stem_kernel, stride=2), x, name="0")
        x = net(ReLU(), x, name="1")
        index = 2
        for number, (squeeze, expand) in FIRE.items():
            if number in row.pools_before:
                x = net(MaxPool2d(3, stride=2, ceil_mode=True), x, name=str(index))
                index += 1
            with net.scope(str(index), "Fire"):
                x = _fire(net, x, squeeze, expand)
            index += 1
    with net.scope("classifier", "convolution and average"):
        x = net(Dropout(dropout), x, name="0")
        x = net(Conv2d(num_classes, 1), x, name="1")
        x = net(ReLU(), x, name="2")
        x = net(GlobalAvgPool(), x, name="3")
    return net.build(net(Flatten(), x, name="flatten", call="function"))


def _fire(net: Builder, x: Tensor, squeeze: int, expand: int) -> Tensor:
    """1x1 to ``squeeze`` channels, then 1x1 and 3x3 side by side to ``expand`` each."""
    x = net(Conv2d(squeeze, 1), x, name="squeeze")
    x = net(ReLU(), x, name="squeeze_activation")
    expanded = []
    for kernel in (1, 3):
        name = f"expand{kernel}x{kernel}"
        branch = net(Conv2d(expand, kernel, padding=kernel // 2), x, name=name)
        expanded.append(net(ReLU(), branch, name=f"{name}_activation"))
    return net(Concat(), *expanded, name="concat", call="function")
