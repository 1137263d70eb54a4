"""Running one pointwise, normalising or merging operator through the engine, for the tests beside this file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np

from archcost.engine.program import Program
from archcost.engine.team import team
from archcost.kernels.layout import Blocked
from archcost.kernels.operation import Gradient, Operation
from archcost.kernels.table import KERNELS
from archcost.kernels.target import TARGETS, Precision
from archcost.ops import Op

Array = np.ndarray[Any, Any]
PRECISIONS: tuple[Precision, ...] = ("float32", "float64")
TARGETS_AND_PRECISIONS = [
    (target, precision) for target in TARGETS for precision in PRECISIONS if (target, precision) != ("neon", "float64")
]
"""Here, float64 vectors of "neon" are those of "portable" with more registers: its float32 tells what these do."""
TOLERANCE = {"float32": 1e-5, "float64": 1e-13}
HALO = ((1, 2), (0, 1))
JUNK = 3.25
"""What the lanes hold that fill up the last block: nobody may read it."""


def tensor(values: Array, target: str, *, halo: bool = True, channels_last: bool = False) -> Blocked:
    """Return (N, C, H, W) or (N, H, W, C) in blocks; any other number of axes is one vector for each image."""
    precision = cast("Precision", str(values.dtype))
    values = values.reshape(len(values), -1, 1, 1) if values.ndim != 4 else values
    values = values.transpose(0, 3, 1, 2) if channels_last else values
    around = HALO if halo and values.shape[2:] != (1, 1) else ((0, 0), (0, 0))
    result = Blocked.make(len(values), values.shape[1:], around, TARGETS[target].lanes(precision), values.dtype)
    result = replace(result, channels_last=channels_last)
    result.inside()[...] = JUNK
    padded = result.inside()
    blocks = np.arange(result.memory.shape[1] * result.lanes).reshape(-1, result.lanes)
    for channel in range(values.shape[1]):
        block, lane = np.argwhere(blocks == channel)[0]
        padded[:, block, :, :, lane] = values[:, channel]
    return result


def plain(blocked: Blocked, shape: Sequence[int]) -> Array:
    """Return a tensor's values; its halo must be zero and all of its lanes finite."""
    around = replace(blocked, memory=blocked.memory.copy())
    around.inside()[...] = 0
    assert not around.memory.any(), "the halo is not zero"
    assert np.isfinite(blocked.memory).all()
    values = blocked.read()
    values = values.transpose(0, 2, 3, 1) if blocked.channels_last else values
    return values.reshape(blocked.images, *shape)


class Case:
    """An operator with its tensors in one element type, ready to run."""

    def __init__(
        self,
        op: Op,
        inputs: Sequence[Array],
        *,
        target: str = "avx512",
        threads: int = 2,
        parameters: Mapping[str, Array] | None = None,
        buffers: Mapping[str, Array] | None = None,
        training: bool = True,
        halo: bool = True,
        channels_last: bool = False,
        in_place: bool = False,
        random: tuple[int, int, int] = (0, 0, 0),
    ) -> None:
        self.op, self.threads = op, threads
        dtype = inputs[0].dtype
        self.shapes = tuple(values.shape[1:] for values in inputs)
        self.shape = op.out_shape(*self.shapes)
        self.random = np.array(random, np.int64)

        def make(values: Array) -> Blocked:
            return tensor(values, target, halo=halo, channels_last=channels_last)

        self.make = make
        tensors = tuple(make(values) for values in inputs)
        output = tensors[0] if in_place else make(np.full((len(inputs[0]), *self.shape), JUNK, dtype))
        self.operation = Operation(
            op, tensors, output, self.shapes, self.shape, dict(parameters or {}), dict(buffers or {}), TARGETS[target],
            "float32" if dtype == np.float32 else "float64", training, int(self.random.ctypes.data),
        )  # fmt: skip

    def run(self, steps: Any) -> None:
        """Run steps."""
        Program(steps).run(team(self.threads))

    def forward(self) -> Array:
        """Return the output."""
        self.run(KERNELS[type(self.op)].forward(self.operation))
        return plain(self.operation.output, self.shape)

    def backward(
        self, gradient: Array, *, adds: bool = False, frozen: bool = False
    ) -> tuple[list[Array], dict[str, Array]]:
        """Return the gradients of inputs and parameters; where they add, what was there is taken off again."""
        targets = tuple(self.make(np.full((len(gradient), *shape), 2, gradient.dtype)) for shape in self.shapes)
        parameters = {} if frozen else {n: np.full_like(a, np.nan) for n, a in self.operation.parameters.items()}
        asked = Gradient(self.operation, self.make(gradient), targets, (adds,) * len(targets), parameters)
        self.run(KERNELS[type(self.op)].backward(asked))
        return [plain(t, s) - (2 if adds else 0) for t, s in zip(targets, self.shapes)], parameters


def differences(function: Callable[[], float], array: Array, step: float = 1e-5) -> Array:
    """Return the central finite differences of ``function`` in the elements of a float64 array, changed in place."""
    result = np.zeros_like(array)
    for place in np.ndindex(array.shape):
        old = array[place]
        values = []
        for sign in (1, -1):
            array[place] = old + sign * step
            values.append(function())
        array[place] = old
        result[place] = (values[0] - values[1]) / (2 * step)
    return result


def close(found: Array, wanted: Array, tolerance: float, least: float = 1e-30) -> None:
    """Check that arrays agree, relative to the largest element, or to ``least`` where all are smaller."""
    assert found.shape == wanted.shape
    scale = max(least, float(np.abs(wanted).max(initial=0)))
    error = float(np.abs(found - wanted).max(initial=0)) / scale
    assert error <= tolerance, error


def check_gradients(make: Callable[..., Case], inputs: list[Array], parameters: Mapping[str, Array], seed: int) -> None:
    """Compare every gradient in float64 with finite differences of a random linear function of the output."""
    case = make(inputs, parameters)
    weights = np.random.default_rng(seed).normal(size=(len(inputs[0]), *case.shape))

    def value() -> float:
        return float((make(inputs, parameters).forward() * weights).sum())

    case.forward()
    of_inputs = [differences(value, array) for array in inputs]
    of_parameters = {name: differences(value, array) for name, array in parameters.items()}
    for adds in (False, True):
        to_inputs, to_parameters = case.backward(weights, adds=adds)
        for found, wanted in zip(to_inputs, of_inputs):
            close(found, wanted, 2e-6, 1e-2)
        for name, wanted in of_parameters.items():
            close(to_parameters[name], wanted, 2e-6, 1e-2)
