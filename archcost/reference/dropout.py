"""Dropout and drop path: nothing in inference, a given mask in training."""

from __future__ import annotations

from typing import cast

from archcost.ops.dropout import RandomMask
from archcost.reference.work import Array, Count, Done, Work, loop


@loop
def _mask(x: Array, mask: Array, y: Array, rate: float) -> int:
    written = 0
    each = len(x) // len(mask)  # elements that share one value of the mask
    for i in range(len(x)):
        y[i] = x[i] / (1.0 - rate) if mask[i // each] else 0.0
        written += 1
    return written


def masked(work: Work) -> Done:
    """What the mask keeps, over the share that it keeps on average; in inference the input itself.

    Raises:
        ValueError: in training, if there is no mask of the right shape.
    """
    if not work.training:
        return work.input, Count(0, 0)
    x, mask = work.input, work.random
    if mask is None or mask.shape not in (x.shape, x.shape[:1]):
        raise ValueError(f"training needs a mask of the shape {x.shape} or {x.shape[:1]}")
    y = work.empty(x.shape)
    rate = float(cast("RandomMask", work.op).rate)
    return y, Count(0, _mask(x.reshape(-1), mask.reshape(-1) != 0, y.reshape(-1), rate))
