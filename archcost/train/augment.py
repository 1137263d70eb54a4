"""Augmentation: the lecture's distortions of training images, written ``mirror,crop,rotate=10,warp,color=0.1``.

The lecture lists mirroring, random cropping, rotation, shearing, local warping and colour shifting. Each takes one
number, its strength; without it, the default below. The order in which they are written does not matter: geometry comes
first (in one interpolation), then colours, then noise, then erasing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from archcost.errors import UsageError, did_you_mean
from archcost.kernels import resample
from archcost.kernels.augment import SETTINGS, make_batch
from archcost.train.seed import check_seed

Pixel = TypeVar("Pixel", np.uint8, np.float32)


@dataclass(frozen=True)
class Rule:
    """What an augmentation's number means.

    Attributes:
        place: where the kernels read it.
        summary: what is done, with ``V`` for the number.
        default: the number if none is given.
        least: the smallest that is allowed; 0 where it must be larger than 0.
        most: the largest that is allowed.
        whole: whether it is a whole number.
    """

    place: int
    summary: str
    default: float
    most: float
    least: float = 0
    whole: bool = False

    def range_text(self) -> str:
        """Return which numbers are allowed."""
        if self.whole:
            return f"a whole number from {self.least:g} to {self.most:g}"
        return f"above 0 and at most {self.most:g}"


RULES: dict[str, Rule] = {
    "mirror": Rule(resample.MIRROR, "left and right exchanged with probability V", 0.5, 1),
    "crop": Rule(resample.CROP, "padded by V black pixels and cropped at a random place", 4, 1024, 1, whole=True),
    "rotate": Rule(resample.ROTATE, "rotated by up to V degrees either way", 10, 180),
    "shear": Rule(resample.SHEAR, "columns slanted by up to V degrees either way", 5, 60),
    "scale": Rule(resample.SCALE, "enlarged or reduced by up to the share V", 0.1, 0.9),
    "warp": Rule(resample.WARP, "bent locally and smoothly, by less than the share V of a side", 0.1, 0.5),
    "color": Rule(resample.COLOR, "red, green and blue shifted by up to the share V of white, each for itself", 0.1, 1),
    "brightness": Rule(resample.BRIGHTNESS, "all channels shifted by up to the share V of white", 0.2, 1),
    "contrast": Rule(resample.CONTRAST, "contrast about mid-grey changed by up to the share V", 0.2, 1),
    "pca": Rule(resample.PCA, "shifted along the colours' principal components, deviation V (AlexNet)", 0.1, 10),
    "erase": Rule(resample.ERASE, "a square of the share V of a side set to the mean (cutout)", 0.25, 1),
    "noise": Rule(resample.NOISE, "noise added, of the standard deviation V of white", 0.05, 1),
}
"""The augmentations by name.

Sources: the lecture's list of distortions; "pca" Krizhevsky et al. 2012 (AlexNet), section 4.1, with colours on a scale
where white is 1; "warp" after Simard et al. 2003; "erase" DeVries & Taylor 2017 (Cutout), with the data set's mean.
"""


@dataclass(frozen=True)
class Augmentation:
    """One augmentation and its strength.

    Args:
        name: one of ``RULES``.
        value: its strength; None for the default.

    Raises:
        UsageError: for an unknown name or a strength that is not allowed.
    """

    name: str
    value: float

    def __init__(self, name: str, value: float | None = None) -> None:
        if name not in RULES:
            raise UsageError(f"unknown augmentation {name!r}{did_you_mean(name, RULES)}; there are {', '.join(RULES)}")
        rule = RULES[name]
        number = rule.default if value is None else float(value)
        fits = (rule.least <= number if rule.least else number > 0) and number <= rule.most
        if not fits or (rule.whole and number != int(number)):
            raise UsageError(f"augmentation `{name}` (={value:g}) must be {rule.range_text()}")
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "value", number)

    def __str__(self) -> str:
        return f"{self.name}={self.value:g}"


def augmentations(text: str) -> list[Augmentation]:
    """Read augmentations as the command line has them.

    Args:
        text: names with or without a number, such as ``mirror,crop=4,rotate``; empty or ``none`` for none.

    Returns:
        The augmentations in the order of the text.

    Raises:
        UsageError: for an unknown name, a name that comes twice, or a number that is none or not allowed.
    """
    result: list[Augmentation] = []
    if text.strip() in {"", "none"}:
        return result
    for part in text.split(","):
        name, equals, number = (piece.strip() for piece in part.partition("="))
        value = None
        if equals and name in RULES:
            try:
                value = float(number)
            except ValueError:
                raise UsageError(f"augmentation `{name}` (={number!r}) must be {RULES[name].range_text()}") from None
        if any(name == other.name for other in result):
            raise UsageError(f"augmentation `{name}` is given twice")
        result.append(Augmentation(name, value))
    return result


def settings_of(chosen: Iterable[Augmentation]) -> npt.NDArray[np.float64]:
    """Return the kernels' table of settings.

    Raises:
        UsageError: if an augmentation comes twice.
    """
    settings = np.zeros(SETTINGS)
    for one in chosen:
        place = RULES[one.name].place
        if settings[place]:
            raise UsageError(f"augmentation `{one.name}` is given twice")
        settings[place] = one.value
    return settings


def check_fits(chosen: Iterable[Augmentation], shape: tuple[int, int, int]) -> None:
    """Check that augmentations can be applied to images of a shape (channels, height, width).

    Raises:
        UsageError: if a crop can miss the image, or colours are asked of an image that has none.
    """
    channels, height, width = shape
    for one in chosen:
        if one.name == "crop" and one.value >= min(height, width):
            raise UsageError(
                f"augmentation `crop` (={one.value:g}) must be less than the image's {height}x{width} pixels"
            )
        if one.name == "pca" and channels != 3:
            raise UsageError(f"augmentation `pca` needs images of 3 channels, not {channels}")


def color_axes(images: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Return the principal components of the colours of images, each times its variance, as columns.

    Args:
        images: uint8, or float32 where white is 1: (n, 3, rows, columns).

    Returns:
        float64 (3, 3), where white is 1. Krizhevsky et al. 2012, section 4.1.
    """
    pixels = images.astype(np.float64).transpose(1, 0, 2, 3).reshape(3, -1)
    if images.dtype == np.uint8:
        pixels /= 255
    variances, axes = np.linalg.eigh(np.cov(pixels, bias=True).reshape(3, 3))
    # An axis has no direction of its own; the largest part is made positive, so that every machine takes the same.
    largest = np.abs(axes).argmax(axis=0)
    return np.ascontiguousarray(axes * np.sign(axes[largest, np.arange(3)]) * variances)


def augment(
    images: npt.NDArray[Pixel],
    chosen: Iterable[Augmentation] | str,
    *,
    seed: int = 0,
    epoch: int = 0,
    indices: npt.NDArray[np.integer[Any]] | None = None,
) -> npt.NDArray[Pixel]:
    """Return augmented copies of images; whatever labels they have stay right.

    What happens to an image follows from seed, epoch and its index alone: not from the other images of the batch.

    Args:
        images: uint8, or float32 where white is 1: (n, channels, rows, columns).
        chosen: augmentations, or their text.
        seed: of the random numbers.
        epoch: another one gives the same image other random numbers.
        indices: the images' places in their data set, (n,); None for 0, 1, 2, ...

    Returns:
        images of the same type and shape.

    Raises:
        UsageError: for other arrays, or augmentations that do not fit the images.
    """
    if images.ndim != 4 or images.dtype not in (np.uint8, np.float32):
        raise UsageError(f"images must be uint8 or float32 of shape (N, C, H, W), not {images.dtype} {images.shape}")
    check_seed(seed)
    chosen = augmentations(chosen) if isinstance(chosen, str) else list(chosen)
    count, channels, height, width = images.shape
    check_fits(chosen, (channels, height, width))
    numbers = np.arange(count) if indices is None else np.ascontiguousarray(indices, np.int64)
    if numbers.shape != (count,):
        raise UsageError(f"indices must be one for each of the {count} images, not of shape {numbers.shape}")
    axes = np.zeros((3, 3))
    if count and any(one.name == "pca" for one in chosen):
        axes = color_axes(images)
    target = np.empty(images.shape, np.float32)
    scales = np.tile(np.array([1, 0], np.float32), (channels, 1))
    make_batch(
        np.ascontiguousarray(images), target, numbers, seed, epoch, settings_of(chosen), scales, axes, resized=False
    )
    if images.dtype == np.uint8:
        np.rint(target, out=target)
    return target.astype(images.dtype, copy=False)
