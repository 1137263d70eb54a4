"""Stored tensors of a model: what they claim is checked first, and their numbers are read when they are needed."""

from __future__ import annotations

from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from archcost.errors import ModelError
from archcost.geometry import LARGEST_SIZE, product, shape_text
from archcost.interop.onnx.values import Constant

if TYPE_CHECKING:
    from onnx import TensorProto

TYPES: dict[int, tuple[str, str]] = {
    1: ("<f4", "float_data"),
    2: ("u1", "int32_data"),
    3: ("i1", "int32_data"),
    4: ("<u2", "int32_data"),
    5: ("<i2", "int32_data"),
    6: ("<i4", "int32_data"),
    7: ("<i8", "int64_data"),
    9: ("?", "int32_data"),
    10: ("<f2", "int32_data"),
    11: ("<f8", "double_data"),
    12: ("<u4", "uint64_data"),
    13: ("<u8", "uint64_data"),
    16: ("<u2", "int32_data"),
}
"""Element type -> how NumPy reads its bytes (bfloat16, number 16, as bits), and the field for unpacked numbers."""

BRAIN_FLOAT = 16
HALF = 10

EXTERNAL = 1
"""``data_location`` of a tensor whose bytes are in another file."""


def stored(tensor: TensorProto, folder: Path | None, *, learned: bool, source: str = "") -> Constant:
    """Return a tensor of the file; its numbers are read when they are asked for.

    Args:
        tensor: the message.
        folder: where the model lies, and the only place where its other files may lie; None if it has no place.
        learned: whether its numbers are parameters, if they are floating-point numbers of at least one axis.
        source: its name in the file.

    Raises:
        ModelError: if the numbers are not there, are not as many as its shape says, or lie outside of ``folder``.
    """
    name = source or tensor.name or "a constant"
    shape = tuple(tensor.dims)
    if len(shape) > 64 or any(size < 0 for size in shape) or product(shape) > LARGEST_SIZE:
        raise ModelError(f"tensor {name[:80]!r} has the impossible shape {shape_text(shape)[:80]}")
    if tensor.data_type not in TYPES:
        # A string, a complex number or one of 4 bits is an error only for whoever needs it.
        return Constant(lambda: _refuse(name, tensor.data_type), shape, np.dtype("O"), source=source)
    code, field = TYPES[tensor.data_type]
    dtype = np.dtype(code)
    if tensor.data_location == EXTERNAL:
        place, offset = _external(tensor, folder, name, dtype.itemsize * product(shape))
        return _constant(lambda: np.fromfile(place, dtype, product(shape), offset=offset), tensor, learned, source)
    held = len(tensor.raw_data) // dtype.itemsize if tensor.HasField("raw_data") else len(getattr(tensor, field))
    exact = not tensor.HasField("raw_data") or len(tensor.raw_data) % dtype.itemsize == 0
    if held != product(shape) or not exact:
        raise ModelError(f"tensor {name[:80]!r} is {shape_text(shape)}, but the file holds {held:,} numbers for it")
    if tensor.HasField("raw_data"):
        return _constant(lambda: np.frombuffer(tensor.raw_data, dtype), tensor, learned, source)
    return _constant(lambda: _unpacked(getattr(tensor, field), dtype), tensor, learned, source)


def _constant(read: Any, tensor: TensorProto, learned: bool, source: str) -> Constant:
    shape, brain = tuple(tensor.dims), tensor.data_type == BRAIN_FLOAT
    dtype = np.dtype("float32") if brain else np.dtype(TYPES[tensor.data_type][0]).newbyteorder("=")

    def load() -> npt.NDArray[Any]:
        numbers = read()
        if brain:  # the upper half of a float32
            numbers = (numbers.astype(np.uint32) << np.uint32(16)).view(np.float32)
        array: npt.NDArray[Any] = numbers.astype(dtype, copy=False).reshape(shape)
        return array

    return Constant(load, shape, dtype, learned=learned and dtype.kind == "f" and bool(shape), source=source)


def _unpacked(numbers: Any, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """Return numbers that the message holds one by one; those of 16 bits are there as bits."""
    if dtype == np.dtype("<f2"):
        return np.array(numbers, np.int64).astype(np.uint16).view(np.float16)
    wide: dict[str, str] = {"f": dtype.str, "u": "uint64", "i": "int64", "b": "int64"}
    return np.array(numbers, "int64" if dtype.str == "<u2" else wide[dtype.kind]).astype(dtype)


def _refuse(name: str, kind: int) -> npt.NDArray[Any]:
    from onnx import TensorProto

    known = kind in TensorProto.DataType.values()
    text = TensorProto.DataType.Name(kind).lower() if known else f"number {kind}"
    raise ModelError(f"tensor {name[:80]!r} holds elements of type {text}, which are not read")


def _external(tensor: TensorProto, folder: Path | None, name: str, size: int) -> tuple[Path, int]:
    """Return the file that holds a tensor's bytes, and where they start in it."""
    entries = {entry.key: entry.value for entry in tensor.external_data}
    location, where = entries.get("location", ""), f"tensor {name[:80]!r}"
    if folder is None or not location:
        raise ModelError(f"{where} lies in another file, and the model does not say in which")
    parts = (*PurePosixPath(location).parts, *PureWindowsPath(location).parts)
    outside = PurePosixPath(location).is_absolute() or PureWindowsPath(location).drive or ".." in parts
    try:
        offset, length = int(entries.get("offset", 0)), int(entries.get("length", size))
        path = (folder / location).resolve()
        if outside or "\0" in location or not path.is_relative_to(folder.resolve()):
            raise ModelError(f"{where} lies in {location[:80]!r}, outside of the model's folder")
        if not path.is_file():
            raise ModelError(f"{where} lies in {location[:80]!r}, which is not there")
        available = path.stat().st_size
    except (OSError, RuntimeError) as error:
        raise ModelError(f"{where} lies in {location[:80]!r}, which cannot be read ({error})") from None
    except ValueError:
        raise ModelError(f"{where} lies in another file, at a place that is no number") from None
    if offset < 0 or length != size or offset + size > available:
        raise ModelError(f"{where} needs {size:,} bytes from {offset:,} on; {location[:80]!r} has {available:,}")
    return path, offset
