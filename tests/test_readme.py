"""The README's commands print what it shows, and its Python runs.

    python tests/test_readme.py     writes the present output of every command into the README

A console block is ``$ command`` and the whole output. A Python block after ``<!-- file: NAME -->`` is a file that the
commands use; the others are run.
"""

from __future__ import annotations

import io
import os
import re
import shlex
import tempfile
from contextlib import redirect_stdout
from pathlib import Path

import pytest

from archcost.cli.main import main

README = Path(__file__).parent.parent / "README.md"
CONSOLE = re.compile(r"```console\n\$ (?P<command>[^\n]+)\n(?P<output>.*?)```", re.DOTALL)
PYTHON = re.compile(r"(?:<!-- file: (?P<file>\S+) -->\n)?```python\n(?P<code>.*?)```", re.DOTALL)


def output_of(command: str) -> str:
    """Return what ``command`` prints."""
    words = shlex.split(command)
    assert words[0] == "archcost", command
    out = io.StringIO()
    with redirect_stdout(out), pytest.raises(SystemExit):
        main(words[1:])
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"


def write_files(folder: Path) -> None:
    """Write the files that the README shows into ``folder``."""
    for block in PYTHON.finditer(README.read_text(encoding="utf-8")):
        if block["file"]:
            (folder / block["file"]).write_text(block["code"], encoding="utf-8")


@pytest.fixture(name="folder")
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder that holds the README's files."""
    write_files(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def commands() -> list[str]:
    """Return the README's commands."""
    return [block["command"] for block in CONSOLE.finditer(README.read_text(encoding="utf-8"))]


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("command", commands())
def test_command_prints_what_the_readme_shows(command: str) -> None:
    shown = {block["command"]: block["output"] for block in CONSOLE.finditer(README.read_text(encoding="utf-8"))}
    assert output_of(command) == shown[command], "python tests/test_readme.py writes the present output"


def test_python_runs(folder: Path) -> None:
    codes = [block["code"] for block in PYTHON.finditer(README.read_text(encoding="utf-8")) if not block["file"]]
    assert codes
    for code in codes:
        exec(compile(code, str(folder / "README.md"), "exec"), {})


def test_new_architecture_is_short() -> None:
    files = [block["code"] for block in PYTHON.finditer(README.read_text(encoding="utf-8")) if block["file"]]
    assert [len(code.splitlines()) < 60 for code in files] == [True]


def rewrite() -> None:
    """Write the present output of every command into the README."""

    def block(match: re.Match[str]) -> str:
        return f"```console\n$ {match['command']}\n{output_of(match['command'])}```"

    with tempfile.TemporaryDirectory() as name:
        write_files(Path(name))
        os.chdir(name)
        README.write_text(CONSOLE.sub(block, README.read_text(encoding="utf-8")), encoding="utf-8")
        os.chdir(README.parent)


if __name__ == "__main__":
    rewrite()
