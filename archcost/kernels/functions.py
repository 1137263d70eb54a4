"""Element functions in vector code: exp, log, erf, tanh, sigmoid, and the activations.

There is no vector library to call. exp is 2^n times a Taylor polynomial of 2^f, |f| <= 1/2; log the series of the
inverse hyperbolic tangent; erf a Taylor polynomial near 0 and a Chebyshev expansion beyond; tanh Lambert's continued
fraction near 0 and exponentials beyond. All are long enough that what they omit is below the rounding of the element
type.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from llvmlite import ir
from numpy.polynomial import chebyshev

from archcost.kernels.vector import INT32, INT64, Code, Value

EXPONENT = {4: (INT32, 23, 7, -87.0, 88.0), 8: (INT64, 52, 13, -708.0, 709.0)}
"""Element bytes -> integer of that size, mantissa bits, degree of the polynomial, smallest and largest argument."""


def exp(code: Code, x: Value) -> Value:
    """Return e^x; arguments beyond the range of the element type are clamped to it."""
    integer, mantissa, degree, lowest, highest = EXPONENT[code.element_bytes]
    x = code.minimum(code.constant(highest), code.maximum(code.constant(lowest), x))
    scaled = code.mul(x, code.constant(1 / math.log(2)))
    power = code.intrinsic("rint", scaled)
    # x - power * ln 2 in two steps: the product with the leading digits of ln 2 is exact, the rest corrects it.
    leading = 0.693145751953125
    rest = code.fma(power, code.constant(-leading), x)
    rest = code.fma(power, code.constant(leading - math.log(2)), rest)
    result = code.constant(1 / math.factorial(degree))
    for order in range(degree - 1, -1, -1):
        result = code.fma(result, rest, code.constant(1 / math.factorial(order)))
    integers = ir.VectorType(integer, code.lanes)
    shift = ir.Constant(integers, [ir.Constant(integer, mantissa)] * code.lanes)
    exponent = code.builder.shl(code.builder.fptosi(power, integers), shift)
    return code.builder.bitcast(code.builder.add(code.builder.bitcast(result, integers), exponent), code.vector)


def polynomial(code: Code, x: Value, coefficients: Sequence[float]) -> Value:
    """Return the sum of ``coefficients[i]`` * x^i."""
    result = code.constant(coefficients[-1])
    for coefficient in coefficients[-2::-1]:
        result = code.fma(result, x, code.constant(coefficient))
    return result


def log(code: Code, x: Value) -> Value:
    """Return the natural logarithm of x > 0.

    x = 2^n m with m between 1/sqrt(2) and sqrt(2), and log m = 2 artanh(f) with f = (m - 1) / (m + 1), |f| < 0.172.
    """
    integer, mantissa, _, _, _ = EXPONENT[code.element_bytes]
    integers = ir.VectorType(integer, code.lanes)

    def whole(value: int) -> Value:
        return ir.Constant(integers, [ir.Constant(integer, value)] * code.lanes)

    bits = code.builder.bitcast(x, integers)
    # Counting from the bits of 1/sqrt(2), the exponent steps where the mantissa passes it.
    middle = int(np.array(math.sqrt(0.5), f"f{code.element_bytes}").view(f"i{code.element_bytes}"))
    power = code.builder.ashr(code.builder.sub(bits, whole(middle)), whole(mantissa))
    rest = code.builder.bitcast(code.builder.sub(bits, code.builder.shl(power, whole(mantissa))), code.vector)
    ratio = code.div(code.sub(rest, code.constant(1)), code.add(rest, code.constant(1)))
    square = code.mul(ratio, ratio)
    terms = 5 if code.element_bytes == 4 else 12
    series = polynomial(code, square, [2 / (2 * order + 1) for order in range(1, terms)])
    series = code.fma(code.mul(series, square), ratio, code.mul(ratio, code.constant(2)))
    exponent = code.builder.sitofp(power, code.vector)
    leading = 0.693145751953125
    series = code.fma(exponent, code.constant(math.log(2) - leading), series)
    return code.fma(exponent, code.constant(leading), series)


def root(code: Code, x: Value) -> Value:
    """Return the square root."""
    return code.intrinsic("sqrt", x)


def sigmoid(code: Code, x: Value) -> Value:
    """Return 1 / (1 + exp(-x))."""
    one = code.constant(1)
    return code.div(one, code.add(one, exp(code, code.sub(code.constant(0), x))))


def tanh(code: Code, x: Value) -> Value:
    """Return the hyperbolic tangent, accurate to the rounding of x near 0 too.

    |x| < 0.6: Lambert's continued fraction x / (1 + x^2 / (3 + x^2 / (5 + ...))), as a quotient of polynomials (DLMF
    4.39.1); its omitted part is below x^(2n+1) / (1 3 5 ... (2n-1))^2. Beyond: 1 - 2 / (1 + exp(2|x|)).
    """
    size = code.intrinsic("fabs", x)
    square = code.mul(x, x)
    top, bottom = lambert(5 if code.element_bytes == 4 else 8)
    near = code.div(code.mul(size, polynomial(code, square, top)), polynomial(code, square, bottom))
    below = code.div(code.constant(2), code.add(code.constant(1), exp(code, code.add(size, size))))
    far = code.sub(code.constant(1), below)
    is_near = code.builder.fcmp_ordered("<", size, code.constant(0.6))
    return code.intrinsic("copysign", code.builder.select(is_near, near, far), x)


@cache
def lambert(levels: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the polynomials in x^2 whose quotient is tanh(x)/x, from ``levels`` levels of the continued fraction."""
    before, last = ([0], [1]), ([1], [1])
    for level in range(2, levels + 1):
        following = tuple(
            [
                (2 * level - 1) * (new[order] if order < len(new) else 0)
                + (old[order - 1] if 0 < order <= len(old) else 0)
                for order in range(max(len(new), len(old) + 1))
            ]
            for old, new in zip(before, last)
        )
        before, last = last, (following[0], following[1])
    return tuple(map(float, last[0])), tuple(map(float, last[1]))


ERF_END, ERF_SHIFT = 6.0, 3.0
"""Where erf is 1 to the rounding of float64; and k in the variable 1 / (x + k) of its expansion."""


@cache
def erfc_expansion(degree: int) -> tuple[float, ...]:
    """Return the Chebyshev coefficients of exp(x^2) erfc(x) for 1 <= x <= 6 in a variable that goes from -1 to 1.

    The variable is linear in 1 / (x + 3), in which the function is nearly straight; the idea is that of Schonfelder
    (1978, Mathematics of Computation 32), the coefficients are computed here. Degree 12 is exact to 3e-16.
    """
    middle, half = erfc_variable()

    def scaled(variable: Any) -> Any:
        places = 1 / (middle + half * variable) - ERF_SHIFT
        return np.array([math.exp(x * x) * math.erfc(x) for x in places])

    return tuple(chebyshev.chebinterpolate(scaled, degree))


def erfc_variable() -> tuple[float, float]:
    """Return the middle and half the length of the range of 1 / (x + 3)."""
    first, last = 1 / (1 + ERF_SHIFT), 1 / (ERF_END + ERF_SHIFT)
    return (first + last) / 2, (last - first) / 2


ERF_END_SINGLE = 4.0
"""From where erf is 1 to the rounding of float32."""


@cache
def erf_polynomial(degree: int) -> tuple[float, ...]:
    """Return the polynomial that is erf(x)/x for 0 <= x <= 4, in x^2 moved and scaled to -1 ... 1.

    Computed here by interpolation at Chebyshev points. Degree 15 is exact to 5e-8.
    """

    def quotient(variable: Any) -> Any:
        places = np.sqrt((variable + 1) / 2) * ERF_END_SINGLE
        return np.array([math.erf(x) / x for x in places])

    return tuple(chebyshev.cheb2poly(chebyshev.chebinterpolate(quotient, degree)))


def erf(code: Code, x: Value) -> Value:
    """Return the error function, exact to 2e-7 in float32 and 4e-16 in float64.

    float32: one polynomial. float64: the Taylor series (DLMF 7.6.1) to |x| = 1, then 1 - exp(-x^2) times an expansion.
    """
    one = code.constant(1)
    if code.element_bytes == 4:
        square = code.minimum(code.constant(ERF_END_SINGLE**2), code.mul(x, x))
        variable = code.fma(square, code.constant(2 / ERF_END_SINGLE**2), code.constant(-1))
        value = code.mul(polynomial(code, variable, erf_polynomial(15)), x)
        is_near = code.builder.fcmp_ordered("<", square, code.constant(ERF_END_SINGLE**2))
        return code.builder.select(is_near, value, code.intrinsic("copysign", one, x))
    size = code.minimum(code.constant(ERF_END), code.intrinsic("fabs", x))
    square = code.mul(size, size)
    scale = 2 / math.sqrt(math.pi)
    series = [scale * (-1) ** n / (math.factorial(n) * (2 * n + 1)) for n in range(19)]
    near = code.mul(polynomial(code, square, series), size)

    middle, half = erfc_variable()
    place = code.div(one, code.add(size, code.constant(ERF_SHIFT)))
    twice = code.mul(code.sub(place, code.constant(middle)), code.constant(2 / half))
    # Clenshaw's recurrence; ``twice`` is two times the variable.
    first, second = code.constant(0), code.constant(0)
    coefficients = erfc_expansion(12)
    for coefficient in coefficients[:0:-1]:
        first, second = code.fma(twice, first, code.sub(code.constant(coefficient), second)), first
    total = code.fma(code.mul(twice, code.constant(0.5)), first, code.sub(code.constant(coefficients[0]), second))
    far = code.sub(one, code.mul(total, exp(code, code.sub(code.constant(0), square))))
    is_near = code.builder.fcmp_ordered("<", size, one)
    return code.intrinsic("copysign", code.builder.select(is_near, near, far), x)


def normal_distribution(code: Code, x: Value) -> Value:
    """Return the standard normal distribution function (1 + erf(x / sqrt(2))) / 2."""
    half = code.constant(0.5)
    return code.fma(erf(code, code.mul(x, code.constant(math.sqrt(0.5)))), half, half)


def _identity(_: Code, x: Value) -> Value:
    return x


def _relu(code: Code, x: Value) -> Value:
    return code.maximum(code.constant(0), x)


def _relu6(code: Code, x: Value) -> Value:
    return code.minimum(code.constant(6), _relu(code, x))


def _silu(code: Code, x: Value) -> Value:
    return code.mul(x, sigmoid(code, x))


def _hard_sigmoid(code: Code, x: Value) -> Value:
    return code.mul(_relu6(code, code.add(x, code.constant(3))), code.constant(1 / 6))


def _hard_swish(code: Code, x: Value) -> Value:
    return code.mul(x, _hard_sigmoid(code, x))


def _gelu(code: Code, x: Value) -> Value:
    return code.mul(x, normal_distribution(code, x))


EPILOGUES = {
    "Identity": _identity,
    "ReLU": _relu,
    "ReLU6": _relu6,
    "SiLU": _silu,
    "Sigmoid": sigmoid,
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": _hard_swish,
    "GELU": _gelu,
    "Tanh": tanh,
}
"""Operator -> what a micro-kernel does to its sums before it stores them."""
