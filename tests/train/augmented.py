"""Augmentation by its definition, a pixel at a time in float64: what the kernels' results must be."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tests.train.random_numbers import bits, chained, mixed, normal, symmetric, uniform

PLACES = [
    "mirror", "crop", "rotate", "shear", "scale", "warp", "color", "brightness", "contrast", "pca", "erase", "noise"
]  # fmt: skip
Floats = np.ndarray[Any, np.dtype[np.float64]]


def stream(name: str, seed: int, epoch: int, image: int) -> int:
    """Return the state of an augmentation's random numbers for an image."""
    return mixed((chained(seed, epoch, image) + PLACES.index(name)) % 2**64)


def inverse_map(values: dict[str, float], key: tuple[int, int, int], height: int, width: int) -> Floats:
    """Return the matrix (3, 3) that takes (row, column, 1) of the result to that of the frame.

    The inverse of what is done: mirrored, sheared, rotated and scaled about the middle, shifted by the crop.
    """
    middle = np.array([[1.0, 0, (height - 1) / 2], [0, 1, (width - 1) / 2], [0, 0, 1]])
    steps = [np.linalg.inv(middle)]
    if "mirror" in values and uniform(stream("mirror", *key), 0) < values["mirror"]:
        steps.append(np.diag([1.0, -1, 1]))
    if "shear" in values:
        slope = math.tan(math.radians(values["shear"] * symmetric(stream("shear", *key), 0)))
        steps.append(np.array([[1.0, 0, 0], [slope, 1, 0], [0, 0, 1]]))
    if "rotate" in values:
        angle = math.radians(values["rotate"] * symmetric(stream("rotate", *key), 0))
        turn = [[math.cos(angle), -math.sin(angle), 0], [math.sin(angle), math.cos(angle), 0], [0, 0, 1]]
        steps.append(np.array(turn))
    if "scale" in values:
        size = 1 + values["scale"] * symmetric(stream("scale", *key), 0)
        steps.append(np.diag([size, size, 1]))
    steps.append(middle)
    if "crop" in values:
        reach = int(values["crop"])
        down, across = (bits(stream("crop", *key), number) % (2 * reach + 1) - reach for number in range(2))
        steps.append(np.array([[1.0, 0, down], [0, 1, across], [0, 0, 1]]))
    forward = np.eye(3)
    for step in steps:
        forward = step @ forward
    inverse: Floats = np.linalg.inv(forward).astype(np.float64)
    return inverse


def cubic(distance: float) -> float:
    """Return the uniform cubic B-spline at a distance from its middle."""
    x = abs(distance)
    return 2 / 3 - x * x + x**3 / 2 if x < 1 else max(2 - x, 0) ** 3 / 6


def bent(values: dict[str, float], key: tuple[int, int, int], down: float, across: float) -> Floats:
    """Return the displacement at a place of the frame (each side from 0 to 1), as shares of its sides."""
    result = np.zeros(2)
    if "warp" in values:
        for row in range(7):
            for column in range(7):
                weight = cubic(down * 4 + 1 - row) * cubic(across * 4 + 1 - column)
                for axis in range(2):
                    number = (row * 7 + column) * 2 + axis
                    result[axis] += weight * values["warp"] * symmetric(stream("warp", *key), number)
    return result


def sampled(source: Floats, y: float, x: float) -> Floats:
    """Return the colours at a place of an image (channels, rows, columns): bilinear, black outside."""
    _, rows, columns = source.shape
    if not (-0.5 <= y <= rows - 0.5 and -0.5 <= x <= columns - 0.5):
        return np.zeros(len(source))
    y, x = min(max(y, 0), rows - 1), min(max(x, 0), columns - 1)
    result = np.zeros(len(source))
    for row in {math.floor(y), math.ceil(y)}:
        for column in {math.floor(x), math.ceil(x)}:
            result += source[:, row, column] * (1 - abs(y - row)) * (1 - abs(x - column))
    return result


def placed(
    source: Floats,
    values: dict[str, float],
    key: tuple[int, int, int],
    frame: tuple[int, int],
    *,
    resized: bool = False,
) -> Floats:
    """Return an image after its geometric augmentations, (channels, rows, columns of the frame)."""
    (height, width), (rows, columns) = frame, source.shape[1:]
    matrix = inverse_map(values, key, height, width)
    down, across = (rows / height, columns / width) if resized else (1.0, 1.0)
    finer = (math.ceil(down), math.ceil(across))
    result = np.zeros((len(source), height, width))
    for row, column in np.ndindex(height, width):
        shift = bent(values, key, (row + 0.5) / height, (column + 0.5) / width) * (height, width)
        for part in np.ndindex(finer):
            offset = [(number + 0.5) / parts - 0.5 for number, parts in zip(part, finer)]
            y, x = (matrix @ (row + offset[0], column + offset[1], 1))[:2] + shift
            if resized:
                y, x = (y + 0.5) * down - 0.5, (x + 0.5) * across - 0.5
            else:
                y, x = y - (height - rows) // 2, x - (width - columns) // 2
            result[:, row, column] += sampled(source, y, x) / math.prod(finer)
    return result


def colored(image: Floats, values: dict[str, float], key: tuple[int, int, int], axes: Floats) -> Floats:
    """Return an image (channels, rows, columns), white is 1, after its changes of colour and its noise."""
    result = image.copy()
    if "contrast" in values:
        result = (result - 0.5) * (1 + values["contrast"] * symmetric(stream("contrast", *key), 0)) + 0.5
    if "brightness" in values:
        result += values["brightness"] * symmetric(stream("brightness", *key), 0)
    for channel in range(len(result)):
        if "color" in values:
            result[channel] += values["color"] * symmetric(stream("color", *key), channel)
        if "pca" in values:
            along = [values["pca"] * normal(stream("pca", *key), axis) for axis in range(3)]
            result[channel] += axes[channel] @ along
    result = np.clip(result, 0, 1)
    if "noise" in values:
        numbers = [normal(stream("noise", *key), number) for number in range(result.size)]
        result = np.clip(result + values["noise"] * np.reshape(numbers, result.shape), 0, 1)
    return result
