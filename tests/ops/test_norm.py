"""Normalisation: costs against the formulas, run with numbers that count their own arithmetic."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archcost.build import Sequential
from archcost.cost import NO_COST, Cost
from archcost.errors import ArchcostError, OperatorError
from archcost.geometry import Shape
from archcost.ops import BatchNorm2d, ConstantScale, InstanceNorm, LayerNorm, LocalResponseNorm, Op, Reshape, Scale
from tests.naive import Counted, Tally, tensor

images = st.tuples(st.integers(1, 4), st.integers(1, 4), st.integers(1, 4))


def line(length: int) -> list[Counted]:
    return [Counted(value) for value in tensor((length,))]


def statistics(values: list[Counted]) -> tuple[Counted, Counted]:
    """Return the mean (one addition an element) and variance (subtract, square, add) up to per-channel work."""
    total = squares = Counted(0.0)
    for value in values:
        total = total + value
    mean = Counted(total.value / len(values))
    for value in values:
        difference = value - mean
        squares = squares + difference * difference
    return mean, Counted(squares.value / len(values))


@given(images)
def test_batch_norm_in_inference_is_one_scale_and_one_shift(shape: Shape) -> None:
    with Tally() as tally:
        for value in tensor(shape):
            assert (Counted(value) * 2.0 + 1.0).value == 2 * value + 1
    assert BatchNorm2d().cost(shape) == Cost(0, tally.operations)
    assert BatchNorm2d(affine=False).cost(shape) == Cost(0, tally.operations)  # the statistics alone need both


@given(images, st.booleans())
def test_batch_norm_in_training_computes_its_statistics(shape: Shape, affine: bool) -> None:
    with Tally() as tally:
        for _channel in range(shape[0]):
            values = line(shape[1] * shape[2])
            mean, variance = statistics(values)
            for value in values:
                normal = (value - mean) * (1 / math.sqrt(variance.value + 1e-5))
                assert not affine or (normal * 2.0 + 1.0).value == 2 * normal.value + 1
    assert BatchNorm2d(affine=affine).cost(shape, training=True) == Cost(0, tally.operations)


@given(images)
def test_batch_norm_backward(shape: Shape) -> None:
    """Per channel: dx = c * (g - mean(g) - n * mean(g*n)), dscale = sum(g*n), dshift = sum(g)."""
    with Tally() as to_params:
        for _channel in range(shape[0]):
            scale = shift = Counted(0.0)
            for value in line(shape[1] * shape[2]):
                normal = (value - 0.5) * 1.5  # normalised again, not kept
                scale = scale + normal * 1.0
                shift = shift + 1.0
    with Tally() as to_input:
        for value in line(math.prod(shape)):
            dx = (Counted(1.0) - 0.1 - value * 0.2) * 1.5  # the means are those that the parameters' sums gave
            assert dx.value == (1.0 - 0.1 - value.value * 0.2) * 1.5
    backward = BatchNorm2d().backward_cost(shape)
    assert backward.inputs == (Cost(0, to_input.operations),)
    assert backward.params == Cost(0, to_params.operations)


@given(images)
def test_a_frozen_batch_norm_multiplies_its_gradient_by_a_constant(shape: Shape) -> None:
    backward = BatchNorm2d().backward_cost(shape, trainable=False)
    with Tally() as tally:
        for value in tensor(shape):
            assert (Counted(value) * 2.0).value == 2 * value
    assert backward.inputs == (Cost(0, tally.operations),)
    assert backward.params == NO_COST
    assert BatchNorm2d().saved(to_input=True, trainable=False) == frozenset()
    assert BatchNorm2d().saved(to_input=True, trainable=True) == {"input"}


def test_batch_norm_without_scale_and_shift_still_differentiates_its_statistics() -> None:
    """It has nothing to freeze: its statistics are those of the batch, whatever is trained around it."""
    op = BatchNorm2d(affine=False)
    full = BatchNorm2d().backward_cost((4, 3, 3))
    for trainable in (True, False):
        backward = op.backward_cost((4, 3, 3), trainable=trainable)
        assert backward.params == NO_COST
        assert backward.inputs[0].element_ops >= full.inputs[0].element_ops
        assert op.saved(to_input=True, trainable=trainable) == {"input"}


@pytest.mark.parametrize("shape", [(64, 112, 112), (7,), (1, 1, 1)], ids=str)
def test_batch_norm_learns_two_numbers_a_channel_and_tracks_two(shape: Shape) -> None:
    channels = (shape[0],)
    assert BatchNorm2d().params(shape) == {"weight": channels, "bias": channels}
    assert dict(BatchNorm2d(affine=False).params(shape)) == {}
    buffers = BatchNorm2d().buffers(shape)
    assert buffers == {"running_mean": channels, "running_var": channels, "num_batches_tracked": ()}
    assert BatchNorm2d().out_shape(shape) == shape
    assert BatchNorm2d().label(shape) == "batch norm"


@pytest.mark.parametrize("shape", [(4, 4), (1, 2, 3, 4), ()], ids=str)
def test_batch_norm_refuses_other_ranks(shape: Shape) -> None:
    with pytest.raises(OperatorError, match=r"^BatchNorm2d needs an input of \(channels, height, width\) or"):
        BatchNorm2d().out_shape(shape)


@pytest.mark.parametrize("affine", [True, False])
@given(shape=images)
def test_layer_norm_costs_the_arithmetic_of_its_formula(affine: bool, shape: Shape) -> None:
    with Tally() as tally:
        for _position in range(shape[0] * shape[1]):
            values = line(shape[2])
            mean, variance = statistics(values)
            for value in values:
                normal = Counted(value.value - mean.value) / math.sqrt(variance.value + 1e-6)  # the difference is kept
                assert not affine or (normal * 2.0 + 1.0).value == 2 * normal.value + 1
    op = LayerNorm(affine=affine)
    assert op.cost(shape) == op.cost(shape, training=True) == Cost(0, tally.operations)
    assert op.out_shape(shape) == shape


@pytest.mark.parametrize(("axis", "size"), [(0, 96), (-1, 14)])
def test_layer_norm_learns_a_scale_and_a_shift_along_its_axis(axis: int, size: int) -> None:
    shape = (96, 56, 14)
    assert LayerNorm(axis).params(shape) == {"weight": (size,), "bias": (size,)}
    assert dict(LayerNorm(axis, affine=False).params(shape)) == dict(LayerNorm(axis).buffers(shape)) == {}
    with Tally() as tally:  # scale: normalised value * g, added; shift: g, added
        scale = shift = Counted(0.0)
        for value in tensor((96 * 56 * 14,)):
            scale, shift = scale + Counted(value) * 0.5, shift + 0.5
    assert LayerNorm(axis).backward_cost(shape).params == Cost(0, tally.operations)
    assert LayerNorm(axis).backward_cost(shape, trainable=False).params == NO_COST
    assert LayerNorm(axis, affine=False).backward_cost(shape).params == NO_COST


@given(images, st.integers(1, 3))
def test_layer_norm_over_several_axes_is_one_over_all_their_elements(shape: Shape, count: int) -> None:
    op, together = LayerNorm(normalized_axes=count), shape[3 - count :]
    flat = (*shape[: 3 - count], math.prod(together))
    assert op.out_shape(shape) == shape
    assert op.params(shape) == {"weight": together, "bias": together}
    assert op.cost(shape) == LayerNorm().cost(flat)
    assert op.backward_cost(shape) == LayerNorm().backward_cost(flat)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"normalized_axes": 0}, r"`normalized_axes` \(=0\) must be at least 1"),
        ({"normalized_axes": True}, r"`normalized_axes` \(=True\) must be an integer"),
        ({"axis": 0, "normalized_axes": 2}, r"`normalized_axes` \(=2\) must be 1 where `axis` is 0"),
        ({"normalized_axes": 4}, r"`normalized_axes` \(=4\) must be at most the 3 axes of the input"),
    ],
    ids=str,
)
def test_impossible_numbers_of_axes_are_refused(arguments: dict[str, int], message: str) -> None:
    with pytest.raises(OperatorError, match=f"^{message}"):
        LayerNorm(**arguments).out_shape((2, 3, 4))  # type: ignore[arg-type]


@given(st.lists(st.integers(1, 4), min_size=2, max_size=4).map(tuple))
def test_instance_norm_normalises_each_channel(shape: Shape) -> None:
    with Tally() as tally:
        for _channel in range(shape[0]):
            values = line(math.prod(shape[1:]))
            mean, variance = statistics(values)
            for value in values:
                normal = Counted(value.value - mean.value) / math.sqrt(variance.value + 1e-5)  # the difference is kept
                assert (normal * 2.0 + 1.0).value == 2 * normal.value + 1
    op, channels = InstanceNorm(), (shape[0],)
    assert op.out_shape(shape) == shape
    assert op.params(shape) == {"weight": channels, "bias": channels}
    assert op.cost(shape) == op.cost(shape, training=True) == Cost(0, tally.operations)
    each_row = LayerNorm().backward_cost((shape[0], math.prod(shape[1:])))
    assert op.backward_cost(shape) == each_row
    assert op.backward_cost(shape, trainable=False).params == NO_COST
    assert (op.kind(shape), op.label(shape)) == ("norm", "instance norm")


def test_instance_norm_needs_positions_and_a_number() -> None:
    with pytest.raises(OperatorError, match=r"^InstanceNorm needs channels and at least one axis, not 5$"):
        InstanceNorm().out_shape((5,))
    with pytest.raises(OperatorError, match=r"^`epsilon` "):
        InstanceNorm("1")  # type: ignore[arg-type]


@given(images, st.integers(1, 7))
def test_local_response_norm_costs_the_arithmetic_of_its_formula(shape: Shape, size: int) -> None:
    with Tally() as tally:
        for value in tensor(shape):
            squares = Counted(value) * value  # every square is made once and read by its neighbours
            for _neighbour in range(size - 1):
                squares = squares + 1.0
            assert (Counted(value) / (squares * 1e-4 + 2.0) ** 0.75).value > 0
    op = LocalResponseNorm(size)
    assert op.cost(shape) == Cost(0, tally.operations)
    assert op.backward_cost(shape).inputs == (Cost(0, 2 * tally.operations),)  # as the docstring states
    assert (op.out_shape(shape), op.label(shape)) == (shape, f"local response norm {size}")


@given(images)
def test_scales_multiply_once_and_a_learned_one_sums_its_gradient(shape: Shape) -> None:
    with Tally() as tally:
        for value in tensor(shape):
            assert (Counted(value) * 2.0).value == 2 * value
    with Tally() as own:
        total = Counted(0.0)
        for value in tensor(shape):
            total = total + Counted(value) * 1.0
    for op in (Scale(0), Scale(-1), ConstantScale(0.1)):
        assert op.cost(shape) == Cost(0, tally.operations)
        assert op.backward_cost(shape).inputs == (Cost(0, tally.operations),)
        assert op.backward_cost(shape).params == (NO_COST if isinstance(op, ConstantScale) else Cost(0, own.operations))
        assert op.backward_cost(shape, trainable=False).params == NO_COST
    assert Scale().params(shape) == {"weight": (shape[0],)}
    assert Scale(-1).params(shape) == {"weight": (shape[-1],)}
    assert dict(ConstantScale(0.1).params(shape)) == {}


def test_labels_name_the_operator() -> None:
    labels = [op.label((4, 3, 3)) for op in (LayerNorm(), Scale(), ConstantScale(0.17), ConstantScale(2))]
    assert labels == ["layer norm", "scale", "scale by 0.17", "scale by 2"]
    assert {op.kind((4, 3, 3)) for op in (BatchNorm2d(), LayerNorm(), Scale(), ConstantScale(2))} == {"norm"}


@pytest.mark.parametrize("cls", [LayerNorm, Scale])
@pytest.mark.parametrize("axis", [1, 2, -2, "0", None, (0,), True, False, 0.0], ids=repr)
def test_an_axis_other_than_first_or_last_is_refused(cls: type[Op], axis: Any) -> None:
    with pytest.raises(OperatorError, match=r"`axis` .*must be 0 \(channels of an image\) or -1"):
        cls(axis)  # type: ignore[call-arg]


@pytest.mark.parametrize("size", [0, -5, True, 5.0, "5"], ids=repr)
def test_local_response_norm_refuses_a_size(size: Any) -> None:
    with pytest.raises(OperatorError, match=rf"`size` \(={size!r}\) must be"):
        LocalResponseNorm(size)


@pytest.mark.parametrize(
    "factor", ["2", True, None, [1.0], math.nan, math.inf, -math.inf, 10**400], ids=lambda x: repr(x)[:9]
)
def test_a_constant_scale_refuses_what_is_no_finite_number(factor: Any) -> None:
    with pytest.raises(OperatorError, match=r"`factor` .*must be a"):
        ConstantScale(factor)


NUMBERS = [(BatchNorm2d, "eps"), (BatchNorm2d, "momentum"), (LayerNorm, "eps"), (LocalResponseNorm, "alpha"),
           (LocalResponseNorm, "beta"), (LocalResponseNorm, "k")]  # fmt: skip


@pytest.mark.parametrize(("cls", "name"), NUMBERS, ids=lambda value: getattr(value, "__name__", value))
@pytest.mark.parametrize("value", ["1e-5", None, math.nan], ids=repr)
def test_a_constant_that_is_no_number_is_refused(cls: type[Op], name: str, value: Any) -> None:
    """A NaN would make a graph that is unequal to itself once it is written and read back."""
    with pytest.raises(OperatorError, match=f"`{name}`"):
        cls(**{name: value})


@pytest.mark.parametrize("op", [LayerNorm(), LayerNorm(0), Scale(), BatchNorm2d()], ids=repr)
def test_a_scalar_cannot_be_normalised(op: Op) -> None:
    with pytest.raises(ArchcostError, match=r"axis|axes|BatchNorm2d"):  # by the reshape or by the operator
        Sequential([Reshape(()), op], (1,))
