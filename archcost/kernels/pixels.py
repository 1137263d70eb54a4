"""Loops over the pixels of a line, in vector code: how operands are read, and how rounds are written out."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from archcost.kernels.vector import Code, Value

UNROLL = 4
"""Pixels of a round: enough independent loads to hide what a formula waits for."""

Reading = tuple[tuple[bool, int], ...]
"""For each operand whether an element is spread over the lanes, and its pixel step: constants of the machine code."""


class Readers:
    """Writes the loads of a loop's operands; what holds for all pixels is loaded once, before the loop.

    Args:
        code: where the instructions go.
        addresses: where each operand starts.
        ways: how each is read.
    """

    def __init__(self, code: Code, addresses: Sequence[Value], ways: Reading) -> None:
        self.code, self.ways = code, ways
        self.starts = [code.pointer(address) for address in addresses]
        self.fixed = [self._one(start, 0, way) if way[1] == 0 else None for start, way in zip(self.starts, ways)]

    def _one(self, start: Value, offset: Value | int, way: tuple[bool, int]) -> Value:
        return self.code.broadcast(start, offset) if way[0] else self.code.load(start, offset)

    def load(self, pixel: Value, ahead: int) -> list[Value]:
        """Return the operands' vectors at the pixel number ``pixel`` + ``ahead``."""
        vectors = []
        for start, fixed, way in zip(self.starts, self.fixed, self.ways):
            if fixed is not None:
                vectors.append(fixed)
                continue
            place = self.code.at(start, self.code.builder.mul(pixel, self.code.int(way[1])))
            vectors.append(self._one(place, ahead * way[1], way))
        return vectors


def unrolled(
    code: Code,
    pixels: Value,
    body: Callable[[Value, int, list[Value]], list[Value]],
    carried: Sequence[Value] = (),
) -> list[Value]:
    """Write a loop over ``pixels``, in rounds of ``UNROLL`` and one by one for the rest.

    Args:
        code: where the instructions go.
        pixels: how many; may be 0.
        body: writes the round of some pixels, given the first one's number, how many, and the carried values.
        carried: values that go from round to round.
    """
    rest = code.builder.and_(pixels, code.int(UNROLL - 1))
    full = code.builder.sub(pixels, rest)

    def rounds() -> list[Value]:
        return code.repeat(full, lambda index, values: body(index, UNROLL, values), carried, step=UNROLL)

    def ones() -> list[Value]:
        return code.repeat(rest, lambda index, values: body(code.builder.add(full, index), 1, values), values_so_far)

    values_so_far = code.choose(code.builder.icmp_signed(">", full, code.int(0)), rounds, list(carried))
    return code.choose(code.builder.icmp_signed(">", rest, code.int(0)), ones, values_so_far)
