"""Mean and standard deviation of a data set's channels, to normalise by."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from archcost.kernels.augment import GREY
from archcost.train.dataset import Split

SAMPLE = 10_000
BATCH = 500


class Normalisation(NamedTuple):
    """What a network's input is normalised by: (value - mean) / std, where white is 1.

    Attributes:
        mean: of each channel.
        std: standard deviation of each channel; 1 where a channel has one value only.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]


def spread(count: int, sample: int) -> npt.NDArray[np.intp]:
    """Return up to ``sample`` of ``count`` indices, evenly spread."""
    return np.unique(np.linspace(0, count - 1, min(count, sample)).astype(np.intp))


def normalisation(split: Split, channels: int | None = None, *, sample: int = SAMPLE) -> Normalisation:
    """Return mean and standard deviation of a split's channels, over all pixels.

    Args:
        split: images to train on.
        channels: channels of the network's input; None for the images' own.
        sample: of a larger split, this many images that are evenly spread; the result depends on nothing else.
    """
    planes = split.shape[0] if channels is None else channels
    grey = planes == 1 and split.shape[0] == 3
    total, squares, pixels = np.zeros(split.shape[0]), np.zeros(split.shape[0]), 0
    chosen = spread(len(split), sample)
    for start in range(0, len(chosen), BATCH):
        images = split.take(chosen[start : start + BATCH]).astype(np.float64) / 255
        if grey:
            images = np.tensordot(GREY, images, (0, 1))[:, np.newaxis]
        total = total[: images.shape[1]] + images.sum(axis=(0, 2, 3))
        squares = squares[: images.shape[1]] + np.square(images).sum(axis=(0, 2, 3))
        pixels += images[:, 0].size
    mean = total / pixels
    std = np.sqrt(np.maximum(squares / pixels - mean**2, 0))
    std = np.where(std < 1e-6, 1.0, std)
    repeats = planes // len(mean)
    return Normalisation(tuple(mean.tolist() * repeats), tuple(std.tolist() * repeats))
