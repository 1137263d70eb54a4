"""Other counters' conventions over our graphs: what each would report for a network, operator by operator.

The rules are in ``report.counters``; here they have names, and the words that each tool prints beside its number.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from archcost.errors import UsageError, did_you_mean
from archcost.geometry import product
from archcost.graph import Graph
from archcost.report import counters
from archcost.report.counters import Rule, Terms
from archcost.report.work import Work, works


class Convention(NamedTuple):
    """A rule of counting.

    Attributes:
        name: on the command line.
        tool: who prints the number; empty for a rule of papers.
        version: of the tool whose rule this is.
        label: what the number is called.
        unit: what it really adds up.
        text: the rule in one line.
        rule: terms of one operator.
        factor: how many it counts for one multiply-accumulate.
        params: which parameters it reports: "all", "seen" (by thop), or "" for none.
        current: whether the tools print it now; the others only explain numbers that were published.
    """

    name: str
    tool: str
    version: str
    label: str
    unit: str
    text: str
    rule: Rule
    factor: int = 1
    params: str = "all"
    current: bool = True


CONVENTIONS: dict[str, Convention] = {
    convention.name: convention
    for convention in (
        Convention(
            "paper", "", "", "mult-adds", "MACs", "multiply-accumulates of convolution and dense layers; ours too",
            counters.papers,
        ),
        Convention(
            "torchvision", "torchvision's weights table", "0.28", "GFLOPS", "MACs",
            "as the papers', of what runs in inference; printed in units of 10^9 with three decimals",
            counters.torchvision,
        ),
        Convention(
            "flop_counter", "torch's flop_counter", "2.13", "FLOPs", "2 x MACs",
            "2 for each multiply-accumulate of convolutions and matrix products; nothing else",
            counters.flop_counter, factor=2, params="",
        ),
        Convention(
            "fvcore", "fvcore", "0.1.5", "flops", "MACs + operations",
            "multiply-accumulates + 2 an element of BatchNorm, 5 of LayerNorm + the inputs of adaptive pools",
            counters.fvcore,
        ),
        Convention(
            "timm", "timm", "1.0.31", "GMACs", "MACs + operations",
            "fvcore's rule (timm's own model of this name may call other operators)", counters.fvcore,
        ),
        Convention(
            "thop", "thop", "0.1.1", "macs", "MACs + operations",
            "multiply-accumulates + 4 an element of a norm + pools; modules of known classes only",
            counters.thop, params="seen",
        ),
        Convention(
            "ptflops_pytorch", "ptflops (pytorch backend)", "0.7.5", "GMac", "MACs + operations",
            "multiply-accumulates + biases + 2 an element of BatchNorm + activations and pools, most of these twice",
            counters.ptflops_pytorch,
        ),
        Convention(
            "ptflops_aten", "ptflops (aten backend)", "0.7.5", "GMac", "MACs + biases",
            "multiply-accumulates + one for each addition of a bias", counters.ptflops_aten,
        ),
        Convention(
            "torchinfo", "torchinfo", "1.8.0", "mult-adds", "parameters x positions",
            "weights and biases of convolutions at every output position, all other parameters once; times the batch",
            counters.torchinfo,
        ),
        Convention(
            "mult_adds_conv_only", "", "", "mult-adds of the convolutions alone", "MACs",
            "multiply-accumulates of convolutions; dense layers left out", counters.convolutions_alone, current=False,
        ),
        Convention(
            "thop_once", "older releases of thop", "", "macs", "MACs + operations",
            "as thop, a norm 2 an element whether or not it is affine", counters.thop_once, params="seen",
            current=False,
        ),
        Convention(
            "ptflops_once", "older releases of ptflops", "", "GMac", "MACs + operations",
            "as ptflops_pytorch, activations and pools once", counters.ptflops_hooks, current=False,
        ),
    )
}  # fmt: skip
"""Name -> rule, in the order of the report."""


def convention(name: str) -> Convention:
    """Return the convention called ``name``. Raises UsageError, with the list, if there is none."""
    if name not in CONVENTIONS:
        near = did_you_mean(name, CONVENTIONS)
        raise UsageError(f"unknown convention {name!r}{near}; conventions are {', '.join(CONVENTIONS)}")
    return CONVENTIONS[name]


def counted_nodes(graph: Graph, convention_name: str) -> list[int]:
    """Return what a convention counts for each node of ``graph``, in its order; the sum is what the tool prints.

    Raises:
        UsageError: for an unknown convention.
    """
    rule = convention(convention_name).rule
    return [sum(rule(work).values()) for work in works(graph)]


def summed_terms(entries: Iterable[Work], rule: Rule) -> Terms:
    """Return the terms of a whole network, without those that are 0."""
    total: Terms = {}
    for work in entries:
        for what, count in rule(work).items():
            total[what] = total.get(what, 0) + count
    return {what: count for what, count in total.items() if count}


def reported_params(graph: Graph, convention_name: str) -> int | None:
    """Return the number of parameters that the tool prints beside its count; None if it prints none.

    thop adds up the parameters of the modules whose hook has run: neither those of classes that it does not know, nor
    those that belong to no such module (layer scale), nor those of modules that rest in inference.

    Raises:
        UsageError: for an unknown convention.
    """
    which = convention(convention_name).params
    if not which:
        return None
    owners: dict[str, int] = {}
    for node, work in zip(graph, works(graph)):
        if which == "all" or (work.call == "module" and isinstance(work.op, counters.SEEN_BY_THOP)):
            owners[node.shares or node.name] = sum(map(product, graph.params(node).values()))
    return sum(owners.values())
