"""Residual networks whose channels are gated by squeeze-and-excitation.

Source: Hu et al. 2018 (journal version 2019), Figures 2 and 3, Table 1 (SE-ResNet-50, SE-ResNeXt-50), Table 10
(reduction ratio), Table 13 (stages), Table 15 (place), Table 16 (no squeeze); SENet-154: appendix.

Which network a name means:

- ``seresnet50`` is timm's: stride in the 3x3 ("v1.5"), C/16 rounded to a multiple of 8 and never below 8, biases.
- ``seresnet50_v1`` is the paper's, as in the weights that the authors published (timm: ``legacy_seresnet50``): stride
  in the first 1x1, C/16, biases, an unpadded max pooling that rounds up. Node names follow that port.
- ``seresnet18_v1`` and ``seresnet34_v1`` are not in the paper: ResNet-18 and -34 with projections, the same SE blocks.
- ``seresnext50_32x4d`` keeps the stride in the 3x3, as the authors' does too; ``layout="authors"`` names its nodes as
  the authors' port.

Where the published figures disagree: equation 5 and Table 10 count the two layers without biases (``bias=False``:
SE-ResNet-50 has 28,071,976 parameters), the published weights have them (28,088,024). Most GFLOPs of Table 2 are best
matched by mult-adds plus one operation for each element of the residual additions and the channel scaling.
EfficientNet's Table 2 gives 146M parameters for "SENet"; SENet-154 has 115,088,984.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from archcost.build import Builder, Tensor
from archcost.errors import ModelError
from archcost.geometry import Shape
from archcost.graph import Graph
from archcost.ops import (
    Add,
    BatchNorm2d,
    Conv2d,
    Dropout,
    Flatten,
    GlobalAvgPool,
    Linear,
    MaxPool2d,
    Mul,
    ReLU,
    Reshape,
    Sigmoid,
)
from archcost.zoo.entry import IMAGE_224
from archcost.zoo.resnet import STEM_CHANNELS, Attention, residual_stages
from archcost.zoo.squeeze_excitation import TIMM, TIMM_LEGACY, squeeze_excitation

Layout = Literal["timm", "authors"]

ALL_STAGES = (2, 3, 4, 5)

SENET154_BLOCKS = (3, 8, 36, 3)
SENET154_GROUPS = 64


def senet(
    *,
    depth: int,
    input_size: Shape = IMAGE_224,
    num_classes: int = 1000,
    reduction: int = 16,
    bias: bool = True,
    stages: Sequence[int] = ALL_STAGES,
    position: Literal["standard", "3x3"] = "standard",
    squeeze: bool = True,
    layout: Layout = "timm",
    stride_in_1x1: bool = False,
    groups: int = 1,
    width_per_group: int = 64,
) -> Graph:
    """Return a ResNet or ResNeXt with squeeze-and-excitation in its blocks.

    Args:
        depth: 18, 34, 50, 101, 152 or 200.
        input_size: shape of one image.
        num_classes: outputs of the classifier.
        reduction: r, the factor by which the block's first layer reduces the channels.
        bias: the block's two layers have biases.
        stages: which of the stages 2 to 5 (the paper's conv2_x to conv5_x) have the block.
        position: "standard", on the branch before the addition, or "3x3", behind the 3x3 of a bottleneck.
        squeeze: False gates every position of the map by itself ("NoSqueeze").
        layout: "timm" (C/r rounded to multiples of 8) or "authors" (C/r, and the published weights' names and pooling).
        stride_in_1x1: halve the map in a bottleneck's first 1x1 convolution (the paper's SE-ResNets).
        groups: cardinality of the 3x3 convolutions (SE-ResNeXt).
        width_per_group: channels of each group in the first stage (SE-ResNeXt: 4).
    """
    _check(depth, reduction, stages, position, layout)
    authors = layout == "authors"

    def gated(net: Builder, x: Tensor, stage: int) -> Tensor:
        if stage not in stages:
            return x
        squeezed = x.channels // reduction if authors else _rounded(x.channels, reduction)
        return squeeze_excitation(
            net, x, squeezed, scope="se_module" if authors else "se", names=TIMM_LEGACY if authors else TIMM,
            bias=bias, squeeze=squeeze,
        )  # fmt: skip

    net = Builder()
    x = net.input(input_size)
    if authors:
        with net.scope("layer0"):
            x = _normalised(net, x, Conv2d(STEM_CHANNELS, 7, stride=2, padding=3, bias=False), "1", relu="relu1")
        x = net(MaxPool2d(3, stride=2, ceil_mode=True), x, name="pool0")
    else:
        x = _normalised(net, x, Conv2d(STEM_CHANNELS, 7, stride=2, padding=3, bias=False), "1", relu="relu")
        x = net(MaxPool2d(3, stride=2, padding=1), x, name="maxpool")
    standard: Literal["before_shortcut", "after_shortcut"] = "after_shortcut" if authors else "before_shortcut"
    x = residual_stages(
        net, x, depth=depth, stride_in_1x1=stride_in_1x1, groups=groups, width_per_group=width_per_group,
        attention=Attention(gated, standard if position == "standard" else "3x3"),
    )  # fmt: skip
    return net.build(_head(net, x, num_classes, "last_linear" if authors else "fc"))


def senet154(
    *, input_size: Shape = IMAGE_224, num_classes: int = 1000, reduction: int = 16, dropout: float = 0.2
) -> Graph:
    """Return SENet-154: a ResNeXt-152 (64x4d) with a deep stem, half-width first 1x1, 3x3 projections, and SE.

    Args:
        input_size: shape of one image.
        num_classes: outputs of the classifier.
        reduction: r, the factor by which the SE block's first layer reduces the channels.
        dropout: rate before the classifier.
    """
    _check(152, reduction, ALL_STAGES, "standard", "authors")
    net = Builder()
    x = net.input(input_size)
    with net.scope("layer0"):
        for index, (channels, stride) in enumerate(((64, 2), (64, 1), (128, 1)), 1):
            conv = Conv2d(channels, 3, stride=stride, padding=1, bias=False)
            x = _normalised(net, x, conv, str(index), relu=f"relu{index}")
    x = net(MaxPool2d(3, stride=2, ceil_mode=True), x, name="pool0")
    for stage, blocks in enumerate(SENET154_BLOCKS, 2):
        channels = 256 * 2 ** (stage - 2)
        with net.scope(f"layer{stage - 1}", f"conv{stage}_x"):
            for block in range(blocks):
                with net.scope(str(block), "SEBottleneck"):
                    x = _senet154_block(net, x, channels, 2 if stage > 2 and block == 0 else 1, reduction)
    return net.build(_head(net, x, num_classes, "last_linear", dropout))


def se_gate(*, input_size: Shape = (512, 16, 16)) -> Graph:
    """Return the gate of the lecture notes: mean of each channel, one dense layer C -> C without bias, sigmoid, scale.

    Args:
        input_size: shape of the map that is gated.
    """
    net = Builder()
    x = net.input(input_size)
    gates = net(GlobalAvgPool(keep_axes=False), x, name="squeeze")
    gates = net(Linear(x.channels, bias=False), gates, name="excite")
    gates = net(Sigmoid(), gates, name="sigmoid")
    gates = net(Reshape((x.channels, 1, 1)), gates, name="reshape", call="function")
    return net.build(net(Mul(), x, gates, name="scale", call="operator"))


def _senet154_block(net: Builder, x: Tensor, channels: int, stride: int, reduction: int) -> Tensor:
    """1x1 to half the channels, grouped 3x3, 1x1; a projection that halves the map is a 3x3, and so sees all of it."""
    branch = _normalised(net, x, Conv2d(channels // 2, 1, bias=False), "1", relu="relu1")
    grouped = Conv2d(channels, 3, stride=stride, padding=1, groups=SENET154_GROUPS, bias=False)
    branch = _normalised(net, branch, grouped, "2", relu="relu2")
    branch = _normalised(net, branch, Conv2d(channels, 1, bias=False), "3")
    if x.channels != channels:
        kernel = 3 if stride > 1 else 1
        with net.scope("downsample"):
            x = net(Conv2d(channels, kernel, stride=stride, padding=kernel // 2, bias=False), x, name="0")
            x = net(BatchNorm2d(), x, name="1")
    branch = squeeze_excitation(net, branch, channels // reduction, scope="se_module", names=TIMM_LEGACY)
    return net(ReLU(), net(Add(), branch, x, call="operator"), name="relu")


def _normalised(net: Builder, x: Tensor, conv: Conv2d, number: str, relu: str = "") -> Tensor:
    """A convolution, its normalisation, and the ReLU if it has a name."""
    x = net(conv, x, name=f"conv{number}")
    x = net(BatchNorm2d(), x, name=f"bn{number}")
    return net(ReLU(), x, name=relu) if relu else x


def _head(net: Builder, x: Tensor, num_classes: int, name: str, dropout: float = 0.0) -> Tensor:
    """Global average pooling and the classifier; timm runs the flatten as a module, and dropout as a function."""
    with net.scope("global_pool"):
        x = net(GlobalAvgPool(), x, name="pool")
        x = net(Flatten(), x, name="flatten")
    if dropout:
        x = net(Dropout(dropout), x, name="dropout", call="function")
    return net(Linear(num_classes), x, name=name)


def _rounded(channels: int, reduction: int) -> int:
    """C/r to the nearest multiple of 8, halves up, at least 8: timm's rule."""
    return max(8, (channels // reduction + 4) // 8 * 8)


def _check(depth: int, reduction: int, stages: Sequence[int], position: str, layout: str) -> None:
    if not isinstance(reduction, int) or not 1 <= reduction <= 64:
        raise ModelError(f"`reduction` (={reduction!r}) must be an integer from 1 to 64")
    if not isinstance(stages, Sequence) or isinstance(stages, str) or not set(stages) <= set(ALL_STAGES):
        raise ModelError(f"`stages` (={stages!r}) must hold some of 2, 3, 4, 5")
    if position not in ("standard", "3x3") or (position == "3x3" and depth < 50):
        raise ModelError(f"`position` (={position!r}) must be 'standard', or '3x3' in bottlenecks (depth 50 and more)")
    if layout not in ("timm", "authors"):
        raise ModelError(f"`layout` (={layout!r}) must be 'timm' or 'authors'")
