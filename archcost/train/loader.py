"""Batches for training and evaluation: taken, fitted, augmented and normalised ahead, in threads of their own.

The lecture's picture is disk -> CPU thread -> compute. Which images form a batch follows from seed and epoch, and what
happens to an image from seed, epoch and its index, so that the batches are the same bits for any number of threads.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Iterable, Sequence

import numpy as np
import numpy.typing as npt

from archcost.errors import UsageError
from archcost.kernels.augment import make_batch
from archcost.kernels.random_numbers import state_of, words
from archcost.train.ahead import computed_ahead
from archcost.train.augment import Augmentation, augmentations, check_fits, color_axes, settings_of
from archcost.train.dataset import Split
from archcost.train.fitting import fitting
from archcost.train.normalisation import spread
from archcost.train.seed import check_seed

Batch = tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]

ORDER = -1
"""Tells the stream of an epoch's order from the streams of images, whose numbers are not negative."""

COLOR_SAMPLE = 2000


class Loader:
    """Batches of a split.

    Args:
        split: images and labels.
        batch_size: images of a batch.
        shuffle: a new order in each epoch; else the split's own.
        seed: of order and augmentation.
        augment: augmentations, or their text (``mirror,crop``).
        mean: subtracted from each channel of the network's input, where white is 1: one number, or one a channel.
        std: what channels are divided by.
        size: channels, height and width of the network's input; None for the images' own.
        drop_last: leave out a last batch that is not full.
        workers: threads that prepare batches; 0 for none: the batch is made when it is asked for.
        ahead: batches that they prepare ahead of the one that is asked for.

    Attributes:
        note: one line on how images are fitted to the input; empty if they fit.

    Raises:
        UsageError: for an option that is not allowed, or one that does not fit the images.
    """

    def __init__(
        self,
        split: Split,
        batch_size: int,
        *,
        shuffle: bool = False,
        seed: int = 0,
        augment: Iterable[Augmentation] | str = (),
        mean: float | Sequence[float] = 0.0,
        std: float | Sequence[float] = 1.0,
        size: tuple[int, int, int] | None = None,
        drop_last: bool = False,
        workers: int = 1,
        ahead: int = 2,
    ) -> None:
        for name, value, least in (("batch_size", batch_size, 1), ("workers", workers, 0), ("ahead", ahead, 1)):
            if value < least:
                raise UsageError(f"`{name}` (={value}) must be at least {least}")
        check_seed(seed)
        if not len(split):
            raise UsageError("there are no images to load")
        if drop_last and len(split) < batch_size:
            raise UsageError(
                f"`drop_last` leaves no batch: {len(split)} images are less than `batch_size` (={batch_size})"
            )
        self.split, self.batch_size, self.seed, self.workers, self.ahead = split, batch_size, seed, workers, ahead
        self._shuffle, self._drop_last = shuffle, drop_last
        self._fitting = fitting(split.shape, split.shape if size is None else size)
        self.note = self._fitting.note
        chosen = augmentations(augment) if isinstance(augment, str) else list(augment)
        source, target = self._fitting.source, self._fitting.target
        check_fits(chosen, (source[0], *target[1:]))
        self._settings = settings_of(chosen)
        self._axes = np.zeros((3, 3))
        if any(one.name == "pca" for one in chosen):
            if target[0] != 3:
                raise UsageError(f"augmentation `pca` needs an input of 3 channels, not {target[0]}")
            self._axes = color_axes(split.take(spread(len(split), COLOR_SAMPLE)))
        self._scales = _scales(mean, std, target[0])

    def __len__(self) -> int:
        """Return the number of batches of an epoch."""
        return len(self.split) // self.batch_size if self._drop_last else math.ceil(len(self.split) / self.batch_size)

    def order(self, epoch: int) -> npt.NDArray[np.intp]:
        """Return the indices of all images in the order of an epoch, int64 (images,)."""
        if not self._shuffle:
            return np.arange(len(self.split))
        # Sorting random numbers gives every order the same chance, and the same order whatever the version of NumPy.
        return np.argsort(words(state_of(self.seed, epoch, ORDER), len(self.split)), kind="stable")

    def epoch(self, number: int = 0, *, first: int = 0) -> Generator[Batch, None, None]:
        """Yield the batches of an epoch; the threads end with the iteration, however it ends.

        Args:
            number: of the epoch, from 0: another order and other augmentation.
            first: batch to begin with, as when training is continued in the middle of an epoch.

        Yields:
            Images, float32 (n, channels, height, width), and labels, int64 (n,).

        Raises:
            UsageError: if the number is negative or ``first`` is no batch of the epoch. What the split raises is raised
                at its batch.
        """
        if number < 0:
            raise UsageError(f"`epoch` (={number}) must not be negative")
        if not 0 <= first <= len(self):
            raise UsageError(f"`first` (={first}) must be a batch from 0 to {len(self)}")
        order = self.order(number)

        def batch(index: int) -> Batch:
            return self._batch(order[index * self.batch_size : (index + 1) * self.batch_size], number)

        yield from computed_ahead(batch, range(first, len(self)), self.workers, self.ahead)

    def _batch(self, indices: npt.NDArray[np.intp], epoch: int) -> Batch:
        images = self.split.take(indices)
        if images.dtype != np.uint8 or images.shape != (len(indices), *self._fitting.source):
            raise UsageError(
                f"the split must give uint8 images of shape {(len(indices), *self._fitting.source)}, "
                f"not {images.dtype} of shape {images.shape}"
            )
        target = np.empty((len(indices), *self._fitting.target), np.float32)
        make_batch(
            np.ascontiguousarray(images), target, np.ascontiguousarray(indices, np.int64), self.seed, epoch,
            self._settings, self._scales, self._axes, resized=self._fitting.resized,
        )  # fmt: skip
        return target, self.split.labels[indices]


def _scales(mean: float | Sequence[float], std: float | Sequence[float], channels: int) -> npt.NDArray[np.float32]:
    """Return factor and summand of each channel that normalise values from 0 to 255, (channels, 2)."""
    columns = []
    for name, given in (("mean", mean), ("std", std)):
        numbers = np.atleast_1d(np.asarray(given, np.float64))
        if numbers.shape not in {(1,), (channels,)} or not np.isfinite(numbers).all():
            raise UsageError(f"`{name}` (={given}) must be one number, or one for each of {channels} channels")
        columns.append(np.broadcast_to(numbers, (channels,)))
    if columns[1].min() <= 0:
        raise UsageError(f"`std` (={std}) must be above 0")
    return np.stack([1 / (255 * columns[1]), -columns[0] / columns[1]], axis=1).astype(np.float32)
