"""Hyper-parameters: names, defaults, checks, and what the cost report says of the same optimizers."""

from __future__ import annotations

import math
import re
import subprocess
import sys
from dataclasses import FrozenInstanceError, fields
from typing import Any

import pytest

from archcost import cost
from archcost.errors import UsageError
from archcost.kernels.optimizer import RULES
from archcost.train.optimizers import OPTIMIZERS, SGD, Adam, AdamW, Momentum, Penalties, RMSprop, optimizer


def test_the_names_are_those_of_the_cost_report_and_the_standard_form() -> None:
    assert set(OPTIMIZERS) == {*cost.OPTIMIZERS, "momentum-standard"}
    for name, kind in OPTIMIZERS.items():
        assert kind.name == name
        assert len(kind.states) == RULES[kind.rule][0]
        assert len(kind.states) == cost.OPTIMIZERS[name.removesuffix("-standard")].state


@pytest.mark.parametrize("kind", OPTIMIZERS.values(), ids=lambda kind: kind.name)
def test_each_can_be_made_by_name_and_is_a_value(kind: type[Any]) -> None:
    made = optimizer(kind.name, {"learning_rate": 0.25, "weight_decay": 0.5, "epsilon": None})
    assert made == kind(0.25, weight_decay=0.5)
    assert type(made) is kind
    assert optimizer(kind.name) == kind()
    with pytest.raises(FrozenInstanceError):
        made.learning_rate = 1.0  # type: ignore[misc]


def test_defaults() -> None:
    assert SGD() == SGD(learning_rate=0.01, weight_decay=0)
    assert Adam() == Adam(0.001, 0.9, 0.999, 1e-8, weight_decay=0)
    assert AdamW().weight_decay == 0.01
    assert optimizer("rmsprop", {"beta2": 0.99}) == RMSprop(beta2=0.99)


def test_adam_corrects_its_averages() -> None:
    """At the first update of a gradient g, M / (1 - b1) = g and sqrt(S / (1 - b2)) = |g|: a step of lr."""
    numbers = Adam(0.1).numbers(0.1, 1)
    g = 0.37
    mean, squares = numbers.share1 * g, numbers.share2 * g * g
    assert numbers.rate * mean / (math.sqrt(squares) + numbers.epsilon) == pytest.approx(
        0.1 * g / (g + 1e-8), rel=1e-13
    )
    late = Adam(0.1).numbers(0.05, 10**6)
    assert (late.rate, late.epsilon) == (0.05, 1e-8)


BAD: list[tuple[str, dict[str, Any], str]] = [
    ("sgd", {"learning_rate": 0}, "sgd: `learning_rate` (=0) must be a finite number above 0"),
    ("sgd", {"learning_rate": -1.0}, "`learning_rate` (=-1.0)"),
    ("sgd", {"learning_rate": math.nan}, "`learning_rate` (=nan)"),
    ("sgd", {"learning_rate": math.inf}, "`learning_rate` (=inf)"),
    ("sgd", {"learning_rate": "0.1"}, "`learning_rate` (='0.1')"),
    ("sgd", {"learning_rate": True}, "`learning_rate` (=True)"),
    ("sgd", {"weight_decay": -0.1}, "sgd: `weight_decay` (=-0.1) must be a finite number at least 0"),
    ("momentum", {"momentum": 1}, "momentum: `momentum` (=1) must be a finite number at least 0 and below 1"),
    ("nesterov", {"momentum": -0.1}, "nesterov: `momentum` (=-0.1)"),
    ("rmsprop", {"beta2": 1.5}, "rmsprop: `beta2` (=1.5)"),
    ("adam", {"beta1": 1.0}, "adam: `beta1` (=1.0)"),
    ("adam", {"epsilon": 0.0}, "adam: `epsilon` (=0.0) must be a finite number above 0"),
    ("adamw", {"beta2": -1}, "adamw: `beta2` (=-1)"),
    ("adam", {"momentum": 0.9}, "adam has no `momentum`; it has learning_rate, weight_decay, beta1, beta2, epsilon"),
    ("adam", {"beta_1": 0.9}, "adam has no `beta_1` (did you mean 'beta1'?)"),
    (
        "adma",
        {},
        "unknown optimizer 'adma' (did you mean 'adam'?); known are sgd, momentum, momentum-standard, nesterov",
    ),
]


@pytest.mark.parametrize(("name", "options", "message"), BAD)
def test_wrong_values(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=re.escape(message)) as caught:
        optimizer(name, options)
    assert "\n" not in str(caught.value)


def test_penalties() -> None:
    assert not Penalties()
    assert Penalties(l1=1e-5)
    assert Penalties(l2=1e-5)
    with pytest.raises(UsageError, match=re.escape("penalties: `l1` (=-1) must be a finite number at least 0")):
        Penalties(l1=-1)
    with pytest.raises(UsageError, match="penalties: `l2`"):
        Penalties(l2=math.inf)


def test_momentum_says_what_its_fields_are() -> None:
    assert [each.name for each in fields(Momentum)] == ["learning_rate", "weight_decay", "momentum"]
    assert Momentum(0.2, 0.5).momentum == 0.5


def test_hyper_parameters_need_no_numba() -> None:
    code = (
        "import sys; import archcost.train.optimizers, archcost.train.schedule_text; "
        "sys.exit('numba' in sys.modules or 'numpy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
