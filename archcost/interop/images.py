"""Image files as the input of a network: decoded, resized, cut out and normalised by the network's recipe."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from archcost.errors import UsageError
from archcost.geometry import Shape, shape_text, shown
from archcost.zoo.preprocessing import Preprocessing

LARGEST_FILE = 2**28
"""Bytes; an image file above this is refused before it is read."""

CORNER_SHARE = 7 / 8
"""What a crop takes of the image's side where the recipe leaves no border to move it in: 224 of 256, as AlexNet."""

LARGEST_RATIO = 200
"""Times that the longer side may be as long as the shorter one: beyond, a resized image would fill the memory."""

QUIET = logging.NullHandler()

Array = npt.NDArray[Any]


def check_input(name: str, shape: Shape) -> None:
    """Raise UsageError unless a network's input is a square image, grey or in colour."""
    if len(shape) != 3 or shape[0] not in (1, 3) or shape[1] != shape[2]:
        raise UsageError(f"{name}: its input is {shape_text(shape)}, not an image of 1 or 3 channels and equal sides")


def image_input(path: Path, recipe: Preprocessing, *, crops: bool = False) -> Array:
    """Return an image file as a batch for a network: (1, channels, crop, crop), or (10, ...) with ``crops``.

    The ten are the centre and the four corners of the resized image's central square, and their mirror images
    (Krizhevsky et al. 2012, section 4.1). The orientation that a camera has noted is applied.

    Args:
        path: PNG, JPEG, or what else Pillow reads.
        recipe: sizes, interpolation, mean and standard deviation; ``len(recipe.mean)`` channels.
        crops: ten versions instead of the centre.

    Raises:
        UsageError: if Pillow is not there, or the file is no whole image of a size that can be read.
    """
    resize = recipe.resize
    if crops and resize <= recipe.crop:
        resize = round(recipe.crop / CORNER_SHARE)
    picture = _picture(path, "L" if len(recipe.mean) == 1 else "RGB", resize, recipe.interpolation)
    pixels = np.asarray(picture, np.float32)
    planes = pixels[np.newaxis] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
    mean, std = (np.asarray(numbers, np.float32).reshape(-1, 1, 1) for numbers in (recipe.mean, recipe.std))
    values = (planes / np.float32(255) - mean) / std
    if not crops:
        # A crop that is larger than the image has black around it.
        return _centre(values, recipe.crop, (-mean / std)[:, 0, 0])[np.newaxis]
    square = _centre(values, resize, (-mean / std)[:, 0, 0])
    edge = resize - recipe.crop
    corners = [(edge // 2, edge // 2), (0, 0), (0, edge), (edge, 0), (edge, edge)]
    cut = [square[:, top : top + recipe.crop, left : left + recipe.crop] for top, left in corners]
    return np.stack([*cut, *(one[:, :, ::-1] for one in cut)])


def _centre(values: Array, size: int, black: Array) -> Array:
    """Return the centre of (channels, height, width), with black where it reaches beyond."""
    result = np.empty((len(values), size, size), np.float32)
    result[...] = black[:, np.newaxis, np.newaxis]
    target, source = [slice(None)], [slice(None)]
    for extent in values.shape[1:]:
        start, gap = max(0, round((extent - size) / 2)), max(0, (size - extent) // 2)
        taken = min(size, extent)
        target.append(slice(gap, gap + taken))
        source.append(slice(start, start + taken))
    result[tuple(target)] = values[tuple(source)]
    return result


def _picture(path: Path, mode: str, resize: int, interpolation: str) -> Any:
    """Return the decoded image in Pillow's ``mode``, its shorter side resized."""
    try:
        from PIL import Image, ImageOps
    except ImportError:
        raise UsageError('reading image files needs Pillow: pip install "archcost[images]"') from None
    logging.getLogger("PIL").addHandler(QUIET)  # it logs what is wrong with a file before it raises
    try:
        _check_size(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what an odd but readable file deserves
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as file:
                _check_shape(path, file.size)
                picture: Any = ImageOps.exif_transpose(file)
                if picture.mode in {"P", "PA"}:
                    picture = picture.convert("RGBA")  # a palette's transparency would be a warning
                if picture.mode.startswith("I"):  # 16 bits of grey
                    picture = Image.fromarray((np.asarray(picture).clip(0, 65535) / 257).astype(np.uint8))
                if picture.mode != mode:
                    picture = picture.convert(mode)
                return _resized(picture, resize, getattr(Image.Resampling, interpolation.upper()))
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        raise _refused(path, "it has too many pixels") from None
    except OSError as error:  # Pillow's own error is one without a number
        raise _refused(path, error.strerror or "it is no image that Pillow can read, or is truncated") from None
    except MemoryError:
        raise _refused(path, "it does not fit into the memory") from None
    except UsageError:
        raise
    except Exception as error:  # noqa: BLE001  (decoders of damaged files raise anything: struct.error, KeyError, ...)
        raise _refused(path, f"it is corrupt ({type(error).__name__}: {shown(str(error))})") from None


def _check_size(path: Path) -> None:
    if path.stat().st_size > LARGEST_FILE:
        raise _refused(path, f"it is larger than {LARGEST_FILE // 2**20} MiB")


def _check_shape(path: Path, size: tuple[int, int]) -> None:
    width, height = size
    if max(width, height) > LARGEST_RATIO * min(width, height):
        raise _refused(path, f"{width}x{height} (width x height) is no shape of a picture")


def _refused(path: Path, reason: str) -> UsageError:
    return UsageError(f"cannot read {str(path)!r}: {reason}")


def _resized(picture: Any, size: int, method: Any) -> Any:
    """Resize the shorter side to ``size``; the longer one is rounded down, as torchvision does."""
    width, height = picture.size
    shorter = min(width, height)
    wide, high = (size if side == shorter else side * size // shorter for side in (width, height))
    return picture if (wide, high) == (width, height) else picture.resize((wide, high), method)
