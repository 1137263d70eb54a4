"""From a file, which may come from anywhere, to ONNX's message: sizes are checked before memory is taken."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import TYPE_CHECKING

from archcost.errors import ModelError

if TYPE_CHECKING:
    from onnx import ModelProto

NEEDED = 'ONNX files need the package onnx: pip install "archcost[onnx]"'

LARGEST_FILE = 2**31 - 1
"""Bytes that a message of this kind can have; larger models keep their weights in other files."""

MOST_NODES = 100_000
"""Nodes of a model, those of its functions included wherever they are called."""


def read_model(path: Path) -> ModelProto:
    """Return the message of an ``.onnx`` file, its local functions written out where they are called.

    Raises:
        ModelError: if the package ``onnx`` is not there, or the file is missing, truncated, too large, or no model.
    """
    try:
        from google.protobuf.message import DecodeError
        from onnx import ModelProto
    except ImportError:
        raise ModelError(NEEDED) from None
    model = ModelProto()
    try:
        info = path.stat()
        if not stat.S_ISREG(info.st_mode):
            raise ModelError(f"{path}: not a file")
        if info.st_size > LARGEST_FILE:
            raise ModelError(f"{path}: larger than 2 GiB, which no ONNX file can be")
        model.ParseFromString(path.read_bytes())
    except OSError as error:
        raise ModelError(f"cannot read {str(path)!r}: {error.strerror or error}") from None
    except (DecodeError, RuntimeError, ValueError):
        raise ModelError(f"{path}: truncated, or no ONNX file") from None
    if not model.HasField("graph") or not model.opset_import:
        raise ModelError(f"{path}: no ONNX model (it has no graph or no operator set)")
    return expanded(model)


def expanded(model: ModelProto) -> ModelProto:
    """Return ``model`` without local functions, each written out where it is called.

    Raises:
        ModelError: if it has more than ``MOST_NODES`` nodes then, or functions that call themselves.
    """
    if len(model.graph.node) > MOST_NODES:
        raise ModelError(f"{len(model.graph.node):,} nodes; models of up to {MOST_NODES:,} are read")
    if not model.functions:
        return model
    if _expanded_nodes(model) > MOST_NODES:
        raise ModelError(f"more than {MOST_NODES:,} nodes when its functions are written out")
    from onnx.inliner import inline_local_functions

    try:
        return inline_local_functions(model)
    except (RuntimeError, ValueError, TypeError) as error:
        raise ModelError(f"its functions cannot be written out ({' '.join(str(error).split())[:200]})") from None


def _expanded_nodes(model: ModelProto) -> int:
    """Return how many nodes the graph has when functions are written out, counted without writing them out."""
    bodies = {(function.domain, function.name): function.node for function in model.functions}
    sizes: dict[tuple[str, str], int] = {}
    under_way: list[tuple[str, str]] = []

    def size(key: tuple[str, str]) -> int:
        if key not in bodies:
            return 1
        if key in under_way or len(under_way) > 100:
            raise ModelError(f"its function {key[1][:80]!r} calls itself")
        if key not in sizes:
            under_way.append(key)
            sizes[key] = sum(size((node.domain, node.op_type)) for node in bodies[key])
            under_way.pop()
        return sizes[key]

    return sum(size((node.domain, node.op_type)) for node in model.graph.node)
