"""Operators that move elements: shapes by moving the indices of a tensor one by one."""

from __future__ import annotations

import math
from itertools import product as combinations
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from archcost.cost import BackwardCost, Cost
from archcost.errors import OperatorError
from archcost.geometry import Shape
from archcost.ops import ChannelShuffle, Flatten, Identity, Op, Pad, Reshape, Slice, Transpose

Index = tuple[int, ...]
shapes = st.lists(st.integers(1, 4), min_size=1, max_size=4).map(tuple)
MOVES: list[tuple[Op, Shape]] = [
    (Identity(), (6, 2, 2)),
    (Flatten(), (6, 2, 2)),
    (Reshape((4, -1)), (6, 2, 2)),
    (Transpose((2, 0, 1)), (6, 2, 2)),
    (ChannelShuffle(2), (6, 2, 2)),
    (Pad(((0, 0), (1, 1), (0, 2))), (6, 2, 2)),
    (Slice(0, 1, 4, 2), (6, 2, 2)),
]


def extents(indices: list[Index]) -> Shape:
    """Return the shape of a tensor from the indices of its elements, which must fill it."""
    shape = tuple(max(places) + 1 for places in zip(*indices))
    assert sorted(indices) == list(combinations(*map(range, shape)))
    return shape


@pytest.mark.parametrize(("op", "shape"), MOVES, ids=lambda value: repr(value) if isinstance(value, Op) else "")
def test_moving_elements_is_no_arithmetic(op: Op, shape: Shape) -> None:
    assert op.cost(shape) == op.cost(shape, training=True) == Cost(0, 0)
    assert op.backward_cost(shape) == BackwardCost((Cost(0, 0),), Cost(0, 0))
    assert dict(op.params(shape)) == dict(op.buffers(shape)) == {}
    assert op.saved(to_input=True, trainable=True) == frozenset()
    assert (op.kind(shape), op.label(shape)) == ("reshape", type(op).__name__)
    assert op.makes_tensor == isinstance(op, (Transpose, ChannelShuffle, Pad, Slice))  # the others are views


@given(shapes)
def test_flatten_and_identity_keep_every_element(shape: Shape) -> None:
    elements = sum(1 for _ in combinations(*map(range, shape)))
    assert Flatten().out_shape(shape) == (elements,)
    assert Identity().out_shape(shape) == shape
    assert Reshape(shape).out_shape((elements,)) == shape


@given(shapes, st.data())
def test_one_size_of_a_reshape_follows_from_the_others(shape: Shape, data: st.DataObject) -> None:
    hidden = data.draw(st.integers(0, len(shape) - 1))
    target = tuple(-1 if axis == hidden else size for axis, size in enumerate(shape))
    assert Reshape(target).out_shape((math.prod(shape),)) == shape


@given(shapes, st.data())
def test_transpose_moves_each_index(shape: Shape, data: st.DataObject) -> None:
    axes = tuple(data.draw(st.permutations(range(len(shape)))))
    moved = [tuple(index[axis] for axis in axes) for index in combinations(*map(range, shape))]
    assert Transpose(axes).out_shape(shape) == extents(moved)


@given(st.lists(st.tuples(st.integers(1, 4), st.integers(-3, 4), st.integers(-3, 4)), min_size=1, max_size=3))
def test_pad_adds_and_crops_the_ends_of_each_axis(axes: list[tuple[int, int, int]]) -> None:
    shape, pads = tuple(size for size, _, _ in axes), tuple((before, after) for _, before, after in axes)
    kept = [list(range(-before, size + after)) for size, before, after in axes]
    op = Pad(pads)
    if not all(kept):
        with pytest.raises(OperatorError, match=r"`pads` .* leave nothing of"):
            op.out_shape(shape)
        return
    assert op.out_shape(shape) == Pad(pads, "edge").out_shape(shape) == tuple(map(len, kept))


@given(st.integers(1, 5), st.integers(0, 6), st.integers(0, 6))
def test_reflection_needs_as_many_elements_as_it_repeats(size: int, before: int, after: int) -> None:
    op = Pad(((before, after),), "reflect")
    sources = [-place if place < 0 else place for place in range(-before, size)]
    sources += [2 * (size - 1) - place for place in range(size, size + after)]
    if all(0 <= source < size for source in sources):
        assert op.out_shape((size,)) == (len(sources),)
    else:
        with pytest.raises(OperatorError, match=rf"`pads` .* must be smaller than {size} to be reflected"):
            op.out_shape((size,))


@given(shapes, st.data())
def test_slice_takes_every_step_th_element(shape: Shape, data: st.DataObject) -> None:
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    start, step = data.draw(st.integers(-6, 6)), data.draw(st.integers(-4, 4).filter(bool))
    stop = data.draw(st.none() | st.integers(-6, 7))
    kept = list(range(shape[axis]))[start:stop:step]  # the meaning of ONNX's Slice too
    op = Slice(axis, start, stop, step)
    if not kept:
        with pytest.raises(OperatorError, match=rf"`start` \(={start}\) leaves nothing of the axis of size"):
            op.out_shape(shape)
        return
    result = op.out_shape(shape)
    assert result[axis] == len(kept)
    assert len(result) == len(shape)
    assert all(result[other] == shape[other] for other in range(len(shape)) if other != axis % len(shape))


@given(st.integers(1, 12), st.integers(1, 6))
def test_shuffling_needs_whole_groups(channels: int, groups: int) -> None:
    op = ChannelShuffle(groups)
    if channels % groups:
        with pytest.raises(OperatorError, match=rf"`groups` \(={groups}\) must divide the {channels} input channels"):
            op.out_shape((channels, 2, 2))
    else:
        assert op.out_shape((channels, 2, 2)) == (channels, 2, 2)


@given(shapes, shapes)
def test_a_reshape_to_another_number_of_elements_is_refused(shape: Shape, target: Shape) -> None:
    assume(math.prod(shape) != math.prod(target))
    with pytest.raises(OperatorError, match=rf"does not hold the {math.prod(shape)} elements of the input"):
        Reshape(target).out_shape(shape)


@pytest.mark.parametrize(
    ("op", "shape", "message"),
    [
        (Reshape((4, -1)), (6,), r"`shape` \(=\(4, -1\)\) does not hold the 6 elements of the input"),
        (Reshape((7, -1)), (6,), r"`shape` \(=\(7, -1\)\) does not hold the 6 elements of the input"),
        (Transpose((1, 0)), (4, 5, 6), r"`axes` \(=\(1, 0\)\) must name the 3 axes of 4x5x6"),
        (Pad(((1, 1),)), (4, 5), r"`pads` \(=\(\(1, 1\),\)\) must hold a pair for each axis of 4x5"),
        (Slice(2), (4, 5), r"`axis` \(=2\) must be below the 2 axes of 4x5"),
        (Slice(axis=True), (4, 5), r"`axis` \(=True\) must be below"),
    ],
    ids=repr,
)
def test_inputs_that_do_not_fit_are_refused(op: Op, shape: Shape, message: str) -> None:
    with pytest.raises(OperatorError, match=f"^{message}"):
        op.out_shape(shape)


@pytest.mark.parametrize(
    ("cls", "arguments", "message"),
    [
        (Reshape, ((2, -1, -1),), r"`shape` \(=\(2, -1, -1\)\) may hold -1 once"),
        (Reshape, ((2, 0),), r"`shape` \(=0\) must be at least 1"),
        (Reshape, ((2, -2),), r"`shape` \(=-2\) must be at least"),
        (Reshape, ((2, -1.0),), r"`shape` \(=-1.0\) must be an integer"),
        (Reshape, ((True, 2),), r"`shape` \(=True\) must be an integer"),
        (Transpose, ((0, 0),), r"`axes` \(=\(0, 0\)\) must name every axis once"),
        (Transpose, ((1, 2),), r"`axes` \(=\(1, 2\)\) must name every axis once"),
        (Transpose, ((0, -1),), r"`axes` \(=-1\) must be at least 0"),
        (Transpose, ((False, True),), r"`axes` \(=False\) must be an integer"),
        (ChannelShuffle, (0,), r"`groups` \(=0\) must be at least 1"),
        (ChannelShuffle, (2.0,), r"`groups` \(=2.0\) must be an integer"),
        (Pad, (((1, 1.5),),), r"`pads` \(=1.5\) must be an integer"),
        (Pad, (((True, 1),),), r"`pads` \(=True\) must be an integer"),
        (Pad, (((0, 2**41),),), r"`pads` .* at most 2\*\*40"),
        (Pad, (((1, 1),), "wrap"), r"`mode` \(='wrap'\) must be 'constant', 'reflect' or 'edge'"),
        (Pad, (((1, 1),), None), r"`mode` \(=None\) must be"),
        (Slice, (0, -(2**41)), r"`start` \(=-2199023255552\) must be at least -1099511627776"),
        (Slice, (0, 0, None, 0), r"`step` \(=0\) must not be 0"),
        (Slice, (0, 0, None, True), r"`step` \(=True\) must be an integer"),
        (Slice, (0, 0, True), r"`stop` \(=True\) must be an integer"),
    ],
    ids=str,
)
def test_impossible_moves_are_refused(cls: type[Op], arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(OperatorError, match=f"^{message}"):
        cls(*arguments)


@pytest.mark.parametrize(
    ("cls", "argument"),
    [(Reshape, 5), (Reshape, None), (Transpose, 3), (Pad, 1), (Pad, (1, 2)), (Pad, ((1, 2, 3),)), (Pad, ("ab",))],
    ids=str,
)
def test_a_value_that_is_no_list_of_the_right_form_is_the_users_error_too(cls: type[Op], argument: Any) -> None:
    with pytest.raises(OperatorError, match=r"`(shape|axes|pads)`"):
        cls(argument)  # type: ignore[call-arg]
