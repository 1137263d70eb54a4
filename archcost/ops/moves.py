"""Operators that pick, repeat or regroup elements. Only their gradients compute: an element read twice sums two."""

from __future__ import annotations

from typing import ClassVar, Literal

from archcost.cost import NO_COST, BackwardCost, Cost
from archcost.errors import OperatorError
from archcost.geometry import LARGEST_SIZE, Shape, product, shape_text, shown, whole, wholes
from archcost.ops.base import operator
from archcost.ops.merge import checked_axis
from archcost.ops.reshape import Copy


@operator
class Gather(Copy):
    """Elements of ``axis`` at ``indices``, in their order; negative ones count from the end.

    Args:
        axis: axis of one image's tensor.
        indices: which elements, in the order of ``shape``.
        shape: the axes that take the place of ``axis``; the empty one removes it (a single index). Where no axis is
            left, the output is of shape (1,).
    """

    axis: int
    indices: tuple[int, ...]
    shape: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "indices", wholes("indices", self.indices, -LARGEST_SIZE))
        object.__setattr__(self, "shape", wholes("shape", self.shape))
        if product(self.shape) != len(self.indices):
            raise OperatorError(f"`shape` (={shown(self.shape)}) must hold the {len(self.indices)} `indices`")

    def out_shape(self, *inputs: Shape) -> Shape:
        shape = self.one(inputs)
        axis = checked_axis(self.axis, shape)
        size = shape[axis]
        beyond = next((index for index in self.indices if not -size <= index < size), None)
        if beyond is not None:
            raise OperatorError(f"`indices` (={beyond}) must be below {size}, the size of the axis")
        return (*shape[:axis], *self.shape, *shape[axis + 1 :]) or (1,)

    def backward_cost(self, *inputs: Shape, trainable: bool = True) -> BackwardCost:
        size = inputs[0][checked_axis(self.axis, inputs[0])]
        again = len(self.indices) - len({index % size for index in self.indices})
        return BackwardCost((Cost(0, again * (product(inputs[0]) // size)),), NO_COST)


@operator
class Expand(Copy):
    """The input repeated to ``shape``: axes of size 1 are read again and again, axes in front may be new."""

    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", wholes("shape", self.shape))
        if not self.shape:
            raise OperatorError("`shape` must have at least one axis")

    def out_shape(self, *inputs: Shape) -> Shape:
        shape = self.one(inputs)
        last = self.shape[len(self.shape) - len(shape) :]
        if len(shape) > len(self.shape) or any(size not in (1, wanted) for size, wanted in zip(shape, last)):
            raise OperatorError(f"`shape` (={self.shape}) is nothing that {shape_text(shape)} broadcasts to")
        return self.shape

    def backward_cost(self, *inputs: Shape, trainable: bool = True) -> BackwardCost:
        return BackwardCost((Cost(0, product(self.shape) - product(inputs[0])),), NO_COST)


@operator
class Blocks(Copy):
    """What both rearrangements share: ``block`` rows by ``block`` columns of positions stand for channels."""

    block: int

    def __post_init__(self) -> None:
        whole("block", self.block)


@operator
class DepthToSpace(Blocks):
    """Channels become blocks of positions: (C, H, W) -> (C / block^2, H * block, W * block) (Shi et al. 2016).

    Args:
        block: rows and columns of a block.
        mode: which channel holds place (i, j) of a block of output channel c: (i * block + j) * C / block^2 + c with
            "DCR", c * block^2 + i * block + j with "CRD" (PyTorch's PixelShuffle).
    """

    mode: Literal["DCR", "CRD"] = "DCR"
    MODES: ClassVar[tuple[str, str]] = ("DCR", "CRD")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.mode not in self.MODES:
            raise OperatorError(f"`mode` (={shown(self.mode)}) must be 'DCR' or 'CRD'")

    def out_shape(self, *inputs: Shape) -> Shape:
        channels, height, width = self.image(inputs)
        if channels % self.block**2:
            raise OperatorError(f"the square of `block` (={self.block}) must divide the {channels} input channels")
        return channels // self.block**2, height * self.block, width * self.block


class SpaceToDepth(Blocks):
    """Blocks of positions become channels: (C, H, W) -> (C * block^2, H / block, W / block).

    Place (i, j) of the blocks of channel c goes to channel (i * block + j) * C + c: the inverse of DepthToSpace "DCR".
    """

    def out_shape(self, *inputs: Shape) -> Shape:
        channels, height, width = self.image(inputs)
        if height % self.block or width % self.block:
            raise OperatorError(f"`block` (={self.block}) must divide the {height}x{width} positions")
        return channels * self.block**2, height // self.block, width // self.block
