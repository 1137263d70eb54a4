"""Dense layers."""

from __future__ import annotations

from typing import ClassVar

from archcost.cost import NO_COST, BackwardCost, Cost
from archcost.geometry import Shape, product, whole
from archcost.ops.base import ParameterFree, Saved, Tensors, operator
from archcost.ops.conv import Multiplying


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
