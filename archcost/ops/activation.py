"""Activations: one input, an output of its shape, a fixed number of operations per element (``cost.ELEMENT_RULES``).

A class without fields of its own is not decorated again: what the frozen base generates holds for it, and every
generated class costs start-up time.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from archcost.cost import GELU_TANH, NO_COST, BackwardCost, Cost
from archcost.errors import OperatorError
from archcost.geometry import Shape, number, product, shown
from archcost.ops.base import ElementWise, Saved, operator
from archcost.ops.merge import checked_axis


@operator
class Activation(ElementWise):
    """Base of the activations; most of their gradients follow from the output alone."""

    family: ClassVar[str] = "activation"
    saved_for_input: ClassVar[frozenset[Saved]] = frozenset({"output"})

    def label(self, *inputs: Shape) -> str:
        return type(self).__name__


class NeedsInput(Activation):
    """An activation whose gradient cannot be had from its output."""

    saved_for_input: ClassVar[frozenset[Saved]] = frozenset({"input"})


class ReLU(Activation):
    """max(x, 0)."""


class ReLU6(Activation):
    """min(max(x, 0), 6) (Howard et al. 2017)."""


class Sigmoid(Activation):
    """1 / (1 + exp(-x))."""


@operator
class HardSigmoid(Activation):
    """min(max(``slope`` * x + ``offset``, 0), 1); by default min(max(x + 3, 0), 6) / 6 (Howard et al. 2019)."""

    slope: float = 1.0 / 6.0
    offset: float = 0.5

    def __post_init__(self) -> None:
        number("slope", self.slope)
        number("offset", self.offset)


class Tanh(Activation):
    """Hyperbolic tangent."""


@operator
class ScaledTanh(Activation):
    """1.7159 tanh(2x/3), the squashing function of LeNet-5 (LeCun et al. 1998, equation 6)."""

    amplitude: float = 1.7159
    slope: float = 2.0 / 3.0

    def __post_init__(self) -> None:
        number("amplitude", self.amplitude)
        number("slope", self.slope)


class SiLU(NeedsInput):
    """x * sigmoid(x), also called swish."""


class HardSwish(NeedsInput):
    """x * HardSigmoid(x) (Howard et al. 2019)."""


@operator
class GELU(NeedsInput):
    """x * Phi(x) with the normal distribution function (Hendrycks & Gimpel 2016).

    Args:
        approximate: "none" takes Phi by erf; "tanh" by (1 + tanh(sqrt(2/pi) * (x + 0.044715 * x^3))) / 2.
    """

    approximate: Literal["none", "tanh"] = "none"

    def __post_init__(self) -> None:
        if self.approximate not in ("none", "tanh"):
            raise OperatorError(f"`approximate` (={shown(self.approximate)}) must be 'none' or 'tanh'")

    def cost(self, *inputs: Shape, training: bool = False) -> Cost:
        if self.approximate == "none":
            return super().cost(*inputs, training=training)
        return Cost(0, GELU_TANH.forward * product(self.one(inputs)))

    def backward_cost(self, *inputs: Shape, trainable: bool = True) -> BackwardCost:
        if self.approximate == "none":
            return super().backward_cost(*inputs, trainable=trainable)
        return BackwardCost((Cost(0, GELU_TANH.backward * product(self.one(inputs))),), NO_COST)


@operator
class Softmax(Activation):
    """exp(x) / sum of exp(x) along ``axis`` of one image's tensor: 0 the channels, -1 the last axis."""

    axis: int = -1

    def out_shape(self, *inputs: Shape) -> Shape:
        checked_axis(self.axis, self.one(inputs))
        return inputs[0]
