"""Learning rates over the course of training (``schedule_text`` reads them from the command line).

Epochs count from 1, as progress lines and history files print them: ``step:20=0.01`` holds from the epoch that is
printed as 20 on, the lecture's ``if epoch >= 20``. Steps count from 0 within an epoch.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field

from archcost.errors import UsageError


class Schedule(ABC):
    """A learning rate for every step."""

    @abstractmethod
    def rate(self, epoch: int, step: int, steps: int) -> float:
        """Return the learning rate of a step.

        Args:
            epoch: number of the epoch, from 1.
            step: number of the step in the epoch, from 0.
            steps: steps of an epoch.
        """

    def epoch_ended(self, loss: float) -> None:  # noqa: B027  (most schedules do not look at the loss)
        """Take notice of the monitored loss at the end of an epoch."""

    def state(self) -> dict[str, float]:
        """Return what a checkpoint must keep of the schedule."""
        return {}

    def restore(self, state: Mapping[str, float]) -> None:
        """Set the schedule to what ``state`` returned.

        Raises:
            UsageError: if that was the state of another schedule.
        """
        if state:
            raise UsageError(f"this schedule keeps no state, but was given {', '.join(state)}")


@dataclass
class Constant(Schedule):
    """The same rate always."""

    learning_rate: float

    def rate(self, epoch: int, step: int, steps: int) -> float:
        return self.learning_rate


@dataclass
class Steps(Schedule):
    """The lecture's if/else by epoch.

    Attributes:
        learning_rate: before the first change.
        changes: (epoch, rate from that epoch on), by rising epochs.
    """

    learning_rate: float
    changes: tuple[tuple[int, float], ...]

    def rate(self, epoch: int, step: int, steps: int) -> float:
        found = self.learning_rate
        for start, rate in self.changes:
            if epoch >= start:
                found = rate
        return found


@dataclass
class Cosine(Schedule):
    """Half a cosine over all steps of all epochs (Loshchilov & Hutter 2017, equation 5, without restarts).

    minimum + (learning_rate - minimum) (1 + cos(pi x)) / 2 with x from 0 at the first step to 1 after the last.
    """

    learning_rate: float
    epochs: int
    minimum: float = 0.0

    def rate(self, epoch: int, step: int, steps: int) -> float:
        done = min(1.0, (epoch - 1 + step / steps) / self.epochs)
        return self.minimum + (self.learning_rate - self.minimum) * (1 + math.cos(math.pi * done)) / 2


@dataclass
class Exponential(Schedule):
    """learning_rate * factor^(epoch - 1), not below the minimum."""

    learning_rate: float
    factor: float = 0.95
    minimum: float = 0.0

    def rate(self, epoch: int, step: int, steps: int) -> float:
        return max(self.minimum, self.learning_rate * self.factor ** (epoch - 1))


@dataclass
class Plateau(Schedule):
    """The rate is multiplied by ``factor`` whenever the loss has not improved for ``patience`` epochs in a row.

    Attributes:
        learning_rate: of the first epoch.
        factor: above 0, at most 1.
        patience: at least 1; counting restarts after a reduction.
        threshold: share of the best loss by which a loss must be lower to count as better.
        minimum: the rate is not reduced below it.
        reductions: how often the rate has been reduced.
        best: lowest loss so far, infinite before the first.
        waited: epochs since.
    """

    learning_rate: float
    factor: float = 0.1
    patience: int = 5
    threshold: float = 1e-4
    minimum: float = 0.0
    reductions: int = field(default=0, init=False)
    best: float = field(default=math.inf, init=False)
    waited: int = field(default=0, init=False)

    def rate(self, epoch: int, step: int, steps: int) -> float:
        return max(self.minimum, self.learning_rate * self.factor**self.reductions)

    def epoch_ended(self, loss: float) -> None:
        # The difference of infinities is no number: the first finite loss is always better.
        if loss < self.best and (self.best == math.inf or loss < self.best - self.threshold * abs(self.best)):
            self.best, self.waited = loss, 0
            return
        self.waited += 1
        if self.waited >= self.patience:
            self.reductions, self.waited = self.reductions + 1, 0

    def state(self) -> dict[str, float]:
        found = {"reductions": float(self.reductions), "waited": float(self.waited)}
        return found if self.best == math.inf else {**found, "best": self.best}

    def restore(self, state: Mapping[str, float]) -> None:
        if set(state) - {"best"} != {"reductions", "waited"}:
            raise UsageError(
                f"the state of a plateau is reductions, waited and best, not {', '.join(state) or 'empty'}"
            )
        self.reductions, self.waited = int(state["reductions"]), int(state["waited"])
        self.best = float(state.get("best", math.inf))


@dataclass
class WarmUp(Schedule):
    """A linear rise in front of another schedule (Goyal et al. 2017, section 2.2).

    Step k of N, from 0, runs at start + (rate - start) (k + 1) / N, where rate is what the other schedule says for that
    step: it keeps its own count of epochs. The first step is not lost at a rate of 0, the last one has the full rate.

    Attributes:
        after: the other schedule.
        length: N in epochs (parts of one too) or in steps.
        unit: "epochs" or "steps".
        start: where the rise begins.
    """

    after: Schedule
    length: float
    unit: str = "epochs"
    start: float = 0.0

    def rate(self, epoch: int, step: int, steps: int) -> float:
        goal = self.after.rate(epoch, step, steps)
        count = self.length if self.unit == "steps" else round(self.length * steps)
        done = (epoch - 1) * steps + step + 1
        return goal if done >= count else self.start + (goal - self.start) * done / count

    def epoch_ended(self, loss: float) -> None:
        self.after.epoch_ended(loss)

    def state(self) -> dict[str, float]:
        return self.after.state()

    def restore(self, state: Mapping[str, float]) -> None:
        self.after.restore(state)
