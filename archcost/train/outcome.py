"""What a run came to: the table at its end and ``metrics.json``."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from archcost.engine.training import Training
from archcost.geometry import product
from archcost.report.formats import Cell, Table, mebibytes, si
from archcost.train.accounting import Account, account, measured_peak
from archcost.train.dataset import Dataset
from archcost.train.evaluation import Evaluation
from archcost.train.trainer import Trainer

SCHEMA = "archcost.train/1"


@dataclass(frozen=True)
class Member:
    """A network of the run.

    Attributes:
        trainer: what trained it.
        name: of the data set, and of the network if there are several.
    """

    trainer: Trainer
    name: str

    @cached_property
    def account(self) -> Account:
        """FLOPs of a whole batch."""
        return account(self.program, self.trainer.optimizer.name)

    @property
    def program(self) -> Training:
        """The step of a whole batch."""
        trainer = self.trainer
        return trainer.program(min(trainer.batch_size, len(trainer.loader.split)))

    @property
    def step_flops(self) -> int:
        """FLOPs of a training step for one image, by the graph."""
        return self.account.step_flops // self.account.images

    @property
    def seconds(self) -> float:
        """Time of all training steps."""
        return sum(row.seconds for row in self.trainer.history)

    @property
    def images_per_second(self) -> float:
        """Training images of all epochs by the time of the steps; NaN without training."""
        history = self.trainer.history
        images = len(history) * len(self.trainer.loader.split)
        return images / self.seconds if history else math.nan


def parameters_of(trainer: Trainer) -> tuple[int, int]:
    """Return how many parameters are trained, and how many are frozen."""
    trained = sum(product(segment.shape) for segment in trainer.network.weights.segments)
    return trained, sum(array.size for array in trainer.network.setting.parameters.values()) - trained


def metrics(
    model: str, data: Dataset, members: Sequence[Member], test: Evaluation, options: Mapping[str, Any]
) -> dict[str, object]:
    """Return the results as plain values, the schema ``archcost.train/1``.

    Args:
        model: as it was named.
        data: what was trained on.
        members: the networks, of which the first is described.
        test: the evaluation of all together.
        options: of the run.
    """
    first = members[0]
    trained, frozen = parameters_of(first.trainer)
    lines = {line.name: line for line in first.account.lines}
    found: dict[str, object] = {
        "schema": SCHEMA,
        "model": model,
        "dataset": data.name,
        "dataset_note": data.note,
        "classes": len(data.classes),
        "epochs": len(first.trainer.history),
        "best_epoch": first.trainer.best_epoch,
        "stopped": first.trainer.stop,
        "parameters": trained + frozen,
        "trainable_parameters": trained,
        "test_images": test.images,
        "test_loss": test.loss,
        "test_accuracy": test.accuracy,
        "train_seconds": sum(member.seconds for member in members),
        "images_per_second": first.images_per_second if first.trainer.history else None,
        "batch_size": first.account.images,
        "flops_per_step": {
            name.replace(" ", "_"): {"predicted": line.predicted, "executed": line.executed}
            for name, line in lines.items()
        },
        "step_flops": first.account.step_flops,
        "activation_bytes": first.program.lowered.memory.bytes,
        "options": dict(options),
    }
    if len(members) > 1:
        found["networks"] = [_last(member) for member in members]
    return found


def _last(member: Member) -> dict[str, object]:
    rows = member.trainer.history
    return {"seed": member.trainer.loader.seed, "test_accuracy": rows[-1].test_accuracy if rows else None}


def outcome_table(data: Dataset, members: Sequence[Member], test: Evaluation, crops: int) -> Table:
    """Return the table at the end: parameters, accuracy, time, FLOPs executed and predicted, share of the peak.

    Args:
        data: what was trained on.
        members: the networks.
        test: the evaluation of all together.
        crops: of each test image.
    """
    first = members[0]
    trained, frozen = parameters_of(first.trainer)
    graph = first.trainer.network.graph
    together = [f"{len(members)} networks"] if len(members) > 1 else []
    together += [f"{crops} crops"] if crops > 1 else []
    how = f" (mean of {' and '.join(together)})" if together else ""
    rows: list[tuple[str, Cell]] = [
        ("parameters", f"{trained + frozen:,}" + (f" ({trained:,} trained, {frozen:,} frozen)" if frozen else "")),
        (f"test accuracy{how}", f"{test.accuracy:.2%}"),
        (f"test loss{how}", f"{test.loss:.4f}"),
    ]
    note = ""
    if first.trainer.history:
        speed = first.images_per_second
        rate, peak = first.account.rate(speed), measured_peak(first.trainer.network)
        rows += [
            ("epochs", _epochs(first.trainer)),
            ("seconds of training", f"{sum(member.seconds for member in members):.1f}"),
            ("images/s", f"{speed:,.0f}"),
            ("GFLOP/s", f"{rate:.1f}, {rate / peak:.0%} of this machine's measured peak of {peak:.0f}"),
        ]
    images = first.account.images
    for line in first.account.lines:
        agrees = "as it must be" if line.executed == line.expected else f"NOT the {si(line.expected)} that it must be"
        exact = "equal" if line.executed == line.predicted else f"{line.executed / line.predicted:.3f}x, {agrees}"
        text = f"{si(line.executed)} executed, {si(line.predicted)} predicted: {exact}"
        rows.append((f"{line.name}, FLOPs of {images} images", text if line.predicted or line.executed else "none"))
    rows.append(("step, all operators and update", f"{si(first.account.step_flops)} FLOPs"))
    recomputation = first.program.recomputation
    if recomputation is not None:
        memory, segments = mebibytes(first.program.lowered.memory.bytes), len(recomputation.segments)
        rows.append((f"activations and gradients of {images} images", f"{memory}, in {segments} segments"))
    if first.account.explanation:
        note = f"where executed and predicted differ: {first.account.explanation}"
    return Table(f"{graph.title} on {data.name}", ("", "result"), tuple(rows), note)


def _epochs(trainer: Trainer) -> str:
    text = str(len(trainer.history))
    if trainer.stop:
        text += f" of {trainer.epochs}: {trainer.stop}"
    return text if trainer.best_epoch is None else f"{text}; weights of epoch {trainer.best_epoch}"
