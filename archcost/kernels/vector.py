"""A small language for vector code: the LLVM instructions that the kernels are written in.

Numba's own loops reach a fraction of the machine's speed where registers must be allotted by hand; here a kernel states
each load, fused multiply-add and store. Width and element type are parameters, so that one text serves AVX-512, AVX2,
NEON and plain 16-byte vectors, float32 and float64.

Addresses are 64-bit integers outside and ``i8*`` inside; offsets are bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir
from numba.core import cgutils

INT8, INT32, INT64 = ir.IntType(8), ir.IntType(32), ir.IntType(64)
BYTES = INT8.as_pointer()

Integer = int
"""Python's integers: within ``Code``, ``int`` is the method."""

Value = Any
"""An LLVM value: llvmlite has no types of its own to say more."""


class Code:
    """Writes vector instructions through an LLVM builder.

    Args:
        builder: where the instructions go.
        lanes: elements of a vector.
        precision: "float32" or "float64".
    """

    def __init__(self, builder: Value, lanes: int, precision: str) -> None:
        self.builder = builder
        self.lanes = lanes
        self.scalar = ir.FloatType() if precision == "float32" else ir.DoubleType()
        self.element_bytes = 4 if precision == "float32" else 8
        self.vector = ir.VectorType(self.scalar, lanes)
        self.vector_bytes = lanes * self.element_bytes
        self._suffix = f"v{lanes}f{8 * self.element_bytes}"
        # A type remembers its text, and a constant of nothing but zeros is a word: writing them takes a while.
        self._vector_pointer, self._scalar_pointer = self.vector.as_pointer(), self.scalar.as_pointer()
        self._undefined = ir.Constant(self.vector, ir.Undefined)
        self._first_lane = ir.Constant(ir.VectorType(INT32, lanes), None)

    # Addresses and integers

    def int(self, value: Integer) -> Value:
        """Return a 64-bit constant."""
        return ir.Constant(INT64, value)

    def pointer(self, address: Value) -> Value:
        """Return an address as a pointer."""
        return self.builder.inttoptr(address, BYTES)

    def arguments(self, address: Value, count: Integer) -> list[Value]:
        """Return the ``count`` 64-bit integers that lie at ``address``."""
        base = self.builder.inttoptr(address, INT64.as_pointer())
        return [self.builder.load(self.builder.gep(base, [self.int(index)])) for index in range(count)]

    def element(self, address: Value, index: Value) -> Value:
        """Return the 64-bit integer number ``index`` of the table at ``address``."""
        base = self.builder.inttoptr(address, INT64.as_pointer())
        return self.builder.load(self.builder.gep(base, [index]))

    def at(self, pointer: Value, offset: Value | Integer) -> Value:
        """Return ``pointer`` moved by ``offset`` bytes."""
        if isinstance(offset, int):
            if offset == 0:
                return pointer
            offset = self.int(offset)
        return self.builder.gep(pointer, [offset])

    # Vectors

    def load(self, pointer: Value, offset: Value | Integer = 0) -> Value:
        """Return the vector at ``pointer`` + ``offset``; any alignment of whole elements."""
        place = self.builder.bitcast(self.at(pointer, offset), self._vector_pointer)
        return self.builder.load(place, align=self.element_bytes)

    def store(self, value: Value, pointer: Value, offset: Value | Integer = 0) -> None:
        """Write a vector."""
        place = self.builder.bitcast(self.at(pointer, offset), self._vector_pointer)
        self.builder.store(value, place, align=self.element_bytes)

    def stream(self, value: Value, pointer: Value, offset: Value | Integer = 0) -> None:
        """Write a vector past the caches, which nobody reads soon; it lies at a multiple of its size."""
        place = self.builder.bitcast(self.at(pointer, offset), self.vector.as_pointer())
        written = self.builder.store(value, place, align=self.vector_bytes)
        written.set_metadata("nontemporal", self.builder.module.add_metadata([ir.Constant(INT32, 1)]))

    def move(self, source: Value, target: Value) -> None:
        """Copy one element from a pointer to another."""
        value = self.builder.load(self.builder.bitcast(source, self._scalar_pointer), align=self.element_bytes)
        self.builder.store(value, self.builder.bitcast(target, self._scalar_pointer), align=self.element_bytes)

    def broadcast(self, pointer: Value, offset: Value | Integer = 0) -> Value:
        """Return one element in all lanes."""
        place = self.builder.bitcast(self.at(pointer, offset), self._scalar_pointer)
        return self.splat(self.builder.load(place, align=self.element_bytes))

    def splat(self, scalar: Value) -> Value:
        """Return ``scalar`` in all lanes."""
        first = self.builder.insert_element(self._undefined, scalar, ir.Constant(INT32, 0))
        return self.builder.shuffle_vector(first, self._undefined, self._first_lane)

    def shuffled(self, a: Value, b: Value, lanes: Sequence[Integer]) -> Value:
        """Return a vector of the numbered lanes of ``a`` followed by ``b``."""
        mask = ir.Constant(ir.VectorType(INT32, self.lanes), [ir.Constant(INT32, lane) for lane in lanes])
        return self.builder.shuffle_vector(a, b, mask)

    def constant(self, value: float) -> Value:
        """Return a number in all lanes."""
        return ir.Constant(self.vector, [ir.Constant(self.scalar, float(value))] * self.lanes)

    def intrinsic(self, name: str, *operands: Value) -> Value:
        """Return LLVM's vector function ``name`` of the operands (``fma``, ``sqrt``, ``rint``, ...)."""
        kind = ir.FunctionType(self.vector, [self.vector] * len(operands))
        function = cgutils.get_or_insert_function(self.builder.module, kind, f"llvm.{name}.{self._suffix}")
        return self.builder.call(function, operands)

    def fma(self, a: Value, b: Value, c: Value) -> Value:
        """Return a * b + c, rounded once."""
        return self.intrinsic("fma", a, b, c)

    def maximum(self, a: Value, b: Value) -> Value:
        """Return the larger of each pair of lanes; ``b`` where either is NaN (one instruction on x86)."""
        return self.builder.select(self.builder.fcmp_ordered(">", a, b), a, b)

    def minimum(self, a: Value, b: Value) -> Value:
        """Return the smaller of each pair of lanes; ``b`` where either is NaN."""
        return self.builder.select(self.builder.fcmp_ordered("<", a, b), a, b)

    def add(self, a: Value, b: Value) -> Value:
        """Return a + b."""
        return self.builder.fadd(a, b)

    def sub(self, a: Value, b: Value) -> Value:
        """Return a - b."""
        return self.builder.fsub(a, b)

    def mul(self, a: Value, b: Value) -> Value:
        """Return a * b."""
        return self.builder.fmul(a, b)

    def div(self, a: Value, b: Value) -> Value:
        """Return a / b."""
        return self.builder.fdiv(a, b)

    def prefetch(self, pointer: Value, offset: Value | Integer = 0) -> None:
        """Ask for the cache line at ``pointer`` + ``offset`` to be read ahead, into the second cache level."""
        kind = ir.FunctionType(ir.VoidType(), [BYTES, INT32, INT32, INT32])
        function = cgutils.get_or_insert_function(self.builder.module, kind, "llvm.prefetch.p0")
        read, locality, data = (ir.Constant(INT32, value) for value in (0, 2, 1))
        self.builder.call(function, [self.at(pointer, offset), read, locality, data])

    # Control

    def repeat(
        self,
        count: Value,
        body: Callable[[Value, list[Value]], Sequence[Value]],
        carried: Sequence[Value] = (),
        step: Integer = 1,
    ) -> list[Value]:
        """Write ``for i in range(0, count, step)``, which runs at least once.

        Args:
            count: 64-bit number of rounds times ``step``.
            body: writes one round, given i and the carried values; returns their new values.
            carried: values that go from round to round (accumulators, moving pointers).
            step: what i grows by.

        Returns:
            The carried values after the last round.
        """
        builder, before = self.builder, self.builder.block
        head, done = builder.append_basic_block(), builder.append_basic_block()
        builder.branch(head)
        builder.position_at_end(head)
        index = builder.phi(INT64)
        index.add_incoming(self.int(0), before)
        values = []
        for start in carried:
            value = builder.phi(start.type)
            value.add_incoming(start, before)
            values.append(value)
        after = list(body(index, list(values)))
        following = builder.add(index, self.int(step))
        last = builder.block
        builder.cbranch(builder.icmp_signed("<", following, count), head, done)
        index.add_incoming(following, last)
        for value, new in zip(values, after):
            value.add_incoming(new, last)
        builder.position_at_end(done)
        return after

    def choose(self, condition: Value, then: Callable[[], Sequence[Value]], otherwise: Sequence[Value]) -> list[Value]:
        """Write ``then() if condition else otherwise``; return the values that it leaves."""
        builder, before = self.builder, self.builder.block
        inside, done = builder.append_basic_block(), builder.append_basic_block()
        builder.cbranch(condition, inside, done)
        builder.position_at_end(inside)
        values = then()
        last = builder.block
        builder.branch(done)
        builder.position_at_end(done)
        result = []
        for new, old in zip(values, otherwise):
            value = builder.phi(old.type)
            value.add_incoming(new, last)
            value.add_incoming(old, before)
            result.append(value)
        return result


def transposed(code: Code, rows: Sequence[Value]) -> list[Value]:
    """Return the columns of a square of vectors: rows and columns exchanged, bit by bit of their numbers."""
    rows, lanes = list(rows), code.lanes
    distance = 1
    while distance < lanes:
        upper = [lanes + lane - distance if lane & distance else lane for lane in range(lanes)]
        lower = [lanes + lane if lane & distance else lane + distance for lane in range(lanes)]
        for index in range(lanes):
            if not index & distance:
                a, b = rows[index], rows[index + distance]
                rows[index], rows[index + distance] = code.shuffled(a, b, upper), code.shuffled(a, b, lower)
        distance *= 2
    return rows
