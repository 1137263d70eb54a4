"""How long each layer of a network takes, step by step, and what share of the machine's roofline that is."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from archcost.engine.network import Network
from archcost.engine.program import Program
from archcost.geometry import product
from archcost.kernels.profile_machine import Roofline, measured
from archcost.kernels.target import ELEMENT_BYTES, current


@dataclass(frozen=True)
class LayerTime:
    """What one layer did in one pass over a batch.

    Attributes:
        name: node of the graph; the conversions at the network's ends stand under its inputs and outputs.
        seconds: median over the runs.
        spread: difference of the third and first quartile, in seconds.
        flops: work of the batch by the graph's count.
        bytes: elements read, written and of parameters, each once.
    """

    name: str
    seconds: float
    spread: float
    flops: int
    bytes: int


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


def profiled(network: Network, images: int, runs: int) -> Profile:
    """Return how long each layer of ``network`` takes in inference.

    Args:
        network: what to run.
        images: size of the batch.
        runs: passes that are measured, after one that is not.
    """
    program, groups = network.inference_steps(images)
    team = network.team
    parts = [(name, Program(steps)) for name, steps in groups]
    times: dict[str, list[float]] = {name: [] for name, _ in parts}
    whole: list[float] = []
    for turn in range(runs + 1):
        start = time.perf_counter()
        program.run(team)
        total = time.perf_counter() - start
        laps = {}
        for name, part in parts:
            start = time.perf_counter()
            part.run(team)
            laps[name] = time.perf_counter() - start
        if turn:
            whole.append(total)
            for name, lap in laps.items():
                times[name].append(lap)
    machine = measured(lambda steps: partial(Program(steps).run, team), team.threads, current(), network.precision)
    layers = tuple(_layer(network, name, values, images) for name, values in times.items())
    return Profile(layers, statistics.median(whole), machine)


def _layer(network: Network, name: str, values: Sequence[float], images: int) -> LayerTime:
    graph, element = network.graph, ELEMENT_BYTES[network.precision]
    node = graph.node(name)
    inputs = graph.input_shapes(node)
    moved = images * (sum(map(product, inputs)) + product(graph.shapes[name]))
    moved += sum(map(product, graph.params(node).values()))
    first, _, third = np.percentile(values, [25, 50, 75])
    work = images * node.op.cost(*inputs).flops
    return LayerTime(name, statistics.median(values), float(third - first), work, element * moved)
