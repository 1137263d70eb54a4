"""Naive loops of every operator, as short and obvious as a textbook's, that count what they do.

They are the oracle of the fast kernels and the proof of the counted cost: ``archcost verify`` and the tests run them,
nothing else does. Arrays are plain NumPy arrays in the graph's order of axes with the batch in front: (N, C, H, W),
(N, features). Sizes of loops come from the arrays, never from the rules that they are to prove.
"""

from __future__ import annotations

from archcost.reference.execution import Execution, Step, execute
from archcost.reference.table import LOOPS, run
from archcost.reference.weights import allocated, images
from archcost.reference.work import Count

__all__ = ["LOOPS", "Count", "Execution", "Step", "allocated", "execute", "images", "run"]
