"""What training minimises: mean softmax cross-entropy, binary cross-entropy with logits, mean squared error.

Each is a step over the images, which computes an image's loss and gradient in one go, and a step that adds the images'
losses in their order. Losses are float64 for both element types.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from archcost.kernels import compiled
from archcost.kernels.function import function
from archcost.kernels.layout import Blocked
from archcost.kernels.machine import float32s, float64s, integers
from archcost.kernels.step import Step
from archcost.kernels.target import Precision
from archcost.kernels.units import next_unit


@dataclass(frozen=True)
class Loss:
    """A loss ready to run.

    Attributes:
        steps: what computes it.
        value: the loss, float64 (1,).
        correct: how many predictions were right, int64 (1,); 0 where that means nothing.
    """

    steps: tuple[Step, ...]
    value: npt.NDArray[np.float64]
    correct: npt.NDArray[np.int64]


def cross_entropy_step(precision: Precision) -> Any:
    """Return the step function of softmax cross-entropy."""
    view = float32s if precision == "float32" else float64s

    @function
    def cross_entropy(row: int, _thread: int, threads: int) -> None:
        """Compute loss, gradient and verdict of every image.

        Arguments: logits, elements to the next image and block; gradient (or 0), elements to the next image and block;
        images, classes, lanes; labels; losses; verdicts; address of smoothing and weight of an image.
        """
        words = integers(row)
        images, classes, lanes = words[7], words[8], words[9]
        labels = integers(words[10])
        losses = float64s(words[11])
        verdicts = integers(words[12])
        numbers = float64s(words[13])
        smoothing, weight = numbers[0], numbers[1]
        unit = next_unit(row, -1, threads)
        while unit < images:
            logits = view(words[1] + unit * words[2])
            label, best, largest, sum_of_logits = labels[unit], 0, -np.inf, 0.0
            for index in range(classes):
                value = np.float64(logits[index // lanes * words[3] + index % lanes])
                sum_of_logits += value
                if value > largest:
                    largest, best = value, index
            right, total = np.float64(logits[label // lanes * words[3] + label % lanes]), 0.0
            for index in range(classes):
                total += np.exp(np.float64(logits[index // lanes * words[3] + index % lanes]) - largest)
            wanted = (1.0 - smoothing) * right + smoothing * sum_of_logits / classes
            losses[unit] = np.log(total) + largest - wanted
            verdicts[unit] = 1 if best == label else 0
            if words[4]:
                gradient = view(words[4] + unit * words[5])
                for index in range(classes):
                    goal = smoothing / classes + (1.0 - smoothing if index == label else 0.0)
                    share = np.exp(np.float64(logits[index // lanes * words[3] + index % lanes]) - largest) / total
                    gradient[index // lanes * words[6] + index % lanes] = weight * (share - goal)
                for index in range(classes, -(-classes // lanes) * lanes):
                    gradient[index // lanes * words[6] + index % lanes] = 0.0
            unit = next_unit(row, unit, threads)

    return cross_entropy


def elements_step(precision: Precision, kind: str) -> Any:
    """Return the step function of a loss that is a mean over elements: "binary" or "squared"."""
    view = float32s if precision == "float32" else float64s
    binary = kind == "binary"

    @function
    def element_losses(row: int, _thread: int, threads: int) -> None:
        """Compute the loss and the gradient of every image.

        Arguments: five of each of predictions, goals and gradient: address (0: none) and elements to the next image,
        block, row and pixel; images, channels, rows, columns, lanes; losses; verdicts; address of an element's weight.
        """
        words = integers(row)
        images, channels, rows, columns, lanes = words[16], words[17], words[18], words[19], words[20]
        losses = float64s(words[21])
        verdicts = integers(words[22])
        weight = float64s(words[23])[0]
        wants = words[11] != 0
        unit = next_unit(row, -1, threads)
        while unit < images:
            sum_of_image = 0.0
            right = True
            for channel in range(channels):
                for line in range(rows):
                    first = words[1] + _bytes(words, 1, unit, channel // lanes, line)
                    predictions = view(first)
                    first = words[6] + _bytes(words, 6, unit, channel // lanes, line)
                    goals = view(first)
                    lane = channel % lanes
                    sum_of_line = 0.0
                    for column in range(columns):
                        value = np.float64(predictions[column * words[5] + lane])
                        goal = np.float64(goals[column * words[10] + lane])
                        if binary:
                            power = np.exp(-abs(value))
                            sum_of_line += max(value, 0.0) - value * goal + np.log1p(power)
                            slope = (1.0 if value >= 0 else power) / (1.0 + power) - goal
                            right = right and (value > 0) == (goal > 0.5)
                        else:
                            sum_of_line += (value - goal) ** 2
                            slope = 2.0 * (value - goal)
                        if wants:
                            first = words[11] + _bytes(words, 11, unit, channel // lanes, line)
                            gradients = view(first)
                            gradients[column * words[15] + lane] = weight * slope
                    sum_of_image += sum_of_line
            losses[unit] = sum_of_image
            verdicts[unit] = 1 if binary and right else 0
            unit = next_unit(row, unit, threads)

    return element_losses


@function
def _bytes(words: Any, place: int, image: int, block: int, line: int) -> int:
    """Return the distance of a row from the start of the operand whose words begin at ``place``."""
    distance: int = image * words[place + 1] + block * words[place + 2] + line * words[place + 3]
    return distance


def mean_step() -> Any:
    """Return the step function that adds up the images."""
    return add_images


@function
def add_images(row: int, thread: int, _threads: int) -> None:
    """Write weight x sum of losses, and the number of right predictions.

    Arguments: losses, verdicts, images, address of the weight, loss, count.
    """
    if thread != 0:
        return
    words = integers(row)
    images = words[3]
    losses = float64s(words[1])
    verdicts = integers(words[2])
    total, right = 0.0, 0
    for image in range(images):
        total += losses[image]
        right += verdicts[image]
    float64s(words[5])[0] = total * float64s(words[4])[0]
    integers(words[6])[0] = right


def _finished(step: Step, losses: Any, verdicts: Any, weight: float) -> Loss:
    """Return a loss whose first step writes ``losses`` and ``verdicts`` of every image."""
    value, correct, weights = np.zeros(1), np.zeros(1, np.int64), np.array([weight])
    arrays = (losses, verdicts, weights, value, correct)
    addresses = [int(array.ctypes.data) for array in arrays]
    arguments = (*addresses[:2], len(losses), *addresses[2:])
    mean = Step(compiled.address("step", "loss", "mean_step"), arguments, arrays)
    return Loss((step, mean), value, correct)


def cross_entropy(
    logits: Blocked,
    labels: npt.NDArray[np.int64],
    precision: Precision,
    *,
    gradient: Blocked | None = None,
    smoothing: float = 0.0,
) -> Loss:
    """Return the mean softmax cross-entropy of logits (N, classes).

    Args:
        logits: a tensor (N, classes, 1, 1).
        labels: the right class of each image, int64 (N,), each from 0 to below the number of classes; read at each run.
        precision: element type of the logits.
        gradient: where the gradient of the logits goes.
        smoothing: share of the goal that is spread evenly over all classes.
    """
    images, classes = logits.images, logits.shape[0]
    size = logits.memory.itemsize
    losses, verdicts = np.zeros(images), np.zeros(images, np.int64)
    numbers = np.array([smoothing, 1 / max(1, images)])
    target = (gradient.address(), gradient.image_step, gradient.block_step // size) if gradient else (0, 0, 0)
    arguments = (
        logits.address(), logits.image_step, logits.block_step // size, *target, images, classes, logits.lanes,
        *(int(array.ctypes.data) for array in (labels, losses, verdicts, numbers)),
    )  # fmt: skip
    function = compiled.address("step", "loss", "cross_entropy_step", precision)
    step = Step(function, arguments, (logits, gradient, labels, losses, verdicts, numbers))
    return _finished(step, losses, verdicts, 1 / max(1, images))


def _over_elements(
    kind: str, predictions: Blocked, goals: Blocked, precision: Precision, gradient: Blocked | None
) -> Loss:
    images = predictions.images
    elements = max(1, images * prod(predictions.shape))
    losses, verdicts, weights = np.zeros(images), np.zeros(images, np.int64), np.array([1 / elements])
    operands: list[int] = []
    for tensor in (predictions, goals, gradient):
        if tensor is None:
            operands += [0] * 5
        else:
            steps = (tensor.image_step, tensor.block_step, tensor.row_step)
            operands += [tensor.address(), *steps, tensor.pixel_step // tensor.memory.itemsize]
    arguments = (
        *operands, images, *predictions.shape, predictions.lanes,
        *(int(array.ctypes.data) for array in (losses, verdicts, weights)),
    )  # fmt: skip
    function = compiled.address("step", "loss", "elements_step", precision, kind)
    step = Step(function, arguments, (predictions, goals, gradient, losses, verdicts, weights))
    return _finished(step, losses, verdicts, 1 / elements)


def binary_cross_entropy(
    logits: Blocked, goals: Blocked, precision: Precision, *, gradient: Blocked | None = None
) -> Loss:
    """Return the mean binary cross-entropy of logits over all elements; an image is right if all its elements are.

    Args:
        logits: any tensor.
        goals: its shape, numbers from 0 to 1.
        precision: element type.
        gradient: where the gradient of the logits goes.
    """
    return _over_elements("binary", logits, goals, precision, gradient)


def mean_squared_error(
    predictions: Blocked, goals: Blocked, precision: Precision, *, gradient: Blocked | None = None
) -> Loss:
    """Return the mean of (prediction - goal)^2 over all elements.

    Args:
        predictions: any tensor.
        goals: its shape.
        precision: element type.
        gradient: where the gradient of the predictions goes.
    """
    return _over_elements("squared", predictions, goals, precision, gradient)
