"""The binary version of CIFAR-10: records of one label byte and 3x32x32 pixel bytes, in six files of a tar archive.

The record format and the file names are those of the data set's page (Krizhevsky, "Learning multiple layers of features
from tiny images", 2009). The archive is read as a stream: nothing is unpacked to disk, so no path in it can do harm.
"""

from __future__ import annotations

import hashlib
import tarfile
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import numpy as np

from archcost.train.dataset import Split
from archcost.train.reading import naming, other_content, refused
from archcost.train.sources import SOURCES

if TYPE_CHECKING:
    from numpy.typing import NDArray

TRAINING = tuple(f"data_batch_{number}.bin" for number in range(1, 6))
TEST = "test_batch.bin"
UNPACKED = "cifar-10-batches-bin"
"""The folder in the archive, and the one that unpacking makes."""

SHAPE = (3, 32, 32)
RECORD = 1 + 3 * 32 * 32
LARGEST = 10_000 * RECORD
"""Bytes of one file; a file may have fewer records, but not more."""


def read_cifar10_archive(path: Path, md5: str = "") -> tuple[Split, Split]:
    """Return the training and the test split of ``cifar-10-binary.tar.gz``.

    Args:
        path: the archive.
        md5: its checksum; empty if any content will do.

    Raises:
        UsageError: the archive is unreadable, has another checksum, lacks a file, or a file is no such thing.
    """
    batches: dict[str, bytes] = {}
    with naming(path):
        if md5 and (found := file_md5(path)) != md5:
            raise other_content(path, found, md5)
        with tarfile.open(path, "r|gz") as archive:
            for member in archive:
                name = PurePosixPath(member.name).name
                if name not in (*TRAINING, TEST) or not member.isreg():
                    if member.size > LARGEST:
                        raise refused(path, f"it holds {member.name[:80]!r} of {member.size:,} bytes: not CIFAR-10")
                    continue
                if member.size > LARGEST:
                    raise refused(path, f"{name} has {member.size:,} bytes; the most is {LARGEST:,}")
                file = archive.extractfile(member)
                batches[name] = file.read() if file else b""
    if missing := [name for name in (*TRAINING, TEST) if name not in batches]:  # tarfile ends quietly at damage
        raise refused(path, f"it lacks {', '.join(missing)}: it is damaged, or not the binary version of CIFAR-10")
    return _splits({name: (path, batches[name]) for name in batches})


def read_cifar10_folder(folder: Path) -> tuple[Split, Split]:
    """Return the training and the test split of the folder that the archive unpacks to.

    Raises:
        UsageError: a file is missing, cannot be read, or is no such thing.
    """
    batches = {}
    for name in (*TRAINING, TEST):
        path = folder / name
        with naming(path):
            if path.stat().st_size > LARGEST:
                raise refused(path, f"it has {path.stat().st_size:,} bytes; the most is {LARGEST:,}")
            batches[name] = path, path.read_bytes()
    return _splits(batches)


def file_md5(path: Path) -> str:
    """Return the MD5 of a file."""
    digest = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def _splits(batches: dict[str, tuple[Path, bytes]]) -> tuple[Split, Split]:
    records = {name: _records(name, *batch) for name, batch in batches.items()}
    training = np.concatenate([records[name] for name in TRAINING])
    return _split(training), _split(records[TEST])


def _records(name: str, path: Path, content: bytes) -> NDArray[np.uint8]:
    if not content or len(content) % RECORD:
        raise refused(path, f"{name} has {len(content):,} bytes, not a whole number of records of {RECORD:,}")
    records = np.frombuffer(content, np.uint8).reshape(-1, RECORD)
    classes = len(SOURCES["cifar10"].classes)
    if records[:, 0].max() >= classes:
        place = int(np.argmax(records[:, 0] >= classes))
        raise refused(path, f"{name}: label {place} is {records[place, 0]}; {classes} classes have 0 to {classes - 1}")
    return records


def _split(records: NDArray[np.uint8]) -> Split:
    images = np.ascontiguousarray(records[:, 1:]).reshape(-1, *SHAPE)
    return Split(images, records[:, 0].astype(np.int64))
