"""Dense layers."""

from __future__ import annotations

from typing import ClassVar

from archcost.cost import NO_COST, BackwardCost, Cost
from archcost.errors import OperatorError
from archcost.geometry import Shape, product, shape_text, whole
from archcost.ops.base import ParameterFree, Saved, Tensors, operator
from archcost.ops.conv import Multiplying
from archcost.ops.merge import broadcast


@operator
class Linear(Multiplying):
    """Dense layer on the last axis: (..., in_features) -> (..., out_features); weight (out_features, in_features)."""

    family: ClassVar[str] = "dense"
    out_features: int
    bias: bool = True

    def __post_init__(self) -> None:
        whole("out_features", self.out_features)

    def out_shape(self, *inputs: Shape) -> Shape:
        return *self.one(inputs)[:-1], self.out_features

    def params(self, *inputs: Shape) -> Tensors:
        weight = (self.out_features, inputs[0][-1])
        return {"weight": weight, "bias": (self.out_features,)} if self.bias else {"weight": weight}

    def cost(self, *inputs: Shape, training: bool = False) -> Cost:
        return Cost(product(inputs[0]) * self.out_features)

    def label(self, *inputs: Shape) -> str:
        return "dense"


@operator
class MatMul(ParameterFree):
    """Product of two tensors: (..., M, K) times (..., K, N) is (..., M, N), with the axes in front broadcast.

    Backward, each product of an element of one input and one of the other is done once for the gradient to either; a
    broadcast input adds one addition less for each element than it was read.
    """

    family: ClassVar[str] = "dense"
    arity: ClassVar[int | None] = 2
    saved_for_input: ClassVar[frozenset[Saved]] = frozenset({"input"})

    def out_shape(self, *inputs: Shape) -> Shape:
        if len(inputs) != 2:
            raise OperatorError(f"MatMul takes two inputs, not {len(inputs)}")
        first, second = inputs
        if len(first) != len(second) or len(first) < 2 or first[-1] != second[-2]:
            raise OperatorError(
                f"inputs {shape_text(first)} and {shape_text(second)} must be (..., M, K) and (..., K, N), "
                "of the same number of axes"
            )
        return *broadcast((first[:-2], second[:-2])), first[-2], second[-1]

    def cost(self, *inputs: Shape, training: bool = False) -> Cost:
        return Cost(product(self.out_shape(*inputs)) * inputs[0][-1])

    def backward_cost(self, *inputs: Shape, trainable: bool = True) -> BackwardCost:
        output = self.out_shape(*inputs)
        products = product(output) * inputs[0][-1]
        read = [product((*output[:-2], *shape[-2:])) for shape in inputs]
        costs = tuple(Cost(products, times - product(shape)) for times, shape in zip(read, inputs))
        return BackwardCost(costs, NO_COST)

    def label(self, *inputs: Shape) -> str:
        return "matrix product"


@operator
class RadialBasis(ParameterFree):
    """Squared distance to ``out_features`` fixed prototypes: the output layer of LeNet-5 (LeCun et al. 1998, II.B).

    The prototypes are drawings of the digits, chosen by hand and not trained: buffers, not parameters. Subtract, square
    and add: three operations for each prototype element, none of them a mult-add of a dense layer.
    """

    family: ClassVar[str] = "dense"
    saved_for_input: ClassVar[frozenset[Saved]] = frozenset({"input"})
    out_features: int

    def __post_init__(self) -> None:
        whole("out_features", self.out_features)

    def out_shape(self, *inputs: Shape) -> Shape:
        return *self.one(inputs)[:-1], self.out_features

    def buffers(self, *inputs: Shape) -> Tensors:
        return {"prototypes": (self.out_features, inputs[0][-1])}

    def cost(self, *inputs: Shape, training: bool = False) -> Cost:
        return Cost(0, 3 * product(inputs[0]) * self.out_features)

    def backward_cost(self, *inputs: Shape, trainable: bool = True) -> BackwardCost:
        return BackwardCost((Cost(0, 3 * product(inputs[0]) * self.out_features),), NO_COST)

    def label(self, *inputs: Shape) -> str:
        return "radial basis"
