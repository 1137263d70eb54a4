"""Tensors that no input determines."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np

from archcost.reference.work import Count, Done, Work


def stored(kind: Literal["parameters", "buffers"], name: str) -> Callable[[Work], Done]:
    """Return how to give every image what is stored under ``name``: a view."""

    def repeated(work: Work) -> Done:
        array = (work.parameters if kind == "parameters" else work.buffers)[name]
        return np.broadcast_to(array, (work.batch, *array.shape)), Count(0, 0)

    return repeated


parameter, constant = stored("parameters", "weight"), stored("buffers", "value")
