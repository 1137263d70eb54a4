"""The one micro-kernel: a tile of outputs as a sum over taps and depth, in registers from first to last.

    out[pixel, vector] = bias[vector] + sum over tap, k of in[pixel, tap, k] * weight[tap, k, vector]

Convolution, its gradient to the input, its gradient to the weights and dense layers are all this sum: they differ in
what a pixel, a tap and k are, that is in the byte distances between them. Distances that are the same for all calls of
a kernel are constants of the generated code; the others are arguments.

Design: Goto & van de Geijn 2008 (register tile, packed panels), Georganas et al. 2018 (direct convolution on blocked
layouts with a table of tap offsets).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from archcost.kernels.vector import Code, Value

Epilogue = Callable[[Code, Value], Value]
"""What is done to every output vector before it is stored: the fused activation."""


READ_AHEAD = 1024
"""Bytes that a tile reads ahead in each line of weights that lie in place: the next tiles' along the line."""


class Tile(NamedTuple):
    """What is constant in one generated micro-kernel.

    Attributes:
        pixels: outputs along the row.
        vectors: output vectors of each pixel.
        rows: rows of ``pixels`` outputs, for maps that are narrower than the tile.
        pixel_step: bytes in the input from one pixel to the next.
        depth_step: bytes in the input from one k to the next.
        output_step: bytes in the output (and in the residual) from one pixel to the next.
        unroll: rounds of k written out; the depth is a multiple of it.
        prefetch: read ahead the weights of the next panel while this one is used, or those in place behind the tile's.
        weight_step: bytes from the weights of one k to the next, for weights that are read where they lie; 0 for
            packed panels, in which vectors, k and taps follow one another.
        streams: write outputs past the caches; they lie at multiples of a vector.
    """

    pixels: int
    vectors: int
    rows: int
    pixel_step: int
    depth_step: int
    output_step: int
    unroll: int = 1
    prefetch: bool = False
    weight_step: int = 0
    streams: bool = False


ARGUMENTS = (
    "input",
    "weights",
    "output",
    "taps",
    "offsets",
    "depth",
    "output_vector_step",
    "bias",
    "residual",
    "residual_vector_step",
    "input_row_step",
    "output_row_step",
    "residual_row_step",
    "prefetched",
    "prefetch_step",
    "weight_offsets",
    "weight_vector_step",
)
"""The 64-bit integers that a call reads, in their order: addresses, counts, and distances in bytes.

``offsets`` is a table with the byte offset of each tap from ``input``; ``bias`` holds ``vectors`` vectors; a
``residual`` of 0 means that there is none. The last two are read for weights that are not packed: a table with the byte
offset of each tap from ``weights``, and the distance between vectors.
"""


def write_tile(code: Code, record: Value, tile: Tile, epilogue: Epilogue) -> None:
    """Write the code of one call, whose arguments lie at the address ``record``."""
    values = dict(zip(ARGUMENTS, code.arguments(record, len(ARGUMENTS))))
    biases = [code.load(code.pointer(values["bias"]), vector * code.vector_bytes) for vector in range(tile.vectors)]
    sums = [bias for _ in range(tile.rows * tile.pixels) for bias in biases]
    walk = Walk(code.pointer(values["weights"]), code.pointer(values["prefetched"]))
    sums = add_products(code, values, tile, code.pointer(values["input"]), walk, sums)
    sums = with_residual(code, values, tile, values["residual"], sums)
    write = code.stream if tile.streams else code.store
    for place, pointer, offset in tile_places(code, tile, code.pointer(values["output"]), values, "output"):
        write(epilogue(code, sums[place]), pointer, offset)


@dataclass
class Walk:
    """How far the weights have been read, and what is read ahead: products in turn go on from there."""

    weights: Value
    ahead: Value


def add_products(
    code: Code, values: dict[str, Value], tile: Tile, first: Value, walk: Walk, sums: Sequence[Value]
) -> list[Value]:
    """Write the loop over taps and depth; return ``sums`` with the products of all of them added.

    Args:
        code: where it is written.
        values: the arguments of the call.
        tile: what is constant.
        first: where the input of the first pixel lies, at a tap offset of 0.
        walk: where the weights lie; it is moved behind them.
        sums: [row, pixel, vector].
    """
    # Weights in place have a pointer for each vector; in a packed panel all vectors lie behind one.
    places = tile.vectors if tile.weight_step else 1
    weight_step = tile.weight_step or tile.vectors * code.vector_bytes
    steps = values["input_row_step"]

    def tap(index: Value, carried: list[Value]) -> Sequence[Value]:
        source = code.at(first, code.element(values["offsets"], index))

        def rounds(_: Value, inner: list[Value]) -> Sequence[Value]:
            pointer, ahead, accumulators = inner[0], inner[1], inner[2 + places :]
            weights = inner[2 : 2 + places]
            for step in range(tile.unroll):
                if tile.weight_step:
                    vectors = [code.load(place, step * tile.weight_step) for place in weights]
                else:
                    first_byte = step * tile.vectors * code.vector_bytes
                    vectors = [
                        code.load(weights[0], first_byte + vector * code.vector_bytes) for vector in range(tile.vectors)
                    ]
                if tile.prefetch and tile.weight_step:
                    for place in weights:
                        code.prefetch(place, step * tile.weight_step + READ_AHEAD)
                elif tile.prefetch:
                    code.prefetch(ahead, step * 64)
                for position, row in enumerate(_rows(code, pointer, steps, tile.rows)):
                    for pixel in range(tile.pixels):
                        element = code.broadcast(row, pixel * tile.pixel_step + step * tile.depth_step)
                        place = (position * tile.pixels + pixel) * tile.vectors
                        for vector in range(tile.vectors):
                            accumulators[place + vector] = code.fma(
                                element, vectors[vector], accumulators[place + vector]
                            )
            return [
                code.at(pointer, tile.unroll * tile.depth_step),
                code.at(ahead, values["prefetch_step"]) if tile.prefetch and not tile.weight_step else ahead,
                *(code.at(place, tile.unroll * weight_step) for place in weights),
                *accumulators,
            ]

        if tile.weight_step:
            place = code.at(walk.weights, code.element(values["weight_offsets"], index))
            carried = [carried[0], *_rows(code, place, values["weight_vector_step"], places), *carried[1:]]
            after = code.repeat(values["depth"], rounds, [source, *carried], step=tile.unroll)
            return [after[1], *after[2 + places :]]
        return code.repeat(values["depth"], rounds, [source, *carried], step=tile.unroll)[1:]

    before = [walk.ahead] if tile.weight_step else [walk.ahead, walk.weights]
    after = code.repeat(values["taps"], tap, [*before, *sums])
    walk.ahead = after[0]
    if not tile.weight_step:
        walk.weights = after[1]
    return after[len(before) :]


def tile_places(
    code: Code, tile: Tile, start: Value, values: dict[str, Value], name: str
) -> Iterator[tuple[int, Value, int]]:
    """Yield the number of each sum of a tile, and the pointer and the offset of its place in a tensor.

    Args:
        code: where the pointers are written.
        tile: the tile.
        start: its first pixel.
        values: the arguments of the call.
        name: "output" or "residual".
    """
    for vector in range(tile.vectors):
        block = code.at(start, code.builder.mul(values[f"{name}_vector_step"], code.int(vector)))
        for position, row in enumerate(_rows(code, block, values[f"{name}_row_step"], tile.rows)):
            for pixel in range(tile.pixels):
                yield (position * tile.pixels + pixel) * tile.vectors + vector, row, pixel * tile.output_step


def _rows(code: Code, pointer: Value, step: Value, rows: int) -> list[Value]:
    """Return where each row starts."""
    starts = [pointer]
    while len(starts) < rows:
        starts.append(code.at(starts[-1], step))
    return starts


def with_residual(code: Code, values: dict[str, Value], tile: Tile, start: Value, sums: Sequence[Value]) -> list[Value]:
    """Add what lies at ``start``, if there is a residual: a shortcut, or the sum so far."""

    def added() -> list[Value]:
        result = list(sums)
        for place, pointer, offset in tile_places(code, tile, code.pointer(start), values, "residual"):
            result[place] = code.add(result[place], code.load(pointer, offset))
        return result

    is_there = code.builder.icmp_signed("!=", values["residual"], code.int(0))
    return code.choose(is_there, added, sums)
