"""The documented figures by execution: the numbers, and that a wrong execution does not prove them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from archcost.cli.verify import executed
from archcost.graph import Graph
from archcost.report.executed_figures import FIGURES, ByExecution, figures_dict, figures_table, proofs
from archcost.report.verify import Executed, Verification, verify

SMALL = FIGURES[1:]


def run(graph: Graph) -> Verification:
    return executed(graph, "float32")


def test_the_numbers() -> None:
    found = proofs(run)
    assert [proof.executed for proof in found] == [138_357_544, 12_443_648, 16_384, 118_784, 2_160, 432, 240]
    assert all(proof.holds for proof in found)
    assert [proof.agreement for proof in found] == ["rounds", "rounds"] + ["exact"] * 5
    assert [row[4] for row in figures_table(found).rows] == [proof.agreement for proof in found]
    assert [line["executed"] for line in figures_dict(found)] == [proof.executed for proof in found]


def test_every_network_is_executed_once() -> None:
    names = []

    def noted(graph: Graph) -> Verification:
        names.append(tuple(graph.shapes.items()))
        return run(graph)

    proofs(noted, SMALL)
    assert len(names) == len(set(names)) == len({one.model for one in SMALL})


def test_another_number_than_the_documented_one_does_not_hold() -> None:
    (proof,) = proofs(run, [ByExecution("S-061", "convolution channels=3 size=7 filters=5 kernel=3", "mult_adds")])
    assert proof.agreement is None
    assert not proof.holds
    assert figures_table([proof]).rows[0][4] == "differs"


def test_an_execution_that_differs_proves_nothing() -> None:
    def wrong(graph: Graph) -> Verification:
        verification = run(graph)
        first, *rest = verification.executed
        return replace(verification, executed=(replace(first, activations=1), *rest))

    (proof,) = proofs(wrong, FIGURES[4:5])
    assert proof.agreement == "exact"
    assert not proof.holds
    assert figures_table([proof]).rows[0][4] == "execution differs"


@pytest.mark.parametrize("one", FIGURES, ids=lambda one: one.figure)
def test_the_pattern_selects_something(one: ByExecution) -> None:
    def nothing(graph: Graph) -> Verification:
        return verify(graph, {name: Executed(0, 0, 0, shape) for name, shape in graph.shapes.items()})

    (proof,) = proofs(nothing, [one])
    assert proof.executed == 0
    assert not proof.holds
