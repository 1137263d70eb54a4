"""Data files as tests need them: small, written by the formats' own rules, not by the package's readers."""

from __future__ import annotations

import gzip
import hashlib
import io
import struct
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from archcost.train.sources import IDX_NAMES, RemoteFile

if TYPE_CHECKING:
    from numpy.typing import NDArray


def idx_bytes(array: NDArray[np.uint8]) -> bytes:
    """Return the array as an IDX file: magic number, sizes, elements."""
    header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
    return header + bytes(array.ravel().tolist())


def digit_files(train: int = 20, test: int = 10, classes: int = 10) -> dict[str, bytes]:
    """Return the four files of a tiny data set in MNIST's format, by name without ``.gz``."""
    rng = np.random.default_rng(5)
    contents = []
    for count in (train, test):
        contents.append(idx_bytes(rng.integers(0, 256, (count, 6, 5), dtype=np.uint8)))
        contents.append(idx_bytes((np.arange(count) % classes).astype(np.uint8)))
    return dict(zip(IDX_NAMES, contents))


def write_digits(folder: Path, *, zipped: bool = True) -> Path:
    """Write ``digit_files`` into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in digit_files().items():
        path = folder / (f"{name}.gz" if zipped else name)
        path.write_bytes(gzip.compress(content) if zipped else content)
    return folder


def remote(name: str, content: bytes, inner: bytes = b"") -> RemoteFile:
    """Return the description of a file that a server of the tests serves."""
    return RemoteFile(name, len(content), md5(content), md5(inner) if inner else "")


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def archive_bytes(members: Sequence[tuple[str, bytes]], mode: str = "gz") -> bytes:
    """Return a tar archive with these files, in this order."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode=f"w:{mode}") as archive:  # type: ignore[call-overload]
        for name, content in members:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return target.getvalue()
