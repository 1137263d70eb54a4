"""Operators of an imported model that are not known, and so not counted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from archcost.graph import Graph
from archcost.ops.base import Input

NAMES_SHOWN = 10
"""Gaps that a text names."""


@dataclass(frozen=True)
class Gap:
    """One operator that is not counted: what the model calls it, and the node."""

    op_type: str
    node: str


@dataclass(frozen=True)
class Coverage:
    """How much of a network is counted.

    Attributes:
        operators: number of operators.
        gaps: those that are not counted.
    """

    operators: int
    gaps: tuple[Gap, ...]

    @property
    def text(self) -> str:
        """What stands under a table; empty where everything is counted."""
        if not self.gaps:
            return ""
        names = ", ".join(f"{gap.op_type} at {gap.node}" for gap in islice(self.gaps, NAMES_SHOWN))
        more = ", ..." if len(self.gaps) > NAMES_SHOWN else ""
        counted = self.operators - len(self.gaps)
        return f"{counted} of {self.operators} operators counted; not counted: {names}{more}"

    def as_dict(self) -> dict[str, object]:
        """Return it as plain values."""
        return {
            "operators": self.operators,
            "counted": self.operators - len(self.gaps),
            "not_counted": [{"op_type": gap.op_type, "layer": gap.node} for gap in self.gaps],
        }


def coverage(graph: Graph) -> Coverage:
    """Return which operators of ``graph`` are not counted."""
    nodes = [node for node in graph if not isinstance(node.op, Input)]
    # Only imported models have such operators, and their class is not imported for others.
    gaps = tuple(Gap(getattr(node.op, "op_type", "?"), node.name) for node in nodes if node.op.family == "unknown")
    return Coverage(len(nodes), gaps)


def joined(named: Sequence[tuple[str, Coverage]]) -> str:
    """Return a line for each network that is not counted wholly."""
    return "\n".join(f"{name}: {found.text}" for name, found in named if found.text)
