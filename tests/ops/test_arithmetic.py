"""Arithmetic that broadcasts: costs against numbers that count their own operations, element by element."""

from __future__ import annotations

import math
from itertools import product as combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archcost.cost import NO_COST, Cost
from archcost.errors import OperatorError
from archcost.geometry import Shape
from archcost.ops import Add, Div, Maximum, Mean, Minimum, Op, Pow, Sub
from tests.naive import Counted, Tally

Index = tuple[int, ...]


@st.composite
def broadcasting(draw: st.DrawFn, most: int) -> tuple[Shape, ...]:
    """Return up to ``most`` shapes that broadcast; at least one has each axis in full."""
    output = tuple(draw(st.lists(st.integers(1, 3), min_size=1, max_size=4)))
    count = draw(st.integers(1, most)) if most > 2 else 2
    kept = [[draw(st.booleans()) for _ in output] for _ in range(count)]
    for axis in range(len(output)):
        kept[draw(st.integers(0, count - 1))][axis] = True
    return tuple(tuple(size if keep else 1 for size, keep in zip(output, keeps)) for keeps in kept)


def indices(shape: Shape) -> list[Index]:
    return list(combinations(*map(range, shape)))


def read(index: Index, shape: Shape) -> Index:
    return tuple(place if size > 1 else 0 for place, size in zip(index, shape))


def forward(op: Op, values: list[Counted]) -> Counted:
    """Return one output element."""
    result = values[0]
    for value in values[1:]:
        if isinstance(op, Sub):
            result = result - value
        elif isinstance(op, Div):
            result = result / value
        elif isinstance(op, Pow):
            result = result**value.value
        elif isinstance(op, Minimum):
            result = -(-result).at_least(-value)
            Counted.operations -= 3  # the smaller of two is one comparison
        elif isinstance(op, Maximum):
            result = result.at_least(value)
        else:
            result = result + value
    return result * (1 / len(values)) if isinstance(op, Mean) else result


def gradient(op: Op, own: int, values: list[Counted]) -> Counted:
    """Return what one output element gives the input ``own``; the gradient of the output is 2."""
    g = Counted(2.0)
    if isinstance(op, Sub):
        return -g if own else g
    if isinstance(op, Div):
        return -(g * values[0] / (values[1] * values[1])) if own else g / values[1]
    if isinstance(op, Pow):
        a, b = values
        if not own:
            return g * b * a ** (b - 1).value
        Counted.operations += 1  # of the logarithm
        return g * a**b.value * math.log(a.value)
    if isinstance(op, (Minimum, Maximum)):
        others = [value for other, value in enumerate(values) if other != own]
        return g.where(*[value.value != values[own].value for value in others]) if others else g
    return g * (1 / len(values))


@pytest.mark.parametrize("op", [Sub(), Div(), Pow(), Minimum(), Maximum(), Mean()], ids=repr)
@given(data=st.data())
def test_costs_are_those_of_the_loop_over_the_output(op: Op, data: st.DataObject) -> None:
    shapes = data.draw(broadcasting(2 if op.arity == 2 else 4))
    output = tuple(max(sizes) for sizes in zip(*shapes))
    elements = [[Counted(1.5 + sum(index) + which) for which in range(len(shapes))] for index in indices(output)]
    with Tally() as tally:
        for values in elements:
            forward(op, values)
    assert op.out_shape(*shapes) == output
    assert op.cost(*shapes) == op.cost(*shapes, training=True) == Cost(0, tally.operations)
    counted = []
    for own, shape in enumerate(shapes):
        sums: dict[Index, Counted] = {}
        with Tally() as tally:
            for index, values in zip(indices(output), elements):
                part, place = gradient(op, own, values), read(index, shape)
                sums[place] = sums[place] + part if place in sums else part
        counted.append(Cost(0, tally.operations))
    assert op.backward_cost(*shapes).inputs == tuple(counted)
    assert op.backward_cost(*shapes).params == NO_COST
    assert dict(op.params(*shapes)) == dict(op.buffers(*shapes)) == {}


@pytest.mark.parametrize("op", [Div(), Pow(), Minimum(), Maximum()], ids=repr)
def test_the_inputs_are_kept_where_the_gradient_reads_them(op: Op) -> None:
    assert op.saved(to_input=True, trainable=False) == {"input"}
    assert Sub().saved(to_input=True, trainable=False) == Mean().saved(to_input=True, trainable=False) == frozenset()
    assert (op.kind((3,), (3,)), op.arity) == ("merge", 2 if isinstance(op, (Div, Pow)) else None)


@pytest.mark.parametrize("op", [Sub(), Div(), Pow(), Minimum(), Maximum(), Mean(), Add()], ids=repr)
def test_what_does_not_broadcast_is_refused(op: Op) -> None:
    with pytest.raises(OperatorError, match=r"^inputs 4x2 and 4x3 do not broadcast"):
        op.out_shape((4, 2), (4, 3))
