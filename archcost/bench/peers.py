"""Which other runtimes and counters are installed here, and what installs them."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import metadata
from importlib.util import find_spec
from typing import NamedTuple

OURS = "archcost"
EXTRA = 'pip install "archcost[bench]"'


class Peer(NamedTuple):
    """A program that archcost is compared with.

    Attributes:
        title: what tables call it.
        packages: what must be importable for it.
    """

    title: str
    packages: tuple[str, ...]


RUNTIMES: dict[str, Peer] = {
    OURS: Peer("archcost", ()),
    "onnxruntime": Peer("ONNX Runtime", ("onnxruntime", "onnx")),
    "openvino": Peer("OpenVINO", ("openvino", "onnx")),
    "torch": Peer("torch", ("torch",)),
    "torch-last": Peer("torch, channels last", ("torch",)),
}
"""Runtimes of inference; those of torch train too, and differ in how maps lie in memory."""

COUNTERS: dict[str, Peer] = {
    "torchinfo": Peer("torchinfo", ("torch", "torchvision", "torchinfo")),
    "fvcore": Peer("fvcore", ("torch", "torchvision", "fvcore")),
}
"""Programs that print a summary, for start-up."""

FILE_RUNTIMES = ("onnxruntime", "openvino")
TORCH_LAYOUTS = ("torch", "torch-last")

PACKAGES = (
    "numpy",
    "numba",
    "llvmlite",
    "onnxruntime",
    "openvino",
    "onnx",
    "torch",
    "torchvision",
    "torchinfo",
    "fvcore",
)


def absent(peer: Peer) -> list[str]:
    """Return which of a peer's packages are not installed; nothing is imported."""
    return [name for name in peer.packages if find_spec(name) is None]


def missing(names: Iterable[str]) -> str:
    """Return one line that names the peers that cannot run, and what installs them; empty if all can."""
    known = {**RUNTIMES, **COUNTERS}
    lacking = {name: absent(known[name]) for name in names}
    packages = sorted({package for found in lacking.values() for package in found})
    titles = list(dict.fromkeys(known[name].title.partition(",")[0] for name, found in lacking.items() if found))
    if not titles:
        return ""
    return f"not measured: {', '.join(titles)} ({', '.join(packages)} not installed); {EXTRA} installs them"


def available(names: Iterable[str]) -> list[str]:
    """Return those of the names that can run here, archcost among them."""
    known = {**RUNTIMES, **COUNTERS}
    return [name for name in names if not absent(known[name])]


def versions() -> dict[str, str]:
    """Return the version of every package that takes part and is installed."""
    return {name: found for name in PACKAGES if (found := version(name))}


def version(package: str) -> str:
    """Return the version of an installed package; empty if it is not installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""
