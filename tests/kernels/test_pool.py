"""Pooling against loops over windows, and its gradients against finite differences."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from archcost.errors import OperatorError
from archcost.geometry import adaptive_window, resolve
from archcost.kernels.pool import maximum
from archcost.ops import AdaptiveAvgPool2d, AvgPool2d, GlobalAvgPool, MaxPool2d, Op, SubsamplingPool2d
from tests.kernels.running import TARGETS_AND_PRECISIONS

from .moved import Array, Case, close, numbers


def bounds(op: Op, size: tuple[int, int], output: tuple[int, int], axis: int, index: int) -> tuple[int, int, int]:
    """Return the first element of a window, its end, and how many elements count for the mean, all from definitions."""
    if isinstance(op, AdaptiveAvgPool2d | GlobalAvgPool):
        first, end = adaptive_window(index, size[axis], output[axis])
        return first, end, end - first
    assert isinstance(op, MaxPool2d | AvgPool2d | SubsamplingPool2d)
    kernel, stride, padding = op.window
    pads = resolve(padding, size, kernel, stride, (1, 1))[axis]
    first = index * stride[axis] - pads[0]
    taps = range(first, first + kernel[axis])
    inside = [tap for tap in taps if 0 <= tap < size[axis]]
    counted = [tap for tap in taps if tap < size[axis] + pads[1]]
    include = not isinstance(op, AvgPool2d) or op.count_include_pad
    return inside[0], inside[-1] + 1, len(counted if include else inside)


def loops(op: Op, x: Array, parameters: dict[str, Array]) -> Array:
    """Return the output, one window after the other, in float64."""
    shape = op.out_shape(x.shape[1:])
    result = np.zeros((len(x), *(shape if len(shape) == 3 else (*shape, 1, 1))))
    size, output = (x.shape[2], x.shape[3]), (result.shape[2], result.shape[3])
    for i, j in product(range(output[0]), range(output[1])):
        top, bottom, rows = bounds(op, size, output, 0, i)
        left, right, columns = bounds(op, size, output, 1, j)
        window = x[:, :, top:bottom, left:right].astype(float)
        if isinstance(op, MaxPool2d):
            result[:, :, i, j] = window.max(axis=(2, 3))
        elif isinstance(op, SubsamplingPool2d):
            result[:, :, i, j] = window.sum(axis=(2, 3)) * parameters["weight"] + parameters["bias"]
        else:
            result[:, :, i, j] = window.sum(axis=(2, 3)) / (rows * columns)
    return result.reshape(len(x), *shape)


def parameters_of(op: Op, shape: tuple[int, ...], dtype: str = "float64") -> dict[str, Array]:
    return {name: numbers(shape, 5, dtype) / 4 for name, shape in op.params(shape).items()}


POOLS: list[Op] = [
    MaxPool2d(3, 2, 1),
    MaxPool2d(2, 2, ceil_mode=True),
    MaxPool2d((5, 4), 1, "same"),
    AvgPool2d(3, 2, 1, ceil_mode=True),
    AvgPool2d(3, 1, 1, count_include_pad=False),
    AvgPool2d((2, 1), (3, 2), ((1, 0), (0, 0))),
    GlobalAvgPool(),
    GlobalAvgPool(keep_axes=False),
    AdaptiveAvgPool2d((5, 3)),
    AdaptiveAvgPool2d((13, 20)),
    SubsamplingPool2d(2),
]


@pytest.mark.parametrize(("target", "dtype"), TARGETS_AND_PRECISIONS)
@pytest.mark.parametrize("op", POOLS, ids=str)
def test_every_target_agrees_with_loops(op: Op, target: str, dtype: str) -> None:
    x = numbers((2, 19, 12, 11), 1, dtype)
    parameters = parameters_of(op, x.shape[1:], dtype)
    case = Case(op, [x], target=target, parameters=parameters)
    close(case.forward(), loops(op, x, parameters))
    gradient = numbers((2, *case.shape), 2, dtype)
    exact = Case(op, [x.astype(float)], parameters={name: v.astype(float) for name, v in parameters.items()})
    exact.forward()
    (wanted,), wanted_parameters = exact.backward(gradient.astype(float))
    (got,), got_parameters = case.backward(gradient)
    close(got, wanted)
    for name, values in got_parameters.items():
        close(values, wanted_parameters[name])


@st.composite
def windows(draw: Any) -> dict[str, Any]:
    kernel = draw(st.sampled_from([(2, 2), (3, 3), (1, 3), (4, 2)]))
    sides = tuple(tuple(draw(st.integers(0, size // 2)) for _ in range(2)) for size in kernel)
    return {
        "kernel_size": kernel,
        "stride": (draw(st.integers(1, 3)), draw(st.integers(1, 4))),
        "padding": draw(st.sampled_from([sides, "same"])),
        "ceil_mode": draw(st.booleans()),
    }


@st.composite
def pools(draw: Any) -> Op:
    kind = draw(st.sampled_from([MaxPool2d, AvgPool2d, SubsamplingPool2d, AdaptiveAvgPool2d, GlobalAvgPool]))
    if kind is GlobalAvgPool:
        return GlobalAvgPool(keep_axes=draw(st.booleans()))
    if kind is AdaptiveAvgPool2d:
        return AdaptiveAvgPool2d((draw(st.integers(1, 6)), draw(st.integers(1, 6))))
    chosen = draw(windows())
    if kind is AvgPool2d:
        chosen["count_include_pad"] = draw(st.booleans())
    made: Op = kind(**chosen)
    return made


def fits(op: Op, shape: tuple[int, int, int]) -> bool:
    try:
        op.out_shape(shape)
    except OperatorError:
        return False
    return True


@given(pools(), st.tuples(*[st.integers(1, 9)] * 3), st.integers(1, 2), st.booleans())
@settings(max_examples=60)
def test_generated_pools_agree_with_loops_and_finite_differences(
    op: Op, shape: tuple[int, int, int], images: int, adds: bool
) -> None:
    x = numbers((images, *shape), 3)
    assume(fits(op, shape))
    parameters = parameters_of(op, shape)
    case = Case(op, [x], parameters=parameters, target="avx2")
    close(case.forward(), loops(op, x, parameters))
    gradient = numbers((images, *case.shape), 4)
    (got,), got_parameters = case.backward(gradient, [adds])
    (wanted,), wanted_parameters = case.differences(gradient)
    close(got, wanted + adds, 1e-6)
    for name, values in got_parameters.items():
        close(values, wanted_parameters[name], 1e-6)


def test_gradient_goes_to_the_first_maximum_in_row_major_order() -> None:
    x = np.zeros((1, 1, 3, 3))
    x[0, 0] = [[0, 2, 2], [2, 1, 2], [0, 0, 2]]
    case = Case(MaxPool2d(2, 1), [x])
    case.forward()
    (gradient,), _ = case.backward(np.array([[[[1.0, 10.0], [100.0, 1000.0]]]]))
    assert gradient[0, 0].tolist() == [[0, 11, 0], [100, 0, 1000], [0, 0, 0]]


@pytest.mark.parametrize("position", range(9))
def test_maximum_shows_what_is_not_a_number(position: int) -> None:
    x = numbers((1, 2, 9, 9), 6)
    x[0, 0, 3 + position // 3, 3 + position % 3] = np.nan
    case = Case(MaxPool2d(3, 3), [x])
    case.run(maximum(case.operation))
    output = case.operation.output.read()
    assert np.isnan(output[0, 0]).tolist() == [[False] * 3, [False, True, False], [False] * 3]
    assert not np.isnan(output[0, 1]).any()


@pytest.mark.parametrize("op", POOLS, ids=str)
def test_the_number_of_threads_changes_no_bit(op: Op) -> None:
    x = numbers((3, 40, 12, 11), 7, "float32")
    parameters = parameters_of(op, x.shape[1:], "float32")
    results = []
    for threads in (1, 2, 3):
        case = Case(op, [x], parameters=parameters, threads=threads)
        output = case.forward()
        (gradient,), of_parameters = case.backward(numbers((3, *case.shape), 8, "float32"))
        results.append([output, gradient, *of_parameters.values()])
    for other in results[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(results[0], other))
