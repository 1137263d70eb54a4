"""Volumes: the rules of two dimensions with one axis more, held against loops over positions and taps."""

from __future__ import annotations

from itertools import product as combinations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archcost.cost import NO_COST, Cost
from archcost.errors import OperatorError
from archcost.geometry import Shape
from archcost.ops import AvgPool2d, AvgPool3d, Conv2d, Conv3d, MaxPool2d, MaxPool3d, Op
from archcost.ops.conv3d import Pool3d
from tests.naive import windows

size = st.integers(1, 3)
three = st.tuples(size, size, size)
pads = st.tuples(*[st.tuples(st.integers(0, 1), st.integers(0, 1))] * 3)


@given(
    three, three, pads, three, st.tuples(*[st.integers(5, 8)] * 3), st.sampled_from([(2, 4, 1), (4, 6, 2), (3, 3, 3)])
)
def test_a_convolution_multiplies_each_tap_of_each_position(
    kernel: Any, stride: Any, padding: Any, dilation: Any, extent: Any, channels: tuple[int, int, int]
) -> None:
    into, out, groups = channels
    op = Conv3d(out, kernel, stride, padding, dilation, groups)
    axes = [windows(*axis) for axis in zip(extent, kernel, stride, padding, dilation)]
    if not all(axes):
        with pytest.raises(OperatorError, match="is larger than the input size"):
            op.out_shape((into, *extent))
        return
    shape = (into, *extent)
    assert op.out_shape(shape) == (out, *map(len, axes))
    products = sum(
        into // groups * len(list(combinations(*taps))) for _out in range(out) for taps in combinations(*axes)
    )
    assert op.cost(shape) == op.cost(shape, training=True) == Cost(products)
    outputs = out * len(list(combinations(*axes)))
    backward = op.backward_cost(shape)
    assert (backward.inputs, backward.params) == ((Cost(products),), Cost(products, outputs))
    assert op.backward_cost(shape, trainable=False).params == NO_COST
    assert dict(op.params(shape)) == {"weight": (out, into // groups, *kernel), "bias": (out,)}
    assert op.saved(to_input=False, trainable=True) == {"input"}


@given(three, three, st.tuples(*[st.integers(3, 7)] * 3), st.booleans())
def test_a_pool_takes_each_tap_of_each_position(kernel: Any, stride: Any, extent: Any, ceil_mode: bool) -> None:
    shape = (2, *extent)
    axes = [windows(*axis, (0, 0), 1, ceil_mode) for axis in zip(extent, kernel, stride)]
    taps = sum(len(list(combinations(*each))) for _channel in range(2) for each in combinations(*axes))
    outputs = 2 * len(list(combinations(*axes)))
    for cls, backward in ((MaxPool3d, outputs), (AvgPool3d, taps)):
        op = cls(kernel, stride, ceil_mode=ceil_mode)
        assert op.out_shape(shape) == (2, *map(len, axes))
        assert op.cost(shape) == Cost(0, taps)
        assert op.backward_cost(shape).inputs == (Cost(0, backward),)
        assert dict(op.params(shape)) == {}


@pytest.mark.parametrize("padding", [1, "same", "valid"])
def test_a_volume_of_one_slice_is_an_image(padding: Any) -> None:
    shape, deep = (4, 9, 8), (4, 1, 9, 8)
    deeper: Any = padding if isinstance(padding, str) else (0, padding, padding)
    pairs: list[tuple[Op, Op]] = [
        (Conv2d(6, 3, 2, padding, groups=2), Conv3d(6, (1, 3, 3), (1, 2, 2), deeper, groups=2)),
        (MaxPool2d(3, 2, padding, ceil_mode=True), MaxPool3d((1, 3, 3), (1, 2, 2), deeper, ceil_mode=True)),
        (AvgPool2d(3, None, padding), AvgPool3d((1, 3, 3), None, deeper)),
    ]
    for flat, volume in pairs:
        channels, *positions = flat.out_shape(shape)
        assert volume.out_shape(deep) == (channels, 1, *positions)
        assert flat.cost(shape) == volume.cost(deep)
        assert flat.backward_cost(shape) == volume.backward_cost(deep)
        assert flat.kind(shape) == volume.kind(deep)
        assert flat.saved(to_input=True, trainable=True) == volume.saved(to_input=True, trainable=True)


@pytest.mark.parametrize(
    ("op", "kind", "label"),
    [
        (Conv3d(8, 3), "conv", "conv 3x3x3"),
        (Conv3d(8, (1, 3, 3), (1, 2, 2), groups=2), "grouped", "grouped 1x3x3/1x2x2"),
        (Conv3d(4, 3, 2, groups=4), "depthwise", "depthwise 3x3x3/2"),
        (Conv3d(8, 1), "pointwise", "pointwise 1x1x1"),
        (MaxPool3d(2), "pool", "max pool 2x2x2/2"),
        (AvgPool3d(3, 1), "pool", "average pool 3x3x3"),
    ],
    ids=repr,
)
def test_kinds_and_labels(op: Op, kind: str, label: str) -> None:
    assert (op.kind((4, 9, 9, 9)), op.label((4, 9, 9, 9))) == (kind, label)


def test_the_stride_of_a_pool_is_its_kernel_unless_it_is_given() -> None:
    assert MaxPool3d(2) == MaxPool3d((2, 2, 2), 2) != MaxPool3d(2, 1)


@pytest.mark.parametrize("shape", [(4,), (4, 9, 9), (4, 9, 9, 9, 9)], ids=str)
def test_other_ranks_are_refused(shape: Shape) -> None:
    for op in (Conv3d(8, 3), MaxPool3d(2)):
        with pytest.raises(OperatorError, match=r"needs an input of \(channels, depth, height, width\), not 4"):
            op.out_shape(shape)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kernel_size": (3, 3)}, r"`kernel_size` \(=\(3, 3\)\) must be an integer or three"),
        ({"kernel_size": 0}, r"`kernel_size` \(=0\) must be at least 1"),
        ({"stride": (1, 0, 1)}, r"`stride` \(=0\) must be at least 1"),
        ({"padding": (1, 1)}, r"`padding` \(=\(1, 1\)\) must be an integer or three"),
        ({"padding": "half"}, r"`padding` \(='half'\) must be 'same', 'valid'"),
        ({"padding": ((0, -1), (0, 0), (0, 0))}, r"`padding` \(=-1\) must be at least 0"),
    ],
    ids=str,
)
def test_impossible_windows_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(OperatorError, match=f"^{message}"):
        Conv3d(**{"out_channels": 4, "kernel_size": 3, **change})
    for cls in (MaxPool3d, AvgPool3d):
        with pytest.raises(OperatorError, match=f"^{message}"):
            cls(**{"kernel_size": 3, **change})


@pytest.mark.parametrize("cls", [MaxPool3d, AvgPool3d])
def test_a_pool_never_lies_in_padding_alone(cls: type[Pool3d]) -> None:
    with pytest.raises(OperatorError, match=r"^`padding` .* must be at most half of `kernel_size`"):
        cls(3, padding=(0, 0, 2))


def test_groups_divide_the_channels() -> None:
    with pytest.raises(OperatorError, match=r"^`groups` \(=3\) must divide `out_channels` \(=4\)"):
        Conv3d(4, 3, groups=3)
    with pytest.raises(OperatorError, match=r"^`groups` \(=2\) must divide the 3 input channels"):
        Conv3d(4, 1, groups=2).out_shape((3, 2, 2, 2))
