"""Pooling against loops over every window position and tap."""

from __future__ import annotations

import math
from itertools import product as combinations
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from archcost.cost import NO_COST, Cost
from archcost.errors import OperatorError
from archcost.geometry import Shape
from archcost.ops import (
    AdaptiveAvgPool2d,
    AvgPool2d,
    GlobalAvgPool,
    GlobalMaxPool,
    LpPool2d,
    MaxPool2d,
    Op,
    SubsamplingPool2d,
)
from archcost.ops.pool import GlobalPool, Window
from tests.naive import Counted, Tally, adaptive, windows

WINDOWS: tuple[type[Window], ...] = (MaxPool2d, AvgPool2d, SubsamplingPool2d)
sizes = st.tuples(st.integers(1, 3), st.integers(1, 9), st.integers(1, 9))


@st.composite
def pools(draw: st.DrawFn) -> tuple[type[Window], dict[str, Any]]:
    kernel = draw(st.tuples(st.integers(1, 5), st.integers(1, 5)))
    padding = tuple((draw(st.integers(0, size // 2)), draw(st.integers(0, size // 2))) for size in kernel)
    stride = draw(st.none() | st.tuples(st.integers(1, 6), st.integers(1, 6)))
    ceil_mode = draw(st.booleans())
    arguments = {"kernel_size": kernel, "stride": stride, "padding": padding, "ceil_mode": ceil_mode}
    return draw(st.sampled_from(WINDOWS)), arguments


def slid(arguments: dict[str, Any], shape: Shape) -> tuple[list[list[int]], list[list[int]]]:
    kernel, stride = arguments["kernel_size"], arguments["stride"] or arguments["kernel_size"]
    rows, columns = (
        windows(shape[1 + a], kernel[a], stride[a], arguments["padding"][a], 1, arguments["ceil_mode"]) for a in (0, 1)
    )
    return rows, columns


@given(pools(), sizes)
@settings(max_examples=300)
def test_a_pool_costs_one_operation_for_each_window_and_tap(
    case: tuple[type[Window], dict[str, Any]], shape: Shape
) -> None:
    cls, arguments = case
    op = cls(**arguments)
    rows, columns = slid(arguments, shape)
    if not rows or not columns:
        with pytest.raises(OperatorError, match=r"kernel \d is larger than the input size \d"):
            op.out_shape(shape)
        return
    assert op.out_shape(shape) == (shape[0], len(rows), len(columns))
    outputs = taps = 0
    for _channel, row, column in combinations(range(shape[0]), rows, columns):
        outputs += 1
        taps += sum(1 for _tap in combinations(row, column))
    assert op.taps(shape) == taps
    own = outputs if cls is SubsamplingPool2d else 0  # k - 1 additions, times a coefficient, plus a bias
    assert op.cost(shape) == op.cost(shape, training=True) == Cost(0, taps + own)


@given(pools(), sizes)
@settings(max_examples=60)
def test_a_pool_passes_its_gradient_to_the_taps_it_came_from(
    case: tuple[type[Window], dict[str, Any]], shape: Shape
) -> None:
    cls, arguments = case
    rows, columns = slid(arguments, shape)
    assume(rows and columns)
    with Tally() as to_input:
        for _channel, row, column in combinations(range(shape[0]), rows, columns):
            gradient = Counted(1.0)
            if cls is SubsamplingPool2d:
                gradient = gradient * 0.5  # the coefficient
            for _tap in [0] if cls is MaxPool2d else combinations(row, column):
                gradient = gradient + 0.0  # added to the gradient of the input under this tap
    with Tally() as to_params:
        for _channel in range(shape[0]) if cls is SubsamplingPool2d else ():
            weight = bias = Counted(0.0)
            for row, column in combinations(rows, columns):
                taps = [Counted(1.0) for _ in combinations(row, column)]
                total = taps[0]
                for value in taps[1:]:
                    total = total + value
                weight = weight + total * 1.0
                bias = bias + 1.0
    op = cls(**arguments)
    backward = op.backward_cost(shape)
    assert backward.inputs == (Cost(0, to_input.operations),)
    assert backward.params == Cost(0, to_params.operations)
    assert op.backward_cost(shape, trainable=False).params == NO_COST


@given(st.integers(1, 40), st.integers(1, 7), st.integers(1, 5), st.sampled_from(WINDOWS), st.booleans())
def test_same_padding_gives_the_input_size_over_the_stride(
    size: int, kernel: int, stride: int, cls: type[Window], ceil_mode: bool
) -> None:
    op = cls(kernel, stride, "same", ceil_mode)
    assert op.out_shape((2, size, 1)) == (2, math.ceil(size / stride), 1)


@given(sizes, st.integers(1, 12), st.integers(1, 12))
def test_adaptive_pooling_costs_the_elements_of_its_windows(shape: Shape, rows: int, columns: int) -> None:
    op = AdaptiveAvgPool2d((rows, columns))
    taps = 0
    for _channel, row, column in combinations(range(shape[0]), adaptive(shape[1], rows), adaptive(shape[2], columns)):
        taps += len(row) * len(column)
    assert op.out_shape(shape) == (shape[0], rows, columns)
    assert op.cost(shape) == op.cost(shape, training=True) == Cost(0, taps)
    assert op.backward_cost(shape).inputs == (Cost(0, taps),)
    assert op.backward_cost(shape).params == NO_COST


def test_adaptive_pooling_to_a_giant_output_takes_no_time() -> None:
    """Each of 3 * 2**40 + 2 windows lies in one element or straddles two: 3 inputs cut at 2 places."""
    size = 2**40
    assert AdaptiveAvgPool2d((size, 1)).cost((1, 3, 1)) == Cost(0, size + 2)


@pytest.mark.parametrize("cls", [GlobalAvgPool, GlobalMaxPool])
@pytest.mark.parametrize("keep", [True, False])
@pytest.mark.parametrize("shape", [(1, 1, 1), (512, 7, 7), (3, 1, 9), (4, 6), (2, 3, 4, 5)], ids=str)
def test_global_pooling_reads_every_element_once(cls: type[GlobalPool], shape: Shape, keep: bool) -> None:
    op = cls(keep_axes=keep)
    elements = sum(1 for _ in combinations(*map(range, shape)))
    assert op.out_shape(shape) == (tuple(size if axis == 0 else 1 for axis, size in enumerate(shape))
                                   if keep else (shape[0],))  # fmt: skip
    assert op.cost(shape) == Cost(0, elements)
    assert op.backward_cost(shape).inputs == (Cost(0, elements if cls is GlobalAvgPool else shape[0]),)
    assert dict(op.params(shape)) == dict(op.buffers(shape)) == {}


@pytest.mark.parametrize("shape", [(), (5,)], ids=str)
@pytest.mark.parametrize("cls", [GlobalAvgPool, GlobalMaxPool])
def test_global_pooling_needs_positions(cls: type[GlobalPool], shape: Shape) -> None:
    with pytest.raises(OperatorError, match=f"^{cls.__name__} needs channels and at least one axis, not "):
        cls().out_shape(shape)


@given(pools(), sizes, st.integers(1, 4))
def test_a_power_pool_costs_the_arithmetic_of_its_formula(
    case: tuple[type[Window], dict[str, Any]], shape: Shape, p: int
) -> None:
    _, arguments = case
    rows, columns = slid(arguments, shape)
    assume(rows and columns)
    op = LpPool2d(**arguments, p=p)
    with Tally() as forward:
        for _channel, row, column in combinations(range(shape[0]), rows, columns):
            total = Counted(0.0)
            for _tap in combinations(row, column):
                total = total + Counted(0.5) ** p
            assert (total ** (1 / p)).value > 0
    with Tally() as backward:
        for _channel, row, column in combinations(range(shape[0]), rows, columns):
            outer = Counted(2.0) ** (1 - p) * 1.5  # the power of the output, times its gradient
            for _tap in combinations(row, column):
                assert (Counted(0.0) + Counted(0.5) ** (p - 1) * outer).value > 0
    assert op.out_shape(shape) == (shape[0], len(rows), len(columns))
    assert op.cost(shape) == op.cost(shape, training=True) == Cost(0, forward.operations)
    assert op.backward_cost(shape).inputs == (Cost(0, backward.operations),)
    assert op.saved(to_input=True, trainable=False) == {"input", "output"}
    assert (op.kind(shape), op.label(shape).partition(" ")[0]) == ("pool", f"L{p}")


@pytest.mark.parametrize("p", [0, -1, True, 2.0, "2"], ids=repr)
def test_a_power_pool_needs_a_whole_power(p: Any) -> None:
    with pytest.raises(OperatorError, match=rf"^`p` \(={p!r}\) must be"):
        LpPool2d(2, p=p)


@pytest.mark.parametrize(
    ("op", "shape", "output", "operations", "label"),
    [
        (MaxPool2d(2, 2), (64, 224, 224), (64, 112, 112), 3_211_264, "max pool 2x2/2"),  # VGG: 64*112*112*4
        (MaxPool2d(3, 2), (96, 55, 55), (96, 27, 27), 629_856, "max pool 3x3/2"),  # AlexNet, overlapping
        (MaxPool2d(3, 2, 1), (64, 112, 112), (64, 56, 56), 1_806_336, "max pool 3x3/2"),  # ResNet
        (MaxPool2d(3, 2, ceil_mode=True), (64, 112, 112), (64, 56, 56), 1_806_336, "max pool 3x3/2"),  # GoogLeNet
        (AvgPool2d(7, 1), (1024, 7, 7), (1024, 1, 1), 50_176, "average pool 7x7"),
        (AvgPool2d((1, 2)), (1, 4, 4), (1, 4, 2), 16, "average pool 1x2/1x2"),
        (SubsamplingPool2d(2), (6, 28, 28), (6, 14, 14), 5_880, "subsampling 2x2/2"),  # LeNet-5's S2: 1,176 * (4 + 1)
        (AdaptiveAvgPool2d((6, 6)), (256, 13, 13), (256, 6, 6), 82_944, "adaptive average pool 6x6"),  # 18 a side
        (GlobalAvgPool(), (2048, 7, 7), (2048, 1, 1), 100_352, "global average pool"),
        # the overhanging window is dropped when it would start behind the input (2, 4 start; 6 = 5 + 1 does not)
        (MaxPool2d(2, 2, 1, ceil_mode=True), (1, 5, 5), (1, 3, 3), 36, "max pool 2x2/2"),
        # larger than its input, but less than a stride over its end
        (MaxPool2d(4, 4, ceil_mode=True), (1, 1, 2), (1, 1, 1), 16, "max pool 4x4/4"),
    ],
    ids=repr,
)  # fmt: skip
def test_pools_by_hand(op: Op, shape: Shape, output: Shape, operations: int, label: str) -> None:
    assert op.out_shape(shape) == output
    assert op.cost(shape) == Cost(0, operations)
    assert (op.kind(shape), op.label(shape)) == ("pool", label)


def test_lenet_subsampling_learns_a_coefficient_and_a_bias_for_each_channel() -> None:
    """S2 of LeNet-5 has 12 trainable parameters (LeCun et al. 1998, section II.B)."""
    params = SubsamplingPool2d(2).params((6, 28, 28))
    assert sum(math.prod(shape) for shape in params.values()) == 12
    assert all(dict(cls(2).params((6, 28, 28))) == {} for cls in (MaxPool2d, AvgPool2d))


@pytest.mark.parametrize("cls", WINDOWS)
def test_the_stride_is_the_kernel_unless_it_is_given(cls: type[Window]) -> None:
    assert cls(3) == cls((3, 3), 3) == cls(3, None) != cls(3, 1)
    assert cls((2, 5)).stride == (2, 5)


@pytest.mark.parametrize("cls", WINDOWS)
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kernel_size": 0}, r"`kernel_size` \(=0\) must be at least 1"),
        ({"kernel_size": True}, r"`kernel_size` \(=True\) must be an integer"),
        ({"kernel_size": 3.0}, r"`kernel_size` \(=3.0\) must be an integer"),
        ({"stride": 0}, r"`stride` \(=0\) must be at least 1"),
        ({"stride": (2, 2, 2)}, r"`stride` .*must be an integer or a pair"),
        ({"padding": 2}, r"`padding` \(=\(\(2, 2\), \(2, 2\)\)\) must be at most half of `kernel_size` \(=\(3, 3\)\)"),
        ({"padding": ((0, 2), (0, 0))}, "`padding` .*must be at most half of `kernel_size`"),
        ({"padding": ((0, 0), (2, 0))}, "`padding` .*must be at most half of `kernel_size`"),
        ({"kernel_size": (4, 1), "padding": (2, 1)}, "`padding` .*must be at most half of `kernel_size`"),
        ({"padding": -1}, r"`padding` \(=-1\) must be at least 0"),
        ({"padding": "half"}, r"`padding` \(='half'\) must be 'same', 'valid'"),
    ],
    ids=str,
)  # fmt: skip
def test_impossible_windows_are_refused(cls: type[Window], change: dict[str, Any], message: str) -> None:
    with pytest.raises(OperatorError, match=f"^{message}"):
        cls(**{"kernel_size": 3, **change})


@pytest.mark.parametrize(("size", "name"), [(0, "=0"), ((3, -1), "=-1"), ("7", "='7'"), ((1, 2, 3), "pair")], ids=str)
def test_adaptive_pooling_refuses(size: Any, name: str) -> None:
    with pytest.raises(OperatorError, match=f"`output_size` .*{name}"):
        AdaptiveAvgPool2d(size)


def test_a_window_over_the_end_by_a_stride_is_refused_even_with_ceil_mode() -> None:
    with pytest.raises(OperatorError, match="kernel 4 is larger than the input size 1"):
        MaxPool2d(4, 3, ceil_mode=True).out_shape((1, 1, 4))
    assert MaxPool2d(4, 3, ceil_mode=True).out_shape((1, 2, 4)) == (1, 1, 1)
