"""What fits on the terminal."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Sequence

from archcost.report.columns import COLUMNS
from archcost.report.formats import Cell, cell_text


def fitting(
    columns: Sequence[str], width_of: Callable[[Sequence[str]], int]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return which of ``columns`` fit, and which do not: the least important go first.

    When stdout is no terminal everything fits.
    """
    shown, hidden = list(columns), list[str]()
    if not sys.stdout.isatty():
        return tuple(shown), ()
    available = shutil.get_terminal_size().columns
    while len(shown) > 1 and width_of(shown) > available:
        least = min(shown, key=lambda name: COLUMNS[name].importance)
        shown.remove(least)
        hidden.append(least)
    return tuple(shown), tuple(hidden)


def table_width(table: tuple[Sequence[str], Sequence[Sequence[Cell]]]) -> int:
    """Return how many characters wide the table of these headers and cells is."""
    headers, rows = table
    widths = [
        max([len(header), *(len(cell_text(row[column])) for row in rows)]) for column, header in enumerate(headers)
    ]
    return sum(widths) + 4 * (len(widths) - 1)
