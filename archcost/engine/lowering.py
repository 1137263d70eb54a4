"""From a graph to programs: one step after the other for the forward pass, and back again for training.

Inference and training are two lowerings of the same graph. Both ask the kernel table what an operator needs; they
differ in which tensors share memory, and in what is kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from archcost.engine.fusion import Chain, chains
from archcost.engine.tensors import NO_HALO, aliases, halos, make_tensors, wider
from archcost.errors import GraphError
from archcost.geometry import Sides
from archcost.graph import Graph, Node
from archcost.kernels.conv import Fusion, forward_parts, gradient_halo
from archcost.kernels.layout import Array, Blocked
from archcost.kernels.norm import folded
from archcost.kernels.operation import Gradient, Kernels, Operation
from archcost.kernels.plain import conversion
from archcost.kernels.step import Integers, Step
from archcost.kernels.table import KERNELS
from archcost.kernels.target import Precision, Target
from archcost.ops import Input, Softmax


@dataclass(frozen=True)
class Setting:
    """What a lowering needs beside the graph.

    Attributes:
        machine: which vectors there are.
        precision: element type.
        parameters, buffers: by name (``layer1.0.conv1.weight``).
        random: seed, iteration and node number for each node, as the masks read them.
    """

    machine: Target
    precision: Precision
    parameters: Mapping[str, Array]
    buffers: Mapping[str, Array]
    random: Integers


class Lowered:
    """The forward pass of a graph for a number of images, as steps on tensors of its own.

    Args:
        graph: the network.
        images: size of the batch.
        setting: machine, precision, parameters.
        training: batch statistics and masks; every node keeps its output.
        trained: nodes whose parameters are trained (None: all): a frozen BatchNorm uses its running statistics.
    """

    def __init__(
        self, graph: Graph, images: int, setting: Setting, *, training: bool, trained: frozenset[str] | None = None
    ) -> None:
        self.graph, self.images, self.setting = graph, images, setting
        self.training, self.trained = training, trained
        self.holder = aliases(graph, training=training)
        lanes = setting.machine.lanes(setting.precision)
        border = halos(graph, self.holder)
        self.tensors = make_tensors(graph, images, self.holder, border, lanes, setting.precision)
        self.inputs = {node.name: self._plain(node.name) for node in graph.inputs}
        self.outputs = {name: self._plain(name) for name in graph.outputs}
        self.operations: dict[str, Operation] = {}
        self.forward: list[Step] = []
        self._chains = {} if training else chains(graph)
        self._numbers = {node.name: number for number, node in enumerate(graph)}
        done: set[str] = set()
        for node in graph:
            if node.name in self._chains:
                self.forward += self._chain(self._chains[node.name], done)
            elif node.name not in done:
                self.forward += self._node(node)
        self.finish = [
            replace(conversion("read", self.tensors[name], array, setting.machine, setting.precision), name=name)
            for name, array in self.outputs.items()
        ]

    def _plain(self, name: str) -> Array:
        """Return a plain array of the graph's shape for what enters or leaves."""
        return np.zeros((self.images, *self.graph.shapes[name]), self.setting.precision)

    def _chain(self, chain: Chain, done: set[str]) -> list[Step]:
        """Return the steps of a chain; its nodes are added to ``done``."""
        head = self._operation(chain.head)
        steps, scale, shift = [], None, None
        if chain.norm is not None:
            step, scale, shift = folded(self._operation(chain.norm))
            steps.append(replace(step, prepares=True))
            done.add(chain.norm.name)
        residual = self.tensors[chain.residual] if chain.residual else None
        fusion = Fusion(chain.activation, residual, scale, shift)
        parts = forward_parts(replace(head, output=self.tensors[chain.last]), fusion)
        steps += [replace(step, prepares=True) for step in parts.pack]
        done.update(self._between(chain))
        return [replace(step, name=chain.head.name) for step in (*steps, *parts.compute)]

    def _between(self, chain: Chain) -> list[str]:
        """Return the nodes behind the head of a chain, to its last."""
        names, name = [], chain.last
        while name != chain.head.name:
            names.append(name)
            inputs = self.graph.node(name).inputs
            name = next(one for one in inputs if one != chain.residual or len(inputs) == 1)
        return names

    def _node(self, node: Node) -> list[Step]:
        setting = self.setting
        if isinstance(node.op, Input):
            plain = self.inputs[node.name]
            step = conversion("write", self.tensors[node.name], plain, setting.machine, setting.precision)
            return [replace(step, name=node.name)]
        if self.holder[node.name] != node.name:
            return []
        operation = self._operation(node)
        self.operations[node.name] = operation
        return [replace(step, name=node.name) for step in kernels(node).forward(operation)]

    def _operation(self, node: Node) -> Operation:
        graph, setting = self.graph, self.setting
        learns = not graph.params(node) or self.trained is None or node.name in self.trained
        owner = node.shares or node.name
        return Operation(
            op=node.op,
            inputs=tuple(self.tensors[name] for name in node.inputs),
            output=self.tensors[node.name],
            input_shapes=graph.input_shapes(node),
            output_shape=graph.shapes[node.name],
            parameters={name: setting.parameters[f"{owner}.{name}"] for name in graph.params(node)},
            buffers={name: setting.buffers[f"{owner}.{name}"] for name in graph.buffers(node)},
            machine=setting.machine,
            precision=setting.precision,
            training=self.training and learns,
            random=int(setting.random[self._numbers[node.name]].ctypes.data),
            name=node.name,
        )


def kernels(node: Node) -> Kernels:
    """Return the kernels of a node. Raises GraphError if its operator is for cost only."""
    if type(node.op) not in KERNELS:
        raise GraphError(f"{node.name}: {type(node.op).__name__} is counted, but cannot be run")
    return KERNELS[type(node.op)]


def logits_of(graph: Graph) -> str:
    """Return the node whose output goes into the loss: the first output, before a final softmax."""
    node = graph.node(graph.outputs[0])
    return node.inputs[0] if isinstance(node.op, Softmax) else node.name


class Backpropagation:
    """The backward pass of a lowered graph.

    Args:
        lowered: the forward pass, in training form.
        trained: names of the nodes whose parameters get a gradient.
        wanted: names of inputs of the graph that get a gradient too.

    Attributes:
        source: the tensor for the gradient of the logits; a loss fills it before the steps run.
        steps: the backward pass.
        gradients: name -> gradient of a parameter, in the graph's shape.
    """

    def __init__(self, lowered: Lowered, trained: frozenset[str], wanted: frozenset[str] = frozenset()) -> None:
        self._lowered, graph = lowered, lowered.graph
        self._depends = _depending(graph, trained, wanted)
        used = _used(graph, logits_of(graph))
        self._tensors: dict[str, Blocked] = {}
        self._written: set[str] = set()
        self._border = self._borders()
        self.gradients: dict[str, Array] = {}
        self.steps: list[Step] = []
        logits = logits_of(graph)
        self.source = self._gradient(logits)
        self._written.add(lowered.holder[logits])
        for node in reversed(graph.nodes):
            if node.name in used and self._depends[node.name] and node.name in lowered.operations:
                self.steps += self._node(node, node.name in trained)
        self.inputs = {name: self._gradient(name) for name in wanted}

    def _borders(self) -> dict[str, Sides]:
        """Return the border of each gradient: what the convolution that made the tensor needs to go back."""
        lowered = self._lowered
        result = dict.fromkeys(lowered.graph.shapes, NO_HALO)
        for name, operation in lowered.operations.items():
            result[name] = wider(result[name], gradient_halo(operation))
        return result

    def _gradient(self, name: str) -> Blocked:
        """Return the gradient tensor of a node; nodes that share a tensor share its gradient."""
        owner = self._lowered.holder[name]
        if owner not in self._tensors:
            like = self._lowered.tensors[owner]
            made = Blocked.make(like.images, like.shape, self._border[owner], like.lanes, like.memory.dtype)
            self._tensors[owner] = made
        return replace(self._tensors[owner], channels_last=self._lowered.tensors[name].channels_last)

    def _node(self, node: Node, trained: bool) -> list[Step]:
        lowered = self._lowered
        operation = lowered.operations[node.name]
        targets: list[Blocked | None] = []
        adds: list[bool] = []
        for name in node.inputs:
            owner = lowered.holder[name]
            targets.append(self._gradient(name) if self._depends[name] else None)
            adds.append(owner in self._written)
            if self._depends[name]:
                self._written.add(owner)
        parameters = {}
        if trained:
            for name, value in operation.parameters.items():
                parameters[name] = self.gradients[f"{node.name}.{name}"] = np.zeros_like(value)
        gradient = Gradient(operation, self._gradient(node.name), tuple(targets), tuple(adds), parameters)
        return [replace(step, name=node.name) for step in kernels(node).backward(gradient)]


def _depending(graph: Graph, trained: frozenset[str], wanted: frozenset[str]) -> dict[str, bool]:
    """Return for each node whether its output depends on something that gets a gradient."""
    depends: dict[str, bool] = {}
    for node in graph:
        own = node.name in trained or node.name in wanted
        depends[node.name] = own or any(depends[name] for name in node.inputs)
    return depends


def _used(graph: Graph, output: str) -> frozenset[str]:
    """Return the nodes that ``output`` depends on, and itself."""
    used = {output}
    for node in reversed(graph.nodes):
        if node.name in used:
            used.update(node.inputs)
    return frozenset(used)
