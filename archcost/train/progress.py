"""How training tells of itself: a bar on a terminal, else a line for each epoch, on stderr."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from archcost.train.callbacks import Callback

if TYPE_CHECKING:
    from archcost.train.history import Epoch
    from archcost.train.trainer import Trainer

WIDTH = 20
SECONDS_BETWEEN = 0.1


class Progress(Callback):
    """Prints loss, accuracy, speed and the time that is left.

    Args:
        name: the data set's, as it stands in every line.
        flops: of a training step for one image.
    """

    def __init__(self, name: str, flops: int) -> None:
        self._name, self._flops = name, flops
        self._bar = sys.stderr is not None and sys.stderr.isatty()
        self._began, self._shown = 0.0, 0.0

    def step_ended(self, trainer: Trainer, epoch: int, step: int, steps: int) -> None:
        now = time.perf_counter()
        if step == 1:
            self._began = now
        if not self._bar or now - self._shown < SECONDS_BETWEEN or step == 1:
            return
        self._shown = now
        rate = (step - 1) / (now - self._began)
        speed = rate * trainer.batch_size
        left = (trainer.epochs - epoch + 1 - step / steps) * steps / rate
        done = WIDTH * step // steps
        line = (
            f"{self._name} epoch {epoch}/{trainer.epochs} [{'=' * done}{' ' * (WIDTH - done)}] loss {trainer.loss:.4f} "
            f"{self._accuracy(trainer.accuracy, trainer)}{speed:,.0f} images/s {speed * self._flops / 1e9:.1f} GFLOP/s "
            f"ETA {duration(left)}"
        )
        sys.stderr.write(f"\r\033[K{line}")
        sys.stderr.flush()

    def epoch_ended(self, trainer: Trainer, epoch: Epoch) -> None:
        parts = [f"{self._name} epoch {epoch.epoch}/{trainer.epochs}:", f"loss {epoch.loss:.4f}"]
        if epoch.penalty:
            parts.append(f"penalty {epoch.penalty:.4f}")
        if epoch.accuracy is not None:
            parts.append(f"accuracy {epoch.accuracy:.2%}")
        if epoch.validation_loss is not None:
            parts.append(f"validation loss {epoch.validation_loss:.4f} accuracy {epoch.validation_accuracy:.2%}")
        parts.append(f"test loss {epoch.test_loss:.4f} accuracy {epoch.test_accuracy:.2%}")
        speed = epoch.images_per_second
        parts.append(f"{speed:,.0f} images/s {speed * self._flops / 1e9:.1f} GFLOP/s")
        seconds = [row.seconds for row in trainer.history]
        left = (trainer.epochs - epoch.epoch) * sum(seconds) / len(seconds)
        parts.append(f"ETA {duration(left)}" if epoch.epoch < trainer.epochs else f"{duration(sum(seconds))} in all")
        start = "\r\033[K" if self._bar else ""
        sys.stderr.write(f"{start}{', '.join(parts).replace(':,', ':')}\n")
        sys.stderr.flush()

    @staticmethod
    def _accuracy(value: float, trainer: Trainer) -> str:
        return "" if trainer.loss_name == "mse" else f"accuracy {value:.2%} "


def duration(seconds: float) -> str:
    """Return ``1:02:03`` or ``2:03`` for a number of seconds."""
    whole = round(seconds)
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"
