"""Arrays of numbers in ``.npz`` files, which may come from anywhere: nothing is unpickled, and memory is bounded."""

from __future__ import annotations

import io
import struct
import tokenize
import warnings
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from archcost.errors import UsageError
from archcost.geometry import product, shape_text, shown

Arrays = dict[str, npt.NDArray[Any]]

SMALL_FILE = 2**30
"""Bytes that the arrays of any file may take."""

LARGEST_RATIO = 16
"""Bytes that the arrays of a larger file may take for each of its own; weights hardly compress."""

HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}

DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    NotImplementedError,
    OverflowError,
    RuntimeError,
    UnicodeError,
    ValueError,
)
"""What the standard library raises over a damaged archive."""


def unreadable(path: Path, reason: str) -> UsageError:
    """Return the error that says why a file of weights cannot be read."""
    return UsageError(f"cannot read {str(path)!r}: {reason}")


def short(text: str) -> str:
    """Return a text from a file as an error shows it: at most 80 characters, none of them a control character."""
    plain = repr(text)[1:-1]
    return plain if len(plain) <= 80 else f"{plain[:77]}..."


def read_npz(path: Path) -> Arrays:
    """Return the arrays of an ``.npz`` file by name, in the machine's byte order. Raises as ``npz_arrays`` does."""
    return dict(npz_arrays(path))


def npz_arrays(path: Path) -> Iterator[tuple[str, npt.NDArray[Any]]]:
    """Yield name and array of an ``.npz`` file one after the other, in the machine's byte order.

    Every array's size is checked against the file's before memory is taken for it, and its checksum while it is read.

    Raises:
        UsageError: if the file is none, is damaged, holds other things than arrays of numbers, or would take more
            memory than ``SMALL_FILE`` and ``LARGEST_RATIO`` allow.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            claimed = sum(member.file_size for member in members)
            allowed = max(SMALL_FILE, LARGEST_RATIO * path.stat().st_size)
            if claimed > allowed:
                raise unreadable(path, f"its arrays claim {claimed:,} bytes; a file of its size may hold {allowed:,}")
            names: set[str] = set()
            for member in members:
                name = member.filename.removesuffix(".npy")
                if name in names:
                    raise unreadable(path, f"two arrays are called {shown(name)}")
                names.add(name)
                yield name, _array(path, shown(name), archive, member)
    except OSError as error:
        raise unreadable(path, error.strerror or f"it is corrupt ({error})") from None
    except DAMAGED as error:
        raise unreadable(path, f"it is corrupt ({short(str(error))})") from None


def _array(path: Path, name: str, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> npt.NDArray[Any]:
    with archive.open(member) as file:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")  # a header of Python 2 is read with a warning; PyTorch writes none
                shape, by_column, dtype = HEADERS[np.lib.format.read_magic(file)](file)
        except (
            ValueError,
            KeyError,
            TypeError,
            SyntaxError,
            tokenize.TokenError,
            RecursionError,
            MemoryError,
            Warning,
        ):
            raise unreadable(path, f"{name} is not an array in NumPy's format") from None
        if dtype.hasobject:
            raise unreadable(path, f"{name} holds pickled objects, which are never loaded")
        if dtype.kind not in "biuf":
            raise unreadable(path, f"{name} has elements of type {dtype.name}; weights are numbers")
        held = member.file_size - file.tell()
        count = product(shape)
        if any(size < 0 for size in shape) or count * dtype.itemsize != held:
            raise unreadable(path, f"{name} is {shape_text(shape)} of {dtype.name}, which {held:,} bytes are not")
        array = np.frombuffer(bytearray(file.read(held)), dtype)
    if len(array) != count:
        raise unreadable(path, f"it is truncated in {name}")
    ordered = array.reshape(shape, order="F" if by_column else "C")
    return ordered.astype(dtype.newbyteorder("="), order="C", copy=False)


def npz_content(arrays: Mapping[str, npt.NDArray[Any]]) -> memoryview:
    """Return the content of an ``.npz`` file of these arrays: the same bytes for the same arrays."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, array in arrays.items():
            # A member that is made by its name alone carries no date.
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as file:
                np.lib.format.write_array(cast("io.BufferedIOBase", file), array, allow_pickle=False)
    return content.getbuffer()
