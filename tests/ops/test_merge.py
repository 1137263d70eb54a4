"""Additions, products, concatenations and cuts, element by element."""

from __future__ import annotations

from itertools import product as combinations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archcost.cost import NO_COST, Cost
from archcost.errors import OperatorError
from archcost.geometry import Shape
from archcost.ops import Add, Concat, Mul, Op, Split
from archcost.ops.merge import broadcast, checked_axis
from tests.naive import Counted, Tally

Index = tuple[int, ...]


@st.composite
def broadcasting(draw: st.DrawFn) -> tuple[Shape, tuple[Shape, ...]]:
    """Return an output shape and inputs that broadcast to it: each input has each axis in full or as 1."""
    output = draw(st.lists(st.integers(1, 4), min_size=1, max_size=3))
    count = draw(st.integers(1, 4))
    full = [draw(st.integers(0, count - 1)) for _ in output]  # at least one input has the axis in full
    inputs = [
        tuple(size if full[axis] == number or draw(st.booleans()) else 1 for axis, size in enumerate(output))
        for number in range(count)
    ]
    return tuple(output), tuple(inputs)


def indices(shape: Shape) -> list[Index]:
    return list(combinations(*map(range, shape)))


def read(index: Index, shape: Shape) -> Index:
    """Return the element of an input of ``shape`` that the output element ``index`` reads."""
    return tuple(0 if size == 1 else at for at, size in zip(index, shape))


@given(broadcasting())
def test_addition_and_product_cost_one_operation_for_each_further_input(case: tuple[Shape, tuple[Shape, ...]]) -> None:
    output, inputs = case
    for op in (Add(), Mul()):
        with Tally() as tally:
            for _index in indices(output):
                result = Counted(1.0)
                for _other in inputs[1:]:
                    result = result + 1.0 if isinstance(op, Add) else result * 1.0
        assert op.out_shape(*inputs) == output
        assert op.cost(*inputs) == op.cost(*inputs, training=True) == Cost(0, tally.operations)
        assert dict(op.params(*inputs)) == dict(op.buffers(*inputs)) == {}


@given(broadcasting())
def test_the_gradient_of_a_broadcast_input_is_summed(case: tuple[Shape, tuple[Shape, ...]]) -> None:
    output, inputs = case
    for op in (Add(), Mul()):
        counted = []
        for own, shape in enumerate(inputs):
            gradient: dict[Index, Counted] = {}
            with Tally() as tally:
                for index in indices(output):
                    part = Counted(1.0)
                    if isinstance(op, Mul):
                        for _other in [other for other in range(len(inputs)) if other != own]:
                            part = part * 2.0
                    place = read(index, shape)
                    gradient[place] = gradient[place] + part if place in gradient else part
            assert set(gradient) == set(indices(shape))
            counted.append(Cost(0, tally.operations))
        backward = op.backward_cost(*inputs)
        assert backward.inputs == tuple(counted)
        assert backward.params == NO_COST


def test_the_gate_of_a_squeeze_and_excitation_block() -> None:
    """Mul of (256, 1, 1) and (256, 56, 56): 802,816 products, and a sum of 56*56 - 1 additions for each gate."""
    gate, image = (256, 1, 1), (256, 56, 56)
    assert Mul().out_shape(image, gate) == Mul().out_shape(gate, image) == image
    assert Mul().cost(image, gate) == Cost(0, 802_816)
    assert Mul().backward_cost(image, gate).inputs == (Cost(0, 802_816), Cost(0, 802_816 + 256 * 3135))
    assert Add().backward_cost(image, image).inputs == (NO_COST, NO_COST)
    assert Mul().saved(to_input=True, trainable=False) == {"input"}
    assert Add().saved(to_input=True, trainable=False) == frozenset()


@pytest.mark.parametrize("op", [Add(), Mul()], ids=repr)
@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (((4, 4), (4, 4, 1)), "inputs 4x4 and 4x4x1 must have the same number of axes"),
        (((4,), (3,)), "inputs 4 and 3 do not broadcast: sizes on an axis must be equal or 1"),
        (((4, 2, 1), (1, 2, 3), (4, 3, 3)), "inputs 4x2x1 and 1x2x3 and 4x3x3 do not broadcast"),
        (((), (1,)), "inputs scalar and 1 must have the same number of axes"),
    ],
    ids=str,
)
def test_inputs_that_do_not_broadcast_are_refused(op: Op, inputs: tuple[Shape, ...], message: str) -> None:
    with pytest.raises(OperatorError, match=f"^{message}"):
        op.out_shape(*inputs)


def test_one_input_is_passed_on() -> None:
    assert broadcast([(3, 1, 5)]) == (3, 1, 5)
    for op in (Add(), Mul()):
        assert op.out_shape((3, 1, 5)) == (3, 1, 5)
        assert op.cost((3, 1, 5)) == op.backward_cost((3, 1, 5)).inputs[0] == NO_COST


@st.composite
def pieces(draw: st.DrawFn) -> tuple[Shape, int, tuple[int, ...]]:
    """Return a shape, an axis (counted from either end) and sizes that it is cut into."""
    sections = tuple(draw(st.lists(st.integers(1, 4), min_size=1, max_size=4)))
    shape = draw(st.lists(st.integers(1, 3), min_size=1, max_size=4))
    axis = draw(st.integers(-len(shape), len(shape) - 1))
    shape[axis] = sum(sections)
    return tuple(shape), axis, sections


@given(pieces())
def test_a_tensor_that_is_cut_and_joined_has_its_shape_again(case: tuple[Shape, int, tuple[int, ...]]) -> None:
    shape, axis, sections = case
    parts = [Split(sections, index, axis).out_shape(shape) for index in range(len(sections))]
    assert [part[axis] for part in parts] == list(sections)
    assert sum(len(indices(part)) for part in parts) == len(indices(shape))
    assert Concat(axis).out_shape(*parts) == shape
    for op, inputs in ((Concat(axis), tuple(parts)), (Split(sections, 0, axis), (shape,))):
        assert op.cost(*inputs) == op.cost(*inputs, training=True) == NO_COST
        assert op.backward_cost(*inputs).inputs == (NO_COST,) * len(inputs)
    assert Concat().makes_tensor
    assert not Split((1,), 0).makes_tensor


@pytest.mark.parametrize(
    ("op", "inputs", "message"),
    [
        (Concat(), ((3, 5, 5), (3, 5, 4)), r"inputs 3x5x5 and 3x5x4 must agree on every axis but `axis` \(=0\)"),
        (Concat(1), ((3, 5), (3,)), r"inputs 3x5 and 3 must agree on every axis but `axis` \(=1\)"),
        (Concat(), ((3, 5), (3, 5, 1)), "inputs 3x5 and 3x5x1 must agree"),
        (Concat(), ((5,), (5, 1)), "inputs 5 and 5x1 must agree"),
        (Concat(2), ((3, 5),), r"`axis` \(=2\) must be below the 2 axes of 3x5"),
        (Concat(-3), ((3, 5),), r"`axis` \(=-3\) must be below the 2 axes of 3x5"),
        (Concat(axis=False), ((3, 5),), r"`axis` \(=False\) must be below"),
        (Concat("0"), ((3, 5),), r"`axis` \(='0'\) must be below"),  # type: ignore[arg-type]
        (Concat(0), ((),), r"`axis` \(=0\) must be below the 0 axes of scalar"),
        (Split((2, 2), 0), ((5, 3),), r"`sections` \(=\(2, 2\)\) must add up to 5, the size of the axis"),
        (Split((2, 2), 0, 2), ((4, 3),), r"`axis` \(=2\) must be below the 2 axes of 4x3"),
    ],
    ids=repr,
)
def test_inputs_that_do_not_fit_are_refused(op: Op, inputs: tuple[Shape, ...], message: str) -> None:
    with pytest.raises(OperatorError, match=f"^{message}"):
        op.out_shape(*inputs)


@pytest.mark.parametrize(
    ("sections", "index", "message"),
    [
        ((2, 3), 2, r"`index` \(=2\) must be below the number of `sections` \(=\(2, 3\)\)"),
        ((2, 3), -1, r"`index` \(=-1\) must be at least 0"),
        ((2, 3), True, r"`index` \(=True\) must be an integer"),
        ((), 0, r"`index` \(=0\) must be below the number of `sections`"),
        ((2, 0), 0, r"`sections` \(=0\) must be at least 1"),
        ((2, -1), 0, r"`sections` \(=-1\) must be at least 1"),
        ((2, 1.0), 0, r"`sections` \(=1.0\) must be an integer"),
        ("22", 0, "`sections`"),
        (4, 0, "`sections`"),
    ],
    ids=str,
)
def test_impossible_cuts_are_refused(sections: Any, index: Any, message: str) -> None:
    with pytest.raises(OperatorError, match=f"^{message}"):
        Split(sections, index)


def test_an_axis_counts_from_either_end() -> None:
    assert [checked_axis(axis, (4, 5, 6)) for axis in (-3, -2, -1, 0, 1, 2)] == [0, 1, 2, 0, 1, 2]


def test_labels_and_kinds() -> None:
    assert [op.label((4,)) for op in (Add(), Mul(), Concat(), Split((4,), 0))] == ["Add", "Mul", "Concat", "Split"]
    assert {op.kind((4,)) for op in (Add(), Mul(), Concat(), Split((4,), 0))} == {"merge"}
    assert [op.arity for op in (Add(), Mul(), Concat(), Split((4,), 0))] == [None, None, None, 1]
