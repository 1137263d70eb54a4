"""A small problem for the tests of training: stripes of three directions under noise, and a network for them."""

from __future__ import annotations

import numpy as np

from archcost.build import Sequential
from archcost.graph import Graph
from archcost.ops import BatchNorm2d, Conv2d, Dropout, Flatten, GlobalAvgPool, Linear, ReLU
from archcost.train.dataset import Dataset, Split

CLASSES = ("rows", "columns", "diagonals")


def split(count: int, seed: int) -> Split:
    generator = np.random.default_rng(seed)
    labels = np.arange(count) % len(CLASSES)
    rows, columns = np.mgrid[:8, :8]
    waves = np.stack([rows, columns, rows + columns])[labels]
    phases = generator.uniform(0, 6.3, (count, 1, 1))
    images = 128 + 70 * np.sin(waves * 1.6 + phases) + generator.normal(0, 30, (count, 8, 8))
    return Split(images.clip(0, 255).astype(np.uint8)[:, np.newaxis], labels.astype(np.int64))


def stripes(train: int = 90, test: int = 45) -> Dataset:
    return Dataset("stripes", CLASSES, split(train, 1), split(test, 2))


def network(outputs: int = 3, *, dropout: float = 0.0) -> Graph:
    """Return a network with batch statistics and, if asked, masks."""
    layers = {
        "conv1": Conv2d(8, 3, padding=1, bias=False),
        "bn1": BatchNorm2d(),
        "relu1": ReLU(),
        "conv2": Conv2d(8, 3, padding=1),
        "relu2": ReLU(),
        "pool": GlobalAvgPool(),
        "flatten": Flatten(),
        "drop": Dropout(dropout),
        "fc": Linear(outputs),
    }
    return Sequential(layers, (1, 8, 8), name="stripes_net")
