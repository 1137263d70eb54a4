"""How every command ends: exit codes, one-line errors, streams, pipes."""

from __future__ import annotations

import errno
import io
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import click
import pytest

from archcost.cli import main as entry_point
from archcost.cli.main import COMMANDS, LazyGroup, group, main
from archcost.errors import ModelError
from tests.conftest import Ended

Run = Callable[..., Ended]
ROOT = Path(__file__).parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}


def process(*arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    """Run ``python -m archcost`` as a process of its own."""
    return subprocess.run(  # type: ignore[call-overload, no-any-return]  # noqa: PLW1510  (it is among the options)
        [sys.executable, "-m", "archcost", *arguments],
        **{"capture_output": True, "text": True, "check": False, "env": ENVIRONMENT, "timeout": 60, **options},
    )


def failed(ended: Ended, *words: str) -> None:
    """The error is one line on stderr, holds ``words``, exits with 2, and nothing is on stdout."""
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("archcost: error: ")
    assert ended.err.count("\n") == 1
    for word in words:
        assert word in ended.err


def test_python_m_archcost_prints_to_stdout_alone() -> None:
    ended = process("models", "lenet")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "61,706" in ended.stdout


def test_python_m_archcost_fails_in_one_line() -> None:
    ended = process("summary", "resnt50")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == "archcost: error: unknown model 'resnt50' (did you mean 'resnet50'?)\n"


def test_no_command_shows_the_usage(run: Run) -> None:
    ended = run()
    assert ended.code == 2
    text = ended.out + ended.err
    assert "Usage: archcost" in text
    assert "archcost summary resnet50" in text
    assert "Traceback" not in text


@pytest.mark.parametrize(
    ("word", "hint"), [("sumary", "(did you mean 'summary'?)"), ("modells", "(did you mean 'models'?)"), ("xyzzy", "")]
)
def test_unknown_command(run: Run, word: str, hint: str) -> None:
    ended = run(word, "resnet50")
    failed(ended, f"unknown command '{word}'", hint)
    assert ("did you mean" in ended.err) == bool(hint)


def test_version(run: Run) -> None:
    ended = run("--version")
    assert ended.code == 0
    assert ended.out.startswith("archcost, version 0.")


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_lists_every_command(run: Run, flag: str) -> None:
    ended = run(flag)
    assert (ended.code, ended.err) == (0, "")
    for name, (_, text) in COMMANDS.items():
        assert f"  {name}" in ended.out
        assert text.split(";")[0].split(",")[0] in " ".join(ended.out.split())


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_a_command_has_examples_that_name_it(run: Run, name: str) -> None:
    ended = run(name, "--help")
    assert (ended.code, ended.err) == (0, "")
    examples = ended.out.partition("Examples:\n")[2].splitlines()
    assert examples[0].strip().startswith(f"archcost {name}")
    assert f"Usage: archcost {name}" in ended.out


@pytest.mark.parametrize("name", COMMANDS)
def test_help_in_the_list_is_that_of_the_command(name: str) -> None:
    assert isinstance(group, LazyGroup)
    command = group.get_command(click.Context(group), name)
    assert command is not None
    assert command.short_help == COMMANDS[name][1]
    assert group.get_command(click.Context(group), "nothing") is None


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("summary",), ("Missing argument 'MODEL'",)),
        (("summary", "lenet", "vgg16"), ("unexpected extra argument", "vgg16")),
        (("summary", "lenet", "--nonsense"), ("No such option", "--nonsense")),
        (("--nonsense",), ("No such option", "--nonsense")),
        (("summary", "lenet", "--batch-size", "many"), ("--batch-size", "'many' is not a valid integer")),
        (("summary", "lenet", "--format", "xml"), ("--format", "'xml' is not one of", "'json'")),
        (("models", "lenet", "vgg16"), ("unexpected extra argument",)),
        (("compare", "lenet", "--sort", "name"), ("'name' is not one of 'params'",)),
    ],
)
def test_bad_usage(run: Run, arguments: tuple[str, ...], words: tuple[str, ...]) -> None:
    failed(run(*arguments), *words)


def test_debug_shows_the_traceback() -> None:
    ended = process("summary", "resnt50", "--debug")
    assert ended.returncode not in (0, 2)
    assert ended.stdout == ""
    assert ended.stderr.startswith("Traceback (most recent call last)")
    assert "ModelError: unknown model 'resnt50'" in ended.stderr
    with pytest.raises(ModelError, match="unknown model 'resnt50'"):
        main(["--debug", "summary", "resnt50"])
    with pytest.raises(click.UsageError, match="unknown command"):
        main(["nothing", "--debug"])


def test_debug_changes_nothing_of_a_success(run: Run) -> None:
    assert run("--debug", "models", "lenet") == run("models", "lenet")


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, click.exceptions.Abort])
def test_interruption_exits_with_130(run: Run, monkeypatch: pytest.MonkeyPatch, interruption: type[Exception]) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise interruption

    monkeypatch.setattr(entry_point.group, "main", interrupted)
    assert run("summary", "lenet") == (130, "", "archcost: interrupted\n")


def test_recursion_is_one_line(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def recursive(*_: object, **__: object) -> None:
        raise RecursionError

    monkeypatch.setattr(entry_point.group, "main", recursive)
    failed(run("summary", "lenet"), "nested too deeply")


@pytest.mark.parametrize("arguments", [("models",), ("summary", "resnet152", "--depth", "-1", "--format", "json")])
def test_broken_pipe_ends_silently(arguments: tuple[str, ...]) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "archcost", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=ENVIRONMENT,
        text=True,
    ) as ended:
        assert ended.stdout is not None
        assert ended.stderr is not None
        assert ended.stdout.readline()
        ended.stdout.close()
        assert ended.stderr.read() == ""
    assert ended.returncode == 0


class FullDisk(io.StringIO):
    """As ``> /dev/full``."""

    def write(self, _: str) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_full_disk_behind_stdout_is_one_line() -> None:
    err = io.StringIO()
    with redirect_stdout(FullDisk()), redirect_stderr(err), pytest.raises(SystemExit) as ended:
        main(["summary", "lenet"])
    assert ended.value.code == 2
    assert err.getvalue().count("\n") == 1
    assert os.strerror(errno.ENOSPC) in err.getvalue()


@pytest.mark.parametrize("variables", [{}, {"NO_COLOR": "1"}, {"FORCE_COLOR": "1"}, {"CLICOLOR_FORCE": "1"}], ids=str)
def test_there_is_no_colour_at_all(variables: dict[str, str]) -> None:
    ended = process("compare", "lenet", "--ops", env={**ENVIRONMENT, **variables})
    assert "\x1b" not in ended.stdout + ended.stderr
    failure = process("summary", "resnt50", env={**ENVIRONMENT, **variables})
    assert "\x1b" not in failure.stderr


def test_output_in_an_encoding_without_all_letters(tmp_path: Path) -> None:
    file = tmp_path / "net.py"
    file.write_text(
        "from archcost import Sequential\nfrom archcost.ops import ReLU\n"
        "def net():\n    return Sequential([ReLU()], (3,), 'gr\\u00fcn\\u2192')\n",
        encoding="utf-8",
    )
    ended = process("summary", f"{file}:net", env={**ENVIRONMENT, "PYTHONIOENCODING": "ascii"})
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.startswith("gr?n?")
