"""The few groups of layers that nearly every architecture repeats."""

from __future__ import annotations

from archcost.build import Builder, Tensor
from archcost.ops import Flatten, GlobalAvgPool, Linear
from archcost.ops.base import Op


def chain(net: Builder, x: Tensor, *layers: Op) -> Tensor:
    """Add ``layers`` one after the other, named "0", "1", ... as in a framework's Sequential."""
    for index, op in enumerate(layers):
        x = net(op, x, name=str(index))
    return x


def pooled_classifier(
    net: Builder, x: Tensor, num_classes: int, pool: str = "avgpool", name: str = "fc", *, functional: bool = False
) -> Tensor:
    """Add the head of most networks since 2014: global average pooling, flatten, one dense layer.

    Args:
        net: the graph that is being built.
        x: the last feature map.
        num_classes: outputs of the dense layer.
        pool: name of the pooling.
        name: name of the dense layer.
        functional: the mirrored model calls the pooling as a function (see ``Node.call``).
    """
    x = net(GlobalAvgPool(), x, name=pool, call="function" if functional else "module")
    x = net(Flatten(), x, name="flatten", call="function")
    return net(Linear(num_classes), x, name=name)
