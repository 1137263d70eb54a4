"""Networks side by side, and how their mult-adds split by kind of operator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from archcost.geometry import shape_text
from archcost.graph import Graph
from archcost.report.formats import Table, as_csv, mebibytes, percent
from archcost.report.gaps import Coverage, coverage, joined
from archcost.report.rows import rows_of
from archcost.report.text import definitions
from archcost.report.totals import Totals, totals_of

SCHEMA = "archcost.compare/1"

KINDS = ("conv", "grouped", "depthwise", "pointwise", "transposed", "dense")
"""The kinds of operator that do mult-adds, in the order of the columns."""


@dataclass(frozen=True)
class Compared:
    """One network of a comparison.

    Attributes:
        name, variant, input: which network, on which input.
        totals: what it costs.
        mult_adds_by_kind: mult-adds of each kind of operator; they add up to the total.
        coverage: which operators are not counted.
    """

    name: str
    variant: str
    input: str
    totals: Totals
    mult_adds_by_kind: dict[str, int]
    coverage: Coverage


def compared(graph: Graph, dtype: str = "float32") -> Compared:
    """Return what ``graph`` costs, in total and by kind of operator."""
    rows = rows_of(graph)
    by_kind = dict.fromkeys(KINDS, 0)
    for row in rows:
        if row.mult_adds:
            by_kind[row.kind] += row.mult_adds
    inputs = ", ".join(shape_text(graph.shapes[node.name]) for node in graph.inputs)
    return Compared(graph.name, graph.variant, inputs, totals_of(graph, rows, dtype), by_kind, coverage(graph))


def totals_table(models: Sequence[Compared]) -> Table:
    """Return the table of totals, one line a network."""
    headers = (
        "model", "variant", "input", "params", "mult-adds", "FLOPs", "activations", "weights", "peak activations",
    )  # fmt: skip
    rows = tuple(
        (
            model.name,
            model.variant,
            model.input,
            model.totals.params,
            model.totals.mult_adds,
            model.totals.flops,
            model.totals.activations,
            mebibytes(model.totals.weight_bytes),
            mebibytes(model.totals.peak_activation_bytes),
        )
        for model in models
    )
    importance = (100, 20, 50, 90, 100, 80, 40, 30, 60)
    return Table("Networks side by side, per image", headers, rows, _notes(models, definitions()), importance)


def kinds_table(models: Sequence[Compared]) -> Table:
    """Return the table of mult-adds by kind of operator; only kinds that occur."""
    kinds = [kind for kind in KINDS if any(model.mult_adds_by_kind[kind] for model in models)]
    headers = ["model", "mult-adds"]
    for kind in kinds:
        headers += [kind, "%"]
    rows = []
    for model in models:
        line: list[int | str] = [model.name, model.totals.mult_adds]
        for kind in kinds:
            count = model.mult_adds_by_kind[kind]
            line += [count, percent(count, model.totals.mult_adds)]
        rows.append(tuple(line))
    note = "depthwise: one group per input channel; pointwise: 1x1, one group; grouped: anything between"
    return Table("Mult-adds by kind of operator, per image", tuple(headers), tuple(rows), _notes(models, note))


def _notes(models: Sequence[Compared], text: str) -> str:
    """Return what stands under a table: which operators are not counted, and ``text``."""
    return "\n\n".join(filter(None, (joined([(model.name, model.coverage) for model in models]), text)))


def as_csv_text(models: Sequence[Compared], *, ops: bool) -> str:
    """Return the comparison as CSV: raw integers, the names of the JSON fields."""
    if ops:
        headers = ("model", "mult_adds", *KINDS)
        return as_csv(headers, [(m.name, m.totals.mult_adds, *m.mult_adds_by_kind.values()) for m in models])
    fields = ("params", "buffers", "mult_adds", "flops", "activations", "weight_bytes", "peak_activation_bytes")
    rows = [(m.name, m.variant, m.input, *(getattr(m.totals, field) for field in fields)) for m in models]
    return as_csv(("model", "variant", "input", *fields), rows)


def as_dict(models: Sequence[Compared]) -> dict[str, object]:
    """Return the comparison as plain values: the schema ``archcost.compare/1``, raw integers."""
    return {
        "schema": SCHEMA,
        "models": [
            {
                "name": model.name,
                "variant": model.variant,
                "input": model.input,
                "totals": asdict(model.totals),
                "mult_adds_by_kind": model.mult_adds_by_kind,
                **({"coverage": model.coverage.as_dict()} if model.coverage.gaps else {}),
            }
            for model in models
        ],
    }
