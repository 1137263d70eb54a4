"""Reductions: shapes and costs from the elements that meet in each output."""

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
from archcost.ops import GlobalAvgPool, GlobalMaxPool, ReduceMax, ReduceMean, ReduceMin, ReduceSum
from archcost.ops.reduce import Reduction

CLASSES = (ReduceMean, ReduceSum, ReduceMax, ReduceMin)
shapes = st.lists(st.integers(1, 4), min_size=1, max_size=4).map(tuple)


@pytest.mark.parametrize("cls", CLASSES)
@given(shape=shapes, data=st.data())
def test_all_elements_of_the_axes_meet_in_one(cls: type[Reduction], shape: Shape, data: st.DataObject) -> None:
    rank = len(shape)
    gone = data.draw(st.sets(st.integers(0, rank - 1), min_size=1))
    axes = tuple(axis - rank if data.draw(st.booleans()) else axis for axis in data.draw(st.permutations(sorted(gone))))
    met = Counter(
        tuple(0 if axis in gone else place for axis, place in enumerate(index))
        for index in combinations(*map(range, shape))
    )
    kept = tuple(max(places) + 1 for places in zip(*met))
    op = cls(axes)
    assert op.out_shape(shape) == kept
    dropped = tuple(size for axis, size in enumerate(kept) if axis not in gone)
    assert cls(axes, keep_axes=False).out_shape(shape) == (dropped or (1,))
    assert op.cost(shape) == Cost(0, met.total())
    backward = {ReduceMean: met.total(), ReduceSum: 0}.get(cls, len(met))
    assert op.backward_cost(shape).inputs == (Cost(0, backward),)
    assert op.backward_cost(shape).params == NO_COST
    assert (op.kind(shape), op.label(shape)) == ("pool", cls.__name__)


def test_reducing_the_positions_costs_what_a_global_pool_does() -> None:
    shape = (5, 3, 4)
    for pool, reduction in ((GlobalAvgPool, ReduceMean), (GlobalMaxPool, ReduceMax)):
        for keep in (True, False):
            one, other = pool(keep_axes=keep), reduction((1, 2), keep_axes=keep)
            assert one.out_shape(shape) == other.out_shape(shape)
            assert one.cost(shape) == other.cost(shape)
            assert one.backward_cost(shape) == other.backward_cost(shape)
            assert one.saved(to_input=True, trainable=False) == other.saved(to_input=True, trainable=False)


@pytest.mark.parametrize(
    ("axes", "message"),
    [
        ((), "`axes` must name at least one axis"),
        ((3,), r"`axes` \(=3\) must be below the 3 axes of 2x3x4"),
        ((-4,), r"`axes` \(=-4\) must be below"),
        ((1, -2), r"`axes` \(=\(1, -2\)\) must name no axis twice"),
        (1, r"`axes` \(=1\) must be a list"),
        ((True,), r"`axes` \(=True\) must be an integer"),
    ],
    ids=repr,
)
def test_impossible_axes_are_refused(axes: Any, message: str) -> None:
    for cls in CLASSES:
        with pytest.raises(OperatorError, match=f"^{message}"):
            cls(axes).out_shape((2, 3, 4))
