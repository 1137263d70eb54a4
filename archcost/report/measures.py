"""The quantities that figures state, as small named functions of a graph.

A measure takes the counted graph and an argument (what follows the colon in ``params:fc``): a pattern of nodes or
scopes, several joined by ``|``; a kind of operator; a node; or nothing. ``MEASURES`` tells each with its function.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import NamedTuple

from archcost.cost import BYTES
from archcost.errors import UsageError, did_you_mean
from archcost.geometry import Shape, pair, product
from archcost.graph import Graph, Node
from archcost.ops.base import Input
from archcost.ops.conv import Conv2d
from archcost.patterns import matches
from archcost.report.printed import Value

WEIGHTED = ("conv", "dense")
"""Families whose layers have weights: what papers call a layer."""


class Counted(NamedTuple):
    """What one node has and does, for one image; parameters that it shares count where they are owned."""

    node: Node
    family: str
    kind: str
    inputs: tuple[Shape, ...]
    output: Shape
    params: int
    weights: int  # of convolutions and dense layers, without biases
    scales: int  # the factors of a normalisation
    buffers: int
    statistics: int  # the running means and variances among the buffers
    mult_adds: int
    element_ops: int

    @property
    def name(self) -> str:
        """Name of the node."""
        return self.node.name

    @property
    def operator(self) -> str:
        """Name of the operator's class."""
        return type(self.node.op).__name__

    @property
    def elements(self) -> int:
        """Elements of the output."""
        return product(self.output)


def _counted(graph: Graph, node: Node) -> Counted:
    op, inputs = node.op, graph.input_shapes(node)
    params = op.params(*inputs) if node.shares is None else {}
    weight = product(params["weight"]) if "weight" in params else 0
    buffers = op.buffers(*inputs) if node.shares is None else {}
    cost = op.cost(*inputs)
    return Counted(
        node,
        op.family,
        op.kind(*inputs),
        inputs,
        graph.shapes[node.name],
        sum(map(product, params.values())),
        weight if op.family in WEIGHTED else 0,
        weight if op.family == "norm" else 0,
        sum(map(product, buffers.values())),
        sum(product(shape) for name, shape in buffers.items() if name.startswith("running")),
        cost.mult_adds,
        cost.element_ops,
    )


@dataclass(frozen=True)
class Measured:
    """A graph whose nodes are counted once, for any number of measures."""

    graph: Graph

    @cached_property
    def nodes(self) -> tuple[Counted, ...]:
        """All operators, without the network's inputs."""
        return tuple(_counted(self.graph, node) for node in self.graph if not isinstance(node.op, Input))

    def matching(self, patterns: str) -> list[Counted]:
        """Return the nodes that ``patterns`` name; all for an empty text. Raises UsageError if one names nothing."""
        if not patterns:
            return list(self.nodes)
        found: dict[str, Counted] = {}
        for pattern in patterns.split("|"):
            new = {one.name: one for one in self.nodes if matches(one.name, pattern)}
            if not new:
                near = did_you_mean(pattern, (one.name for one in self.nodes))
                raise UsageError(f"no layer of {self.graph.name} matches {pattern!r}{near}")
            found.update(new)
        return list(found.values())

    def of(self, attribute: Callable[[Counted], str], names: str) -> list[Counted]:
        """Return the nodes whose ``attribute`` is one of ``names``. Raises UsageError if one is that of no node."""
        chosen = names.split("|")
        missing = set(chosen) - {attribute(one) for one in self.nodes}
        if missing:
            raise UsageError(f"no layer of {self.graph.name} is of kind {', '.join(sorted(missing))}")
        return [one for one in self.nodes if attribute(one) in chosen]

    def shape(self, name: str) -> Shape:
        """Return the output shape of a node; of the network for an empty name."""
        return self.graph.shapes[self.graph.node(name or self.graph.outputs[0]).name]


Measure = Callable[[Measured, str], Value]


def number(value: Fraction | int) -> Value:
    """Return one number as a value."""
    return (Fraction(value),)


def numbers(values: Iterable[Fraction | int]) -> Value:
    """Return several numbers as a value."""
    return tuple(Fraction(value) for value in values)


def _sum(count: Callable[[Counted], int]) -> Measure:
    """A measure that adds something up, over all nodes or those that a pattern names."""
    return lambda measured, argument: number(sum(count(one) for one in measured.matching(argument)))


def _sum_of_kind(count: Callable[[Counted], int]) -> Measure:
    """As ``_sum``, over the nodes of some kinds of operator (conv, grouped, depthwise, pointwise, dense, norm, ...)."""
    return lambda measured, kinds: number(sum(count(one) for one in measured.of(lambda one: one.kind, kinds)))


def _sum_of_operator(count: Callable[[Counted], int]) -> Measure:
    """As ``_sum``, over the nodes of some operator classes (Add, Mul, BatchNorm2d, ...)."""
    return lambda measured, names: number(sum(count(one) for one in measured.of(lambda one: one.operator, names)))


def connections(one: Counted) -> int:
    """Products of a layer and its additions of biases, as LeCun et al. 1998 count; prototypes are connections too."""
    if one.operator == "RadialBasis":
        return one.buffers
    if one.operator == "SubsamplingPool2d":
        return one.element_ops
    has_bias = "bias" in one.node.op.params(*one.inputs)
    return one.mult_adds + (one.elements if has_bias else 0)


def _map(shape: Shape) -> Value:
    """Rows, columns, channels: the order in which papers and the lecture write a map."""
    return numbers((*shape[1:], shape[0]))


def _unfrozen(measured: Measured, frozen: str) -> Value:
    """Parameters that are still trained when the layers named are frozen."""
    names = {one.name for one in measured.matching(frozen)}
    return number(sum(one.params for one in measured.nodes if one.name not in names))


def _kernel_count(measured: Measured, kernel: str) -> Value:
    """Convolutions with this kernel (5x5)."""
    wanted = tuple(int(word) for word in kernel.split("x"))
    ops = [one.node.op for one in measured.nodes]
    return number(sum(isinstance(op, Conv2d) and pair("", op.kernel_size) == wanted for op in ops))


def _receptive_field(measured: Measured, name: str) -> Value:
    from archcost.receptive_field import receptive_fields

    node = measured.graph.node(name or measured.graph.outputs[0])
    return numbers(receptive_fields(measured.graph)[node.name].size)


def _stage(measured: Measured, scope: str) -> Value:
    """Rows of the map that a stage reads, the channels that it makes, its blocks (1 without blocks)."""
    inside = measured.matching(scope)
    depth = scope.count(".") + 1
    blocks = {parts[depth] for one in inside if len(parts := one.name.split(".")) > depth + 1}
    return numbers((inside[0].inputs[0][1], inside[-1].output[0], max(1, len(blocks))))


def _one(measured: Measured, name: str, attribute: str) -> Value:
    """A hyper-parameter of one operator; the first of a pair (rows)."""
    value = getattr(measured.graph.node(name).op, attribute)
    return number(Fraction(str(value[0] if isinstance(value, tuple) else value)))


MEASURES: dict[str, Measure] = {
    "params": _sum(lambda one: one.params),
    "params_without_norm": _sum(lambda one: 0 if one.family == "norm" else one.params),
    "params_of": _sum_of_kind(lambda one: one.params),
    "weights": _sum(lambda one: one.weights),
    "weights_of": _sum_of_kind(lambda one: one.weights),
    "norm_scales": _sum(lambda one: one.scales),
    "statistics": _sum(lambda one: one.statistics),
    "bytes": lambda measured, dtype: number(BYTES[dtype] * sum(one.params for one in measured.nodes)),
    "unfrozen": _unfrozen,
    "mult_adds": _sum(lambda one: one.mult_adds),
    "mult_adds_of": _sum_of_kind(lambda one: one.mult_adds),
    "mult_adds_without_dense": _sum(lambda one: 0 if one.family == "dense" else one.mult_adds),
    "element_ops": _sum(lambda one: one.element_ops),
    "element_ops_of": _sum_of_kind(lambda one: one.element_ops),
    "connections": _sum(connections),
    "elements": _sum(lambda one: one.elements),
    "elements_of": _sum_of_operator(lambda one: one.elements),
    "conv_elements": _sum(lambda one: one.elements if one.family == "conv" else 0),
    "layer_elements": _sum(lambda one: one.elements if one.family in WEIGHTED else 0),
    "input_elements": lambda measured, _: number(sum(product(measured.shape(n.name)) for n in measured.graph.inputs)),
    "layers": _sum(lambda one: one.family in WEIGHTED),
    "convolutions": _kernel_count,
    "nodes": lambda measured, _: number(len(measured.graph)),
    "operators": _sum_of_operator(lambda _: 1),
    "shape": lambda measured, name: numbers(measured.shape(name)),
    "map": lambda measured, name: _map(measured.shape(name)),
    "size": lambda measured, name: numbers(measured.shape(name)[1:]),
    "batch_map": lambda measured, batch: (*number(int(batch)), *_map(measured.shape(""))),
    "receptive_field": _receptive_field,
    "stage": _stage,
    "stride": lambda measured, name: _one(measured, name, "stride"),
    "drop_rate": lambda measured, name: _one(measured, name, "rate"),
}
"""Name -> function. Elements are those of outputs; ``mult_adds_of`` and its like take kinds of operator,
``elements_of`` and ``operators`` classes; ``map``, ``size``, ``shape`` take a node, or nothing for the output."""
