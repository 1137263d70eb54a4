"""The inverted residual block and the trunk that is built of it, shared by the families that refined it.

A narrow map is expanded by a 1x1 convolution, filtered by a depthwise one and projected back by a linear 1x1
convolution; the shortcut joins the narrow ends (Sandler et al. 2018, section 3.3). MnasNet-A1 and MobileNetV3 put
squeeze-and-excitation on the expanded map; EfficientNetV2's fused block expands and filters in one full convolution.

Each family states its table as ``Block`` rows and its habits as a ``Style``; how torchvision and timm name the parts is
said here once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

from archcost.build import Builder, Tensor
from archcost.errors import ModelError
from archcost.geometry import PaddingLike
from archcost.graph import Call
from archcost.ops import Add, BatchNorm2d, Conv2d, Dropout, DropPath, Flatten, GlobalAvgPool, Linear, Sigmoid
from archcost.ops.base import Op
from archcost.zoo.squeeze_excitation import TIMM_MOBILE, TORCHVISION, SENames, squeeze_excitation

Parts = tuple[str, ...]
"""Names of a convolution, its normalisation and its activation."""


class Naming(NamedTuple):
    """What a framework calls the parts of such a network.

    Attributes:
        stem: the first convolution.
        block: scope of a block, from its stage, its place in the stage and its place in the network, from 0.
        inside: the parts of a block, from the steps that it has; of squeeze-and-excitation the scope alone.
        head: the last convolution, from the numbers of stages and blocks.
        squeeze: the parts of squeeze-and-excitation.
        drop_path: stochastic depth.
        norm_call: how normalisation is called (see ``Node.call``); timm's is a function call in a module that holds the
            activation too.
    """

    stem: Parts
    block: Callable[[int, int, int], str]
    inside: Callable[[Sequence[str]], dict[str, Parts]]
    head: Callable[[int, int], Parts]
    squeeze: SENames
    drop_path: str
    norm_call: Call = "module"


class Style(NamedTuple):
    """What is the same in all blocks of a network.

    Attributes:
        naming: names of the parts.
        activation: behind the first and the last convolution.
        norm: behind every convolution.
        gate: last step of squeeze-and-excitation.
        squeeze_activation: between the two layers of squeeze-and-excitation.
        same: pad as TensorFlow does (the odd zero at the end) instead of by half the kernel on each side; map sizes
            are equal.
    """

    naming: Naming
    activation: Op
    norm: BatchNorm2d
    gate: Op
    squeeze_activation: Op
    same: bool = False


class Block(NamedTuple):
    """One inverted residual.

    Attributes:
        channels: of the output.
        hidden: channels of the expanded map; a block that does not expand has those of its input here.
        kernel: size of the depthwise (or fused) convolution.
        stride: of that convolution.
        activation: behind the expansion and the depthwise convolution.
        squeezed: channels between the layers of squeeze-and-excitation; 0 for a block without it.
        fused: expansion and depthwise convolution are one full convolution.
    """

    channels: int
    hidden: int
    kernel: int
    stride: int
    activation: Op
    squeezed: int = 0
    fused: bool = False

    def steps(self, in_channels: int) -> list[str]:
        """Return the steps that the block has on an input of ``in_channels``."""
        expands = self.hidden != in_channels
        if self.fused:
            return ["fused", "project"] if expands else ["fused"]
        return [
            *(["expand"] if expands else []),
            "depthwise",
            *(["squeeze"] if self.squeezed else []),
            "project",
        ]


def trunk(
    net: Builder,
    x: Tensor,
    stem: int,
    stages: Sequence[Sequence[Block]],
    head: int,
    style: Style,
    drop_path: float = 0.0,
) -> Tensor:
    """Add a 3x3 convolution of stride 2, the blocks, and a 1x1 convolution.

    Args:
        net: the graph that is being built.
        x: the image.
        stem: channels of the first convolution.
        stages: the blocks, by stage.
        head: channels of the last convolution.
        style: what all blocks share.
        drop_path: rate of stochastic depth behind the last block; it rises linearly from 0.
    """
    naming = style.naming
    x = _conv(net, x, Conv2d(stem, 3, 2, _padding(3, 2, style), bias=False), naming.stem, style, style.activation)
    number, total = 0, sum(len(stage) for stage in stages)
    for position, stage in enumerate(stages):
        for index, block in enumerate(stage):
            with net.scope(naming.block(position, index, number), "FusedMBConv" if block.fused else "InvertedResidual"):
                x = inverted_residual(net, x, block, style, drop_path * number / total)
            number += 1
    last = naming.head(len(stages), total)
    return _conv(net, x, Conv2d(head, 1, bias=False), last, style, style.activation)


def inverted_residual(net: Builder, x: Tensor, block: Block, style: Style, drop_path: float = 0.0) -> Tensor:
    """Add one block to the current scope; the shortcut joins where shapes agree."""
    shortcut, steps = x, block.steps(x.channels)
    names = style.naming.inside(steps)
    padding = _padding(block.kernel, block.stride, style)
    for step in steps:
        if step == "squeeze":
            x = squeeze_excitation(
                net, x, block.squeezed, scope=names[step][0], names=style.naming.squeeze,
                activation=style.squeeze_activation, gate=style.gate,
            )  # fmt: skip
            continue
        if step == "expand":
            op = Conv2d(block.hidden, 1, bias=False)
        elif step == "depthwise":
            op = Conv2d(block.hidden, block.kernel, block.stride, padding, groups=block.hidden, bias=False)
        elif step == "fused":
            # A fused block that does not expand is this one convolution.
            channels = block.hidden if "project" in steps else block.channels
            op = Conv2d(channels, block.kernel, block.stride, padding, bias=False)
        else:
            op = Conv2d(block.channels, 1, bias=False)
        x = _conv(net, x, op, names[step], style, None if step == "project" else block.activation)
    if block.stride == 1 and shortcut.shape == x.shape:
        if drop_path:
            x = net(DropPath(drop_path), x, name=style.naming.drop_path)
        x = net(Add(), x, shortcut, name="add", call="operator")
    return x


def classifier(
    net: Builder, x: Tensor, num_classes: int, dropout: float, style: Style, pool_call: Call = "module"
) -> Tensor:
    """Add the head of these families: global average pooling, dropout, one dense layer.

    timm's dropout is a function call, and left out at rate 0.
    """
    if style.naming is TIMM_NAMES:
        with net.scope("global_pool"):
            x = net(GlobalAvgPool(), x, name="pool")
            x = net(Flatten(), x, name="flatten")
        if dropout:
            x = net(Dropout(dropout), x, name="dropout", call="function")
        return net(Linear(num_classes), x, name="classifier")
    x = net(GlobalAvgPool(), x, name="avgpool", call=pool_call)
    x = net(Flatten(), x, name="flatten", call="function")
    with net.scope("classifier"):
        x = net(Dropout(dropout), x, name="0")
        return net(Linear(num_classes), x, name="1")


def _padding(kernel: int, stride: int, style: Style) -> PaddingLike:
    """At stride 1 both ways to pad are the same."""
    return "same" if style.same and stride > 1 else kernel // 2


def _conv(net: Builder, x: Tensor, op: Op, names: Parts, style: Style, activation: Op | None) -> Tensor:
    x = net(op, x, name=names[0])
    x = net(style.norm, x, name=names[1], call=style.naming.norm_call)
    return x if activation is None else net(activation, x, name=names[2])


def _triple(path: str) -> Parts:
    return f"{path}.0", f"{path}.1", f"{path}.2"


def _torchvision_inside(steps: Sequence[str]) -> dict[str, Parts]:
    """Each step is one place of ``block``; the last part of a projection's name is not used."""
    names = {step: _triple(f"block.{place}") for place, step in enumerate(steps)}
    if "squeeze" in names:
        names["squeeze"] = (f"block.{steps.index('squeeze')}",)
    return names


def _torchvision_v2_inside(steps: Sequence[str]) -> dict[str, Parts]:
    """As above in ``conv``, but the projection's two layers have places of their own."""
    last = len(steps) - 1
    return {step: _triple(f"conv.{place}") for place, step in enumerate(steps)} | {
        "project": (f"conv.{last}", f"conv.{last + 1}")
    }


TIMM_CONVOLUTIONS = {
    ("expand", "depthwise", "project"): ("conv_pw", "conv_dw", "conv_pwl"),
    ("depthwise", "project"): ("conv_dw", "conv_pw"),
    ("fused", "project"): ("conv_exp", "conv_pwl"),
    ("fused",): ("conv",),
}
"""What timm calls the convolutions of a block, by the steps that it has."""


def _timm_inside(steps: Sequence[str]) -> dict[str, Parts]:
    """Normalisations are numbered; their activations, parts of them in timm, are numbered with them."""
    convolutions = tuple(step for step in steps if step != "squeeze")
    named = enumerate(zip(convolutions, TIMM_CONVOLUTIONS[convolutions]), start=1)
    return {"squeeze": ("se",), **{step: (name, f"bn{number}", f"act{number}") for number, (step, name) in named}}


TORCHVISION_V2_NAMES = Naming(
    stem=_triple("features.0"),
    block=lambda _stage, _index, number: f"features.{number + 1}",
    inside=_torchvision_v2_inside,
    head=lambda _stages, blocks: _triple(f"features.{blocks + 1}"),
    squeeze=TORCHVISION,
    drop_path="stochastic_depth",
)
"""torchvision's MobileNetV2."""

TORCHVISION_V3_NAMES = TORCHVISION_V2_NAMES._replace(inside=_torchvision_inside)
"""torchvision's MobileNetV3: blocks are numbered through."""

TORCHVISION_EFFICIENTNET_NAMES = TORCHVISION_V3_NAMES._replace(
    block=lambda stage, index, _number: f"features.{stage + 1}.{index}",
    head=lambda stages, _blocks: _triple(f"features.{stages + 1}"),
)
"""torchvision's EfficientNet and EfficientNetV2: blocks are numbered by stage."""

TIMM_NAMES = Naming(
    stem=("conv_stem", "bn1", "act1"),
    block=lambda stage, index, _number: f"blocks.{stage}.{index}",
    inside=_timm_inside,
    head=lambda _stages, _blocks: ("conv_head", "bn2", "act2"),
    squeeze=TIMM_MOBILE,
    drop_path="drop_path",
    norm_call="function",
)
"""timm's EfficientNet family, which holds MobileNetV1 to V3 and MnasNet too."""

PLAIN_GATE = Sigmoid()
"""Gate of squeeze-and-excitation where a family does not replace it."""

Port = Literal["torchvision", "timm", "tf"]
"""Whose implementation a graph mirrors; "tf" is timm's port of the authors' TensorFlow networks."""

PORTS: tuple[Port, ...] = ("torchvision", "timm", "tf")


def ported(style: Style, port: Port) -> Style:
    """Return torchvision's ``style`` as ``port`` has it: names, constants of BatchNorm, padding.

    Raises:
        ModelError: if there is no such port.
    """
    if port not in PORTS:
        raise ModelError(f"`port` (={port!r}) must be one of {', '.join(PORTS)}")
    if port == "torchvision":
        return style
    norm = BatchNorm2d(eps=1e-3) if port == "tf" else BatchNorm2d()
    return style._replace(naming=TIMM_NAMES, norm=norm, same=port == "tf")
