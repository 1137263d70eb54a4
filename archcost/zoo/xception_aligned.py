"""Aligned Xception: strided separable convolutions in place of pooling, and more of them.

Source: Chen et al. 2018 (DeepLab v3+), section 3.2 and Figure 4 (65 layers); 41 and 71 layers as the authors
released them. Names are timm's. Unlike Chollet's Xception, BatchNorm follows the depthwise convolution too.
"""

from __future__ import annotations

from typing import NamedTuple

from archcost.build import Builder, Tensor
from archcost.errors import ModelError
from archcost.geometry import Shape
from archcost.graph import Graph
from archcost.ops import Add, BatchNorm2d, Conv2d, Dropout, Flatten, GlobalAvgPool, Linear, ReLU
from archcost.zoo.entry import IMAGE_299
from archcost.zoo.inception_blocks import EPSILON, Unit


class Module(NamedTuple):
    """Three separable convolutions and a shortcut."""

    channels: tuple[int, int, int]
    stride: int = 1
    """Of the last convolution."""
    shortcut: bool = True
    """Whether there is one; it is projected when channels or map change."""


ENTRY = {
    41: (Module((128,) * 3, 2), Module((256,) * 3, 2), Module((728,) * 3, 2)),
    65: (Module((128,) * 3, 2), Module((256,) * 3, 2), Module((728,) * 3, 2)),
    71: (
        *(Module((128,) * 3, 2), Module((256,) * 3, 1), Module((256,) * 3, 2)),
        *(Module((728,) * 3, 1), Module((728,) * 3, 2)),
    ),
}
"""Depth -> entry flow."""

MIDDLE = {41: 8, 65: 16, 71: 16}
"""Depth -> modules of the middle flow."""

EXIT = (Module((728, 1024, 1024), 2), Module((1536, 1536, 2048), shortcut=False))


def xception_aligned(
    *, depth: int, input_size: Shape = IMAGE_299, num_classes: int = 1000, dropout: float = 0.0
) -> Graph:
    """Return an aligned Xception of ``depth`` layers.

    Args:
        depth: 41, 65 or 71.
        input_size: shape of one image.
        num_classes: outputs of the classifier.
        dropout: rate before the classifier.
    """
    if depth not in ENTRY:
        raise ModelError(f"`depth` (={depth!r}) must be one of {', '.join(map(str, ENTRY))}")
    net = Builder()
    x = net.input(input_size)
    with net.scope("stem"):
        for index, row in enumerate((Unit(32, 3, 2, padding=1), Unit(64, 3))):
            with net.scope(str(index), "conv, BatchNorm, ReLU"):
                x = net(row.convolution, x, name="conv")
                x = net(BatchNorm2d(eps=EPSILON), x, name="bn", call="function")
                x = net(ReLU(), x, name="act")
    middle = (Module((728, 728, 728)),) * MIDDLE[depth]
    for index, module in enumerate((*ENTRY[depth], *middle, *EXIT)):
        with net.scope(f"blocks.{index}", "XceptionModule"):
            x = _module(net, x, module)
    with net.scope("head"):
        x = net(GlobalAvgPool(), x, name="global_pool.pool")
        x = net(Flatten(), x, name="global_pool.flatten")
        x = net(Dropout(dropout), x, name="drop")
        return net.build(net(Linear(num_classes), x, name="fc"))


def _module(net: Builder, x: Tensor, row: Module) -> Tensor:
    """With a shortcut, ReLU stands before each separable convolution; without, after both of its parts."""
    branch = x
    with net.scope("stack", "separable convs"):
        for number, channels in enumerate(row.channels, start=1):
            stride = row.stride if number == len(row.channels) else 1
            if row.shortcut:
                branch = net(ReLU(), branch, name=f"act{number}")
            with net.scope(f"conv{number}", "separable conv"):
                depthwise = Conv2d(branch.channels, 3, stride=stride, padding=1, groups=branch.channels, bias=False)
                for part, op in (("dw", depthwise), ("pw", Conv2d(channels, 1, bias=False))):
                    branch = net(op, branch, name=f"conv_{part}")
                    branch = net(BatchNorm2d(eps=EPSILON), branch, name=f"bn_{part}")
                    if not row.shortcut:
                        branch = net(ReLU(), branch, name=f"act_{part}")
    if not row.shortcut:
        return branch
    shortcut = x
    if branch.shape != x.shape:
        with net.scope("shortcut", "projection"):
            shortcut = net(Conv2d(branch.channels, 1, stride=row.stride, bias=False), x, name="conv")
            shortcut = net(BatchNorm2d(eps=EPSILON), shortcut, name="bn", call="function")
    return net(Add(), branch, shortcut, name="add", call="operator")
