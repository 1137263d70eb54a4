"""A file of ONNX as a network of ours, with its weights."""

from __future__ import annotations

from pathlib import Path

from archcost.errors import ArchcostError, ModelError
from archcost.geometry import Shape
from archcost.interop.onnx.convert import Imported, imported
from archcost.interop.onnx.naming import cleaned
from archcost.interop.onnx.reading import read_model


def read_onnx(path: str | Path, *, input_size: Shape | None = None, allow_unknown: bool = False) -> Imported:
    """Return the network of an ``.onnx`` file, called as the file is.

    Args:
        path: the file; tensors in files of their own must lie in its folder.
        input_size: shape of one image, for axes that the file leaves open.
        allow_unknown: make a counted gap of an operator that is not known, instead of an error.

    Raises:
        ModelError: in one line, if the file cannot be read or converted.
    """
    path = Path(path)
    try:
        name = cleaned(path.stem).replace(".", "_")
        return imported(
            read_model(path), name=name, folder=path.parent, input_size=input_size, allow_unknown=allow_unknown
        )
    except ArchcostError as error:
        text = str(error)
        raise ModelError(text if str(path) in text else f"{path}: {text}") from None
    except (UnicodeError, TypeError):  # a text of the message is none: that is noticed when it is read
        raise ModelError(f"{path}: truncated, or no ONNX file") from None
    except (MemoryError, RecursionError):
        raise ModelError(f"{path}: too large, or nested too deeply") from None
