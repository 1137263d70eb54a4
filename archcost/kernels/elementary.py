"""Formulas of further element functions and of arithmetic, and of their gradients, in vector code.

As in ``formulas``: a forward formula takes the operator's inputs, a gradient that of the output first; then come the
numbers of the node and, for the names in ``MASKED``, a mask that is 0 for lanes that are no channel.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import reduce
from typing import Any

from archcost.kernels.functions import EPILOGUES, erf, exp, root, sigmoid, tanh
from archcost.kernels.powers import above, choose, equal, expm1, exponential, log1p, logarithm, negative, power
from archcost.kernels.vector import Code, Value

Formula = Callable[..., Any]


def _leaky(code: Code, x: Value, slope: Value) -> Value:
    return choose(code, above(code, x, code.constant(0)), x, code.mul(x, slope))


def _leaky_gradient(code: Code, gradient: Value, x: Value, slope: Value) -> Value:
    return choose(code, above(code, x, code.constant(0)), gradient, code.mul(gradient, slope))


def _slope_products(code: Code, gradient: Value, x: Value) -> Value:
    return choose(code, above(code, x, code.constant(0)), code.constant(0), code.mul(gradient, x))


def _elu(code: Code, x: Value, upper: Value, lower: Value, inner: Value) -> Value:
    """Return upper * x for x > 0, else lower * (exp(inner * x) - 1)."""
    below = code.mul(lower, expm1(code, code.mul(x, inner)))
    return choose(code, above(code, x, code.constant(0)), code.mul(x, upper), below)


def _elu_gradient(code: Code, gradient: Value, x: Value, upper: Value, lower: Value, inner: Value) -> Value:
    below = code.mul(code.mul(lower, inner), exp(code, code.mul(x, inner)))
    return code.mul(gradient, choose(code, above(code, x, code.constant(0)), upper, below))


def _clip(code: Code, x: Value, low: Value, high: Value) -> Value:
    return code.minimum(high, code.maximum(low, x))


def _clip_gradient(code: Code, gradient: Value, output: Value, low: Value, high: Value) -> Value:
    zero = code.constant(0)
    within = choose(code, above(code, output, low), gradient, zero)
    return choose(code, above(code, high, output), within, zero)


def _hard_sigmoid(code: Code, x: Value, slope: Value, offset: Value) -> Value:
    return _clip(code, code.fma(x, slope, offset), code.constant(0), code.constant(1))


def _hard_sigmoid_gradient(code: Code, gradient: Value, output: Value, slope: Value, _: Value) -> Value:
    return _clip_gradient(code, code.mul(gradient, slope), output, code.constant(0), code.constant(1))


GELU_SLOPE, GELU_CUBE = math.sqrt(2 / math.pi), 0.044715


def _gelu_argument(code: Code, x: Value) -> Value:
    inner = code.fma(code.mul(x, x), code.constant(GELU_SLOPE * GELU_CUBE), code.constant(GELU_SLOPE))
    return code.mul(x, inner)


def _gelu_tanh(code: Code, x: Value) -> Value:
    half = code.constant(0.5)
    return code.mul(x, code.fma(tanh(code, _gelu_argument(code, x)), half, half))


def _gelu_tanh_gradient(code: Code, gradient: Value, x: Value) -> Value:
    half, one = code.constant(0.5), code.constant(1)
    value = tanh(code, _gelu_argument(code, x))
    slope = code.fma(code.mul(x, x), code.constant(3 * GELU_SLOPE * GELU_CUBE), code.constant(GELU_SLOPE))
    steep = code.mul(code.mul(code.sub(one, value), code.add(one, value)), code.mul(x, slope))
    return code.mul(gradient, code.mul(half, code.add(code.add(one, value), steep)))


def _mish_parts(code: Code, x: Value) -> tuple[Value, Value]:
    """Return n = e^2 + 2 e with e = exp(x), and tanh(log(1 + e)) = n / (n + 2), for which x = 20 is infinity."""
    power_of = exp(code, code.minimum(code.constant(20), x))
    sum_of = code.mul(power_of, code.add(power_of, code.constant(2)))
    return sum_of, code.div(sum_of, code.add(sum_of, code.constant(2)))


def _mish(code: Code, x: Value) -> Value:
    return code.mul(x, _mish_parts(code, x)[1])


def _mish_gradient(code: Code, gradient: Value, x: Value) -> Value:
    total, share = _mish_parts(code, x)
    bottom = code.add(total, code.constant(2))
    rest = code.div(code.mul(code.constant(4), code.add(total, code.constant(1))), code.mul(bottom, bottom))
    return code.mul(gradient, code.fma(code.mul(x, rest), sigmoid(code, x), share))


def _softplus(code: Code, x: Value, mask: Value) -> Value:
    size = code.intrinsic("fabs", x)
    value = code.add(code.maximum(code.constant(0), x), log1p(code, exp(code, negative(code, size))))
    return code.mul(value, mask)


def _softsign(code: Code, x: Value) -> Value:
    return code.div(x, code.add(code.constant(1), code.intrinsic("fabs", x)))


def _softsign_gradient(code: Code, gradient: Value, x: Value) -> Value:
    bottom = code.add(code.constant(1), code.intrinsic("fabs", x))
    return code.div(gradient, code.mul(bottom, bottom))


def _erf_gradient(code: Code, gradient: Value, x: Value) -> Value:
    density = code.mul(exp(code, negative(code, code.mul(x, x))), code.constant(2 / math.sqrt(math.pi)))
    return code.mul(gradient, density)


def _abs_gradient(code: Code, gradient: Value, x: Value) -> Value:
    zero = code.constant(0)
    value = choose(code, above(code, zero, x), negative(code, gradient), zero)
    return choose(code, above(code, x, zero), gradient, value)


def _only_channels(formula: Formula) -> Formula:
    """Return a formula that takes a mask last and is 0 where the mask is."""

    def write(code: Code, *operands: Value) -> Value:
        zero = code.constant(0)
        return choose(code, above(code, operands[-1], zero), formula(code, *operands[:-1]), zero)

    return write


def _quotient_gradient(code: Code, gradient: Value, top: Value, bottom: Value) -> Value:
    return code.div(negative(code, code.div(code.mul(gradient, top), bottom)), bottom)


def _base_gradient(code: Code, gradient: Value, base: Value, exponent: Value) -> Value:
    slope = code.mul(exponent, power(code, base, code.sub(exponent, code.constant(1))))
    return code.mul(gradient, choose(code, equal(code, exponent, code.constant(0)), code.constant(0), slope))


def _exponent_gradient(code: Code, gradient: Value, base: Value, exponent: Value) -> Value:
    slope = code.mul(power(code, base, exponent), logarithm(code, base))
    return code.mul(gradient, choose(code, above(code, base, code.constant(0)), slope, code.constant(0)))


def _norm_gradient(code: Code, gradient: Value, norm: Value, exponent: Value) -> Value:
    """Return gradient * norm^exponent, 0 where the norm is."""
    zero = code.constant(0)
    return choose(code, above(code, norm, zero), code.mul(gradient, power(code, norm, exponent)), zero)


def _norm_slope(code: Code, gradient: Value, x: Value, exponent: Value) -> Value:
    """Return gradient * |x|^exponent with the sign of x, 0 where x is."""
    zero = code.constant(0)
    size = power(code, code.intrinsic("fabs", x), exponent)
    value = code.mul(gradient, code.intrinsic("copysign", size, x))
    return choose(code, equal(code, x, zero), zero, value)


def extreme_gradient(index: int, sign: int) -> Formula:
    """Return the gradient of the largest (sign 1) or smallest input to input ``index``, if it is the first such one.

    It takes the gradient, that input, the earlier inputs, and the later ones.
    """

    def write(code: Code, gradient: Value, own: Value, *others: Value) -> Value:
        for number, other in enumerate(others):
            larger, smaller = (own, other) if sign > 0 else (other, own)
            relation = ">" if number < index else ">="
            mask = code.builder.fcmp_ordered(relation, larger, smaller)
            gradient = choose(code, mask, gradient, code.constant(0))
        return gradient

    return write


def _mean(code: Code, *operands: Value) -> Value:
    return code.mul(reduce(code.add, operands[:-1]), operands[-1])


MASKED_FORMULAS: dict[str, Formula] = {
    "Exp": exponential,
    "inverse_root": lambda code, x, eps: code.div(code.constant(1), root(code, code.add(x, eps))),
    "absolute_power": lambda code, x, exponent: power(code, code.intrinsic("fabs", x), exponent),
    "norm_gradient": _norm_gradient,
    "norm_slope": _norm_slope,
    "Log": logarithm,
    "Log_gradient": lambda code, gradient, x: code.div(gradient, x),
    "Sqrt_gradient": lambda code, gradient, y: code.div(code.mul(gradient, code.constant(0.5)), y),
    "divide": lambda code, a, b: code.div(a, b),
    "divide_gradient:0": lambda code, gradient, _, b: code.div(gradient, b),
    "divide_gradient:1": _quotient_gradient,
    "power": power,
    "power_gradient:0": _base_gradient,
    "power_gradient:1": _exponent_gradient,
}

MASKED = frozenset({*MASKED_FORMULAS, "Softplus"})
"""Formulas that are not 0 or not finite where their operands are 0: they take the mask."""

ELEMENTARY: dict[str, Formula] = {
    **{name: _only_channels(formula) for name, formula in MASKED_FORMULAS.items()},
    "subtract": lambda code, a, b: code.sub(a, b),
    "largest": lambda code, *values: reduce(code.maximum, values),
    "smallest": lambda code, *values: reduce(code.minimum, values),
    "mean": _mean,
    "LeakyReLU": _leaky,
    "LeakyReLU_gradient": _leaky_gradient,
    "slope_products": _slope_products,
    "ELU": _elu,
    "ELU_gradient": _elu_gradient,
    "Clip": _clip,
    "Clip_gradient": _clip_gradient,
    "HardSigmoidLine": _hard_sigmoid,
    "HardSigmoidLine_gradient": _hard_sigmoid_gradient,
    "GELUTanh": _gelu_tanh,
    "GELUTanh_gradient": _gelu_tanh_gradient,
    "Mish": _mish,
    "Mish_gradient": _mish_gradient,
    "Softplus": _softplus,
    "Softplus_gradient": lambda code, gradient, x: code.mul(gradient, sigmoid(code, x)),
    "Softsign": _softsign,
    "Softsign_gradient": _softsign_gradient,
    "Exp_gradient": lambda code, gradient, y: code.mul(gradient, y),
    "Sqrt": root,
    "Erf": erf,
    "Erf_gradient": _erf_gradient,
    "Abs": lambda code, x: code.intrinsic("fabs", x),
    "Abs_gradient": _abs_gradient,
    "Neg": negative,
    "Neg_gradient": negative,
}
"""Name -> the function that writes it."""

FUSED = frozenset({"LeakyReLU", "ELU", "Clip", "HardSigmoidLine", "GELUTanh", "Mish"})
"""Those that a micro-kernel may apply to its sums, their numbers constants of the machine code."""


def epilogue_of(name: str) -> Formula:
    """Return what a micro-kernel does to its sums: a name in ``EPILOGUES``, or "LeakyReLU:0.01" with its numbers."""
    base, *numbers = name.split(":")
    if base in EPILOGUES:
        return EPILOGUES[base]

    def write(code: Code, x: Value) -> Value:
        return ELEMENTARY[base](code, x, *(code.constant(float(number)) for number in numbers))

    return write
