"""What the Inception networks with BatchNorm share: a convolution with BatchNorm and ReLU, and branches of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

from archcost.build import Builder, Tensor
from archcost.geometry import IntOrPair, PaddingLike, pair
from archcost.graph import Call
from archcost.ops import BatchNorm2d, Concat, Conv2d, ReLU
from archcost.ops.base import Op

EPSILON = 1e-3
"""BatchNorm's epsilon in all of these networks, since their TensorFlow originals."""


class Unit(NamedTuple):
    """A convolution without bias, BatchNorm and ReLU.

    Attributes:
        channels: output channels.
        kernel: rows and columns.
        stride: step; the networks pad only where it is 1.
        padding: None keeps the map's size at stride 1 and pads nothing at stride 2.
    """

    channels: int
    kernel: IntOrPair
    stride: int = 1
    padding: PaddingLike | None = None

    @property
    def convolution(self) -> Conv2d:
        """The operator."""
        rows, columns = pair("kernel", self.kernel)
        kept: PaddingLike = (rows // 2, columns // 2) if self.stride == 1 else 0
        padding = kept if self.padding is None else self.padding
        return Conv2d(self.channels, self.kernel, stride=self.stride, padding=padding, bias=False)


Calls: TypeAlias = tuple[Call, Call, Call]
"""How a model calls the convolution, the normalisation and the ReLU of a unit."""

MODULE_CALLS: Calls = ("module", "module", "module")

TIMM_CALLS: Calls = ("module", "function", "module")
"""timm's normalisation is part of a module that holds its ReLU."""

TORCHVISION_CALLS: Calls = ("module", "module", "function")

AUXILIARY_CALLS: Calls = ("training", "training", "training")
"""torchvision's auxiliary classifiers rest in inference."""


def unit(net: Builder, x: Tensor, name: str, row: Unit, calls: Calls = MODULE_CALLS) -> Tensor:
    """Add one unit under ``name``.

    Args:
        net: the graph that is being built.
        x: its input.
        name: its scope; the operators in it are conv, bn and relu.
        row: what it is.
        calls: see ``Node.call``.
    """
    with net.scope(name, "conv, BatchNorm, ReLU"):
        x = net(row.convolution, x, name="conv", call=calls[0])
        x = net(BatchNorm2d(eps=EPSILON), x, name="bn", call=calls[1])
        return net(ReLU(), x, name="relu", call=calls[2])


def timm_unit(net: Builder, x: Tensor, name: str, row: Unit) -> Tensor:
    """Add one unit as timm calls it."""
    return unit(net, x, name, row, TIMM_CALLS)


def branch(net: Builder, x: Tensor, name: str, *rows: Unit, calls: Calls = MODULE_CALLS) -> Tensor:
    """Add a branch as torchvision's Inception v3 names it: ``name`` if it has one unit, else name_1, name_2, ..."""
    for number, row in enumerate(rows, start=1):
        x = unit(net, x, name if len(rows) == 1 else f"{name}_{number}", row, calls)
    return x


def mixed(net: Builder, x: Tensor, *branches: Sequence[Unit | Op]) -> Tensor:
    """Add branches side by side, named as timm does: branch0 if it has one layer, else branch1.0, branch1.1, ..."""
    outputs = []
    for index, layers in enumerate(branches):
        y = x
        for place, layer in enumerate(layers):
            name = f"branch{index}" if len(layers) == 1 else f"branch{index}.{place}"
            y = timm_unit(net, y, name, layer) if isinstance(layer, Unit) else net(layer, y, name=name)
        outputs.append(y)
    return net(Concat(), *outputs, name="concat", call="function")
