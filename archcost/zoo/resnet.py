"""Residual networks for ImageNet, the plain networks that they are compared with, and those that are only wider.

Sources: He et al. 2016, Table 1 (depths 18, 34, 50, 101, 152), Figure 3 (plain-18/34), section 3.3 (shortcuts A, B, C).
ResNeXt: Xie et al. 2017, Table 1. Wide ResNets of ImageNet: Zagoruyko & Komodakis 2016, Tables 7 and 8.

Which network a name means:

- ``resnet50`` is what torchvision and timm call it ("v1.5"): a bottleneck halves the map in its 3x3 convolution.
- ``resnet50_v1`` is the paper's: it halves in the first 1x1. Same parameters, 231,211,008 mult-adds fewer; the paper's
  "3.8 billion" is this one.
- ``resnet18_v1`` and ``resnet34_v1`` use option A (no parameters: subsample, fill new channels with zeros), which is
  what the paper's Table 1 and Figure 3 count; ``resnet18`` and ``resnet34`` use projections (option B).
- ``wide_resnet50_2`` doubles only the inner channels of the bottlenecks (``width_per_group=128``); the wide networks
  of basic blocks double all channels but the stem's (``resnet18`` with ``width=2`` is WRN-18-2).
- ``resnet200`` has the block counts of the pre-activation network of 2016, with this file's blocks, as in timm.

Where the published figures disagree: the paper counts VGG-16 without its dense layers (15.3) and VGG-19 with them
(19.6). EfficientNet's Table 3 prints 14.7 billion for a ResNet-50 of width 2 and 16.2 for one of depth 4, and does not
say how they are scaled; ``width=2`` has 15,870,148,608 mult-adds and ``repeats=4`` 14,570,749,952.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

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
    200: (3, 24, 36, 3),
}
"""Depth -> blocks in the stages conv2_x to conv5_x (Table 1). Up to 34 the blocks are basic, from 50 bottlenecks."""

STEM_CHANNELS = 64
EXPANSION = 4
"""Output channels of a bottleneck for each channel of its 3x3 convolution."""


class Attention(NamedTuple):
    """A block that is added to the branch of every residual block, such as squeeze-and-excitation.

    Attributes:
        add: adds it, given the graph, the branch and the number of the stage (2 to 5).
        place: at the end of the branch, before or after the shortcut's own layers run; or behind a bottleneck's 3x3.
    """

    add: Callable[[Builder, Tensor, int], Tensor]
    place: Literal["before_shortcut", "after_shortcut", "3x3"] = "before_shortcut"


def resnet(
    *,
    depth: int,
    input_size: Shape = IMAGE_224,
    num_classes: int = 1000,
    shortcut: Shortcut = "B",
    stride_in_1x1: bool = False,
    groups: int = 1,
    width_per_group: int = 64,
    width: float = 1.0,
    repeats: int = 1,
) -> Graph:
    """Return a residual (or plain) network of ``depth`` weighted layers.

    Args:
        depth: 18, 34, 50, 101, 152 or 200.
        input_size: shape of one image.
        num_classes: outputs of the classifier.
        shortcut: where the shape changes: "A" zeros, "B" projection; "C" projects in every block; "none" is plain.
        stride_in_1x1: halve the map in a bottleneck's first 1x1 convolution (the paper) instead of its 3x3.
        groups: cardinality of the 3x3 convolutions (ResNeXt).
        width_per_group: channels of each group in the first stage (ResNeXt: 4; Wide ResNet-50-2: 128).
        width: factor for the channels of all stages, not of the stem (Wide ResNet).
        repeats: factor for the number of blocks of every stage.
    """
    net = Builder()
    x = net.input(input_size)
    x = net(Conv2d(STEM_CHANNELS, 7, stride=2, padding=3, bias=False), x, name="conv1")
    x = net(BatchNorm2d(), x, name="bn1")
    x = net(ReLU(), x, name="relu")
    x = net(MaxPool2d(3, stride=2, padding=1), x, name="maxpool")
    x = residual_stages(
        net, x, depth=depth, shortcut=shortcut, stride_in_1x1=stride_in_1x1, groups=groups,
        width_per_group=width_per_group, width=width, repeats=repeats,
    )  # fmt: skip
    return net.build(pooled_classifier(net, x, num_classes))


def residual_stages(
    net: Builder,
    x: Tensor,
    *,
    depth: int,
    shortcut: Shortcut = "B",
    stride_in_1x1: bool = False,
    groups: int = 1,
    width_per_group: int = 64,
    width: float = 1.0,
    repeats: int = 1,
    attention: Attention | None = None,
) -> Tensor:
    """Add the stages conv2_x to conv5_x (``layer1`` to ``layer4``); for the arguments see ``resnet``.

    Raises:
        ModelError: for a value that is not allowed.
    """
    if depth not in BLOCKS:
        raise ModelError(f"`depth` (={depth}) must be one of {', '.join(map(str, BLOCKS))}")
    if shortcut not in ("A", "B", "C", "none"):
        raise ModelError(f"`shortcut` (={shortcut!r}) must be 'A', 'B', 'C' or 'none'")
    if not isinstance(width, (int, float)) or not 0 < width <= 64:
        raise ModelError(f"`width` (={width!r}) must be a number above 0 and at most 64")
    if not isinstance(repeats, int) or not 1 <= repeats <= 64:
        raise ModelError(f"`repeats` (={repeats!r}) must be an integer from 1 to 64")
    if depth < 50 and (groups != 1 or width_per_group != 64):
        raise ModelError(f"`groups` and `width_per_group` need bottlenecks: `depth` (={depth}) must be at least 50")
    end = attention if attention and attention.place != "3x3" else None
    for stage, blocks in enumerate(BLOCKS[depth], 2):
        channels = round(64 * 2 ** (stage - 2) * width)
        out_channels = channels if depth < 50 else channels * EXPANSION
        with net.scope(f"layer{stage - 1}", f"conv{stage}_x"):
            for block in range(blocks * repeats):
                stride = 2 if stage > 2 and block == 0 else 1
                with net.scope(str(block), "BasicBlock" if depth < 50 else "Bottleneck"):
                    if depth < 50:
                        branch = basic(net, x, channels, stride)
                    else:
                        inner = channels * width_per_group // 64 * groups
                        strides = (stride, 1) if stride_in_1x1 else (1, stride)
                        branch = _bottleneck(net, x, inner, out_channels, strides, groups, attention, stage)
                    if end and end.place == "before_shortcut":
                        branch = end.add(net, branch, stage)
                    side = None if shortcut == "none" else shortcut_connection(net, x, out_channels, stride, shortcut)
                    if end and end.place == "after_shortcut":
                        branch = end.add(net, branch, stage)
                    if side:
                        branch = net(Add(), branch, side, call="operator")
                    x = net(ReLU(), branch, name="relu")
    return x


def basic(net: Builder, x: Tensor, channels: int, stride: int) -> Tensor:
    """Two 3x3 convolutions; the second has no ReLU of its own (it follows the addition)."""
    x = net(Conv2d(channels, 3, stride=stride, padding=1, bias=False), x, name="conv1")
    x = net(BatchNorm2d(), x, name="bn1")
    x = net(ReLU(), x, name="relu1")
    x = net(Conv2d(channels, 3, padding=1, bias=False), x, name="conv2")
    return net(BatchNorm2d(), x, name="bn2")


def _bottleneck(
    net: Builder,
    x: Tensor,
    inner: int,
    out_channels: int,
    strides: tuple[int, int],
    groups: int,
    attention: Attention | None,
    stage: int,
) -> Tensor:
    """1x1 to ``inner`` channels, 3x3 (these two with ``strides``), 1x1 to ``out_channels``."""
    x = net(Conv2d(inner, 1, stride=strides[0], bias=False), x, name="conv1")
    x = net(BatchNorm2d(), x, name="bn1")
    x = net(ReLU(), x, name="relu1")
    x = net(Conv2d(inner, 3, stride=strides[1], padding=1, groups=groups, bias=False), x, name="conv2")
    x = net(BatchNorm2d(), x, name="bn2")
    x = net(ReLU(), x, name="relu2")
    if attention and attention.place == "3x3":
        x = attention.add(net, x, stage)
    x = net(Conv2d(out_channels, 1, bias=False), x, name="conv3")
    return net(BatchNorm2d(), x, name="bn3")


def shortcut_connection(net: Builder, x: Tensor, out_channels: int, stride: int, option: Shortcut) -> Tensor:
    """The identity where shapes agree, else by ``option`` (section 3.3)."""
    if stride == 1 and x.channels == out_channels and option != "C":
        return x
    with net.scope("downsample"):
        if option == "A":
            for axis in (1, 2) if stride > 1 else ():
                x = net(Slice(axis, step=stride), x, call="function")
            return net(Pad(((0, out_channels - x.channels), (0, 0), (0, 0))), x, call="function")
        x = net(Conv2d(out_channels, 1, stride=stride, bias=False), x, name="0")
        return net(BatchNorm2d(), x, name="1")
