"""What every counter prints for one network, with the terms that make it; and which of them gives a stated number."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from textwrap import fill

from archcost.geometry import shape_text
from archcost.graph import Graph
from archcost.report.conventions import CONVENTIONS, Convention, reported_params, summed_terms
from archcost.report.counters import Terms
from archcost.report.explain import Answer, Explanation
from archcost.report.formats import Cell, Table, si
from archcost.report.work import works

SCHEMA = "archcost.reconcile/1"

EXAMPLE_BATCH = 8

HEADERS = ("counter", "version", "calls it", "unit", "prints", "SI", "made of", "term")
IMPORTANCE = (100, 10, 50, 20, 100, 40, 60, 90)

CSV_HEADERS = ("counter", "version", "label", "unit", "cost", "params", "term", "count")


@dataclass(frozen=True)
class Count:
    """What one counter makes of a network, for one image.

    Attributes:
        convention: the counter.
        terms: what it adds up.
        params: the parameters that it reports; None if it reports none.
    """

    convention: Convention
    terms: Terms
    params: int | None

    @property
    def cost(self) -> int:
        """The number that it prints."""
        return sum(self.terms.values())


@dataclass(frozen=True)
class Reconciliation:
    """Every counter's number for one network. Made by ``reconcile``.

    Attributes:
        graph: the network.
        params: its parameters.
        counts: one entry for each counter.
    """

    graph: Graph
    params: int
    counts: tuple[Count, ...]

    @property
    def table(self) -> Table:
        """The numbers, and below each other the terms that make them."""
        rows: list[tuple[Cell, ...]] = []
        for count in self.counts:
            convention = count.convention
            terms = list(count.terms.items()) or [("nothing that it counts", 0)]
            for index, (what, number) in enumerate(terms):
                first: tuple[Cell, ...] = (
                    convention.tool or "papers", convention.version, convention.label, convention.unit,
                    count.cost, si(count.cost),
                )  # fmt: skip
                rows.append((*(first if index == 0 else (None,) * len(first)), number, what))
        return Table(self.title, HEADERS, tuple(rows), self.notes, IMPORTANCE)

    @property
    def data_table(self) -> Table:
        """The same for programs: every line complete."""
        rows = [
            (
                count.convention.name, count.convention.version, count.convention.label, count.convention.unit,
                count.cost, count.params, what, number,
            )
            for count in self.counts
            for what, number in count.terms.items()
        ]  # fmt: skip
        return Table(self.title, CSV_HEADERS, tuple(rows))

    @property
    def title(self) -> str:
        """Name, variant and input."""
        inputs = ", ".join(shape_text(self.graph.shapes[node.name]) for node in self.graph.inputs)
        return f"What other counters print for {self.graph.title}, input {inputs}"

    @property
    def notes(self) -> str:
        """Parameters, and what a batch does."""
        return "\n".join(fill(text, 110, subsequent_indent=" " * 10) for text in self._notes())

    def _notes(self) -> Iterator[str]:
        other = [
            f"{count.convention.tool} reports {count.params:,}, which lacks what its hooks do not see"
            for count in self.counts
            if count.params not in (None, self.params)
        ]
        reported = "; ".join(other) if other else "reported alike by all that report them"
        yield f"params    {self.params:,}; {reported}"
        cost = {count.convention.name: count.cost for count in self.counts}
        yield (
            f"batch     all numbers are for one image. torchinfo multiplies by the batch without saying so: "
            f"{EXAMPLE_BATCH} images give {EXAMPLE_BATCH * cost['torchinfo']:,} 'mult-adds' where an image has "
            f"{cost['paper']:,}. flop_counter, fvcore and thop multiply too, by the batch of the input they are given."
        )

    def to_dict(self, answer: Answer | None = None) -> dict[str, object]:
        """Return everything as plain values: the schema ``archcost.reconcile/1``, raw integers."""
        return {
            "schema": SCHEMA,
            "model": {
                "name": self.graph.name,
                "variant": self.graph.variant,
                "inputs": {node.name: list(self.graph.shapes[node.name]) for node in self.graph.inputs},
            },
            "params": self.params,
            "counters": [
                {
                    "name": count.convention.name,
                    "tool": count.convention.tool or None,
                    "version": count.convention.version or None,
                    "label": count.convention.label,
                    "unit": count.convention.unit,
                    "cost": count.cost,
                    "terms": count.terms,
                    "params": count.params,
                }
                for count in self.counts
            ],
            "number": _answer_dict(answer) if answer else None,
        }

    def to_json(self, answer: Answer | None = None) -> str:
        """Return ``to_dict`` as JSON text."""
        import json

        return json.dumps(self.to_dict(answer), indent=2)


def reconcile(graph: Graph) -> Reconciliation:
    """Return what every counter prints for ``graph``."""
    entries = tuple(works(graph))
    counts = tuple(
        Count(convention, summed_terms(entries, convention.rule), reported_params(graph, name))
        for name, convention in CONVENTIONS.items()
        if convention.current
    )
    return Reconciliation(graph, reported_params(graph, "paper") or 0, counts)


def answer_table(answer: Answer) -> Table:
    """Return the explanations of a stated number as a table."""
    rows = tuple(
        (one.place.graph.name, one.place.words, one.subject, round(one.value), one.match, one.equation)
        for one in answer.explanations or ([answer.nearest] if answer.nearest else [])
    )
    headers = ("model", "network", "what", "value", "match", "equation")
    return Table(f"What gives {answer.stated.text}", headers, rows)


def _answer_dict(answer: Answer) -> dict[str, object]:
    """Whole numbers as integers, halves rounded."""
    return {
        "text": answer.stated.text,
        "value": float(answer.stated.value),
        "last_digit": float(answer.stated.unit),
        "explanations": [_explanation_dict(one, answer) for one in answer.explanations],
        "nearest": _explanation_dict(answer.nearest, answer) if answer.nearest else None,
    }


def _explanation_dict(one: Explanation, answer: Answer) -> dict[str, object]:
    first = one.quantities[0]
    options = {name: list(value) if isinstance(value, tuple) else value for name, value in one.place.options.items()}
    return {
        "model": one.place.graph.name,
        "variant": one.place.graph.variant,
        "options": options,
        "rules": [quantity.rule for quantity in one.quantities],
        "factor": float(first.factor),
        "terms": first.terms,
        "value": round(one.value),
        "match": one.match,
        "text": one.sentence(answer.stated),
        "also": [
            {"rules": [quantity.rule for quantity in other.quantities], "value": round(other.value)}
            for other in one.also
        ],
    }
