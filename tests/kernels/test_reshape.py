"""Movement of elements against NumPy; gradients go back to where the elements came from."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archcost.ops import ChannelShuffle, Concat, Flatten, Identity, Op, Pad, Reshape, Slice, Split, Transpose
from tests.kernels.running import TARGETS_AND_PRECISIONS

from .moved import Array, Case, close, numbers


def expected(op: Op, inputs: list[Array]) -> Array:
    """Return the output by NumPy's own functions."""
    x = inputs[0]
    if isinstance(op, Concat):
        return np.concatenate(inputs, axis=op.axis % (x.ndim - 1) + 1)
    if isinstance(op, Split):
        return np.split(x, np.cumsum(op.sections)[:-1], axis=op.axis % (x.ndim - 1) + 1)[op.index]
    if isinstance(op, Slice):
        axis = op.axis % (x.ndim - 1) + 1
        return np.take(x, range(x.shape[axis])[op.start : op.stop : op.step], axis=axis)
    if isinstance(op, ChannelShuffle):
        images, channels, *size = x.shape
        return x.reshape(images, op.groups, channels // op.groups, *size).swapaxes(1, 2).reshape(x.shape)
    if isinstance(op, Pad):
        kept = [slice(max(-before, 0), size + min(after, 0)) for size, (before, after) in zip(x.shape[1:], op.pads)]
        sides = [(0, 0), *((max(before, 0), max(after, 0)) for before, after in op.pads)]
        x = x[(slice(None), *kept)]
        return np.pad(x, sides, constant_values=op.value) if op.mode == "constant" else np.pad(x, sides, op.mode)
    if isinstance(op, Transpose):
        return x.transpose(0, *(axis + 1 for axis in op.axes))
    return x.reshape(len(x), *op.out_shape(x.shape[1:]))


def gradients(op: Op, inputs: list[Array], gradient: Array) -> list[Array]:
    """Return the gradients: every output element's goes to the input element whose number it carries."""
    if isinstance(op, Pad):
        op = Pad(op.pads, op.mode)
    ends = np.cumsum([1, *(x.size for x in inputs)])
    numbered = [np.arange(first, first + x.size).reshape(x.shape).astype(float) for first, x in zip(ends, inputs)]
    sums = np.zeros(ends[-1])
    np.add.at(sums, expected(op, numbered).astype(int).ravel(), gradient.ravel().astype(float))
    return [sums[first : first + x.size].reshape(x.shape) for first, x in zip(ends, inputs)]


def check(op: Op, shapes: list[tuple[int, ...]], last: tuple[bool, bool] = (False, False), **options: Any) -> None:
    dtype = options.pop("dtype", "float64")
    inputs = [numbers((2, *shape), seed, dtype) for seed, shape in enumerate(shapes)]
    case = Case(op, inputs, last=last, **options)
    output = case.forward()
    assert np.array_equal(output, expected(op, inputs))
    gradient = numbers(output.shape, 9, dtype)
    wanted = gradients(op, inputs, gradient)
    for adds in (False, True):
        got, _ = case.backward(gradient, [adds] * len(inputs))
        for a, b in zip(got, wanted):
            close(a, b + adds)


FIRST, TO_LAST, TO_FIRST, LAST = (False, False), (False, True), (True, False), (True, True)
CASES: list[tuple[Op, list[tuple[int, ...]], tuple[bool, bool]]] = [
    (Concat(), [(20, 5, 4), (7, 5, 4), (16, 5, 4)], FIRST),
    (Concat(), [(16, 5, 4), (32, 5, 4)], FIRST),
    (Concat(1), [(5, 5, 4), (5, 2, 4)], FIRST),
    (Concat(-1), [(5, 2, 5), (5, 2, 4)], FIRST),
    (Concat(), [(20,), (7,)], FIRST),
    (Concat(-1), [(3, 4, 20), (3, 4, 6)], LAST),
    (Split((10, 14, 4), 1), [(28, 3, 4)], FIRST),
    (Split((1, 2), 1, -2), [(18, 3, 4)], FIRST),
    (Slice(2, 1, None, 2), [(5, 3, 8)], FIRST),
    (Slice(0, 3, None, 2), [(45, 3, 8)], FIRST),
    (ChannelShuffle(2), [(116, 3, 3)], FIRST),
    (ChannelShuffle(3), [(240, 2, 3)], FIRST),
    (ChannelShuffle(8), [(64, 2, 3)], FIRST),
    (Pad(((0, 0), (1, 2), (3, 0)), value=2.5), [(5, 3, 4)], FIRST),
    (Pad(((3, 2), (-1, 2), (0, -2)), value=-1.0), [(5, 3, 4)], FIRST),
    (Pad(((2, 3), (1, 2), (3, 0)), "reflect"), [(5, 3, 4)], FIRST),
    (Pad(((2, 3), (1, 2), (3, 0)), "edge"), [(5, 3, 4)], FIRST),
    (Pad(((0, 0), (1, 1), (2, 2)), "edge"), [(18, 1, 1)], FIRST),
    (Transpose((1, 2, 0)), [(18, 3, 4)], TO_LAST),
    (Transpose((2, 0, 1)), [(3, 4, 18)], TO_FIRST),
    (Transpose((1, 2, 0)), [(4, 4, 4)], TO_LAST),
    (Transpose((2, 1, 0)), [(18, 3, 4)], FIRST),
    (Transpose((0, 2, 1)), [(5, 20, 35)], FIRST),
    (Transpose((1, 2, 0)), [(5, 4, 3)], FIRST),
    (Flatten(), [(18, 7, 7)], FIRST),
    (Flatten(), [(7, 7, 18)], TO_FIRST),
    (Flatten(), [(5, 20, 33)], FIRST),
    (Reshape((5, 1, 1)), [(5,)], FIRST),
    (Reshape((5,)), [(5, 1, 1)], FIRST),
    (Reshape((4, -1, 3)), [(10, 6, 7)], FIRST),
    (Reshape((-1, 2, 3)), [(60,)], FIRST),
    (Identity(), [(5, 4, 3)], FIRST),
    (Identity(), [(5, 4, 3)], LAST),
]


@pytest.mark.parametrize(("target", "dtype"), TARGETS_AND_PRECISIONS)
@pytest.mark.parametrize(("op", "shapes", "last"), CASES, ids=[f"{op}-{shapes}" for op, shapes, _ in CASES])
def test_every_target_moves_as_numpy_does(
    op: Op, shapes: list[tuple[int, ...]], last: tuple[bool, bool], target: str, dtype: str
) -> None:
    check(op, shapes, last, target=target, dtype=dtype)


@st.composite
def movements(draw: Any) -> tuple[Op, list[tuple[int, ...]]]:
    shape = draw(st.tuples(st.integers(1, 20), st.integers(1, 6), st.integers(1, 6)))
    axis = draw(st.integers(0, 2))
    kind = draw(st.sampled_from([Concat, Split, Slice, ChannelShuffle, Pad, Flatten, Reshape, Transpose]))
    if kind is Concat:
        sizes = draw(st.lists(st.integers(1, 9), min_size=1, max_size=4))
        return Concat(axis), [(*shape[:axis], size, *shape[axis + 1 :]) for size in sizes]
    if kind is Split:
        sections = tuple(draw(st.lists(st.integers(1, 9), min_size=1, max_size=4)))
        split = Split(sections, draw(st.integers(0, len(sections) - 1)), axis)
        return split, [(*shape[:axis], sum(sections), *shape[axis + 1 :])]
    if kind is Slice:
        start = draw(st.integers(0, shape[axis] - 1))
        stop = draw(st.one_of(st.none(), st.integers(start + 1, 25)))
        return Slice(axis, start, stop, draw(st.integers(1, 3))), [shape]
    if kind is ChannelShuffle:
        groups = draw(st.integers(1, 4))
        return ChannelShuffle(groups), [(groups * draw(st.integers(1, 9)), *shape[1:])]
    if kind is Pad:
        mode = draw(st.sampled_from(["constant", "reflect", "edge"]))
        # Of an axis of n, a side may take at most half away, so that something is left.
        most = [size - 1 if mode == "reflect" else 3 for size in shape]
        sides = [
            tuple(draw(st.integers(-((size - 1) // 2), min(3, limit))) for _ in range(2))
            for size, limit in zip(shape, most)
        ]
        return Pad(tuple(sides), mode, 0.5 if mode == "constant" else 0.0), [shape]
    if kind is Transpose:
        return Transpose(tuple(draw(st.permutations([0, 1, 2])))), [shape]
    return (Flatten() if kind is Flatten else Reshape((shape[2], -1, shape[0]))), [shape]


@given(movements(), st.sampled_from(["float32", "float64"]))
@settings(max_examples=80)
def test_generated_movements_are_those_of_numpy(case: tuple[Op, list[tuple[int, ...]]], dtype: str) -> None:
    op, shapes = case
    check(op, shapes, target="portable" if dtype == "float64" else "neon", dtype=dtype)


@pytest.mark.parametrize(("op", "shapes", "last"), [CASES[i] for i in (0, 8, 11, 16, 23, 26)])
def test_gradients_are_finite_differences(op: Op, shapes: list[tuple[int, ...]], last: tuple[bool, bool]) -> None:
    case = Case(op, [numbers((1, *shape), seed) for seed, shape in enumerate(shapes)], last=last)
    gradient = numbers((1, *case.shape), 3)
    got, _ = case.backward(gradient)
    wanted, _ = case.differences(gradient)
    for a, b in zip(got, wanted):
        close(a, b, 1e-6)


@pytest.mark.parametrize(("op", "shapes", "last"), CASES, ids=[f"{op}-{shapes}" for op, shapes, _ in CASES])
def test_the_number_of_threads_changes_no_bit(op: Op, shapes: list[tuple[int, ...]], last: tuple[bool, bool]) -> None:
    results = []
    for threads in (1, 2, 3):
        inputs = [numbers((3, *shape), seed, "float32") for seed, shape in enumerate(shapes)]
        case = Case(op, inputs, last=last, threads=threads)
        results.append([case.forward(), *case.backward(numbers((3, *case.shape), 8, "float32"))[0]])
    for other in results[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(results[0], other))
