"""Element functions and arithmetic: values against NumPy, gradients against finite differences, at the edges too."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from archcost.ops import (
    CELU,
    ELU,
    GELU,
    SELU,
    Abs,
    Clip,
    Div,
    Erf,
    Exp,
    HardSigmoid,
    LeakyReLU,
    Log,
    Maximum,
    Minimum,
    Mish,
    Neg,
    Op,
    Pow,
    Softplus,
    Softsign,
    Sqrt,
)
from tests.kernels.running import TOLERANCE, Array, Case, check_gradients

erf = np.vectorize(math.erf, otypes=[float])

SELU_ALPHA, SELU_GAMMA = 1.6732632423543772, 1.0507009873554805
VALUES: dict[Op, Any] = {
    LeakyReLU(0.2): lambda x: np.where(x > 0, x, 0.2 * x),
    ELU(0.7): lambda x: np.where(x > 0, x, 0.7 * np.expm1(np.minimum(x, 0))),
    SELU(): lambda x: SELU_GAMMA * np.where(x > 0, x, SELU_ALPHA * np.expm1(np.minimum(x, 0))),
    CELU(2.0): lambda x: np.where(x > 0, x, 2 * np.expm1(np.minimum(x, 0) / 2)),
    Clip(-1.0, 2.5): lambda x: np.clip(x, -1, 2.5),
    Clip(low=0.5): lambda x: np.maximum(x, 0.5),
    Mish(): lambda x: x * np.tanh(np.logaddexp(0, x)),
    Softplus(): lambda x: np.logaddexp(0, x),
    Softsign(): lambda x: x / (1 + np.abs(x)),
    Erf(): erf,
    Abs(): np.abs,
    Neg(): np.negative,
    HardSigmoid(0.2, 0.4): lambda x: np.clip(0.2 * x + 0.4, 0, 1),
    GELU("tanh"): lambda x: x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))) / 2,
    Exp(): np.exp,
}
OF_POSITIVE: dict[Op, Any] = {Log(): np.log, Sqrt(): np.sqrt}


def inputs(*, positive: bool) -> Array:
    """Return numbers of all sizes: 2 images, 19 features."""
    generator = np.random.default_rng(1)
    x = generator.normal(size=(2, 19)) * np.exp(generator.uniform(-4, 2, (2, 19)))
    x[0, :6] = (0.0, -0.0, 1e-4, -1e-4, 20.0, -30.0)
    return np.abs(x) + 1e-3 if positive else x


IN_SINGLE = (ELU, Mish, Softplus, Exp, Log, GELU)
"""Those whose series are shorter in float32; for the others the element type changes nothing but the rounding."""


@pytest.mark.parametrize(
    ("op", "dtype"),
    [
        (op, dtype)
        for op in (*VALUES, *OF_POSITIVE)
        for dtype in TOLERANCE
        if dtype == "float64" or isinstance(op, IN_SINGLE)
    ],
    ids=str,
)
def test_values(op: Op, dtype: str) -> None:
    x = inputs(positive=op in OF_POSITIVE).astype(dtype)
    wanted = {**VALUES, **OF_POSITIVE}[op](x.astype("float64"))
    case = Case(op, [x])
    found = case.forward()
    assert found.dtype == x.dtype
    np.testing.assert_allclose(
        found, wanted, rtol=0, atol=8 * float(np.finfo(dtype).eps) * max(1.0, np.abs(wanted).max())
    )
    if isinstance(op, Exp | Log | Softplus):
        # What is not 0 at 0 must not fill the lanes beyond the features: exponentials of them would run away.
        assert not case.operation.output.memory.reshape(2, -1)[:, 19:].any()


@pytest.mark.parametrize("op", [*VALUES, *OF_POSITIVE], ids=repr)
def test_gradients(op: Op) -> None:
    x = np.random.default_rng(2).normal(size=(2, 5)) * 2
    x = np.abs(x) + 0.2 if op in OF_POSITIVE else x
    check_gradients(lambda i, p: Case(op, i, parameters=p), [x], {}, 3)


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_small_numbers_keep_their_digits(dtype: str) -> None:
    x = -np.logspace(-20, 0, 50).astype(dtype).reshape(1, -1)
    wide, eps = x.astype("float64"), 8 * float(np.finfo(dtype).eps)
    np.testing.assert_allclose(Case(ELU(), [x]).forward(), np.expm1(wide), rtol=eps)
    steep = (x * 60).astype(dtype)
    np.testing.assert_allclose(
        Case(Softplus(), [steep]).forward(), np.log1p(np.exp(steep.astype("float64"))), rtol=2 * eps
    )


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_edges_of_the_number_range(dtype: str) -> None:
    limits = np.finfo(dtype)
    x = np.array([[np.inf, -np.inf, 1e4, -1e4, 0.0, np.nan]], dtype)
    np.testing.assert_array_equal(Case(Exp(), [x], halo=False).operation.inputs[0].read().ravel(), x.ravel())
    exponential = _output(Exp(), [x])
    np.testing.assert_array_equal(exponential, [[np.inf, 0, np.inf, 0, 1, np.nan]])
    x = np.array([[np.inf, 0.0, -1.0, np.nan, limits.tiny / 16, limits.max, 1.0]], dtype)
    logarithm = _output(Log(), [x])
    with np.errstate(divide="ignore", invalid="ignore"):
        np.testing.assert_allclose(logarithm, np.log(x.astype("float64")), rtol=4 * float(limits.eps))


def _output(op: Op, arrays: list[Array]) -> Array:
    """Return the output where it may be infinite or no number."""
    from archcost.kernels.table import KERNELS

    case = Case(op, arrays)
    case.run(KERNELS[type(op)].forward(case.operation))
    values = case.operation.output.read()
    return values.reshape(len(values), -1)


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_powers(dtype: str) -> None:
    base = np.array([[0.3, 1.7, -2.0, -2.0, -3.0, 0.0, 0.0, 0.0, 5.0, 9.0, -1.5, 2.0, 10.0, -2.0]], dtype)
    exponent = np.array([[2.5, -1.3, 3.0, 5.0, -2.0, 0.0, 2.0, 0.7, 1.0, 0.5, 2.0, 100.0, -20.0, 0.5]], dtype)
    found = _output(Pow(), [base, exponent])
    with np.errstate(invalid="ignore"):
        wanted = np.power(base.astype("float64"), exponent.astype("float64"))
    np.testing.assert_allclose(found, wanted, rtol=100 * float(np.finfo(dtype).eps))
    for place in (2, 8, 9, 10):  # exact: whole and half powers that networks ask for
        assert found[0, place] == wanted[0, place]


def test_gradients_of_arithmetic() -> None:
    generator = np.random.default_rng(4)
    pair = [np.abs(generator.normal(size=(2, 5))) + 0.3 for _ in range(2)]
    for op in (Div(), Pow()):
        check_gradients(lambda i, p, op=op: Case(op, i, parameters=p), [values.copy() for values in pair], {}, 3)


@pytest.mark.parametrize(("op", "sign"), [(Maximum(), 1), (Minimum(), -1)])
def test_the_first_of_equal_extremes_gets_the_gradient(op: Op, sign: int) -> None:
    arrays = [sign * np.array([row], float) for row in ([1, 2, 3, 3], [1, 5, 3, 4], [0, 5, 3, 4])]
    case = Case(op, arrays)
    np.testing.assert_array_equal(case.forward(), sign * np.array([[1, 5, 3, 4]]))
    gradients, _ = case.backward(np.array([[1.0, 2.0, 3.0, 4.0]]))
    np.testing.assert_array_equal(gradients[0], [[1, 0, 3, 0]])
    np.testing.assert_array_equal(gradients[1], [[0, 2, 0, 4]])
    np.testing.assert_array_equal(gradients[2], [[0, 0, 0, 0]])
