"""archcost's own engine, through the names that any user has."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from archcost.bench.cases import Case
from archcost.bench.prepared import Array, Weights, graph_of, inputs
from archcost.engine.network import Network
from archcost.train.dataset import Dataset, Split
from archcost.train.optimizers import Adam, Optimizer, StandardMomentum
from archcost.train.trainer import Trainer


def inference(case: Case, folder: Path, threads: int) -> Callable[[], Array]:
    """Return what runs the network on a batch: BatchNorm is folded, weights are packed at the first call."""
    network = _network(case, folder, threads, inference_only=True)
    images = inputs(folder)[0][0]

    def run() -> Array:
        found: Any = network(images)
        array: Array = found[0] if isinstance(found, tuple) else found
        return array

    return run


def training(case: Case, folder: Path, threads: int, learning_rate: float) -> Callable[[], float]:
    """Return what does a training step on the next batch, and returns its loss."""
    network = _network(case, folder, threads)
    images, labels = inputs(folder)
    rule: Optimizer = Adam(learning_rate) if case.optimizer == "adam" else StandardMomentum(learning_rate)
    trainer = Trainer(network, _dataset(network), optimizer=rule, batch_size=case.batch)
    turns = itertools.cycle(range(len(images)))

    def run() -> float:
        turn = next(turns)
        return trainer.step(images[turn], labels[turn])

    return run


def _network(case: Case, folder: Path, threads: int, *, inference_only: bool = False) -> Network:
    """Return the network with the weights of the case.

    None of its arrays is kept: who holds one may write into it, and weights would be packed before every pass.
    """
    network = Network(graph_of(case), threads=threads, initial="zeros", inference_only=inference_only)
    weights = Weights(folder)
    for tensors in (network.parameters, network.buffers):
        for name in tensors:
            tensors[name][...] = weights[name]
    weights.close()
    return network


def _dataset(network: Network) -> Dataset:
    """Return a data set of the network's images and classes, which a trainer asks for; no step reads it."""
    graph = network.graph
    shape, classes = graph.shapes[graph.inputs[0].name], graph.shapes[graph.outputs[0]][-1]
    images = np.random.default_rng(0).integers(0, 256, (2, *shape), np.uint8)
    split = Split(images, np.zeros(2, np.int64))
    return Dataset("noise", tuple(map(str, range(classes))), split, split)
