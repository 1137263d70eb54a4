"""Normalisation and scaling: values against NumPy, gradients against finite differences, running statistics."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archcost.kernels.target import TARGETS
from archcost.ops import BatchNorm2d, ConstantScale, LayerNorm, LocalResponseNorm, Op, Scale
from tests.kernels.running import TOLERANCE, Array, Case, check_gradients, close

Making = Callable[[list[Array], Mapping[str, Array]], Case]


def parameters_of(op: Op, shape: tuple[int, ...], dtype: Any = "float64") -> dict[str, Array]:
    rng = np.random.default_rng(8)
    return {name: (rng.normal(size=size) + 0.5).astype(dtype) for name, size in op.params(shape).items()}


def buffers_of(channels: int, dtype: Any = "float64", tracked: Any = "int64") -> dict[str, Array]:
    rng = np.random.default_rng(9)
    mean, variance = rng.normal(size=channels), rng.uniform(0.5, 2, channels)
    return {
        "running_mean": mean.astype(dtype),
        "running_var": variance.astype(dtype),
        "num_batches_tracked": np.array(3, tracked),
    }


def spread(values: Array, rank: int) -> Array:
    return values.reshape(-1, *[1] * (rank - 2))


def batch_norm(x: Array, mean: Array, variance: Array, parameters: Mapping[str, Array], eps: float) -> Array:
    y = (x - spread(mean, x.ndim)) / np.sqrt(spread(variance, x.ndim) + eps)
    if parameters:
        y = y * spread(parameters["weight"], x.ndim) + spread(parameters["bias"], x.ndim)
    return y


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("shape", [(19, 7, 9), (19,)])
@pytest.mark.parametrize("affine", [True, False])
def test_batch_norm(shape: tuple[int, ...], dtype: str, target: str, *, affine: bool) -> None:
    op = BatchNorm2d(momentum=0.3, affine=affine)
    x = (np.random.default_rng(0).normal(size=(5, *shape)) * 2 + 3).astype(dtype)
    wide, axes = x.astype("float64"), (0, *range(2, x.ndim))
    parameters, buffers = parameters_of(op, shape, dtype), buffers_of(19, dtype)
    old = {name: array.copy() for name, array in buffers.items()}
    mean, variance = wide.mean(axes), wide.var(axes)
    found = Case(op, [x], target=target, parameters=parameters, buffers=buffers).forward()
    close(found, batch_norm(wide, mean, variance, parameters, op.eps), TOLERANCE[dtype])
    count = x.size // 19
    close(buffers["running_mean"], 0.7 * old["running_mean"] + 0.3 * mean, TOLERANCE[dtype])
    unbiased = variance * count / (count - 1)
    close(buffers["running_var"], 0.7 * old["running_var"] + 0.3 * unbiased, TOLERANCE[dtype])
    assert buffers["num_batches_tracked"] == 4

    kept = {name: array.copy() for name, array in buffers.items()}
    case = Case(op, [x], target=target, parameters=parameters, buffers=buffers, training=False, in_place=True)
    fixed = batch_norm(wide, kept["running_mean"], kept["running_var"], parameters, op.eps)
    close(case.forward(), fixed, TOLERANCE[dtype])
    for name, array in kept.items():
        np.testing.assert_array_equal(buffers[name], array)


@pytest.mark.parametrize("tracked", ["int64", "float32", "float64"])
def test_batches_are_counted_in_any_type(tracked: str) -> None:
    buffers = buffers_of(3, "float32", tracked)
    case = Case(BatchNorm2d(affine=False), [np.ones((2, 3, 2, 2), "float32")], buffers=buffers)
    case.forward()
    case.forward()
    assert buffers["num_batches_tracked"] == 5


def test_batch_norm_is_accurate_with_a_large_mean() -> None:
    x = (np.random.default_rng(1).normal(size=(4, 3, 50, 40)) + 1000).astype("float32")
    wide = x.astype("float64")
    wanted = batch_norm(wide, wide.mean((0, 2, 3)), wide.var((0, 2, 3)), {}, 1e-5)
    found = Case(BatchNorm2d(affine=False), [x], buffers=buffers_of(3, "float32")).forward()
    close(found, wanted, 1e-6)


@settings(max_examples=40)
@given(
    images=st.integers(1, 3),
    shape=st.one_of(st.tuples(st.integers(1, 10)), st.tuples(st.integers(1, 9), st.integers(1, 4), st.integers(1, 5))),
    affine=st.booleans(),
    training=st.booleans(),
    halo=st.booleans(),
    threads=st.integers(1, 3),
    target=st.sampled_from([*TARGETS]),
)
def test_batch_norm_gradients(
    images: int,
    shape: tuple[int, ...],
    target: str,
    *,
    affine: bool,
    training: bool,
    halo: bool,
    threads: int,
) -> None:
    op = BatchNorm2d(affine=affine, eps=1e-2)
    x = np.random.default_rng(2).normal(size=(images, *shape)) * 2

    def make(arrays: list[Array], parameters: Mapping[str, Array]) -> Case:
        return Case(
            op, arrays, target=target, parameters=parameters, buffers=buffers_of(shape[0]), training=training,
            halo=halo, threads=threads,
        )  # fmt: skip

    check_gradients(make, [x], parameters_of(op, shape), 3)


def test_a_frozen_batch_norm_only_scales() -> None:
    op, rng = BatchNorm2d(), np.random.default_rng(4)
    x, g = rng.normal(size=(2, 2, 6, 3, 3))
    parameters, buffers = parameters_of(op, (6, 3, 3)), buffers_of(6)
    case = Case(op, [x], parameters=parameters, buffers=buffers, training=False)
    case.forward()
    to_inputs, to_parameters = case.backward(g, frozen=True)
    scale = parameters["weight"] / np.sqrt(buffers["running_var"] + op.eps)
    close(to_inputs[0], g * scale.reshape(-1, 1, 1), 1e-14)
    assert not to_parameters


def layer_norm(x: Array, axis: int, parameters: Mapping[str, Array], eps: float) -> Array:
    x = np.moveaxis(x, axis, -1)
    y = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + eps)
    y = y * parameters["weight"] + parameters["bias"] if parameters else y
    return np.moveaxis(y, -1, axis)


FORMS: list[tuple[tuple[int, ...], int, bool]] = [
    ((21, 3, 5), 0, False),
    ((3, 5, 21), -1, True),
    ((6, 6, 6), -1, True),
    ((37,), -1, False),
    ((5, 3, 4), -1, False),
    ((4, 3, 5), 0, True),
]
"""Shape, axis, and whether the tensor is in channels-last order."""


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize(("shape", "axis", "last"), FORMS)
@pytest.mark.parametrize("affine", [True, False])
def test_layer_norm(shape: tuple[int, ...], axis: int, dtype: str, target: str, *, last: bool, affine: bool) -> None:
    op = LayerNorm(axis=axis, affine=affine)
    x = (np.random.default_rng(5).normal(size=(2, *shape)) * 2 + 5).astype(dtype)
    parameters = parameters_of(op, shape, dtype)
    wanted = layer_norm(x.astype("float64"), axis if axis < 0 else 1, parameters, op.eps)
    for in_place in (False, True):
        case = Case(op, [x], target=target, parameters=parameters, channels_last=last, in_place=in_place)
        close(case.forward(), wanted, TOLERANCE[dtype])


@settings(max_examples=20)
@given(
    form=st.sampled_from(FORMS), affine=st.booleans(), threads=st.integers(1, 3), target=st.sampled_from([*TARGETS]),
    halo=st.booleans(),
)  # fmt: skip
def test_layer_norm_gradients(
    form: tuple[tuple[int, ...], int, bool], threads: int, target: str, *, affine: bool, halo: bool
) -> None:
    shape, axis, last = form
    op = LayerNorm(axis=axis, affine=affine, eps=1e-2)

    def make(arrays: list[Array], parameters: Mapping[str, Array]) -> Case:
        return Case(
            op, arrays, target=target, parameters=parameters, threads=threads, channels_last=last, halo=halo
        )  # fmt: skip

    x = np.random.default_rng(6).normal(size=(1, *shape))
    check_gradients(make, [x], parameters_of(op, shape), 7)


def response_norm(x: Array, op: LocalResponseNorm) -> Array:
    squares = np.zeros_like(x)
    for channel in range(x.shape[1]):
        first, end = max(0, channel - op.size // 2), channel + (op.size - 1) // 2 + 1
        squares[:, channel] = (x[:, first:end] ** 2).sum(1)
    return x / (op.k + op.alpha / op.size * squares) ** op.beta


RESPONSES = [LocalResponseNorm(alpha=0.5), LocalResponseNorm(4, 2.0, 0.6, 1.0), LocalResponseNorm(9, 0.1, 1.0, 0.5)]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("op", RESPONSES, ids=repr)
def test_response_norm(op: LocalResponseNorm, dtype: str, target: str) -> None:
    x = (np.random.default_rng(10).normal(size=(2, 21, 3, 6)) * 3).astype(dtype)
    wanted = response_norm(x.astype("float64"), op)
    for in_place in (False, True):
        close(Case(op, [x], target=target, in_place=in_place).forward(), wanted, TOLERANCE[dtype])


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("op", RESPONSES, ids=repr)
def test_response_norm_gradients(op: LocalResponseNorm, target: str) -> None:
    x = np.random.default_rng(11).normal(size=(1, 11, 2, 5)) * 2
    check_gradients(lambda i, p: Case(op, i, target=target, parameters=p), [x], {}, 12)


SCALES: list[tuple[Op, tuple[int, ...], bool]] = [
    (Scale(0), (9, 2, 3), False),
    (Scale(-1), (2, 3, 9), True),
    (Scale(-1), (2, 3, 9), False),
    (Scale(0), (4, 3, 2), True),
    (Scale(), (13,), False),
    (ConstantScale(-0.3), (9, 2, 3), False),
]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(("op", "shape", "last"), SCALES, ids=repr)
def test_scale(op: Op, shape: tuple[int, ...], target: str, *, last: bool) -> None:
    x = np.random.default_rng(13).normal(size=(2, *shape))
    parameters = parameters_of(op, shape)

    def make(arrays: list[Array], learned: Mapping[str, Array]) -> Case:
        return Case(op, arrays, target=target, parameters=learned, channels_last=last)

    wanted = x * -0.3
    if isinstance(op, Scale):
        sizes = [1] * len(shape)
        sizes[op.axis] = -1
        wanted = x * parameters["weight"].reshape(sizes)
    close(make([x], parameters).forward(), wanted, 1e-15)
    check_gradients(make, [x], parameters, 14)


@pytest.mark.parametrize("op", [BatchNorm2d(), LayerNorm(axis=0), LocalResponseNorm(), Scale()], ids=repr)
@pytest.mark.parametrize("shape", [(20, 41, 37), (20, 1, 1), (600, 3, 3)])
def test_threads_change_nothing(op: Op, shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(15)
    x, g = (rng.normal(size=(3, *shape)).astype("float32") for _ in range(2))
    results = []
    for threads in (1, 2, 3, 2):
        buffers = buffers_of(shape[0], "float32")
        parameters = parameters_of(op, shape, "float32")
        case = Case(op, [x], parameters=parameters, buffers=buffers, threads=threads)
        result = [case.forward(), *buffers.values()]
        to_inputs, to_parameters = case.backward(g)
        results.append([*result, *to_inputs, *to_parameters.values()])
    for other in results[1:]:
        for found, wanted in zip(other, results[0]):
            np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("op", [BatchNorm2d(), LayerNorm(axis=0), Scale()], ids=repr)
def test_single_precision_gradients_are_accurate(op: Op) -> None:
    """Sums over 3 x 80 x 70 pixels, against the same code in float64."""
    rng = np.random.default_rng(16)
    x, g = (rng.normal(size=(3, 20, 80, 70)).astype("float32") for _ in range(2))
    results = []
    for dtype in ("float32", "float64"):
        parameters = {name: array.astype(dtype) for name, array in parameters_of(op, (20, 80, 70), "float32").items()}
        case = Case(op, [x.astype(dtype)], parameters=parameters, buffers=buffers_of(20, dtype))
        case.forward()
        to_inputs, to_parameters = case.backward(g.astype(dtype))
        results.append([*to_inputs, *to_parameters.values()])
    for found, wanted in zip(*results):
        close(found, wanted, 2e-6)
