"""Names of our nodes: dotted paths, made of what exporters call their nodes and weights."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Any, NamedTuple

from archcost.interop.onnx.fusing import CHANNEL_NORM, DENSE, Call

if TYPE_CHECKING:
    from onnx import NodeProto

LONGEST = 200

WEIGHTED = {
    "Conv": (1, "weight"), "ConvTranspose": (1, "weight"), "BatchNormalization": (1, "weight"), "Gemm": (1, "weight"),
    "PRelu": (1, "weight"), "LayerNormalization": (1, "weight"), "InstanceNormalization": (1, "weight"),
    DENSE: (2, "bias"), CHANNEL_NORM: (1, "weight"),
}  # fmt: skip
"""Operator -> which of its inputs tells the layer's name, and the last word of that input's name."""

SCOPES = "pkg.torch.onnx.name_scopes"
CLASSES = "pkg.torch.onnx.class_hierarchy"
"""What PyTorch's newer exporter notes at each node: the path of modules to it, and their classes."""


def cleaned(name: str) -> str:
    """Return ``name`` as words joined by dots, without what names of nodes cannot hold."""
    plain = re.sub(r"[\x00-\x20\x7f]+", "_", name[:LONGEST])
    return ".".join(word for word in plain.split(".") if word) or "node"


class Path(NamedTuple):
    """Where a node is: the dotted path of its module, and its own word there; or a whole name alone."""

    module: str
    word: str


def node_names(nodes: Sequence[Call], stored: Collection[str]) -> list[str]:
    """Return a name for each node; names may be equal, and whoever uses them must number them.

    A layer is called as its weights are (``layer1.0.conv1`` of ``layer1.0.conv1.weight``). Any other node is called as
    its module, if it is the only one in there, or else by a word of its own in the module.

    Args:
        nodes: the model's nodes.
        stored: names of the stored tensors.
    """
    paths = [_path(node) for node in nodes]
    common = _common([path.module.split(".") for path in paths if path is not None and path.module])
    paths = [path and Path(".".join(path.module.split(".")[common:]), path.word) for path in paths]
    members = Counter(prefix for path in paths if path for prefix in _prefixes(path.module))
    left = set(stored)
    return [_name(node, path, left, members) for node, path in zip(nodes, paths)]


def _name(node: Call, path: Path | None, stored: set[str], members: Counter[str]) -> str:
    place, word = WEIGHTED.get(node.kind, (0, ""))
    if word and len(node.inputs) > place and node.inputs[place] in stored:
        layer, dot, tensor = node.inputs[place].rpartition(".")
        if dot and tensor == word and "::" not in layer:
            stored.discard(node.inputs[place])  # another layer of the same weights is called by its own place
            return layer
    if path is None:
        return node.name or node.kind.lower()
    if path.module and members[path.module] == 1:
        return path.module
    return ".".join(filter(None, (path.module, path.word)))


def _path(node: Call) -> Path | None:
    noted = _noted(node.notes, SCOPES)
    if len(noted) > 1:
        return Path(noted[-2], noted[-1] or node.kind.lower())
    words = [word for word in node.name.split("/") if word]
    if len(words) < 2 and not node.name.startswith("/"):
        return None
    module = ""
    for word in words[:-1]:
        # PyTorch repeats the path: /layer1/layer1.0/conv1
        module = word if module and word.startswith(f"{module}.") else f"{module}.{word}" if module else word
    return Path(module, words[-1].lower() if words else node.kind.lower())


def scopes(nodes: Iterable[NodeProto]) -> dict[str, str]:
    """Return what each module is, where the exporter has noted it: ``layer1.0`` -> ``BasicBlock``."""
    found: dict[str, str] = {}
    for node in nodes:
        names, classes = _noted(node.metadata_props, SCOPES), _noted(node.metadata_props, CLASSES)
        for name, kind in zip(names[:-1], classes[:-1]):
            if name:
                found.setdefault(cleaned(name), kind.rpartition(".")[2][:LONGEST])
    return found


def _noted(notes: Iterable[Any], key: str) -> list[str]:
    """Return a list of texts that PyTorch has noted at a node; empty if there is none."""
    for entry in notes:
        if entry.key == key and len(entry.value) < 10_000:
            try:
                found = ast.literal_eval(entry.value)
            except (ValueError, SyntaxError, MemoryError, RecursionError):
                return []
            return [str(word) for word in found] if isinstance(found, list) else []
    return []


def _prefixes(module: str) -> list[str]:
    return list(accumulate(module.split("."), lambda whole, word: f"{whole}.{word}")) if module else []


def _common(paths: Sequence[list[str]]) -> int:
    """Return how many first words all paths have in common; a path keeps its last word."""
    if len(paths) < 2:
        return 0
    first, last = min(paths), max(paths)
    shortest = min(map(len, paths)) - 1
    return next((index for index, (a, b) in enumerate(zip(first, last)) if a != b or index >= shortest), shortest)
