"""Activations: one input, an output of its shape, a fixed number of operations per element (``cost.ELEMENT_RULES``).

A class without fields of its own is not decorated again: what the frozen base generates holds for it, and every
generated class costs start-up time.
"""

from __future__ import annotations

from typing import ClassVar

from archcost.geometry import Shape, number, outer_axis
from archcost.ops.base import ElementWise, Saved, operator


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


class HardSigmoid(Activation):
    """min(max(x + 3, 0), 6) / 6 (Howard et al. 2019)."""


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


class GELU(NeedsInput):
    """x * Phi(x) with the normal distribution function, by erf (Hendrycks & Gimpel 2016)."""


@operator
class Softmax(Activation):
    """exp(x) / sum of exp(x) along ``axis`` of one image's tensor: 0 the channels, -1 the last axis."""

    axis: int = -1

    def __post_init__(self) -> None:
        outer_axis(self.axis)
