"""Runs a graph with the naive loops, one operator after the other, and measures what it allocates."""

from __future__ import annotations

import weakref
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from archcost.errors import GraphError, OperatorError
from archcost.geometry import Shape
from archcost.graph import Graph, Node
from archcost.ops import Input
from archcost.reference.table import run
from archcost.reference.work import Array, Count


class Step(NamedTuple):
    """What one operator has done, for the whole batch.

    Attributes:
        parameters: elements of the parameter arrays that it owns and used.
        mult_adds, written: as in ``Count``.
        shape: shape of one image's output.
    """

    parameters: int
    mult_adds: int
    written: int
    shape: Shape


@dataclass
class Memory:
    """Makes the arrays of tensors and watches them until Python frees them.

    Attributes:
        dtype: element type.
        node: the operator that runs.
        live: bytes of the arrays that exist.
        peak: most bytes that existed at once.
        peak_at: the operator that ran then (the first).
    """

    dtype: np.dtype[np.floating]
    node: str = ""
    live: int = 0
    peak: int = 0
    peak_at: str = ""

    def empty(self, shape: tuple[int, ...]) -> Array:
        """Return a new array."""
        array: Array = np.empty(shape, self.dtype)
        weakref.finalize(array, self._freed, array.nbytes).atexit = False
        self.live += array.nbytes
        if self.live > self.peak:
            self.peak, self.peak_at = self.live, self.node
        return array

    def _freed(self, size: int) -> None:
        self.live -= size


class Value(NamedTuple):
    """The output of a node, and the array that holds it: its own, or that of the tensor it is a view of."""

    array: Array
    holder: Array


@dataclass(frozen=True)
class Execution:
    """What an execution computed and measured.

    Attributes:
        values: outputs of the nodes that were to be kept, (N, ...).
        steps: node -> what it did.
        batch: images.
        peak_bytes: most bytes of tensors that existed at once, for the batch.
        peak_at: the operator that ran at that moment.
    """

    values: dict[str, Array]
    steps: dict[str, Step]
    batch: int
    peak_bytes: int
    peak_at: str


@dataclass
class Runner:
    """Walks the graph; a tensor's references are those of the outputs that are still to be read."""

    graph: Graph
    parameters: Mapping[str, Array]
    buffers: Mapping[str, Array]
    training: bool
    random: Mapping[str, Array]
    memory: Memory
    batch: int
    values: dict[str, Value] = field(default_factory=dict)

    def do(self, node: Node, inputs: Mapping[str, Array]) -> Step:
        """Run one node and remember its output."""
        self.memory.node = node.name
        read = [self.values[name].array for name in node.inputs]
        parameters, buffers = self.owned(node, self.parameters), self.owned(node, self.buffers)
        if isinstance(node.op, Input):
            array, count = self.memory.empty(inputs[node.name].shape), Count(0, 0)
            array[...] = inputs[node.name]
        else:
            random = self.random.get(node.name)
            try:
                array, count = run(
                    node.op, read, parameters, buffers, self.training, random, self.memory.empty, self.batch
                )
            except OperatorError as error:
                raise GraphError(f"{node.name}: {error}") from None
        is_view = not node.op.makes_tensor and not (self.training and node.op.family == "dropout")
        holder = self.values[node.inputs[0]].holder if is_view and node.inputs else array
        self.values[node.name] = Value(array, holder)
        allocated = sum(one.size for one in parameters.values()) if node.shares is None else 0
        return Step(allocated, count.mult_adds, count.written, array.shape[1:])

    def owned(self, node: Node, tensors: Mapping[str, Array]) -> dict[str, Array]:
        """Return a node's own tensors by their short names; those of its owner, if it shares them."""
        owner = node.shares or node.name
        names = self.graph.params(node) if tensors is self.parameters else self.graph.buffers(node)
        return {name: tensors[f"{owner}.{name}"] for name in names}


def execute(
    graph: Graph,
    parameters: Mapping[str, Array],
    buffers: Mapping[str, Array],
    inputs: Mapping[str, Array],
    *,
    keep: Collection[str] | None = None,
    training: bool = False,
    random: Mapping[str, Array] | None = None,
) -> Execution:
    """Run ``graph`` with the naive loops.

    A tensor is freed when nothing will read it or a view of it any more; the network's outputs live to the end.

    Args:
        graph: the network.
        parameters: full name -> array in the graph's shape (``allocated`` makes them).
        buffers: full name -> array in the graph's shape; written in training.
        inputs: input node -> (N, ...), of one element type.
        keep: nodes whose outputs are wanted; all of them by default (as copies, which are not measured).
        training: batch statistics and random masks.
        random: node -> mask of dropout or drop path, in training.

    Raises:
        GraphError: if an operator is counted alone and cannot be run.
    """
    first = next(iter(inputs.values()))
    memory = Memory(first.dtype)
    runner = Runner(graph, parameters, buffers, training, random or {}, memory, len(first))
    readers = dict.fromkeys(graph.shapes, 0)
    for name in (*graph.outputs, *(name for node in graph for name in node.inputs)):
        readers[name] += 1
    kept: dict[str, Array] = {}
    steps: dict[str, Step] = {}
    for node in graph:
        steps[node.name] = runner.do(node, inputs)
        if keep is None or node.name in keep:
            kept[node.name] = runner.values[node.name].array.copy()
        for name in node.inputs:
            readers[name] -= 1
        for name in {node.name, *node.inputs}:
            if not readers[name]:
                del runner.values[name]
    return Execution(kept, steps, len(first), memory.peak, memory.peak_at)
