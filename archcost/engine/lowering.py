"""From a graph to programs: one step after the other for the forward pass, and back again for training.

Inference and training are two lowerings of the same graph. Both ask the kernel table what an operator needs; they
differ in which tensors share memory, and in what is kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from archcost.engine.borders import narrow_inputs
from archcost.engine.fusion import Chain, pairs_allowed
from archcost.engine.layouts import Layout, training_layout
from archcost.engine.memory import Key, Memory
from archcost.engine.plan import VALUE, Plan, Work, logits_of
from archcost.engine.stage_steps import PARTNERS, StageSteps, own_threads, stage_steps
from archcost.engine.stages import first_stage
from archcost.engine.tensors import image_shape, views
from archcost.graph import Graph, Node
from archcost.kernels import layers, narrow
from archcost.kernels.border import cleared
from archcost.kernels.conv import Fusion
from archcost.kernels.expanded import expanded
from archcost.kernels.layout import Array, Blocked, Shared
from archcost.kernels.merge import scaled
from archcost.kernels.norm import batch_norm, folded
from archcost.kernels.operation import Operation
from archcost.kernels.plain import conversion
from archcost.kernels.reshape import graph_steps
from archcost.kernels.step import Integers, Step
from archcost.kernels.target import ELEMENT_BYTES, Precision, Target
from archcost.ops import Input, Mul, Op
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
        own = own_threads(images, threads)
        self.plan = Plan(
            graph, training=training, trained=trained, wanted=wanted, keep=keep, fast=self.fast,
            stage=stage if images > 1 and not training and not keep else None,
            fast_alone=layers.fast(1, kernels, PARTNERS if own else threads, tuned=tuned), own_images=own > 0,
            lanes=lanes, segments=segments,
            joins=not training and not keep and bool(setting.threads) and pairs_allowed(),
            bordered=not layout.samples,
        )  # fmt: skip
        needs = {key: replace(need, shape=layout.map_shape(need.shape)) for key, need in self.plan.needs.items()}
        usual = keep or layout.samples
        self._narrow = frozenset() if usual else narrow_inputs(graph, self.plan.holder, lanes, self.plan.ways)
        for name in self._narrow:
            needs[VALUE, name] = replace(needs[VALUE, name], lanes=graph.shapes[name][0])
        self.memory = Memory(needs, layout.images(images), lanes, setting.precision)
        self.tensors = self.tensors_for(images, VALUE)
        self._cleared: set[Key] = set()
        self.scratch = Shared(setting.precision)
        # What is computed again finds its weights as they were.
        self._panels = Shared(setting.precision) if training and not segments else None
        self.inputs = {node.name: self._plain(node.name) for node in graph.inputs}
        self.outputs = {name: self._plain(name) for name in graph.outputs}
        self.logits = self.outputs.get(logits_of(graph), self._plain(logits_of(graph)))
        self.operations: dict[str, Operation] = {}
        self._numbers = {node.name: number for number, node in enumerate(graph)}
        self.forward: list[Step] = []
        self._steps: dict[str, list[Step]] = {}
        last = logits_of(graph)
        self.stage = stage_steps(self, own) if self.plan.stage.works else StageSteps()
        self.forward += self.stage.steps
        for work in self.plan.forward[self.plan.stage.works :]:
            if layout.samples and work.node.name in graph.outputs and work.node.name != last:
                continue  # a softmax that is part of the loss
            self._steps[work.node.name] = [*self.cleared(VALUE, work.writes), *self.computed(work)]
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

    def tensors_for(self, images: int, *kinds: str) -> dict[str, Blocked]:
        """Return the tensor of every node, for the first image if ``images`` is 1; later kinds come before others."""
        found = {
            key: replace(tensor, images=images, memory=tensor.memory[:images]) if images == 1 else tensor
            for key, tensor in self.memory.tensors.items()
        }
        held = {name: found[kind, name] for wanted in kinds for kind, name in found if kind == wanted}
        machine, precision = self.setting.machine, self.setting.precision
        return views(self.graph, images, self.plan.holder, held, machine.lanes(precision), precision)

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
            self.operations.update({name: self._operation(self.graph.node(name)) for name in chain.members})
            self.operations[head.name] = head
        if chain.norm is not None:
            step, scale, shift = folded(self._operation(chain.norm))
            steps.append(replace(step, prepares=True))
        residual = self.tensors[chain.residual] if chain.residual else None
        if isinstance(chain.head.op, Mul):
            steps = scaled(replace(head, output=self.tensors[chain.last]), residual, chain.activation)
            return [replace(step, name=chain.head.name) for step in steps]
        fusion = Fusion(chain.activation, residual, scale, shift, head.fast, head.panels, head.scratch)
        steps += self.layout.multiplied(replace(head, output=self.tensors[chain.last]), fusion)
        return [replace(step, name=chain.head.name) for step in steps]

    def after(self, chain: Chain) -> Op | None:
        """Return the activation that a chain ends with, if it does."""
        return None if chain.activation == "Identity" else self.graph.node(chain.last).op

    def computed(self, work: Work) -> list[Step]:
        """Return the steps of a piece of work."""
        if work.chain and work.then:
            return self._pair(work.chain, work.then)
        return self._chain(work.chain) if work.chain else self._node(work.node)

    def _pair(self, first: Chain, second: Chain) -> list[Step]:
        """Return the steps of a convolution and the depthwise convolution behind it."""
        heads = self._operation(first.head), self._operation(second.head)
        steps: list[Step] = []
        fusions = []
        for chain in (first, second):
            scale, shift = None, None
            if chain.norm is not None:
                step, scale, shift = folded(self._operation(chain.norm))
                steps.append(replace(step, prepares=True))
            fusions.append(Fusion(chain.activation, None, scale, shift))
        graph, setting = self.graph, self.setting
        shapes = [image_shape(graph.shapes[name], channels_last=False) for name in (first.head.name, second.head.name)]
        parts = expanded(
            (
                layers.convolution_layer(first.head.op, heads[0].inputs[0].shape, shapes[0]),
                layers.convolution_layer(second.head.op, *shapes),
            ),
            heads[0].inputs[0],
            self.tensors[second.last],
            shapes[0],
            (heads[0].parameters["weight"], heads[1].parameters["weight"]),
            (heads[0].parameters.get("bias"), heads[1].parameters.get("bias")),
            (fusions[0], fusions[1]),
            max(1, setting.threads),
            self.scratch,
            setting.machine,
            setting.precision,
        )
        steps += [replace(step, prepares=True) for step in parts.pack]
        steps += [replace(step, also=second.head.name) for step in parts.compute]
        return [replace(step, name=first.head.name) for step in steps]

    def entered(self, node: Node, plain: Array) -> list[Step]:
        """Return the steps that fill the tensor of an input."""
        tensor, setting = self.tensors[node.name], self.setting
        if node.name in self._narrow:
            steps = [narrow.entered(tensor, plain, setting.machine, setting.precision)]
        else:
            steps = self.layout.entered(tensor, plain, self.graph.shapes[node.name])
        return [replace(step, name=node.name) for step in steps]

    def _node(self, node: Node) -> list[Step]:
        if isinstance(node.op, Input):
            return self.entered(node, self.inputs[node.name])
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
            panels=self._panels,
            scratch=self.scratch,
        )
