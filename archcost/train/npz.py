"""Data sets in one ``.npz`` file of NumPy arrays.

The names of the arrays are one of three habits: Keras' ``x_train``, ``y_train``, ``x_test``, ``y_test``; the same as
``train_images``, ``train_labels``, ``test_images``, ``test_labels``; or just ``images`` and ``labels``. Without a test
part the last tenth of every class is kept for it. An array ``classes`` of names is welcome. Pickled objects are never
loaded, and no array is made before its header agrees with its size in the file.
"""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path
from tokenize import TokenError
from typing import TYPE_CHECKING, Any

import numpy as np

from archcost.geometry import product, shape_text
from archcost.train.dataset import Dataset, Split, last_tenth
from archcost.train.reading import DEFLATE_RATIO, naming, refused

if TYPE_CHECKING:
    from numpy.typing import NDArray

HABITS = (
    ("x_train", "y_train", "x_test", "y_test"),
    ("train_images", "train_labels", "test_images", "test_labels"),
    ("images", "labels", "test_images", "test_labels"),
)
"""Names of the training images and labels, which must be there, and of the test's, which may."""


def read_npz(path: Path) -> Dataset:
    """Return the data set of an ``.npz`` file.

    Images are of shape (N, H, W), (N, C, H, W) or (N, H, W, C) with one or three channels; the sizes must tell which.
    They are 8-bit, or any other type with values from 0 to 255, or floats from 0 to 1, which are stored as 8-bit.
    Labels are integers of shape (N,) or (N, 1), and the training images have every class from 0 to the largest.

    Raises:
        UsageError: the file is none, is damaged, or its arrays are not as above.
    """
    arrays = _arrays(path)
    habit = next((names for names in HABITS if names[0] in arrays and names[1] in arrays), None)
    if habit is None:
        found = ", ".join(sorted(arrays)) or "none of these"
        wanted = "x_train and y_train (and x_test, y_test), or images and labels"
        raise refused(path, f"it holds {found}: wanted are {wanted}")
    present = [name for name in habit if name in arrays]
    if len(present) == 3:
        raise refused(path, f"it holds {present[2]} without {(set(habit) - set(present)).pop()}")
    images, notes = _images(path, {name: arrays[name] for name in present[::2]})
    labels = [_labels(path, name, arrays[name]) for name in present[1::2]]
    for image_name, label_name, one, other in zip(present[::2], present[1::2], images, labels):
        if len(one) != len(other):
            raise refused(path, f"{image_name} has {len(one):,} images, but {label_name} {len(other):,} labels")
    classes = _classes(path, arrays.get("classes"), labels)
    splits = [Split(*pair) for pair in zip(images, labels)]
    if len(splits) == 1:
        with_label, for_test = last_tenth(labels[0])
        splits = [splits[0].subset(with_label), splits[0].subset(for_test)]
        notes.append("no test part: the last tenth of every class is kept for the test")
    return Dataset(path.stem, classes, splits[0], splits[1], "; ".join(notes))


def _arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Return the arrays of the file whose names have a meaning here; the others are not read."""
    meant = {name for habit in HABITS for name in habit} | {"classes"}
    arrays = {}
    with naming(path), zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            name = member.filename.removesuffix(".npy")
            if name in meant:
                arrays[name] = _array(path, name, archive, member)
    return arrays


def _array(path: Path, name: str, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> NDArray[Any]:
    if member.flag_bits & 1 or member.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
        raise refused(path, f"{name} is encrypted, or compressed by another method than deflate")
    if member.file_size > (member.compress_size + 1) * DEFLATE_RATIO:
        raise refused(path, f"{name} cannot have the {member.file_size:,} bytes that it claims")
    with archive.open(member) as file:
        try:
            version = np.lib.format.read_magic(file)
            read_header = {
                (1, 0): np.lib.format.read_array_header_1_0,
                (2, 0): np.lib.format.read_array_header_2_0,
            }[version]
            shape, _, dtype = read_header(file)
        except (ValueError, KeyError, SyntaxError, TokenError):
            raise refused(path, f"{name} is not an array in NumPy's format") from None
        if dtype.hasobject:
            raise refused(path, f"{name} holds pickled objects, which are never loaded")
        wanted = product(shape) * dtype.itemsize
        if wanted != member.file_size - file.tell():
            held = member.file_size - file.tell()
            raise refused(path, f"{name} should have {wanted:,} bytes ({shape_text(shape)} {dtype}), but has {held:,}")
    with archive.open(member) as file:
        array: NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)
    return array


def _images(path: Path, named: dict[str, NDArray[Any]]) -> tuple[list[NDArray[np.uint8]], list[str]]:
    """Return the images as unsigned 8-bit of shape (N, C, H, W), and what was done to them."""
    notes = []
    for name, array in named.items():
        if array.size == 0:
            raise refused(path, f"{name} is empty")
        if array.dtype.kind not in "biuf":
            raise refused(path, f"{name} has elements of type {array.dtype}; images are numbers")
        low, high = float(array.min()), float(array.max())
        if not (low >= 0 and high <= 255):
            raise refused(path, f"{name} has values from {low:g} to {high:g}; images have 0 to 255, or floats 0 to 1")
    if len({array.dtype for array in named.values()}) > 1:
        differ = " and ".join(f"{name} {array.dtype}" for name, array in named.items())
        raise refused(path, f"its images differ in type: {differ}")
    unit = all(array.dtype.kind in "bf" and array.max() <= 1 for array in named.values())
    if unit:
        notes.append("values from 0 to 1 stored as 8-bit")
    images = []
    for name, array in named.items():
        values = array
        if array.dtype.kind == "f":
            values = np.rint(array * array.dtype.type(255 if unit else 1))
        elif unit:
            values = array * np.uint8(255)
        images.append(np.ascontiguousarray(_channels_first(path, name, values.astype(np.uint8))))
    return images, notes


def _channels_first(path: Path, name: str, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    if images.ndim == 3:
        return images[:, None]
    first = images.ndim == 4 and images.shape[1] in (1, 3)
    last = images.ndim == 4 and images.shape[3] in (1, 3)
    if first and last:
        raise refused(path, f"{name} of shape {shape_text(images.shape)} may have its channels first or last")
    if not first and not last:
        allowed = "NxHxW, NxCxHxW or NxHxWxC with 1 or 3 channels"
        raise refused(path, f"{name} has shape {shape_text(images.shape)}; images are {allowed}")
    return images if first else images.transpose(0, 3, 1, 2)


def _labels(path: Path, name: str, labels: NDArray[Any]) -> NDArray[np.int64]:
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise refused(
            path, f"{name} is {labels.dtype} of shape {shape_text(labels.shape)}; labels are integers, one each"
        )
    if labels.size and (labels.min() < 0 or labels.max() >= 2**31):
        wrong = labels.min() if labels.min() < 0 else labels.max()
        raise refused(path, f"{name} has the label {wrong}; labels count from 0")
    return labels.astype(np.int64)


def _classes(path: Path, names: NDArray[Any] | None, labels: Sequence[NDArray[np.int64]]) -> tuple[str, ...]:
    """Return the names of the classes: those of the file, or the numbers that the training labels must all have."""
    largest = max(int(values.max()) for values in labels)
    if names is not None:
        if names.ndim != 1 or names.dtype.kind != "U":
            raise refused(
                path, f"classes is {names.dtype} of shape {shape_text(names.shape)}; names are a list of text"
            )
        if largest >= len(names):
            raise refused(path, f"a label is {largest}, but classes has {len(names)} names")
        return tuple(map(str, names))
    present = np.unique(labels[0])
    if len(present) != largest + 1:
        missing = next(label for label in range(largest + 1) if label == len(present) or present[label] != label)
        raise refused(
            path, f"no training image has label {missing}; labels are 0 to {largest} unless `classes` names them"
        )
    return tuple(map(str, range(largest + 1)))
