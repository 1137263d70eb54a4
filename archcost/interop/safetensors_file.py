"""Arrays of numbers in ``.safetensors`` files, through the library of that name."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from archcost.errors import UsageError
from archcost.geometry import shown
from archcost.interop.npz import Arrays, short, unreadable

NEEDED = 'weights in .safetensors need the safetensors library: pip install "archcost[weights]"'

TYPES = {"F16", "F32", "F64", "BOOL", "I8", "I16", "I32", "I64", "U8", "U16", "U32", "U64"}
"""Element types that NumPy has too."""


def read_safetensors(path: Path) -> Arrays:
    """Return the arrays of a ``.safetensors`` file by name; bfloat16, which NumPy lacks, as float32 of equal value.

    Raises as ``safetensors_arrays`` does.
    """
    return {name: array for name, _, array in safetensors_arrays(path)}


def safetensors_arrays(path: Path) -> Iterator[tuple[str, str, npt.NDArray[Any]]]:
    """Yield name, element type and array of a ``.safetensors`` file one after the other.

    Raises:
        UsageError: if the library is not there, the file is none or is damaged, or elements are other things.
    """
    try:
        from safetensors import SafetensorError, safe_open
    except ImportError:
        raise UsageError(NEEDED) from None
    try:
        if path.is_dir():
            raise unreadable(path, "it is a folder")
        with safe_open(path, framework="np") as file:  # it checks that the tensors lie in the file, end to end
            for name in file.keys():  # noqa: SIM118  (it is no mapping)
                kind = file.get_slice(name).get_dtype()
                if kind == "BF16":
                    yield name, "bfloat16", _brain_floats(path, name)
                elif kind in TYPES:
                    array = file.get_tensor(name)
                    yield name, array.dtype.name, array
                else:
                    raise unreadable(path, f"{shown(name)} has elements of type {kind}; weights are floats or integers")
    except OSError as error:
        raise unreadable(path, error.strerror or _first_line(error)) from None
    except (SafetensorError, ValueError, OverflowError) as error:
        raise unreadable(path, f"it is no whole safetensors file ({_first_line(error)})") from None


def _first_line(error: Exception) -> str:
    return short(str(error).partition("\n")[0])


def _brain_floats(path: Path, name: str) -> npt.NDArray[Any]:
    """Return an array of bfloat16, which is the upper half of a float32, from a file that has been checked."""
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        entry = json.loads(file.read(length))[name]
        start, stop = entry["data_offsets"]
        file.seek(8 + length + start)
        halves = np.frombuffer(file.read(stop - start), "<u2")
    values: npt.NDArray[Any] = (halves.astype(np.uint32) << 16).view(np.float32)
    return values.reshape(entry["shape"])


def safetensors_content(arrays: Mapping[str, npt.NDArray[Any]]) -> bytes:
    """Return the content of a ``.safetensors`` file of these arrays, which must be contiguous.

    Raises:
        UsageError: if the library is not there.
    """
    try:
        from safetensors.numpy import save
    except ImportError:
        raise UsageError(NEEDED) from None
    content: bytes = save(dict(arrays))
    return content
