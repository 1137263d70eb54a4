"""Further functions of each element: leaky and exponential rectifiers, clipping, and the elementary functions.

As the activations, they keep the shape and cost a fixed number of operations per element (``cost.ELEMENT_RULES``).
"""

from __future__ import annotations

from typing import ClassVar

from archcost.cost import ELEMENT_RULES, NO_COST, BackwardCost, Cost
from archcost.errors import OperatorError
from archcost.geometry import Shape, number, product
from archcost.ops.activation import Activation, NeedsInput
from archcost.ops.base import ElementWise, Op, Saved, Tensors, operator
from archcost.ops.merge import checked_axis


@operator
class LeakyReLU(NeedsInput):
    """x for x > 0, else ``slope`` * x (Maas et al. 2013)."""

    slope: float = 0.01

    def __post_init__(self) -> None:
        number("slope", self.slope)


@operator
class PReLU(Op):
    """x for x > 0, else a learned slope times x (He et al. 2015): one slope for each channel, the first axis.

    Args:
        shared: learn one slope for all channels.
    """

    family: ClassVar[str] = "activation"
    saved_for_input: ClassVar[frozenset[Saved]] = frozenset({"input"})
    saved_for_params: ClassVar[frozenset[Saved]] = frozenset({"input"})
    shared: bool = False

    def out_shape(self, *inputs: Shape) -> Shape:
        shape = self.one(inputs)
        if not shape:
            raise OperatorError("PReLU needs an input of at least one axis")
        return shape

    def params(self, *inputs: Shape) -> Tensors:
        return {"weight": (1,) if self.shared else inputs[0][:1]}

    def cost(self, *inputs: Shape, training: bool = False) -> Cost:
        return Cost(0, ELEMENT_RULES["PReLU"].forward * product(inputs[0]))

    def backward_cost(self, *inputs: Shape, trainable: bool = True) -> BackwardCost:
        elements = product(inputs[0])
        to_params = Cost(0, PRELU_PARAMETER_OPS * elements) if trainable else NO_COST
        return BackwardCost((Cost(0, ELEMENT_RULES["PReLU"].backward * elements),), to_params)


PRELU_PARAMETER_OPS = 3
"""Per element, the gradient of a slope: select, multiply by the input, add."""


@operator
class ELU(NeedsInput):
    """x for x > 0, else ``alpha`` * (exp(x) - 1) (Clevert et al. 2016)."""

    alpha: float = 1.0

    def __post_init__(self) -> None:
        number("alpha", self.alpha)


@operator
class SELU(NeedsInput):
    """``gamma`` * x for x > 0, else ``gamma`` * ``alpha`` * (exp(x) - 1) (Klambauer et al. 2017)."""

    alpha: float = 1.6732632423543772
    gamma: float = 1.0507009873554805

    def __post_init__(self) -> None:
        number("alpha", self.alpha)
        number("gamma", self.gamma)


@operator
class CELU(NeedsInput):
    """x for x > 0, else ``alpha`` * (exp(x / alpha) - 1) (Barron 2017)."""

    alpha: float = 1.0

    def __post_init__(self) -> None:
        if not number("alpha", self.alpha):
            raise OperatorError("`alpha` (=0) must not be 0: the input is divided by it")


@operator
class Clip(Activation):
    """min(max(x, low), high); None leaves a side open, and a ``high`` below ``low`` is the result everywhere.

    One comparison for each bound, forward and backward; the gradient is 0 where the result is a bound.
    """

    low: float | None = None
    high: float | None = None

    def __post_init__(self) -> None:
        for name in ("low", "high"):
            if getattr(self, name) is not None:
                number(name, getattr(self, name))

    @property
    def bounds(self) -> int:
        """Number of sides that are bounded: 0, 1 or 2."""
        return (self.low is not None) + (self.high is not None)

    def cost(self, *inputs: Shape, training: bool = False) -> Cost:
        return Cost(0, self.bounds * product(self.one(inputs)))

    def backward_cost(self, *inputs: Shape, trainable: bool = True) -> BackwardCost:
        return BackwardCost((Cost(0, self.bounds * product(self.one(inputs))),), NO_COST)


class Mish(NeedsInput):
    """x * tanh(log(1 + exp(x))) (Misra 2019)."""


class Softplus(NeedsInput):
    """log(1 + exp(x))."""


class Softsign(NeedsInput):
    """x / (1 + abs(x))."""


@operator
class LogSoftmax(Activation):
    """The logarithm of Softmax: x minus the logarithm of the sum of exp(x), along ``axis`` of one image's tensor."""

    axis: int = -1

    def out_shape(self, *inputs: Shape) -> Shape:
        checked_axis(self.axis, self.one(inputs))
        return inputs[0]


class Exp(Activation):
    """e^x."""


class Log(NeedsInput):
    """Natural logarithm."""


class Sqrt(Activation):
    """Square root."""


class Erf(NeedsInput):
    """The error function, 2/sqrt(pi) times the integral of exp(-t*t) from 0 to x."""


class Abs(NeedsInput):
    """Absolute value."""


@operator
class Neg(ElementWise):
    """-x."""

    family: ClassVar[str] = "activation"
