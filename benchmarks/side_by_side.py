"""Measure everything that ``archcost bench`` measures, and write its tables into the README and beside this script.

    python benchmarks/side_by_side.py [--from FILE.json] [options of archcost bench, such as --quick or --resume]

Needs a quiet machine, an hour, and the other runtimes: pip install "archcost[bench]". All numbers go to
``side_by_side.json`` after each comparison, so that ``--resume`` goes on where a run was interrupted; the whole report
goes to ``side_by_side.md``, and its short form between two marks of the README. ``--from`` measures nothing and writes
the tables of a file that ``archcost bench --json`` has written.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from archcost.bench.results import Results
from archcost.bench.tables import RATIO_NOTE, rendered, short
from archcost.files import write_whole
from archcost.report.formats import as_markdown

HERE = Path(__file__).resolve().parent
README = HERE.parent / "README.md"
BEGIN, END = "<!-- side by side: begin -->", "<!-- side by side: end -->"


def summary(results: Results) -> str:
    """Return what the README shows."""
    hardware, software = results.machine.lines()
    tables = short(results)
    # The note begins with an asterisk, which would make it an item of a list.
    notes = "".join(f"\n\\{line}\n" for line in dict.fromkeys(table.notes for table in tables) if line)
    shown = "\n\n".join(as_markdown(table.headers, table.rows) for table in tables)
    return f"{hardware}.\n{software}.\n{RATIO_NOTE[0].upper()}{RATIO_NOTE[1:]}.\n{notes}\n{shown}\n"


def replaced(text: str, content: str) -> str:
    """Return a README's text with ``content`` between the marks."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"the README has no {BEGIN} ... {END}")
    return f"{before}{begin}\n\n{content}\n{end}{after}"


def main() -> None:
    """Measure, unless a file is given, and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--from", dest="given", type=Path, metavar="FILE", help="results to write; nothing is measured")
    arguments, options = parser.parse_known_args()
    path = arguments.given or HERE / "side_by_side.json"
    if arguments.given is None:
        command = [sys.executable, "-m", "archcost", "bench", *options, "--json", str(path), "-o"]
        subprocess.run([*command, str(HERE / "side_by_side.md")], check=True, cwd=README.parent)
    results = Results.read(path)
    write_whole(HERE / "side_by_side.md", rendered(results, "md") + "\n")
    write_whole(README, replaced(README.read_text(encoding="utf-8"), summary(results)))


if __name__ == "__main__":
    main()
