"""The binary version of CIFAR-10, from its archive and unpacked."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from archcost.errors import UsageError
from archcost.train.cifar import LARGEST, TEST, TRAINING, UNPACKED, read_cifar10_archive, read_cifar10_folder
from archcost.train.dataset import Split
from archcost.train.reading import ChecksumError
from tests.train.files import archive_bytes, md5

if TYPE_CHECKING:
    from numpy.typing import NDArray

RNG = np.random.default_rng(2)
NAMES = (*TRAINING, TEST)
PIXELS = {name: RNG.integers(0, 256, (2, 3, 32, 32), dtype=np.uint8) for name in NAMES}
LABELS = {name: [place, 9 - place] for place, name in enumerate(NAMES)}


def batch(name: str) -> bytes:
    return b"".join(bytes([label]) + image.tobytes() for label, image in zip(LABELS[name], PIXELS[name]))


WHOLE = [(f"{UNPACKED}/{name}", batch(name)) for name in reversed(NAMES)]


def assert_right(train: Split, test: Split) -> None:
    expected: NDArray[np.uint8] = np.concatenate([PIXELS[name] for name in TRAINING])
    assert np.array_equal(train.take(np.arange(10)), expected)
    assert train.labels.tolist() == [label for name in TRAINING for label in LABELS[name]]
    assert np.array_equal(test.take(np.arange(2)), PIXELS[TEST])
    assert test.labels.tolist() == LABELS[TEST]


def test_the_archive_is_read_without_unpacking(tmp_path: Path) -> None:
    path = tmp_path / "cifar-10-binary.tar.gz"
    path.write_bytes(archive_bytes([(f"{UNPACKED}/readme.html", b"<html>"), *WHOLE]))
    assert_right(*read_cifar10_archive(path))
    assert_right(*read_cifar10_archive(path, md5(path.read_bytes())))
    assert list(tmp_path.iterdir()) == [path]


def test_the_unpacked_files_are_read(tmp_path: Path) -> None:
    for name in NAMES:
        (tmp_path / name).write_bytes(batch(name))
    assert_right(*read_cifar10_folder(tmp_path))
    (tmp_path / TEST).unlink()
    with pytest.raises(UsageError, match=r"cannot read '.*test_batch\.bin': No such file"):
        read_cifar10_folder(tmp_path)
    with (tmp_path / TEST).open("wb") as file:
        file.truncate(LARGEST + 1)
    with pytest.raises(UsageError, match=r"test_batch\.bin': it has 30,730,001 bytes; the most is 30,730,000"):
        read_cifar10_folder(tmp_path)


def test_paths_in_the_archive_lead_nowhere(tmp_path: Path) -> None:
    path = tmp_path / "inside" / "cifar.tar.gz"
    path.parent.mkdir()
    path.write_bytes(archive_bytes([("../escaped.bin", b"x"), *WHOLE]))
    assert_right(*read_cifar10_archive(path))
    assert not (tmp_path / "escaped.bin").exists()


GOOD = archive_bytes(WHOLE)
DAMAGED = [
    (archive_bytes(WHOLE[1:]), "it lacks test_batch.bin: it is damaged, or not the binary version of CIFAR-10"),
    (archive_bytes([]), r"it lacks data_batch_1\.bin, .*data_batch_5\.bin, test_batch\.bin"),
    (
        archive_bytes([*WHOLE[1:], (TEST, batch(TEST)[:-1])]),
        r"test_batch\.bin has 6,145 bytes, not a whole number of records of 3,073",
    ),
    (archive_bytes([*WHOLE[1:], (TEST, b"")]), r"test_batch\.bin has 0 bytes"),
    (
        archive_bytes([*WHOLE[1:], (TEST, batch(TEST)[:3073] + b"\x0a" + bytes(3072))]),
        r"test_batch\.bin: label 1 is 10; 10 classes have 0 to 9",
    ),
    (archive_bytes([(TEST, bytes(30_730_001))]), r"test_batch\.bin has 30,730,001 bytes; the most is 30,730,000"),
    (archive_bytes([("other", bytes(30_730_001))]), "it holds 'other' of 30,730,001 bytes: not CIFAR-10"),
    (GOOD[: len(GOOD) // 2], "it is (truncated|corrupt)"),
    (GOOD[: len(GOOD) // 2] + bytes(len(GOOD) - len(GOOD) // 2), "it (is corrupt|lacks .*: it is damaged)"),
    (b"not an archive", "it is corrupt"),
    (b"", "it is corrupt"),
]


@pytest.mark.parametrize(("content", "message"), DAMAGED, ids=[str(place) for place in range(len(DAMAGED))])
def test_a_damaged_archive_is_refused_by_name(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "cifar-10-binary.tar.gz"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=rf"^cannot read '.*cifar-10-binary\.tar\.gz': {message}") as caught:
        read_cifar10_archive(path)
    assert "\n" not in str(caught.value)


def test_another_archive_than_the_published_one_is_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "cifar-10-binary.tar.gz"
    path.write_bytes(GOOD)
    with pytest.raises(ChecksumError, match=f"is not the published file: its content has MD5 {md5(GOOD)}, not 00$"):
        read_cifar10_archive(path, "00")
