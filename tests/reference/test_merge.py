"""The loops that join and cut tensors against NumPy's."""

from __future__ import annotations

import numpy as np
import pytest

from archcost.ops import Add, Concat, Mul, Split
from archcost.reference import Count, run
from tests.reference.arrays import drawn, run_on

A, B, C = drawn((2, 3, 4, 5)), drawn((2, 3, 1, 1), seed=1), drawn((2, 1, 4, 5), seed=2)


def test_addition_and_multiplication() -> None:
    for inputs in ([A, A], [A, B], [B, A], [B, C], [A, B, C], [A]):
        y, count = run(Add(), inputs, {}, {})
        np.testing.assert_allclose(y, sum(inputs), 1e-14, 1e-14)
        assert count == Count(0, y.size)
        y, count = run(Mul(), inputs, {}, {})
        np.testing.assert_allclose(y, np.prod(np.broadcast_arrays(*inputs), 0), 1e-14)
        assert count == Count(0, y.size)
    assert run(Add(), [B, C], {}, {})[0].shape == (2, 3, 4, 5)


@pytest.mark.parametrize(("axis", "of"), [(0, 1), (1, 2), (-1, 3), (-3, 1)])
def test_concatenation_and_split(axis: int, of: int) -> None:
    parts = [np.take(A, range(count), of) for count in (2, 1, 3)]
    y, count = run(Concat(axis), parts, {}, {})
    np.testing.assert_array_equal(y, np.concatenate(parts, of))
    assert count == Count(0, y.size)
    sections = tuple(part.shape[of] for part in parts)
    for index, part in enumerate(parts):
        np.testing.assert_array_equal(run_on(Split(sections, index, axis), y), part)
