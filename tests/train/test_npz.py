"""Data sets in .npz files: habits of naming, layouts, types, labels, and files that are damaged or hostile."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from archcost.errors import UsageError
from archcost.train.npz import read_npz

if TYPE_CHECKING:
    from numpy.typing import NDArray

RNG = np.random.default_rng(8)
GREY = np.append(RNG.integers(0, 256, 238, dtype=np.uint8), [np.uint8(0), np.uint8(255)]).reshape(12, 5, 4)
COLOUR = RNG.integers(0, 256, (12, 3, 5, 4), dtype=np.uint8)
LABELS = np.array([0, 1, 2] * 4)


def written(folder: Path, **arrays: NDArray[Any]) -> Path:
    np.savez(folder / "toys.npz", **arrays)  # type: ignore[arg-type]
    return folder / "toys.npz"


@pytest.mark.parametrize(
    "names",
    [
        ("x_train", "y_train", "x_test", "y_test"),
        ("train_images", "train_labels", "test_images", "test_labels"),
        ("images", "labels", "test_images", "test_labels"),
    ],
    ids=lambda names: names[0],
)
def test_every_habit_of_naming_is_understood(tmp_path: Path, names: tuple[str, str, str, str]) -> None:
    arrays = (GREY, LABELS, GREY[:3] ^ 255, LABELS[:3, None].astype(np.uint8))
    found = read_npz(written(tmp_path, **dict(zip(names, arrays)), other=np.zeros(3)))
    assert (found.name, found.classes, found.shape, found.note) == ("toys", ("0", "1", "2"), (1, 5, 4), "")
    assert np.array_equal(found.train.take(np.arange(12))[:, 0], GREY)
    assert np.array_equal(found.test.take(np.arange(3))[:, 0], GREY[:3] ^ 255)
    assert found.train.labels.tolist() == LABELS.tolist()
    assert found.test.labels.tolist() == [0, 1, 2]


@pytest.mark.parametrize("compressed", [False, True])
def test_without_a_test_part_the_last_of_every_class_is_kept(tmp_path: Path, compressed: bool) -> None:
    path = tmp_path / "toys.npz"
    (np.savez_compressed if compressed else np.savez)(path, images=GREY, labels=LABELS)
    found = read_npz(path)
    assert np.array_equal(found.test.take(np.arange(3))[:, 0], GREY[9:])
    assert np.array_equal(found.train.take(np.arange(9))[:, 0], GREY[:9])
    assert found.note == "no test part: the last tenth of every class is kept for the test"


def test_channels_may_come_first_or_last(tmp_path: Path) -> None:
    for images in (COLOUR, COLOUR.transpose(0, 2, 3, 1)):
        found = read_npz(written(tmp_path, images=images, labels=LABELS))
        assert found.shape == (3, 5, 4)
        assert np.array_equal(found.train.take(np.arange(9)), COLOUR[:9])


@pytest.mark.parametrize(
    ("images", "expected", "note"),
    [
        ((GREY / 255).astype(np.float32), GREY, "values from 0 to 1 stored as 8-bit"),
        (GREY / 255, GREY, "values from 0 to 1 stored as 8-bit"),
        (GREY.astype(np.float64), GREY, ""),
        (GREY.astype(np.int64), GREY, ""),
        (GREY > 99, (GREY > 99) * np.uint8(255), "values from 0 to 1 stored as 8-bit"),
        (GREY % 2, GREY % 2, ""),
    ],
    ids=["float32 to 1", "float64 to 1", "float64 to 255", "int64", "bool", "uint8 to 1"],
)
def test_any_type_of_pixel_becomes_8_bit(
    tmp_path: Path, images: NDArray[Any], expected: NDArray[np.uint8], note: str
) -> None:
    found = read_npz(written(tmp_path, x_train=images, y_train=LABELS, x_test=images[:2], y_test=LABELS[:2]))
    assert np.array_equal(found.train.take(np.arange(12))[:, 0], expected)
    assert np.array_equal(found.test.take(np.arange(2))[:, 0], expected[:2])
    assert found.note == note


def test_classes_may_have_names(tmp_path: Path) -> None:
    names = np.array(["cat", "dog", "yak", "emu"])
    found = read_npz(written(tmp_path, images=GREY, labels=LABELS, classes=names))
    assert found.classes == ("cat", "dog", "yak", "emu")


REFUSED: list[tuple[dict[str, NDArray[Any]], str]] = [
    ({"pixels": GREY}, "it holds none of these: wanted are x_train and y_train"),
    ({"images": GREY}, "it holds images: wanted are"),
    ({"x_train": GREY, "y_train": LABELS, "x_test": GREY}, "it holds x_test without y_test"),
    ({"images": GREY, "labels": LABELS[:5]}, "images has 12 images, but labels 5 labels"),
    ({"images": GREY[:0], "labels": LABELS[:0]}, "images is empty"),
    ({"images": GREY[:, 0], "labels": LABELS}, "images has shape 12x4; images are NxHxW, NxCxHxW or NxHxWxC"),
    ({"images": np.zeros((12, 2, 4, 4), np.uint8), "labels": LABELS}, "images has shape 12x2x4x4; images are"),
    (
        {"images": np.zeros((12, 3, 4, 3), np.uint8), "labels": LABELS},
        "images of shape 12x3x4x3 may have its channels",
    ),
    (
        {"images": GREY.astype(np.int32) // 255 * 510, "labels": LABELS},
        "images has values from 0 to 510; images",
    ),
    ({"images": (GREY > 99) - 0.5, "labels": LABELS}, "images has values from -0.5 to 0.5; images have"),
    ({"images": np.where(GREY[0, 0, 0] == GREY, np.nan, 1.0), "labels": LABELS}, "images has values from nan to nan"),
    ({"images": GREY.astype(np.complex64), "labels": LABELS}, "images has elements of type complex64"),
    (
        {"x_train": GREY, "y_train": LABELS, "x_test": GREY / 255, "y_test": LABELS},
        "its images differ in type: x_train uint8 and x_test float64",
    ),
    ({"images": GREY, "labels": LABELS / 2}, "labels is float64 of shape 12; labels are integers"),
    ({"images": GREY, "labels": np.eye(12, dtype=np.int64)}, "labels is int64 of shape 12x12; labels are integers"),
    ({"images": GREY, "labels": LABELS - 1}, "labels has the label -1; labels count from 0"),
    ({"images": GREY, "labels": LABELS + 2**40}, "labels has the label 1099511627778; labels count from 0"),
    ({"images": GREY, "labels": LABELS + 1}, "no training image has label 0; labels are 0 to 3 unless `classes`"),
    ({"images": GREY, "labels": LABELS * 2}, "no training image has label 1; labels are 0 to 4"),
    (
        {"x_train": GREY, "y_train": LABELS, "x_test": GREY, "y_test": LABELS + 1},
        "no training image has label 3; labels are 0 to 3",
    ),
    ({"images": GREY, "labels": LABELS, "classes": np.array(["a", "b"])}, "a label is 2, but classes has 2 names"),
    ({"images": GREY, "labels": LABELS, "classes": np.arange(3)}, "classes is int64 of shape 3; names are"),
]


@pytest.mark.parametrize(("arrays", "message"), REFUSED, ids=[message[:40] for _, message in REFUSED])
def test_arrays_that_are_no_data_set_are_refused(tmp_path: Path, arrays: dict[str, NDArray[Any]], message: str) -> None:
    with pytest.raises(UsageError, match=rf"^cannot read '.*toys\.npz': {message}") as caught:
        read_npz(written(tmp_path, **arrays))
    assert "\n" not in str(caught.value)


def test_pickled_objects_are_never_loaded(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[object, ...]]:
            return (Path.touch, (tmp_path / "sprung",))

    trap = np.array([Trap()], dtype=object)
    with pytest.raises(UsageError, match="images holds pickled objects, which are never loaded"):
        read_npz(written(tmp_path, images=trap, labels=LABELS))
    assert not (tmp_path / "sprung").exists()


def test_a_header_that_promises_more_than_the_file_holds_is_refused_before_anything_is_allocated(
    tmp_path: Path,
) -> None:
    header = io.BytesIO()
    huge = {"descr": "|u1", "fortran_order": False, "shape": (2**40, 28, 28)}
    np.lib.format.write_array_header_1_0(header, huge)
    path = tmp_path / "huge.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("images.npy", header.getvalue() + bytes(10))
        archive.writestr("labels.npy", b"not an array")
    with pytest.raises(UsageError, match=r"images should have 862,017,116,176,384 bytes \(1099511627776x28x28 uint8\)"):
        read_npz(path)


def test_a_member_that_is_no_array_is_refused(tmp_path: Path) -> None:
    for content in (b"not an array", b"\x93NUMPY\x07\0" + bytes(99), b"\x93NUMPY\x01\0\x04\0{[}\n"):
        with zipfile.ZipFile(tmp_path / "toys.npz", "w") as archive:
            archive.writestr("images.npy", content)
        with pytest.raises(UsageError, match=r"toys\.npz': images is not an array in NumPy's format$"):
            read_npz(tmp_path / "toys.npz")


@pytest.mark.parametrize("compressed", [False, True])
def test_the_checksum_in_the_file_must_hold(tmp_path: Path, compressed: bool) -> None:
    path = tmp_path / "toys.npz"
    (np.savez_compressed if compressed else np.savez)(path, images=GREY, labels=LABELS)
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x01\x02") + 16] ^= 1  # of the first member, in the directory
    path.write_bytes(content)
    with pytest.raises(UsageError, match=r"toys\.npz': it is corrupt \(Bad CRC-32 for file 'images\.npy'\)$"):
        read_npz(path)


def test_an_encrypted_member_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, images=GREY, labels=LABELS)
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1  # the flag in the first member's entry of the directory
    path.write_bytes(content)
    with pytest.raises(
        UsageError, match=r"toys\.npz': images is encrypted, or compressed by another method than deflate"
    ):
        read_npz(path)


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    whole = written(tmp_path, images=GREY, labels=LABELS).read_bytes()
    path = tmp_path / "toys.npz"
    for content, message in (
        (whole[: len(whole) // 2], "it is corrupt"),
        (b"", "it is corrupt"),
        (whole.replace(GREY.tobytes()[:40], bytes(40)), "it is corrupt .*CRC"),
    ):
        path.write_bytes(content)
        with pytest.raises(UsageError, match=rf"^cannot read '.*toys\.npz': {message}"):
            read_npz(path)
