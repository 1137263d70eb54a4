"""Cells that were found by search: five combinations, each the sum of two branches.

Zoph et al. 2018, section 3, and Liu et al. 2018, section 3.1: a branch applies one operation to one of the two inputs
of the cell (the outputs of the previous cell and of the one before) or to an earlier combination. Node names and order
of execution follow timm's; operations are padded as in TensorFlow, the odd zero at the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from archcost.build import Builder, Tensor
from archcost.geometry import PaddingLike
from archcost.ops import Add, AvgPool2d, BatchNorm2d, Concat, Conv2d, MaxPool2d, Pad, ReLU

Operation = Literal["separable 3x3", "separable 5x5", "separable 7x7", "average 3x3", "max 3x3", "identity"]

NORM = BatchNorm2d(eps=1e-3)


class Branch(NamedTuple):
    """An operation and what it reads: an input of the cell, or an earlier combination by its number."""

    operation: Operation
    source: Literal["previous", "current"] | int


Combination = tuple[Branch, Branch]


def combine(
    net: Builder, previous: Tensor, current: Tensor, channels: int, cell: Sequence[Combination], stride: int
) -> list[Tensor]:
    """Add all combinations of a cell to the current scope; return their outputs.

    Args:
        net: the graph that is being built.
        previous: output of the cell before the previous one, made to fit.
        current: output of the previous cell, made to fit.
        channels: of every combination.
        cell: the combinations.
        stride: of the branches that read an input of the cell: 2 in a reduction cell.
    """
    results: list[Tensor] = []
    for number, combination in enumerate(cell):
        branches = []
        for side, (operation, source) in zip(("left", "right"), combination):
            name = f"comb_iter_{number}_{side}"
            if isinstance(source, int):
                branches.append(_branch(net, results[source], operation, channels, 1, name))
            else:
                x = previous if source == "previous" else current
                branches.append(_branch(net, x, operation, channels, stride, name))
        results.append(net(Add(), *branches, name=f"comb_iter_{number}", call="operator"))
    return results


def fit(net: Builder, x: Tensor, channels: int, name: str, stride: int = 1) -> Tensor:
    """Add ReLU, a 1x1 convolution to ``channels`` and normalisation."""
    with net.scope(name):
        x = net(ReLU(), x, name="act")
        x = net(Conv2d(channels, 1, stride, "same" if stride > 1 else 0, bias=False), x, name="conv")
        return net(NORM, x, name="bn")


def halve(net: Builder, x: Tensor, channels: int) -> Tensor:
    """Add the factorised reduction to the current scope: two grids of every other pixel, the second shifted by one."""
    x = net(ReLU(), x, name="act")
    paths = []
    for number, shift in enumerate((0, 1), start=1):
        with net.scope(f"path_{number}"):
            path = x
            if shift:
                path = net(Pad(((0, 0), (-shift, shift), (-shift, shift))), path, name="pad")
            path = net(AvgPool2d(1, stride=2), path, name="avgpool")
            paths.append(net(Conv2d(channels // 2, 1, bias=False), path, name="conv"))
    x = net(Concat(), *paths, name="concat_paths", call="function")
    return net(NORM, x, name="final_path_bn")


def _branch(net: Builder, x: Tensor, operation: Operation, channels: int, stride: int, name: str) -> Tensor:
    """Add one operation; where it cannot change the shape as needed, a 1x1 convolution does."""
    kind, _, size = operation.partition(" ")
    if kind == "identity":
        return x if stride == 1 else fit(net, x, channels, name, stride)
    if kind == "separable":
        return _separable(net, x, channels, int(size[0]), stride, name)
    # At stride 2 timm pads before it pools, so that the zeros count in the average.
    pool = MaxPool2d(3, stride, "same") if kind == "max" else AvgPool2d(3, stride, "same", count_include_pad=stride > 1)
    if x.channels == channels:
        return net(pool, x, name=name)
    with net.scope(name):
        x = net(pool, x, name=f"{kind}_pool")
        x = net(Conv2d(channels, 1, bias=False), x, name="conv")
        return net(NORM, x, name="bn")


def _separable(net: Builder, x: Tensor, channels: int, kernel: int, stride: int, name: str) -> Tensor:
    """Add ReLU, a separable convolution and normalisation, twice; the first has the stride."""
    with net.scope(name, "SeparableBranch"):
        for number, step in ((1, stride), (2, 1)):
            x = net(ReLU(), x, name=f"act_{number}")
            with net.scope(f"separable_{number}"):
                padding: PaddingLike = "same" if step > 1 else kernel // 2
                filters = Conv2d(x.channels, kernel, step, padding, groups=x.channels, bias=False)
                x = net(filters, x, name="depthwise_conv2d")
                x = net(Conv2d(channels, 1, bias=False), x, name="pointwise_conv2d")
            x = net(NORM, x, name=f"bn_sep_{number}")
    return x
