"""Recomputation of activations in training: which are kept, and which are computed again on the way back.

The graph is cut into segments, in its order. The forward pass keeps only what passes from one segment to the next; the
way back computes a segment's activations again, from what was kept, before it takes the segment back. The last segment
is taken back at once, so nothing of it is computed twice (Chen et al. 2016, Training Deep Nets with Sublinear Memory
Cost, sections 3 and 4). Where tensors pass around a segment (the skips of a U-shaped network), they are kept too.

Engine and summary ask the same function, so that what is executed is what is predicted.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import isqrt

from archcost.graph import Graph
from archcost.segments import Choice, Segment, Step

BISECTIONS = 8
"""Halvings, by factors, of the interval in which the least budget of memory lies."""

SLACKS = (1.0, 1.02, 1.04, 1.07, 1.1, 1.15, 1.2, 1.3, 1.45, 1.7, 2.0)
"""Budgets that are tried, in units of the least; they are estimates, and each choice is measured exactly."""

MOST_PLACES = 200
"""Cuts that are considered first; of more, the best of each few neighbours."""

REACH = 3
"""Places by which a cut is moved to see whether that is better."""

MOST_VISITS = 40_000
"""Nodes that are visited to see it."""


@dataclass(frozen=True)
class Recomputation:
    """How activations are recomputed.

    Attributes:
        segments: from the first to the last, of which nothing is computed again.
        elements, plain_elements: the most tensor elements alive at once in a training step for one image, activations
            and their gradients, with recomputation and without (by liveness; activations overwrite their input where
            nothing else needs it).
    """

    segments: tuple[Segment, ...]
    elements: int
    plain_elements: int

    @cached_property
    def again(self) -> frozenset[str]:
        """All nodes that are computed again."""
        return frozenset(name for segment in self.segments for name in segment.again)


def recomputation(graph: Graph, trained: frozenset[str], outputs: Sequence[str]) -> Recomputation:
    """Choose segments that need little memory, and of equal ones those with the least work.

    A dynamic programme finds the cuts for a budget of memory: which of them keep least, such that what is kept and what
    one segment needs stay within the budget. It estimates; among the choices for some budgets, and those that differ
    from them by one cut, liveness decides. So the choice is near the best one, not proved to be it.

    Args:
        graph: the network.
        trained: nodes whose parameters are trained.
        outputs: nodes whose outputs go into the loss.
    """
    step = Step(graph, trained, outputs)
    search = _Search(step)
    plain = step.measured(())
    least, most = max(1, *step.gradients), 2 * plain.elements
    for _ in range(BISECTIONS):
        middle = isqrt(least * most)
        least, most = (least, middle) if search.cuts(middle) is not None else (middle, most)
    tried = {search.cuts(int(slack * most)) for slack in SLACKS}
    best = search.improved([plain, *(step.measured(cuts) for cuts in tried if cuts)])
    return Recomputation(step.segments(best.cuts), best.elements, plain.elements)


class _Search:
    """The search for the cuts of a training step."""

    def __init__(self, step: Step) -> None:
        self._step = step
        together = -(-len(step.cut) // MOST_PLACES) or 1
        ordered = list(step.cut.values())
        self._places = [
            min(ordered[start : start + together], key=lambda cut: sum(size for _, size in cut.tensors)).position
            for start in range(0, len(ordered), together)
        ]

    def cuts(self, budget: int) -> tuple[int, ...] | None:
        """Return the cuts that keep least if no segment may need more than ``budget`` elements; None if none do.

        What a segment needs is estimated as what was kept before it, all of its tensors that are read on the way back,
        and the largest gradients.
        """
        step = self._step
        places = [*self._places, len(step.graph) - 1]
        kept: dict[int, tuple[int, int]] = {-1: (0, -1)}
        for end, place in enumerate(places):
            found: tuple[int, int] | None = None
            saved = gradients = more = 0
            position = place
            passing = [*step.cut[place].tensors] if place in step.cut else []
            for before in (*places[:end][::-1], -1):
                for index in range(position, before, -1):
                    saved += step.saved[index]
                    gradients = max(gradients, step.gradients[index])
                position = before
                if saved + gradients > budget:
                    break
                # What passes here and was made before the other cut is kept there already.
                while passing and passing[-1][0] > before:
                    more += passing.pop()[1]
                earlier = kept.get(before)
                if (
                    earlier
                    and earlier[0] + saved + gradients <= budget
                    and (not found or earlier[0] + more <= found[0])
                ):
                    found = earlier[0] + more, before
            if found:
                kept[place] = found
        if places[-1] not in kept:
            return None
        result = []
        place = kept[places[-1]][1]
        while place >= 0:
            result.append(place)
            place = kept[place][1]
        return tuple(reversed(result))

    def improved(self, choices: Sequence[Choice]) -> Choice:
        """Return the best choice that leaving out, moving and adding cuts leads to, one at a time."""
        step = self._step
        left = MOST_VISITS // len(step.graph)
        found = []
        for start in sorted(choices):
            best, before = start, None
            while best != before and left > 0:
                before = best
                for one in (*before.cuts, None):
                    tried = self._neighbours(best.cuts, one)[:left]
                    left -= len(tried)
                    best = min([best, *(step.measured(cuts) for cuts in tried)])
            found.append(best)
        return min(found)

    def _neighbours(self, cuts: tuple[int, ...], one: int | None) -> list[tuple[int, ...]]:
        """Return the cuts without one of them, and with others near it; without any, the cuts and another one."""
        places = list(self._step.cut)
        if one is None:
            return [tuple(sorted((*cuts, place))) for place in places if place not in cuts]
        if one not in cuts:
            return []
        others = [cut for cut in cuts if cut != one]
        at = bisect_left(places, one)
        near = [place for place in places[max(at - REACH, 0) : at + REACH + 1] if place not in cuts]
        return [tuple(others), *(tuple(sorted((*others, place))) for place in near)]
