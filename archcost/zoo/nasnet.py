"""NASNet-A.

Source: Zoph et al. 2018, Figure 4 (the two cells) and section 4 ("6 @ 4032": 6 normal cells between reductions, 4032
channels before the classifier). Node names follow timm's port, which has the large network only; the mobile one,
"4 @ 1056", has the 5.3 M parameters and 564 M mult-adds that the paper prints.

The first cell behind a reduction reads, as its older input, the older input of the reduction cell, as timm's does.
"""

from __future__ import annotations

from archcost.build import Builder, Tensor
from archcost.geometry import Shape
from archcost.graph import Graph
from archcost.ops import Concat, Conv2d, Dropout, Flatten, GlobalAvgPool, Linear, ReLU
from archcost.zoo.multipliers import count, rate
from archcost.zoo.searched_cell import NORM, Branch, combine, fit, halve

NORMAL = (
    (Branch("separable 5x5", "current"), Branch("separable 3x3", "previous")),
    (Branch("separable 5x5", "previous"), Branch("separable 3x3", "previous")),
    (Branch("average 3x3", "current"), Branch("identity", "previous")),
    (Branch("average 3x3", "previous"), Branch("average 3x3", "previous")),
    (Branch("separable 3x3", "current"), Branch("identity", "current")),
)
"""Figure 4, left; the output is the previous input and all combinations."""

REDUCTION = (
    (Branch("separable 5x5", "current"), Branch("separable 7x7", "previous")),
    (Branch("max 3x3", "current"), Branch("separable 7x7", "previous")),
    (Branch("average 3x3", "current"), Branch("separable 5x5", "previous")),
    (Branch("identity", 1), Branch("average 3x3", 0)),
    (Branch("separable 3x3", 0), Branch("max 3x3", "current")),
)
"""Figure 4, right; the output is all combinations but the first, which others have read."""

GROUPS = 3
"""Groups of normal cells; two reduction cells lie between them, two in front are the stem."""

FEATURES_PER_FILTER = 24
"""Channels before the classifier for each channel of a combination in the first group: 6 outputs, doubled twice."""


def nasnet(
    *,
    input_size: Shape = (3, 331, 331),
    num_classes: int = 1000,
    repeats: int = 6,
    features: int = 4032,
    stem: int = 96,
    dropout: float = 0.0,
) -> Graph:
    """Return NASNet-A.

    Args:
        input_size: shape of one image.
        num_classes: outputs of the classifier.
        repeats: normal cells in each group, the N of "N @ P".
        features: channels before the classifier, the P of "N @ P"; a multiple of 96.
        stem: channels of the first convolution.
        dropout: rate of the dropout before the classifier.
    """
    # The first cell has a quarter of these channels.
    channels = count("features", features, 4 * FEATURES_PER_FILTER) // FEATURES_PER_FILTER
    count("repeats", repeats)
    net = Builder()
    x = net.input(input_size)
    with net.scope("conv0"):
        x = net(Conv2d(count("stem", stem), 3, stride=2, bias=False), x, name="conv")
        first = net(NORM, x, name="bn", call="function")
    with net.scope("cell_stem_0", "ReductionCell"):
        current = fit(net, first, channels // 4, "conv_1x1")
        second = _reduce(net, first, current, channels // 4)
    with net.scope("cell_stem_1", "ReductionCell"):
        current = fit(net, second, channels // 2, "conv_1x1")
        x = _reduce(net, halve(net, first, channels // 2), current, channels // 2)
    previous = second
    for group in range(GROUPS):
        filters = channels * 2**group
        if group > 0:
            with net.scope(f"reduction_cell_{group - 1}", "ReductionCell"):
                x = _reduce(
                    net, fit(net, previous, filters, "conv_prev_1x1"), fit(net, x, filters, "conv_1x1"), filters
                )
        for index in range(repeats):
            with net.scope(f"cell_{group * repeats + index}", "NormalCell"):
                fitted = halve(net, previous, filters) if index == 0 else fit(net, previous, filters, "conv_prev_1x1")
                previous, x = x, _normal(net, fitted, fit(net, x, filters, "conv_1x1"), filters)
    x = net(ReLU(), x, name="act")
    with net.scope("global_pool"):
        x = net(GlobalAvgPool(), x, name="pool")
        x = net(Flatten(), x, name="flatten")
    x = net(Dropout(rate("dropout", dropout)), x, name="head_drop")
    return net.build(net(Linear(num_classes), x, name="last_linear"))


def _normal(net: Builder, previous: Tensor, current: Tensor, channels: int) -> Tensor:
    results = combine(net, previous, current, channels, NORMAL, stride=1)
    return net(Concat(), previous, *results, name="concat", call="function")


def _reduce(net: Builder, previous: Tensor, current: Tensor, channels: int) -> Tensor:
    results = combine(net, previous, current, channels, REDUCTION, stride=2)
    return net(Concat(), *results[1:], name="concat", call="function")
