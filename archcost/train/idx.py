"""The IDX format of MNIST: a header that says the shape, then the elements.

Four bytes come first: two zeros, the element type (0x08 for unsigned bytes) and the number of dimensions; then the
sizes as 32-bit big-endian integers; then the elements, the last dimension fastest (LeCun, Cortes and Burges, "The MNIST
database of handwritten digits", section "file formats"). A file may be gzipped: its first bytes tell, not its name.
"""

from __future__ import annotations

import gzip
import hashlib
from io import BufferedIOBase
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from archcost.geometry import product, shape_text
from archcost.train.dataset import Split
from archcost.train.reading import DEFLATE_RATIO, naming, other_content, refused

if TYPE_CHECKING:
    from numpy.typing import NDArray

UNSIGNED_BYTES = 0x08
GZIP_MAGIC = b"\x1f\x8b"
CHUNK = 1 << 20
"""Bytes read at a time."""


def read_idx(path: Path, dimensions: int, content: str = "") -> NDArray[np.uint8]:
    """Return the array of an IDX file of unsigned bytes, plain or gzipped.

    Nothing is allocated before the header agrees with the size of the file, and of a gzipped file no more is
    decompressed than the header promises, and one byte.

    Args:
        path: the file.
        dimensions: how many dimensions it must have: 3 for images, 1 for labels.
        content: MD5 of the uncompressed file; empty if any content will do.

    Raises:
        UsageError: the file cannot be read, is not IDX, is truncated, corrupt or too long, or has another checksum.
    """
    with naming(path), path.open("rb") as file:
        size = path.stat().st_size
        zipped = file.read(2) == GZIP_MAGIC
        file.seek(0)
        if not zipped:
            return _read(file, path, dimensions, content, size, exact=True)
        with gzip.GzipFile(fileobj=file) as stream:
            return _read(stream, path, dimensions, content, size * DEFLATE_RATIO, exact=False)


def _read(
    stream: BufferedIOBase, path: Path, dimensions: int, content: str, size: int, *, exact: bool
) -> NDArray[np.uint8]:
    """Read header and elements; ``size`` is what the file holds, or, if not ``exact``, the most that it can hold."""
    start = stream.read(4)
    if len(start) == 4 and start[:2] != b"\0\0":
        raise refused(
            path, f"it is not an IDX file: it begins with {start.hex()}, not with 00000{dimensions + 0x800:x}"
        )
    if len(start) == 4 and start[2] != UNSIGNED_BYTES:
        raise refused(path, f"its elements have type 0x{start[2]:02x}; only unsigned bytes (0x08) are read")
    if len(start) == 4 and start[3] != dimensions:
        expected = "images have 3" if dimensions == 3 else "labels have 1"
        raise refused(path, f"its number of dimensions is {start[3]}, but {expected}")
    header = start + stream.read(4 * dimensions)
    if len(header) < 4 + 4 * dimensions:
        raise refused(path, f"it is truncated: {len(header)} bytes are no whole header")
    shape = tuple(int.from_bytes(header[at : at + 4], "big") for at in range(4, len(header), 4))
    count, held = product(shape), size - len(header)
    promised = f"its header promises {count:,} bytes ({shape_text(shape)})"
    if count == 0:
        raise refused(path, f"it is empty ({shape_text(shape)})")
    if count > held:
        raise refused(path, f"it is truncated: {promised}, but {'' if exact else 'at most '}{held:,} can follow")
    if exact and count < held:
        raise refused(path, f"it is too long: {promised}, but {held:,} follow")

    digest = hashlib.md5(header, usedforsecurity=False)
    values = np.empty(count, np.uint8)
    place = values.data
    done = 0
    while done < count:
        read = stream.readinto(place[done : min(done + CHUNK, count)])
        if not read:
            raise refused(path, f"it is truncated: {promised}, but {done:,} follow")
        digest.update(place[done : done + read])
        done += read
    if stream.read(1):  # reading on also lets gzip compare its own checksum
        raise refused(path, f"it is too long: {promised}, but more follow")
    if content and digest.hexdigest() != content:
        raise other_content(path, digest.hexdigest(), content)
    return values.reshape(shape)


def read_idx_split(
    images_path: Path, labels_path: Path, classes: int | None = None, contents: tuple[str, str] = ("", "")
) -> Split:
    """Return the split that a file of images and a file of labels make.

    Args:
        images_path: IDX file of shape (N, H, W).
        labels_path: IDX file of shape (N,).
        classes: number of classes; None takes any label.
        contents: MD5 of the two uncompressed files; empty if any content will do.

    Raises:
        UsageError: as ``read_idx``; or the counts differ, or a label is out of range.
    """
    labels = read_idx(labels_path, 1, contents[1])
    images = read_idx(images_path, 3, contents[0])
    if len(labels) != len(images):
        raise refused(labels_path, f"it has {len(labels):,} labels, but {images_path.name} has {len(images):,} images")
    if classes is not None and labels.max() >= classes:
        place = int(np.argmax(labels >= classes))
        raise refused(labels_path, f"label {place} is {labels[place]}; {classes} classes have 0 to {classes - 1}")
    return Split(images[:, None], labels.astype(np.int64))
