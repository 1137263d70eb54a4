"""The loops that move elements against NumPy's."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest

from archcost.ops import ChannelShuffle, Flatten, Identity, Pad, Reshape, Slice, Transpose
from tests.reference.arrays import drawn, run_on

X = drawn((2, 6, 4, 5))


def test_views() -> None:
    np.testing.assert_array_equal(run_on(Identity(), X), X)
    np.testing.assert_array_equal(run_on(Flatten(), X), X.reshape(2, 120))
    np.testing.assert_array_equal(run_on(Reshape((3, -1, 2)), X), X.reshape(2, 3, 20, 2))


@pytest.mark.parametrize("axes", [(1, 2, 0), (2, 0, 1), (0, 1, 2), (2, 1, 0)])
def test_transpose(axes: tuple[int, ...]) -> None:
    np.testing.assert_array_equal(run_on(Transpose(axes), X), X.transpose(0, *(axis + 1 for axis in axes)))


@pytest.mark.parametrize("groups", [1, 2, 3, 6])
def test_channel_shuffle(groups: int) -> None:
    expected = X.reshape(2, groups, 6 // groups, 4, 5).swapaxes(1, 2).reshape(X.shape)
    np.testing.assert_array_equal(run_on(ChannelShuffle(groups), X), expected)


def test_channel_shuffle_by_hand() -> None:
    x = np.arange(6.0).reshape(1, 6, 1, 1)
    assert run_on(ChannelShuffle(2), x).ravel().tolist() == [0, 3, 1, 4, 2, 5]


@pytest.mark.parametrize("mode", ["reflect", "edge"])
def test_pad_repeats(mode: Literal["reflect", "edge"]) -> None:
    pads = ((0, 1), (3, 0), (2, 4))
    np.testing.assert_array_equal(run_on(Pad(pads, mode), X), np.pad(X, ((0, 0), *pads), mode))


def test_pad_with_a_constant_crops_where_it_is_negative() -> None:
    expected = np.pad(X[:, 1:, :, :-2], ((0, 0), (0, 2), (1, 1), (3, 0)), constant_values=-1.5)
    np.testing.assert_array_equal(run_on(Pad(((-1, 2), (1, 1), (3, -2)), "constant", -1.5), X), expected)


@pytest.mark.parametrize("op", [Slice(0, 1, 4, 2), Slice(1, 0, None, 3), Slice(-1, 2, 99), Slice(2, 4)], ids=repr)
def test_slice(op: Slice) -> None:
    parts = [slice(None)] * 4
    parts[op.axis + 1 if op.axis >= 0 else op.axis] = slice(op.start, op.stop, op.step)
    np.testing.assert_array_equal(run_on(op, X), X[tuple(parts)])
