"""What training wrote down: a row for each epoch."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import NamedTuple


class Epoch(NamedTuple):
    """The results of an epoch.

    Attributes:
        epoch: its number, from 1.
        learning_rate: of its last step.
        loss: mean over the training images, as they were seen, without penalties.
        penalty: value of the L1 and L2 penalties at the last step.
        accuracy: share of the training images that were right when they were seen; None for a loss that says nothing
            about that.
        validation_loss, validation_accuracy: of the images kept apart; None if there are none.
        test_loss, test_accuracy: of the test images.
        seconds: of the training steps, evaluation left aside.
        images_per_second: trained.
    """

    epoch: int
    learning_rate: float
    loss: float
    penalty: float
    accuracy: float | None
    validation_loss: float | None
    validation_accuracy: float | None
    test_loss: float
    test_accuracy: float
    seconds: float
    images_per_second: float

    @property
    def monitored(self) -> float:
        """The loss that early stopping and a plateau look at: of the images kept apart, else of training."""
        return self.loss if self.validation_loss is None else self.validation_loss


def as_csv(history: Sequence[Epoch]) -> str:
    """Return the rows as CSV with a header; what there is not is empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(Epoch._fields)
    writer.writerows(["" if value is None else value for value in row] for row in history)
    return text.getvalue()
