"""The loops on volumes against NumPy's windows."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view

from archcost.ops import AvgPool3d, Conv3d, MaxPool3d
from tests.reference.arrays import drawn, run_on, tensors

X = drawn((2, 4, 5, 6, 7))


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(
    ("stride", "dilation", "groups"), [((1, 1, 1), (1, 1, 1), 1), ((2, 1, 3), (1, 2, 1), 2)], ids=str
)
def test_convolution(stride: tuple[int, int, int], dilation: tuple[int, int, int], groups: int, *, bias: bool) -> None:
    kernel, sides = (2, 3, 1), ((1, 0), (0, 2), (1, 1))
    op = Conv3d(6, kernel, stride, sides, dilation, groups, bias)
    parameters, _ = tensors(op, (X.shape[1:],))
    padded = np.pad(X, ((0, 0), (0, 0), *sides))
    extents = tuple((size - 1) * apart + 1 for size, apart in zip(kernel, dilation))
    cut = sliding_window_view(padded, extents, axis=(2, 3, 4))[:, :, :: stride[0], :: stride[1], :: stride[2]]
    cut = cut[..., :: dilation[0], :: dilation[1], :: dilation[2]].reshape(
        2, groups, 4 // groups, *cut.shape[2:5], *kernel
    )
    weight = parameters["weight"].reshape(groups, 6 // groups, 4 // groups, *kernel)
    expected = np.einsum("ngcdhwijk,gocijk->ngodhw", cut, weight).reshape(2, 6, *cut.shape[3:6])
    if bias:
        expected = expected + parameters["bias"][:, None, None, None]
    np.testing.assert_allclose(run_on(op, X, parameters), expected, 1e-12, 1e-12)


def test_pools() -> None:
    sides = ((0, 0), (0, 0), (1, 0), (0, 1), (1, 1))
    op = MaxPool3d((2, 3, 2), (1, 2, 3), sides[2:])
    cut = sliding_window_view(np.pad(X, sides, constant_values=-np.inf), (2, 3, 2), axis=(2, 3, 4))[:, :, :, ::2, ::3]
    np.testing.assert_array_equal(run_on(op, X), cut.max((-1, -2, -3)))
    zeros = sliding_window_view(np.pad(X, sides), (2, 3, 2), axis=(2, 3, 4))[:, :, :, ::2, ::3]
    averaged = run_on(AvgPool3d((2, 3, 2), (1, 2, 3), sides[2:]), X)
    np.testing.assert_allclose(averaged, zeros.mean((-1, -2, -3)), 1e-12, 1e-15)
    inside = run_on(AvgPool3d((2, 3, 2), (1, 2, 3), sides[2:], count_include_pad=False), X)
    taps = np.isfinite(cut).sum((-1, -2, -3))
    np.testing.assert_allclose(inside, zeros.sum((-1, -2, -3)) / taps, 1e-12, 1e-15)


def test_a_window_that_hangs_over_the_end_counts_what_is_there() -> None:
    x = np.arange(1.0, 4).reshape(1, 1, 3, 1, 1)
    assert run_on(AvgPool3d((2, 1, 1), ceil_mode=True), x).reshape(-1).tolist() == [1.5, 3.0]
    assert run_on(MaxPool3d((2, 1, 1), ceil_mode=True), x).reshape(-1).tolist() == [2.0, 3.0]
