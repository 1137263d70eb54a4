"""How step functions and what they call are compiled: in Python's text here, by Numba, when they are asked for.

Numba makes every function ready to be called from Python and optimises it before it is put into the functions that call
it, and again there, and there makes machine code of it. Nobody calls these from Python, and machine code is made of the
whole of a step function once (``kernels.compiling``): so Numba only translates here.
"""

from __future__ import annotations

import ctypes
from typing import Any

from numba import njit
from numba.core import codegen
from numba.core.compiler import Compiler


class _Text(codegen.JITCodeLibrary):
    """The LLVM text of a function, and of all that it calls, which nobody optimises or loads."""

    def _optimize_functions(self, ll_module: Any) -> None:
        ll_module.data_layout = self._codegen._data_layout  # noqa: SLF001

    def _optimize_final_module(self) -> None:
        pass

    def _finalize_final_module(self) -> None:
        self._finalized = True

    def get_pointer_to_function(self, name: str) -> int | None:
        """Return what a call from Python would run: it is a TypeError."""
        self._ensure_finalized()
        return ctypes.cast(ctypes.pythonapi.PyErr_BadArgument, ctypes.c_void_p).value

    @property
    def codegen(self) -> Any:
        """What is asked to fill in the environment of a function that is loaded."""
        return self

    def set_env(self, env_name: str, env: Any) -> None:
        """There is none: such a function may not go back to the interpreter."""


class Translator(Compiler):
    """Numba's compiler, which stops at the text."""

    def __init__(self, typingctx: Any, targetctx: Any, library: Any, *others: Any) -> None:
        super().__init__(typingctx, targetctx, library or _Text(targetctx.codegen(), "archcost"), *others)


function = njit(nogil=True, no_cpython_wrapper=True, no_cfunc_wrapper=True, pipeline_class=Translator)
"""Decorator of step functions and of what they call."""
