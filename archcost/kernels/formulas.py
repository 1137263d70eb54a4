"""The formulas of pointwise operators, of their gradients and of sums over pixels, in vector code.

A forward formula takes the operator's inputs; a gradient takes the gradient of the output first, then what the operator
has saved. Numbers that belong to one node (a slope, a factor) are operands too: vectors that hold for all pixels.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import reduce
from typing import Any

from archcost.kernels.elementary import ELEMENTARY, epilogue_of, extreme_gradient
from archcost.kernels.functions import EPILOGUES, exp, normal_distribution, sigmoid, tanh
from archcost.kernels.vector import Code, Value

Formula = Callable[..., Any]


def greater(code: Code, a: Value, b: Value) -> Value:
    """Return a mask of the lanes where a > b."""
    return code.builder.fcmp_ordered(">", a, b)


def inside(code: Code, gradient: Value, value: Value, low: float, high: float) -> Value:
    """Return the gradient where ``value`` lies between ``low`` and ``high``, else 0."""
    zero = code.constant(0)
    above = code.builder.select(greater(code, value, code.constant(low)), gradient, zero)
    return code.builder.select(greater(code, code.constant(high), value), above, zero)


def _relu_gradient(code: Code, gradient: Value, output: Value) -> Value:
    return code.builder.select(greater(code, output, code.constant(0)), gradient, code.constant(0))


def _relu6_gradient(code: Code, gradient: Value, output: Value) -> Value:
    return inside(code, gradient, output, 0, 6)


def _hard_sigmoid_gradient(code: Code, gradient: Value, output: Value) -> Value:
    return inside(code, code.mul(gradient, code.constant(1 / 6)), output, 0, 1)


def _sigmoid_gradient(code: Code, gradient: Value, output: Value) -> Value:
    return code.mul(gradient, code.mul(output, code.sub(code.constant(1), output)))


def _tanh_gradient(code: Code, gradient: Value, output: Value) -> Value:
    return code.mul(gradient, _one_minus_square(code, output))


def _one_minus_square(code: Code, x: Value) -> Value:
    # (1 - x)(1 + x) keeps the digits that 1 - x*x loses where x is near 1
    return code.mul(code.sub(code.constant(1), x), code.add(code.constant(1), x))


def _silu_gradient(code: Code, gradient: Value, x: Value) -> Value:
    share = sigmoid(code, x)
    one = code.constant(1)
    return code.mul(gradient, code.mul(share, code.fma(x, code.sub(one, share), one)))


def _hard_swish_gradient(code: Code, gradient: Value, x: Value) -> Value:
    slope = code.fma(x, code.constant(1 / 3), code.constant(0.5))
    slope = code.builder.select(greater(code, x, code.constant(-3)), slope, code.constant(0))
    slope = code.builder.select(greater(code, code.constant(3), x), slope, code.constant(1))
    return code.mul(gradient, slope)


def _gelu_gradient(code: Code, gradient: Value, x: Value) -> Value:
    density = exp(code, code.mul(code.mul(x, x), code.constant(-0.5)))
    density = code.mul(density, code.constant(1 / math.sqrt(2 * math.pi)))
    return code.mul(gradient, code.fma(x, density, normal_distribution(code, x)))


def _scaled_tanh(code: Code, x: Value, amplitude: Value, slope: Value) -> Value:
    return code.mul(amplitude, tanh(code, code.mul(slope, x)))


def _scaled_tanh_gradient(code: Code, gradient: Value, output: Value, inverse: Value, factor: Value) -> Value:
    """``inverse`` is 1 / amplitude, ``factor`` amplitude x slope."""
    return code.mul(code.mul(gradient, factor), _one_minus_square(code, code.mul(output, inverse)))


def _normalise(code: Code, x: Value, mean: Value, scale: Value, shift: Value) -> Value:
    """Subtract the mean first: x * scale would lose digits where the mean is large."""
    return code.fma(code.sub(x, mean), scale, shift)


def _activated(activation: str) -> Formula:
    """Return activation(normalised x + summands); ``activation`` as ``elementary.epilogue_of`` takes it."""
    apply = epilogue_of(activation)

    def write(code: Code, x: Value, mean: Value, scale: Value, shift: Value, *summands: Value) -> Value:
        return apply(code, reduce(code.add, summands, _normalise(code, x, mean, scale, shift)))

    return write


def _scaled(activation: str) -> Formula:
    """Return activation(x * gate + what is added): a squeeze-and-excitation block's end with its shortcut."""
    apply = epilogue_of(activation)

    def write(code: Code, x: Value, gate: Value, *summands: Value) -> Value:
        return apply(code, reduce(code.add, summands, code.mul(x, gate)))

    return write


def _before(way: str) -> Formula:
    """Return what takes a gradient back through an activation behind a normalisation.

    Args:
        way: "input:SiLU" for an activation whose gradient needs its input, which is computed again; "output:ReLU" for
            one that needs its output, likewise; "kept:ReLU" if its output was kept; "kept:Identity" for none.

    Returns:
        Formula of the gradient, x - mean, and scale and shift, the kept output, or nothing.
    """
    source, _, activation = way.partition(":")
    base, *numbers = activation.split(":")

    def write(code: Code, gradient: Value, distance: Value, *about: Value) -> Value:
        if base == "Identity":
            return gradient
        value = about[0] if source == "kept" else code.fma(distance, *about)
        if source == "output":
            value = epilogue_of(activation)(code, value)
        return FORMULAS[f"{base}_gradient"](code, gradient, value, *(code.constant(float(text)) for text in numbers))

    return write


def _normalise_gradient(way: str) -> Formula:
    """Return the gradients of a normalisation, and of what is added to its output before the activation (``_before``).

    The first is g * scale + (x - mean) * slope + offset, where g is the second.
    """
    before, recomputes = _before(way), not way.startswith("kept")

    def write(
        code: Code, gradient: Value, x: Value, mean: Value, scale: Value, slope: Value, offset: Value, *about: Value
    ) -> tuple[Value, Value]:
        distance = code.sub(x, mean)
        gradient = before(code, gradient, distance, *((scale,) if recomputes else ()), *about)
        return code.fma(gradient, scale, code.fma(distance, slope, offset)), gradient

    return write


def _strassen_sums(code: Code, first: Value, right: Value, below: Value, last: Value) -> tuple[Value, ...]:
    """Return S2, S3, S1 and S4 of a 2x2 block of inputs (``kernels.strassen``)."""
    s1 = code.add(below, last)
    s2 = code.sub(s1, first)
    return s2, code.sub(first, below), s1, code.sub(right, s2)


FORMULAS: dict[str, Formula] = {
    "copy": lambda _, x: x,
    "add": lambda code, *values: reduce(code.add, values),
    "multiply": lambda code, *values: reduce(code.mul, values),
    "affine": lambda code, x, scale, shift: code.fma(x, scale, shift),
    "normalise": _normalise,
    "strassen_sums": _strassen_sums,
    "ScaledTanh": _scaled_tanh,
    **{name: epilogue for name, epilogue in EPILOGUES.items() if name != "Identity"},
    "ReLU_gradient": _relu_gradient,
    "ReLU6_gradient": _relu6_gradient,
    "Sigmoid_gradient": _sigmoid_gradient,
    "HardSigmoid_gradient": _hard_sigmoid_gradient,
    "SiLU_gradient": _silu_gradient,
    "HardSwish_gradient": _hard_swish_gradient,
    "GELU_gradient": _gelu_gradient,
    "Tanh_gradient": _tanh_gradient,
    "ScaledTanh_gradient": _scaled_tanh_gradient,
    **ELEMENTARY,
}
"""Name -> the function that writes it: ``formula(code, *operands)`` returns the output vector."""

DETAILED: dict[str, Callable[[str], Formula]] = {
    "normalise": _activated,
    "normalise_gradient": _normalise_gradient,
    "scaled": _scaled,
}
"""Name -> the function that returns the formula for an activation behind the normalisation."""


def formula_of(name: str) -> Formula:
    """Return the function of a name in ``FORMULAS``, or of one with details.

    These are "largest_gradient:2", the gradient to input 2 of several; "normalise:ReLU", an activation of what is
    normalised; "normalise_gradient:output:ReLU", its gradients (``_normalise_gradient``); and "scaled:ReLU"
    (``_scaled``).
    """
    base, _, details = name.partition(":")
    if base in ("largest_gradient", "smallest_gradient"):
        return extreme_gradient(int(details), 1 if base == "largest_gradient" else -1)
    if base in DETAILED and details:
        return DETAILED[base](details)
    return FORMULAS[name]


def _centred_squares(code: Code, x: Value, mean: Value) -> tuple[Value, Value]:
    distance = code.sub(x, mean)
    return distance, code.mul(distance, distance)


def _centred_products(way: str) -> Formula:
    """Return what adds the gradient g behind a normalisation (``_before``), and g * (x - mean)."""
    before = _before(way)

    def write(code: Code, gradient: Value, x: Value, mean: Value, *about: Value) -> tuple[Value, Value]:
        distance = code.sub(x, mean)
        gradient = before(code, gradient, distance, *about)
        return gradient, code.mul(gradient, distance)

    return write


SUMS: dict[str, tuple[int, Formula]] = {
    "value": (1, lambda _, x: (x,)),
    "product": (1, lambda code, *values: (reduce(code.mul, values),)),
    "centred_squares": (2, _centred_squares),
    "normalised_products": (2, lambda code, g, x, mean, scale: (g, code.mul(g, code.mul(code.sub(x, mean), scale)))),
}
"""Name -> how many sums over pixels there are, and the function that returns what each of them adds."""


def sums_of(name: str) -> tuple[int, Formula]:
    """Return the sums of a name in ``SUMS``, or of "centred_products:output:ReLU" (``_centred_products``)."""
    base, _, way = name.partition(":")
    return (2, _centred_products(way)) if base == "centred_products" else SUMS[name]
