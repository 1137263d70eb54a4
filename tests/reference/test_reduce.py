"""The loops of reductions, global pools and power pools against NumPy's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view

from archcost.geometry import Shape
from archcost.ops import GlobalAvgPool, GlobalMaxPool, LpPool2d, ReduceMax, ReduceMean, ReduceMin, ReduceSum
from archcost.ops.reduce import Reduction
from tests.reference.arrays import Array, drawn, run_on

X = drawn((2, 3, 4, 5))
FUNCTIONS: list[tuple[type[Reduction], Callable[..., Array]]] = [
    (ReduceMean, np.mean),
    (ReduceSum, np.sum),
    (ReduceMax, np.max),
    (ReduceMin, np.min),
]


@pytest.mark.parametrize(("cls", "function"), FUNCTIONS, ids=[cls.__name__ for cls, _ in FUNCTIONS])
@pytest.mark.parametrize("axes", [(0,), (-1,), (1, 2), (2, 0), (0, 1, -1)], ids=str)
@pytest.mark.parametrize("keep", [True, False])
def test_reductions(cls: type[Reduction], function: Callable[..., Array], axes: tuple[int, ...], keep: bool) -> None:
    places = tuple(axis + 1 if axis >= 0 else axis for axis in axes)
    expected: Any = function(X, axis=places, keepdims=keep)
    if expected.ndim == 1:
        expected = expected[:, None]
    y = run_on(cls(axes, keep_axes=keep), X)
    assert y.shape == expected.shape
    np.testing.assert_allclose(y, expected, 1e-13, 1e-15)


@pytest.mark.parametrize("shape", [(3, 4), (3, 4, 5), (2, 3, 2, 4)], ids=str)
def test_global_pools_of_any_rank(shape: Shape) -> None:
    x = drawn((2, *shape))
    axes = tuple(range(2, x.ndim))
    np.testing.assert_allclose(run_on(GlobalAvgPool(), x), x.mean(axes, keepdims=True), 1e-13)
    np.testing.assert_array_equal(run_on(GlobalMaxPool(), x), x.max(axes, keepdims=True))
    np.testing.assert_array_equal(run_on(GlobalMaxPool(keep_axes=False), x), x.max(axes))


@pytest.mark.parametrize("p", [1, 2, 3])
def test_power_pools(p: int) -> None:
    padded = np.pad(X, ((0, 0), (0, 0), (1, 0), (1, 1)))
    cut = sliding_window_view(padded, (3, 2), axis=(2, 3))[:, :, ::2, ::1]
    expected = (np.abs(cut) ** p).sum((-1, -2)) ** (1 / p)
    np.testing.assert_allclose(run_on(LpPool2d((3, 2), (2, 1), ((1, 0), (1, 1)), p=p), X), expected, 1e-12)
