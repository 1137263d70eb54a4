"""What Numba has no word for: calls by address, atomic counters, a barrier, and memory at an address."""

from __future__ import annotations

import platform
import sys
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from archcost.kernels.function import function
from archcost.kernels.vector import Code

INT64 = ir.IntType(64)
SPINS_BEFORE_YIELD = 500
"""10 to 30 microseconds: longer than most steps are unbalanced, shorter than what a busy machine takes away."""


@intrinsic
def call_tile(_context: Any, address: Any, record: Any) -> Any:
    """Call the micro-kernel at ``address`` with the arguments at ``record``."""

    def write(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        function = ir.FunctionType(ir.VoidType(), [INT64])
        builder.call(builder.inttoptr(arguments[0], function.as_pointer()), [arguments[1]])
        return context.get_dummy_value()

    return types.void(types.intp, types.intp), write


@intrinsic
def call_step(_context: Any, address: Any, row: Any, thread: Any, threads: Any) -> Any:
    """Call the step function at ``address``: its row of the program, this thread's number, how many there are."""

    def write(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        function = ir.FunctionType(ir.VoidType(), [INT64] * 3)
        builder.call(builder.inttoptr(arguments[0], function.as_pointer()), arguments[1:])
        return context.get_dummy_value()

    return types.void(types.intp, types.intp, types.intp, types.intp), write


@intrinsic
def take(_context: Any, address: Any, amount: Any) -> Any:
    """Add ``amount`` to the counter at ``address``, atomically; return what it was before."""

    def write(_: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.atomic_rmw("add", builder.inttoptr(arguments[0], INT64.as_pointer()), arguments[1], "seq_cst")

    return types.intp(types.intp, types.intp), write


@intrinsic
def read(_context: Any, address: Any) -> Any:
    """Return the counter at ``address``, with everything that was written before it was set."""

    def write(_: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.load_atomic(builder.inttoptr(arguments[0], INT64.as_pointer()), "acquire", 8)

    return types.intp(types.intp), write


@intrinsic
def publish(_context: Any, address: Any, value: Any) -> Any:
    """Set the counter at ``address``, after everything that was written before."""

    def write(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        builder.store_atomic(arguments[1], builder.inttoptr(arguments[0], INT64.as_pointer()), "release", 8)
        return context.get_dummy_value()

    return types.void(types.intp, types.intp), write


@intrinsic
def pause(_context: Any) -> Any:
    """Tell the processor that this thread only waits."""

    def write(context: Any, builder: Any, _signature: Any, _arguments: Any) -> Any:
        if platform.machine().lower() in ("x86_64", "amd64", "i386", "i686"):
            kind = ir.FunctionType(ir.VoidType(), [])
            builder.call(cgutils.get_or_insert_function(builder.module, kind, "llvm.x86.sse2.pause"), [])
        return context.get_dummy_value()

    return types.void(), write


@intrinsic
def give_way(_context: Any) -> Any:
    """Let another thread of the machine run."""

    def write(context: Any, builder: Any, _signature: Any, _arguments: Any) -> Any:
        name = "SwitchToThread" if sys.platform == "win32" else "sched_yield"
        kind = ir.FunctionType(ir.IntType(32), [])
        builder.call(cgutils.get_or_insert_function(builder.module, kind, name), [])
        return context.get_dummy_value()

    return types.void(), write


@intrinsic
def integers(_context: Any, address: Any) -> Any:
    """Return ``address`` as a pointer to 64-bit integers."""

    def write(_: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], INT64.as_pointer())

    return types.CPointer(types.int64)(types.intp), write


RECORD_WORDS = 64
"""Most 64-bit integers that a step function hands to a micro-kernel."""


@intrinsic
def blank_record(_context: Any) -> Any:
    """Return the address of ``RECORD_WORDS`` integers of zero, which are there until the step function ends.

    An array of Numba's would be counted and freed, and takes longer to compile than the rest of a step function.
    """

    def write(_: Any, builder: Any, _signature: Any, _arguments: Any) -> Any:
        place = cgutils.alloca_once(builder, INT64, size=RECORD_WORDS, name="record")
        cgutils.memset(builder, place, ir.Constant(INT64, 8 * RECORD_WORDS), 0)
        return builder.ptrtoint(place, INT64)

    return types.intp(), write


@intrinsic
def read_ahead(_context: Any, address: Any, step: Any, lines: Any) -> Any:
    """Ask for ``lines`` (one at least) to be read into the second cache level, ``step`` bytes from each to the next."""

    def write(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        code = Code(builder, 1, "float32")
        first, step, lines = arguments

        def one(_: Any, carried: list[Any]) -> list[Any]:
            code.prefetch(carried[0])
            return [code.at(carried[0], step)]

        code.repeat(lines, one, [code.pointer(first)])
        return context.get_dummy_value()

    return types.void(types.intp, types.intp, types.intp), write


@intrinsic
def clear(_context: Any, address: Any, size: Any) -> Any:
    """Set ``size`` bytes at ``address`` to zero."""

    def write(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        cgutils.memset(builder, builder.inttoptr(arguments[0], ir.IntType(8).as_pointer()), arguments[1], 0)
        return context.get_dummy_value()

    return types.void(types.intp, types.intp), write


def _numbers(kind: Any, scalar: Any) -> Any:
    """Return the intrinsic that takes an address for a pointer to numbers of that type."""

    @intrinsic
    def view(_context: Any, address: Any) -> Any:
        def write(_: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            return builder.inttoptr(arguments[0], scalar.as_pointer())

        return types.CPointer(kind)(types.intp), write

    return view


float32s = _numbers(types.float32, ir.FloatType())
"""Return an address as a pointer to float32 numbers."""

float64s = _numbers(types.float64, ir.DoubleType())
"""Return an address as a pointer to float64 numbers."""


@function
def wait_while(counter: int, value: int) -> None:
    """Wait until the counter at this address has another value."""
    spins = 0
    while read(counter) == value:
        spins += 1
        if spins < SPINS_BEFORE_YIELD:
            pause()
        else:
            give_way()


@function
def wait_for_all(barrier: int, threads: int) -> None:
    """Wait until ``threads`` threads are here; ``barrier`` is the address of a counter and of a round number."""
    if threads == 1:
        return
    here = read(barrier + 8)
    if take(barrier, 1) == threads - 1:
        publish(barrier, 0)
        publish(barrier + 8, here + 1)
        return
    wait_while(barrier + 8, here)


@function
def run_program(addresses: int, rows: int, row_bytes: int, steps: int, barrier: int, thread: int, threads: int) -> None:
    """Run every step of a program; all threads run the same steps and meet after each.

    Args:
        addresses: table of the step functions' addresses.
        rows: the steps' arguments, one row of ``row_bytes`` each.
        row_bytes: size of a row.
        steps: number of steps.
        barrier: where the threads meet.
        thread: number of this thread.
        threads: how many there are.
    """
    functions = integers(addresses)
    for step in range(steps):
        call_step(functions[step], rows + step * row_bytes, thread, threads)
        wait_for_all(barrier, threads)
