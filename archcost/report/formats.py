"""Rows of text as a table, CSV, Markdown, LaTeX or HTML, and numbers as people read them."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from html import escape
from typing import Any, Literal

Format = Literal["table", "json", "csv", "md", "latex", "html"]
FORMATS: tuple[Format, ...] = ("table", "json", "csv", "md", "latex", "html")

PREFIXES = ("k", "M", "G", "T", "P", "E")

Cell = int | float | str | None
"""A value of a row: numbers stay numbers until a format writes them; None is an empty cell."""


def si(value: float, digits: int = 4) -> str:
    """Return ``4.089 G`` for 4089184256: SI prefixes (1000), ``digits`` significant digits, small integers exact."""
    if abs(value) < 1000:
        return f"{value:,}" if isinstance(value, int) else f"{value:.{digits}g}"
    rounded = float(f"{float(value):.{digits - 1}e}")
    for prefix in PREFIXES:
        rounded /= 1000
        if abs(rounded) < 1000 or prefix == PREFIXES[-1]:
            break
    decimals = max(0, digits - len(str(int(abs(rounded)))))
    return f"{rounded:.{decimals}f} {prefix}"


def mebibytes(count: int) -> str:
    """Return ``97.49 MiB`` for a number of bytes (2^20)."""
    return f"{count / 2**20:,.2f} MiB"


def percent(part: int, whole: int) -> str:
    """Return ``12.3%``; empty when there is nothing to share."""
    return f"{100 * part / whole:.1f}%" if whole else ""


def cell_text(value: Cell) -> str:
    """Return a cell as tables show it: integers with thousands separators."""
    if value is None:
        return ""
    return f"{value:,}" if isinstance(value, int) else str(value)


def as_table(headers: Sequence[str], rows: Sequence[Sequence[Cell]], style: str = "simple") -> str:
    """Return an aligned text table in a style of tabulate: text to the left, numbers to the right."""
    from tabulate import tabulate

    texts = [[cell_text(value) for value in row] for row in rows]
    return tabulate(
        texts,
        headers,
        tablefmt=style,
        colalign=_alignment(rows, len(headers)),
        disable_numparse=True,
        preserve_whitespace=True,  # the indentation of the layer tree
    )


def _alignment(rows: Sequence[Sequence[Cell]], columns: int) -> list[str]:
    """A column is right-aligned when it holds a number or a share."""
    numeric = [
        any(isinstance(row[column], (int, float)) or str(row[column] or "").endswith("%") for row in rows)
        for column in range(columns)
    ]
    return ["right" if right else "left" for right in numeric]


def as_markdown(headers: Sequence[str], rows: Sequence[Sequence[Cell]]) -> str:
    """Return a Markdown table; ``|`` in a cell is escaped."""
    safe = [[value.replace("|", "\\|") if isinstance(value, str) else value for value in row] for row in rows]
    return as_table(headers, safe, "pipe")


def as_latex(headers: Sequence[str], rows: Sequence[Sequence[Cell]]) -> str:
    """Return a LaTeX tabular with the rules of booktabs."""
    return as_table(headers, rows, "latex_booktabs")


def as_csv(headers: Sequence[str], rows: Sequence[Sequence[Cell]]) -> str:
    """Return CSV with raw numbers and one header line."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(headers)
    writer.writerows(["" if value is None else value for value in row] for row in rows)
    return buffer.getvalue().rstrip("\n")


def as_html(headers: Sequence[str], rows: Sequence[Sequence[Cell]]) -> str:
    """Return an HTML table, numbers right-aligned; indentation survives."""
    alignment = _alignment(rows, len(headers))
    styles = [f"text-align:{side};white-space:pre;padding:2px 8px" for side in alignment]
    head = "".join(f'<th style="{style}">{escape(text)}</th>' for style, text in zip(styles, headers))
    body = "\n".join(
        "<tr>"
        + "".join(f'<td style="{style}">{escape(cell_text(value))}</td>' for style, value in zip(styles, row))
        + "</tr>"
        for row in rows
    )
    return f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>"


def html_page(title: str, body: str) -> str:
    """Return a page of its own around ``body``; it loads nothing from anywhere."""
    style = (
        "body{font-family:sans-serif;margin:2em}table{border-collapse:collapse}tr:nth-child(even){background:#f4f4f4}"
    )
    return (
        f'<!doctype html>\n<html lang="en">\n<head><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{style}</style></head>\n<body>\n{body}\n</body>\n</html>"
    )


@dataclass(frozen=True)
class Table:
    """A titled table, ready for any text format.

    Attributes:
        title: first line, heading or caption.
        headers: column names.
        rows: cells.
        notes: text under the table; left out of CSV, which holds data alone.
        importance: for each column how dear it is on a narrow terminal; empty when nothing may be dropped.
    """

    title: str
    headers: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: str = ""
    importance: tuple[int, ...] = ()

    @property
    def width(self) -> int:
        """Characters that a line of the text table is wide (tabulate keeps two free for a header)."""
        columns = range(len(self.headers))
        widths = [max([len(self.headers[i]) + 2, *(len(cell_text(row[i])) for row in self.rows)]) for i in columns]
        return sum(widths) + 2 * (len(widths) - 1)

    def html_body(self) -> str:
        """Return heading, table and notes as HTML, for a page that may hold more."""
        note = f"<pre>{escape(self.notes)}</pre>" if self.notes else ""
        return f"<h1>{escape(self.title)}</h1>\n{as_html(self.headers, self.rows)}\n{note}"

    def without(self, column: int) -> Table:
        """Return the table without one column."""

        def cut(values: tuple[Any, ...]) -> tuple[Any, ...]:
            return values[:column] + values[column + 1 :]

        rows = tuple(cut(row) for row in self.rows)
        return replace(self, headers=cut(self.headers), rows=rows, importance=cut(self.importance))

    def fitted(self, width: int) -> tuple[Table, tuple[str, ...]]:
        """Return the table with its least important columns dropped until it fits, and the headers of those."""
        table, dropped = self, list[str]()
        while table.importance and len(table.headers) > 2 and table.width > width:
            least = min(range(1, len(table.headers)), key=lambda column: table.importance[column])
            dropped.append(table.headers[least])
            table = table.without(least)
        return table, tuple(dropped)

    def render(self, output: Format) -> str:
        """Return the table in a text format (``json`` is each report's own)."""
        if output == "csv":
            return as_csv(self.headers, self.rows)
        if output == "html":
            return html_page(self.title, self.html_body())
        if output == "md":
            note = f"```text\n{self.notes}\n```" if self.notes else ""
            parts = (f"### {self.title}", as_markdown(self.headers, self.rows), note)
            return "\n\n".join(part for part in parts if part)
        if output == "latex":
            comment = "\n".join(f"% {line}" for line in (*self.title.splitlines(), *self.notes.splitlines()))
            return f"{comment}\n{as_latex(self.headers, self.rows)}"
        parts = (self.title, as_table(self.headers, self.rows), self.notes)
        return "\n\n".join(part for part in parts if part)
