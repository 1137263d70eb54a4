"""The definitions: sums of costs, FLOPs of a cost, and tables that are complete."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import FrozenInstanceError

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archcost.cost import BYTES, DEFINITIONS, ELEMENT_RULES, NO_COST, OPTIMIZERS, BackwardCost, Cost
from tests.naive import Counted, Tally

costs = st.builds(Cost, st.integers(0, 2**90), st.integers(0, 2**90))


@given(st.lists(costs))
def test_costs_add_column_by_column(parts: list[Cost]) -> None:
    whole = sum(parts, NO_COST)
    assert whole.mult_adds == sum(part.mult_adds for part in parts)
    assert whole.element_ops == sum(part.element_ops for part in parts)
    assert whole.flops == sum(part.flops for part in parts)


@pytest.mark.parametrize(
    ("mult_adds", "element_ops", "flops"),
    [(0, 0, 0), (1, 0, 2), (0, 1, 1), (4_089_184_256, 0, 8_178_368_512), (2**80, 2**80 - 1, 3 * 2**80 - 1)],
)
def test_a_mult_add_is_two_flops(mult_adds: int, element_ops: int, flops: int) -> None:
    assert Cost(mult_adds, element_ops).flops == flops
    assert type(Cost(mult_adds, element_ops).flops) is int


def test_costs_are_values() -> None:
    assert Cost() == NO_COST == Cost(0, 0)
    assert Cost(1, 2) != Cost(2, 1)
    assert len({Cost(1, 2), Cost(1, 2), Cost(2, 1)}) == 2
    assert BackwardCost((Cost(1),), NO_COST) == BackwardCost((Cost(1),), Cost())
    with pytest.raises(FrozenInstanceError):
        Cost(1).mult_adds = 2  # type: ignore[misc]


def test_every_quantity_of_the_tables_is_defined() -> None:
    assert list(DEFINITIONS) == ["params", "mult-adds", "FLOPs", "activations", "memory"]
    assert all(text == text.strip() and text for text in DEFINITIONS.values())
    assert "padding taps included" in DEFINITIONS["mult-adds"]
    assert "2 x mult-adds" in DEFINITIONS["FLOPs"]


def test_the_constants_of_flops_definition_are_those_of_the_table() -> None:
    """The sentence printed under every table names three rules; the table must have them."""
    assert "(BatchNorm 2, ReLU 1, add 1, pooling 1 per tap, ...)" in DEFINITIONS["FLOPs"]
    assert [ELEMENT_RULES[name].forward for name in ("BatchNorm2d", "ReLU", "Add")] == [2, 1, 1]


def test_optimizer_rules_cost_their_formula_and_keep_its_state() -> None:
    """Each formula run with numbers that count; lr, betas and their complements are constants."""
    w, g, v, s = Counted(1.0), Counted(0.5), Counted(0.1), Counted(0.2)
    formulas: dict[str, tuple[int, Callable[[], Counted]]] = {
        "sgd": (0, lambda: w - g * 0.1),
        "momentum": (1, lambda: w - (v * 0.9 + g * 0.1) * 0.1),
        "momentum-standard": (1, lambda: w - (v * 0.9 + g) * 0.1),
        "nesterov": (1, lambda: w - (g + (v * 0.9 + g) * 0.9) * 0.1),
        "rmsprop": (1, lambda: w - g * 0.1 / ((s * 0.9 + g * g * 0.1) ** 0.5 + 1e-8)),
        "adam": (2, lambda: w - (v * 0.9 + g * 0.1) * 0.1 / ((s * 0.9 + g * g * 0.1) ** 0.5 + 1e-8)),
        "adamw": (2, lambda: w - (v * 0.9 + g * 0.1) * 0.1 / ((s * 0.9 + g * g * 0.1) ** 0.5 + 1e-8) - w * 0.001),
    }
    assert set(formulas) == set(OPTIMIZERS)
    for name, (state, formula) in formulas.items():
        with Tally() as tally:
            formula()
        assert (OPTIMIZERS[name].state, OPTIMIZERS[name].operations) == (state, tally.operations), name


def test_bytes_of_an_element() -> None:
    assert BYTES == {"float64": 8, "float32": 4, "float16": 2, "bfloat16": 2, "int8": 1}
