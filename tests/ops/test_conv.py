"""Convolutions against loops that count every (output element, weight tap) pair."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from archcost.cost import NO_COST, Cost
from archcost.errors import OperatorError
from archcost.geometry import Shape
from archcost.ops import Conv2d, ConvTranspose2d, Op, PartialConv2d
from tests.naive import conv_products, spread, spread_products, weight_gradient_products, windows

pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))
edges = st.tuples(st.integers(0, 2), st.integers(0, 2))


@st.composite
def convolutions(draw: st.DrawFn) -> tuple[Conv2d, Shape]:
    groups = draw(st.integers(1, 3))
    op = Conv2d(
        groups * draw(st.integers(1, 2)),
        draw(st.tuples(st.integers(1, 4), st.integers(1, 4))),
        draw(pairs),
        (draw(edges), draw(edges)),
        draw(pairs),
        groups,
        draw(st.booleans()),
    )
    return op, (groups * draw(st.integers(1, 2)), draw(st.integers(1, 8)), draw(st.integers(1, 8)))


def slid(op: Conv2d, shape: Shape) -> tuple[list[list[int]], list[list[int]]]:
    kernel, stride, padding, dilation = op.window
    assert not isinstance(padding, str)
    rows, columns = (windows(shape[1 + a], kernel[a], stride[a], padding[a], dilation[a]) for a in (0, 1))
    return rows, columns


@given(convolutions())
def test_convolution_counts_every_output_element_and_weight_tap(case: tuple[Conv2d, Shape]) -> None:
    op, shape = case
    rows, columns = slid(op, shape)
    if not rows or not columns:
        with pytest.raises(OperatorError, match=r"kernel \d .*larger than the input size"):
            op.out_shape(shape)
        return
    assert op.out_shape(shape) == (op.out_channels, len(rows), len(columns))
    products = conv_products(shape[0], op.out_channels, op.groups, rows, columns)
    assert op.cost(shape) == op.cost(shape, training=True) == Cost(products, 0)
    assert op.cost(shape).flops == 2 * products


@given(convolutions())
@settings(max_examples=60)
def test_convolution_backward_repeats_its_products_for_input_and_weights(case: tuple[Conv2d, Shape]) -> None:
    op, shape = case
    rows, columns = slid(op, shape)
    assume(rows and columns)
    backward = op.backward_cost(shape)
    assert backward.inputs == (Cost(conv_products(shape[0], op.out_channels, op.groups, rows, columns)),)
    bias_additions = sum(1 for _ in range(op.out_channels) for _ in rows for _ in columns) if op.bias else 0
    products = weight_gradient_products(shape[0], op.out_channels, op.groups, rows, columns)
    assert backward.params == Cost(products, bias_additions)
    frozen = op.backward_cost(shape, trainable=False)
    assert (frozen.inputs, frozen.params) == (backward.inputs, NO_COST)


@given(convolutions())
@settings(max_examples=40)
def test_a_weight_joins_the_channels_of_one_group(case: tuple[Conv2d, Shape]) -> None:
    op, shape = case
    assume(all(slid(op, shape)))
    links = sum(1 for o in range(op.out_channels) for i in range(shape[0])
                if o * op.groups // op.out_channels == i * op.groups // shape[0])  # fmt: skip
    params = op.params(shape)
    assert math.prod(params["weight"]) == links * math.prod(op.window[0])
    assert params.get("bias") == ((op.out_channels,) if op.bias else None)
    assert dict(op.buffers(shape)) == {}


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 9), st.integers(1, 5), st.integers(1, 4))
def test_same_padding_gives_the_input_size_over_the_stride(h: int, w: int, kernel: int, stride: int, dil: int) -> None:
    shape = Conv2d(1, (kernel, 1), stride, "same", dil).out_shape((1, h, w))
    assert shape == (1, math.ceil(h / stride), math.ceil(w / stride))


@pytest.mark.parametrize(
    ("op", "shape", "output", "params", "mult_adds", "kind", "label"),
    [
        # LeNet-5: 6 filters of 5x5x1 and a bias: 156; 28*28*6*25 products
        (Conv2d(6, 5), (1, 32, 32), (6, 28, 28), 156, 117_600, "conv", "conv 5x5"),
        # ResNet stem: 64 filters of 7x7x3; 112*112*64*147
        (Conv2d(64, 7, 2, 3, bias=False), (3, 224, 224), (64, 112, 112), 9_408, 118_013_952, "conv", "conv 7x7/2"),
        # AlexNet conv2 in two groups: 256 * 48 * 25 + 256
        (Conv2d(256, 5, padding=2, groups=2), (96, 27, 27), (256, 27, 27), 307_456, 223_948_800, "grouped",
         "grouped 5x5"),
        # MobileNet's second layer pair: 3x3 over each of 32 channels, then 32 -> 64
        (Conv2d(32, 3, 1, 1, groups=32, bias=False), (32, 112, 112), (32, 112, 112), 288, 3_612_672, "depthwise",
         "depthwise 3x3"),
        (Conv2d(64, 1, bias=False), (32, 112, 112), (64, 112, 112), 2_048, 25_690_112, "pointwise", "pointwise 1x1"),
        # a channel multiplier of 2 is still depthwise
        (Conv2d(64, (3, 1), (2, 1), groups=32), (32, 5, 5), (64, 2, 5), 256, 1_920, "depthwise", "depthwise 3x1/2x1"),
        # 1x1 in groups is grouped, not pointwise; one channel in one group is no depthwise convolution
        (Conv2d(4, 1, groups=2), (4, 3, 3), (4, 3, 3), 12, 72, "grouped", "grouped 1x1"),
        (Conv2d(4, 3, padding="same", dilation=2), (1, 4, 4), (4, 4, 4), 40, 576, "conv", "conv 3x3 dil 2"),
        (Conv2d(1, (1, 3), dilation=(1, 2)), (1, 1, 5), (1, 1, 1), 4, 3, "conv", "conv 1x3 dil 1x2"),
        (Conv2d(1, 1, 3), (1, 1, 1), (1, 1, 1), 2, 1, "pointwise", "pointwise 1x1/3"),
        (Conv2d(2, 3, padding="valid"), (1, 3, 3), (2, 1, 1), 20, 18, "conv", "conv 3x3"),
        # numbers beyond a float: (2**40)**3 outputs and one channel
        (Conv2d(2**40, 1, bias=False), (1, 2**40, 2**40), (2**40, 2**40, 2**40), 2**40, 2**120, "pointwise",
         "pointwise 1x1"),
    ],
    ids=lambda value: repr(value) if isinstance(value, Op) else "",
)  # fmt: skip
def test_convolution_by_hand(
    op: Conv2d, shape: Shape, output: Shape, params: int, mult_adds: int, kind: str, label: str
) -> None:
    assert op.out_shape(shape) == output
    assert sum(map(math.prod, op.params(shape).values())) == params
    assert op.cost(shape).mult_adds == mult_adds
    assert (op.family, op.kind(shape), op.label(shape)) == ("conv", kind, label)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Conv2d(8, 3), Conv2d(8, (3, 3), (1, 1), ((0, 0), (0, 0)), (1, 1))),
        (Conv2d(8, 3, padding="valid"), Conv2d(8, 3, padding=0)),
        (Conv2d(8, 3, padding=(1, 2)), Conv2d(8, 3, padding=((1, 1), (2, 2)))),
        (Conv2d(8, 3, padding=[[1, 0], [2, 0]]), Conv2d(8, 3, padding=((1, 0), (2, 0)))),  # type: ignore[arg-type]
        (ConvTranspose2d(8, 3, output_padding=0), ConvTranspose2d(8, 3, output_padding=(0, 0))),
        (PartialConv2d([[0, 1], [1]], [3, 3]), PartialConv2d(((0, 1), (1,)), 3)),  # type: ignore[arg-type]
    ],
    ids=repr,
)
def test_short_and_full_notation_make_equal_operators(one: Op, other: Op) -> None:
    assert one == other
    assert hash(one) == hash(other)
    assert repr(one) == repr(other)


BOTH: list[tuple[dict[str, Any], str]] = [
    ({"out_channels": 0}, r"`out_channels` \(=0\) must be at least 1"),
    ({"out_channels": -4}, r"`out_channels` \(=-4\) must be at least 1"),
    ({"out_channels": True}, r"`out_channels` \(=True\) must be an integer"),
    ({"out_channels": 8.0}, r"`out_channels` \(=8.0\) must be an integer"),
    ({"out_channels": 2**41}, r"`out_channels` .*at most 2\*\*40"),
    ({"kernel_size": 0}, r"`kernel_size` \(=0\) must be at least 1"),
    ({"kernel_size": (3, 3, 3)}, r"`kernel_size` \(=\(3, 3, 3\)\) must be an integer or a pair"),
    ({"kernel_size": (3, False)}, r"`kernel_size` \(=False\) must be an integer"),
    ({"kernel_size": "3"}, r"`kernel_size` \(='3'\) must be an integer"),
    ({"kernel_size": None}, r"`kernel_size` \(=None\) must be an integer"),
    ({"stride": 0}, r"`stride` \(=0\) must be at least 1"),
    ({"stride": (1, -1)}, r"`stride` \(=-1\) must be at least 1"),
    ({"stride": ()}, r"`stride` \(=\(\)\) must be an integer or a pair"),
    ({"dilation": 0}, r"`dilation` \(=0\) must be at least 1"),
    ({"padding": -1}, r"`padding` \(=-1\) must be at least 0"),
    ({"padding": True}, r"`padding` \(=True\) must be an integer"),
    ({"padding": "full"}, r"`padding` \(='full'\) must be 'same', 'valid', an integer or integers"),
    ({"padding": (1, 1, 1, 1)}, r"`padding` \(=\(1, 1, 1, 1\)\) must be an integer or a pair"),
    ({"padding": ((1, 1), (1, -1))}, r"`padding` \(=-1\) must be at least 0"),
    ({"padding": ((1, 1), (1,))}, r"`padding` \(=\(1,\)\) must be an integer or a pair"),
    ({"padding": None}, r"`padding` \(=None\) must be an integer"),
    ({"groups": 0}, r"`groups` \(=0\) must be at least 1"),
    ({"groups": 3}, r"`groups` \(=3\) must divide `out_channels` \(=8\)"),
]


@pytest.mark.parametrize("cls", [Conv2d, ConvTranspose2d])
@pytest.mark.parametrize(("change", "message"), BOTH, ids=[str(change) for change, _ in BOTH])
def test_impossible_hyper_parameters_are_refused(cls: type[Op], change: dict[str, Any], message: str) -> None:
    assert cls(out_channels=8, kernel_size=3)  # type: ignore[call-arg]
    with pytest.raises(OperatorError, match=f"^{message}"):
        cls(**{"out_channels": 8, "kernel_size": 3, **change})


@pytest.mark.parametrize(
    ("op", "shape", "message"),
    [
        (Conv2d(6, 3, groups=3), (8, 5, 5), r"`groups` \(=3\) must divide the 8 input channels"),
        (ConvTranspose2d(6, 3, groups=3), (8, 5, 5), r"`groups` \(=3\) must divide the 8 input channels"),
        (Conv2d(6, 3), (8, 2, 5), r"kernel 3 is larger than the input size 2$"),
        (Conv2d(6, 3), (8, 5, 2), r"kernel 3 is larger than the input size 2$"),
        (Conv2d(6, 9, padding=1), (8, 5, 5), r"kernel 9 is larger than the input size 5 plus padding 1\+1"),
        (Conv2d(6, 3, dilation=4), (8, 5, 5), r"kernel 3 \(extent 9 with dilation 4\) is larger than the input size 5"),
        (ConvTranspose2d(6, 3, padding=2), (8, 2, 5), r"padding 2\+2 leaves no output of input size 2"),
        (PartialConv2d(((0, 7),), 3), (6, 5, 5), "`connections` name channel 7, but the input has 6"),
        (PartialConv2d(((0,),), 6), (6, 5, 5), "kernel 6 is larger than the input size 5"),
    ],
    ids=repr,
)
def test_inputs_that_do_not_fit_are_refused(op: Op, shape: Shape, message: str) -> None:
    with pytest.raises(OperatorError, match=message):
        op.out_shape(shape)


@st.composite
def transposed(draw: st.DrawFn) -> tuple[ConvTranspose2d, Shape]:
    groups = draw(st.integers(1, 3))
    stride, dilation = draw(pairs), draw(pairs)
    extra = tuple(draw(st.integers(0, max(stride[axis], dilation[axis]) - 1)) for axis in (0, 1))
    op = ConvTranspose2d(
        groups * draw(st.integers(1, 2)),
        draw(pairs),
        stride,
        (draw(edges), draw(edges)),
        dilation,
        groups,
        draw(st.booleans()),
        (extra[0], extra[1]),
    )
    return op, (groups * draw(st.integers(1, 2)), draw(st.integers(1, 6)), draw(st.integers(1, 6)))


@given(transposed())
def test_transposed_convolution_counts_every_input_element_and_weight_tap(case: tuple[ConvTranspose2d, Shape]) -> None:
    op, (channels, *size) = case
    shape = (channels, size[0], size[1])
    (kernel, stride, padding, dilation), extra = op.window, op.output_padding
    assert isinstance(extra, tuple)
    assert not isinstance(padding, str)
    lengths = [spread(size[a], kernel[a], stride[a], padding[a], dilation[a], extra[a]) for a in (0, 1)]
    if min(lengths) < 1:
        with pytest.raises(OperatorError, match=r"padding \d\+\d leaves no output of input size"):
            op.out_shape(shape)
        return
    assert op.out_shape(shape) == (op.out_channels, *lengths)
    products = spread_products(channels, op.out_channels, op.groups, (size[0], size[1]), kernel)
    assert op.cost(shape) == op.cost(shape, training=True) == Cost(products, 0)
    backward = op.backward_cost(shape)
    assert backward.inputs == (Cost(products),)
    assert backward.params == Cost(products, math.prod(op.out_shape(shape)) if op.bias else 0)
    links = sum(1 for o in range(op.out_channels) for i in range(channels)
                if o * op.groups // op.out_channels == i * op.groups // channels)  # fmt: skip
    assert math.prod(op.params(shape)["weight"]) == links * math.prod(kernel)
    assert op.kind(shape) == "transposed"


@given(st.integers(1, 30), st.integers(1, 5), st.integers(1, 4), edges, st.integers(1, 3), st.data())
def test_a_convolution_undoes_the_size_of_a_transposed_one(
    size: int, kernel: int, stride: int, padding: tuple[int, int], dilation: int, data: st.DataObject
) -> None:
    extra = data.draw(st.integers(0, stride - 1))
    assume(spread(size, kernel, stride, padding, dilation, extra) > 0)
    sides = (padding, padding)
    enlarged = ConvTranspose2d(1, kernel, stride, sides, dilation, output_padding=extra).out_shape((1, size, size))
    assert Conv2d(1, kernel, stride, sides, dilation).out_shape(enlarged) == (1, size, size)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"padding": "same"}, r"`padding` \(='same'\) must be given in numbers for a transposed convolution"),
        ({"output_padding": 1}, r"`output_padding` \(=\(1, 1\)\) must be smaller than the stride or the dilation"),
        ({"output_padding": (0, 2), "stride": 2}, r"`output_padding` \(=\(0, 2\)\) must be smaller"),
        ({"output_padding": -1}, r"`output_padding` \(=-1\) must be at least 0"),
    ],
    ids=str,
)
def test_transposed_convolution_refuses(change: dict[str, Any], message: str) -> None:
    with pytest.raises(OperatorError, match=f"^{message}"):
        ConvTranspose2d(8, 3, **change)


def test_output_padding_may_reach_the_dilation() -> None:
    assert ConvTranspose2d(1, 3, dilation=3, output_padding=2).out_shape((1, 4, 4)) == (1, 12, 12)  # 3 + 2*3 + 1 + 2


@given(st.lists(st.sets(st.integers(0, 4), min_size=1), min_size=1, max_size=4), pairs, pairs, st.booleans())
def test_partial_convolution_counts_the_connections_it_has(
    connections: list[set[int]], kernel: tuple[int, int], more: tuple[int, int], bias: bool
) -> None:
    op = PartialConv2d(tuple(tuple(seen) for seen in connections), kernel, bias)
    shape = (5, kernel[0] + more[0], kernel[1] + more[1])
    rows, columns = (windows(shape[1 + axis], kernel[axis], 1, (0, 0)) for axis in (0, 1))
    assert op.out_shape(shape) == (len(connections), len(rows), len(columns))
    products = sum(conv_products(1, 1, 1, rows, columns) for seen in connections for _ in seen)
    assert op.cost(shape) == Cost(products, 0)
    assert op.backward_cost(shape).inputs == (Cost(products),)
    taps = sum(1 for seen in connections for _ in seen for _ in range(kernel[0]) for _ in range(kernel[1]))
    assert sum(map(math.prod, op.params(shape).values())) == taps + (len(connections) if bias else 0)


@pytest.mark.parametrize(
    ("connections", "message"),
    [
        ((), "must give every output channel at least one input channel"),
        (((0,), ()), "must give every output channel at least one input channel"),
        (((0, 1, 0),), r"\(0, 1, 0\) must name no input channel twice"),
        (((0, -1),), r"`connections` \(=-1\) must be at least 0"),
        (((True,),), r"`connections` \(=True\) must be an integer"),
        ((("a",),), r"`connections` \(='a'\) must be an integer"),
        (5, "`connections`"),
        ((0, 1), "`connections`"),
    ],
    ids=str,
)
def test_partial_convolution_refuses(connections: Any, message: str) -> None:
    with pytest.raises(OperatorError, match=message):
        PartialConv2d(connections, 3)
