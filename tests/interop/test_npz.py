"""Files of NumPy's arrays: both ways between NumPy and this package, and members that are hostile."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from archcost.errors import UsageError
from archcost.interop import npz
from archcost.interop.weights import read_weights, write_weights
from tests.interop.test_weights import ARRAYS


@pytest.mark.parametrize("compressed", [False, True])
def test_numpy_and_this_package_read_what_the_other_writes(tmp_path: Path, compressed: bool) -> None:
    arrays = {name: array for name, array in ARRAYS.items() if name != "file"}  # numpy.savez has an argument `file`
    arrays["big endian"] = np.arange(3, dtype=">f4")
    (np.savez_compressed if compressed else np.savez)(tmp_path / "theirs.npz", **arrays)  # type: ignore[arg-type]
    write_weights(tmp_path / "ours.npz", arrays)
    found = read_weights(tmp_path / "theirs.npz")
    with np.load(tmp_path / "ours.npz", allow_pickle=False) as ours:
        for name, array in arrays.items():
            np.testing.assert_array_equal(found[name], array)
            np.testing.assert_array_equal(ours[name], array)
            assert found[name].dtype.isnative


def zipped(path: Path, members: list[tuple[str, bytes]]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return path


def header_bytes(shape: tuple[int, ...], descr: str = "<f4") -> bytes:
    content = io.BytesIO()
    np.lib.format.write_array_header_1_0(content, {"descr": descr, "fortran_order": False, "shape": shape})
    return content.getvalue()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (header_bytes((2**40, 3)) + bytes(8), "'a' is 1099511627776x3 of float32, which 8 bytes are not"),
        (header_bytes((-2, -1)) + bytes(8), "'a' is -2x-1 of float32, which 8 bytes are not"),
        (header_bytes((1,) * 40 + (3,)) + bytes(8), "'a' is 1x1x.* of float32, which 8 bytes are not"),
        (header_bytes((2,), "<U1") + bytes(8), "'a' has elements of type str32; weights are numbers"),
        (header_bytes((1,), "|O") + bytes(8), "'a' holds pickled objects, which are never loaded"),
        (b"\x80\x04pickle", "'a' is not an array in NumPy's format"),
        (b"\x93NUMPY\x01\x00\x04\x00{[}\n", "'a' is not an array in NumPy's format"),
        (b"\x93NUMPY\x01\x00\x88\x13" + b"[" * 5000, "'a' is not an array in NumPy's format"),
        (b"", "'a' is not an array in NumPy's format"),
    ],
    ids=["too little", "negative", "many axes", "text", "objects", "pickle", "syntax", "nested", "empty"],
)
def test_members_that_are_no_arrays_of_numbers_are_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    path = zipped(tmp_path / "w.npz", [("a.npy", content)])
    with pytest.raises(UsageError, match=rf"^cannot read '.*w\.npz': {reason}$"):
        read_weights(path)


def test_objects_in_a_file_are_never_unpickled(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[object, ...]]:
            return (Path.touch, (tmp_path / "sprung",))

    np.savez(tmp_path / "trap.npz", weight=np.array([Trap()], dtype=object))
    with pytest.raises(UsageError, match="'weight' holds pickled objects, which are never loaded"):
        read_weights(tmp_path / "trap.npz")
    assert not (tmp_path / "sprung").exists()


def test_a_small_file_cannot_claim_much_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = zipped(tmp_path / "w.npz", [("a.npy", header_bytes((250_000,)) + bytes(1_000_000))])
    assert len(read_weights(path)["a"]) == 250_000
    monkeypatch.setattr(npz, "SMALL_FILE", 900_000)
    with pytest.raises(UsageError, match=r"its arrays claim 1,000,\d\d\d bytes; a file of its size may hold 900,000"):
        read_weights(path)


def test_two_arrays_of_one_name_are_refused(tmp_path: Path) -> None:
    array = header_bytes((1,)) + bytes(4)
    with pytest.raises(UsageError, match="two arrays are called 'a'"):
        read_weights(zipped(tmp_path / "w.npz", [("a.npy", array), ("a", array)]))
