"""Further functions of each element: the table's numbers against the formulas, counted by the numbers themselves."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archcost.cost import ELEMENT_RULES, NO_COST, Cost
from archcost.errors import OperatorError
from archcost.geometry import Shape
from archcost.ops import (
    CELU,
    ELU,
    GELU,
    SELU,
    Abs,
    Clip,
    Erf,
    Exp,
    HardSigmoid,
    LeakyReLU,
    Log,
    LogSoftmax,
    Mish,
    Neg,
    Op,
    PReLU,
    Softplus,
    Softsign,
    Sqrt,
)
from tests.naive import Counted, Tally, tensor

SIGNS = (-2.5, -0.4, 0.3, 1.7)
ALPHA, GAMMA = SELU().alpha, SELU().gamma
ROOT = math.sqrt(2 / math.pi)


def branch(x: Counted, positive: Counted, negative: Counted) -> Counted:
    """Return one of two results, for one comparison; both are counted, as a vector unit computes both."""
    Counted.operations += 1
    return positive if x.value > 0 else negative


def sized(x: Counted) -> Counted:
    """Return the absolute value, for one operation."""
    Counted.operations += 1
    return Counted(abs(x.value))


def function(x: Counted, of: Callable[[float], float]) -> Counted:
    """Return an elementary function, for one operation."""
    Counted.operations += 1
    return Counted(of(x.value))


def inner(x: Counted) -> Counted:
    """Return sqrt(2/pi) * (x + 0.044715 x^3), the constants folded."""
    return (x * x * (0.044715 * ROOT) + ROOT) * x


FORWARD: dict[Op, Callable[[Counted], Counted]] = {
    LeakyReLU(0.2): lambda x: branch(x, x, x * 0.2),
    ELU(0.5): lambda x: branch(x, x, (x.exp() - 1) * 0.5),
    SELU(): lambda x: branch(x, x, (x.exp() - 1) * ALPHA) * GAMMA,
    CELU(2.0): lambda x: branch(x, x, ((x / 2).exp() - 1) * 2),
    Clip(-0.5, 1.0): lambda x: x.clip(-0.5, 1.0),
    Clip(None, 1.0): lambda x: x.clip(high=1.0),
    Clip(0.1): lambda x: x.clip(low=0.1),
    Mish(): lambda x: function(x.exp() + 1, math.log).tanh() * x,
    Softplus(): lambda x: function(x.exp() + 1, math.log),
    Softsign(): lambda x: x / (sized(x) + 1),
    GELU("tanh"): lambda x: (inner(x).tanh() + 1) * x * 0.5,
    HardSigmoid(0.2, 0.4): lambda x: (x * 0.2 + 0.4).clip(0, 1),
    Exp(): lambda x: x.exp(),
    Log(): lambda x: function(x, lambda value: math.log(abs(value))),
    Sqrt(): lambda x: function(x, lambda value: math.sqrt(abs(value))),
    Erf(): lambda x: x.erf(),
    Abs(): sized,
    Neg(): lambda x: -x,
}
"""Each formula as its docstring gives it; constants are folded."""


def mish_derivative(g: Counted, x: Counted) -> Counted:
    power = x.exp()
    wide = power + 1
    t = function(wide, math.log).tanh()
    return g * (t + x * (power / wide) * (1 - t * t))


def gelu_derivative(g: Counted, x: Counted) -> Counted:
    square = x * x
    t = ((square * (0.044715 * ROOT) + ROOT) * x).tanh()
    slope = square * (3 * 0.044715 * ROOT) + ROOT
    return g * ((t + 1) * 0.5 + x * 0.5 * (1 - t * t) * slope)


def side(g: Counted, x: Counted) -> Counted:
    Counted.operations += 1
    return g if x.value > 0 else Counted(-g.value)


# Derivatives as an implementation has them: g is the output gradient, x the input, y the output.
BACKWARD: dict[Op, Callable[[Counted, Counted, Counted], Counted]] = {
    LeakyReLU(0.2): lambda g, x, _y: branch(x, g, g * 0.2),
    ELU(0.5): lambda g, x, _y: g * branch(x, Counted(1.0), x.exp() * 0.5),
    SELU(): lambda g, x, _y: g * branch(x, Counted(GAMMA), x.exp() * (ALPHA * GAMMA)),
    CELU(2.0): lambda g, x, _y: g * branch(x, Counted(1.0), (x / 2).exp()),
    Clip(-0.5, 1.0): lambda g, _x, y: g.where(y.value > -0.5, y.value < 1),
    Clip(None, 1.0): lambda g, _x, y: g.where(y.value < 1),
    Clip(0.1): lambda g, _x, y: g.where(y.value > 0.1),
    Mish(): lambda g, x, _y: mish_derivative(g, x),
    Softplus(): lambda g, x, _y: g * (1 / ((-x).exp() + 1)),
    Softsign(): lambda g, x, _y: g / ((sized(x) + 1) ** 2),
    GELU("tanh"): lambda g, x, _y: gelu_derivative(g, x),
    HardSigmoid(0.2, 0.4): lambda g, _x, y: g.where(y.value > 0, y.value < 1) * 0.2,
    Exp(): lambda g, _x, y: g * y,
    Log(): lambda g, x, _y: g / x,
    Sqrt(): lambda g, _x, y: g * 0.5 / y,
    Erf(): lambda g, x, _y: g * ((x * x * -1.0).exp() * (2 / math.sqrt(math.pi))),
    Abs(): lambda g, x, _y: side(g, x),
    Neg(): lambda g, _x, _y: -g,
}


@pytest.mark.parametrize("op", FORWARD, ids=repr)
@pytest.mark.parametrize("shape", [(1,), (2, 3, 4)], ids=str)
def test_forward_costs_the_arithmetic_of_the_formula(op: Op, shape: Shape) -> None:
    with Tally() as tally:
        for value in tensor(shape):
            FORWARD[op](Counted(value))
    assert op.cost(shape) == op.cost(shape, training=True) == Cost(0, tally.operations)


@pytest.mark.parametrize("op", BACKWARD, ids=repr)
@pytest.mark.parametrize("shape", [(1,), (2, 3, 4)], ids=str)
def test_backward_costs_the_arithmetic_of_the_derivative(op: Op, shape: Shape) -> None:
    values = [(value, FORWARD[op](Counted(value))) for value in tensor(shape)]
    with Tally() as tally:
        for value, output in values:
            BACKWARD[op](Counted(1.0), Counted(value), output)
    assert op.backward_cost(shape).inputs == (Cost(0, tally.operations),)
    assert op.backward_cost(shape).params == NO_COST


@pytest.mark.parametrize("op", BACKWARD, ids=repr)
def test_the_derivatives_counted_above_are_the_derivatives(op: Op) -> None:
    step = 1e-6
    for at in (0.3, 1.7) if isinstance(op, (Log, Sqrt)) else SIGNS:
        low, high = (FORWARD[op](Counted(at + side)).value for side in (-step, step))
        exact = BACKWARD[op](Counted(1.0), Counted(at), FORWARD[op](Counted(at))).value
        assert math.isclose(exact, (high - low) / (2 * step), rel_tol=1e-6, abs_tol=1e-9)


def test_an_open_clip_costs_nothing() -> None:
    assert Clip().cost((3, 4)) == Clip().backward_cost((3, 4)).inputs[0] == NO_COST
    assert ELEMENT_RULES["Clip"].forward == Clip(0, 6).bounds == 2


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_log_softmax_costs_five_operations_an_element(axis: int) -> None:
    """The logarithm of the sum, once for each line of elements, is left out, as LayerNorm's square root is."""
    shape = (2, 3, 4)
    length, lines = shape[axis], 24 // shape[axis]
    with Tally() as forward:
        for _line in range(lines):
            line = [Counted(value) for value in tensor((length,))]
            largest, total = Counted(-math.inf), Counted(0.0)
            for value in line:
                largest = largest.at_least(value)
            less = [value - largest for value in line]
            for value in less:
                total = total + value.exp()
            results = [value - math.log(total.value) for value in less]
            assert math.isclose(sum(math.exp(value.value) for value in results), 1)
    with Tally() as backward:
        for _line in range(lines):
            total = Counted(0.0)
            for _value in range(length):
                total = total + Counted(0.5)
            assert [Counted(0.5) - Counted(value).exp() * total for value in tensor((length,))]
    op = LogSoftmax(axis)
    assert op.cost(shape) == Cost(0, forward.operations)
    assert op.backward_cost(shape).inputs == (Cost(0, backward.operations),)


@pytest.mark.parametrize(("op", "slopes"), [(PReLU(), 3), (PReLU(shared=True), 1)], ids=repr)
def test_prelu_learns_a_slope_for_each_channel_or_one(op: PReLU, slopes: int) -> None:
    shape = (3, 2, 2)
    gradients = [Counted(0.0)] * slopes
    with Tally() as forward:
        for value in tensor(shape):
            branch(Counted(value), Counted(value), Counted(value) * 0.2)
    with Tally() as to_input:
        for value in tensor(shape):
            branch(Counted(value), Counted(1.0), Counted(1.0) * 0.2)
    with Tally() as to_slopes:
        for index, value in enumerate(tensor(shape)):
            place = index * slopes // 12
            gradients[place] = gradients[place] + Counted(value).where(value < 0) * 1.0
    assert dict(op.params(shape)) == {"weight": (slopes,)}
    assert op.cost(shape) == Cost(0, forward.operations)
    backward = op.backward_cost(shape)
    assert (backward.inputs, backward.params) == ((Cost(0, to_input.operations),), Cost(0, to_slopes.operations))
    assert op.backward_cost(shape, trainable=False).params == NO_COST
    assert op.saved(to_input=True, trainable=False) == op.saved(to_input=False, trainable=True) == {"input"}


@pytest.mark.parametrize("op", [*FORWARD, LogSoftmax(), PReLU()], ids=repr)
@given(shape=st.lists(st.integers(1, 4), min_size=1, max_size=5).map(tuple))
def test_a_function_keeps_the_shape(op: Op, shape: Shape) -> None:
    assert op.out_shape(shape) == shape
    assert (op.kind(shape), op.label(shape)) == ("activation", type(op).__name__)
    assert op.makes_tensor


@pytest.mark.parametrize("op", [*FORWARD, LogSoftmax()], ids=repr)
def test_what_the_derivative_reads_is_kept(op: Op) -> None:
    needs = {"output"} if isinstance(op, (Clip, HardSigmoid, Exp, Sqrt, LogSoftmax)) else {"input"}
    assert op.saved(to_input=True, trainable=False) == (set() if isinstance(op, Neg) else needs)


@pytest.mark.parametrize("axis", [3, -4, True, 1.0, "0", None], ids=repr)
def test_log_softmax_refuses_an_axis_that_the_input_has_not(axis: int) -> None:
    with pytest.raises(OperatorError, match=r"^`axis`"):
        LogSoftmax(axis).out_shape((2, 3, 4))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LeakyReLU("1"), r"`slope` \(='1'\) must be a finite number"),  # type: ignore[arg-type]
        (lambda: ELU(math.nan), r"`alpha` \(=nan\)"),
        (lambda: SELU(1, math.inf), r"`gamma` \(=inf\)"),
        (lambda: CELU(0), r"`alpha` \(=0\) must not be 0"),
        (lambda: Clip(math.nan), r"`low` \(=nan\)"),
        (lambda: Clip(0, high=True), r"`high` \(=True\)"),
        (lambda: HardSigmoid(None), r"`slope` \(=None\)"),  # type: ignore[arg-type]
        (lambda: HardSigmoid(1, math.nan), r"`offset` \(=nan\)"),
        (lambda: GELU("erf"), r"`approximate` \(='erf'\) must be 'none' or 'tanh'"),  # type: ignore[arg-type]
        (lambda: PReLU().out_shape(()), "PReLU needs an input of at least one axis"),
    ],
)
def test_impossible_numbers_are_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(OperatorError, match=f"^{message}"):
        make()
