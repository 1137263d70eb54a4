"""The loops of pooling against NumPy on the cut-out windows, and numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from archcost.ops import AdaptiveAvgPool2d, AvgPool2d, GlobalAvgPool, MaxPool2d, SubsamplingPool2d
from archcost.reference import Count, run
from tests.naive import adaptive, windows
from tests.reference.arrays import drawn, run_on

X = drawn((2, 3, 7, 8))
WINDOWS = [
    (2, None, 0, False),
    (3, 2, 1, False),
    (3, 2, 1, True),
    ((3, 2), (2, 3), ((1, 0), (0, 1)), True),
    ((2, 3), 1, "same", False),
]


def cut(op: MaxPool2d | AvgPool2d) -> list[list[tuple[list[int], list[int]]]]:
    """Return the rows and columns of every window, those on padding included."""
    kernel, stride, padding = op.window
    if isinstance(padding, str):
        padding = ((0, 1), (1, 1))  # "same", worked out by hand
    rows = windows(7, kernel[0], stride[0], padding[0], ceil_mode=op.ceil_mode)
    columns = windows(8, kernel[1], stride[1], padding[1], ceil_mode=op.ceil_mode)
    return [[(row, column) for column in columns] for row in rows]


def seen(rows: list[int], columns: list[int]) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Return the part of X in a window, without the padding."""
    return X[:, :, [r for r in rows if 0 <= r < 7]][:, :, :, [c for c in columns if 0 <= c < 8]]


@pytest.mark.parametrize("arguments", WINDOWS, ids=repr)
def test_maximum(arguments: tuple[int, int, int, bool]) -> None:
    op = MaxPool2d(*arguments)
    expected = np.stack([np.stack([seen(*one).max((2, 3)) for one in line], -1) for line in cut(op)], -2)
    np.testing.assert_array_equal(run_on(op, X), expected)


@pytest.mark.parametrize("arguments", WINDOWS, ids=repr)
def test_average_without_padding(arguments: tuple[int, int, int, bool]) -> None:
    op = AvgPool2d(*arguments, count_include_pad=False)
    expected = np.stack([np.stack([seen(*one).mean((2, 3)) for one in line], -1) for line in cut(op)], -2)
    np.testing.assert_allclose(run_on(op, X), expected, 1e-13)


def test_average_with_padding_by_hand() -> None:
    x = np.arange(1.0, 10.0).reshape(1, 1, 3, 3)
    # a corner: 1 of 2 x 2 taps lies inside; the ends of the last windows hang over the padding and are not counted
    y = run_on(AvgPool2d(2, 2, 1, ceil_mode=True), x)
    assert y.tolist() == [[[[1 / 4, 5 / 4], [11 / 4, 28 / 4]]]]
    y = run_on(AvgPool2d(2, 2, 0, ceil_mode=True), x)
    assert y.tolist() == [[[[12 / 4, 9 / 2], [15 / 2, 9.0]]]]
    y = run_on(AvgPool2d(2, 2, 1, ceil_mode=True, count_include_pad=False), x)
    assert y.tolist() == [[[[1.0, 5 / 2], [11 / 2, 28 / 4]]]]


def test_subsampling() -> None:
    weight, bias = drawn((3,), seed=1), drawn((3,), seed=2)
    y, count = run(SubsamplingPool2d(2), [X[:, :, :6]], {"weight": weight, "bias": bias}, {})
    sums = X[:, :, :6].reshape(2, 3, 3, 2, 4, 2).sum((3, 5))
    np.testing.assert_allclose(y, sums * weight[:, None, None] + bias[:, None, None], 1e-12, 1e-12)
    assert count == Count(mult_adds=0, written=72)


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (7, 8), (10, 9)])
def test_adaptive_average(size: tuple[int, int]) -> None:
    rows, columns = adaptive(7, size[0]), adaptive(8, size[1])
    means = [[X[:, :, row][:, :, :, column].mean((2, 3)) for column in columns] for row in rows]
    expected = np.stack([np.stack(line, -1) for line in means], -2)
    np.testing.assert_allclose(run_on(AdaptiveAvgPool2d(size), X), expected, 1e-13)


def test_global_average() -> None:
    np.testing.assert_allclose(run_on(GlobalAvgPool(), X), X.mean((2, 3), keepdims=True), 1e-13)
    np.testing.assert_allclose(run_on(GlobalAvgPool(keep_axes=False), X), X.mean((2, 3)), 1e-13)
