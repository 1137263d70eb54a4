"""PNASNet-5.

Source: Liu et al. 2018, Figure 1 (the one cell, which also reduces, with stride 2) and section 5.2 (N = 4, F = 216 for
ImageNet). Node names follow timm's port. The EfficientNet paper prints 23 billion FLOPs for it; it has 24.94 billion
mult-adds.
"""

from __future__ import annotations

from archcost.build import Builder, Tensor
from archcost.geometry import Shape
from archcost.graph import Graph
from archcost.ops import Concat, Conv2d, Dropout, Flatten, GlobalAvgPool, Linear, ReLU
from archcost.zoo.multipliers import count, rate
from archcost.zoo.searched_cell import NORM, Branch, combine, fit, halve

CELL = (
    (Branch("separable 5x5", "previous"), Branch("max 3x3", "previous")),
    (Branch("separable 7x7", "current"), Branch("max 3x3", "current")),
    (Branch("separable 5x5", "current"), Branch("separable 3x3", "current")),
    (Branch("separable 3x3", 2), Branch("max 3x3", "current")),
    (Branch("separable 3x3", "previous"), Branch("identity", "current")),
)
"""Figure 1; the output is all combinations. The identity of a reduction cell is a 1x1 convolution."""

GROUPS = 3
"""Groups of cells with equal channels; the first cell of the second and third group reduces."""


def pnasnet(
    *,
    input_size: Shape = (3, 331, 331),
    num_classes: int = 1000,
    repeats: int = 4,
    filters: int = 216,
    stem: int = 96,
    dropout: float = 0.0,
) -> Graph:
    """Return PNASNet-5.

    Args:
        input_size: shape of one image.
        num_classes: outputs of the classifier.
        repeats: cells in each group, the paper's N.
        filters: channels of a combination in the first group, the paper's F; a multiple of 4.
        stem: channels of the first convolution.
        dropout: rate of the dropout before the classifier.
    """
    count("repeats", repeats)
    count("filters", filters, 4)  # the first cell has a quarter of them
    net = Builder()
    x = net.input(input_size)
    with net.scope("conv_0"):
        x = net(Conv2d(count("stem", stem), 3, stride=2, bias=False), x, name="conv")
        previous = net(NORM, x, name="bn", call="function")
    with net.scope("cell_stem_0", "ReductionCell"):
        x = _combined(net, previous, fit(net, previous, filters // 4, "conv_1x1"), filters // 4, stride=2)
    # A cell behind a reduction halves its older input, which is still of the size before.
    previous, x = x, _cell(net, previous, x, filters // 2, "cell_stem_1", stride=2, behind_reduction=True)
    behind_reduction = True
    for number in range(GROUPS * repeats):
        group, index = divmod(number, repeats)
        stride = 2 if group > 0 and index == 0 else 1
        channels = filters * 2**group
        out = _cell(net, previous, x, channels, f"cell_{number}", stride=stride, behind_reduction=behind_reduction)
        previous, x = x, out
        behind_reduction = stride == 2
    x = net(ReLU(), x, name="act")
    with net.scope("global_pool"):
        x = net(GlobalAvgPool(), x, name="pool")
        x = net(Flatten(), x, name="flatten")
    x = net(Dropout(rate("dropout", dropout)), x, name="head_drop")
    return net.build(net(Linear(num_classes), x, name="last_linear"))


def _cell(
    net: Builder, previous: Tensor, current: Tensor, channels: int, name: str, *, stride: int, behind_reduction: bool
) -> Tensor:
    """Fit both inputs to ``channels`` and one size, then combine them."""
    with net.scope(name, "ReductionCell" if stride == 2 else "NormalCell"):
        if behind_reduction:
            with net.scope("conv_prev_1x1"):
                previous = halve(net, previous, channels)
        else:
            previous = fit(net, previous, channels, "conv_prev_1x1")
        return _combined(net, previous, fit(net, current, channels, "conv_1x1"), channels, stride)


def _combined(net: Builder, previous: Tensor, current: Tensor, channels: int, stride: int) -> Tensor:
    results = combine(net, previous, current, channels, CELL, stride)
    return net(Concat(), *results, name="concat", call="function")
