"""ConvNeXt: a residual network modernised step by step towards a vision transformer.

Source: Liu et al. 2022, section 3 (channels and blocks of T, S, B, L, XL; drop path rates in Table 5), Figure 4:
depthwise 7x7, LayerNorm, two dense layers C -> 4C -> C with GELU between them, a learned scale for each channel, drop
path. The dense layers work channels-last; the two transpositions are nodes of their own, as torchvision runs them.

``convnext_tiny`` to ``convnext_large`` are named as torchvision's; ``convnext_xlarge``, which torchvision does not
have, as timm's. The option ``layout`` gives the smaller ones timm's names too. In timm's layout the transpositions and
the scale are tensor methods.

Where the published figures disagree: the README of the authors' code prints 28 and 29 M parameters for T (28,589,128)
and 45.0 and 47.0 G for B at 384x384 (45,122,117,632 mult-adds).
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from archcost.build import Builder, Tensor
from archcost.errors import ModelError
from archcost.geometry import Shape
from archcost.graph import Call, Graph
from archcost.ops import GELU, Add, Conv2d, DropPath, Flatten, GlobalAvgPool, LayerNorm, Linear, Scale, Transpose
from archcost.zoo.entry import IMAGE_224

EXPANSION = 4
CHANNELS_LAST, CHANNELS_FIRST = Transpose((1, 2, 0)), Transpose((2, 0, 1))


class Row(NamedTuple):
    """One size: channels of the first stage (each next one has twice as many), blocks, largest rate of drop path."""

    channels: int
    blocks: tuple[int, int, int, int]
    drop_path: float


SIZES: dict[str, Row] = {
    "tiny": Row(96, (3, 3, 9, 3), 0.1),
    "small": Row(96, (3, 3, 27, 3), 0.4),
    "base": Row(128, (3, 3, 27, 3), 0.5),
    "large": Row(192, (3, 3, 27, 3), 0.5),
    "xlarge": Row(256, (3, 3, 27, 3), 0.5),
}


class Layout(NamedTuple):
    """What a framework calls the parts: ``stage`` and ``downsample`` by stage, those of a block in order."""

    stem: str
    stage: str
    downsample: str
    block: tuple[str, ...]
    head: tuple[str, ...]
    transpose_call: Call
    scale_call: Call
    norm_call: Call
    activation_call: Call


LAYOUTS: dict[str, Layout] = {
    "torchvision": Layout(
        "features.0",
        "features.{odd}",
        "features.{even}",
        (*(f"block.{index}" for index in range(7)), "layer_scale", "stochastic_depth"),
        ("avgpool", "classifier.0", "classifier.1", "classifier.2"),
        "module",
        "operator",
        "module",
        "module",
    ),
    "timm": Layout(
        "stem",
        "stages.{index}.blocks",
        "stages.{index}.downsample",
        ("conv_dw", "permute1", "norm", "mlp.fc1", "mlp.act", "mlp.fc2", "permute2", "gamma", "drop_path"),
        ("head.global_pool.pool", "head.norm", "head.flatten", "head.fc"),
        "method",
        "function",
        "subclass",
        "function",
    ),
}


def convnext(
    *,
    size: Literal["tiny", "small", "base", "large", "xlarge"],
    input_size: Shape = IMAGE_224,
    num_classes: int = 1000,
    drop_path: float | None = None,
    layout: Literal["torchvision", "timm"] = "torchvision",
) -> Graph:
    """Return a ConvNeXt.

    Args:
        size: "tiny", "small", "base", "large" or "xlarge".
        input_size: shape of one image.
        num_classes: outputs of the classifier.
        drop_path: rate of the last block; it grows linearly from 0 in the first. None is the paper's for ImageNet-1K
            (XL, which the paper trains on ImageNet-22K only: that of L).
        layout: whose names.
    """
    if size not in SIZES:
        raise ModelError(f"`size` (={size!r}) must be one of {', '.join(SIZES)}")
    if layout not in LAYOUTS:
        raise ModelError(f"`layout` (={layout!r}) must be 'torchvision' or 'timm'")
    row, style = SIZES[size], LAYOUTS[layout]
    largest = row.drop_path if drop_path is None else drop_path
    if isinstance(largest, bool) or not isinstance(largest, (int, float)) or not 0 <= largest < 1:
        raise ModelError(f"`drop_path` (={drop_path!r}) must be a number from 0 to below 1")
    rates = (largest * block / (sum(row.blocks) - 1) for block in range(sum(row.blocks)))
    net = Builder()
    x = net.input(input_size)
    with net.scope(style.stem, "patchify"):
        x = net(Conv2d(row.channels, 4, stride=4), x, name="0")
        x = net(LayerNorm(axis=0), x, name="1")
    for stage, blocks in enumerate(row.blocks):
        channels = row.channels * 2**stage
        place = {"index": stage, "odd": 2 * stage + 1, "even": 2 * stage}
        if stage:
            with net.scope(style.downsample.format(**place), "downsample"):
                x = net(LayerNorm(axis=0), x, name="0")
                x = net(Conv2d(channels, 2, stride=2), x, name="1")
        with net.scope(style.stage.format(**place), f"stage {stage + 1}"):
            for block in range(blocks):
                with net.scope(str(block), "ConvNeXtBlock"):
                    x = _block(net, x, next(rates), style)
    pool, norm, flatten, classifier = style.head
    x = net(GlobalAvgPool(), x, name=pool)
    x = net(LayerNorm(axis=0), x, name=norm)
    x = net(Flatten(), x, name=flatten)
    return net.build(net(Linear(num_classes), x, name=classifier))


def _block(net: Builder, x: Tensor, rate: float, style: Layout) -> Tensor:
    """Figure 4, with the identity added."""
    channels = x.channels
    conv, last, norm, widen, act, narrow, first, scale, drop = style.block
    branch = net(Conv2d(channels, 7, padding=3, groups=channels), x, name=conv)
    branch = net(CHANNELS_LAST, branch, name=last, call=style.transpose_call)
    branch = net(LayerNorm(), branch, name=norm, call=style.norm_call)
    branch = net(Linear(EXPANSION * channels), branch, name=widen)
    branch = net(GELU(), branch, name=act, call=style.activation_call)
    branch = net(Linear(channels), branch, name=narrow)
    branch = net(CHANNELS_FIRST, branch, name=first, call=style.transpose_call)
    branch = net(Scale(), branch, name=scale, call=style.scale_call)
    branch = net(DropPath(rate), branch, name=drop)
    return net(Add(), branch, x, call="operator")
