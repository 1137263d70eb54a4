"""Evaluation: loss and accuracy of images, by one network or several, from one crop or several."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from archcost.engine.network import Network
from archcost.engine.training import LossName
from archcost.errors import UsageError
from archcost.train.loader import Batch

Array = npt.NDArray[Any]

CROPS = (1, 2, 5, 10)
"""Whole; and mirrored; centre and four corners; those and mirrored (Krizhevsky et al. 2012, section 4.1)."""

SMALLEST = 1e-30
"""Keeps the logarithm of a probability of 0 finite."""


class Evaluation(NamedTuple):
    """How good predictions are.

    Attributes:
        loss: mean over the images.
        accuracy: share of the images that are right. With binary cross-entropy, an image is right if each of its
            outputs lies on the right side of one half; else if its largest output is that of its class.
        images: how many there were.
    """

    loss: float
    accuracy: float
    images: int


def crops(images: Array, count: int) -> Iterator[Array]:
    """Yield versions of images, each of the same shape (N, C, H, W).

    Corners are moved by an eighth of the side; what comes in from outside repeats the border.

    Raises:
        UsageError: for another count than ``CROPS`` has.
    """
    if count not in CROPS:
        raise UsageError(f"`crops` (={count}) must be {', '.join(map(str, CROPS[:-1]))} or {CROPS[-1]}")
    height, width = images.shape[2:]
    down, right = max(1, height // 8), max(1, width // 8)
    corners = [(down, right)]
    padded = images
    if count >= 5:
        padded = np.pad(images, ((0, 0), (0, 0), (down, down), (right, right)), mode="edge")
        corners += [(0, 0), (0, 2 * right), (2 * down, 0), (2 * down, 2 * right)]
    else:
        corners = [(0, 0)]
    for top, left in corners:
        crop = padded[:, :, top : top + height, left : left + width]
        yield crop
        if count in (2, 10):
            yield crop[:, :, :, ::-1]


def probabilities(logits: Array, loss: LossName) -> Array:
    """Return what outputs (N, K) predict, float64 (N, K): shares of the classes; of each output for "bce"; "mse": as
    they are.
    """
    values = logits.astype(np.float64)
    if loss == "softmax":
        powers = np.exp(values - values.max(axis=1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=1, keepdims=True))
    if loss == "bce":
        power = np.exp(-np.abs(values))
        return np.asarray(np.where(values >= 0, 1, power) / (1 + power))
    return values


def predictions(networks: Sequence[Network], images: Array, loss: LossName, count: int = 1) -> Array:
    """Return the mean prediction of some networks for some crops of images, float64 (N, K)."""
    total: Array | None = None
    versions = 0
    for crop in crops(images, count):
        for network in networks:
            found = probabilities(network.logits(crop), loss)
            total = found if total is None else total + found
            versions += 1
    assert total is not None
    return np.asarray(total / versions)


def goals(labels: npt.NDArray[np.int64], outputs: int) -> npt.NDArray[np.float64]:
    """Return what outputs should be, (N, K): 1 for an image's class and 0 else; a single output is 1 for class 1."""
    if outputs == 1:
        return labels.astype(np.float64)[:, np.newaxis]
    return np.eye(outputs)[labels]


def evaluated(
    networks: Sequence[Network], batches: Iterable[Batch], loss: LossName = "softmax", *, count: int = 1
) -> Evaluation:
    """Return loss and accuracy of batches of images.

    Args:
        networks: whose predictions are averaged.
        batches: images, float32 (n, C, H, W), and labels, int64 (n,).
        loss: what the outputs mean, and the loss that is reported.
        count: crops of each image whose predictions are averaged too.
    """
    total, right, seen = 0.0, 0, 0
    for images, labels in batches:
        found = predictions(networks, images, loss, count)
        wanted = goals(labels, found.shape[1])
        if loss == "softmax":
            total -= float(np.log(np.maximum(found[np.arange(len(labels)), labels], SMALLEST)).sum())
        elif loss == "bce":
            shares = np.where(wanted == 1, found, 1 - found)
            total -= float(np.log(np.maximum(shares, SMALLEST)).mean(axis=1).sum())
        else:
            total += float(np.square(found - wanted).mean(axis=1).sum())
        hits = ((found > 0.5) == wanted).all(axis=1) if loss == "bce" else found.argmax(axis=1) == labels
        right += int(hits.sum())
        seen += len(labels)
    return Evaluation(total / seen, right / seen, seen)
