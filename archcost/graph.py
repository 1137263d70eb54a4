"""A network as a graph of operators: immutable, topologically ordered, shape-checked when it is made.

Every node has one output. A graph is a plain value: analysing it changes nothing, equal descriptions are equal graphs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Literal

from archcost.errors import ArchcostError, GraphError, did_you_mean
from archcost.geometry import LARGEST_SIZE, Shape, shape_text
from archcost.ops.base import Input, Op, Tensors

Call = Literal["module", "subclass", "function", "method", "operator", "training"]
"""How a framework's model writes an operator: see ``Node.call``."""

MOST_AXES = 8
"""Axes of a tensor; no network has more, and sizes stay within what can be printed."""


@dataclass(frozen=True)
class Node:
    """One operator in its place.

    Attributes:
        name: dotted path, unique in the graph; the part before the last dot is its scope (``layer1.0.conv2``).
        op: the operator.
        inputs: names of the nodes whose outputs it reads.
        shares: name of an earlier node whose parameters this one uses.
        call: how the framework's model that the graph mirrors writes it; some counters see only some of these
            (``report.counters``). "module": a module of the framework's own class. "subclass": a module of a class
            derived from it (torchvision's LayerNorm2d). "function": a call of the functional interface, or an addition
            or product called by name (``F.relu(x)``, ``torch.add(x, y)``, ``x.mul(y)``). "method": another method of
            the tensor (``x.mean((2, 3))``). "operator": ``+``, ``*``, ``+=``. "training": not at all in inference (an
            auxiliary classifier of a model that drops it then); its parameters are there all the same.
    """

    name: str
    op: Op
    inputs: tuple[str, ...] = ()
    shares: str | None = None
    call: Call = "module"


def infer(node: Node, shapes: Mapping[str, Shape]) -> Shape:
    """Return the output shape of ``node``, given the shapes of the nodes before it.

    Raises:
        GraphError: naming the node and its input shapes, if its name is taken or malformed, or its inputs are missing
            or do not fit the operator.
    """
    if node.name in shapes:
        raise GraphError(f"{node.name}: the name is used twice")
    if not all(node.name.split(".")):
        raise GraphError(f"node name {node.name!r} must be words joined by dots")
    if any(letter < " " or letter == "\x7f" for letter in node.name):
        raise GraphError(f"node name {node.name!r} must hold no control characters")
    try:
        inputs = tuple([shapes[name] for name in node.inputs])
    except KeyError as missing:
        name = missing.args[0]
        raise GraphError(f"{node.name}: input {name!r} is not a node before it{did_you_mean(name, shapes)}") from None
    arity = node.op.arity
    if len(inputs) != arity if arity is not None else not inputs:
        wanted = "at least one input" if arity is None else f"{arity} input{'' if arity == 1 else 's'}"
        raise GraphError(f"{node.name}: {type(node.op).__name__} takes {wanted}, not {len(inputs)}")
    try:
        shape = node.op.out_shape(*inputs)
    except ArchcostError as error:
        given = f" (input {', '.join(shape_text(shape) for shape in inputs)})" if inputs else ""
        raise GraphError(f"{node.name}: {error}{given}") from None
    if len(shape) > MOST_AXES or max(shape) > LARGEST_SIZE:
        raise GraphError(f"{node.name}: the output has more than {MOST_AXES} axes, or one of more than 2**40 elements")
    return shape


@dataclass(frozen=True)
class Graph:
    """An immutable network.

    Args:
        nodes: the operators, each after the nodes that it reads.
        outputs: names of the nodes whose outputs are the network's outputs.
        name: short name (``resnet50``).
        variant: which of several networks of that name it is (``v1.5, stride in the 3x3``); the title states it.
        scopes: what a scope is, for the layer tree (``layer1.0`` -> ``Bottleneck``).

    Raises:
        GraphError: for duplicate, missing or misordered names, wrong input counts or shapes, or impossible sharing.
    """

    nodes: tuple[Node, ...]
    outputs: tuple[str, ...]
    name: str = "network"
    variant: str = ""
    scopes: Mapping[str, str] = field(default_factory=dict)
    shapes: Mapping[str, Shape] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "nodes", tuple(self.nodes))
        object.__setattr__(self, "outputs", tuple(self.outputs))
        object.__setattr__(self, "scopes", MappingProxyType(dict(self.scopes)))
        object.__setattr__(self, "shapes", MappingProxyType(self._inferred()))
        self._check()

    @classmethod
    def of_inferred(
        cls,
        nodes: tuple[Node, ...],
        shapes: Mapping[str, Shape],
        outputs: tuple[str, ...],
        name: str,
        variant: str,
        scopes: Mapping[str, str],
    ) -> Graph:
        """Return the graph of ``nodes`` whose shapes the builder has inferred already, one by one, with ``infer``."""
        graph = object.__new__(cls)
        graph.__dict__.update(nodes=nodes, outputs=outputs, name=name, variant=variant)
        graph.__dict__.update(scopes=MappingProxyType(dict(scopes)), shapes=MappingProxyType(dict(shapes)))
        graph._check()
        return graph

    def _check(self) -> None:
        self._check_outputs()
        self._check_sharing()

    def _inferred(self) -> dict[str, Shape]:
        shapes: dict[str, Shape] = {}
        for node in self.nodes:
            shapes[node.name] = infer(node, shapes)
        return shapes

    def _check_outputs(self) -> None:
        if not any(isinstance(node.op, Input) for node in self.nodes):
            raise GraphError("a graph needs at least one Input")
        if not self.outputs:
            raise GraphError("a graph needs at least one output")
        for name in self.outputs:
            if name not in self.shapes:
                raise GraphError(f"output {name!r} is not a node{did_you_mean(name, self.shapes)}")

    def _check_sharing(self) -> None:
        seen: dict[str, Node] = {}
        for node in self.nodes:
            if node.shares is not None:
                owner = seen.get(node.shares)
                if owner is None or owner.shares is not None:
                    raise GraphError(
                        f"{node.name}: shares {node.shares!r}, which is no earlier node with own parameters"
                    )
                if self.params(owner) != self.params(node) or not self.params(node):
                    raise GraphError(
                        f"{node.name}: parameters of {node.shares!r} have other shapes, they cannot be shared"
                    )
            seen[node.name] = node

    def __len__(self) -> int:
        return len(self.nodes)

    def __iter__(self) -> Iterator[Node]:
        return iter(self.nodes)

    def __reduce__(self) -> tuple[object, ...]:
        return Graph, (self.nodes, self.outputs, self.name, self.variant, dict(self.scopes))

    def __hash__(self) -> int:
        return hash((self.name, self.variant, self.nodes, self.outputs))

    @cached_property
    def _by_name(self) -> Mapping[str, Node]:
        return {node.name: node for node in self.nodes}

    @property
    def title(self) -> str:
        """Name and variant, as tables show it."""
        return f"{self.name} ({self.variant})" if self.variant else self.name

    @property
    def inputs(self) -> tuple[Node, ...]:
        """The input nodes."""
        return tuple(node for node in self.nodes if isinstance(node.op, Input))

    def node(self, name: str) -> Node:
        """Return the node called ``name``. Raises GraphError, with the nearest name, if there is none."""
        if name not in self._by_name:
            raise GraphError(f"no node {name!r} in {self.name}{did_you_mean(name, self.shapes)}")
        return self._by_name[name]

    def input_shapes(self, node: Node) -> tuple[Shape, ...]:
        """Return the shapes that ``node`` reads."""
        return tuple([self.shapes[name] for name in node.inputs])

    def params(self, node: Node) -> Tensors:
        """Return the learnable tensors of ``node``: name -> shape (those that it shares included)."""
        return node.op.params(*self.input_shapes(node))

    def buffers(self, node: Node) -> Tensors:
        """Return the unlearned tensors of ``node``: name -> shape."""
        return node.op.buffers(*self.input_shapes(node))

    def tensors(self) -> dict[str, Shape]:
        """Return every stored tensor once, as a state dict names it: ``layer1.0.conv1.weight`` -> shape."""
        return {
            f"{node.name}.{name}": shape
            for node in self.nodes
            if node.shares is None
            for tensors in (self.params(node), self.buffers(node))
            for name, shape in tensors.items()
        }

    def named(self, name: str, variant: str = "") -> Graph:
        """Return the same graph under another name, without inferring its shapes again."""
        renamed = object.__new__(Graph)
        renamed.__dict__.update(self.__dict__, name=name, variant=variant)
        return renamed

    def to_json(self) -> str:
        """Return the graph as JSON text (schema ``archcost.graph/1``)."""
        from archcost.serialize import to_json

        return to_json(self)

    @staticmethod
    def from_json(text: str) -> Graph:
        """Return the graph that JSON ``text`` describes; equal to the one that was written.

        Raises:
            GraphError: if the text is no such JSON or the graph does not hold together.
        """
        from archcost.serialize import from_json

        return from_json(text)
