"""The updater: an optimizer bound to the flat arrays of a network's parameters and gradients."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple, cast

import numpy as np

from archcost.engine.program import Program
from archcost.engine.team import Team
from archcost.errors import UsageError
from archcost.kernels import flat_sums
from archcost.kernels.layout import Array, aligned
from archcost.kernels.optimizer import SCALE, Numbers, update
from archcost.kernels.segments import Segment
from archcost.kernels.step import Step
from archcost.kernels.target import ELEMENT_BYTES, Precision, current
from archcost.train.optimizers import Optimizer, Penalties, checked


class Updated(NamedTuple):
    """What an update found.

    Attributes:
        gradient_norm: root of the sum of squares of the loss's gradient, before clipping and without penalties.
        penalty: value of the penalties for the parameters before the update.
        first_not_finite: the first element of the gradients that is NaN or infinite, or -1. If there is one, nothing
            was updated and the update does not count.
    """

    gradient_norm: float
    penalty: float
    first_not_finite: int


class Updater:
    """An optimizer with its states, bound to arrays.

    Args:
        optimizer: what to do.
        parameters: all trained parameters, flat, contiguous, float32 or float64; changed in place.
        gradients: their gradients, read at each update.
        team: the threads that compute; results do not depend on how many.
        segments: ranges of the arrays with factors of penalties and decay, in order and without overlap; elements
            outside are left alone. None: all elements, factors of 1.
        penalties: added to the loss.
        clip_norm: gradients with a larger norm, of all segments together, are scaled down to it; None for no limit.

    Attributes:
        iteration: updates so far.
        states: name -> array of the optimizer, as they are now.
        steps: the steps of an update, for a caller who runs them in a program of his own between ``prepare`` and
            ``finish``.

    Raises:
        UsageError: for arrays or segments that do not fit, or a wrong ``clip_norm``.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        parameters: Array,
        gradients: Array,
        *,
        team: Team,
        segments: Sequence[Segment] | None = None,
        penalties: Penalties | None = None,
        clip_norm: float | None = None,
    ) -> None:
        precision = _precision(parameters, gradients)
        segments = _in_order(segments, len(parameters))
        self.optimizer, self.penalties = optimizer, penalties or Penalties()
        self.iteration = 0
        self.states = {name: aligned(len(parameters), precision) for name in optimizer.states}
        self._team = team
        machine = current()
        self._numbers = np.array(Numbers(), np.float64)
        limit = math.inf if clip_norm is None else checked("update", "clip_norm", clip_norm, 0, above=True)
        self._statistics = flat_sums.statistics(
            gradients, np.array([limit]), self._numbers[SCALE:], machine, precision, segments=segments
        )
        factors = np.array([self.penalties.l1, self.penalties.l2])
        self._penalty = flat_sums.penalty(parameters, factors, machine, precision, segments=segments)
        change = update(
            optimizer.rule, parameters, gradients, [*self.states.values()], self._numbers, machine, precision,
            segments=segments, blocked=self._statistics.first_not_finite,
        )  # fmt: skip
        before = self._penalty.steps if self.penalties else ()
        self.steps: tuple[Step, ...] = (*before, *self._statistics.steps, change)
        self._program = Program(self.steps)

    def step(self, learning_rate: float | None = None) -> Updated:
        """Update the parameters once.

        Args:
            learning_rate: of this update, at least 0; None for the optimizer's.

        Raises:
            UsageError: for a wrong learning rate.
        """
        self.prepare(learning_rate)
        self._program.run(self._team)
        return self.finish()

    def prepare(self, learning_rate: float | None = None) -> None:
        """Set the numbers that ``steps`` read."""
        rate = self.optimizer.learning_rate if learning_rate is None else learning_rate
        rate = checked(self.optimizer.name, "learning_rate", rate, 0)
        numbers = self.optimizer.numbers(rate, self.iteration + 1)
        self._numbers[:] = numbers._replace(l1=self.penalties.l1, l2=self.penalties.l2)

    def finish(self) -> Updated:
        """Count the update after ``steps`` have run, and return what they found."""
        found = int(self._statistics.first_not_finite[0])
        self.iteration += found < 0
        return Updated(float(self._statistics.norm[0]), float(self._penalty.value[0]), found)

    def checkpoint(self) -> dict[str, np.ndarray[tuple[int, ...], np.dtype[np.generic]]]:
        """Return copies of the states by name, and the number of updates as ``iteration``, int64 (1,)."""
        states = {name: array.copy() for name, array in self.states.items()}
        return {**states, "iteration": np.array([self.iteration], np.int64)}

    def restore(self, saved: Mapping[str, np.ndarray[tuple[int, ...], np.dtype[np.generic]]]) -> None:
        """Set states and number of updates to what ``checkpoint`` returned, bit by bit.

        Raises:
            UsageError: if names, lengths or types are others, or the number of updates is none; nothing is changed.
        """
        wanted = {**self.states, "iteration": np.zeros(1, np.int64)}
        name = self.optimizer.name
        if set(saved) != set(wanted):
            raise UsageError(f"the state of {name} is {', '.join(wanted)}, not {', '.join(sorted(saved)) or 'empty'}")
        for key, array in wanted.items():
            given = saved[key]
            if (given.dtype, given.shape) != (array.dtype, array.shape):
                raise UsageError(
                    f"the state {key!r} of {name} must be {array.dtype} {array.shape}, not {given.dtype} {given.shape}"
                )
        if int(saved["iteration"][0]) < 0:
            raise UsageError(f"the state 'iteration' of {name} (={int(saved['iteration'][0])}) must be at least 0")
        for key, array in self.states.items():
            array[...] = saved[key]
        self.iteration = int(saved["iteration"][0])


def _precision(parameters: Array, gradients: Array) -> Precision:
    """Return the element type of both arrays, which must fit each other."""
    for name, array in (("parameters", parameters), ("gradients", gradients)):
        if array.ndim != 1 or not array.flags.c_contiguous or array.dtype.name not in ELEMENT_BYTES:
            allowed = " or ".join(ELEMENT_BYTES)
            raise UsageError(f"{name} must be a flat contiguous array of {allowed}, not {array.dtype} {array.shape}")
    if (parameters.dtype, parameters.shape) != (gradients.dtype, gradients.shape):
        both = f"{parameters.dtype} {parameters.shape} and {gradients.dtype} {gradients.shape}"
        raise UsageError(f"parameters and gradients must be alike, not {both}")
    if np.may_share_memory(parameters, gradients) and len(parameters):
        raise UsageError("parameters and gradients must not share memory")
    if not parameters.flags.writeable:
        raise UsageError("parameters must be writable")
    return cast("Precision", parameters.dtype.name)


def _in_order(segments: Sequence[Segment] | None, elements: int) -> Sequence[Segment]:
    """Return the segments, which must lie inside the arrays and one after the other."""
    if segments is None:
        return [Segment(0, elements)]
    for segment in segments:
        if not 0 <= segment.start <= segment.stop <= elements:
            raise UsageError(f"segment {segment.start}:{segment.stop} must lie in the {elements} parameters")
        checked(f"segment {segment.start}:{segment.stop}", "penalty", segment.penalty, 0)
        checked(f"segment {segment.start}:{segment.stop}", "decay", segment.decay, 0)
    for before, after in pairwise(segments):
        if after.start < before.stop:
            raise UsageError(f"segment {after.start}:{after.stop} begins before {before.start}:{before.stop} ends")
    return segments
