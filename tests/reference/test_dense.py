"""The loops of dense layers against matrix products."""

from __future__ import annotations

import numpy as np
import pytest

from archcost.ops import Linear, RadialBasis
from archcost.reference import Count, run
from tests.reference.arrays import drawn, run_on, tensors


@pytest.mark.parametrize("shape", [(7,), (3, 4, 7)])
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-13), ("float32", 1e-5)])
def test_linear(shape: tuple[int, ...], dtype: str, tolerance: float) -> None:
    op = Linear(5)
    x, (parameters, _) = drawn((2, *shape), dtype), tensors(op, (shape,), dtype)
    expected = x @ parameters["weight"].T + parameters["bias"]
    np.testing.assert_allclose(run_on(op, x, parameters), expected, tolerance, tolerance)


def test_linear_by_hand() -> None:
    weight = np.array([[1.0, 2.0, 3.0], [0.0, -1.0, 0.0]])
    y, count = run(Linear(2, bias=False), [np.array([[1.0, 1.0, 2.0]])], {"weight": weight}, {})
    assert y.tolist() == [[9.0, -1.0]]
    assert count == Count(mult_adds=6, written=2)


def test_radial_basis() -> None:
    x, prototypes = drawn((3, 6)), drawn((4, 6), seed=1)
    y, count = run(RadialBasis(4), [x], {}, {"prototypes": prototypes})
    np.testing.assert_allclose(y, ((x[:, None] - prototypes) ** 2).sum(2), 1e-13)
    assert count == Count(mult_adds=0, written=12)
