"""Data sets as folders of images: one folder for each class, the file formats that Pillow reads of PNG and JPEG.

Either ``root/CLASS/*.png`` (the last tenth of every class, by sorted names, is kept for the test), or
``root/train/CLASS/*`` beside ``root/test/CLASS/*`` (or ``root/val``). Files are looked at when the data set is opened
(size and mode, from the header) and decoded when a batch needs them.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from archcost.errors import UsageError
from archcost.geometry import product
from archcost.train.dataset import Dataset, Split, last_tenth
from archcost.train.reading import refused

if TYPE_CHECKING:
    from numpy.typing import NDArray

SUFFIXES = (".png", ".jpg", ".jpeg")
TEST_PARTS = ("test", "val")
"""Names of the folder beside ``train``; the first that is there is the test part."""

MODES = {"L": 1, "RGB": 3}
"""Pillow's modes that are read as they are -> channels."""

CONVERTIBLE = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr")
"""Modes of 8 bits a channel at most, which ``channels=`` can convert; transparency is dropped."""

KEPT_BYTES = 2**28
"""Images that take no more than this when decoded are kept after they were decoded once."""


class Layout(NamedTuple):
    """How images are made from files: a resize to squares, or the size of all files; grey or colour."""

    shape: tuple[int, int, int]
    resized: bool


@dataclass(frozen=True, eq=False)
class ImageFiles:
    """Image files that are decoded when they are asked for.

    Args:
        paths: the files.
        layout: shape of every image, and whether the files are resized to it.
    """

    paths: Sequence[Path]
    layout: Layout
    _kept: NDArray[np.uint8] | None = field(init=False)
    _known: NDArray[np.bool_] = field(init=False)

    def __post_init__(self) -> None:
        keep = len(self.paths) * product(self.shape) <= KEPT_BYTES
        kept = np.empty((len(self.paths), *self.shape), np.uint8) if keep else None
        object.__setattr__(self, "_kept", kept)
        object.__setattr__(self, "_known", np.zeros(len(self.paths), np.bool_))

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.layout.shape

    def __len__(self) -> int:
        return len(self.paths)

    def take(self, indices: NDArray[np.intp], /) -> NDArray[np.uint8]:
        """Return the images with these indices, of shape (n, channels, height, width).

        Raises:
            UsageError: a file cannot be decoded, or has changed since the data set was opened.
        """
        if self._kept is None:
            images = np.empty((len(indices), *self.shape), np.uint8)
            for place, index in enumerate(indices):
                images[place] = decoded(self.paths[index], self.layout)
            return images
        for index in indices[~self._known[indices]]:
            self._kept[index] = decoded(self.paths[index], self.layout)
            self._known[index] = True  # after the pixels: another thread then decodes it too, to the same pixels
        return self._kept[indices]


def read_image_folder(root: Path, image_size: int | None = None, channels: int | None = None) -> Dataset:
    """Return the data set of a folder with one folder of images for each class.

    The classes are sorted by name. Hidden files and folders are not looked at; orientation tags are not applied.

    Args:
        root: folder of class folders, or of ``train`` and ``test`` (or ``val``) with the same class folders.
        image_size: height and width to give every image: the shorter side is resized, the centre is cut out.
        channels: 1 or 3: converts every image to grey or to RGB.

    Raises:
        UsageError: there are no two classes, a class is empty, an image cannot be read, images differ in size or mode
            and no option says what to do, or Pillow is not installed; one line that names the folder or file.
    """
    if image_size is not None and image_size < 1:
        raise UsageError(f"`image_size` (={image_size}) must be at least 1")
    if channels not in {None, 1, 3}:
        raise UsageError(f"`channels` (={channels}) must be 1 (grey) or 3 (RGB)")
    notes = []
    if _folders(root / "train"):
        parts = [root / "train", *(root / part for part in TEST_PARTS if (root / part).is_dir())][:2]
    else:
        parts = [root]
    ignored: Counter[str] = Counter()
    listed = [_classes(part, ignored) for part in parts]
    classes = tuple(listed[0])
    if len(listed) == 2 and listed[1].keys() != listed[0].keys():
        odd = min(listed[0].keys() ^ listed[1].keys())
        here, there = parts if odd in listed[0] else parts[::-1]
        raise UsageError(f"{str(here)!r} has a class folder {odd!r}, but {str(there)!r} has none")
    files = [[path for paths in part.values() for path in paths] for part in listed]
    layout, converted = _layout([path for part in files for path in part], image_size, channels)
    labels = [np.repeat(np.arange(len(part)), [len(paths) for paths in part.values()]) for part in listed]
    splits = [Split(ImageFiles(paths, layout), values.astype(np.int64)) for paths, values in zip(files, labels)]
    if layout.resized:
        notes.append(f"shorter side resized to {image_size}, centre cut out")
    if converted:
        notes.append(f"converted to {'grey' if channels == 1 else 'RGB'}")
    if ignored:
        notes.append("not read: " + ", ".join(f"{count} {kind}" for kind, count in sorted(ignored.items())))
    if len(splits) == 1:
        smallest = min(listed[0], key=lambda name: len(listed[0][name]))
        if len(listed[0][smallest]) < 2:
            raise UsageError(
                f"{str(parts[0] / smallest)!r} has one image only; a class needs one to train and one to test"
            )
        training, test = last_tenth(splits[0].labels)
        splits = [splits[0].subset(training), splits[0].subset(test)]
        notes.append("no test part: the last tenth of every class, by sorted names, is kept for the test")
    return Dataset(root.resolve().name or "images", classes, splits[0], splits[1], "; ".join(notes))


def _folders(folder: Path) -> list[Path]:
    """Return the visible folders in a folder, sorted by name; none if it is no folder."""
    if not folder.is_dir():
        return []
    return sorted((path for path in _entries(folder) if path.is_dir()), key=lambda path: path.name)


def _entries(folder: Path) -> list[Path]:
    try:
        return [path for path in folder.iterdir() if not path.name.startswith((".", "__MACOSX"))]
    except OSError as error:
        raise refused(folder, error.strerror or str(error)) from None


def _classes(folder: Path, ignored: Counter[str]) -> dict[str, list[Path]]:
    """Return class name -> image files, both sorted; counts what else lies there in ``ignored``."""
    found = {}
    for place in _folders(folder):
        images = []
        for path in sorted(_entries(place), key=lambda path: path.name):
            if path.is_dir():
                ignored["folders inside class folders"] += 1
            elif path.suffix.lower() in SUFFIXES:
                images.append(path)
            else:
                ignored[f"{path.suffix.lower() or 'suffixless'} files"] += 1
        if not images:
            raise UsageError(f"the class folder {str(place)!r} has no images ({', '.join(SUFFIXES)})")
        found[place.name] = images
    if len(found) < 2:
        inside = f"only {next(iter(found))!r}" if found else "none"
        raise UsageError(
            f"{str(folder)!r} should hold a folder of images for each of at least two classes; it has {inside}"
        )
    return found


def _layout(paths: Sequence[Path], image_size: int | None, channels: int | None) -> tuple[Layout, bool]:
    """Return the shape of all images, and whether any file has another mode than that; reads the files' headers."""
    first_size, first_mode = _header(paths[0])
    others = False
    for path in paths:
        size, mode = _header(path)
        if channels is None and mode not in MODES:
            raise refused(path, f"its mode is {mode}, neither L (grey) nor RGB; `channels` (1 or 3) converts")
        if mode not in CONVERTIBLE:
            raise refused(path, f"its mode is {mode}; images have 8 bits a channel")
        if channels is None and mode != first_mode:
            differ = f"{str(paths[0])!r} has mode {first_mode}, but {str(path)!r} {mode}"
            raise UsageError(f"images differ in mode: {differ}; `channels` (1 or 3) converts")
        if image_size is None and size != first_size:
            differ = f"{str(paths[0])!r} is {_size_text(first_size)}, but {str(path)!r} {_size_text(size)}"
            raise UsageError(f"images differ in size: {differ}; `image_size` resizes")
        others = others or (channels is not None and MODES.get(mode) != channels)
    width, height = first_size if image_size is None else (image_size, image_size)
    return Layout((channels or MODES[first_mode], height, width), image_size is not None), others


def _size_text(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]} (width x height)"


def _header(path: Path) -> tuple[tuple[int, int], str]:
    """Return width and height, and mode."""
    image = _image()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", image.DecompressionBombWarning)
            with image.open(path) as file:
                return file.size, file.mode
    except (image.DecompressionBombWarning, image.DecompressionBombError):
        raise refused(path, "it has too many pixels") from None
    except OSError as error:  # Pillow's own error is one without a number
        raise refused(path, error.strerror or "it is no image that Pillow knows") from None
    except (SyntaxError, ValueError) as error:  # what its PNG reader raises over a broken chunk
        raise refused(path, f"it is corrupt ({error})") from None


def decoded(path: Path, layout: Layout) -> NDArray[np.uint8]:
    """Return one image: unsigned 8-bit of the layout's shape (channels, height, width).

    Raises:
        UsageError: the file cannot be decoded, or does not have the layout's size.
    """
    image = _image()
    channels, height, width = layout.shape
    mode = "L" if channels == 1 else "RGB"
    try:
        with image.open(path) as file:
            picture: Any = file
            if picture.mode in {"P", "PA"}:
                picture = picture.convert("RGBA")  # a palette may have transparency, which RGB alone would warn about
            if picture.mode != mode:
                picture = picture.convert(mode)
            if layout.resized:
                picture = _square(picture, height)
            pixels = np.asarray(picture, np.uint8)
    except OSError as error:
        raise refused(path, error.strerror or f"it is truncated or corrupt ({error})") from None
    except (SyntaxError, ValueError) as error:
        raise refused(path, f"it is corrupt ({error})") from None
    if pixels.shape[:2] != (height, width):
        raise refused(path, f"it is no longer {_size_text((width, height))}: it has changed since it was first read")
    return pixels[None] if channels == 1 else pixels.transpose(2, 0, 1)


def _square(picture: Any, size: int) -> Any:
    """Resize the shorter side to ``size`` (bilinear, with antialiasing) and cut the centre out."""
    width, height = picture.size
    shorter = min(width, height)
    wide, high = max(size, round(width * size / shorter)), max(size, round(height * size / shorter))
    left, top = (wide - size) // 2, (high - size) // 2
    if (wide, high) != (width, height):
        picture = picture.resize((wide, high), _image().Resampling.BILINEAR)
    return picture.crop((left, top, left + size, top + size))


def _image() -> Any:
    """Return Pillow's ``Image`` module, which is imported when the first image is read."""
    try:
        from PIL import Image
    except ImportError:
        raise UsageError('reading image files needs Pillow: pip install "archcost[images]"') from None
    return Image
