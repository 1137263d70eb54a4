"""Operators that pick, repeat and regroup: shapes and costs of their gradients from the elements they read."""

from __future__ import annotations

from collections import Counter
from itertools import product as combinations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archcost.cost import NO_COST, Cost
from archcost.errors import OperatorError
from archcost.geometry import Shape
from archcost.ops import DepthToSpace, Expand, Gather, Op, SpaceToDepth

shapes = st.lists(st.integers(1, 4), min_size=1, max_size=4).map(tuple)


def additions(readers: Counter[Any]) -> Cost:
    """Return the work of summing what each element's readers give it."""
    return Cost(0, sum(count - 1 for count in readers.values()))


@given(shapes, st.data())
def test_gather_reads_the_elements_at_the_indices(shape: Shape, data: st.DataObject) -> None:
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    size, place = shape[axis], axis % len(shape)
    indices = data.draw(st.lists(st.integers(-size, size - 1), min_size=1, max_size=6).map(tuple))
    target = (len(indices),) if data.draw(st.booleans()) else (1, len(indices), 1)
    op = Gather(axis, indices, target)
    assert op.out_shape(shape) == (*shape[:place], *target, *shape[place + 1 :])
    readers = Counter(
        (*index[:place], list(range(size))[chosen], *index[place + 1 :])
        for index in combinations(*(range(1) if axis_ == place else range(n) for axis_, n in enumerate(shape)))
        for chosen in indices
    )
    assert op.cost(shape) == NO_COST
    assert op.backward_cost(shape).inputs == (additions(readers),)


def test_a_single_index_removes_the_axis() -> None:
    assert Gather(1, (2,)).out_shape((5, 4, 3)) == (5, 3)
    assert Gather(-1, (-1,)).out_shape((5, 4, 3)) == (5, 4)
    assert Gather(0, (3,)).out_shape((5,)) == (1,)
    assert Gather(0, [3, 3], [2]).backward_cost((5,)).inputs == (Cost(0, 1),)  # type: ignore[arg-type]


@given(shapes, st.lists(st.booleans(), min_size=4, max_size=4), st.integers(0, 2))
def test_expand_reads_axes_of_one_element_again(output: Shape, kept: list[bool], new: int) -> None:
    read = tuple(size if keep else 1 for size, keep in zip(output, kept))[min(new, len(output) - 1) :]
    readers = Counter(
        tuple(place if size > 1 else 0 for place, size in zip(index[len(output) - len(read) :], read))
        for index in combinations(*map(range, output))
    )
    op = Expand(output)
    assert op.out_shape(read) == output
    assert op.cost(read) == NO_COST
    assert op.backward_cost(read).inputs == (additions(readers),)


@given(st.integers(1, 3), st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 3)))
def test_regrouping_there_and_back(block: int, shape: tuple[int, int, int]) -> None:
    channels, height, width = shape
    wide = (channels * block**2, height, width)
    for mode in ("DCR", "CRD"):
        op = DepthToSpace(block, mode)
        assert op.out_shape(wide) == (channels, height * block, width * block)
        assert SpaceToDepth(block).out_shape(op.out_shape(wide)) == wide
        assert op.cost(wide) == op.backward_cost(wide).inputs[0] == NO_COST


@pytest.mark.parametrize("op", [Gather(0, (0,)), Expand((3,)), DepthToSpace(1), SpaceToDepth(1)], ids=repr)
def test_they_write_a_new_tensor(op: Op) -> None:
    assert op.makes_tensor
    assert (op.kind((3, 2, 2)), op.label((3, 2, 2))) == ("reshape", type(op).__name__)
    assert op.saved(to_input=True, trainable=True) == frozenset()


@pytest.mark.parametrize(
    ("op", "shape", "message"),
    [
        (Gather(1, (0, 3), (2,)), (2, 3), r"`indices` \(=3\) must be below 3, the size of the axis"),
        (Gather(1, (-4,)), (2, 3), r"`indices` \(=-4\) must be below 3"),
        (Gather(2, (0,)), (2, 3), r"`axis` \(=2\) must be below the 2 axes"),
        (Expand((2, 4)), (3,), r"`shape` \(=\(2, 4\)\) is nothing that 3 broadcasts to"),
        (Expand((1,)), (3,), r"`shape` \(=\(1,\)\) is nothing that 3 broadcasts to"),
        (Expand((4,)), (2, 4), r"`shape` \(=\(4,\)\) is nothing that 2x4 broadcasts to"),
        (DepthToSpace(2), (6, 2, 2), r"the square of `block` \(=2\) must divide the 6 input channels"),
        (SpaceToDepth(2), (6, 2, 3), r"`block` \(=2\) must divide the 2x3 positions"),
    ],
    ids=repr,
)
def test_inputs_that_do_not_fit_are_refused(op: Op, shape: Shape, message: str) -> None:
    with pytest.raises(OperatorError, match=f"^{message}"):
        op.out_shape(shape)


@pytest.mark.parametrize(
    ("cls", "arguments", "message"),
    [
        (Gather, (0, (0, 1)), r"`shape` \(=\(\)\) must hold the 2 `indices`"),
        (Gather, (0, (0,), (2,)), r"`shape` \(=\(2,\)\) must hold the 1 `indices`"),
        (Gather, (0, (0.5,)), r"`indices` \(=0.5\) must be an integer"),
        (Gather, (0, 3), r"`indices` \(=3\) must be a list"),
        (Expand, ((),), "`shape` must have at least one axis"),
        (Expand, ((0,),), r"`shape` \(=0\) must be at least 1"),
        (DepthToSpace, (0,), r"`block` \(=0\) must be at least 1"),
        (DepthToSpace, (2, "CDR"), r"`mode` \(='CDR'\) must be 'DCR' or 'CRD'"),
        (SpaceToDepth, (True,), r"`block` \(=True\) must be an integer"),
    ],
    ids=str,
)
def test_impossible_moves_are_refused(cls: type[Op], arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(OperatorError, match=f"^{message}"):
        cls(*arguments)
