"""The engine beside another execution of the same network on the same arrays: how far are their numbers apart?

The network runs as inference runs it, with operators fused; and each operator runs alone, on what the other execution
has computed before it. So rounding does not add up, and an operator that is wrong is known by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from archcost.engine.lowering import Lowered, Setting
from archcost.engine.program import Program, grouped
from archcost.engine.team import Team, team, thread_count
from archcost.graph import Graph
from archcost.kernels.layout import Array
from archcost.kernels.target import Precision, current


class Tolerance(NamedTuple):
    """Largest differences, relative to the largest element of an output.

    Attributes:
        outputs: of the network's outputs, where the rounding of all operators adds up.
        operators: of an operator alone.
    """

    outputs: float
    operators: float


TOLERANCES: dict[Precision, Tolerance] = {"float64": Tolerance(1e-9, 1e-12), "float32": Tolerance(1e-3, 1e-5)}


@dataclass(frozen=True)
class Agreement:
    """How far the engine's outputs are from given ones.

    Attributes:
        outputs: output of the network -> its difference when operators are fused.
        operators: node -> the difference of its output when it runs alone.
        tolerance: what they may be.
    """

    outputs: dict[str, float]
    operators: dict[str, float]
    tolerance: Tolerance


def side_by_side(
    graph: Graph,
    parameters: Mapping[str, Array],
    buffers: Mapping[str, Array],
    inputs: Mapping[str, Array],
    values: Mapping[str, Array],
    *,
    threads: int | None = None,
) -> Agreement:
    """Run inference with the engine and compare every output with ``values``.

    Args:
        graph: the network.
        parameters: full name -> array in the graph's shape, contiguous.
        buffers: the same for running statistics and the like.
        inputs: input node -> (N, ...).
        values: node -> its output (N, ...), for every node.
        threads: as in ``Network``.

    Raises:
        GraphError: if an operator or a shape of the graph cannot be run.
    """
    precision: Precision = "float32" if next(iter(inputs.values())).dtype == np.float32 else "float64"
    setting = Setting(current(), precision, parameters, buffers, np.zeros((len(graph), 3), np.int64))
    workers = team(thread_count(threads))
    # One after the other: the packed weights of a program are as large as the network's own.
    outputs = _outputs(graph, setting, inputs, values, workers)
    return Agreement(outputs, _operators(graph, setting, inputs, values, workers), TOLERANCES[precision])


def _outputs(
    graph: Graph, setting: Setting, inputs: Mapping[str, Array], values: Mapping[str, Array], workers: Team
) -> dict[str, float]:
    """Return the difference of each of the network's outputs."""
    lowered = _lowered(graph, setting, inputs, keep=False)
    Program([*lowered.forward, *lowered.finish]).run(workers)
    return {name: _difference(array, values[name]) for name, array in lowered.outputs.items()}


def _operators(
    graph: Graph, setting: Setting, inputs: Mapping[str, Array], values: Mapping[str, Array], workers: Team
) -> dict[str, float]:
    """Return the difference of each operator's output, given what ``values`` hold for its inputs."""
    lowered = _lowered(graph, setting, inputs, keep=True)
    steps = dict(grouped(lowered.forward))
    differences = {}
    for node in graph:
        tensor, expected = lowered.tensors[node.name], values[node.name]
        Program(steps.get(node.name, [])).run(workers)
        images, channels, height, width = (tensor.images, *tensor.shape)
        if tensor.channels_last:
            expected = expected.reshape(images, height, width, channels).transpose(0, 3, 1, 2)
        expected = expected.reshape(images, channels, height, width)
        differences[node.name] = _difference(tensor.read(), expected)
        tensor.write(expected)
    return differences


def _lowered(graph: Graph, setting: Setting, inputs: Mapping[str, Array], *, keep: bool) -> Lowered:
    """Return the forward pass of inference with its inputs filled."""
    lowered = Lowered(graph, len(next(iter(inputs.values()))), setting, training=False, keep=keep)
    for name, plain in lowered.inputs.items():
        plain[...] = inputs[name]
    return lowered


def _difference(found: Array, expected: Array) -> float:
    """Return the largest difference relative to the largest expected element; infinite where a number is missing."""
    apart = float(np.max(np.abs(found - expected), initial=0.0))
    largest = float(np.max(np.abs(expected), initial=0.0))
    return np.inf if np.isnan(apart) else apart / (largest or 1.0)
