"""Digits that the package draws itself, in MNIST's format: for machines that have neither MNIST nor a network.

They look handwritten, but nobody wrote them: every line and file calls the data set ``synthetic-digits``, and figures
that were reached on it say nothing about MNIST.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

from archcost.errors import UsageError
from archcost.kernels.digits import SIDE
from archcost.kernels.direct import address_of, run_step
from archcost.train.dataset import Dataset, Split
from archcost.train.digit_shapes import FORMS
from archcost.train.seed import check_seed

NAME = "synthetic-digits"
LARGEST = 10_000_000
PARTS = {"train": 0, "test": 1}


class DrawnDigits:
    """One part of the data set: an image is drawn when it is asked for the first time, and kept.

    Args:
        count: number of images.
        seed: of the data set.
        part: "train" or "test".

    Attributes:
        shape: of every image, (1, 28, 28).
        labels: the digits, int64 (count,); nothing needs to be drawn for them.
    """

    shape: tuple[int, int, int] = (1, SIDE, SIDE)

    def __init__(self, count: int, seed: int, part: str) -> None:
        self._seed, self._part = seed, PARTS[part]
        self._images = np.empty((count, *self.shape), np.uint8)
        self._drawn = np.zeros(count, np.bool_)
        self.labels = np.zeros(count, np.int64)
        self._draw(None, np.arange(count), self.labels)

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: npt.NDArray[np.intp], /) -> npt.NDArray[np.uint8]:
        """Return the images with these indices, uint8 (n, 1, 28, 28)."""
        indices = np.asarray(indices)
        drawn = self._drawn[indices]
        if not drawn.all():
            # Two threads may draw the same image at the same time: they write the same bytes.
            missing = np.arange(len(self))[indices[~drawn]]
            images = np.empty((len(missing), *self.shape), np.uint8)
            self._draw(images, missing, None)
            self._images[missing] = images
            self._drawn[missing] = True
        return self._images[indices]

    def _draw(
        self, images: npt.NDArray[np.uint8] | None, numbers: npt.NDArray[np.int64], labels: npt.NDArray[np.int64] | None
    ) -> None:
        """Write images or labels (or both) of these numbers."""
        points, of_stroke, of_form, of_class = skeletons()
        numbers = np.ascontiguousarray(numbers, np.int64)
        arguments = (
            0 if images is None else address_of(images), len(numbers), address_of(numbers), self._seed, self._part,
            address_of(points), len(points), address_of(of_stroke), address_of(of_form), address_of(of_class),
            len(of_class) - 1, 0 if labels is None else address_of(labels),
        )  # fmt: skip
        run_step("digits", "drawing_step", (), arguments)


@cache
def skeletons() -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the digits' forms as tables: points, and where the points, strokes and forms of each next thing begin.

    Returns:
        points: row and column in the digit's box, and 1 where the pen changes direction, (points, 3).
        of_stroke: first point of each stroke, and the number of points.
        of_form: first stroke of each form, and the number of strokes.
        of_class: first form of each digit, and the number of forms.
    """
    points: list[tuple[float, float, float]] = []
    of_stroke, of_form, of_class = [0], [0], [0]
    for forms in FORMS:
        for form in forms:
            for stroke in form:
                for text in stroke.split():
                    across, down = text.rstrip("!").split(",")
                    points.append((float(down) / 100, float(across) / 100, float(text.endswith("!"))))
                of_stroke.append(len(points))
            of_form.append(len(of_stroke) - 1)
        of_class.append(len(of_form) - 1)
    return np.array(points), np.array(of_stroke), np.array(of_form), np.array(of_class)


def synthetic_digits(train: int = 60_000, test: int = 10_000, seed: int = 0) -> Dataset:
    """Return a data set of drawn digits, 28x28 pixels of 8 bits, white on black.

    Image i of a part depends on the seed, the part and i alone: a smaller data set is the beginning of a larger one.

    Args:
        train: number of images to train on.
        test: number of images to test on.
        seed: of everything that is random about them.

    Returns:
        The data set ``synthetic-digits``; its images are drawn when they are taken for the first time.

    Raises:
        UsageError: if a number is not positive or very large, or the seed does not fit into 63 bits.
    """
    for name, count in (("train", train), ("test", test)):
        if not 1 <= count <= LARGEST:
            raise UsageError(f"`{name}` (={count}) must be a number of images from 1 to {LARGEST}")
    check_seed(seed)
    parts = {part: DrawnDigits(count, seed, part) for part, count in (("train", train), ("test", test))}
    return Dataset(
        NAME,
        tuple("0123456789"),
        Split(parts["train"], parts["train"].labels),
        Split(parts["test"], parts["test"].labels),
        "drawn by archcost itself, not MNIST",
    )
