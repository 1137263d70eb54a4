"""The measuring process's side of a runtime's process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import archcost
from archcost.bench.cases import Case
from archcost.bench.timing import Phase

if TYPE_CHECKING:
    from typing_extensions import Self


PATIENCE = 10.0
"""Seconds in which a process may end by itself."""


class RuntimeFailedError(Exception):
    """A runtime cannot do what it was asked for; the text is one line of its own.

    Attributes:
        runtime: its name.
    """

    def __init__(self, runtime: str, message: str) -> None:
        super().__init__(message)
        self.runtime = runtime


def module_environment() -> dict[str, str]:
    """Return the environment in which a process finds this very package, wherever it lies."""
    places = [str(Path(archcost.__file__).parent.parent), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, places))}


class Client:
    """A runtime in a process of its own, started at once and ended with the ``with`` block.

    Args:
        runtime: a name of ``peers.RUNTIMES``.
    """

    def __init__(self, runtime: str) -> None:
        # Warnings and progress of libraries: only the last line is shown, and only if the process ends.
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  (it lives as long as the process)
        self.runtime = runtime
        self._process = subprocess.Popen(  # noqa: S603  (our own module)
            [sys.executable, "-m", "archcost.bench.worker", runtime],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            encoding="utf-8",
            env=module_environment(),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.end(PATIENCE if kind is None else 0.0)

    def end(self, patience: float = PATIENCE) -> None:
        """End the process: it stops when its stdin does, or is killed after ``patience`` seconds."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.close()
            self._process.wait(patience)
        except (OSError, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        self._errors.close()

    def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        """Return the answer to a request (``worker``).

        Raises:
            RuntimeFailedError: if the runtime fails, or its process has ended.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except OSError:
            line = ""
        if not line:
            raise RuntimeFailedError(self.runtime, f"its process ended ({self._process.wait()}): {self._last_words()}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise RuntimeFailedError(self.runtime, str(answer["error"]))
        return answer

    def open(self, case: Case, folder: Path, threads: int) -> dict[str, Any]:
        """Let the runtime make a case ready and run it once."""
        return self.ask("open", case=case.as_dict(), folder=str(folder), threads=threads)

    def phase(self, seconds: float) -> Phase:
        """Let it run for a while."""
        return Phase(**self.ask("phase", seconds=seconds))

    def _last_words(self) -> str:
        """Return the last line that the process wrote to stderr."""
        self._errors.seek(0)
        lines = self._errors.read().decode("utf-8", "replace").splitlines()
        return lines[-1].strip() if lines else "it said nothing"
