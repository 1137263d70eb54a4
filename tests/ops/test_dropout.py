"""Dropout and drop path: free in inference, one multiplication an element in training."""

from __future__ import annotations

import math
from typing import Any

import pytest

from archcost.cost import NO_COST, BackwardCost, Cost
from archcost.errors import OperatorError
from archcost.geometry import Shape
from archcost.ops import Dropout, DropPath, Op
from tests.naive import Counted, Tally, tensor

BOTH: tuple[type[Op], ...] = (Dropout, DropPath)


@pytest.mark.parametrize("cls", BOTH)
@pytest.mark.parametrize("shape", [(1,), (4096,), (3, 5, 7)], ids=str)
def test_a_mask_is_multiplied_in_training_only(cls: type[Op], shape: Shape) -> None:
    with Tally() as tally:
        for value in tensor(shape):
            assert (Counted(value) * 2.0).value == 2 * value  # kept by a rate of 0.5: times 1 / (1 - rate)
    op = cls()
    assert op.out_shape(shape) == shape
    assert op.cost(shape) == NO_COST
    assert op.cost(shape, training=True) == Cost(0, tally.operations)
    assert op.backward_cost(shape) == BackwardCost((Cost(0, tally.operations),), NO_COST)
    assert dict(op.params(shape)) == dict(op.buffers(shape)) == {}
    assert (op.kind(shape), op.label(shape), op.makes_tensor) == ("dropout", cls.__name__, False)


def test_only_dropout_keeps_a_mask_for_each_element() -> None:
    """Drop path keeps one bit for the whole branch of an image."""
    assert Dropout().saved(to_input=True, trainable=False) == {"mask"}
    assert Dropout().saved(to_input=False, trainable=True) == frozenset()
    assert DropPath().saved(to_input=True, trainable=False) == frozenset()


@pytest.mark.parametrize("cls", BOTH)
@pytest.mark.parametrize("rate", [0, 0.0, 0.2, 0.999999], ids=repr)
def test_rates_from_zero_to_below_one_are_kept(cls: type[Op], rate: float) -> None:
    assert repr(cls(rate)) == f"{cls.__name__}(rate={rate!r})"  # type: ignore[call-arg]


@pytest.mark.parametrize("cls", BOTH)
@pytest.mark.parametrize("rate", [1, 1.0, -0.1, 2, math.nan, math.inf, True, False, "0.5", None, [0.5]], ids=repr)
def test_other_rates_are_refused(cls: type[Op], rate: Any) -> None:
    with pytest.raises(OperatorError, match=r"^`rate` \(=.*\) must be a number from 0 to below 1$"):
        cls(rate)  # type: ignore[call-arg]
