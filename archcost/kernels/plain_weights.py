"""The weight of a convolution as it lies in the plain array, for kernels that do not pack it."""

from __future__ import annotations

from typing import NamedTuple

from archcost.kernels.panels import Filters


class Weights(NamedTuple):
    """The plain array of a layer's weight: (outputs, inputs of a group, rows, columns).

    Attributes:
        address: where it lies.
        filters: its sizes.
        size: bytes of an element.
    """

    address: int
    filters: Filters
    size: int

    @property
    def taps(self) -> int:
        """Positions of the kernel."""
        return self.filters.kernel[0] * self.filters.kernel[1]

    @property
    def inputs(self) -> int:
        """Input channels of a group."""
        return self.filters.inputs // self.filters.groups

    @property
    def outputs(self) -> int:
        """Output channels of a group."""
        return self.filters.outputs // self.filters.groups

    def offset(self, output: int, channel: int = 0, tap: int = 0) -> int:
        """Return the byte offset of a weight."""
        return ((output * self.inputs + channel) * self.taps + tap) * self.size
