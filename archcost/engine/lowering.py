"""From a graph to programs: one step after the other for the forward pass, and back again for training.

Inference and training are two lowerings of the same graph. Both ask the kernel table what an operator needs; they
differ in which tensors share memory, and in what is kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from archcost.engine.fusion import Chain
from archcost.engine.layouts import Layout, training_layout
from archcost.engine.memory import Key, Memory
from archcost.engine.plan import ALONE, GRADIENT, VALUE, Plan, Work, logits_of
from archcost.engine.stages import first_stage
from archcost.engine.tensors import narrow_inputs, views
from archcost.graph import Graph, Node
from archcost.kernels import layers, narrow
from archcost.kernels.border import cleared
from archcost.kernels.conv import Fusion
from archcost.kernels.layout import Array, Blocked
from archcost.kernels.norm import batch_norm, batch_norm_backward, folded
from archcost.kernels.operation import Gradient, Operation
from archcost.kernels.plain import conversion
from archcost.kernels.pointwise import Operand, pointwise
from archcost.kernels.reshape import graph_steps
from archcost.kernels.step import Integers, Step
from archcost.kernels.target import ELEMENT_BYTES, Precision, Target
from archcost.ops import Input, Op
from archcost.segments import Segment


@dataclass(frozen=True)
class Setting:
    """What a lowering needs beside the graph.

    Attributes:
        machine: which vectors there are.
        precision: element type.
        parameters, buffers: by name (``layer1.0.conv1.weight``).
        random: seed, iteration and node number for each node, as the masks read them.
        threads: that fast ways are planned for; 0: only direct ones.
        tuned: what measurements say about the fast ways of inference.
    """

    machine: Target
    precision: Precision
    parameters: Mapping[str, Array]
    buffers: Mapping[str, Array]
    random: Integers
    threads: int = 0
    tuned: layers.Choices = field(default_factory=dict)


class Lowered:
    """The forward pass of a graph for a number of images, as steps on tensors of its own.

    Args:
        graph: the network.
        images: size of the batch.
        setting: machine, precision, parameters.
        training: batch statistics and masks, and what the way back needs is kept.
        trained: nodes whose parameters are trained: a frozen BatchNorm uses its running statistics.
        wanted: names of inputs of the graph that get a gradient too.
        keep: compute every operator alone, and keep all tensors.
        segments: of the graph, whose activations are recomputed.

    Attributes:
        tensors: node -> its output. Tensors share memory: only while one is alive do its values mean something.
        inputs, outputs: name -> array (N, ...) of the graph's shape for what enters and leaves.
        logits: the first output before a final softmax, (N, ...).
        fast: which convolutions are computed in a fast way, where the batch is computed at once.
        forward: the steps; ``finish`` writes the outputs.
    """

    def __init__(
        self,
        graph: Graph,
        images: int,
        setting: Setting,
        *,
        training: bool,
        trained: frozenset[str] = frozenset(),
        wanted: frozenset[str] = frozenset(),
        keep: bool = False,
        segments: Sequence[Segment] = (),
    ) -> None:
        self.graph, self.images, self.setting = graph, images, setting
        layout = Layout(setting.machine, setting.precision)
        if training and not keep and not wanted:
            layout = training_layout(graph, images, *layout[:2], logits_of(graph))
        self.layout = layout
        threads = 0 if keep or layout.samples else setting.threads
        kernels = layers.Setting(setting.machine, setting.precision)
        tuned = layers.NO_CHOICES if training else setting.tuned
        self.fast = layers.fast(images, kernels, threads, packs=training, tuned=tuned)
        lanes = setting.machine.lanes(setting.precision)
        stage = partial(first_stage, element=ELEMENT_BYTES[setting.precision], lanes=lanes)
        self.plan = Plan(
            graph, training=training, trained=trained, wanted=wanted, keep=keep, fast=self.fast,
            stage=stage if images > 1 and not training and not keep else None,
            fast_alone=layers.fast(1, kernels, threads, tuned=tuned), lanes=lanes, segments=segments,
        )  # fmt: skip
        needs = {key: replace(need, shape=layout.map_shape(need.shape)) for key, need in self.plan.needs.items()}
        usual = keep or layout.samples
        self._narrow = frozenset() if usual else narrow_inputs(graph, self.plan.holder, lanes, self.plan.ways)
        for name in self._narrow:
            needs[VALUE, name] = replace(needs[VALUE, name], lanes=graph.shapes[name][0])
        self.memory = Memory(needs, layout.images(images), lanes, setting.precision)
        self.tensors = self._views(images, VALUE)
        self._cleared: set[Key] = set()
        self.inputs = {node.name: self._plain(node.name) for node in graph.inputs}
        self.outputs = {name: self._plain(name) for name in graph.outputs}
        self.logits = self.outputs.get(logits_of(graph), self._plain(logits_of(graph)))
        self.operations: dict[str, Operation] = {}
        self._numbers = {node.name: number for number, node in enumerate(graph)}
        self.forward: list[Step] = []
        self._steps: dict[str, list[Step]] = {}
        last = logits_of(graph)
        self.forward += self._first_stage(self.plan.forward[: self.plan.stage.works])
        for work in self.plan.forward[self.plan.stage.works :]:
            if layout.samples and work.node.name in graph.outputs and work.node.name != last:
                continue  # a softmax that is part of the loss
            self._steps[work.node.name] = [*self.cleared(VALUE, work.writes), *self._work(work)]
            self.forward += self._steps[work.node.name]
        self.scores = layout.usual(self.tensors[last], graph.shapes[last])
        self.forward += [replace(step, name=last) for step in layout.read(self.tensors[last], self.scores)]
        self.finish = [
            replace(self._read(name, tensor, array), name=name)
            for name, tensor, array in (
                *((name, self.tensors[name], self.outputs[name]) for name in graph.outputs if name != last),
                (last, self.scores, self.logits),
            )
        ]

    def _views(self, images: int, *kinds: str) -> dict[str, Blocked]:
        """Return the tensor of every node; later kinds come before earlier ones."""
        found = self.memory.tensors
        held = {name: found[kind, name] for wanted in kinds for kind, name in found if kind == wanted}
        machine, precision = self.setting.machine, self.setting.precision
        return views(self.graph, images, self.plan.holder, held, machine.lanes(precision), precision)

    def _first_stage(self, works: Sequence[Work]) -> list[Step]:
        """Return the steps that compute these works for one image after the other, and collect what others read."""
        if not works:
            return []
        whole, crossing = self.tensors, self.plan.stage.crossing
        self.tensors = alone = self._views(1, VALUE, ALONE)
        steps = [step for name in crossing for step in self.cleared(VALUE, name)]
        entering = [work.node for work in works if isinstance(work.node.op, Input)]
        clearing = {node.name: self.cleared(VALUE, node.name) for node in entering}
        rest: list[Step] = []
        for work in works:
            if work.node not in entering:
                rest += self.cleared(ALONE if self.plan.holder[work.writes] in crossing else VALUE, work.writes)
                rest += self._work(work)
        for image in range(self.images):
            for node in entering:
                steps += [*clearing[node.name], *self._entered(node, self.inputs[node.name][image:][:1])]
            steps += [step for step in rest if not (image and step.prepares)]
            for name in crossing:
                part = replace(whole[name], images=1, memory=whole[name].memory[image:][:1])
                operands = [Operand.exact(alone[name])]
                copy = pointwise("copy", part, operands, self.setting.machine, self.setting.precision, [alone[name]])
                steps.append(replace(copy, name=name))
        self.tensors = whole
        return steps

    def again(self, work: Work) -> list[Step]:
        """Return the steps that compute ``work`` again, into the same tensor; weights stay packed, statistics kept."""
        steps = [step for step in self._steps[work.node.name] if not (step.prepares or step.once)]
        return [replace(step, recomputes=True) for step in steps]

    def cleared(self, kind: str, name: str) -> list[Step]:
        """Return what must run before a tensor is written for the first time."""
        key = kind, self.plan.owners[kind][name]
        key = self.memory.wholes.get(key, key)
        if key not in self.memory.uncleared or key in self._cleared:
            return []
        self._cleared.add(key)
        return [replace(cleared(self.memory.tensors[key]), name=name)]

    def _plain(self, name: str) -> Array:
        """Return a plain array of the graph's shape for what enters or leaves."""
        return np.zeros((self.images, *self.graph.shapes[name]), self.setting.precision)

    def _read(self, name: str, tensor: Blocked, array: Array) -> Step:
        """Return the step that copies the tensor of a node to a plain array of the graph's shape."""
        setting = self.setting
        steps = graph_steps(tensor, self.graph.shapes[name]) if tensor.channels_last else None
        return conversion("read", tensor, array, setting.machine, setting.precision, steps=steps)

    def _chain(self, chain: Chain) -> list[Step]:
        """Return the steps of a chain."""
        head = self._operation(chain.head)
        if chain.last in self.plan.whole:
            summands = [self.tensors[chain.residual]] if chain.residual else []
            head = replace(head, inputs=(*head.inputs, *summands), output=self.tensors[chain.last])
            self.operations[chain.head.name] = head
            return [replace(step, name=head.name) for step in batch_norm(head, self.after(chain))]
        steps: list[Step] = []
        scale, shift = None, None
        if self.plan.training:
            self.operations.update({name: self._operation(self.graph.node(name)) for name in chain.nodes})
        if chain.norm is not None:
            step, scale, shift = folded(self._operation(chain.norm))
            steps.append(replace(step, prepares=True))
        residual = self.tensors[chain.residual] if chain.residual else None
        fusion = Fusion(chain.activation, residual, scale, shift, head.fast)
        steps += self.layout.multiplied(replace(head, output=self.tensors[chain.last]), fusion)
        return [replace(step, name=chain.head.name) for step in steps]

    def after(self, chain: Chain) -> Op | None:
        """Return the activation that a chain ends with, if it does."""
        return None if chain.activation == "Identity" else self.graph.node(chain.last).op

    def _work(self, work: Work) -> list[Step]:
        return self._chain(work.chain) if work.chain else self._node(work.node)

    def _entered(self, node: Node, plain: Array) -> list[Step]:
        """Return the steps that fill the tensor of an input."""
        tensor, setting = self.tensors[node.name], self.setting
        if node.name in self._narrow:
            steps = [narrow.entered(tensor, plain, setting.machine, setting.precision)]
        else:
            steps = self.layout.entered(tensor, plain, self.graph.shapes[node.name])
        return [replace(step, name=node.name) for step in steps]

    def _node(self, node: Node) -> list[Step]:
        if isinstance(node.op, Input):
            return self._entered(node, self.inputs[node.name])
        operation = self._operation(node)
        self.operations[node.name] = operation
        return [replace(step, name=node.name) for step in self.layout.kernels(node).forward(operation)]

    def _operation(self, node: Node) -> Operation:
        graph, setting = self.graph, self.setting
        learns = not graph.params(node) or node.name in self.plan.trained
        owner = node.shares or node.name
        return Operation(
            op=node.op,
            inputs=tuple(self.tensors[name] for name in node.inputs),
            output=self.tensors[node.name],
            input_shapes=tuple(self.layout.graph_shape(node, shape) for shape in graph.input_shapes(node)),
            output_shape=self.layout.graph_shape(node, graph.shapes[node.name]),
            parameters={name: setting.parameters[f"{owner}.{name}"] for name in graph.params(node)},
            buffers={name: setting.buffers[f"{owner}.{name}"] for name in graph.buffers(node)},
            machine=setting.machine,
            precision=setting.precision,
            training=self.plan.training and learns,
            random=int(setting.random[self._numbers[node.name]].ctypes.data),
            name=node.name,
            fast=self.plan.ways(node.name),
        )


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
        gradient = Gradient(operation, self._gradient(node.name), tuple(targets), tuple(adds), parameters)
        if chain:
            steps += batch_norm_backward(gradient, lowered.after(chain))
        else:
            steps += lowered.layout.kernels(node).backward(gradient)
        return [replace(step, name=head.name) for step in steps]
