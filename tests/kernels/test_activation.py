"""Activations: values against NumPy, gradients against finite differences, in place, added, on every target."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archcost.kernels.target import TARGETS
from archcost.ops import (
    GELU,
    HardSigmoid,
    HardSwish,
    Op,
    ReLU,
    ReLU6,
    ScaledTanh,
    Sigmoid,
    SiLU,
    Softmax,
    Tanh,
)
from tests.kernels.running import TOLERANCE, Array, Case, check_gradients, close

erf = np.vectorize(math.erf, otypes=[float])


def sigmoid(x: Array) -> Array:
    return np.where(x > 0, 1 / (1 + np.exp(-np.abs(x))), np.exp(-np.abs(x)) / (1 + np.exp(-np.abs(x))))


VALUES: dict[Op, Any] = {
    ReLU(): lambda x: np.maximum(x, 0),
    ReLU6(): lambda x: np.clip(x, 0, 6),
    Sigmoid(): sigmoid,
    HardSigmoid(): lambda x: np.clip(x + 3, 0, 6) / 6,
    SiLU(): lambda x: x * sigmoid(x),
    HardSwish(): lambda x: x * np.clip(x + 3, 0, 6) / 6,
    GELU(): lambda x: x * (1 + erf(x / math.sqrt(2))) / 2,
    Tanh(): np.tanh,
    ScaledTanh(): lambda x: 1.7159 * np.tanh(2 * x / 3),
    ScaledTanh(0.5, 2.0): lambda x: 0.5 * np.tanh(2 * x),
}


def softmax(x: Array, axis: int) -> Array:
    powers = np.exp(x - x.max(axis, keepdims=True))
    return np.asarray(powers / powers.sum(axis, keepdims=True))


def inputs(dtype: str) -> Array:
    """Return numbers of all sizes: 2 images, 19 channels, 3 x 7 pixels."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(2, 19, 3, 7)) * np.exp(rng.uniform(-4, 2, (2, 19, 3, 7)))
    x[0, 0, 0] = (0.0, -0.0, 3.0, -3.0, 6.0, 30.0, -80.0)
    return x.astype(dtype)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("op", VALUES, ids=repr)
def test_values(op: Op, dtype: str, target: str) -> None:
    x = inputs(dtype)
    wanted = VALUES[op](x.astype("float64"))
    found = Case(op, [x], target=target).forward()
    assert found.dtype == x.dtype
    precision = np.finfo(dtype).eps
    assert np.abs(found - wanted).max() <= 8 * precision * max(1.0, np.abs(wanted).max())
    np.testing.assert_array_equal(Case(op, [x], target=target, in_place=True).forward(), found)


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_tanh_is_accurate_near_zero(dtype: str) -> None:
    x = np.concatenate([np.logspace(-30, 1.5, 4000), [0.6 - 1e-7, 0.6 + 1e-7]]).astype(dtype).reshape(1, -1)
    wanted = np.tanh(x.astype("float64"))
    assert (np.abs(Case(Tanh(), [x]).forward() - wanted) / wanted).max() <= 4 * np.finfo(dtype).eps


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_gelu_is_accurate_everywhere(dtype: str) -> None:
    x = np.linspace(-9, 9, 8001).astype(dtype).reshape(1, -1)
    wide = x.astype("float64")
    error = np.abs(Case(GELU(), [x]).forward() - wide * (1 + erf(wide / math.sqrt(2))) / 2)
    assert (error / (1 + np.abs(wide))).max() <= 2 * np.finfo(dtype).eps


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_large_arguments(dtype: str) -> None:
    x = np.array([[1e4, -1e4, 700.0, -700.0, 0.0]], dtype)
    np.testing.assert_allclose(Case(Sigmoid(), [x]).forward(), [[1, 0, 1, 0, 0.5]], atol=1e-30)
    np.testing.assert_allclose(Case(Tanh(), [x]).forward(), [[1, -1, 1, -1, 0]], atol=1e-30)
    np.testing.assert_allclose(Case(GELU(), [x]).forward(), [[1e4, 0, 700, 0, 0]], atol=1e-30)
    np.testing.assert_allclose(Case(SiLU(), [x]).forward(), [[1e4, 0, 700, 0, 0]], atol=1e-30)
    np.testing.assert_allclose(Case(Softmax(), [x]).forward(), [[1, 0, 0, 0, 0]], atol=1e-30)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("op", [*VALUES, Softmax(0), Softmax(-1)], ids=repr)
def test_gradients(op: Op, target: str) -> None:
    x = np.random.default_rng(2).normal(size=(2, 5, 2, 3)) * 3
    check_gradients(lambda i, p: Case(op, i, target=target, parameters=p), [x], {}, 3)


@settings(max_examples=60)
@given(
    op=st.sampled_from([*VALUES, Softmax(0), Softmax(-1)]),
    images=st.integers(1, 3),
    shape=st.one_of(st.tuples(st.integers(1, 20)), st.tuples(*[st.integers(1, 6)] * 3)),
    halo=st.booleans(),
    channels_last=st.booleans(),
    threads=st.integers(1, 3),
)
def test_generated_gradients(
    op: Op, images: int, shape: tuple[int, ...], *, halo: bool, channels_last: bool, threads: int
) -> None:
    x = np.random.default_rng(sum(shape)).normal(size=(images, *shape)) * 3
    last = channels_last and len(shape) == 3

    def make(arrays: list[Array], _: Any) -> Case:
        return Case(op, arrays, target="avx2", halo=halo, channels_last=last, threads=threads)

    check_gradients(make, [x], {}, 4)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize(("shape", "axis"), [((21,), -1), ((21, 2, 5), 0), ((5, 2, 21), -1), ((3, 3, 3), 0)])
@pytest.mark.parametrize("channels_last", [False, True])
def test_softmax(shape: tuple[int, ...], axis: int, dtype: str, target: str, *, channels_last: bool) -> None:
    x = (np.random.default_rng(5).normal(size=(2, *shape)) * 4).astype(dtype)
    last = channels_last and len(shape) == 3
    op = Softmax(axis)
    found = Case(op, [x], target=target, channels_last=last).forward()
    wanted = softmax(x.astype("float64"), axis if axis < 0 else axis + 1)
    close(found, wanted, TOLERANCE[dtype])
    np.testing.assert_array_equal(Case(op, [x], target=target, channels_last=last, in_place=True).forward(), found)


@pytest.mark.parametrize("op", [SiLU(), Softmax(0)], ids=repr)
@pytest.mark.parametrize("halo", [False, True])
def test_threads_change_nothing(op: Op, *, halo: bool) -> None:
    rng = np.random.default_rng(6)
    x, g = (rng.normal(size=(2, 40, 33, 29)).astype("float32") for _ in range(2))
    results = []
    for threads in (1, 2, 3, 2):
        case = Case(op, [x], halo=halo, threads=threads)
        results.append((case.forward(), case.backward(g, adds=True)[0][0]))
    for result in results[1:]:
        np.testing.assert_array_equal(result[0], results[0][0])
        np.testing.assert_array_equal(result[1], results[0][1])
    close(results[0][1], differences_of(op, x, g), 1e-5)


def differences_of(op: Op, x: Array, g: Array) -> Array:
    """Return the gradient by the textbook, in float64."""
    x, g = x.astype("float64"), g.astype("float64")
    if isinstance(op, Softmax):
        y = softmax(x, 1)
        return np.asarray(y * (g - (g * y).sum(1, keepdims=True)))
    share = sigmoid(x)
    return np.asarray(g * share * (1 + x * (1 - share)))


def test_empty_batch() -> None:
    x = np.zeros((0, 5, 2, 2))
    assert Case(SiLU(), [x]).forward().shape == (0, 5, 2, 2)
    assert Case(Softmax(0), [x]).forward().shape == (0, 5, 2, 2)
