"""What people state for a network: each convention's cost, its double and its half, parameters, and other totals."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import NamedTuple

from archcost.geometry import product
from archcost.graph import Graph
from archcost.ops.dense import Linear
from archcost.report.conventions import CONVENTIONS, reported_params, summed_terms
from archcost.report.counters import Terms
from archcost.report.rows import rows_of, total
from archcost.report.work import works

BATCHES = (2, 4, 8, 10, 16, 32, 64, 100, 128, 256)
"""Batch sizes by which torchinfo multiplies."""


WORDS = {"paper": "conv+dense mult-adds", "mult_adds_conv_only": "mult-adds without the dense layers"}
"""What the rules count that are no tool's."""


class Quantity(NamedTuple):
    """A number that somebody may state for a network.

    Attributes:
        rule: name of the convention, or of another total.
        words: what it is: "parameters" of a network.
        tool: who prints it; empty where nobody in particular does.
        value: the number; a fraction where it was divided.
        terms: what it is made of, before the factor; empty if there is nothing to tell.
        factor: by which the terms were multiplied.
        factor_words: the factor before what it multiplies, such as "twice "; empty for 1.
        changes: how far it is from what is usually stated.
    """

    rule: str
    words: str
    tool: str
    value: Fraction
    terms: Terms
    factor: Fraction = Fraction(1)
    factor_words: str = ""
    changes: int = 0


def quantities(graph: Graph, *, batches: bool = False) -> Iterator[Quantity]:
    """Yield what may be stated for ``graph``; with ``batches`` also for more than one image."""
    entries = tuple(works(graph))
    for name, convention in CONVENTIONS.items():
        terms = summed_terms(entries, convention.rule)
        count = Fraction(sum(terms.values()))
        words = WORDS.get(name, convention.label)
        one = Quantity(name, words, convention.tool, count, terms, changes=0 if convention.current else 1)
        yield one
        if convention.current and convention.factor == 1:
            far = 2 if convention.tool else 1
            yield one._replace(value=2 * count, factor=Fraction(2), factor_words="twice ", changes=far)
            yield one._replace(value=count / 2, factor=Fraction(1, 2), factor_words="half of ", changes=2)
        for batch in BATCHES if batches and name == "torchinfo" else ():
            yield one._replace(
                value=batch * count,
                factor=Fraction(batch),
                factor_words=f"{batch} times (batch size {batch}) ",
                changes=2,
            )
    yield from _totals(graph)


def _totals(graph: Graph) -> Iterator[Quantity]:
    sums = total(rows_of(graph))
    params = sums["params"]
    dense = sum(
        sum(map(product, graph.params(node).values()))
        for node in graph
        if isinstance(node.op, Linear) and node.shares is None
    )
    seen = reported_params(graph, "thop") or 0
    for rule, words, count, changes in (
        ("params", "parameters", Fraction(params), 0),
        ("params_thop", "parameters that thop sees", Fraction(seen), 1),
        ("params_without_dense", "parameters without the dense layers", Fraction(params - dense), 1),
        ("params_binary", "parameters in units of 2^20", Fraction(params * 10**6, 2**20), 1),
        ("flops", "FLOPs (2 x mult-adds + the arithmetic of all other operators)", Fraction(sums["flops"]), 1),
        ("activations", "activations (output elements)", Fraction(sums["activations"]), 1),
    ):
        yield Quantity(rule, words, "", count, {}, changes=changes)
