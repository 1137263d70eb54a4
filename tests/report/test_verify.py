"""The comparison of computed and executed numbers: executions that are right, and wrong in each of their numbers."""

from __future__ import annotations

import csv
from typing import Any

import pytest

from archcost.graph import Graph
from archcost.report.formats import Table
from archcost.report.rows import rows_of, total
from archcost.report.verify import (
    COUNTED,
    ENGINE_NOTE,
    Check,
    Executed,
    Verification,
    as_dict,
    data_table,
    layers_table,
    models_table,
    verify,
)
from tests.conftest import catalogue_graph
from tests.report.generated import plain_network

PEAK = Check("peak live bytes", 100, 100, holds=True)


def right(graph: Graph) -> dict[str, Executed]:
    """Return what an execution would count if every rule is right."""
    return {row.name: Executed(row.params, row.mult_adds, row.activations, row.output_shape) for row in rows_of(graph)}


def wrong(**changes: Any) -> Verification:
    """Return the comparison with an execution that counted something else in ``features.conv``."""
    counts = right(plain_network())
    counts["features.conv"] = counts["features.conv"]._replace(**changes)
    return verify(plain_network(), counts, [PEAK])


def last_words(table: Table) -> str:
    return table.notes.splitlines()[-1]


@pytest.mark.parametrize("name", ["lenet", "resnet18", "googlenet_bn"])
def test_nothing_differs(name: str) -> None:
    graph = catalogue_graph(name)
    verification = verify(graph, right(graph), [PEAK])
    assert verification.holds
    assert verification.differences == {}
    assert all(check.holds for check in verification.totals)
    table = layers_table(verification, -1)
    assert last_words(table) == f"verified: no difference in {len(rows_of(graph))} operators"
    assert table.rows[-2][3:6] == table.rows[-1][3:6] == tuple(total(rows_of(graph))[name] for name in COUNTED)
    assert last_words(models_table([verification])) == "verified: no difference in 1 network"


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"params": 111}, "params -1"),
        ({"mult_adds": 6913}, "mult-adds +1"),
        ({"activations": 0}, "activations -256"),
        ({"output_shape": (4, 8, 7)}, "shape 4x8x7, not 4x8x8"),
        ({"params": 1, "mult_adds": 0}, "params -111, mult-adds -6,912"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_every_number_can_be_wrong(changes: dict[str, Any], text: str) -> None:
    verification = wrong(**changes)
    assert not verification.holds
    assert verification.differences == {"features.conv": text}
    table = layers_table(verification, -1)
    assert [row[-1] for row in table.rows if str(row[0]).strip() == "conv"] == [text]
    assert last_words(table).startswith("NOT verified: 1 of 7 operators differ, ")
    assert "DIFFERS" in table.notes
    assert models_table([verification]).rows[0][-1] == f"features.conv: {text}"
    assert last_words(models_table([verification])) == "NOT verified: 1 of 1 network differ"


def test_differences_that_cancel_are_seen_in_a_folded_row() -> None:
    counts = right(plain_network())
    counts["features.conv"] = counts["features.conv"]._replace(mult_adds=6911)
    counts["features.norm"] = counts["features.norm"]._replace(mult_adds=1)
    verification = verify(plain_network(), counts)
    assert all(check.holds for check in verification.totals)
    assert not verification.holds
    rows = {str(row[0]).strip(): row for row in layers_table(verification, 1).rows}
    assert rows["features"][-1] == "2 operators"
    assert rows["head"][-1] == "0"
    assert rows["executed"][-1] == "2 operators"
    assert layers_table(verification, 0).rows[0][-1] == "2 operators"
    more = models_table([verification]).rows[0][-1]
    assert more == "features.conv: mult-adds -1 and 1 more"


def test_a_check_that_fails_is_a_difference() -> None:
    check = Check("peak live bytes", 100, 96, holds=False)
    verification = verify(plain_network(), right(plain_network()), [check])
    assert not verification.holds
    assert last_words(layers_table(verification)) == "NOT verified: 0 of 7 operators differ, 1 of 5 checks"
    assert models_table([verification]).rows[0][-1] == "peak live bytes 96, not 100"


def test_verdicts() -> None:
    assert Check("bytes", 4, 4, holds=True).verdict == "equal"
    assert Check("bytes", 4, 5, holds=False).verdict == "DIFFERS"
    assert Check("outputs of the engine", "<= 1e-10", "2e-15", holds=True).verdict == "within"
    assert Check("gradients", "<= 1e-06", "not checked: no memory", holds=True, checked=False).verdict == "open"


def test_a_check_that_was_not_made_is_told() -> None:
    check = Check("gradients", "<= 1e-06", "not checked: no memory", holds=True, checked=False)
    verification = verify(plain_network(), right(plain_network()), [check])
    assert verification.holds
    assert last_words(layers_table(verification)) == "verified: no difference in 7 operators; 1 check could not be made"
    table = models_table([verification, verify(plain_network(), right(plain_network()))])
    assert last_words(table) == "verified: no difference in 2 networks; 1 check could not be made"
    assert [row[-1] for row in table.rows] == ["0; gradients not checked: no memory", "0"]


def test_the_notes_say_how_the_engine_was_compared() -> None:
    check = Check("outputs of the engine", "<= 1e-10", "2e-15", holds=True)
    with_engine = verify(plain_network(), right(plain_network()), [check])
    alone = verify(plain_network(), right(plain_network()))
    for table in (layers_table, lambda one: models_table([one])):
        assert ENGINE_NOTE in table(with_engine).notes
        assert ENGINE_NOTE not in table(alone).notes


def test_the_title_states_a_reduced_image() -> None:
    graph = plain_network()
    title = layers_table(verify(graph, right(graph), original=(3, 32, 32), dtype="float32")).title
    assert title == "plain (by hand), input 3x8x8 (own: 3x32x32), float32: verified by execution"
    assert "own" not in layers_table(verify(graph, right(graph))).title


def test_data_hold_both_numbers() -> None:
    verification = wrong(mult_adds=6913)
    lines = list(csv.DictReader(data_table(verification).render("csv").splitlines()))
    assert len(lines) == 7
    assert (lines[0]["layer"], lines[0]["mult_adds"], lines[0]["mult_adds_executed"]) == (
        "features.conv",
        "6912",
        "6913",
    )
    data: dict[str, Any] = as_dict([verification], layers=False)
    assert (data["schema"], data["holds"]) == ("archcost.verify/1", False)
    (model,) = data["models"]
    assert model["totals"]["mult_adds"] == {"computed": 6912 + 640, "executed": 6913 + 640}
    assert [layer["name"] for layer in model["layers"]] == ["features.conv"]
    assert model["layers"][0]["difference"] == "mult-adds +1"
    assert model["checks"] == [
        {"what": "peak live bytes", "computed": 100, "executed": 100, "holds": True, "checked": True}
    ]
    full: dict[str, Any] = as_dict([verification], layers=True)
    assert len(full["models"][0]["layers"]) == 7
