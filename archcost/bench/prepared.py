"""What every runtime gets of a case: the same weights and the same images, in files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from archcost.bench.cases import Case
from archcost.graph import Graph
from archcost.interop.state import State
from archcost.ops import BatchNorm2d
from archcost.ops.activation import Activation
from archcost.zoo.catalogue import load

Array = npt.NDArray[Any]

ONNX, WEIGHTS, INPUTS = "network.onnx", "weights.npz", "inputs.npz"

BRANCH = 0.25
"""Factor of a normalisation that ends a branch. Where the branches of a deep network with random weights outweigh what
they are added to, values grow from block to block until gates turn at rounding errors; no trained network does that."""


def graph_of(case: Case) -> Graph:
    """Return the network of a case."""
    return load(case.model, **case.options)


def prepare(case: Case, folder: Path, *, onnx: bool) -> None:
    """Write weights and images of a case into ``folder``, and the network as ONNX if that is asked for.

    The weights are the architecture's first ones; factors, shifts and statistics of its normalisations, and its biases,
    are drawn, so that folding them wrongly would show.
    """
    graph = graph_of(case)
    state = State(graph)
    if not case.optimizer:
        _draw(graph, {**state.parameters.arrays, **state.buffers.arrays})
    arrays = {**state.parameters.arrays, **state.buffers.arrays}
    if onnx:
        from archcost.interop.onnx.writing import write_onnx

        write_onnx(folder / ONNX, graph, arrays)
    named: dict[str, Any] = arrays
    np.savez(folder / WEIGHTS, **named)
    generator = np.random.default_rng(1)
    image, classes = graph.shapes[graph.inputs[0].name], graph.shapes[graph.outputs[0]][-1]
    images = generator.standard_normal((case.inputs, case.batch, *image), np.float32)
    np.savez(folder / INPUTS, images=images, labels=generator.integers(0, classes, (case.inputs, case.batch)))


def _draw(graph: Graph, arrays: Mapping[str, Array]) -> None:
    generator = np.random.default_rng(0)
    activated = {name for node in graph if isinstance(node.op, Activation) for name in node.inputs}
    quiet = {node.name for node in graph if isinstance(node.op, BatchNorm2d) and node.name not in activated}
    for name, array in arrays.items():
        if array.ndim == 1 and array.dtype.kind == "f":
            low, high = (0.8, 1.25) if name.endswith(("weight", "running_var")) else (-0.1, 0.1)
            factor = BRANCH if name.endswith(".weight") and name.rpartition(".")[0] in quiet else 1.0
            array[...] = factor * generator.uniform(low, high, array.shape)


class Weights(Mapping[str, Array]):
    """The arrays of a file, each read when it is asked for, so that they are never all in memory twice."""

    def __init__(self, folder: Path) -> None:
        self._file = np.load(folder / WEIGHTS, allow_pickle=False)

    def __getitem__(self, name: str) -> Array:
        array: Array = self._file[name]
        return array

    def __iter__(self) -> Iterator[str]:
        return iter(self._file.files)

    def __len__(self) -> int:
        return len(self._file.files)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def inputs(folder: Path) -> tuple[Array, Array]:
    """Return the images (inputs, batch, C, H, W) and labels (inputs, batch) of a case."""
    with np.load(folder / INPUTS, allow_pickle=False) as file:
        return file["images"], file["labels"]
