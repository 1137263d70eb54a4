"""Element functions in vector code that hold everywhere: exponential, logarithm and power, with infinity and NaN."""

from __future__ import annotations

import math

from archcost.kernels.functions import exp, log, polynomial, root, tanh
from archcost.kernels.vector import Code, Value


def above(code: Code, a: Value, b: Value) -> Value:
    """Return a mask of the lanes where a > b."""
    return code.builder.fcmp_ordered(">", a, b)


def equal(code: Code, a: Value, b: Value) -> Value:
    """Return a mask of the lanes where a = b."""
    return code.builder.fcmp_ordered("==", a, b)


def choose(code: Code, mask: Value, then: Value, otherwise: Value) -> Value:
    """Return lane by lane ``then`` where the mask is set, else ``otherwise``."""
    return code.builder.select(mask, then, otherwise)


def negative(code: Code, x: Value) -> Value:
    """Return -x."""
    return code.sub(code.constant(-0.0), x)


def expm1(code: Code, x: Value) -> Value:
    """Return exp(x) - 1 for x <= 0, accurate near 0 too: 2 t / (1 - t) with t = tanh(x / 2)."""
    half = tanh(code, code.mul(x, code.constant(0.5)))
    return code.div(code.add(half, half), code.sub(code.constant(1), half))


def log1p(code: Code, x: Value) -> Value:
    """Return log(1 + x) for 0 <= x <= 1: 2 artanh(f) with f = x / (2 + x) <= 1/3, by its series."""
    ratio = code.div(x, code.add(x, code.constant(2)))
    terms = 9 if code.element_bytes == 4 else 18
    series = polynomial(code, code.mul(ratio, ratio), [2 / (2 * order + 1) for order in range(terms)])
    return code.mul(ratio, series)


RANGE = {4: (-87.33, 88.72), 8: (-708.39, 709.78)}
"""Element bytes -> arguments between which exp is a normal number of the type."""

SMALLEST = {4: (2.0**-126, 24), 8: (2.0**-1022, 53)}
"""Element bytes -> the smallest normal number, and by which power of 2 the smaller ones are scaled up."""


def exponential(code: Code, x: Value) -> Value:
    """Return e^x: 0 and infinity beyond the range of the element type, NaN for NaN."""
    lowest, highest = RANGE[code.element_bytes]
    value = choose(code, above(code, x, code.constant(highest)), code.constant(math.inf), exp(code, x))
    value = choose(code, above(code, code.constant(lowest), x), code.constant(0), value)
    return choose(code, code.builder.fcmp_unordered("uno", x, x), x, value)


def logarithm(code: Code, x: Value) -> Value:
    """Return the natural logarithm: minus infinity for 0, NaN for negative numbers."""
    smallest, power = SMALLEST[code.element_bytes]
    is_small = above(code, code.constant(smallest), x)
    scaled = choose(code, is_small, code.mul(x, code.constant(2.0**power)), x)
    shift = choose(code, is_small, code.constant(power * math.log(2)), code.constant(0))
    value = code.sub(log(code, scaled), shift)
    zero, infinity = code.constant(0), code.constant(math.inf)
    value = choose(code, equal(code, x, infinity), infinity, value)
    value = choose(code, equal(code, x, zero), code.constant(-math.inf), value)
    is_number = code.builder.fcmp_ordered(">=", x, zero)
    return choose(code, is_number, value, code.constant(math.nan))


def power(code: Code, base: Value, exponent: Value) -> Value:
    """Return base^exponent; exact for exponents -1, 0, 0.5, 1, 2 and 3.

    Of a negative base for whole exponents, else NaN.
    """
    one, zero = code.constant(1), code.constant(0)
    size = code.intrinsic("fabs", base)
    value = exponential(code, code.mul(exponent, logarithm(code, size)))
    # 0 * -infinity would be no number.
    at_zero = choose(code, above(code, exponent, zero), zero, code.constant(math.inf))
    value = choose(code, equal(code, base, zero), at_zero, value)
    half = code.mul(exponent, code.constant(0.5))
    is_odd = code.builder.fcmp_ordered("!=", code.intrinsic("floor", half), half)
    signed = choose(code, is_odd, negative(code, value), value)
    is_whole = equal(code, code.intrinsic("floor", exponent), exponent)
    signed = choose(code, is_whole, signed, code.constant(math.nan))
    value = choose(code, above(code, zero, base), signed, value)
    square = code.mul(base, base)
    exact = ((2, square), (3, code.mul(square, base)), (0.5, root(code, base)), (-1, code.div(one, base)), (1, base))
    for number, result in (*exact, (0, one)):
        value = choose(code, equal(code, exponent, code.constant(number)), result, value)
    return value
