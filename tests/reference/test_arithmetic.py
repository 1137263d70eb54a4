"""The loops of arithmetic that broadcasts, of matrix products and of stored tensors, against NumPy's."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce

import numpy as np
import pytest

from archcost.geometry import Shape
from archcost.ops import Constant, Div, MatMul, Maximum, Mean, Minimum, Op, Parameter, Pow, Sub
from archcost.reference import Count, run
from tests.reference.arrays import Array, drawn

OF_TWO: list[tuple[Op, Callable[[Array, Array], Array]]] = [
    (Sub(), np.subtract),
    (Div(), np.divide),
    (Pow(), np.power),
    (Minimum(), np.minimum),
    (Maximum(), np.maximum),
    (Mean(), lambda a, b: (a + b) / 2),
]
SHAPES: list[tuple[Shape, Shape]] = [
    ((3, 2, 4), (3, 2, 4)),
    ((3, 1, 4), (1, 2, 1)),
    ((5,), (1,)),
    ((1, 2, 3, 2), (4, 1, 1, 2)),
]


@pytest.mark.parametrize(("op", "function"), OF_TWO, ids=[type(op).__name__ for op, _ in OF_TWO])
@pytest.mark.parametrize("shapes", SHAPES, ids=str)
def test_two_inputs(op: Op, function: Callable[[Array, Array], Array], shapes: tuple[Shape, Shape]) -> None:
    a, b = (drawn((2, *shape), seed=index) for index, shape in enumerate(shapes))
    if isinstance(op, Pow):
        a = np.abs(a)
    y, _ = run(op, [a, b], {}, {})
    np.testing.assert_allclose(y, function(a, b), 1e-13)


@pytest.mark.parametrize(("op", "function"), [(Minimum(), np.minimum), (Maximum(), np.maximum)], ids=repr)
def test_three_inputs_and_one(op: Op, function: Callable[[Array, Array], Array]) -> None:
    values = [drawn((2, 3, 4), seed=seed) for seed in range(3)]
    y, _ = run(op, values, {}, {})
    np.testing.assert_array_equal(y, reduce(function, values))
    np.testing.assert_array_equal(run(op, values[:1], {}, {})[0], values[0])
    mean, _ = run(Mean(), values, {}, {})
    np.testing.assert_allclose(mean, np.mean(values, axis=0), 1e-12, 1e-15)


@pytest.mark.parametrize(
    "shapes",
    [((5, 4), (4, 3)), ((2, 5, 4), (2, 4, 3)), ((3, 1, 1, 2), (1, 2, 2, 5)), ((2, 1, 3), (1, 3, 1))],
    ids=str,
)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_matrix_products(shapes: tuple[Shape, Shape], dtype: str) -> None:
    a, b = (drawn((2, *shape), dtype, seed=index) for index, shape in enumerate(shapes))
    y, _ = run(MatMul(), [a, b], {}, {})
    assert y.dtype == dtype
    np.testing.assert_allclose(y, a.astype(float) @ b.astype(float), 1e-6, 1e-6)


def test_every_image_gets_what_is_stored() -> None:
    stored = drawn((2, 3))
    for op, parameters, buffers in (
        (Parameter((2, 3)), {"weight": stored}, {}),
        (Constant((2, 3)), {}, {"value": stored}),
    ):
        y, count = run(op, [], parameters, buffers, batch=4)
        np.testing.assert_array_equal(y, np.stack([stored] * 4))
        assert count == Count(0, 0)
        assert np.shares_memory(y, stored)
        assert run(op, [], parameters, buffers)[0].shape == (1, 2, 3)
