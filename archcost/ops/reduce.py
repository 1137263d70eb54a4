"""Reductions over any axes: mean, sum, largest and smallest element."""

from __future__ import annotations

from typing import ClassVar

from archcost.cost import NO_COST, POOL_OPS_PER_TAP, BackwardCost, Cost
from archcost.errors import OperatorError
from archcost.geometry import LARGEST_SIZE, Shape, product, wholes
from archcost.ops.base import ParameterFree, Saved, operator
from archcost.ops.merge import checked_axis


@operator
class Reduction(ParameterFree):
    """What all reductions share: as in a pool, one operation for each element that is read.

    Args:
        axes: axes of one image's tensor, negative ones from the end.
        keep_axes: leave the axes in place, of size 1; else drop them. Where none is left, the output is of shape (1,).
    """

    family: ClassVar[str] = "pool"
    axes: tuple[int, ...]
    keep_axes: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "axes", wholes("axes", self.axes, -LARGEST_SIZE))
        if not self.axes:
            raise OperatorError("`axes` must name at least one axis")

    def reduced(self, shape: Shape) -> tuple[int, ...]:
        """Return the axes of ``shape`` that are reduced, counted from the front, in order.

        Raises:
            OperatorError: if ``shape`` has no such axis, or one is named twice.
        """
        found = sorted(checked_axis(axis, shape, "axes") for axis in self.axes)
        if len(set(found)) != len(found):
            raise OperatorError(f"`axes` (={self.axes}) must name no axis twice")
        return tuple(found)

    def out_shape(self, *inputs: Shape) -> Shape:
        shape = self.one(inputs)
        gone = self.reduced(shape)
        if self.keep_axes:
            return tuple(1 if axis in gone else size for axis, size in enumerate(shape))
        return tuple(size for axis, size in enumerate(shape) if axis not in gone) or (1,)

    def cost(self, *inputs: Shape, training: bool = False) -> Cost:
        return Cost(0, POOL_OPS_PER_TAP * product(inputs[0]))


class ReduceMean(Reduction):
    """Mean over ``axes``."""

    def backward_cost(self, *inputs: Shape, trainable: bool = True) -> BackwardCost:
        return BackwardCost((Cost(0, POOL_OPS_PER_TAP * product(inputs[0])),), NO_COST)


class ReduceSum(Reduction):
    """Sum over ``axes``; every element of the gradient is passed on to the elements that it came from."""

    def backward_cost(self, *inputs: Shape, trainable: bool = True) -> BackwardCost:
        return BackwardCost((NO_COST,), NO_COST)


@operator
class Extreme(Reduction):
    """What largest and smallest share: backward, one addition for each output, to the (first) element that it was."""

    saved_for_input: ClassVar[frozenset[Saved]] = frozenset({"indices"})

    def backward_cost(self, *inputs: Shape, trainable: bool = True) -> BackwardCost:
        return BackwardCost((Cost(0, product(self.out_shape(*inputs))),), NO_COST)


class ReduceMax(Extreme):
    """Largest element over ``axes``."""


class ReduceMin(Extreme):
    """Smallest element over ``axes``."""
