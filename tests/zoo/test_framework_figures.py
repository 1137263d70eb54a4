"""Parameters, buffers and mult-adds, in total and by kind, equal torchvision's and timm's to the unit.

``tests/data/framework_figures.csv`` holds what the frameworks' own modules count, and which catalogue entry, with which
options, is that network. ``mode`` "train" runs the auxiliary classifiers, "eval" only stores them.
"""

from __future__ import annotations

import csv
from ast import literal_eval
from collections.abc import Mapping
from pathlib import Path

import pytest

from archcost.graph import Graph
from archcost.report.rows import rows_of
from archcost.zoo.catalogue import CATALOGUE, load

DATA = Path(__file__).parents[1] / "data"
KINDS = ("conv", "grouped", "depthwise", "pointwise", "dense")
AUXILIARY = ("aux1", "aux2", "AuxLogits")
"""Scopes that the frameworks' models run in training only."""

WRITTEN_AS = {("timm", "vgg16"): {"classifier.0": "conv", "classifier.3": "pointwise"}}
"""Dense layers that a framework writes as convolutions (7x7 on the 7x7 map, then 1x1): the same products."""


def read(name: str) -> list[dict[str, str]]:
    with (DATA / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def options_of(line: Mapping[str, str]) -> dict[str, object]:
    """Return ``{"aux": True}`` for ``aux=True``."""
    pairs = (word.partition("=") for word in line["options"].split())
    return {name: literal_eval(value) for name, _, value in pairs}


def title(line: Mapping[str, str]) -> str:
    words = [line["library"], line["model"], line["options"], line.get("input", ""), line.get("mode", "")]
    return " ".join(word for word in words if word not in ("", "eval"))


def figures(graph: Graph, mode: str, written_as: Mapping[str, str]) -> dict[str, int]:
    result = dict.fromkeys(("params", "buffers", "mult_adds", *KINDS), 0)
    for row in rows_of(graph):
        result["params"] += row.params
        result["buffers"] += row.buffers
        if row.mult_adds and (mode == "train" or row.name.split(".")[0] not in AUXILIARY):
            result["mult_adds"] += row.mult_adds
            result[written_as.get(row.name, row.kind)] += row.mult_adds
    return result


FIGURES = read("framework_figures.csv")


@pytest.mark.parametrize("line", FIGURES, ids=title)
def test_network_costs_what_the_framework_counts(line: dict[str, str]) -> None:
    channels, height, width = map(int, line["input"].split("x"))
    graph = load(line["entry"], input_size=(channels, height, width), **options_of(line))
    found = figures(graph, line["mode"], WRITTEN_AS.get((line["library"], line["model"]), {}))
    assert found == {name: int(line[name]) for name in found}


def test_file_holds_what_it_should() -> None:
    assert len(FIGURES) >= 200
    assert {line["library"] for line in FIGURES} == {"torchvision", "timm"}
    assert {line["entry"] for line in FIGURES} <= set(CATALOGUE)
    assert {line["mode"] for line in FIGURES} == {"train", "eval"}
    assert len({title(line) for line in FIGURES}) == len(FIGURES)
    for line in FIGURES:
        assert sum(int(line[kind]) for kind in KINDS) == int(line["mult_adds"])
