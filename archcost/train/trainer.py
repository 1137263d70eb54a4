"""The trainer: epochs of steps on batches, evaluation after each, callbacks at the turning points.

>>> import archcost
>>> from archcost.train import Trainer, optimizers
>>> from archcost.train.datasets import open_dataset
>>> digits = open_dataset("synthetic-digits")
>>> network = archcost.Network(archcost.load("lenet"))
>>> trainer = Trainer(network, digits, optimizer=optimizers.Adam(0.001), epochs=3)     # doctest: +SKIP
>>> trainer.fit()[-1].test_accuracy                                                    # doctest: +SKIP
0.98
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from archcost.engine.network import Network
from archcost.engine.plan import logits_of
from archcost.engine.storage import Segment
from archcost.engine.training import LossName, Training
from archcost.errors import UsageError
from archcost.geometry import shape_text
from archcost.kernels.missing import complete
from archcost.kernels.segments import Segment as Range
from archcost.train.callbacks import Callback, State
from archcost.train.dataset import Dataset, Split, last_tenth
from archcost.train.diagnosis import first_not_finite
from archcost.train.evaluation import Evaluation, evaluated, goals
from archcost.train.history import Epoch
from archcost.train.loader import Batch, Loader
from archcost.train.normalisation import normalisation
from archcost.train.optimizers import Adam, Optimizer, Penalties
from archcost.train.schedules import Constant, Schedule
from archcost.train.updater import Updater

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

EVALUATION_BATCH = 250
"""Images that are evaluated at a time, if they are small."""


class TrainingError(UsageError):
    """Training cannot go on: the loss or a gradient is not finite."""


class Trainer:
    """Trains a network on a data set.

    Args:
        network: its parameters are changed; frozen layers (``Network(freeze=...)``) are not. It says whether
            activations are recomputed (``Network(checkpoint_activations=True)``).
        dataset: images and labels; fitted to the network's input (``note`` says how).
        optimizer: Adam by default.
        schedule: learning rates; None for the optimizer's own, always.
        epochs: how often every training image is seen, at least 1.
        batch_size: images of a step; the last step of an epoch may have fewer.
        loss: "softmax" cross-entropy, "bce" (binary cross-entropy of every output) or "mse".
        label_smoothing: share of the goal that softmax cross-entropy spreads over all classes, from 0 to below 1.
        penalties: L1 and L2, of the weights of layers, not of biases and normalisation.
        clip_norm: largest norm of the gradient; None for no limit.
        augment: augmentations of the training images, as text (``mirror,crop``).
        validation: keep the last tenth of each class apart: early stopping and plateaus look at it.
        seed: of the order of the images and of augmentation.
        workers: threads that prepare batches ahead of the steps; results do not depend on it.
        callbacks: called at the turning points, in this order.

    Attributes:
        history: the results of each epoch so far.
        stop: set it to a reason, and training ends with the epoch.
        best_epoch: the epoch whose weights the network has, if early stopping went back; else None.
        note: how images are fitted to the input; empty if they fit.
        loss: mean loss of the epoch so far; ``accuracy`` likewise.

    Raises:
        UsageError: for options that are not allowed, or do not fit each other or the data.
    """

    def __init__(
        self,
        network: Network,
        dataset: Dataset,
        *,
        optimizer: Optimizer | None = None,
        schedule: Schedule | None = None,
        epochs: int = 10,
        batch_size: int = 64,
        loss: LossName = "softmax",
        label_smoothing: float = 0.0,
        penalties: Penalties | None = None,
        clip_norm: float | None = None,
        augment: str = "",
        validation: bool = False,
        seed: int = 0,
        workers: int = 1,
        callbacks: Iterable[Callback] = (),
    ) -> None:
        _check(network, dataset, epochs, loss, label_smoothing)
        self.network, self.dataset = network, dataset
        self.optimizer = optimizer or Adam()
        self.schedule = schedule or Constant(self.optimizer.learning_rate)
        self.epochs, self.batch_size = epochs, batch_size
        self.loss_name, self.label_smoothing = loss, label_smoothing
        self.callbacks = list(callbacks)
        self.history: list[Epoch] = []
        self.stop = ""
        self.best_epoch: int | None = None
        self.loss, self.accuracy = math.nan, math.nan
        training, held = dataset.train, None
        if validation:
            kept, apart = last_tenth(dataset.train.labels)
            training, held = dataset.train.subset(kept), dataset.train.subset(apart)
        shape = network.graph.shapes[network.graph.inputs[0].name]
        size = (shape[0], shape[1], shape[2])
        self.normalisation = normalisation(training, size[0])
        self._loading: dict[str, Any] = {**self.normalisation._asdict(), "size": size, "workers": workers}
        self.loader = Loader(training, batch_size, shuffle=True, seed=seed, augment=augment, **self._loading)
        self.note = self.loader.note
        self._held = held
        build = partial(
            Updater, self.optimizer, network.weights.memory, network.gradients.memory, team=network.team,
            segments=ranges(network.weights.segments), penalties=penalties, clip_norm=clip_norm,
        )  # fmt: skip
        self.updater = complete(build, network.team.threads)
        self._programs: dict[int, Training] = {}

    def fit(self) -> list[Epoch]:
        """Train for the epochs that are left, and return the results of all.

        Raises:
            TrainingError: if the loss or a gradient is not finite: it says at which step, and which layer first.
        """
        for callback in self.callbacks:
            callback.train_began(self)
        while len(self.history) < self.epochs and not self.stop:
            row = self._epoch(len(self.history) + 1)
            self.history.append(row)
            self.schedule.epoch_ended(row.monitored)
            for callback in self.callbacks:
                callback.epoch_ended(self, row)
        for callback in self.callbacks:
            callback.train_ended(self)
        return self.history

    def evaluate(self, split: Split | None = None, *, crops: int = 1) -> Evaluation:
        """Return loss and accuracy of a split, by default the test images.

        Args:
            split: images and labels of the data set's shape.
            crops: predictions of 1, 2, 5 or 10 crops of each image are averaged.
        """
        return evaluated([self.network], self.batches(split or self.dataset.test), self.loss_name, count=crops)

    def batches(self, split: Split) -> Iterable[Batch]:
        """Return a split in batches for evaluation, in its own order, normalised as in training."""
        pixels = self._loading["size"][1] * self._loading["size"][2]
        size = max(1, min(EVALUATION_BATCH, EVALUATION_BATCH * 4096 // pixels))
        return Loader(split, size, **self._loading).epoch()

    def tensors(self) -> State:
        """Return copies of all parameters and buffers, by name."""
        setting = self.network.setting
        return {name: array.copy() for name, array in {**setting.parameters, **setting.buffers}.items()}

    def set_tensors(self, tensors: Mapping[str, npt.NDArray[Any]]) -> None:
        """Set parameters and buffers to what ``tensors`` returned."""
        setting = self.network.setting
        for name, array in {**setting.parameters, **setting.buffers}.items():
            array[...] = tensors[name]
        self.network.parameters.touch()
        self.network.buffers.touch()

    def _epoch(self, number: int) -> Epoch:
        """Run the steps of an epoch, and evaluate."""
        total, right, seen, seconds = 0.0, 0, 0, 0.0
        steps = len(self.loader)
        rate, penalty = 0.0, 0.0
        started = time.perf_counter()
        for step, (images, labels) in enumerate(self.loader.epoch(number - 1)):
            rate = self.schedule.rate(number, step, steps)
            training = self.program(len(images))
            self.updater.prepare(rate)
            self._run(training, images, labels, (number - 1) * steps + step + 1)
            updated = self.updater.finish()
            penalty, loss = updated.penalty, float(training.loss.value[0])
            if updated.first_not_finite >= 0 or not math.isfinite(loss):
                place = first_not_finite(self.network, images, labels, self.loss_name)
                raise TrainingError(
                    f"training broke down at step {step + 1} of epoch {number}: the first value that is not finite is "
                    f"in {place} (learning rate {rate:g}; try a lower one)"
                )
            total += loss * len(images)
            right += int(training.loss.correct[0])
            seen += len(images)
            self.loss, self.accuracy = total / seen, right / seen
            for callback in self.callbacks:
                callback.step_ended(self, number, step + 1, steps)
        seconds = time.perf_counter() - started
        self.network.parameters.touch()
        self.network.buffers.touch()
        held = self.evaluate(self._held) if self._held else None
        test = self.evaluate()
        return Epoch(
            number, rate, self.loss, penalty, None if self.loss_name == "mse" else self.accuracy,
            held and held.loss, held and held.accuracy, test.loss, test.accuracy, seconds, seen / seconds,
        )  # fmt: skip

    def step(self, images: npt.NDArray[np.float32], labels: npt.NDArray[np.int64]) -> float:
        """Do one step outside the epochs, and return its loss before the update.

        Args:
            images: a batch as the network reads it, (N, C, H, W): normalised, in any number.
            labels: class of each image, (N,).
        """
        training = self.program(len(images))
        self.updater.prepare()
        self._run(training, images, labels, self.updater.iteration + 1)
        self.updater.finish()
        self.network.parameters.touch()
        self.network.buffers.touch()
        return float(training.loss.value[0])

    def program(self, images: int) -> Training:
        """Return the program of a training step on so many images."""
        if images not in self._programs:
            network = self.network
            build = partial(
                Training, network.graph, images, network.setting, network.trained, network.gradients.arrays,
                loss=self.loss_name, smoothing=self.label_smoothing, update=self.updater.steps,
                checkpoint_activations=network.checkpoint_activations,
            )  # fmt: skip
            self._programs[images] = complete(build, network.team.threads)
        return self._programs[images]

    def _run(
        self, training: Training, images: npt.NDArray[np.float32], labels: npt.NDArray[np.int64], iteration: int
    ) -> None:
        """Run a step; ``iteration`` counts all steps from 1, and chooses the masks of dropout."""
        next(iter(training.lowered.inputs.values()))[...] = images
        if self.loss_name == "softmax":
            training.labels[:] = labels
        else:
            training.goals[...] = goals(labels, training.goals.shape[1])
        self.network.setting.random[:, 1] = iteration
        training.program.run(self.network.team)


def ranges(segments: Sequence[Segment]) -> list[Range]:
    """Return the ranges of parameters for an update: penalties and decay hold for weights of two axes and more."""
    return [
        Range(one.start, one.stop, penalty=float(len(one.shape) > 1), decay=float(len(one.shape) > 1))
        for one in segments
    ]


def _check(network: Network, dataset: Dataset, epochs: int, loss: str, smoothing: float) -> None:
    """Refuse options that do not fit each other."""
    graph = network.graph
    outputs = graph.shapes[logits_of(graph)]
    if epochs < 1:
        raise UsageError(f"`epochs` (={epochs}) must be at least 1")
    if loss not in ("softmax", "bce", "mse"):
        raise UsageError(f"`loss` (={loss!r}) must be softmax, bce or mse")
    if not 0 <= smoothing < 1:
        raise UsageError(f"`label_smoothing` (={smoothing:g}) must be at least 0 and below 1")
    if smoothing and loss != "softmax":
        raise UsageError("`label_smoothing` belongs to the loss softmax")
    classes = len(dataset.classes)
    if len(graph.inputs) != 1 or len(graph.shapes[graph.inputs[0].name]) != 3:
        raise UsageError(f"{graph.name}: training needs one input of channels, height and width")
    if len(outputs) != 1:
        raise UsageError(f"{graph.name}: training needs an output of (classes,), not {shape_text(outputs)}")
    if outputs[0] != classes and not (outputs[0] == 1 and classes == 2 and loss == "bce"):
        raise UsageError(f"{graph.name} has {outputs[0]} outputs, but {dataset.name} has {classes} classes")
    if network.inference_only:
        raise UsageError(f"{graph.name} was made with `inference_only`: it cannot be trained")
    if not network.trained:
        raise UsageError(f"{graph.name}: all layers are frozen; there is nothing to train")
