"""What this machine can do: multiply-adds of the micro-kernel out of the first cache level, and memory bandwidth.

The two bounds of a roofline (Williams et al. 2009), measured with the engine's own code and threads, briefly.
Nothing here starts threads: the caller says how steps are run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Any, Literal, NamedTuple

import numpy as np
from numba import types
from numba.extending import intrinsic

from archcost.kernels import compiled
from archcost.kernels.function import function
from archcost.kernels.layout import aligned
from archcost.kernels.machine import call_tile, integers
from archcost.kernels.microkernel import ARGUMENTS, Tile
from archcost.kernels.step import Step, tabled
from archcost.kernels.target import TARGETS, Precision, Target
from archcost.kernels.units import next_unit
from archcost.kernels.vector import Code, Value

Prepare = Callable[[Sequence[Step]], Callable[[], object]]
"""Makes a program of steps and returns what runs it, such as ``lambda steps: partial(Program(steps).run, team)``."""

Traffic = Literal["read", "write", "copy"]

SECONDS = 0.01
"""Length of one measured run: long against what it takes to start the threads."""

TURNS = 5
"""Runs of a measurement, of which the best counts: other work on the machine can only slow one down."""

ARRAY_BYTES = 64 * 2**20
"""Size of an array whose traffic is measured; larger than what a processor's share of the last cache level holds."""

CHUNK_BYTES = 256 * 1024
UNROLL = 8
VECTORS = 2
WEIGHT_BYTES = 16 * 1024
"""Weights that stay in the first cache level together with the pixels."""


class Roofline(NamedTuple):
    """Bounds of a machine.

    Attributes:
        threads: how many threads worked.
        precision: element type.
        peak: 10^9 floating-point operations in a second; a multiply-add counts as two.
        read: 10^9 bytes in a second, of an array that is only read.
        write: of an array that is only written (bytes stored; lines that the caches fetch first are not counted).
        copy: of one array that is read and another that is written, both counted.
    """

    threads: int
    precision: Precision
    peak: float
    read: float
    write: float
    copy: float

    @property
    def ridge(self) -> float:
        """Return the operations for each byte read from which on arithmetic is the bound."""
        return self.peak / self.read


def measured(prepare: Prepare, threads: int, machine: Target, precision: Precision = "float32") -> Roofline:
    """Return this machine's bounds.

    Args:
        prepare: makes a program of steps, run by ``threads`` threads.
        threads: how many threads that is.
        machine: which vectors there are.
        precision: element type of the arithmetic.
    """
    arrays = [aligned(ARRAY_BYTES // 4, "float32") for _ in range(2)]
    for array in arrays:  # a page that was never written is not in memory yet
        _traffic(prepare, "write", machine, [array, array])()
    kinds: tuple[Traffic, ...] = ("read", "write", "copy")
    read, write, copy = (bandwidth(prepare, kind, machine, arrays) for kind in kinds)
    return Roofline(threads, precision, peak(prepare, threads, machine, precision), read, write, copy)


def peak(prepare: Prepare, threads: int, machine: Target, precision: Precision) -> float:
    """Return the micro-kernel's 10^9 operations in a second, all its operands in the first cache level."""
    lanes = machine.lanes(precision)
    element = machine.vector_bytes // lanes
    taps = max(1, WEIGHT_BYTES // (lanes * VECTORS * machine.vector_bytes))
    tile = Tile(machine.tile_pixels(VECTORS), VECTORS, 1, machine.vector_bytes, element, machine.vector_bytes, 4)
    tile = tile._replace(unroll=4 if lanes % 4 == 0 else lanes)
    kernel = compiled.address("tile", "tiles", "tile_kernel", machine.name, precision, "Identity", *tile)
    sizes = {
        "input": tile.pixels * lanes,
        "weights": taps * lanes * VECTORS * lanes,
        "output": tile.pixels * VECTORS * lanes,
        "bias": VECTORS * lanes,
    }
    memory = [{name: aligned(size, precision) for name, size in sizes.items()} for _ in range(threads)]
    offsets = np.zeros(taps, np.int64)
    records = []
    for arrays in memory:
        values = {name: array.ctypes.data for name, array in arrays.items()}
        values |= {"taps": taps, "offsets": offsets.ctypes.data, "depth": lanes}
        values["output_vector_step"] = tile.pixels * machine.vector_bytes
        # Records of two threads lie on cache lines of their own.
        records.append([values.get(name, 0) for name in ARGUMENTS] + [0] * (24 - len(ARGUMENTS)))
    table = tabled(records)
    operations = 2 * tile.pixels * VECTORS * lanes * lanes * taps * threads
    repeats = np.ones(1, np.int64)
    function = compiled.address("step", "profile_machine", "repeat_step")
    arguments = (kernel, table.ctypes.data, table.strides[0], repeats.ctypes.data)
    run = prepare([Step(function, arguments, (table, repeats, offsets, memory))])
    run()
    repeats[0] = 1000
    repeats[0] = max(1, int(repeats[0] * SECONDS / _seconds(run, 2)))
    return float(operations * repeats[0]) / _seconds(run) / 1e9


def bandwidth(prepare: Prepare, traffic: Traffic, machine: Target, arrays: Sequence[Any]) -> float:
    """Return 10^9 bytes in a second that go between memory and the processor.

    Args:
        prepare: makes a program of steps.
        traffic: "read" or "write" one array, or "copy" the first to the second.
        machine: which vectors there are.
        arrays: two arrays of one size.
    """
    run = _traffic(prepare, traffic, machine, arrays)
    run()
    size = arrays[0].nbytes // CHUNK_BYTES * CHUNK_BYTES
    return (2 if traffic == "copy" else 1) * size / _seconds(run) / 1e9


def _traffic(prepare: Prepare, traffic: Traffic, machine: Target, arrays: Sequence[Any]) -> Callable[[], object]:
    """Return what goes once through the arrays."""
    kernel = compiled.address("tile", "profile_machine", "traffic_kernel", machine.name, traffic)
    size = arrays[0].nbytes // CHUNK_BYTES
    function = compiled.address("step", "profile_machine", "traffic_step")
    source, target = (int(array.ctypes.data) for array in arrays)
    return prepare([Step(function, (kernel, size, CHUNK_BYTES, source, target), tuple(arrays))])


def _seconds(run: Callable[[], object], turns: int = TURNS) -> float:
    """Return the shortest time of some runs."""
    times = []
    for _ in range(turns):
        start = perf_counter()
        run()
        times.append(perf_counter() - start)
    return min(times)


def traffic_kernel(target: str, traffic: Traffic) -> Any:
    """Return the loop that goes through a chunk, as an intrinsic; its record: bytes, source, target, sink."""
    lanes = TARGETS[target].lanes("float32")

    @intrinsic
    def operation(_context: Any, record: Any) -> Any:
        def write(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            code = Code(builder, lanes, "float32")
            size, source, output, sink = code.arguments(arguments[0], 4)
            round_bytes = UNROLL * code.vector_bytes

            def body(_: Value, carried: list[Value]) -> list[Value]:
                start, end, *sums = carried
                values = [code.constant(1)] * UNROLL
                if traffic != "write":
                    values = [code.load(start, index * code.vector_bytes) for index in range(UNROLL)]
                if traffic == "read":
                    sums = [code.add(total, value) for total, value in zip(sums, values)]
                else:
                    for index, value in enumerate(values):
                        code.store(value, end, index * code.vector_bytes)
                return [code.at(start, round_bytes), code.at(end, round_bytes), *sums]

            carried = [code.pointer(source), code.pointer(output), *[code.constant(0)] * UNROLL]
            _, _, total, *sums = code.repeat(size, body, carried, step=round_bytes)
            for value in sums:
                total = code.add(total, value)
            code.store(total, code.pointer(sink))
            return context.get_dummy_value()

        return types.void(types.intp), write

    return operation


def traffic_step() -> Any:
    """Return the step function that goes through an array in chunks."""
    return go_through


@function
def go_through(row: int, _thread: int, threads: int) -> None:
    """Read or write every chunk. Arguments: kernel, chunks, bytes of a chunk, source, target."""
    words = integers(row)
    sink = np.zeros(16, np.int64)
    record = np.zeros(4, np.int64)
    record[0], record[3] = words[3], sink.ctypes.data
    unit = next_unit(row, -1, threads)
    while unit < words[2]:
        record[1] = words[4] + unit * words[3]
        record[2] = words[5] + unit * words[3]
        call_tile(words[1], record.ctypes.data)
        unit = next_unit(row, unit, threads)


def repeat_step() -> Any:
    """Return the step function that calls a kernel again and again."""
    return call_again


@function
def call_again(row: int, thread: int, _threads: int) -> None:
    """Call the kernel on this thread's own record. Arguments: kernel, records, bytes of one, address of a count."""
    words = integers(row)
    repeats = integers(words[4])[0]
    for _ in range(repeats):
        call_tile(words[1], words[2] + thread * words[3])
