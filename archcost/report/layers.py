"""The layer tree as table cells: scopes as headings, rows under them, and what is not shown in one row."""

from __future__ import annotations

from collections.abc import Sequence

from archcost.graph import Graph
from archcost.report.formats import Cell
from archcost.report.rows import Row, summed, total


def tree_cells(graph: Graph, rows: Sequence[Row], cells: Sequence[Sequence[Cell]]) -> list[list[Cell]]:
    """Return ``cells`` with the names indented, and an empty row for every scope that is opened by the rows below it.

    A heading carries no numbers, so that every column still adds up to its total.
    """
    result: list[list[Cell]] = []
    open_path: list[str] = []
    for row, line in zip(rows, cells):
        parts = row.name.split(".")
        shared = 0
        while shared < min(len(open_path), len(parts) - 1) and open_path[shared] == parts[shared]:
            shared += 1
        for level in range(shared, len(parts) - 1):
            scope = ".".join(parts[: level + 1])
            kind = graph.scopes.get(scope, "")
            heading: list[Cell] = [None] * len(line)
            heading[0] = "  " * level + parts[level] + (f" ({kind})" if kind else "")
            result.append(heading)
        open_path = parts[:-1]
        result.append(["  " * (len(parts) - 1) + parts[-1], *line[1:]])
    return result


def remainder(rows: Sequence[Row], shown: Sequence[Row]) -> Row | None:
    """Return one row with what ``shown`` leaves out of all ``rows``; None when nothing is left out."""
    everything, part = total(rows), total(shown)
    left = {column: everything[column] - part[column] for column in everything}
    return summed(f"({left['operators']} operators not shown)", left) if left["operators"] else None
