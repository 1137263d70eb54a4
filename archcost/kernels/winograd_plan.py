"""Where Winograd's filtering pays, with which tiles, and how its work is cut.

A model of cycles decides: multiplications, transforms, and the weights, which come from memory and are four times as
many (F(4x4, 3x3)) or almost twice as many (F(2x2, 3x3)) as those of the direct convolution.
"""

from __future__ import annotations

from typing import NamedTuple

from archcost.geometry import Pair, Sides
from archcost.kernels.panels import Filters
from archcost.kernels.passes import Window
from archcost.kernels.switches import switched_on
from archcost.kernels.target import Target

TRANSFORM_CYCLES = {2: (34.0, 30.0), 4: (110.0, 90.0)}
"""Cycles to transform one vector of channels of a tile, by the outputs of a tile's side: input, output."""

WEIGHT_BYTES_PER_CYCLE = 12.0
"""What all threads together read of weights that lie in memory."""

SPILLED_BYTES_PER_CYCLE = 20.0
"""What a thread reads and writes of scratch memory that exceeds its second cache level."""

SCRATCH_BYTES = 640 * 1024
"""Scratch memory of a unit that stays in the second cache level."""

PACKING_CYCLES = {2: 90.0, 4: 180.0}
"""Cycles to gather and transform one vector of nine weights, by the outputs of a tile's side."""

DIRECT_EFFICIENCY = 0.93
PLANNED_THREADS = 2
"""Threads for which the way is chosen, however many there are."""

LEAST_GAIN = 1.1
"""Winograd is used where it is so many times faster by the model."""


class Cut(NamedTuple):
    """How a convolution is computed.

    Attributes:
        outputs: outputs of a tile's side: 2 or 4.
        tiles_of_unit: most tiles of a unit.
        panel_groups: parts that the output channels are cut into; each transforms the inputs anew.
        threads: that scratch memory is made for.
    """

    outputs: int
    tiles_of_unit: int
    panel_groups: int
    threads: int


def allowed() -> bool:
    """Return whether ``ARCHCOST_WINOGRAD`` leaves Winograd's filtering on, which it is by default.

    Raises:
        UsageError: if the variable is neither "on" nor "off".
    """
    return switched_on("ARCHCOST_WINOGRAD")


def fits(filters: Filters, window: Window) -> bool:
    """Return whether a convolution can be computed so: 3x3, neither strided nor dilated nor in groups."""
    is_plain = filters.groups == 1 and not filters.connections
    return is_plain and window[:2] == ((3, 3), (1, 1)) and window.dilation == (1, 1)


def possible(filters: Filters, window: Window, lanes: int) -> bool:
    """Return whether Winograd's filtering may be chosen: below a whole vector of channels it never pays.

    Groups are computed one after the other, each as a convolution of its own, if they are whole vectors of channels.
    """
    one = of_group(filters)
    return filters.aligned(lanes) and fits(one, window) and min(one.inputs, one.outputs) >= lanes


def of_group(filters: Filters) -> Filters:
    """Return the sizes of the weight of one group."""
    return Filters(filters.outputs // filters.groups, filters.inputs // filters.groups, filters.kernel)


def best_cuts(
    filters: Filters, size: Pair, images: int, outputs: int, machine: Target, element: int, threads: int, count: int
) -> list[Cut]:
    """Return the ``count`` fastest cuts by the model for a tile of given size, the fastest first.

    Args:
        filters: sizes of the weight.
        size: height and width of the output.
        images: size of the batch.
        outputs: outputs of a tile's side.
        machine: which vectors there are.
        element: bytes of an element.
        threads: how many compute.
        count: how many cuts, if there are as many.
    """
    lanes = machine.vector_bytes // element
    found = sorted(_candidates(of_group(filters), size, images, outputs, lanes, element, threads, packs=False))
    return list(dict.fromkeys(cut for _, cut in found))[:count]


def planned(
    filters: Filters,
    window: Window,
    size: Pair,
    images: int,
    machine: Target,
    element: int,
    threads: int,
    *,
    packs: bool = False,
    sides: tuple[int, ...] = (2, 4),
) -> Cut | None:
    """Return how to compute a convolution by Winograd's filtering, or None where the direct way is faster.

    Args:
        filters: its weight.
        window: kernel, stride, padding, dilation.
        size: height and width of the output.
        images: size of the batch.
        machine: which vectors there are.
        element: bytes of an element.
        threads: how many compute.
        packs: weights are transformed in every run.
        sides: outputs of a tile's side that are allowed.
    """
    lanes = machine.vector_bytes // element
    if not possible(filters, window, lanes):
        return None
    filters = of_group(filters)
    # Results must not depend on the number of threads: it chooses how the work is cut, never what is computed.
    direct = _direct(filters, size, images, lanes, element, PLANNED_THREADS)
    cycles, best = min(
        candidate
        for outputs in sides
        for candidate in _candidates(filters, size, images, outputs, lanes, element, PLANNED_THREADS, packs=packs)
    )
    if cycles * LEAST_GAIN > direct:
        return None
    return min(_candidates(filters, size, images, best.outputs, lanes, element, threads, packs=packs))[1]


def _blocks(filters: Filters, lanes: int) -> tuple[int, int]:
    return -(-filters.inputs // lanes), -(-filters.outputs // lanes)


def _direct(filters: Filters, size: Pair, images: int, lanes: int, element: int, threads: int) -> float:
    inputs, outputs = _blocks(filters, lanes)
    products = 9 * images * size[0] * size[1] * inputs * lanes * outputs / DIRECT_EFFICIENCY
    weights = 9 * inputs * outputs * lanes**2 * element
    return max(products / threads, weights / WEIGHT_BYTES_PER_CYCLE)


def _candidates(
    filters: Filters, size: Pair, images: int, outputs: int, lanes: int, element: int, threads: int, *, packs: bool
) -> list[tuple[float, Cut]]:
    """Return the cycles of each way to cut the work."""
    blocks = _blocks(filters, lanes)
    points, vector = (outputs + 2) ** 2, lanes * element
    tiles = images * -(-size[0] // outputs) * -(-size[1] // outputs)
    weights = points * blocks[0] * blocks[1] * lanes**2 * element
    packing = PACKING_CYCLES[outputs] * blocks[0] * lanes * blocks[1] / threads if packs else 0.0
    result = []
    for parts in (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128):
        if parts > tiles:
            break
        for groups in (1, 2, 4, 8):
            if groups > max(1, blocks[1] // 2):
                break
            of_unit = -(-tiles // parts)
            units = -(-tiles // of_unit) * groups
            rounds = -(-units // threads)
            group_blocks = -(-blocks[1] // groups)
            products = points * of_unit * blocks[0] * lanes * group_blocks / _efficiency(of_unit)
            transforms = of_unit * (
                blocks[0] * TRANSFORM_CYCLES[outputs][0] + group_blocks * TRANSFORM_CYCLES[outputs][1]
            )
            scratch = points * of_unit * (blocks[0] + group_blocks) * vector
            spilled = 2 * scratch / SPILLED_BYTES_PER_CYCLE if scratch > SCRATCH_BYTES else 0.0
            # Weights that fit the second cache level are read from memory once.
            readings = -(-tiles // of_unit) if weights / groups > SCRATCH_BYTES / 2 else 1
            memory = readings * weights / WEIGHT_BYTES_PER_CYCLE
            cycles = max(rounds * products, memory) + rounds * (transforms + spilled) + packing
            result.append((cycles, Cut(outputs, of_unit, groups, threads)))
    return result


def _efficiency(tiles: int) -> float:
    """Return the share of its peak that the micro-kernel reaches for so many pixels."""
    return 0.9 if tiles >= 8 else 0.6 + 0.035 * tiles


def products(filters: Filters, size: Pair, outputs: int) -> int:
    """Return the multiply-adds of one image.

    Args:
        filters: sizes of the weight.
        size: height and width of the output.
        outputs: outputs of a tile's side.
    """
    tiles = -(-size[0] // outputs) * -(-size[1] // outputs)
    return (outputs + 2) ** 2 * tiles * filters.inputs * filters.outputs


def halo(window: Window, size: Pair, outputs: int) -> Sides:
    """Return the border that the input needs, for tiles that reach beyond the output."""
    sides = []
    for axis in (0, 1):
        before = window.padding[axis][0]
        extent = -(-size[axis] // outputs) * outputs + 2
        larger = size[axis] + 2 - sum(window.padding[axis])
        sides.append((before, max(window.padding[axis][1], extent - before - larger)))
    return sides[0], sides[1]
