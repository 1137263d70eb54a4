"""archcost: what a convolutional architecture costs, and the proof.

>>> import archcost
>>> print(archcost.summarize(archcost.load("lenet")))    # doctest: +SKIP

Nothing is imported before it is used: a summary needs neither NumPy nor Numba.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from archcost.build import Builder, Sequential, Tensor
    from archcost.cost import Cost
    from archcost.engine.network import Network
    from archcost.errors import ArchcostError
    from archcost.graph import Graph, Node
    from archcost.interop.model import open_model
    from archcost.receptive_field import receptive_fields
    from archcost.report.summary import Summary, summarize
    from archcost.zoo.catalogue import load

__version__ = "0.1.0"

_HOME = {
    "ArchcostError": "archcost.errors",
    "Builder": "archcost.build",
    "Cost": "archcost.cost",
    "Graph": "archcost.graph",
    "Network": "archcost.engine.network",
    "Node": "archcost.graph",
    "Sequential": "archcost.build",
    "Summary": "archcost.report.summary",
    "Tensor": "archcost.build",
    "load": "archcost.zoo.catalogue",
    "open_model": "archcost.interop.model",
    "receptive_fields": "archcost.receptive_field",
    "summarize": "archcost.report.summary",
}
"""Public name -> the module that holds it."""

__all__ = [
    "ArchcostError",
    "Builder",
    "Cost",
    "Graph",
    "Network",
    "Node",
    "Sequential",
    "Summary",
    "Tensor",
    "load",
    "open_model",
    "receptive_fields",
    "summarize",
]


def __getattr__(name: str) -> object:
    """Import a public name when it is first used."""
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'archcost' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
