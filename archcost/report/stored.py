"""What a file of weights stores for each layer: element type, and how many of the values are zero."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import NamedTuple

from archcost.report.formats import percent
from archcost.report.rows import Row


class Stored(NamedTuple):
    """The parameters of one layer as a file stores them.

    Attributes:
        dtypes: element types, each once, sorted.
        weights: number of values.
        zeros: how many of them are zero.
    """

    dtypes: tuple[str, ...] = ()
    weights: int = 0
    zeros: int = 0

    def plus(self, dtype: str, weights: int, zeros: int) -> Stored:
        """Return the layer with one tensor more."""
        dtypes = tuple(sorted({*self.dtypes, dtype}))
        return Stored(dtypes, self.weights + weights, self.zeros + zeros)


def with_stored(rows: Iterable[Row], stored: Mapping[str, Stored]) -> tuple[Row, ...]:
    """Return the rows of operators with what a file stores for each; ``stored``: node -> its parameters."""
    nothing = Stored()
    found = ((row, stored.get(row.name, nothing)) for row in rows)
    return tuple(
        replace(row, weights=one.weights, zeros=one.zeros, weights_dtype="+".join(one.dtypes)) for row, one in found
    )


def stored_text(stored: Mapping[str, Stored]) -> str:
    """Return one line about all weights: how many, of which types, how many zero."""
    weights, zeros = sum(one.weights for one in stored.values()), sum(one.zeros for one in stored.values())
    dtypes = dict.fromkeys(dtype for one in stored.values() for dtype in one.dtypes)
    return (
        f"Weights: {weights:,} of {', '.join(dtypes) or 'no type'}, {zeros:,} ({percent(zeros, weights) or '0%'}) zero."
    )
