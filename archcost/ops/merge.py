"""Operators that join or cut tensors: addition, multiplication, concatenation, split."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from archcost.cost import ELEMENT_RULES, NO_COST, BackwardCost, Cost
from archcost.errors import OperatorError
from archcost.geometry import Shape, product, shape_text, shown, whole, wholes
from archcost.ops.base import Free, ParameterFree, Saved, operator


def broadcast(inputs: Sequence[Shape]) -> Shape:
    """Return the shape that ``inputs`` of one rank broadcast to: on each axis, sizes are equal or 1.

    Raises:
        OperatorError: if they do not fit.
    """
    result = []
    if any(len(shape) != len(inputs[0]) for shape in inputs):
        raise OperatorError(f"inputs {_texts(inputs)} must have the same number of axes")
    for sizes in zip(*inputs):
        largest = max(sizes)
        if any(size not in (1, largest) for size in sizes):
            raise OperatorError(f"inputs {_texts(inputs)} do not broadcast: sizes on an axis must be equal or 1")
        result.append(largest)
    return tuple(result)


def _texts(inputs: Sequence[Shape]) -> str:
    return " and ".join(shape_text(shape) for shape in inputs)


@operator
class Broadcasting(ParameterFree):
    """What addition and multiplication share: any number of inputs, broadcast to one output shape."""

    family: ClassVar[str] = "merge"
    arity: ClassVar[int | None] = None

    def out_shape(self, *inputs: Shape) -> Shape:
        return broadcast(inputs)

    def cost(self, *inputs: Shape, training: bool = False) -> Cost:
        rule = ELEMENT_RULES[type(self).__name__]
        return Cost(0, rule.forward * (len(inputs) - 1) * product(broadcast(inputs)))

    def backward_cost(self, *inputs: Shape, trainable: bool = True) -> BackwardCost:
        """Per output element the rule's operations, and for a broadcast input one addition less than it was read."""
        output = product(broadcast(inputs))
        own = ELEMENT_RULES[type(self).__name__].backward * (len(inputs) - 1) * output
        return BackwardCost(tuple(Cost(0, own + output - product(shape)) for shape in inputs), NO_COST)


class Add(Broadcasting):
    """Sum of the inputs: the residual connection."""


class Mul(Broadcasting):
    """Product of the inputs; (C, 1, 1) times (C, H, W) scales channels, the gate of SE blocks (Hu et al. 2018)."""

    saved_for_input: ClassVar[frozenset[Saved]] = frozenset({"input"})


@operator
class Concat(Free):
    """Inputs one after the other along ``axis`` (0: channels)."""

    family: ClassVar[str] = "merge"
    arity: ClassVar[int | None] = None
    axis: int = 0

    def out_shape(self, *inputs: Shape) -> Shape:
        axis = checked_axis(self.axis, inputs[0])
        others = {(*shape[:axis], *shape[axis + 1 :]) for shape in inputs if len(shape) == len(inputs[0])}
        if len(others) != 1 or any(len(shape) != len(inputs[0]) for shape in inputs):
            raise OperatorError(f"inputs {_texts(inputs)} must agree on every axis but `axis` (={self.axis})")
        return *inputs[0][:axis], sum(shape[axis] for shape in inputs), *inputs[0][axis + 1 :]


@operator
class Split(Free):
    """Part ``index`` of an input cut along ``axis`` into ``sections`` (sizes): a view.

    A cut into n parts is n nodes, so that every node has one output.
    """

    family: ClassVar[str] = "merge"
    makes_tensor: ClassVar[bool] = False
    sections: tuple[int, ...]
    index: int
    axis: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "sections", wholes("sections", self.sections))
        if not 0 <= whole("index", self.index, 0) < len(self.sections):
            raise OperatorError(f"`index` (={self.index}) must be below the number of `sections` (={self.sections})")

    def out_shape(self, *inputs: Shape) -> Shape:
        shape = self.one(inputs)
        axis = checked_axis(self.axis, shape)
        if sum(self.sections) != shape[axis]:
            raise OperatorError(f"`sections` (={self.sections}) must add up to {shape[axis]}, the size of the axis")
        return *shape[:axis], self.sections[self.index], *shape[axis + 1 :]


def checked_axis(axis: int, shape: Shape, name: str = "axis") -> int:
    """Return ``axis`` counted from the front. Raises OperatorError if ``shape`` has no such axis."""
    if isinstance(axis, bool) or not isinstance(axis, int) or not -len(shape) <= axis < len(shape):
        raise OperatorError(f"`{name}` (={shown(axis)}) must be below the {len(shape)} axes of {shape_text(shape)}")
    return axis % len(shape)
