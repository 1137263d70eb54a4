"""The loops of further element functions against NumPy's functions."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from archcost.ops import (
    CELU,
    ELU,
    GELU,
    SELU,
    Abs,
    Clip,
    Erf,
    Exp,
    HardSigmoid,
    LeakyReLU,
    Log,
    LogSoftmax,
    Mish,
    Neg,
    Op,
    PReLU,
    Softplus,
    Softsign,
    Sqrt,
)
from archcost.reference import run
from tests.reference.arrays import Array, drawn, run_on

X = np.concatenate([4 * drawn((2, 3, 2, 5)), [[[[-80.0, -3.0, 0.0, 3.0, 80.0]] * 2] * 3]])


def power(x: Array) -> Array:
    return np.expm1(np.minimum(x, 0))  # of what is positive nothing is used


def softplus(x: Array) -> Array:
    return np.logaddexp(0, x)


FORMULAS: list[tuple[Op, Callable[[Array], Array]]] = [
    (LeakyReLU(0.2), lambda x: np.where(x > 0, x, 0.2 * x)),
    (LeakyReLU(-1), np.abs),
    (ELU(0.5), lambda x: np.where(x > 0, x, 0.5 * power(x))),
    (SELU(1.5, 1.25), lambda x: 1.25 * np.where(x > 0, x, 1.5 * power(x))),
    (CELU(2), lambda x: np.where(x > 0, x, 2 * power(x / 2))),
    (Clip(-1, 2.5), lambda x: np.clip(x, -1, 2.5)),
    (Clip(None, 2.5), lambda x: np.minimum(x, 2.5)),
    (Clip(0.5), lambda x: np.maximum(x, 0.5)),
    (Clip(2, 1), np.ones_like),
    (Mish(), lambda x: x * np.tanh(softplus(x))),
    (Softplus(), softplus),
    (Softsign(), lambda x: x / (1 + np.abs(x))),
    (Exp(), np.exp),
    (Erf(), np.vectorize(math.erf)),
    (Abs(), np.abs),
    (Neg(), np.negative),
    (HardSigmoid(0.2, 0.4), lambda x: np.clip(0.2 * x + 0.4, 0, 1)),
    (GELU("tanh"), lambda x: x / 2 * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))),
]


@pytest.mark.parametrize(("op", "formula"), FORMULAS, ids=[repr(op) for op, _ in FORMULAS])
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-12), ("float32", 2e-6)])
def test_elements(op: Op, formula: Callable[[Array], Array], dtype: str, tolerance: float) -> None:
    x = X.astype(dtype)
    np.testing.assert_allclose(run_on(op, x), formula(x.astype(float)), tolerance, tolerance)


@pytest.mark.parametrize(("op", "formula"), [(Log(), np.log), (Sqrt(), np.sqrt)], ids=repr)
def test_functions_of_what_is_not_negative(op: Op, formula: Callable[[Array], Array]) -> None:
    np.testing.assert_allclose(run_on(op, np.abs(X) + 0.1), formula(np.abs(X) + 0.1), 1e-14)
    ends = run_on(op, np.array([[0.0, np.inf, -1.0]]))[0]
    assert (ends[0], ends[1]) == ((-np.inf if isinstance(op, Log) else 0.0), np.inf)
    assert np.isnan(ends[2])


def test_prelu_has_a_slope_for_each_channel_or_one_for_all() -> None:
    slopes = np.array([0.1, -0.5, 2.0])
    scaled = X * slopes[:, None, None]
    np.testing.assert_array_equal(run_on(PReLU(), X, {"weight": slopes}), np.where(X > 0, X, scaled))
    shared = run_on(PReLU(shared=True), X, {"weight": slopes[:1]})
    np.testing.assert_array_equal(shared, np.where(X > 0, X, 0.1 * X))


@pytest.mark.parametrize(("axis", "of"), [(0, 1), (1, 2), (-1, 3)])
def test_log_softmax(axis: int, of: int) -> None:
    total = np.log(np.exp(X - X.max(of, keepdims=True)).sum(of, keepdims=True)) + X.max(of, keepdims=True)
    np.testing.assert_allclose(run_on(LogSoftmax(axis), X), X - total, 1e-12, 1e-12)


def test_log_softmax_by_hand() -> None:
    np.testing.assert_allclose(run_on(LogSoftmax(), np.log([[1.0, 2.0, 5.0]]) + 1000), np.log([[1 / 8, 2 / 8, 5 / 8]]))


def test_what_would_overflow_does_not() -> None:
    x = np.array([[-800.0, 800.0]])
    np.testing.assert_array_equal(run_on(Softplus(), x), [[0.0, 800.0]])
    np.testing.assert_array_equal(run_on(Mish(), x), [[0.0, 800.0]])
    y, _ = run(ELU(), [x], {}, {})
    np.testing.assert_array_equal(y, [[-1.0, 800.0]])
