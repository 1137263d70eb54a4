"""The loops of convolution against sums over NumPy windows, and numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view

from archcost.geometry import Pair, Sides, resolve
from archcost.ops import Conv2d, ConvTranspose2d, PartialConv2d
from archcost.reference import Count, run
from tests.reference.arrays import Array, drawn, run_on, tensors


def correlated(x: Array, weight: Array, bias: Array, sides: Sides, stride: Pair, dilation: Pair, groups: int) -> Array:
    """Return the convolution by one product over all windows, group by group."""
    x = np.pad(x, ((0, 0), (0, 0), *sides))
    extent = [(weight.shape[2 + axis] - 1) * dilation[axis] + 1 for axis in (0, 1)]
    windows = sliding_window_view(x, extent, axis=(2, 3))
    windows = windows[:, :, :: stride[0], :: stride[1], :: dilation[0], :: dilation[1]]
    parts = zip(np.split(windows, groups, axis=1), np.split(weight, groups))
    joined = np.concatenate([np.einsum("ncijrs,ocrs->noij", part, filters) for part, filters in parts], axis=1)
    return joined + bias[:, None, None]


CONVOLUTIONS = [
    Conv2d(5, 3),
    Conv2d(4, 1, 2),
    Conv2d(6, (3, 2), (2, 1), ((1, 0), (2, 1)), (1, 2), 2),
    Conv2d(8, 5, 2, "same", groups=4),
    Conv2d(12, 3, padding=1, groups=4),
    Conv2d(3, 3, 3, "same", 2),
]


@pytest.mark.parametrize("op", CONVOLUTIONS, ids=repr)
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-13), ("float32", 1e-5)])
def test_convolution(op: Conv2d, dtype: str, tolerance: float) -> None:
    shape = (4, 9, 8)
    x, (parameters, _) = drawn((2, *shape), dtype), tensors(op, (shape,), dtype)
    kernel, stride, padding, dilation = op.window
    sides = resolve(padding, shape[1:], kernel, stride, dilation)
    expected = correlated(x, parameters["weight"], parameters["bias"], sides, stride, dilation, op.groups)
    np.testing.assert_allclose(run_on(op, x, parameters), expected, tolerance, tolerance)


def test_convolution_by_hand() -> None:
    x = np.arange(1.0, 10.0).reshape(1, 1, 3, 3)
    weight = np.array([[1.0, 0.0], [0.0, -1.0]]).reshape(1, 1, 2, 2)
    y, count = run(Conv2d(1, 2), [x], {"weight": weight, "bias": np.array([0.5])}, {})
    assert y.tolist() == [[[[-3.5, -3.5], [-3.5, -3.5]]]]
    assert count == Count(mult_adds=16, written=4)
    y, count = run(Conv2d(1, 2, padding=((1, 0), (1, 0)), bias=False), [x], {"weight": weight}, {})
    assert y.tolist() == [[[[-1.0, -2.0, -3.0], [-4.0, -4.0, -4.0], [-7.0, -4.0, -4.0]]]]
    assert count == Count(mult_adds=36, written=9)


@pytest.mark.parametrize(
    "op",
    [
        ConvTranspose2d(4, 3),
        ConvTranspose2d(6, (3, 2), 2, (1, 0), output_padding=(1, 0)),
        ConvTranspose2d(4, 3, (3, 2), 1, (1, 2), groups=2, output_padding=(2, 1)),
    ],
    ids=repr,
)
def test_transposed_convolution_is_a_convolution_of_the_spread_input(op: ConvTranspose2d) -> None:
    """Put zeros between the elements of the input, pad it by the kernel, turn the kernel round."""
    shape = (4, 5, 4)
    x, (parameters, _) = drawn((2, *shape)), tensors(op, (shape,))
    kernel, stride, padding, dilation = op.window
    assert not isinstance(padding, str)
    spread = np.zeros((2, 4, 4 * stride[0] + 1, 3 * stride[1] + 1))
    spread[:, :, :: stride[0], :: stride[1]] = x
    reach = [(kernel[axis] - 1) * dilation[axis] for axis in (0, 1)]
    more = op.output_padding
    assert isinstance(more, tuple)
    sides = (
        (reach[0] - padding[0][0], reach[0] - padding[0][1] + more[0]),
        (reach[1] - padding[1][0], reach[1] - padding[1][1] + more[1]),
    )
    turned = parameters["weight"][:, :, ::-1, ::-1]
    turned = np.concatenate([part.transpose(1, 0, 2, 3) for part in np.split(turned, op.groups)])
    expected = correlated(spread, turned, parameters["bias"], sides, (1, 1), dilation, op.groups)
    np.testing.assert_allclose(run_on(op, x, parameters), expected, 1e-12, 1e-12)


def test_transposed_convolution_by_hand() -> None:
    x, weight = np.array([[[[1.0, 2.0]]]]), np.array([[[[1.0, 10.0, 100.0]]]])
    y, count = run(ConvTranspose2d(1, (1, 3), 2, bias=False), [x], {"weight": weight}, {})
    assert y.tolist() == [[[[1.0, 10.0, 102.0, 20.0, 200.0]]]]
    assert count == Count(mult_adds=6, written=5)
    y, count = run(ConvTranspose2d(1, (1, 3), 2, (0, 2), bias=False), [x], {"weight": weight}, {})
    assert y.tolist() == [[[[102.0]]]]
    assert count == Count(mult_adds=6, written=1)


def test_partial_convolution_is_a_convolution_with_zeros() -> None:
    op = PartialConv2d(((0, 2), (1,), (0, 1, 3)), (2, 3))
    x, (parameters, _) = drawn((2, 4, 5, 6)), tensors(op, ((4, 5, 6),))
    weight, link = np.zeros((3, 4, 2, 3)), 0
    for out, seen in enumerate(op.connections):
        for channel in seen:
            weight[out, channel] = parameters["weight"][link]
            link += 1
    expected = correlated(x, weight, parameters["bias"], ((0, 0), (0, 0)), (1, 1), (1, 1), 1)
    np.testing.assert_allclose(run_on(op, x, parameters), expected, 1e-13, 1e-13)
