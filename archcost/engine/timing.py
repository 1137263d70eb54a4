"""How long each layer of a network takes, step by step, and what share of the machine's roofline that is."""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from archcost.cost import ELEMENT_RULES
from archcost.engine.network import Network
from archcost.engine.plan import logits_of
from archcost.engine.program import Program
from archcost.engine.training import Training
from archcost.errors import UsageError
from archcost.geometry import product, shape_text
from archcost.graph import Graph, Node
from archcost.kernels.missing import complete
from archcost.kernels.profile_machine import Roofline, measured
from archcost.kernels.step import Step
from archcost.kernels.target import ELEMENT_BYTES, current

LOSS = "loss"
"""Name of the steps that belong to no node: softmax cross-entropy."""


@dataclass(frozen=True)
class LayerTime:
    """What one layer did in one pass over a batch.

    Attributes:
        name: node of the graph; the conversions at the network's ends stand under its inputs and outputs.
        seconds: median over the runs.
        spread: difference of the third and first quartile, in seconds.
        flops: work of the batch by the graph's count.
        bytes: elements read, written and of parameters, each once.
        method: name of the fast way by which it was computed, with fewer products than are counted; empty for the
            direct one.
        also: a further node that was computed with it, whose work is counted here.
    """

    name: str
    seconds: float
    spread: float
    flops: int
    bytes: int
    method: str = ""
    also: str = ""


@dataclass(frozen=True)
class Profile:
    """A profile of a network.

    Attributes:
        layers: in the order in which they run.
        total: median of whole passes, in seconds; the layers' sum is longer by the gaps between their measurements.
        machine: bounds of the machine, measured in the same run.
    """

    layers: tuple[LayerTime, ...]
    total: float
    machine: Roofline


@dataclass(frozen=True)
class TrainingProfile:
    """A profile of training steps, without the optimizer.

    Attributes:
        forward: the forward pass, in the order in which layers run.
        loss: softmax cross-entropy and the gradient of the logits.
        backward: gradients to inputs and parameters, in the order in which layers run: the last one first.
        total: median of whole steps, in seconds.
        machine: bounds of the machine, measured in the same run.
    """

    forward: tuple[LayerTime, ...]
    loss: LayerTime
    backward: tuple[LayerTime, ...]
    total: float
    machine: Roofline

    @property
    def layers(self) -> tuple[LayerTime, ...]:
        """All that was measured, in order."""
        return (*self.forward, self.loss, *self.backward)


def profiled(network: Network, images: int, runs: int) -> Profile:
    """Return how long each layer of ``network`` takes in inference.

    Args:
        network: what to run.
        images: size of the batch.
        runs: passes that are measured, after one that is not.
    """
    program, groups = network.inference_steps(images)
    total, (times,) = _measured(network, program, [_parts(step for _, steps in groups for step in steps)], runs)
    graph = network.graph
    methods = {name: next((step.method for step in steps if step.method), "") for name, steps in groups}
    also = {name: next((step.also for step in steps if step.also), "") for name, steps in groups}

    def work(name: str) -> tuple[int, int]:
        own = [_forward_work(graph, graph.node(one), images) for one in (name, also[name]) if one]
        return sum(flops for flops, _ in own), sum(elements for _, elements in own)

    layers = tuple(
        replace(_layer(name, values, work(name), network), method=methods[name], also=also[name])
        for name, values in times.items()
    )
    return Profile(layers, total, _machine(network))


def profiled_training(network: Network, images: int, runs: int) -> TrainingProfile:
    """Return how long each layer of ``network`` takes in a training step, forward and backward.

    The steps run on random images and labels; running statistics move on, parameters stay.

    Args:
        network: what to run.
        images: size of the batch.
        runs: steps that are measured, after one that is not.

    Raises:
        UsageError: if the network has no output of (classes,) or no trained parameters.
    """
    graph = network.graph
    classes = graph.shapes[logits_of(graph)]
    if len(classes) != 1:
        raise UsageError(f"the loss needs an output of (classes,), not {shape_text(classes)}")
    if not network.trained:
        raise UsageError(f"{graph.name} has no trained parameters: there is no training step")
    build = partial(Training, graph, images, network.setting, network.trained, network.gradients.arrays)
    training = complete(build, network.team.threads)
    generator = np.random.default_rng(0)
    for plain in training.lowered.inputs.values():
        plain[...] = generator.standard_normal(plain.shape)
    training.labels[:] = generator.integers(0, classes[0], images)
    parts = [_parts(training.forward), _parts(training.backward)]
    total, (forward, backward) = _measured(network, training.program, parts, runs)
    network.buffers.touch()
    loss = _layer(LOSS, forward.pop(""), _loss_work(classes[0], images), network)
    # What belongs to no node on the way back adds up the gradients of nodes that share parameters.
    backward.pop("", None)
    depends = training.lowered.plan.depends
    ahead = [
        _layer(name, values, _forward_work(graph, graph.node(name), images, training=True), network)
        for name, values in forward.items()
    ]
    back = [
        _layer(name, values, _backward_work(network, graph.node(name), images, depends.__getitem__), network)
        for name, values in backward.items()
    ]
    return TrainingProfile(tuple(ahead), loss, tuple(back), total, _machine(network))


def _parts(steps: Iterable[Step]) -> list[tuple[str, Program]]:
    """Return the steps as programs of those that follow each other for one node."""
    return [(name, Program(list(own))) for name, own in itertools.groupby(steps, lambda step: step.name)]


def _measured(
    network: Network, program: Program, parts: Sequence[Sequence[tuple[str, Program]]], runs: int
) -> tuple[float, list[dict[str, list[float]]]]:
    """Run the program as a whole and in parts, in turns; the first turn is not counted.

    Returns:
        The median of the whole, in seconds; for each list of parts, name -> seconds of each turn.
    """
    team = network.team
    whole: list[float] = []
    times: list[dict[str, list[float]]] = [{name: [] for name, _ in group} for group in parts]
    for turn in range(runs + 1):
        start = time.perf_counter()
        program.run(team)
        total = time.perf_counter() - start
        for group, laps in zip(parts, times):
            turn_laps = dict.fromkeys(laps, 0.0)
            for name, part in group:
                start = time.perf_counter()
                part.run(team)
                turn_laps[name] += time.perf_counter() - start
            if turn:
                for name, lap in turn_laps.items():
                    laps[name].append(lap)
        if turn:
            whole.append(total)
    return statistics.median(whole), times


def _machine(network: Network) -> Roofline:
    """Measure the machine's bounds with the network's threads."""
    team = network.team
    return measured(lambda steps: partial(Program(steps).run, team), team.threads, current(), network.precision)


def _layer(name: str, values: Sequence[float], work: tuple[int, int], network: Network) -> LayerTime:
    """Return a layer's line: ``work`` is floating-point operations and elements moved."""
    first, _, third = np.percentile(values, [25, 50, 75])
    flops, elements = work
    moved = ELEMENT_BYTES[network.precision] * elements
    return LayerTime(name, statistics.median(values), float(third - first), flops, moved)


def _forward_work(graph: Graph, node: Node, images: int, *, training: bool = False) -> tuple[int, int]:
    """Return the operations of a batch and the elements read and written."""
    inputs = graph.input_shapes(node)
    moved = images * (sum(map(product, inputs)) + product(graph.shapes[node.name]))
    return images * node.op.cost(*inputs, training=training).flops, moved + _size(graph, node)


def _backward_work(network: Network, node: Node, images: int, depends: Callable[[str], bool]) -> tuple[int, int]:
    """Return the operations of a batch and the elements read and written on the way back.

    Read are the output's gradient, the parameters if a gradient goes on to an input, and what the formula asks for of
    the forward pass; written are the gradients of inputs and parameters.
    """
    graph, op = network.graph, node.op
    inputs, trained = graph.input_shapes(node), node.name in network.trained
    cost = op.backward_cost(*inputs, trainable=trained)
    wanted = [depends(name) for name in node.inputs]
    flops = sum(part.flops for part, want in zip(cost.inputs, wanted) if want) + (cost.params.flops if trained else 0)
    saved = op.saved(to_input=any(wanted), trainable=trained)
    output = product(graph.shapes[node.name])
    moved = output + sum(product(shape) for shape, want in zip(inputs, wanted) if want)
    # The gradient of max pooling finds the maximum again, from input and output.
    moved += sum(map(product, inputs)) if saved & {"input", "indices"} else 0
    moved += output if saved & {"output", "indices"} else 0
    return images * flops, images * moved + _size(graph, node) * (any(wanted) + trained)


def _loss_work(classes: int, images: int) -> tuple[int, int]:
    """Return the operations and elements of softmax cross-entropy: the softmax, and its goal subtracted."""
    return images * classes * (ELEMENT_RULES["Softmax"].forward + 1), 2 * images * classes


def _size(graph: Graph, node: Node) -> int:
    """Return the elements of a node's parameters."""
    return sum(map(product, graph.params(node).values()))
