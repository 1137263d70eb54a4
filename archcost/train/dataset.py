"""What every data set is: named classes and two splits of 8-bit images that are had a batch at a time.

A split holds either an array of images or a source that makes them when a batch asks for them (files to decode, digits
to draw), so that a background thread does the work of one batch at a time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from archcost.errors import UsageError
from archcost.geometry import shape_text

if TYPE_CHECKING:
    from numpy.typing import NDArray


class ImageSource(Protocol):
    """Images of one shape that are made when they are asked for; calls from several threads must be safe."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of every image."""

    def __len__(self) -> int: ...

    def take(self, indices: NDArray[np.intp], /) -> NDArray[np.uint8]:
        """Return the images with these indices: shape (n, channels, height, width)."""


@dataclass(frozen=True)
class Chosen:
    """Some images of a source, in an order of their own."""

    source: ImageSource
    indices: NDArray[np.intp]

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.source.shape

    def __len__(self) -> int:
        return len(self.indices)

    def take(self, indices: NDArray[np.intp], /) -> NDArray[np.uint8]:
        return self.source.take(self.indices[indices])


@dataclass(frozen=True, eq=False)
class Split:
    """The images and labels of one part of a data set.

    Args:
        images: unsigned 8-bit images of shape (N, C, H, W), or a source of N such images.
        labels: class indices of shape (N,), 64-bit integers.

    Raises:
        UsageError: the images are no such array, or their number differs from the number of labels.
    """

    images: NDArray[np.uint8] | ImageSource
    labels: NDArray[np.int64]

    def __post_init__(self) -> None:
        if isinstance(self.images, np.ndarray) and (self.images.ndim != 4 or self.images.dtype != np.uint8):
            raise UsageError(
                f"images must be uint8 of shape (N, C, H, W), not {self.images.dtype} of shape {self.images.shape}"
            )
        if self.labels.ndim != 1 or self.labels.dtype != np.int64:
            raise UsageError(
                f"labels must be int64 of shape (N,), not {self.labels.dtype} of shape {self.labels.shape}"
            )
        if len(self.images) != len(self.labels):
            raise UsageError(f"{len(self.images)} images, but {len(self.labels)} labels")

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of every image."""
        if isinstance(self.images, np.ndarray):
            _, channels, height, width = self.images.shape
            return channels, height, width
        return self.images.shape

    def take(self, indices: NDArray[np.intp]) -> NDArray[np.uint8]:
        """Return some images, in the order of the indices, as an array of their own.

        Args:
            indices: positions in the split, shape (n,).

        Returns:
            unsigned 8-bit images of shape (n, C, H, W).
        """
        if isinstance(self.images, np.ndarray):
            return self.images[indices]
        return self.images.take(indices)

    def subset(self, indices: NDArray[np.intp]) -> Split:
        """Return the split of these images only, in the order of the indices; nothing is decoded."""
        if isinstance(self.images, np.ndarray):
            return Split(self.images[indices], self.labels[indices])
        return Split(Chosen(self.images, np.asarray(indices)), self.labels[indices])


@dataclass(frozen=True, eq=False)
class Dataset:
    """A data set: images of one shape with one label each, in a part to train on and a part to test on.

    Args:
        name: what every line and file calls it, such as ``mnist`` or ``synthetic-digits``.
        classes: the name of each class; a label is an index into them.
        train: the images to train on.
        test: the images to test on, of the same shape.
        note: one line on what was done to the data, such as a resize or a split of its own; empty if nothing was.

    Raises:
        UsageError: a part is empty, a label is out of range, or the parts' images differ in shape.
    """

    name: str
    classes: tuple[str, ...]
    train: Split
    test: Split
    note: str = ""

    def __post_init__(self) -> None:
        for part, split in (("training", self.train), ("test", self.test)):
            if not len(split):
                raise UsageError(f"{self.name}: no {part} images")
            low, high = int(split.labels.min()), int(split.labels.max())
            if low < 0 or high >= len(self.classes):
                wrong = low if low < 0 else high
                last = len(self.classes) - 1
                raise UsageError(f"{self.name}: a {part} label is {wrong}; {last + 1} classes have 0 to {last}")
        if self.train.shape != self.test.shape:
            shapes = (
                f"training images are {shape_text(self.train.shape)}, but test images {shape_text(self.test.shape)}"
            )
            raise UsageError(f"{self.name}: {shapes}")

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of every image."""
        return self.train.shape


def last_tenth(labels: NDArray[np.int64]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the indices to train on and to test on, for data that comes without a test part.

    Of every class the last tenth (at least one image) is kept for the test, in the order of the data: no seed decides,
    and near-copies that follow one another, as the frames of a film do, do not stand on both sides.

    Raises:
        UsageError: a class has one image only.
    """
    training, test = [], []
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        if len(members) < 2:
            raise UsageError(f"class {label} has one image only: two are the least, one to train on and one to test on")
        kept = len(members) - max(1, len(members) // 10)
        training.append(members[:kept])
        test.append(members[kept:])
    return np.sort(np.concatenate(training)), np.sort(np.concatenate(test))
