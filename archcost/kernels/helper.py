"""A process that compiles kernels for another one, on a processor of its own.

It is told a kernel in a line of text, compiles it into the cache folder and answers with a line. It ends when the other
process has ended, or has not asked for a while.
"""

from __future__ import annotations

import ast
import atexit
import os
import queue
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

from archcost.kernels.compiled import Kernel, compile_kernel, is_kept

IDLE_SECONDS = 20.0
"""A helper without work ends after this time."""

DONE = b"done\n"

COMMAND = "import sys; sys.path[:] = sys.argv[2:]; from archcost.kernels.helper import serve; serve(sys.argv[1])"
"""What the process runs: its modules come from where this one has them, whatever lies in the current folder."""


def can_help() -> bool:
    """Return whether a second process can be started, and finds a processor."""
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return processors > 1 and bool(sys.executable) and not getattr(sys, "frozen", False)


class Helper:
    """A process that compiles kernels into a folder; it may fail at any time, and then says so.

    Args:
        place: the folder.
    """

    def __init__(self, place: Path) -> None:
        self._place, self._owner = place, os.getpid()
        self._process: subprocess.Popen[bytes] | None = None
        command = [sys.executable, "-I", *(["-B"] if sys.dont_write_bytecode else []), "-c", COMMAND, str(place)]
        with suppress(OSError):
            self._process = subprocess.Popen(  # noqa: S603  (Python itself)
                [*command, *map(str, sys.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL, creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            )  # fmt: skip
            atexit.register(self.end)

    def is_ready(self, place: Path) -> bool:
        """Return whether the process runs, and for this process and folder (a forked process needs its own)."""
        return (self._place, self._owner) == (place, os.getpid()) and bool(
            self._process and self._process.poll() is None
        )

    def compiled(self, kernel: Kernel) -> bool:
        """Let the process compile a kernel; return whether it has."""
        process = self._process
        if process is None or process.stdin is None or process.stdout is None:
            return False
        try:
            process.stdin.write(f"{tuple(kernel)!r}\n".encode())
            process.stdin.flush()
            return process.stdout.readline() == DONE
        except (OSError, ValueError):  # it has ended, or has been ended
            return False

    def end(self) -> None:
        """End the process, whatever it does: files appear whole or not at all."""
        process = self._process
        if process is None or self._owner != os.getpid():
            return
        self._process = None
        atexit.unregister(self.end)
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            with suppress(OSError):
                if pipe:
                    pipe.close()


def serve(place: str) -> None:
    """Compile what standard input asks for into a folder, until nobody asks any more."""
    import archcost.kernels.compiling  # noqa: F401  (ready before the first kernel is asked for)

    answers, sys.stdout = sys.stdout.buffer, sys.stderr
    asked: queue.Queue[bytes] = queue.Queue()
    threading.Thread(target=_read_lines, args=(asked,), daemon=True).start()
    while True:
        try:
            line = asked.get(timeout=IDLE_SECONDS)
        except queue.Empty:
            return
        if not line:
            return
        answers.write(DONE if _compile(line, Path(place)) else b"failed\n")
        answers.flush()


def _read_lines(asked: queue.Queue[bytes]) -> None:
    """Pass on the lines of standard input, and an empty one at its end."""
    for line in sys.stdin.buffer:
        asked.put(line)
    asked.put(b"")


def _compile(line: bytes, place: Path) -> bool:
    """Compile the kernel of a line; return whether the folder holds it then."""
    kernel = Kernel(*ast.literal_eval(line.decode()))
    compile_kernel(kernel, place)
    return is_kept(kernel, place)
