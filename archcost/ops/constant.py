"""Tensors that no input determines: the same for every image."""

from __future__ import annotations

from typing import ClassVar

from archcost.cost import NO_COST, BackwardCost, Cost
from archcost.errors import OperatorError
from archcost.geometry import Shape, product, wholes
from archcost.ops.base import NOTHING, Op, Tensors, operator


@operator
class Stored(Op):
    """What both share: no input, no work, and no new tensor, since the output is what is stored."""

    family: ClassVar[str] = "constant"
    arity: ClassVar[int | None] = 0
    makes_tensor: ClassVar[bool] = False
    shape: Shape

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", wholes("shape", self.shape))
        if not self.shape:
            raise OperatorError("`shape` must have at least one axis")

    def out_shape(self, *inputs: Shape) -> Shape:
        return self.shape

    def params(self, *inputs: Shape) -> Tensors:
        return NOTHING

    def cost(self, *inputs: Shape, training: bool = False) -> Cost:
        return NO_COST

    def backward_cost(self, *inputs: Shape, trainable: bool = True) -> BackwardCost:
        return BackwardCost((), NO_COST)


class Parameter(Stored):
    """A learned tensor of ``shape``; its gradient adds up what each image's output gives (one addition an element)."""

    def params(self, *inputs: Shape) -> Tensors:
        return {"weight": self.shape}

    def backward_cost(self, *inputs: Shape, trainable: bool = True) -> BackwardCost:
        return BackwardCost((), Cost(0, product(self.shape)) if trainable else NO_COST)


class Constant(Stored):
    """A tensor of ``shape`` that is stored but not learned."""

    def buffers(self, *inputs: Shape) -> Tensors:
        return {"value": self.shape}
