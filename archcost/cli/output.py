"""Where a command's text goes: stdout, or a file that is written whole or not at all."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import click

from archcost.errors import UsageError
from archcost.files import write_whole
from archcost.report.formats import FORMATS, Format, Table

Function = TypeVar("Function", bound=Callable[..., Any])

SUFFIXES: dict[str, Format] = {
    ".json": "json",
    ".csv": "csv",
    ".md": "md",
    ".tex": "latex",
    ".html": "html",
    ".htm": "html",
}


def output_options(function: Function) -> Function:
    """Add ``--format`` and ``-o`` to a command."""
    function = click.option(
        "-o", "--output", type=click.Path(dir_okay=False), help="Write to this file; its suffix chooses the format."
    )(function)
    choice = click.Choice(FORMATS)
    return click.option("--format", "output_format", type=choice, help="Format of the output (default: table).")(
        function
    )


def chosen_format(output_format: str | None, output: str | None) -> Format:
    """Return the format that was asked for, or the one that the file's suffix names; else the table."""
    if output_format is not None:
        return cast("Format", output_format)
    return SUFFIXES.get(Path(output).suffix.lower(), "table") if output else "table"


def emit(text: str, output: str | None) -> None:
    """Print ``text``, or write it to the file ``output`` (in UTF-8, whole or not at all).

    Raises:
        UsageError: if the file cannot be written; nothing of it is left then.
    """
    if output is None or output == "-":
        if sys.stdout is None:
            raise UsageError("stdout is closed; `-o FILE` writes to a file")
        sys.stdout.write(_encodable(text) + "\n")
        return
    write_whole(Path(output), text + "\n")


def emit_table(table: Table, output: str | None) -> None:
    """Print ``table`` as text; on a terminal that is too narrow the least important columns are dropped, and said so.

    Raises:
        UsageError: if the file ``output`` cannot be written.
    """
    hidden: tuple[str, ...] = ()
    if output is None and sys.stdout is not None and sys.stdout.isatty():
        import shutil  # only a terminal needs it, and it takes as long to import as all operators

        table, hidden = table.fitted(shutil.get_terminal_size().columns)
    emit(table.render("table"), output)
    if hidden:
        warn(f"the terminal is too narrow for {', '.join(hidden)}")


def _encodable(text: str) -> str:
    """Replace what the terminal's encoding cannot show; our own tables are plain ASCII, names may not be."""
    encoding = sys.stdout.encoding or "utf-8"
    return text.encode(encoding, "replace").decode(encoding)


def warn(message: str) -> None:
    """Print a hint or warning to stderr."""
    sys.stderr.write(f"archcost: {message}\n")
