"""Callbacks: what is done at the turning points of training, for those who write their own.

>>> from archcost.train.callbacks import Callback
>>> class StopAtGoal(Callback):
...     def epoch_ended(self, trainer, epoch):
...         if epoch.test_accuracy >= 0.99:
...             trainer.stop = f"{epoch.test_accuracy:.2%} reached"
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from archcost.errors import UsageError

if TYPE_CHECKING:
    from archcost.train.history import Epoch
    from archcost.train.trainer import Trainer

State = dict[str, np.ndarray[Any, Any]]


class Callback:
    """Does nothing at every turning point; override what you need.

    A callback that must go on where it stopped when training is resumed returns what it needs from ``state``.
    """

    def train_began(self, trainer: Trainer) -> None:
        """Called before the first step."""

    def step_ended(self, trainer: Trainer, epoch: int, step: int, steps: int) -> None:
        """Called after every update: ``step`` (from 1) of ``steps`` of ``epoch`` (from 1)."""

    def epoch_ended(self, trainer: Trainer, epoch: Epoch) -> None:
        """Called with the results of an epoch, before a checkpoint is written."""

    def train_ended(self, trainer: Trainer) -> None:
        """Called after the last epoch."""

    def state(self) -> State:
        """Return arrays that a checkpoint keeps."""
        return {}

    def restore(self, state: Mapping[str, np.ndarray[Any, Any]]) -> None:
        """Take up what ``state`` returned."""


class EarlyStopping(Callback):
    """Stops when the monitored loss has not fallen for some epochs, and goes back to the best weights.

    The loss is that of the validation images, or, if none are kept apart, of the training images.

    Args:
        patience: epochs in a row without a lower loss, at least 1.
    """

    def __init__(self, patience: int) -> None:
        if patience < 1:
            raise UsageError(f"`early_stopping` (={patience}) must be at least 1 epoch")
        self.patience = patience
        self._best, self._waited, self._epoch = math.inf, 0, 0
        self._kept: State = {}

    def epoch_ended(self, trainer: Trainer, epoch: Epoch) -> None:
        if epoch.monitored < self._best:
            self._best, self._waited, self._epoch = epoch.monitored, 0, epoch.epoch
            self._kept = trainer.tensors()
            return
        self._waited += 1
        if self._waited >= self.patience:
            trainer.stop = f"the loss has not fallen for {self.patience} epochs"

    def train_ended(self, trainer: Trainer) -> None:
        if self._kept and trainer.history and self._epoch != trainer.history[-1].epoch:
            trainer.set_tensors(self._kept)
            trainer.best_epoch = self._epoch

    def state(self) -> State:
        numbers = np.array([self._best, self._waited, self._epoch])
        return {"numbers": numbers, **{f"best/{name}": array for name, array in self._kept.items()}}

    def restore(self, state: Mapping[str, np.ndarray[Any, Any]]) -> None:
        best, waited, epoch = state["numbers"].tolist()
        self._best, self._waited, self._epoch = best, int(waited), int(epoch)
        self._kept = {name.removeprefix("best/"): array for name, array in state.items() if name != "numbers"}
