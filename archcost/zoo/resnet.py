"""Residual networks for ImageNet, and the plain networks that they are compared with.

Source: He et al. 2016, Table 1 (depths 18, 34, 50, 101, 152), Figure 3 (plain-18/34), section 3.3 (shortcuts A, B, C).
ResNeXt: Xie et al. 2017, Table 1. Wide ResNets of ImageNet: Zagoruyko & Komodakis 2016, Table 8.

Which network a name means:

- ``resnet50`` is what torchvision and timm call it ("v1.5"): a bottleneck halves the map in its 3x3 convolution.
- ``resnet50_v1`` is the paper's: it halves in the first 1x1. Same parameters, 231,211,008 mult-adds fewer; the paper's
  "3.8 billion" is this one.
- ``resnet18_v1`` and ``resnet34_v1`` use option A (no parameters: subsample, fill new channels with zeros), which is
  what the paper's Table 1 and Figure 3 count; ``resnet18`` and ``resnet34`` use projections (option B).

Where the published figures disagree: the paper counts VGG-16 without its dense layers (15.3) and VGG-19 with them (19.6).
"""

from __future__ import annotations

from typing import Literal

from archcost.build import Builder, Tensor
from archcost.errors import ModelError
from archcost.geometry import Shape
from archcost.graph import Graph
from archcost.ops import Add, BatchNorm2d, Conv2d, MaxPool2d, Pad, ReLU, Slice
from archcost.zoo.blocks import pooled_classifier
from archcost.zoo.entry import IMAGE_224

Shortcut = Literal["A", "B", "C", "none"]

BLOCKS: dict[int, tuple[int, int, int, int]] = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
}
"""Depth -> blocks in the stages conv2_x to conv5_x (Table 1). Up to 34 the blocks are basic, from 50 bottlenecks."""

EXPANSION = 4
"""Output channels of a bottleneck for each channel of its 3x3 convolution."""


def resnet(
    *,
    depth: int,
    input_size: Shape = IMAGE_224,
    num_classes: int = 1000,
    shortcut: Shortcut = "B",
    stride_in_1x1: bool = False,
    groups: int = 1,
    width_per_group: int = 64,
) -> Graph:
    """Return a residual (or plain) network of ``depth`` weighted layers.

    Args:
        depth: 18, 34, 50, 101 or 152.
        input_size: shape of one image.
        num_classes: outputs of the classifier.
        shortcut: where the shape changes: "A" zeros, "B" projection; "C" projects in every block; "none" is plain.
        stride_in_1x1: halve the map in a bottleneck's first 1x1 convolution (the paper) instead of its 3x3.
        groups: cardinality of the 3x3 convolutions (ResNeXt).
        width_per_group: channels of each group in the first stage (ResNeXt: 4; Wide ResNet-50-2: 128).
    """
    if depth not in BLOCKS:
        raise ModelError(f"`depth` (={depth}) must be one of {', '.join(map(str, BLOCKS))}")
    net = Builder()
    x = net.input(input_size)
    x = net(Conv2d(64, 7, stride=2, padding=3, bias=False), x, name="conv1")
    x = net(BatchNorm2d(), x, name="bn1")
    x = net(ReLU(), x, name="relu")
    x = net(MaxPool2d(3, stride=2, padding=1), x, name="maxpool")
    for stage, blocks in enumerate(BLOCKS[depth]):
        channels = 64 * 2**stage
        with net.scope(f"layer{stage + 1}", f"conv{stage + 2}_x"):
            for block in range(blocks):
                stride = 2 if stage > 0 and block == 0 else 1
                with net.scope(str(block), "BasicBlock" if depth < 50 else "Bottleneck"):
                    if depth < 50:
                        branch, out_channels = _basic(net, x, channels, stride), channels
                    else:
                        width = channels * width_per_group // 64 * groups
                        out_channels = channels * EXPANSION
                        branch = _bottleneck(net, x, width, out_channels, stride, groups, stride_in_1x1)
                    if shortcut != "none":
                        branch = net(Add(), branch, _shortcut(net, x, out_channels, stride, shortcut), call="function")
                    x = net(ReLU(), branch, name="relu")
    return net.build(pooled_classifier(net, x, num_classes))


def _basic(net: Builder, x: Tensor, channels: int, stride: int) -> Tensor:
    """Two 3x3 convolutions; the second has no ReLU of its own (it follows the addition)."""
    x = net(Conv2d(channels, 3, stride=stride, padding=1, bias=False), x, name="conv1")
    x = net(BatchNorm2d(), x, name="bn1")
    x = net(ReLU(), x, name="relu1")
    x = net(Conv2d(channels, 3, padding=1, bias=False), x, name="conv2")
    return net(BatchNorm2d(), x, name="bn2")


def _bottleneck(
    net: Builder, x: Tensor, width: int, out_channels: int, stride: int, groups: int, stride_in_1x1: bool
) -> Tensor:
    """1x1 to ``width`` channels, 3x3, 1x1 to ``out_channels``."""
    first, second = (stride, 1) if stride_in_1x1 else (1, stride)
    x = net(Conv2d(width, 1, stride=first, bias=False), x, name="conv1")
    x = net(BatchNorm2d(), x, name="bn1")
    x = net(ReLU(), x, name="relu1")
    x = net(Conv2d(width, 3, stride=second, padding=1, groups=groups, bias=False), x, name="conv2")
    x = net(BatchNorm2d(), x, name="bn2")
    x = net(ReLU(), x, name="relu2")
    x = net(Conv2d(out_channels, 1, bias=False), x, name="conv3")
    return net(BatchNorm2d(), x, name="bn3")


def _shortcut(net: Builder, x: Tensor, out_channels: int, stride: int, option: Shortcut) -> Tensor:
    """The identity where shapes agree, else by ``option`` (section 3.3)."""
    if stride == 1 and x.channels == out_channels and option != "C":
        return x
    with net.scope("downsample"):
        if option == "A":
            for axis in (1, 2):
                x = net(Slice(axis, step=stride), x, call="function")
            return net(Pad(((0, out_channels - x.channels), (0, 0), (0, 0))), x, call="function")
        x = net(Conv2d(out_channels, 1, stride=stride, bias=False), x, name="0")
        return net(BatchNorm2d(), x, name="1")
