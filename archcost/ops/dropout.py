"""Regularisers that are part of the graph: nothing in inference, a random mask in training."""

from __future__ import annotations

from typing import ClassVar

from archcost.cost import NO_COST, Cost
from archcost.errors import OperatorError
from archcost.geometry import Shape, product, shown
from archcost.ops.base import ElementWise, Saved, operator


@operator
class RandomMask(ElementWise):
    """What dropout and drop path share.

    Args:
        rate: probability that an element (or a whole sample's branch) is set to zero; the rest is divided by 1 - rate.
    """

    family: ClassVar[str] = "dropout"
    makes_tensor: ClassVar[bool] = False
    saved_for_input: ClassVar[frozenset[Saved]] = frozenset({"mask"})
    rate: float = 0.5

    def __post_init__(self) -> None:
        if isinstance(self.rate, bool) or not isinstance(self.rate, (int, float)) or not 0 <= self.rate < 1:
            raise OperatorError(f"`rate` (={shown(self.rate)}) must be a number from 0 to below 1")

    def cost(self, *inputs: Shape, training: bool = False) -> Cost:
        return Cost(0, product(self.one(inputs))) if training else NO_COST


class Dropout(RandomMask):
    """Sets elements to zero at random (Srivastava et al. 2014), scaled so that inference needs no change."""


class DropPath(RandomMask):
    """Sets a sample's whole branch to zero at random: stochastic depth (Huang et al. 2016)."""

    saved_for_input: ClassVar[frozenset[Saved]] = frozenset()
