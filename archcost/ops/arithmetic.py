"""Arithmetic of tensors that broadcast: difference, quotient, power, extremes, mean."""

from __future__ import annotations

from typing import ClassVar

from archcost.cost import ELEMENT_RULES, NO_COST, BackwardCost, Cost
from archcost.geometry import Shape, product
from archcost.ops.base import Saved, operator
from archcost.ops.merge import Broadcasting, broadcast


@operator
class OfTwo(Broadcasting):
    """What the operators of exactly two inputs share: the gradient to each input costs what the class says.

    Both are per element of the output; a broadcast input adds one addition less for each element than it was read.
    """

    arity: ClassVar[int | None] = 2
    to_each: ClassVar[tuple[int, int]]

    def backward_cost(self, *inputs: Shape, trainable: bool = True) -> BackwardCost:
        output = product(broadcast(inputs))
        own = zip(self.to_each, inputs)
        return BackwardCost(tuple(Cost(0, (each + 1) * output - product(shape)) for each, shape in own), NO_COST)


class Sub(OfTwo):
    """The first input minus the second."""

    to_each: ClassVar[tuple[int, int]] = (0, 1)


class Div(OfTwo):
    """The first input over the second."""

    to_each: ClassVar[tuple[int, int]] = (1, 4)
    saved_for_input: ClassVar[frozenset[Saved]] = frozenset({"input"})


class Pow(OfTwo):
    """The first input to the power of the second.

    The gradient to the exponent is 0 where the base is 0 or negative, where the logarithm has no value.
    """

    to_each: ClassVar[tuple[int, int]] = (4, 4)
    saved_for_input: ClassVar[frozenset[Saved]] = frozenset({"input"})


class Minimum(Broadcasting):
    """The smallest of the inputs, element by element; the gradient goes to the first of equal ones."""

    saved_for_input: ClassVar[frozenset[Saved]] = frozenset({"input"})


class Maximum(Broadcasting):
    """The largest of the inputs, element by element; the gradient goes to the first of equal ones."""

    saved_for_input: ClassVar[frozenset[Saved]] = frozenset({"input"})


class Mean(Broadcasting):
    """The mean of the inputs, element by element: n - 1 additions and one multiplication of each output element."""

    def cost(self, *inputs: Shape, training: bool = False) -> Cost:
        return Cost(0, ELEMENT_RULES["Mean"].forward * len(inputs) * product(broadcast(inputs)))

    def backward_cost(self, *inputs: Shape, trainable: bool = True) -> BackwardCost:
        output = product(broadcast(inputs))
        own = ELEMENT_RULES["Mean"].backward * output
        return BackwardCost(tuple(Cost(0, own + output - product(shape)) for shape in inputs), NO_COST)
