"""The loops of activations against NumPy's functions."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from archcost.ops import (
    GELU,
    HardSigmoid,
    HardSwish,
    Op,
    ReLU,
    ReLU6,
    ScaledTanh,
    Sigmoid,
    SiLU,
    Softmax,
    Tanh,
)
from tests.reference.arrays import Array, drawn, run_on

X = np.concatenate([4 * drawn((2, 3, 2, 5)), [[[[-800.0, -3.0, 0.0, 3.0, 800.0]] * 2] * 3]])

FORMULAS: list[tuple[Op, Callable[[Array], Array]]] = [
    (ReLU(), lambda x: np.where(x > 0, x, 0)),
    (ReLU6(), lambda x: np.clip(x, 0, 6)),
    (Sigmoid(), lambda x: (1 + np.tanh(x / 2)) / 2),
    (HardSigmoid(), lambda x: np.clip(x / 6 + 0.5, 0, 1)),
    (SiLU(), lambda x: x * (1 + np.tanh(x / 2)) / 2),
    (HardSwish(), lambda x: x * np.clip(x / 6 + 0.5, 0, 1)),
    (GELU(), lambda x: x * np.vectorize(math.erfc)(-x / math.sqrt(2)) / 2),
    (Tanh(), np.tanh),
    (ScaledTanh(1.5, 0.5), lambda x: 1.5 * np.tanh(x / 2)),
]


@pytest.mark.parametrize(("op", "formula"), FORMULAS, ids=[type(op).__name__ for op, _ in FORMULAS])
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-12), ("float32", 1e-6)])
def test_elements(op: Op, formula: Callable[[Array], Array], dtype: str, tolerance: float) -> None:
    x = X.astype(dtype)
    np.testing.assert_allclose(run_on(op, x), formula(x.astype(float)), tolerance, tolerance)


@pytest.mark.parametrize(("axis", "of"), [(0, 1), (-1, 3)])
def test_softmax(axis: int, of: int) -> None:
    powers = np.exp(X - X.max(of, keepdims=True))
    np.testing.assert_allclose(run_on(Softmax(axis), X), powers / powers.sum(of, keepdims=True), 1e-13)


def test_softmax_by_hand() -> None:
    np.testing.assert_allclose(run_on(Softmax(), np.log([[1.0, 2.0, 5.0]]) + 1000), [[1 / 8, 2 / 8, 5 / 8]], 1e-12)
