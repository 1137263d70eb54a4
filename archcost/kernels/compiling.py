"""From the Python text of a kernel to object code.

Two kinds of operations: intrinsics write LLVM instructions themselves (``kernels.vector``) and need nothing of Numba
but the way they are declared; step functions are Python, which Numba compiles. Either becomes one object file in which
the kernel alone can be seen from outside, so that files of many processes can be loaded side by side: Numba's own names
are numbered by each process and would meet others of the same number.
"""

from __future__ import annotations

import gc
from functools import cache
from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba import types
from numba.core.compiler import Flags, compile_extra
from numba.core.compiler_lock import global_compiler_lock
from numba.core.registry import cpu_target

from archcost.kernels.compiled import Signature, target_machine
from archcost.kernels.function import Translator

INT64 = ir.IntType(64)

LINES_WRITTEN_OUT = 70
"""Instructions from jump to jump of which LLVM's unrolling leaves a loop alone."""


def object_code(operation: Any, signature: Signature, symbol: str) -> bytes:
    """Return the object file of a kernel.

    Args:
        operation: an intrinsic, or a function that Numba compiles.
        signature: of the kernel.
        symbol: name of the kernel's function in the file.
    """
    collects = gc.isenabled()
    gc.disable()  # it would go through Numba's many objects again and again, and find nothing
    try:
        write = _optimised_intrinsic if hasattr(operation, "_defn") else _optimised_function
        module = write(operation, signature, symbol)
        code: bytes = _machine().emit_object(module)
    finally:
        if collects:
            gc.enable()
    return code


@cache
def _machine() -> Any:
    """Return the target machine of the compiler."""
    return target_machine()


def _optimised_intrinsic(operation: Any, signature: Signature, symbol: str) -> Any:
    """Return the LLVM module of an intrinsic."""
    context = cpu_target.target_context
    declared, write = operation._defn(cpu_target.typing_context, *[types.intp] * signature.arguments)  # noqa: SLF001
    module = ir.Module(symbol)
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), [INT64] * signature.arguments), symbol)
    builder = ir.IRBuilder(function.append_basic_block())
    write(context, builder, declared, function.args)
    builder.ret_void()
    text = str(module)
    parsed = llvm.parse_assembly(text)
    parsed.triple, parsed.data_layout = _machine().triple, str(_machine().target_data)
    _optimise(parsed, written_out=_is_written_out(text))
    return parsed


def _is_written_out(text: str) -> bool:
    """Return whether vector code is long between its jumps: its loops are unrolled as far as they should be."""
    return text.count("\n") >= LINES_WRITTEN_OUT * (text.count(" br ") + 1)


def _optimised_function(operation: Any, signature: Signature, symbol: str) -> Any:
    """Return the LLVM module of a function, and of all that it calls."""
    result = types.intp if signature.returns else types.void
    flags = Flags()
    cpu_target.options.parse_as_flags(flags, operation.targetoptions)
    flags.no_cfunc_wrapper, flags.no_compile = False, True
    with global_compiler_lock:
        compiled = compile_extra(
            cpu_target.typing_context, cpu_target.target_context, operation.py_func, [types.intp] * signature.arguments,
            result, flags, {}, pipeline_class=Translator,
        )  # fmt: skip
        compiled.library.finalize()
    module = llvm.parse_assembly(compiled.library.get_llvm_str())
    for value in [*module.functions, *module.global_variables]:
        if value.is_declaration:
            continue
        if value.name == compiled.fndesc.llvm_cfunc_wrapper_name:
            value.name = symbol
            value.linkage = "external"
        else:
            value.linkage = "internal"
    _optimise(module)
    return module


def _optimise(module: Any, *, written_out: bool = False) -> None:
    """Run LLVM's passes.

    Args:
        module: changed in place.
        written_out: leave out all that looks for loops to change: machine code comes out the same.
    """
    options = llvm.create_pipeline_tuning_options(speed_level=3)
    builder = llvm.create_pass_builder(_machine(), options)
    if written_out:
        passes = llvm.create_new_module_pass_manager()
        passes.add_instruction_combine_pass()
        passes.add_new_gvn_pass()
        passes.add_simplify_cfg_pass()
        passes.add_instruction_combine_pass()
    else:
        passes = builder.getModulePassManager()
    passes.run(module, builder)
