"""From the Python text of a kernel to object code.

Two kinds of operations: intrinsics write LLVM instructions themselves (``kernels.vector``) and need nothing of Numba
but the way they are declared; step functions are Python, which Numba compiles. Either becomes one object file in which
the kernel alone can be seen from outside, so that files of many processes can be loaded side by side: Numba's own names
are numbered by each process and would meet others of the same number.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba import cfunc, types
from numba.core.registry import cpu_target

from archcost.kernels.compiled import Signature, target_machine

INT64 = ir.IntType(64)


def object_code(operation: Any, signature: Signature, symbol: str) -> bytes:
    """Return the object file of a kernel.

    Args:
        operation: an intrinsic, or a function that Numba compiles.
        signature: of the kernel.
        symbol: name of the kernel's function in the file.
    """
    write = _optimised_intrinsic if hasattr(operation, "_defn") else _optimised_function
    module = write(operation, signature, symbol)
    code: bytes = _machine().emit_object(module)
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
    parsed = llvm.parse_assembly(str(module))
    parsed.triple, parsed.data_layout = _machine().triple, str(_machine().target_data)
    options = llvm.create_pipeline_tuning_options(speed_level=3)
    passes = llvm.create_pass_builder(_machine(), options)
    passes.getModulePassManager().run(parsed, passes)
    return parsed


def _optimised_function(operation: Any, signature: Signature, symbol: str) -> Any:
    """Return the LLVM module of a function, and of all that it calls."""
    result = types.intp if signature.returns else types.void
    declared = result(*[types.intp] * signature.arguments)
    # The function itself rather than one that calls it: each is compiled on its own.
    kernel = cfunc(declared, **{"nopython": True, **operation.targetoptions})(operation.py_func)
    module = llvm.parse_assembly(kernel.inspect_llvm())
    for value in [*module.functions, *module.global_variables]:
        if value.is_declaration:
            continue
        if value.name == kernel.native_name:
            value.name = symbol
            value.linkage = "external"
        else:
            value.linkage = "internal"
    return module
