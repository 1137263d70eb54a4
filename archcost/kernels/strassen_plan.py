"""Where Strassen's product pays, and how its work is cut.

One product of eight is spared. That pays for the sums where channels are many: an element of the input is used for half
of the output channels, and a tile of outputs is added up once for half of the input channels.
"""

from __future__ import annotations

from typing import NamedTuple

from archcost.geometry import Pair
from archcost.kernels.panels import Filters
from archcost.kernels.passes import Window
from archcost.kernels.strassen_tile import SUMS
from archcost.kernels.switches import switched_on
from archcost.kernels.target import Target

LEAST_CHANNELS = 128
"""Fewest channels of input and output. With 128 of one a layer gains up to 5 percent, with 512 of both 9 to 11."""

MOST_INPUTS = 4
"""Most times as many channels of input as of output: each of them must be used for some sums more than it takes."""

LEAST_PIXELS = 128
"""Fewest pixels of all images: the factors of the weights are 1.75 times as many as the weights, and few pixels wait
for them to come from memory."""

LEAST_PRODUCTS = 20_000_000
"""Fewest multiply-adds of the direct way, some 0.2 ms: smaller layers gain microseconds, and cost as much memory."""

PIXELS_OF_UNIT = 56
"""Pairs of pixels of a unit: enough to read each panel of the weights for, few enough to share units evenly."""

SUMS_BYTES = 512 * 1024
"""Sums of a unit, which stay in the second cache level beside the input and the weights of a panel."""


class Split(NamedTuple):
    """How a convolution is computed.

    Attributes:
        pixels_of_unit: pairs of pixels of a unit, about.
        panel_groups: parts that the output channels are cut into; each adds up the inputs anew.
        threads: that scratch memory is made for.
    """

    pixels_of_unit: int
    panel_groups: int
    threads: int


def allowed() -> bool:
    """Return whether ``ARCHCOST_STRASSEN`` leaves Strassen's product on, which it is by default.

    Raises:
        UsageError: if the variable is neither "on" nor "off".
    """
    return switched_on("ARCHCOST_STRASSEN")


def possible(filters: Filters, window: Window, size: Pair, lanes: int) -> bool:
    """Return whether a convolution can be computed so: 1x1, with two halves of whole vectors, and two pixels.

    Args:
        filters: its weight.
        window: kernel, stride, padding, dilation.
        size: height and width of the output.
        lanes: elements of a vector.
    """
    is_plain = filters.kernel == (1, 1) and filters.groups == 1 and not filters.connections
    is_halved = filters.inputs % (2 * lanes) == filters.outputs % (2 * lanes) == 0 and size[0] * size[1] > 1
    return is_plain and is_halved and window.padding == ((0, 0), (0, 0))


def planned(
    filters: Filters, window: Window, size: Pair, images: int, machine: Target, element: int, threads: int
) -> Split | None:
    """Return how to compute a convolution by Strassen's product, or None where the direct way is faster.

    Whether it is used does not depend on the number of threads, and results do not either.

    Args:
        filters: its weight.
        window: kernel, stride, padding, dilation.
        size: height and width of the output.
        images: size of the batch.
        machine: which vectors there are.
        element: bytes of an element.
        threads: how many compute.
    """
    pixels = images * size[0] * size[1]
    few = pixels < LEAST_PIXELS or pixels * filters.inputs * filters.outputs < LEAST_PRODUCTS
    narrow = min(filters.inputs, filters.outputs) < LEAST_CHANNELS or filters.inputs > MOST_INPUTS * filters.outputs
    if few or narrow or not possible(filters, window, size, machine.vector_bytes // element):
        return None
    return Split(max(1, min(PIXELS_OF_UNIT, SUMS_BYTES // (SUMS * filters.inputs // 2 * element))), 1, threads)
