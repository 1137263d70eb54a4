"""What holds for every operator: a complete set of rules, a value that cannot be changed, a place in the registry."""

from __future__ import annotations

import copy
import inspect
import pickle
from collections.abc import Iterator
from dataclasses import FrozenInstanceError, fields, is_dataclass, replace
from typing import Any

import pytest

from archcost import ops
from archcost.cost import ELEMENT_RULES, NO_COST, BackwardCost, Cost
from archcost.errors import OperatorError
from archcost.geometry import Shape
from archcost.ops import OPERATORS, Op
from archcost.ops.base import ElementWise, Free, Input
from archcost.ops.merge import Broadcasting
from tests.samples import SAMPLES, Sample, each_sample

KINDS = {"conv", "grouped", "depthwise", "pointwise", "transposed", "dense", "pool", "norm", "activation", "merge",
         "reshape", "dropout", "input", "constant", "quantize", "unknown"}  # fmt: skip


def descendants(cls: Any) -> Iterator[type[Op]]:
    for child in cls.__subclasses__():
        if child.__module__.startswith("archcost."):
            yield child
            yield from descendants(child)


def test_every_operator_has_a_sample() -> None:
    assert {type(sample.op).__name__ for sample in SAMPLES} == set(OPERATORS)


def test_every_operator_class_is_registered_under_its_name() -> None:
    """An operator is a concrete class that no other one is derived from; the rest are bases that operators share."""
    leaves = {cls for cls in descendants(Op) if not list(descendants(cls))}
    assert not [cls.__name__ for cls in leaves if inspect.isabstract(cls)]
    assert {cls.__name__: cls for cls in leaves} == OPERATORS
    assert set(ops.__all__) == {*OPERATORS, "OPERATORS", "COUNTED_ONLY", "Op"}
    assert all(getattr(ops, name) is cls for name, cls in OPERATORS.items())


@pytest.mark.parametrize("name", OPERATORS)
def test_every_operator_has_an_element_rule_or_a_cost_of_its_own(name: str) -> None:
    """What reads the table must stand in it; what stands in it must be an operator that exists."""
    home = next(cls for cls in OPERATORS[name].__mro__ if "cost" in vars(cls))
    assert (home in {ElementWise, Broadcasting}) <= (name in ELEMENT_RULES)
    assert home is not Op


def test_what_is_counted_alone_exists() -> None:
    assert set(OPERATORS) > ops.COUNTED_ONLY


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match=r"module 'archcost\.ops' has no attribute 'Rezise'"):
        _ = ops.Rezise


def test_the_table_of_element_rules_names_operators_and_says_what_it_counts() -> None:
    assert set(ELEMENT_RULES) <= set(OPERATORS)
    assert all(rule.forward >= 0 and rule.backward >= 0 and rule.text for rule in ELEMENT_RULES.values())


RULES = {
    "out_shape": ElementWise.out_shape,
    "params": Free.params,
    "cost": Free.cost,
    "backward_cost": Free.backward_cost,
}


@pytest.mark.parametrize("missing", RULES)
def test_an_operator_without_a_rule_cannot_be_made(missing: str) -> None:
    complete = type("Complete", (Op,), dict(RULES))
    assert complete().out_shape((3,)) == (3,)
    incomplete = type("Incomplete", (Op,), {name: rule for name, rule in RULES.items() if name != missing})
    with pytest.raises(TypeError, match=rf"abstract.*Incomplete.*{missing}"):
        incomplete()


@pytest.mark.parametrize("cls", [Op, ops.conv.Multiplying, ops.pool.Window, ops.reshape.View, ops.reshape.Copy])
def test_a_base_without_rules_cannot_be_made(cls: type[Op]) -> None:
    with pytest.raises(TypeError, match="abstract"):
        cls()


@each_sample
def test_out_shape_is_what_was_worked_out_by_hand(sample: Sample) -> None:
    shape = sample.op.out_shape(*sample.inputs)
    assert shape == sample.output
    assert type(shape) is tuple
    assert all(type(size) is int for size in shape)


@each_sample
def test_rules_answer_in_exact_integers_and_the_same_every_time(sample: Sample) -> None:
    op, inputs = sample.op, sample.inputs
    for training in (False, True):
        cost = op.cost(*inputs, training=training)
        assert cost == op.cost(*inputs, training=training)
        assert type(cost.mult_adds) is int
        assert type(cost.element_ops) is int
        assert min(cost.mult_adds, cost.element_ops) >= 0
    for trainable in (False, True):
        backward = op.backward_cost(*inputs, trainable=trainable)
        assert len(backward.inputs) == len(inputs)
        assert trainable or backward.params == NO_COST
        assert op.params(*inputs) or backward.params == NO_COST, "a gradient to parameters that do not exist"
    assert op.cost(*inputs) == op.cost(*inputs, training=False)
    assert op.backward_cost(*inputs) == op.backward_cost(*inputs, trainable=True)


@each_sample
def test_parameters_and_buffers_are_shapes_of_positive_integers(sample: Sample) -> None:
    tensors = {**sample.op.params(*sample.inputs), **sample.op.buffers(*sample.inputs)}
    assert len(tensors) == len(sample.op.params(*sample.inputs)) + len(sample.op.buffers(*sample.inputs))
    for name, shape in tensors.items():
        assert name.isidentifier()
        assert all(type(size) is int and size > 0 for size in shape)


@each_sample
def test_kind_label_and_arity_are_told(sample: Sample) -> None:
    op = sample.op
    assert op.kind(*sample.inputs) in KINDS
    assert op.label(*sample.inputs).strip() == op.label(*sample.inputs) != ""
    assert op.arity in {None, len(sample.inputs)}


@each_sample
def test_no_field_can_be_set_deleted_or_added(sample: Sample) -> None:
    before = repr(sample.op)
    for name in [field.name for field in fields(sample.op)]:
        with pytest.raises(FrozenInstanceError, match=f"cannot assign to field '{name}'"):
            setattr(sample.op, name, 1)
        with pytest.raises(FrozenInstanceError, match=f"cannot delete field '{name}'"):
            delattr(sample.op, name)
    with pytest.raises(FrozenInstanceError, match="surprise"):
        sample.op.surprise = 1
    assert repr(sample.op) == before


@each_sample
def test_copies_are_equal_values_with_equal_hashes(sample: Sample) -> None:
    op = sample.op
    text = repr(op)
    copies = [copy.copy(op), copy.deepcopy(op), pickle.loads(pickle.dumps(op)), replace(op), eval(text, vars(ops))]
    for other in copies:
        assert other == op
        assert not other != op  # noqa: SIM202
        assert hash(other) == hash(op)
        assert repr(other) == text
        assert other.out_shape(*sample.inputs) == sample.output
        with pytest.raises(FrozenInstanceError):
            other.surprise = 1
    assert len({op, *copies}) == 1


def test_operators_that_differ_are_unequal() -> None:
    distinct = {repr(sample.op): sample.op for sample in SAMPLES}
    assert len(set(distinct.values())) == len(distinct)
    for one in distinct.values():
        assert [other for other in distinct.values() if other == one] == [one]
        assert one != repr(one)


def test_operators_of_two_classes_with_equal_fields_are_unequal() -> None:
    assert ops.ReLU() != ops.ReLU6()
    assert ops.MaxPool2d(2) != ops.SubsamplingPool2d(2)
    assert ops.Dropout(0.1) != ops.DropPath(0.1)
    assert ops.Linear(5) != ops.RadialBasis(5)


def test_every_operator_is_a_dataclass_whose_fields_are_all_arguments() -> None:
    for cls in OPERATORS.values():
        assert is_dataclass(cls)
        assert all(field.init for field in fields(cls))
        assert list(inspect.signature(cls).parameters) == [field.name for field in fields(cls)]


@pytest.mark.parametrize("sample", [s for s in SAMPLES if s.op.arity == 1], ids=lambda s: type(s.op).__name__)
@pytest.mark.parametrize("count", [0, 2])
def test_an_operator_of_one_input_refuses_another_number(sample: Sample, count: int) -> None:
    with pytest.raises(OperatorError, match=rf"^{type(sample.op).__name__} takes one input, not {count}$"):
        sample.op.out_shape(*sample.inputs * count)


IMAGE_OPS = [
    ops.Conv2d(8, 3), ops.ConvTranspose2d(8, 3), ops.PartialConv2d(((0,),), 3), ops.MaxPool2d(2), ops.AvgPool2d(2),
    ops.SubsamplingPool2d(2), ops.AdaptiveAvgPool2d(1), ops.LocalResponseNorm(), ops.ChannelShuffle(1),
    ops.LpPool2d(2), ops.DepthToSpace(1), ops.SpaceToDepth(1),
]  # fmt: skip


@pytest.mark.parametrize("op", IMAGE_OPS, ids=lambda op: type(op).__name__)
@pytest.mark.parametrize(("shape", "text"), [((12,), "12"), ((4, 4), "4x4"), ((1, 2, 3, 4), "1x2x3x4"), ((), "scalar")])
def test_an_operator_on_images_refuses_other_ranks(op: Op, shape: Shape, text: str) -> None:
    message = rf"^{type(op).__name__} needs an input of \(channels, height, width\), not {text}$"
    with pytest.raises(OperatorError, match=message):
        op.out_shape(shape)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((), "`shape` must have at least one axis"),
        ((3, 0, 5), r"`shape` \(=0\) must be at least 1"),
        ((-3,), r"`shape` \(=-3\) must be at least 1"),
        ((True, 5, 5), r"`shape` \(=True\) must be an integer"),
        ((3, 5.0, 5), r"`shape` \(=5.0\) must be an integer"),
        (("3",), r"`shape` \(='3'\) must be an integer"),
        (3, "`shape`"),
        ((2**40 + 1,), r"`shape` \(=1099511627777\) must be at least 1 and at most 2\*\*40"),
    ],
    ids=str,
)
def test_an_input_refuses_a_shape_that_no_tensor_has(shape: Any, message: str) -> None:
    with pytest.raises(OperatorError, match=message):
        Input(shape)


def test_an_input_is_no_work_and_takes_a_list() -> None:
    op = Input([3, 2**40, 1])  # type: ignore[arg-type]
    assert op == Input((3, 2**40, 1))
    assert op.out_shape() == (3, 2**40, 1)
    assert op.cost() == Cost(0, 0)
    assert (op.kind(), op.family, op.arity, op.makes_tensor) == ("input", "input", 0, True)
    assert op.backward_cost() == BackwardCost((), Cost(0, 0))


def test_what_the_backward_pass_needs_follows_from_what_is_wanted() -> None:
    conv = ops.Conv2d(8, 3)
    assert conv.saved(to_input=True, trainable=False) == frozenset()
    assert conv.saved(to_input=False, trainable=True) == {"input"}
    relu = ops.ReLU()
    assert relu.saved(to_input=True, trainable=False) == {"output"}
    assert relu.saved(to_input=False, trainable=False) == frozenset()
    assert ops.Add().saved(to_input=True, trainable=False) == frozenset()
    assert ops.Mul().saved(to_input=True, trainable=False) == {"input"}
