"""The backward pass of a lowered graph: from the gradient of the logits to those of parameters and inputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from archcost.engine.lowering import Lowered
from archcost.engine.plan import GRADIENT, logits_of
from archcost.graph import Node
from archcost.kernels.layout import Array, Blocked
from archcost.kernels.norm import batch_norm_backward
from archcost.kernels.operation import Gradient
from archcost.kernels.step import Step


class Backpropagation:
    """The backward pass of a lowered graph.

    Args:
        lowered: the forward pass, in training form: it says which parameters and inputs get a gradient.
        gradients: name -> array that receives the gradient of a parameter, in the graph's shape.

    Attributes:
        source: the tensor for the gradient of the logits; a loss fills it before the steps run.
        steps: the backward pass.
        inputs: input of the graph -> its gradient, where one is wanted.
    """

    def __init__(self, lowered: Lowered, gradients: Mapping[str, Array]) -> None:
        self._lowered, self._gradients = lowered, gradients
        plan = lowered.plan
        self._written: set[str] = set()
        logits = logits_of(lowered.graph)
        tensor = self._gradient(logits)
        self.source = lowered.layout.usual(tensor, lowered.graph.shapes[logits])
        self.start = lowered.cleared(GRADIENT, logits)
        self._written.add(plan.owners[GRADIENT][logits])
        self.steps = [replace(step, name=logits) for step in lowered.layout.written(tensor, self.source)]
        for node in plan.backward:
            for work in plan.again.get(node.name, ()):
                self.steps += lowered.again(work)
            self.steps += self._node(node)
        self.inputs = {name: self._gradient(name) for name in plan.wanted}

    def _gradient(self, name: str) -> Blocked:
        """Return the gradient tensor of a node; nodes that share a tensor share its gradient."""
        lowered = self._lowered
        tensor = lowered.memory.tensors[GRADIENT, lowered.plan.owners[GRADIENT][name]]
        return replace(tensor, channels_last=lowered.tensors[name].channels_last)

    def _node(self, node: Node) -> list[Step]:
        lowered, plan = self._lowered, self._lowered.plan
        chain = plan.whole.get(node.name)
        head = chain.head if chain else node
        operation = lowered.operations[head.name]
        steps: list[Step] = []
        targets: list[Blocked | None] = []
        adds: list[bool] = []
        owners = plan.owners[GRADIENT]
        for name in plan.below(node):
            owner = owners[name]
            targets.append(self._gradient(name) if plan.depends[name] else None)
            adds.append(owner in self._written and owner != owners[node.name])
            if plan.depends[name] and owner not in self._written:
                steps += lowered.cleared(GRADIENT, name)
                self._written.add(owner)
        parameters = {}
        if head.name in plan.trained:
            parameters = {name: self._gradients[f"{head.name}.{name}"] for name in operation.parameters}
        rectified = node.name in plan.rectified
        gradient = Gradient(operation, self._gradient(node.name), tuple(targets), tuple(adds), parameters, rectified)
        if chain:
            steps += batch_norm_backward(gradient, lowered.after(chain))
        else:
            steps += lowered.layout.kernels(node).backward(gradient)
        return [replace(step, name=head.name) for step in steps]
