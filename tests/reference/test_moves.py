"""The loops that pick, repeat and regroup elements, against NumPy's indexing."""

from __future__ import annotations

import numpy as np
import pytest

from archcost.geometry import Shape
from archcost.ops import DepthToSpace, Expand, Gather, Slice, SpaceToDepth
from tests.reference.arrays import drawn, run_on

X = drawn((2, 4, 6, 4))


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize(
    ("indices", "shape"), [((0, -1, 2, 2), (4,)), ((3, 0, 1, -4, -4, 1), (2, 3)), ((2,), (1,)), ((-2,), ())]
)
def test_gather(axis: int, indices: tuple[int, ...], shape: Shape) -> None:
    place = axis + 1 if axis >= 0 else axis
    expected = np.take(X, np.array(indices).reshape(shape), axis=place)
    np.testing.assert_array_equal(run_on(Gather(axis, indices, shape), X), expected)


def test_a_single_index_of_a_vector_leaves_a_vector() -> None:
    np.testing.assert_array_equal(run_on(Gather(0, (1,)), np.array([[1.0, 2.0], [3.0, 4.0]])), [[2.0], [4.0]])


@pytest.mark.parametrize(
    ("shape", "to"), [((3,), (3,)), ((3,), (2, 4, 3)), ((1, 3, 1), (4, 3, 2)), ((2, 1), (5, 1, 2, 3))]
)
def test_expand(shape: Shape, to: Shape) -> None:
    x = drawn((2, *shape))
    expected = np.stack([np.broadcast_to(image, to) for image in x])
    np.testing.assert_array_equal(run_on(Expand(to), x), expected)


@pytest.mark.parametrize("block", [1, 2, 3])
def test_depth_to_space_and_back(block: int) -> None:
    """By the reshapes and transpositions with which ONNX defines the operators."""
    x = drawn((2, 2 * block**2, 3, 2))
    split = x.reshape(2, block, block, 2, 3, 2).transpose(0, 3, 4, 1, 5, 2).reshape(2, 2, 3 * block, 2 * block)
    np.testing.assert_array_equal(run_on(DepthToSpace(block), x), split)
    np.testing.assert_array_equal(run_on(SpaceToDepth(block), split), x)
    other = x.reshape(2, 2, block, block, 3, 2).transpose(0, 1, 4, 2, 5, 3).reshape(2, 2, 3 * block, 2 * block)
    np.testing.assert_array_equal(run_on(DepthToSpace(block, "CRD"), x), other)


@pytest.mark.parametrize("axis", [0, -2])
@pytest.mark.parametrize("cut", [(None, None, -1), (-1, 0, -2), (4, -7, -1), (-3, None, 1), (1, -1, 2), (9, None, -3)])
def test_slices_are_pythons(axis: int, cut: tuple[int | None, int | None, int]) -> None:
    start, stop, step = cut
    size = X.shape[axis + 1 if axis >= 0 else axis]
    op = Slice(axis, (size - 1 if step < 0 else 0) if start is None else start, stop, step)
    taken = (slice(None), slice(*cut)) if axis == 0 else (slice(None), slice(None), slice(*cut))
    np.testing.assert_array_equal(run_on(op, X), X[taken])
