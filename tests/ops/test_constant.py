"""What no input determines, and what is counted alone: stored tensors, quantisation, unknown operators."""

from __future__ import annotations

from typing import Any

import pytest

from archcost.build import Builder
from archcost.cost import NO_COST, BackwardCost, Cost
from archcost.errors import OperatorError
from archcost.ops import Add, Constant, Conv2d, Dequantize, Mul, Op, Parameter, Quantize, ReLU, Reshape, Unknown
from archcost.report.memory import peak_activations
from archcost.report.rows import rows_of, total
from archcost.report.training import backward_pass, saved_activation_bytes


def test_a_parameter_is_learned_and_a_constant_is_not() -> None:
    parameter, constant = Parameter([2, 3]), Constant((2, 3))  # type: ignore[arg-type]
    assert (dict(parameter.params()), dict(parameter.buffers())) == ({"weight": (2, 3)}, {})
    assert (dict(constant.params()), dict(constant.buffers())) == ({}, {"value": (2, 3)})
    for op in (parameter, constant):
        assert (op.out_shape(), op.arity, op.makes_tensor, op.kind()) == ((2, 3), 0, False, "constant")
        assert op.cost() == op.cost(training=True) == NO_COST
    assert parameter.backward_cost() == BackwardCost((), Cost(0, 6))
    assert parameter.backward_cost(trainable=False) == constant.backward_cost() == BackwardCost((), NO_COST)


def test_what_is_stored_is_no_activation() -> None:
    """relu 12 alive with its sum of 12: the stored tensors, and views of them, never count."""
    net = Builder()
    x = net(ReLU(), net.input((3, 2, 2)), name="relu")
    bias = net(Reshape((3, 1, 1)), net(Parameter((3,)), name="bias"))
    graph = net.build(net(Mul(), net(Add(), x, bias, name="sum"), net(Constant((1, 1, 1))), name="scaled"))
    sums = total(rows_of(graph))
    assert (sums["params"], sums["buffers"], sums["activations"], sums["operators"]) == (3, 1, 36, 6)
    peak = peak_activations(graph)
    assert (peak.elements, peak.node, peak.alive) == (24, "relu", ("input", "relu"))


@pytest.mark.parametrize("cls", [Parameter, Constant, lambda shape: Unknown("X", shape)])
@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((), "`shape` must have at least one axis"),
        ((0,), r"`shape` \(=0\) must be at least 1"),
        (3, r"`shape` \(=3\) must be a list"),
        (("3",), r"`shape` \(='3'\) must be an integer"),
    ],
    ids=repr,
)
def test_impossible_shapes_are_refused(cls: Any, shape: Any, message: str) -> None:
    with pytest.raises(OperatorError, match=f"^{message}"):
        cls(shape)


def test_an_unknown_operator_is_a_gap_that_says_its_name() -> None:
    op = Unknown("com.acme.Whirl", (4, 5))
    assert op.out_shape((3,), (2, 2)) == (4, 5)
    assert op.cost((3,)) == NO_COST
    assert op.backward_cost((3,), (2, 2)) == BackwardCost((NO_COST, NO_COST), NO_COST)
    assert (op.kind((3,)), op.label((3,)), op.makes_tensor) == ("unknown", "com.acme.Whirl (not counted)", True)
    for name in ("", " ", None, 3):
        with pytest.raises(OperatorError, match=r"^`op_type`"):
            Unknown(name, (1,))  # type: ignore[arg-type]


@pytest.mark.parametrize(("op", "each"), [(Quantize(), 5), (Dequantize(), 2)], ids=repr)
def test_quantisation_is_counted_element_by_element(op: Op, each: int) -> None:
    """x / scale, rounded, + zero point, against two ends: 5; (x - zero point) * scale: 2."""
    assert op.out_shape((2, 3)) == (2, 3)
    assert op.cost((2, 3)) == Cost(0, 6 * each)
    assert op.backward_cost((2, 3)).inputs == (Cost(0, 6),)
    assert op.kind((2, 3)) == "quantize"


def test_what_is_stored_is_not_kept_a_second_time_for_the_backward_pass() -> None:
    """The gradient of a product reads both factors: the map of 12 elements, and the factors, which are weights."""
    net = Builder()
    x = net(Conv2d(3, 1), net.input((3, 2, 2)))
    factor = net(Parameter((3, 1, 1)), name="factor")
    graph = net.build(net(Mul(), x, factor))
    backward = backward_pass(graph)
    assert saved_activation_bytes(graph, backward, 4) == 4 * (12 + 12)  # the convolution's input, and its output
    assert [part.to_params for part in backward if part.trainable] == [Cost(36, 12), Cost(0, 3)]
