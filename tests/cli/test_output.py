"""Where the text goes: stdout, a file written whole or not at all, a terminal that may be narrow."""

from __future__ import annotations

import csv
import errno
import io
import json
import os
import re
import stat
import threading
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import NoReturn

import pytest

from archcost.cli.main import main
from archcost.cli.output import chosen_format, emit
from tests.cli.test_main import failed
from tests.conftest import Ended
from tests.report.test_formats import parsed

Run = Callable[..., Ended]


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.mark.parametrize(
    ("asked", "file", "expected"),
    [
        (None, None, "table"),
        (None, "out.json", "json"),
        (None, "out.JSON", "json"),
        (None, "a.b/out.csv", "csv"),
        (None, "out.md", "md"),
        (None, "out.tex", "latex"),
        (None, "out.html", "html"),
        (None, "out.htm", "html"),
        (None, "out.txt", "table"),
        (None, "out", "table"),
        (None, ".json", "table"),
        (None, "-", "table"),
        ("csv", "out.json", "csv"),
        ("table", "out.json", "table"),
    ],
)
def test_suffix_chooses_the_format(asked: str | None, file: str | None, expected: str) -> None:
    assert chosen_format(asked, file) == expected


@pytest.mark.parametrize("command", [("summary", "lenet"), ("models", "lenet"), ("compare", "lenet", "vgg16")])
def test_files_hold_what_is_printed(run: Run, tmp_path: Path, command: tuple[str, ...]) -> None:
    for suffix, form in (("json", "json"), ("csv", "csv"), ("md", "md"), ("tex", "latex"), ("txt", "table")):
        path = tmp_path / f"out.{suffix}"
        assert run(*command, "-o", str(path)) == (0, "", "")
        assert path.read_text(encoding="utf-8") == run(*command, "--format", form).out
    assert len(names(tmp_path)) == 5


@pytest.mark.parametrize("command", [("summary", "lenet"), ("models", "lenet"), ("compare", "lenet", "--ops")])
def test_every_format_can_be_read_by_its_reader(run: Run, command: tuple[str, ...]) -> None:
    assert json.loads(run(*command, "--format", "json").out)["schema"] == f"archcost.{command[0]}/1"
    lines = list(csv.reader(io.StringIO(run(*command, "--format", "csv").out)))
    assert len({len(line) for line in lines}) == 1
    assert len(set(lines[0])) == len(lines[0]), "a reader by column name needs different names"
    page = run(*command, "--format", "html").out
    assert page.count("<!doctype html>") == 1, "one page, whatever the number of tables"
    assert "script" not in parsed(page).seen


@pytest.mark.parametrize("command", [("summary", "lenet"), ("models", "lenet"), ("compare", "lenet")])
def test_csv_holds_raw_numbers(run: Run, command: tuple[str, ...]) -> None:
    (header, first, *_) = csv.reader(io.StringIO(run(*command, "--format", "csv").out))
    cells = dict(zip(header, first))
    words = {"layer", "operator", "kind", "output_shape", "model", "variant", "input", "receptive_field"}
    words |= {"input_size", "authors", "title", "where", "options"}
    numbers = {name: value for name, value in cells.items() if name not in words}
    assert len(numbers) >= 3
    assert {name: value for name, value in numbers.items() if not value.isdigit()} == {}


def test_dash_is_stdout(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("summary", "lenet", "-o", "-") == run("summary", "lenet")
    assert names(tmp_path) == set()


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664])
def test_replaced_file_keeps_its_permissions(run: Run, tmp_path: Path, mode: int) -> None:
    path = tmp_path / "out.csv"
    path.write_text("old", encoding="utf-8")
    path.chmod(mode)
    assert run("summary", "lenet", "-o", str(path)).code == 0
    assert stat.S_IMODE(path.stat().st_mode) == mode
    assert path.read_text(encoding="utf-8").startswith("layer,")


def test_new_file_has_the_permissions_of_any_new_file(run: Run, tmp_path: Path) -> None:
    (tmp_path / "other").touch()
    assert run("summary", "lenet", "-o", str(tmp_path / "out")).code == 0
    assert (tmp_path / "out").stat().st_mode == (tmp_path / "other").stat().st_mode


def test_link_is_followed_not_replaced(run: Run, tmp_path: Path) -> None:
    (tmp_path / "target.csv").write_text("old", encoding="utf-8")
    (tmp_path / "link.csv").symlink_to("target.csv")
    assert run("summary", "lenet", "-o", str(tmp_path / "link.csv")).code == 0
    assert (tmp_path / "link.csv").is_symlink()
    assert (tmp_path / "target.csv").read_text(encoding="utf-8").startswith("layer,")


def test_pipe_is_written_to_not_replaced(run: Run, tmp_path: Path) -> None:
    """As /dev/stdout and /dev/null are: a file of another kind must not become a regular one."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    received: list[str] = []
    # opened for both ways, so that neither side waits for ever if the other never comes
    descriptor = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    try:
        writer = threading.Thread(
            target=lambda: received.append(run("models", "lenet", "-o", str(path)).err), daemon=True
        )
        writer.start()
        writer.join(20)
        assert stat.S_ISFIFO(path.stat().st_mode)
        assert b"61,706" in os.read(descriptor, 65536)
    finally:
        os.close(descriptor)
    assert received == [""]


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("missing/out.json", ("cannot write", "missing/out.json", "No such file or directory")),
        ("file/out.json", ("cannot write", "Not a directory")),
        ("folder", ("is a directory",)),
        ("n" * 300, ("cannot write", "File name too long")),
    ],
    ids=["missing directory", "file as directory", "target is a directory", "long name"],
)
def test_unwritable_target(run: Run, tmp_path: Path, target: str, words: tuple[str, ...]) -> None:
    (tmp_path / "file").write_text("untouched", encoding="utf-8")
    (tmp_path / "folder").mkdir()
    failed(run("summary", "lenet", "-o", str(tmp_path / target)), *words)
    assert names(tmp_path) == {"file", "folder"}
    assert (tmp_path / "file").read_text(encoding="utf-8") == "untouched"
    assert names(tmp_path / "folder") == set()


def refusing(number: int) -> Callable[..., NoReturn]:
    def refuse(*_: object, **__: object) -> NoReturn:
        raise OSError(number, os.strerror(number))

    return refuse


@pytest.mark.parametrize(
    ("place", "number"),
    [("tempfile.NamedTemporaryFile", errno.EACCES), ("pathlib.Path.replace", errno.EROFS),
     ("pathlib.Path.chmod", errno.EPERM)],
    ids=["read-only directory", "rename refused", "chmod refused"],
)  # fmt: skip
def test_refused_write_leaves_the_old_file_and_nothing_else(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, number: int
) -> None:
    path = tmp_path / "out.json"
    path.write_text("old", encoding="utf-8")
    monkeypatch.setattr(place, refusing(number))
    ended = run("summary", "lenet", "-o", str(path))
    monkeypatch.undo()
    failed(ended, f"cannot write '{path}'", os.strerror(number))
    assert names(tmp_path) == {"out.json"}
    assert path.read_text(encoding="utf-8") == "old"


def test_lines_end_with_one_newline(run: Run, tmp_path: Path) -> None:
    for form in ("table", "json", "csv", "md", "latex", "html"):
        emit("x", str(tmp_path / "out"))
        assert (tmp_path / "out").read_bytes() == b"x\n"
        out = run("summary", "lenet", "--format", form).out
        assert out.endswith("\n")
        assert not out.endswith("\n\n")


class Terminal(io.StringIO):
    """A stdout that says that it is a terminal."""

    def isatty(self) -> bool:
        return True


def on_terminal(monkeypatch: pytest.MonkeyPatch, columns: int, *arguments: str) -> Ended:
    monkeypatch.setenv("COLUMNS", str(columns))
    out, err = Terminal(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 0
    return Ended(0, out.getvalue(), err.getvalue())


def table_width(text: str) -> int:
    rule = next(line for line in text.splitlines() if line.startswith("--"))
    return len(rule)


@pytest.mark.parametrize("columns", [40, 60, 70, 80, 83, 84, 85, 86, 90, 100])
@pytest.mark.parametrize("command", [("summary", "lenet"), ("models", "vgg"), ("compare", "lenet", "vgg16")])
def test_narrow_terminal_drops_columns_and_says_so(
    run: Run, monkeypatch: pytest.MonkeyPatch, columns: int, command: tuple[str, ...]
) -> None:
    full = run(*command).out
    ended = on_terminal(monkeypatch, columns, *command)
    if table_width(full) <= columns:
        assert (ended.out, ended.err) == (full, "")
        return
    headers = re.split(r" {2,}", ended.out.splitlines()[2].strip())
    assert table_width(ended.out) <= columns or len(headers) == 2
    assert ended.err.startswith("archcost: the terminal is too narrow for ")
    assert ended.err.count("\n") == 1
    for dropped in ended.err.removeprefix("archcost: the terminal is too narrow for ").strip().split(", "):
        assert dropped in re.split(r" {2,}", full.splitlines()[2].strip())
        assert dropped not in headers


def test_wide_terminal_shows_everything(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    assert on_terminal(monkeypatch, 200, "summary", "resnet50") == run("summary", "resnet50")


def test_narrow_terminal_keeps_the_mult_adds(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = on_terminal(monkeypatch, 40, "summary", "resnet50")
    assert "mult-adds" in ended.out.splitlines()[2]
    assert "4,089,184,256" in ended.out


@pytest.mark.parametrize("form", ["json", "csv", "md", "latex", "html"])
def test_data_formats_are_not_cut_for_a_terminal(run: Run, monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    arguments = ("summary", "lenet", "--format", form)
    assert on_terminal(monkeypatch, 20, *arguments) == run(*arguments)
