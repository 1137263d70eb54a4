"""Downloading the files of a known data set: mirrors in order, a retry, checksums, and never half a file in place.

A file is written beside its place under a name of its own and renamed when its checksum is right, so a reader sees the
whole file or none, and two processes that download the same file at once both end with the right one, without a lock.
A network that does not answer costs a few seconds for each mirror, once: a mirror that could not be reached is not
asked for the files that follow.
"""

from __future__ import annotations

import hashlib
import os
import queue
import secrets
import socket
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from urllib.parse import urlsplit

from archcost import __version__
from archcost.errors import UsageError
from archcost.train.sources import RemoteFile

ANSWER_SECONDS = 4.0
"""How long a mirror may take to be found, connected to and answer; the resolver's own patience may be longer."""

STALL_SECONDS = 15.0
"""How long a download may stand still."""

ATTEMPTS = 2
"""How often a mirror is asked for a file when the connection breaks."""

CHUNK = 1 << 18


class DownloadError(UsageError):
    """A file could not be had from any mirror; the text says what happened at each."""


class _MirrorError(Exception):
    """Why one attempt failed; ``again``: another may do better; ``gone``: this mirror cannot be reached at all."""

    def __init__(self, reason: str, *, again: bool = False, gone: bool = False) -> None:
        super().__init__(reason)
        self.again = again
        self.gone = gone


def download(title: str, files: Sequence[RemoteFile], mirrors: Sequence[str], folder: Path) -> None:
    """Download files into a folder, which is made if it is not there; says so on stderr once a mirror has answered.

    Args:
        title: what is downloaded, for that line.
        files: what to download; a file that is already there is replaced.
        mirrors: addresses of folders that hold all files, in the order in which they are tried.
        folder: where the files go.

    Raises:
        DownloadError: the folder cannot be written, or no mirror gave a file with the right checksum; one line.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DownloadError(f"cannot make the folder {str(folder)!r}: {error.strerror}") from None
    size = sum(file.size for file in files) / 1e6
    progress = _Progress(f"archcost: downloading {title} ({size:.1f} MB) to {folder}")
    unreachable: dict[str, str] = {}
    for file in files:
        failures = dict(unreachable)
        for mirror in mirrors:
            if mirror in unreachable:
                continue
            failure = _from_mirror(file, mirror, folder, progress)
            if failure is None:
                break
            failures[mirror] = str(failure)
            if failure.gone:
                unreachable[mirror] = str(failure)
        else:
            tried = "; ".join(f"{urlsplit(mirror).netloc}: {reason}" for mirror, reason in failures.items())
            raise DownloadError(f"{file.name} could not be downloaded ({tried})")


def _from_mirror(file: RemoteFile, mirror: str, folder: Path, progress: _Progress) -> _MirrorError | None:
    """Download one file from one mirror; returns why it failed, or None if it is there."""
    attempt = 1
    while True:
        try:
            _fetch(file, mirror + file.name, folder, progress)
        except _MirrorError as error:
            if attempt == ATTEMPTS or not error.again:
                return error
        else:
            return None
        attempt += 1


def _fetch(file: RemoteFile, address: str, folder: Path, progress: _Progress) -> None:
    """Download one file, check it and put it in its place; _MirrorError says why not, DownloadError that it cannot."""
    with _answer(address) as response:
        length = response.headers.get("Content-Length")
        if length is not None and length != str(file.size):
            raise _MirrorError(f"the file has {length[:20]} bytes, not {file.size}")
        progress.announce()
        beside = folder / f".{file.name}.{os.getpid()}.{secrets.token_hex(4)}.part"
        try:
            with beside.open("xb") as target:
                digest = hashlib.md5(usedforsecurity=False)
                done = 0
                while chunk := _chunk(response, done, file.size):
                    target.write(chunk)
                    digest.update(chunk)
                    done += len(chunk)
                    if done > file.size:
                        raise _MirrorError(f"the file has more than {file.size} bytes")
                    progress.show(file, done)
            if done < file.size:
                raise _MirrorError(f"the connection was cut after {done} of {file.size} bytes", again=True)
            if digest.hexdigest() != file.md5:
                raise _MirrorError(f"wrong checksum: MD5 {digest.hexdigest()}, not {file.md5}")
            _put(beside, folder / file.name)
        except OSError as error:
            raise DownloadError(f"cannot write into the folder {str(folder)!r}: {error.strerror or error}") from None
        finally:
            progress.end()
            beside.unlink(missing_ok=True)


def _put(beside: Path, place: Path) -> None:
    try:
        beside.replace(place)
    except PermissionError:
        # Windows does not replace a file that another process reads; then that process has just put the same one there.
        if not place.exists():
            raise


def _chunk(response: HTTPResponse, done: int, size: int) -> bytes:
    """Return the next bytes, empty at the end."""
    try:
        return response.read(CHUNK)
    except TimeoutError:
        raise _MirrorError(f"nothing came for {STALL_SECONDS:g} s after {done} of {size} bytes", again=True) from None
    except (OSError, HTTPException):
        raise _MirrorError(f"the connection was cut after {done} of {size} bytes", again=True) from None


def _answer(address: str) -> HTTPResponse:
    """Return the open response of a mirror, or raise _MirrorError within ``ANSWER_SECONDS``.

    The request runs in a thread of its own because looking up a name has no timeout, and connecting has one for each of
    the several addresses of a name. A thread that is given up ends by itself later and closes what it opened.
    """
    answers: queue.SimpleQueue[HTTPResponse | Exception] = queue.SimpleQueue()
    lock = threading.Lock()
    given_up = False

    def ask() -> None:
        request = urllib.request.Request(address, headers={"User-Agent": f"archcost/{__version__}"})  # noqa: S310
        answer: HTTPResponse | Exception
        try:
            answer = urllib.request.urlopen(request, timeout=STALL_SECONDS)  # noqa: S310  (the table has only http)
        except Exception as error:  # noqa: BLE001  (raised again in the thread that waits)
            answer = error
        with lock:
            if not given_up:
                answers.put(answer)
            elif isinstance(answer, HTTPResponse | urllib.error.HTTPError):
                answer.close()

    threading.Thread(target=ask, daemon=True, name="archcost-download").start()
    try:
        answer = answers.get(timeout=ANSWER_SECONDS)
    except queue.Empty:
        with lock:
            given_up = True
        if answers.empty():
            raise _MirrorError(f"no answer in {ANSWER_SECONDS:g} s", gone=True) from None
        answer = answers.get()
    if isinstance(answer, Exception):
        raise _explained(answer) from None
    return answer


def _explained(error: Exception) -> _MirrorError:
    """Return a mirror's refusal in a few words."""
    if isinstance(error, urllib.error.HTTPError):
        error.close()
        return _MirrorError(f"HTTP {error.code} {error.reason}", again=error.code >= 500)
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(reason, socket.gaierror):
        return _MirrorError("its name is not known here (no network?)", gone=True)
    if isinstance(reason, TimeoutError):
        return _MirrorError("no answer in time", gone=True)
    if isinstance(reason, ConnectionRefusedError):
        return _MirrorError("connection refused", gone=True)
    if isinstance(reason, OSError):  # no route, reset, a certificate that does not hold
        return _MirrorError(reason.strerror or str(reason), gone=not isinstance(reason, ConnectionError), again=True)
    return _MirrorError(f"{type(reason).__name__}: {reason}", again=isinstance(reason, HTTPException))


class _Progress:
    """One line that says what is downloaded, and on a terminal how far the file is, ten times a second."""

    def __init__(self, headline: str) -> None:
        self.headline = headline
        self.visible = sys.stderr is not None and sys.stderr.isatty()
        self.next = 0.0

    def announce(self) -> None:
        """Write the line once."""
        if self.headline and sys.stderr is not None:
            sys.stderr.write(f"{self.headline}\n")
        self.headline = ""

    def show(self, file: RemoteFile, done: int) -> None:
        now = time.monotonic()
        if self.visible and now >= self.next:
            self.next = now + 0.1
            sys.stderr.write(f"\r{file.name}: {done / file.size:4.0%} of {file.size / 1e6:.1f} MB")
            sys.stderr.flush()

    def end(self) -> None:
        """Wipe the progress from the terminal."""
        if self.visible:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
