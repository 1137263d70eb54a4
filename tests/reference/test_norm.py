"""The loops of normalisation against NumPy's statistics."""

from __future__ import annotations

import numpy as np
import pytest

from archcost.ops import BatchNorm2d, ConstantScale, InstanceNorm, LayerNorm, LocalResponseNorm, Scale
from archcost.reference import run
from tests.reference.arrays import drawn, run_on, tensors

X = 3 * drawn((3, 5, 4, 2)) + 1


@pytest.mark.parametrize("affine", [True, False])
def test_batch_norm_in_inference(affine: bool) -> None:
    op = BatchNorm2d(1e-3, affine=affine)
    parameters, buffers = tensors(op, (X.shape[1:],))
    mean, variance = (buffers[name][:, None, None] for name in ("running_mean", "running_var"))
    expected = (X - mean) / np.sqrt(variance + 1e-3)
    if affine:
        expected = expected * parameters["weight"][:, None, None] + parameters["bias"][:, None, None]
    before = buffers["running_mean"].copy()
    np.testing.assert_allclose(run_on(op, X, parameters, buffers), expected, 1e-12, 1e-12)
    np.testing.assert_array_equal(buffers["running_mean"], before)
    assert buffers["num_batches_tracked"] == 0


def test_batch_norm_in_training() -> None:
    op = BatchNorm2d(1e-5, 0.2)
    parameters, buffers = tensors(op, (X.shape[1:],))
    old = {name: buffer.copy() for name, buffer in buffers.items()}
    y, _ = run(op, [X], parameters, buffers, training=True)
    normal = (X - X.mean((0, 2, 3), keepdims=True)) / np.sqrt(X.var((0, 2, 3), keepdims=True) + 1e-5)
    expected = normal * parameters["weight"][:, None, None] + parameters["bias"][:, None, None]
    np.testing.assert_allclose(y, expected, 1e-12, 1e-12)
    for name, batch in (("running_mean", X.mean((0, 2, 3))), ("running_var", X.var((0, 2, 3), ddof=1))):
        np.testing.assert_allclose(buffers[name], 0.8 * old[name] + 0.2 * batch, 1e-12)
    assert buffers["num_batches_tracked"] == 1


def test_batch_norm_of_one_element_has_no_variance() -> None:
    op, x = BatchNorm2d(affine=False), np.array([[2.0, -4.0]])
    buffers = {"running_mean": np.zeros(2), "running_var": np.ones(2), "num_batches_tracked": np.zeros((), int)}
    y, _ = run(op, [x], {}, buffers, training=True)
    assert y.tolist() == [[0.0, 0.0]]
    np.testing.assert_allclose(buffers["running_mean"], [0.2, -0.4])
    np.testing.assert_allclose(buffers["running_var"], [0.9, 0.9])


@pytest.mark.parametrize("axis", [0, -1])
def test_layer_norm(axis: int) -> None:
    op, of = LayerNorm(axis, 1e-4), (1 if axis == 0 else 3)
    parameters, _ = tensors(op, (X.shape[1:],))
    shape = (-1, 1, 1) if axis == 0 else (-1,)
    normal = (X - X.mean(of, keepdims=True)) / np.sqrt(X.var(of, keepdims=True) + 1e-4)
    expected = normal * parameters["weight"].reshape(shape) + parameters["bias"].reshape(shape)
    np.testing.assert_allclose(run_on(op, X, parameters), expected, 1e-12, 1e-12)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 12])
def test_local_response_norm(size: int) -> None:
    squares = np.pad(X**2, ((0, 0), (size // 2, size), (0, 0), (0, 0)))
    sums = sum(squares[:, first : first + 5] for first in range(size))
    expected = X / (1.5 + 0.3 / size * sums) ** 0.6
    np.testing.assert_allclose(run_on(LocalResponseNorm(size, 0.3, 0.6, 1.5), X), expected, 1e-12)


def test_scales() -> None:
    factors = drawn((5,), seed=1)
    np.testing.assert_array_equal(run_on(Scale(), X, {"weight": factors}), X * factors[:, None, None])
    np.testing.assert_array_equal(run_on(Scale(-1), X, {"weight": factors[:2]}), X * factors[:2])
    np.testing.assert_array_equal(run_on(ConstantScale(0.25), X), X * 0.25)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_layer_norm_over_several_axes(count: int) -> None:
    op, axes = LayerNorm(-1, 1e-4, normalized_axes=count), (1, 2, 3)[3 - count :]
    parameters, _ = tensors(op, (X.shape[1:],))
    normal = (X - X.mean(axes, keepdims=True)) / np.sqrt(X.var(axes, keepdims=True) + 1e-4)
    expected = normal * parameters["weight"] + parameters["bias"]
    np.testing.assert_allclose(run_on(op, X, parameters), expected, 1e-12, 1e-12)


@pytest.mark.parametrize("shape", [(5, 8), (5, 4, 2), (2, 3, 4, 5)], ids=str)
def test_instance_norm(shape: tuple[int, ...]) -> None:
    op, x = InstanceNorm(1e-3), 3 * drawn((2, *shape)) + 1
    axes = tuple(range(2, x.ndim))
    parameters, _ = tensors(op, (shape,))
    weight, bias = (parameters[name].reshape(-1, *[1] * (len(shape) - 1)) for name in ("weight", "bias"))
    expected = (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + 1e-3) * weight + bias
    np.testing.assert_allclose(run_on(op, x, parameters), expected, 1e-12, 1e-12)
