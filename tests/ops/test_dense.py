"""Dense layers against loops over every product."""

from __future__ import annotations

import math
from itertools import product as combinations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archcost.build import Sequential
from archcost.cost import NO_COST, Cost
from archcost.errors import ArchcostError, OperatorError
from archcost.geometry import Shape
from archcost.ops import Linear, MatMul, Op, RadialBasis, Reshape
from tests.naive import Counted, Tally, tensor

shapes = st.lists(st.integers(1, 5), min_size=1, max_size=3).map(tuple)


def products(shape: Shape, outputs: int) -> int:
    """Count the pairs of a row's element and a weight, row by row: a matrix product written out."""
    count = 0
    for _row in combinations(*map(range, shape[:-1])):
        for _out in range(outputs):
            for _into in range(shape[-1]):
                count += 1
    assert count > 0
    return count


@given(shapes, st.integers(1, 6), st.booleans())
def test_dense_counts_every_input_and_weight_of_every_row(shape: Shape, outputs: int, bias: bool) -> None:
    op = Linear(outputs, bias)
    count = products(shape, outputs)
    assert op.cost(shape) == op.cost(shape, training=True) == Cost(count, 0)
    assert op.out_shape(shape) == (*shape[:-1], outputs)
    backward = op.backward_cost(shape)
    assert backward.inputs == (Cost(count),)
    rows = sum(1 for _ in combinations(*map(range, shape[:-1])))
    assert backward.params == Cost(count, rows * outputs if bias else 0)
    assert op.backward_cost(shape, trainable=False).params == NO_COST


@pytest.mark.parametrize(
    ("op", "shape", "params", "mult_adds"),
    [
        (Linear(120), (400,), 48_120, 48_000),  # LeNet-5 as the lecture counts it
        (Linear(4096), (25_088,), 102_764_544, 102_760_448),  # VGG-16, the first dense layer
        (Linear(1000), (2048,), 2_049_000, 2_048_000),  # ResNet-50
        (Linear(384, bias=False), (56, 56, 96), 36_864, 115_605_504),  # a position at a time
        (Linear(1), (1,), 2, 1),
        (Linear(2**40, bias=False), (2**40,), 2**80, 2**80),
    ],
    ids=repr,
)
def test_dense_by_hand(op: Linear, shape: Shape, params: int, mult_adds: int) -> None:
    assert sum(map(math.prod, op.params(shape).values())) == params
    assert op.params(shape)["weight"] == (op.out_features, shape[-1])
    assert op.cost(shape) == Cost(mult_adds, 0)
    assert dict(op.buffers(shape)) == {}
    assert (op.kind(shape), op.label(shape)) == ("dense", "dense")


@given(shapes, st.integers(1, 4))
def test_radial_basis_counts_the_arithmetic_of_its_distances(shape: Shape, outputs: int) -> None:
    op = RadialBasis(outputs)
    prototypes = list(tensor((outputs, shape[-1])))
    rows = list(combinations(*map(range, shape[:-1])))
    with Tally() as forward:
        for _row, out in combinations(rows, range(outputs)):
            total = Counted(0.0)
            for into in range(shape[-1]):
                difference = Counted(1.0) - prototypes[out * shape[-1] + into]
                total = total + difference * difference
    assert op.cost(shape) == Cost(0, forward.operations)
    with Tally() as backward:
        for _row, into in combinations(rows, range(shape[-1])):
            gradient = Counted(0.0)
            for out in range(outputs):
                twice_the_output_gradient = 2.0  # made once per output, not per prototype element: not counted
                difference = Counted(1.0) - prototypes[out * shape[-1] + into]
                gradient = gradient + difference * twice_the_output_gradient
    assert op.backward_cost(shape).inputs == (Cost(0, backward.operations),)
    assert op.out_shape(shape) == (*shape[:-1], outputs)


def test_the_prototypes_of_lenet_are_stored_but_not_learned() -> None:
    op = RadialBasis(10)
    assert dict(op.params((84,))) == {}
    assert op.buffers((84,)) == {"prototypes": (10, 84)}
    assert op.cost((84,)).flops == 2520  # 3 * 840
    assert op.cost((84,)).mult_adds == 0
    assert op.backward_cost((84,)).params == NO_COST
    assert (op.kind((84,)), op.label((84,))) == ("dense", "radial basis")


@st.composite
def factors(draw: st.DrawFn) -> tuple[Shape, Shape, Shape]:
    """Return shapes of two tensors of matrices, and of their product."""
    rows, inner, columns = draw(st.tuples(*[st.integers(1, 4)] * 3))
    front = draw(st.lists(st.integers(1, 3), max_size=2))
    kept = [draw(st.sampled_from([(True, True), (True, False), (False, True)])) for _ in front]
    first, second = (tuple(size if keep[side] else 1 for size, keep in zip(front, kept)) for side in (0, 1))
    return (*first, rows, inner), (*second, inner, columns), (*front, rows, columns)


@given(factors())
def test_a_matrix_product_multiplies_each_row_with_each_column(shapes: tuple[Shape, Shape, Shape]) -> None:
    first, second, output = shapes
    op, inner = MatMul(), first[-1]
    count = 0
    seen: tuple[dict[Any, int], dict[Any, int]] = ({}, {})  # for the gradients: matrices of the output that read each
    for index in combinations(*map(range, output)):
        count += sum(1 for _k in range(inner))
        for shape, readers in zip((first, second), seen):
            matrix = tuple(place if size > 1 else 0 for place, size in zip(index[:-2], shape))
            readers[matrix, index[:-2]] = math.prod(shape[-2:])
    assert op.out_shape(first, second) == output
    assert op.cost(first, second) == op.cost(first, second, training=True) == Cost(count)
    sums = [sum(readers.values()) - math.prod(shape) for shape, readers in zip((first, second), seen)]
    backward = op.backward_cost(first, second)
    assert (backward.inputs, backward.params) == (tuple(Cost(count, each) for each in sums), NO_COST)
    assert dict(op.params(first, second)) == {}
    assert op.saved(to_input=True, trainable=False) == {"input"}
    assert (op.arity, op.kind(first, second), op.label(first, second)) == (2, "dense", "matrix product")


def test_a_product_with_a_fixed_matrix_costs_what_a_dense_layer_does() -> None:
    assert MatMul().cost((7, 5), (5, 3)) == Linear(3, bias=False).cost((7, 5)) == Cost(105)
    assert MatMul().backward_cost((7, 5), (5, 3)).inputs == (Cost(105), Cost(105))


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (((4, 5), (4, 3)), r"inputs 4x5 and 4x3 must be \(\.\.\., M, K\) and"),
        (((5,), (5,)), "inputs 5 and 5 must be"),
        (((4, 5), (1, 5, 3)), "inputs 4x5 and 1x5x3 must be"),
        (((2, 4, 5), (3, 5, 3)), "inputs 2 and 3 do not broadcast"),
        (((4, 5),), "MatMul takes two inputs, not 1"),
    ],
    ids=str,
)
def test_matrices_that_do_not_fit_are_refused(inputs: tuple[Shape, ...], message: str) -> None:
    with pytest.raises(OperatorError, match=f"^{message}"):
        MatMul().out_shape(*inputs)


@pytest.mark.parametrize("cls", [Linear, RadialBasis])
@pytest.mark.parametrize(
    ("value", "message"),
    [
        (0, r"`out_features` \(=0\) must be at least 1"),
        (-7, r"`out_features` \(=-7\) must be at least 1"),
        (True, r"`out_features` \(=True\) must be an integer"),
        (10.0, r"`out_features` \(=10.0\) must be an integer"),
        ((10,), r"`out_features` \(=\(10,\)\) must be an integer"),
        (2**40 + 1, r"at most 2\*\*40"),
    ],
    ids=str,
)
def test_impossible_sizes_are_refused(cls: type[Op], value: Any, message: str) -> None:
    with pytest.raises(OperatorError, match=message):
        cls(value)  # type: ignore[call-arg]


@pytest.mark.parametrize("op", [Linear(3), RadialBasis(3)], ids=repr)
def test_a_scalar_has_no_last_axis(op: Op) -> None:
    with pytest.raises(ArchcostError, match=r"axis|axes"):  # by the reshape or by the dense layer
        Sequential([Reshape(()), op], (1,))
