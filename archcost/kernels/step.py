"""A step: one row of a program, that is a compiled function and the arguments it is called with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from archcost.kernels.layout import Blocked

WORDS = 40
"""64-bit integers of a row; the first is the address of the counter from which the threads take their units."""

Integers = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True)
class Step:
    """One row of a program.

    Attributes:
        function: address of the step function, ``void(row, thread, threads)``.
        arguments: what follows the counter in the row.
        keep: the arrays that the arguments point to; a step keeps them alive.
        name: the node of the graph that it works for.
        prepares: whether it reads parameters and buffers alone (packing weights): inference runs it again only when
            these may have changed.
        mult_adds: multiply-adds that a run executes, counted from the sizes of the step's own loops: products of a
            weight with an element of a tensor (or of two tensors, for a gradient to weights). Taps that read the zero
            border count, since they are executed; lanes that fill up a block of channels, and weights of zero that
            stand where no channels are connected or no tap leads, do not.
        for_weights: whether these make a gradient to weights.
        once: whether what it leaves lies in arrays of its own until the way back (statistics of a batch): where
            activations are recomputed, it does not run again.
        recomputes: whether it runs again for recomputation, on the way back.
        method: name of the fast way by which a layer is computed; empty for the direct one.
        also: a further node that it works for.
    """

    function: int
    arguments: tuple[int, ...]
    keep: tuple[object, ...] = ()
    name: str = ""
    prepares: bool = False
    mult_adds: int = 0
    for_weights: bool = False
    once: bool = False
    recomputes: bool = False
    method: str = ""
    also: str = ""

    @property
    def arrays(self) -> list[np.ndarray[Any, Any]]:
        """The arrays that it keeps, those of tensors among them."""
        found = (kept.memory if isinstance(kept, Blocked) else kept for kept in self.keep)
        return [array for array in found if isinstance(array, np.ndarray)]


def tabled(rows: Sequence[Sequence[int]]) -> Integers:
    """Return a table of 64-bit integers for a step function to read."""
    return np.array(rows, np.int64).reshape(len(rows), -1)
