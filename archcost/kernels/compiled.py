"""Machine code of the kernels, compiled once on a machine and read back by every later process.

A kernel is one function of 64-bit integers in an object file of its own (``kernels.compiling``), of which nothing but
that function can be seen. All of them are loaded into one LLVM engine: 0.1 ms each, where Numba's own cache takes
three, and nothing of Numba's compiler runs in a process that finds all its kernels.

The folder of the files is ``ARCHCOST_CACHE``, else the platform's cache folder; its name holds a hash of all that the
code depends on. Where nothing can be written, each process compiles for itself.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import llvmlite
import llvmlite.binding as llvm
import numba
from numba.core.registry import cpu_target
from numba.core.runtime import _nrt_python

from archcost.cache_folder import platform_cache


class Signature(NamedTuple):
    """Arguments and result of a kernel, all of them 64-bit integers.

    Attributes:
        arguments: how many.
        returns: whether it returns one.
    """

    arguments: int
    returns: bool = False


SIGNATURES = {
    "tile": Signature(1),  # record
    "step": Signature(3),  # row, thread, threads
    "work": Signature(2),  # the others: kernels.serving
    "serve": Signature(4, returns=True),
    "start": Signature(2, returns=True),
    "sleep": Signature(2),
}
"""Kind of kernel -> its signature."""


class Kernel(NamedTuple):
    """What a kernel is compiled from.

    Attributes:
        kind: of its signature (``SIGNATURES``).
        module: module below ``archcost.kernels`` that holds the factory.
        factory: function that returns the operation, given ``arguments``.
        arguments: plain values whose ``repr`` tells them apart, and can be read back.
    """

    kind: str
    module: str
    factory: str
    arguments: tuple[object, ...] = ()

    @property
    def symbol(self) -> str:
        """The name of its function, and of its file."""
        identity = (SIGNATURES[self.kind], f"archcost.kernels.{self.module}", self.factory, self.arguments)
        return f"archcost_{self.factory}_{hashlib.sha256(repr(identity).encode()).hexdigest()[:16]}"

    def path(self, place: Path) -> Path:
        """Return its file in a folder."""
        return place / f"{self.symbol}.object"


NOWHERE = 1
"""Address of a kernel that has only been noted as missing."""

DIGEST_BYTES = 32
"""A file begins with the SHA-256 of what follows: LLVM ends the process over a damaged object file."""

_lock = threading.RLock()
_loaded: dict[tuple[str, ...], int] = {}
_announced = False


class _Notes(threading.local):
    """What a thread notes instead of compiling it; None: it compiles."""

    missing: dict[str, Kernel] | None = None


_notes = _Notes()


@contextmanager
def noting() -> Iterator[dict[str, Kernel]]:
    """Let this thread note which kernels are missing, by symbol: their addresses are ``NOWHERE``, and must not run."""
    before, _notes.missing = _notes.missing, {}
    try:
        yield _notes.missing
    finally:
        _notes.missing = before


@cache
def source_hash() -> str:
    """Return a hash of everything that the machine code depends on."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    features = llvm.get_host_cpu_features().flatten()
    for text in (numba.__version__, llvmlite.__version__, sys.version, llvm.get_host_cpu_name(), features):
        digest.update(text.encode())
    return digest.hexdigest()[:16]


@cache
def folder() -> Path | None:
    """Return the folder of the object files, which need not exist; None if there is no place for it."""
    root = os.environ.get("ARCHCOST_CACHE")
    try:
        return (Path(root) if root else platform_cache()) / "archcost" / source_hash()
    except RuntimeError:  # there is no home
        return None


def address(kind: str, module: str, factory: str, *arguments: object) -> int:
    """Return the address of a kernel, compiling it if this machine has not done so before.

    Args:
        kind: of its signature (``SIGNATURES``).
        module: module below ``archcost.kernels`` that holds the factory.
        factory: function that returns the operation, given ``arguments``.
        arguments: plain values whose ``repr`` tells them apart.
    """
    key = (kind, module, factory, repr(arguments))
    with _lock:
        if key not in _loaded:
            kernel, place = Kernel(kind, module, factory, arguments), folder()
            code = _read(kernel.path(place)) if place else None
            if code is None and _notes.missing is not None:
                _notes.missing[kernel.symbol] = kernel
                return NOWHERE
            if code is None:
                announce()
                code = compile_kernel(kernel, place)
            _loaded[key] = _load(kernel.symbol, code)
        return _loaded[key]


def compile_kernel(kernel: Kernel, place: Path | None) -> bytes:
    """Return the object code of a kernel, and keep it in the folder for later processes, unless that cannot be."""
    from archcost.kernels.compiling import object_code

    operation = getattr(importlib.import_module(f"archcost.kernels.{kernel.module}"), kernel.factory)(*kernel.arguments)
    code = object_code(operation, SIGNATURES[kernel.kind], kernel.symbol)
    if place:
        _write(kernel.path(place), code)
    return code


def is_kept(kernel: Kernel, place: Path) -> bool:
    """Return whether the folder holds a kernel's object code, and whole."""
    return _read(kernel.path(place)) is not None


def _load(symbol: str, code: bytes) -> int:
    """Return the address of a kernel, from its object code."""
    engine = _engine()
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    found: int = engine.get_function_address(symbol)
    return found


def _read(path: Path) -> bytes | None:
    """Return the object code of a file; None if there is none, or if it is damaged."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    code = content[DIGEST_BYTES:]
    return code if hashlib.sha256(code).digest() == content[:DIGEST_BYTES] else None


def _write(path: Path, code: bytes) -> None:
    """Write object code to a file, if that can be done."""
    beside = path.with_suffix(f".{os.getpid()}.{threading.get_ident()}")
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        beside.write_bytes(hashlib.sha256(code).digest() + code)
        beside.replace(path)


def target_machine() -> Any:
    """Return what LLVM makes machine code of this processor with."""
    return llvm.Target.from_triple(llvm.get_process_triple()).create_target_machine(
        cpu=llvm.get_host_cpu_name(),
        features=llvm.get_host_cpu_features().flatten(),
        opt=3,
        codemodel="jitdefault",
        jit=True,
    )


@cache
def _engine() -> Any:
    """Return the engine that holds all kernels of the process; it finds what Numba's code calls by name."""
    _ = cpu_target.target_context  # names the functions for errors, and those of C
    # Those for arrays, which ``rtsys.initialize`` would compile further ones to: 20 ms and 30 MiB.
    for name, place in _nrt_python.c_helpers.items():
        llvm.add_symbol(name if name.startswith("_") else f"NRT_{name}", place)
    return llvm.create_mcjit_compiler(llvm.parse_assembly(""), target_machine())


def announce() -> None:
    """Say once why the first run on a machine takes longer."""
    global _announced  # noqa: PLW0603  (once in a process)
    if not _announced:
        _announced = True
        sys.stderr.write("archcost: compiling kernels for this machine; later runs read them from the cache\n")
