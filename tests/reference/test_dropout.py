"""Dropout and drop path: the input in inference, a given mask in training."""

from __future__ import annotations

import numpy as np
import pytest

from archcost.ops import Dropout, DropPath
from archcost.reference import Count, run
from tests.reference.arrays import drawn

X = drawn((2, 3, 4, 5))


@pytest.mark.parametrize("op", [Dropout(0.25), DropPath(0.25)], ids=repr)
def test_inference_is_the_input_itself(op: Dropout) -> None:
    y, count = run(op, [X], {}, {})
    assert np.shares_memory(y, X)
    np.testing.assert_array_equal(y, X)
    assert count == Count(0, 0)


def test_dropout_masks_elements() -> None:
    mask = drawn(X.shape, seed=1) > 0
    y, count = run(Dropout(0.25), [X], {}, {}, training=True, random=mask)
    np.testing.assert_allclose(y, X * mask / 0.75, 1e-15)
    assert count == Count(0, 120)


def test_drop_path_masks_images() -> None:
    y, _ = run(DropPath(0.5), [X], {}, {}, training=True, random=np.array([0, 1]))
    np.testing.assert_array_equal(y[0], np.zeros((3, 4, 5)))
    np.testing.assert_array_equal(y[1], 2 * X[1])


@pytest.mark.parametrize("mask", [None, np.ones(3), np.ones((3, 4, 5))])
def test_training_needs_a_mask(mask: np.ndarray[tuple[int, ...], np.dtype[np.float64]] | None) -> None:
    with pytest.raises(ValueError, match=r"training needs a mask of the shape \(2, 3, 4, 5\) or \(2,\)"):
        run(Dropout(0.5), [X], {}, {}, training=True, random=mask)
