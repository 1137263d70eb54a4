"""The loops that move vectors between plain arrays of parameters and panels, in either direction."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from archcost.kernels.target import TARGETS, Precision
from archcost.kernels.vector import INT32, Code, Value, transposed

RECORD = ("count", "plain", "lane_step", "plain_offsets", "panel_offsets", "panel", "extra")
"""What a kernel call reads: how many vectors; the plain array from the first lane's element on, and bytes to the next
lane's; tables with the byte offset of each vector in both; the panel; address of factors, or bytes between copies."""


class _Vectors:
    """Writes the ways to move vectors between a plain array and a panel."""

    def __init__(self, code: Code, record: Value, channels: int) -> None:
        self.code, self.channels = code, channels
        self.values = dict(zip(RECORD, code.arguments(record, len(RECORD))))
        self.plain, self.panel = (code.pointer(self.values[name]) for name in ("plain", "panel"))

    def place(self, which: str, index: Value) -> Value:
        """Return where vector ``index`` starts in the plain array or in the panel."""
        start = self.plain if which == "plain" else self.panel
        return self.code.at(start, self.code.element(self.values[f"{which}_offsets"], index))

    def rows(self, index: Value) -> list[Value]:
        """Return where each lane's element of vector ``index`` lies in the plain array."""
        places = [self.place("plain", index)]
        while len(places) < self.channels:
            places.append(self.code.at(places[-1], self.values["lane_step"]))
        return places

    def ahead(self, index: Value) -> list[Value]:
        """Return the numbers of as many vectors as there are lanes."""
        return [self.code.builder.add(index, self.code.int(number)) for number in range(self.code.lanes)]

    def element(self, place: Value) -> Value:
        """Return a pointer to one element."""
        return self.code.builder.bitcast(place, self.code.scalar.as_pointer())

    def gathered(self, index: Value) -> Value:
        """Return vector ``index`` of the plain array, element by element."""
        code, vector = self.code, self.code.constant(0)
        for lane, place in enumerate(self.rows(index)):
            value = code.builder.load(self.element(place), align=code.element_bytes)
            vector = code.builder.insert_element(vector, value, ir.Constant(INT32, lane))
        return vector

    def scatter(self, vector: Value, index: Value) -> None:
        """Write vector ``index`` of the plain array, element by element."""
        code = self.code
        for lane, place in enumerate(self.rows(index)):
            value = code.builder.extract_element(vector, ir.Constant(INT32, lane))
            code.builder.store(value, self.element(place), align=code.element_bytes)


def pack_kernel(target: str, precision: Precision, way: str, channels: int, scaled: bool) -> Any:
    """Return the loop that fills a panel, as an intrinsic.

    Args:
        target: name of the target.
        precision: element type.
        way: "square" (the vectors of a group lie side by side for each lane), "load" (lanes side by side) or "gather".
        channels: lanes that there are; the others become zero.
        scaled: the vectors are multiplied by the one at ``extra``.
    """
    lanes = TARGETS[target].lanes(precision)

    @intrinsic
    def operation(_context: Any, record: Any) -> Any:
        def write(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            code = Code(builder, lanes, precision)
            vectors = _Vectors(code, arguments[0], channels)
            factor = code.load(code.pointer(vectors.values["extra"])) if scaled else None

            def one(index: Value, _: list[Value]) -> list[Value]:
                if way == "square":
                    zeros = [code.constant(0)] * (lanes - channels)
                    values = transposed(code, [*map(code.load, vectors.rows(index)), *zeros])
                    indices = vectors.ahead(index)
                else:
                    load = way == "load"
                    values = [code.load(vectors.place("plain", index)) if load else vectors.gathered(index)]
                    indices = [index]
                for value, number in zip(values, indices):
                    code.store(code.mul(value, factor) if scaled else value, vectors.place("panel", number))
                return []

            code.repeat(vectors.values["count"], one, step=lanes if way == "square" else 1)
            return context.get_dummy_value()

        return types.void(types.intp), write

    return operation


def unpack_kernel(target: str, precision: Precision, way: str, channels: int, copies: int) -> Any:
    """Return the loop that reads a panel out, as an intrinsic: the sum of its copies, in their order.

    Args:
        target: name of the target.
        precision: element type.
        way: "square", "load" (which stores here) or "gather" (which scatters).
        channels: lanes that there are.
        copies: how many; ``extra`` bytes lie between them.
    """
    lanes = TARGETS[target].lanes(precision)

    @intrinsic
    def operation(_context: Any, record: Any) -> Any:
        def write(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            code = Code(builder, lanes, precision)
            vectors = _Vectors(code, arguments[0], channels)

            def summed(number: Value) -> Value:
                place = vectors.place("panel", number)
                total = code.load(place)
                for _ in range(1, copies):
                    place = code.at(place, vectors.values["extra"])
                    total = code.add(total, code.load(place))
                return total

            def one(index: Value, _: list[Value]) -> list[Value]:
                if way == "square":
                    columns = transposed(code, [summed(number) for number in vectors.ahead(index)])
                    for row, vector in zip(vectors.rows(index), columns):
                        code.store(vector, row)
                elif way == "load":
                    code.store(summed(index), vectors.place("plain", index))
                else:
                    vectors.scatter(summed(index), index)
                return []

            code.repeat(vectors.values["count"], one, step=lanes if way == "square" else 1)
            return context.get_dummy_value()

        return types.void(types.intp), write

    return operation
