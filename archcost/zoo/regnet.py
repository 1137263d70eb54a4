"""RegNets: networks whose block widths lie on a quantised line.

Source: Radosavovic et al. 2020, section 3.3 (the rule), section 4 (X, and Y = X with squeeze-and-excitation), Figures
15 and 16 (the fitted parameters, by their regime of mult-adds); RegNetY-128GF: as torchvision has it.

The rule: block j gets the width u = w0 + wa j; it is moved to the nearest w0 wm^s with an integer s and rounded to a
multiple of 8; blocks of equal width are a stage; the widths of stages are rounded to multiples of the group width.

Which network a name means:

- ``regnetx_004``, ``regnety_080``, ...: the paper's, as in its code and in timm: stage widths go to the nearest
  multiple of the group width, halves to the even one. Node names are timm's.
- ``regnet_x_400mf``, ``regnet_y_8gf``, ...: torchvision's, from the same parameters: halves go up (392 to 400 in
  RegNetX-400MF, 136 to 144 in RegNetY-800MF), and so does a width that would lose more than a tenth (192 to 224 in
  RegNetY-8GF). These three have 5,495,976, 6,432,512 and 39,381,472 parameters, the paper's 5,157,512, 6,263,168 and
  39,180,068; all others are equal.

torchvision runs the projection of a shortcut before the branch, timm after it.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby
from math import log
from typing import Literal, NamedTuple

from archcost.build import Builder, Tensor
from archcost.errors import ModelError
from archcost.geometry import Shape
from archcost.graph import Call, Graph
from archcost.ops import Add, BatchNorm2d, Conv2d, Flatten, GlobalAvgPool, Linear, ReLU
from archcost.ops.base import Op
from archcost.zoo.entry import IMAGE_224
from archcost.zoo.squeeze_excitation import TIMM, TORCHVISION, SENames, squeeze_excitation

STEM_CHANNELS = 32
WIDTH_MULTIPLE = 8
SQUEEZE_RATIO = 0.25
"""Y: channels between the two layers of squeeze-and-excitation for each channel that the block reads."""


class Line(NamedTuple):
    """The fitted parameters of one network; ``group`` is the number of channels of a group of the 3x3 convolutions."""

    depth: int
    w0: int
    wa: float
    wm: float
    group: int


LINES: dict[str, dict[str, Line]] = {
    "x": {
        "002": Line(13, 24, 36.44, 2.49, 8),
        "004": Line(22, 24, 24.48, 2.54, 16),
        "006": Line(16, 48, 36.97, 2.24, 24),
        "008": Line(16, 56, 35.73, 2.28, 16),
        "016": Line(18, 80, 34.01, 2.25, 24),
        "032": Line(25, 88, 26.31, 2.25, 48),
        "040": Line(23, 96, 38.65, 2.43, 40),
        "064": Line(17, 184, 60.83, 2.07, 56),
        "080": Line(23, 80, 49.56, 2.88, 120),
        "120": Line(19, 168, 73.36, 2.37, 112),
        "160": Line(22, 216, 55.59, 2.1, 128),
        "320": Line(23, 320, 69.86, 2.0, 168),
    },
    "y": {
        "002": Line(13, 24, 36.44, 2.49, 8),
        "004": Line(16, 48, 27.89, 2.09, 8),
        "006": Line(15, 48, 32.54, 2.32, 16),
        "008": Line(14, 56, 38.84, 2.4, 16),
        "016": Line(27, 48, 20.71, 2.65, 24),
        "032": Line(21, 80, 42.63, 2.66, 24),
        "040": Line(22, 96, 31.41, 2.24, 64),
        "064": Line(25, 112, 33.22, 2.27, 72),
        "080": Line(17, 192, 76.82, 2.19, 56),
        "120": Line(19, 168, 73.36, 2.37, 112),
        "160": Line(18, 200, 106.23, 2.48, 112),
        "320": Line(20, 232, 115.89, 2.53, 232),
        "1280": Line(27, 456, 160.83, 2.52, 264),
    },
}
"""Family -> regime (mult-adds in units of 100 M) -> parameters."""


class Layout(NamedTuple):
    """How a framework names and orders the parts, and how it rounds the widths of stages."""

    stage: str
    block: str
    layers: tuple[str, str, str]
    branch: tuple[str, str, str]
    excitation: str
    names: SENames
    projection: str
    relu: str
    head: tuple[tuple[str, Op, Call], ...]
    classifier: str
    fit: Callable[[int, int], int]
    norm_call: Call


def nearest(width: int, group: int) -> int:
    """The multiple of ``group`` nearest to ``width``, a half to the even one: the paper's code."""
    return round(width / group) * group


def nearest_not_below(width: int, group: int) -> int:
    """The nearest multiple, a half up, and the next one if less than 0.9 of ``width`` would stay: torchvision's."""
    fitting = (width + group // 2) // group * group
    return fitting if fitting >= 0.9 * width else fitting + group


LAYOUTS: dict[str, Layout] = {
    "torchvision": Layout(
        "trunk_output.block{stage}", "block{stage}-{index}", ("0", "1", "2"), ("f.a", "f.b", "f.c"), "f.se",
        TORCHVISION, "proj", "activation",
        (("avgpool", GlobalAvgPool(), "module"), ("flatten", Flatten(), "function")), "fc", nearest_not_below, "module",
    ),
    "timm": Layout(
        "s{stage}", "b{number}", ("conv", "bn", "act"), ("conv1", "conv2", "conv3"), "se",
        TIMM, "downsample", "act3",
        (("head.global_pool.pool", GlobalAvgPool(), "module"), ("head.global_pool.flatten", Flatten(), "module")),
        "head.fc", nearest, "function",
    ),
}  # fmt: skip


class Stage(NamedTuple):
    """Blocks of equal width."""

    blocks: int
    width: int
    group: int


def stages(line: Line, fit: Callable[[int, int], int]) -> list[Stage]:
    """Return the stages of a network by the rule of the module's docstring; ``fit`` rounds widths to whole groups."""
    widths = []
    for block in range(line.depth):
        exponent = round(log((line.w0 + line.wa * block) / line.w0) / log(line.wm))
        widths.append(round(line.w0 * line.wm**exponent / WIDTH_MULTIPLE) * WIDTH_MULTIPLE)
    result = []
    for width, blocks in groupby(widths):
        group = min(line.group, width)
        result.append(Stage(len(list(blocks)), fit(width, group), group))
    return result


def regnet(
    *,
    family: Literal["x", "y"],
    regime: str,
    layout: Literal["torchvision", "timm"] = "timm",
    input_size: Shape = IMAGE_224,
    num_classes: int = 1000,
) -> Graph:
    """Return a RegNet.

    Args:
        family: "x", or "y" with squeeze-and-excitation.
        regime: the key of ``LINES``: mult-adds in units of 100 M, such as "004".
        layout: whose names, order and rounding of stage widths.
        input_size: shape of one image.
        num_classes: outputs of the classifier.
    """
    if family not in LINES:
        raise ModelError(f"`family` (={family!r}) must be 'x' or 'y'")
    if regime not in LINES[family]:
        raise ModelError(f"`regime` (={regime!r}) must be one of {', '.join(LINES[family])}")
    if layout not in LAYOUTS:
        raise ModelError(f"`layout` (={layout!r}) must be 'torchvision' or 'timm'")
    style = LAYOUTS[layout]
    net = Builder()
    x = net.input(input_size)
    x = _normalised(net, x, Conv2d(STEM_CHANNELS, 3, stride=2, padding=1, bias=False), "stem", style)
    for number, stage in enumerate(stages(LINES[family][regime], style.fit), 1):
        with net.scope(style.stage.format(stage=number), f"stage {number}"):
            for index in range(stage.blocks):
                block = style.block.format(stage=number, index=index, number=index + 1)
                with net.scope(block, f"{family.upper()} block"):
                    x = _block(net, x, stage, 1 if index else 2, style, excite=family == "y")
    for name, op, call in style.head:
        x = net(op, x, name=name, call=call)
    return net.build(net(Linear(num_classes), x, name=style.classifier))


def _block(net: Builder, x: Tensor, stage: Stage, stride: int, style: Layout, *, excite: bool) -> Tensor:
    """1x1, 3x3 in groups, (squeeze-and-excitation,) 1x1, all of one width; a projection where the shape changes."""

    def project() -> Tensor:
        if stride == 1 and x.channels == stage.width:
            return x
        return _normalised(
            net, x, Conv2d(stage.width, 1, stride=stride, bias=False), style.projection, style, relu=False
        )

    projection_first = style is LAYOUTS["torchvision"]
    shortcut = project() if projection_first else None
    grouped = Conv2d(stage.width, 3, stride=stride, padding=1, groups=stage.width // stage.group, bias=False)
    branch = _normalised(net, x, Conv2d(stage.width, 1, bias=False), style.branch[0], style)
    branch = _normalised(net, branch, grouped, style.branch[1], style)
    if excite:
        squeezed = round(SQUEEZE_RATIO * x.channels)
        branch = squeeze_excitation(net, branch, squeezed, scope=style.excitation, names=style.names)
    branch = _normalised(net, branch, Conv2d(stage.width, 1, bias=False), style.branch[2], style, relu=False)
    x = net(Add(), branch, shortcut or project(), name="add", call="operator")
    return net(ReLU(), x, name=style.relu)


def _normalised(net: Builder, x: Tensor, conv: Conv2d, scope: str, style: Layout, *, relu: bool = True) -> Tensor:
    """A convolution and its normalisation, with or without a ReLU."""
    with net.scope(scope):
        x = net(conv, x, name=style.layers[0])
        x = net(BatchNorm2d(), x, name=style.layers[1], call=style.norm_call)
        return net(ReLU(), x, name=style.layers[2]) if relu else x
