"""IDX files: what is written comes back; what is damaged, hostile or something else is refused by name."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from archcost.errors import UsageError
from archcost.train.idx import read_idx, read_idx_split
from archcost.train.reading import ChecksumError
from tests.train.files import idx_bytes, md5

if TYPE_CHECKING:
    from numpy.typing import NDArray

IMAGES = np.arange(4 * 3 * 2, dtype=np.uint8).reshape(4, 3, 2)
LABELS = np.array([2, 0, 1, 2], np.uint8)


@given(
    array=st.sampled_from([1, 3]).flatmap(lambda rank: arrays(np.uint8, st.tuples(*[st.integers(1, 9)] * rank))),
    zipped=st.booleans(),
)
def test_what_is_written_comes_back(
    tmp_path_factory: pytest.TempPathFactory, array: NDArray[np.uint8], zipped: bool
) -> None:
    path = tmp_path_factory.getbasetemp() / "any-name"  # the content tells whether it is gzipped, not the name
    content = idx_bytes(array)
    path.write_bytes(gzip.compress(content) if zipped else content)
    read = read_idx(path, array.ndim, md5(content))
    assert read.dtype == np.uint8
    assert np.array_equal(read, array)


def test_an_array_longer_than_one_read_comes_back(tmp_path: Path) -> None:
    array = np.random.default_rng(3).integers(0, 256, (3, 701, 1000), dtype=np.uint8)
    path = tmp_path / "large"
    path.write_bytes(gzip.compress(struct.pack(">4I", 0x803, *array.shape) + array.tobytes(), 1))
    assert np.array_equal(read_idx(path, 3), array)


WHOLE = idx_bytes(IMAGES)
ZIPPED = gzip.compress(WHOLE)
HUGE = struct.pack(">4I", 0x803, 2**31, 2**31, 2**31)
DAMAGED = [
    (b"", "it is truncated: 0 bytes are no whole header"),
    (WHOLE[:11], "it is truncated: 11 bytes are no whole header"),
    (WHOLE[:-1], r"it is truncated: its header promises 24 bytes \(4x3x2\), but 23 can follow"),
    (WHOLE + b"x", r"it is too long: its header promises 24 bytes \(4x3x2\), but 25 follow"),
    (b"\x89PNG" + WHOLE, "it is not an IDX file: it begins with 89504e47, not with 00000803"),
    (b"\0\0\x0d\x03" + WHOLE[4:], r"its elements have type 0x0d; only unsigned bytes \(0x08\) are read"),
    (idx_bytes(LABELS), "its number of dimensions is 1, but images have 3"),
    (struct.pack(">4I", 0x803, 0, 28, 28), r"it is empty \(0x28x28\)"),
    (HUGE, "it is truncated: its header promises 9,903,520,314,283,042,199,192,993,792 bytes"),
    (gzip.compress(HUGE + bytes(99)), "it is truncated: .* but at most [0-9,]* can follow"),
    (gzip.compress(WHOLE[:-1]), r"it is truncated: its header promises 24 bytes \(4x3x2\), but 23 follow"),
    (gzip.compress(WHOLE + bytes(2**22)), r"it is too long: its header promises 24 bytes \(4x3x2\), but more follow"),
    (ZIPPED[:-9], "it is truncated: the compressed data end too early"),
    (ZIPPED[:-8] + b"\0\0\0\0" + ZIPPED[-4:], r"it is corrupt \(CRC check failed"),
    (ZIPPED[:10] + b"\xff" * 20, "it is corrupt"),
    (ZIPPED[:2] + b"\x07" + ZIPPED[3:], "it is corrupt .*compression method"),
]


@pytest.mark.parametrize(("content", "message"), DAMAGED, ids=[str(place) for place in range(len(DAMAGED))])
def test_a_damaged_file_is_refused_by_name(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "train-images-idx3-ubyte.gz"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=rf"^cannot read '.*train-images-idx3-ubyte\.gz': {message}") as caught:
        read_idx(path, 3)
    assert "\n" not in str(caught.value)


def test_images_in_the_place_of_labels_are_refused(tmp_path: Path) -> None:
    (tmp_path / "labels").write_bytes(WHOLE)
    with pytest.raises(UsageError, match="its number of dimensions is 3, but labels have 1"):
        read_idx(tmp_path / "labels", 1)


def test_a_file_that_is_not_there_or_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"^cannot read '.*nowhere': No such file or directory$"):
        read_idx(tmp_path / "nowhere", 3)
    with pytest.raises(UsageError, match=r"^cannot read '.*': "):
        read_idx(tmp_path, 3)


def test_another_content_than_the_published_one_is_told_apart(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(ZIPPED)
    assert np.array_equal(read_idx(tmp_path / "file", 3, md5(WHOLE)), IMAGES)
    with pytest.raises(
        ChecksumError, match=rf"file' is not the published file: its content has MD5 {md5(WHOLE)}, not 0f"
    ):
        read_idx(tmp_path / "file", 3, "0f")


def written(folder: Path, images: NDArray[np.uint8], labels: NDArray[np.uint8]) -> tuple[Path, Path]:
    (folder / "images").write_bytes(idx_bytes(images))
    (folder / "labels").write_bytes(idx_bytes(labels))
    return folder / "images", folder / "labels"


def test_a_split_has_one_channel_and_wide_labels(tmp_path: Path) -> None:
    split = read_idx_split(*written(tmp_path, IMAGES, LABELS), classes=3)
    assert split.shape == (1, 3, 2)
    assert np.array_equal(split.take(np.arange(4)), IMAGES.reshape(4, 1, 3, 2))
    assert split.labels.dtype == np.int64
    assert split.labels.tolist() == [2, 0, 1, 2]


def test_counts_that_differ_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"labels': it has 3 labels, but images has 4 images$"):
        read_idx_split(*written(tmp_path, IMAGES, LABELS[:3]))


def test_a_label_out_of_range_is_refused_with_its_place(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"labels': label 0 is 2; 2 classes have 0 to 1$"):
        read_idx_split(*written(tmp_path, IMAGES, LABELS), classes=2)
    assert read_idx_split(*written(tmp_path, IMAGES, LABELS)).labels.max() == 2
