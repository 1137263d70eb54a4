"""What is counted, and how: the only definitions of the project.

``DEFINITIONS`` is printed under every table; ``ELEMENT_RULES`` is the published table of the per-element arithmetic of
every operator that is not a convolution or dense layer. The operators read their constants from here.

All counts are exact integers for one image; the batch is a separate, stated factor.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

DEFINITIONS: dict[str, str] = {
    "params": "learnable scalars; BatchNorm running statistics are buffers, counted apart; a shared tensor counts once",
    "mult-adds": "multiply-accumulates of convolution and dense layers, padding taps included; nothing else",
    "FLOPs": "2 x mult-adds + the per-element arithmetic of every other operator (BatchNorm 2, ReLU 1, add 1, "
    "pooling 1 per tap, ...); a bias starts the accumulator and costs nothing more",
    "activations": "output elements of all operators that make a new tensor",
    "memory": "unfused and out of place: peak = most tensor elements alive at once, by liveness",
}


class ElementRule(NamedTuple):
    """Operations per element of an operator: forward in inference, backward to its input, and what they are."""

    forward: int
    backward: int
    text: str


ELEMENT_RULES: dict[str, ElementRule] = {
    "ReLU": ElementRule(1, 1, "compare with 0; backward: select"),
    "ReLU6": ElementRule(2, 2, "compare with 0 and 6; backward: two selects"),
    "Sigmoid": ElementRule(4, 3, "negate, exp, add, divide; backward: g*y*(1-y)"),
    "HardSigmoid": ElementRule(4, 3, "add, compare twice, multiply; backward: two selects, multiply"),
    "SiLU": ElementRule(5, 9, "sigmoid, multiply; backward: sigmoid again, g*s*(1+x*(1-s))"),
    "HardSwish": ElementRule(5, 5, "hard sigmoid, multiply; backward: slope 2x+3 over 6 between -3 and 3"),
    "GELU": ElementRule(5, 11, "scale, erf, add, two multiplies; backward: cdf again, x * density, add, multiply"),
    "Tanh": ElementRule(1, 3, "tanh; backward: g*(1-y*y)"),
    "ScaledTanh": ElementRule(3, 4, "scale, tanh, scale; backward: g*A*S*(1-t*t)"),
    "LeakyReLU": ElementRule(2, 2, "compare with 0, multiply; backward: select, multiply"),
    "PReLU": ElementRule(2, 2, "compare with 0, multiply; backward: select, multiply (and 3 for the slope's gradient)"),
    "ELU": ElementRule(4, 4, "compare, exp, subtract, multiply; backward: select, exp, two multiplies"),
    "SELU": ElementRule(5, 4, "compare, exp, subtract, two multiplies; backward: select, exp, two multiplies"),
    "CELU": ElementRule(5, 4, "compare, divide, exp, subtract, multiply; backward: select, divide, exp, multiply"),
    "Clip": ElementRule(2, 2, "compare with each bound that there is; backward: a select for each"),
    "Mish": ElementRule(5, 11, "exp, add, log, tanh, multiply; backward: t and e/(1+e) again, g*(t+x*s*(1-t*t))"),
    "Softplus": ElementRule(3, 5, "exp, add, log; backward: g*sigmoid(x)"),
    "Softsign": ElementRule(3, 4, "absolute value, add, divide; backward: g over the square of the sum"),
    "Exp": ElementRule(1, 1, "exp; backward: g*y"),
    "Log": ElementRule(1, 1, "log; backward: g/x"),
    "Sqrt": ElementRule(1, 2, "square root; backward: g/2/y"),
    "Erf": ElementRule(1, 5, "erf; backward: square, negate, exp, scale, multiply"),
    "Abs": ElementRule(1, 1, "absolute value; backward: select the sign"),
    "Neg": ElementRule(1, 1, "negate, both ways"),
    "Softmax": ElementRule(5, 4, "maximum, subtract, exp, sum, divide; backward: y*(g-sum(g*y))"),
    "LogSoftmax": ElementRule(5, 4, "maximum, subtract, exp, sum, subtract; backward: g-exp(y)*sum(g)"),
    "BatchNorm2d": ElementRule(2, 4, "multiply, add (statistics folded to scale and shift); backward: y's three terms"),
    "LayerNorm": ElementRule(7, 8, "mean, subtract, square, sum, divide, scale, shift; backward: as BatchNorm"),
    "InstanceNorm": ElementRule(7, 8, "as LayerNorm, over the positions of each channel"),
    "Add": ElementRule(1, 0, "one addition for each input after the first; backward: the gradient is passed on"),
    "Mul": ElementRule(1, 1, "one multiplication for each input after the first; backward: one, plus the reduction "
                             "over a broadcast axis"),
    "Sub": ElementRule(1, 1, "subtract; backward: the first gradient is passed on, the second negated"),
    "Div": ElementRule(1, 4, "divide; backward: divide for the first input, -g*a/(b*b) for the second"),
    "Pow": ElementRule(1, 4, "power; backward: g*b*a^(b-1) for the base, g*a^b*log(a) for the exponent"),
    "Minimum": ElementRule(1, 1, "one comparison for each input after the first; backward: as many selects"),
    "Maximum": ElementRule(1, 1, "one comparison for each input after the first; backward: as many selects"),
    "Mean": ElementRule(1, 1, "for each input: all additions but one, and one multiplication; backward: multiply"),
    "Scale": ElementRule(1, 1, "multiply; backward: multiply (and 2 per element for the scale's own gradient)"),
    "ConstantScale": ElementRule(1, 1, "multiply; backward: multiply"),
    "Dropout": ElementRule(0, 1, "inference: nothing; training: multiply by the scaled mask, both ways"),
    "DropPath": ElementRule(0, 1, "inference: nothing; training: multiply by the scaled mask, both ways"),
    "Quantize": ElementRule(5, 1, "divide, round, add the zero point, compare with both ends; backward: passed through "
                                  "where it is inside"),
    "Dequantize": ElementRule(2, 1, "subtract the zero point, multiply; backward: multiply"),
}  # fmt: skip

GELU_TANH = ElementRule(8, 16, "two multiplies, add, multiply, tanh, add, two multiplies; backward: all but the last "
                               "again, and the derivative of the product")  # fmt: skip
"""The rule of a GELU by tanh instead of erf."""

POOL_OPS_PER_TAP = 1
"""Maximum, or addition to the average: one operation for each window position and tap."""

LP_POOL_OPS_PER_TAP = 2
"""Power of the absolute value, addition; and one root for each window position."""

LP_POOL_BACKWARD_OPS_PER_TAP = 3
"""Power of the absolute value, multiply, add; and two for each window position: a power of the output, multiply."""

BATCH_NORM_TRAINING_OPS = 8
"""Per element, training: mean 1, variance 3, normalise 2, scale and shift 2."""

BATCH_NORM_STATISTICS_OPS = 4
"""Of these, the mean and the variance: recomputation keeps them."""

BATCH_NORM_PARAMETER_OPS = 5
"""Per element, training: normalise again 2, gradient of the scale 2, of the shift 1."""

LAYER_NORM_AFFINE_OPS = 2
"""Of the LayerNorm rule above, what scale and shift cost: a LayerNorm without them is cheaper by this."""

NORM_PARAMETER_OPS = 3
"""Per element, gradients of a LayerNorm's scale (2) and shift (1)."""


@dataclass(frozen=True)
class Cost:
    """Exact work of one operator on one image.

    Attributes:
        mult_adds: multiply-accumulates of a convolution or dense layer.
        element_ops: arithmetic operations that are not part of a mult-add.
    """

    mult_adds: int = 0
    element_ops: int = 0

    @property
    def flops(self) -> int:
        """2 x mult-adds + per-element operations."""
        return 2 * self.mult_adds + self.element_ops

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.mult_adds + other.mult_adds, self.element_ops + other.element_ops)


@dataclass(frozen=True)
class BackwardCost:
    """Work of one operator's backward pass on one image.

    Attributes:
        inputs: the gradient to each input, in the order of the inputs (an input that needs none is left out by the
            report, not here).
        params: the gradient to the operator's own parameters.
    """

    inputs: tuple[Cost, ...]
    params: Cost


NO_COST = Cost()


class OptimizerRule(NamedTuple):
    """What an optimizer keeps and does for each trained parameter."""

    state: int
    operations: int
    text: str


OPTIMIZERS: dict[str, OptimizerRule] = {
    "sgd": OptimizerRule(0, 2, "w - lr*g"),
    "momentum": OptimizerRule(1, 5, "v = b*v + (1-b)*g; w - lr*v"),
    "momentum-standard": OptimizerRule(1, 4, "v = b*v + g; w - lr*v"),
    "nesterov": OptimizerRule(1, 6, "v = b*v + g; w - lr*(g + b*v)"),
    "rmsprop": OptimizerRule(1, 9, "s = b*s + (1-b)*g*g; w - lr*g/(sqrt(s)+eps)"),
    "adam": OptimizerRule(2, 12, "m = b1*m + (1-b1)*g; s = b2*s + (1-b2)*g*g; w - lr_t*m/(sqrt(s)+eps)"),
    "adamw": OptimizerRule(2, 14, "as adam, and w - lr*decay*w"),
}
"""Optimizer -> state values and operations per trained parameter (bias corrections fold into the step size lr_t)."""

BYTES: dict[str, int] = {"float64": 8, "float32": 4, "float16": 2, "bfloat16": 2, "int8": 1}
"""Bytes of one element, by element type."""

INDEX_BYTES = 4
"""Bytes of the position that max pooling keeps for each output, for its backward pass."""

MASK_BYTES = 1
"""Bytes of an element of a dropout mask."""
