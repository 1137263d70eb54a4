"""Small random graphs, and the graphs that several tests of the report share."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import strategies as st

from archcost.build import Builder, Tensor
from archcost.graph import Graph
from archcost.ops import (
    Add,
    AvgPool2d,
    BatchNorm2d,
    Concat,
    Conv2d,
    Dropout,
    Flatten,
    Identity,
    Linear,
    MaxPool2d,
    Op,
    ReLU,
    Reshape,
    Split,
)

VIEWS = ("Identity", "Flatten", "Reshape", "Split", "Dropout", "DropPath")
"""The operators that write no new tensor in inference."""

ONE_TO_ONE: dict[str, Callable[[Tensor], Op]] = {
    "conv": lambda x: Conv2d(1 + x.channels % 3, 1),
    "wide": lambda x: Conv2d(2 * x.channels, 3, padding=1, bias=False),
    "norm": lambda _: BatchNorm2d(),
    "relu": lambda _: ReLU(),
    "pool": lambda _: MaxPool2d(3, stride=1, padding=1),
    "average": lambda _: AvgPool2d(3, stride=1, padding=1),
    "identity": lambda _: Identity(),
    "dropout": lambda _: Dropout(0.5),
    "reshape": lambda x: Reshape(x.shape),
    "split": lambda x: Split((1, x.channels - 1), 0) if x.channels > 1 else Identity(),
}


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Any acyclic network of 2x2 maps: branches, views of views, unused nodes, shared weights, several outputs."""
    net = Builder("generated")
    tensors = [
        net.input((draw(st.integers(1, 4)), 2, 2), name=f"input{index}") for index in range(draw(st.integers(1, 2)))
    ]
    for index in range(draw(st.integers(1, 12))):
        x = draw(st.sampled_from(tensors))
        kind = draw(st.sampled_from([*ONE_TO_ONE, "add", "concat", "again"]))
        name = f"scope{index % 3}.{kind}{index}"
        if kind == "add":
            other = draw(st.sampled_from([tensor for tensor in tensors if tensor.shape == x.shape]))
            made = net(Add(), x, other, name=name)
        elif kind == "concat":
            made = net(Concat(), x, draw(st.sampled_from(tensors)), name=name)
        elif kind == "again":
            owner = net(Conv2d(x.channels, 1), x, name=f"{name}.owner")
            made = net(Conv2d(x.channels, 1), owner, name=f"{name}.copy", shares=owner)
        else:
            made = net(ONE_TO_ONE[kind](x), x, name=name)
        tensors.append(made)
    return net.build(*draw(st.lists(st.sampled_from(tensors), min_size=1, max_size=3, unique=True)))


def plain_network() -> Graph:
    """conv 3->4, norm, relu, 2x2 pooling, dropout, dense 64->10, on 3x8x8: everything can be counted by hand."""
    net = Builder("plain", "by hand")
    x = net.input((3, 8, 8))
    with net.scope("features", "Block"):
        x = net(Conv2d(4, 3, padding=1), x, name="conv")
        x = net(BatchNorm2d(), x, name="norm")
        x = net(ReLU(), x, name="relu")
        x = net(MaxPool2d(2), x, name="pool")
    with net.scope("head"):
        x = net(Flatten(), x, name="flatten")
        x = net(Dropout(0.5), x, name="drop")
        x = net(Linear(10), x, name="fc")
    return net.build(x)
