"""Activations: the table's numbers against the formulas, run with numbers that count their own arithmetic."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archcost.cost import NO_COST, Cost
from archcost.errors import OperatorError
from archcost.geometry import Shape
from archcost.ops import (
    GELU,
    HardSigmoid,
    HardSwish,
    Op,
    ReLU,
    ReLU6,
    ScaledTanh,
    Sigmoid,
    SiLU,
    Softmax,
    Tanh,
)
from tests.naive import Counted, Tally, tensor

ROOT_HALF = math.sqrt(0.5)
shapes = st.lists(st.integers(1, 4), min_size=1, max_size=4).map(tuple)


def sigmoid(x: Counted) -> Counted:
    return 1 / ((-x).exp() + 1)


def hard_sigmoid(x: Counted) -> Counted:
    return (x + 3).clip(0, 6) * (1 / 6)


def normal_cdf(x: Counted) -> Counted:
    return (x * ROOT_HALF).erf() * 0.5 + 0.5


def silu_derivative(g: Counted, x: Counted, s: Counted) -> Counted:
    return g * s * (x * (1 - s) + 1)


FORWARD: dict[Op, Callable[[Counted], Counted]] = {
    ReLU(): lambda x: x.clip(low=0),
    ReLU6(): lambda x: x.clip(0, 6),
    Sigmoid(): sigmoid,
    HardSigmoid(): hard_sigmoid,
    SiLU(): lambda x: x * sigmoid(x),
    HardSwish(): lambda x: x * hard_sigmoid(x),
    GELU(): lambda x: ((x * ROOT_HALF).erf() + 1) * x * 0.5,
    Tanh(): lambda x: x.tanh(),
    ScaledTanh(): lambda x: (x * (2 / 3)).tanh() * 1.7159,
}
"""Each formula as its docstring gives it; constants are folded."""

# Derivatives as an implementation has them: g is the output gradient, x the input, y the output.
BACKWARD: dict[Op, Callable[[Counted, Counted, Counted], Counted]] = {
    ReLU(): lambda g, _x, y: g.where(y.value > 0),
    ReLU6(): lambda g, _x, y: g.where(y.value > 0, y.value < 6),
    Sigmoid(): lambda g, _x, y: g * y * (1 - y),
    HardSigmoid(): lambda g, _x, y: g.where(y.value > 0, y.value < 1) * (1 / 6),
    SiLU(): lambda g, x, _y: silu_derivative(g, x, sigmoid(x)),
    HardSwish(): lambda g, x, _y: g * (x * (1 / 3) + 0.5).where(x.value > -3, x.value < 3),
    GELU(): lambda g, x, _y: g * (normal_cdf(x) + x * ((x * x * -0.5).exp() * 0.3989422804)),
    Tanh(): lambda g, _x, y: g * (1 - y * y),
    ScaledTanh(): lambda g, _x, y: g * (1.7159 * 2 / 3 - y * y * (2 / 3 / 1.7159)),
}


def ids(op: Op) -> str:
    return type(op).__name__


@pytest.mark.parametrize("op", FORWARD, ids=ids)
@pytest.mark.parametrize("shape", [(1,), (5,), (2, 3, 4)], ids=str)
def test_forward_costs_the_arithmetic_of_the_formula(op: Op, shape: Shape) -> None:
    with Tally() as tally:
        for value in tensor(shape):
            FORWARD[op](Counted(value))
    assert op.cost(shape) == op.cost(shape, training=True) == Cost(0, tally.operations)
    assert op.cost(shape).flops == tally.operations


@pytest.mark.parametrize("op", BACKWARD, ids=ids)
@pytest.mark.parametrize("shape", [(1,), (2, 3, 4)], ids=str)
def test_backward_costs_the_arithmetic_of_the_derivative(op: Op, shape: Shape) -> None:
    values = [(value, FORWARD[op](Counted(value))) for value in tensor(shape)]
    with Tally() as tally:
        for value, output in values:
            BACKWARD[op](Counted(1.0), Counted(value), output)
    assert op.backward_cost(shape).inputs == (Cost(0, tally.operations),)
    assert op.backward_cost(shape).params == NO_COST


@pytest.mark.parametrize("op", BACKWARD, ids=ids)
def test_the_derivatives_counted_above_are_the_derivatives(op: Op) -> None:
    step = 1e-6
    for at in (-2.5, -0.4, 0.3, 1.7, 2.9):
        low, high = (FORWARD[op](Counted(at + side)).value for side in (-step, step))
        exact = BACKWARD[op](Counted(1.0), Counted(at), FORWARD[op](Counted(at))).value
        assert math.isclose(exact, (high - low) / (2 * step), rel_tol=1e-6, abs_tol=1e-9)


@pytest.mark.parametrize(("axis", "length"), [(0, 2), (-1, 4)])
def test_softmax_costs_five_operations_an_element(axis: int, length: int) -> None:
    shape = (2, 3, 4)
    with Tally() as forward:
        for _line in range(24 // length):
            line = [Counted(value) for value in tensor((length,))]
            largest, total = Counted(-math.inf), Counted(0.0)
            for value in line:
                largest = largest.at_least(value)
            powers = [(value - largest).exp() for value in line]
            for value in powers:
                total = total + value
            shares = [value / total for value in powers]
            assert math.isclose(sum(value.value for value in shares), 1)
    with Tally() as backward:
        for _line in range(24 // length):
            total = Counted(0.0)
            for share in tensor((length,)):
                total = total + Counted(share) * 0.5
            assert [Counted(share) * (Counted(0.5) - total) for share in tensor((length,))]
    op = Softmax(axis)
    assert op.cost(shape) == Cost(0, forward.operations)
    assert op.backward_cost(shape).inputs == (Cost(0, backward.operations),)


@pytest.mark.parametrize("op", [*FORWARD, Softmax()], ids=ids)
@given(shape=shapes)
def test_an_activation_keeps_the_shape_and_learns_nothing(op: Op, shape: Shape) -> None:
    assert op.out_shape(shape) == shape
    assert dict(op.params(shape)) == dict(op.buffers(shape)) == {}
    assert (op.kind(shape), op.label(shape)) == ("activation", type(op).__name__)
    assert op.makes_tensor


@pytest.mark.parametrize("op", [*FORWARD, Softmax()], ids=ids)
def test_what_the_derivative_reads_is_kept(op: Op) -> None:
    """From the output alone follow all derivatives whose function can be inverted where it is not flat."""
    needs = {"input"} if isinstance(op, (SiLU, HardSwish, GELU)) else {"output"}
    assert op.saved(to_input=True, trainable=False) == needs
    assert op.saved(to_input=False, trainable=True) == frozenset()


@pytest.mark.parametrize("axis", [3, -4, 7, True, 1.0, "0", None, (0,)], ids=repr)
def test_softmax_refuses_an_axis_that_the_input_has_not(axis: int) -> None:
    with pytest.raises(OperatorError, match="`axis`"):
        Softmax(axis).out_shape((2, 3, 4))


@pytest.mark.parametrize("arguments", [("1.7", 1.0), (1.0, None), (True, 1.0), (math.nan, 1.0)], ids=repr)
def test_scaled_tanh_refuses_what_is_no_number(arguments: tuple[float, float]) -> None:
    with pytest.raises(OperatorError, match=r"`amplitude`|`slope`"):
        ScaledTanh(*arguments)
