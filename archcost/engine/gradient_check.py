"""Gradients of a whole network against central finite differences, in float64.

All parameters move at once, along directions of random signs, so that a handful of forward passes checks every
gradient: the slope of the loss along a direction must be the sum of gradient times movement. Each parameter moves as
far as makes all of them contribute alike; one wrong gradient among hundreds then shows far above the tolerance. If a
direction does not hold, halves of it are tried until the wrong parameters are known by name.

A difference quotient is spoiled by rounding if the step is too small, and if it is too large by the kinks of ReLU and
max pooling that lie between its points; so some steps are tried, and the first that agrees counts. Where a kink lies
next to the point itself, no central difference helps: the gradient is the slope of the piece on which the point lies,
which a difference to one side shows. A gradient that is wrong agrees with none of them.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from archcost.engine.network import Images, Network
from archcost.engine.program import Program
from archcost.engine.training import Training
from archcost.errors import UsageError
from archcost.geometry import product
from archcost.kernels.layout import Array
from archcost.ops import BatchNorm2d, InstanceNorm, LayerNorm, Scale
from archcost.ops.conv import Multiplying

TOLERANCE = 1e-6
"""Largest difference, relative to what the slope of a random direction is on average."""

STEPS = (1e-7, 1e-8, 1e-6, 1e-9, 1e-5)
"""Steps that are tried, in units of a direction; those that agree most often first."""

MOST_ELEMENTS = 2**16
"""Elements of a parameter that move in one direction: of a larger one, a choice that is scattered all over it."""

MOST_HALVES = 200
"""Parts of a direction that are tried to find the wrong parameters."""

PERIOD = 65_537
"""Random numbers that are drawn for ``generic_point``; large parameters repeat them (a prime: no axis repeats)."""


@dataclass(frozen=True)
class GradientCheck:
    """How the gradients of a network agree with finite differences.

    Attributes:
        error: largest difference of a direction's two slopes, relative to the average slope of such directions.
        tolerance: what it may be.
        directions: how many were tried.
        parameters: parameters that moved.
        wrong: those whose gradients differ, the nearest to the loss first; at most as many as were to be named.
        located: whether every difference was traced to a parameter.
    """

    error: float
    tolerance: float
    directions: int
    parameters: int
    wrong: tuple[str, ...] = ()
    located: bool = True

    @property
    def holds(self) -> bool:
        """Whether all directions agree."""
        return self.error <= self.tolerance


def check_gradients(
    network: Network,
    images: Images,
    labels: npt.ArrayLike,
    *,
    directions: int = 3,
    tolerance: float = TOLERANCE,
    named: int = 5,
    seed: int = 0,
) -> GradientCheck:
    """Compare the gradients of a training step with central differences of the loss.

    Batch statistics are used, and all steps have the same masks. Parameters, running statistics and the count of steps
    that the masks depend on are as before afterwards. Auxiliary outputs are no part of the loss: the gradients of
    their parameters must be zero.

    The loss must have a gradient at the parameters' values. Biases of zero put ReLUs onto their kink, and a BatchNorm
    over less than about eight values is nearly singular: see ``generic_point``.

    Args:
        network: in float64.
        images: (N, C, H, W); one array for each input.
        labels: class of each image, (N,).
        directions: how many are tried.
        tolerance: of the difference, relative.
        named: how many wrong parameters are looked for.
        seed: of the directions.

    Raises:
        UsageError: for a network in float32 or without trained parameters, and for images or labels that do not fit.
    """
    if network.precision != "float64":
        raise UsageError(f"gradients are checked in float64; the network's `precision` is {network.precision!r}")
    if not network.gradients.arrays:
        raise UsageError(f"{network.graph.name} has no trained parameters: there are no gradients to check")
    slopes = _Slopes(network, images, labels)
    generator = np.random.default_rng(seed)
    try:
        worst, wrong, located = 0.0, list[str](), True
        for _ in range(directions):
            moves = slopes.direction(generator)
            share = tolerance * np.sqrt(sum(move.slope_deviation**2 for move in moves) / len(moves))
            error = slopes.error(moves, tolerance)
            # A comparison the other way round would let NaN pass.
            if not error <= tolerance and len(wrong) < named:
                found = slopes.wrong(moves, float(share), named)
                located = located and bool(found)
                wrong += [name for name in found if name not in wrong]
            worst = max(worst, np.inf if np.isnan(error) else error)
    finally:
        slopes.restore()
    return GradientCheck(float(worst), tolerance, directions, len(network.gradients.arrays), tuple(wrong), located)


def _scattered(size: int, count: int, generator: np.random.Generator) -> npt.NDArray[np.int64]:
    """Return ``count`` different numbers below ``size``: multiples of a random step that has no divisor in common."""
    step = int(generator.integers(size // 3, size))
    while math.gcd(step, size) > 1:
        step += 1
    return (int(generator.integers(size)) + step * np.arange(count, dtype=np.int64)) % size


class _Move(NamedTuple):
    """How one parameter moves along a direction.

    Attributes:
        name: of the parameter.
        places: which of its elements move.
        before: their values.
        step: how far they move, of both signs.
        slope: sum of gradient times movement.
        slope_deviation: standard deviation of the slope over all signs.
    """

    name: str
    places: npt.NDArray[np.int64] | slice
    before: Array
    step: Array
    slope: float
    slope_deviation: float


class _Slopes:
    """The loss of one batch as a function of the parameters, and its gradient where they stand."""

    def __init__(self, network: Network, images: Images, labels: npt.ArrayLike) -> None:
        batch = network._batch(images)  # noqa: SLF001  (the same checks as for a training step)
        targets = network._labels(labels, len(batch[0]))  # noqa: SLF001
        self._network = network
        self._counts = network._random.copy()  # noqa: SLF001
        self._buffers = {name: array.copy() for name, array in network.buffers.arrays.items()}
        gradients = network.gradients.arrays
        training = Training(
            network.graph, len(targets), network.setting, network.trained, gradients,
            checkpoint_activations=network.checkpoint_activations,
        )  # fmt: skip
        for plain, values in zip(training.lowered.inputs.values(), batch):
            plain[...] = values
        training.labels[:] = targets
        training.program.run(network.team)
        self._training, self._forward = training, Program(training.forward)
        self._values = {name: network.parameters.arrays[name].reshape(-1) for name in gradients}
        self._gradients = {name: array.reshape(-1) for name, array in gradients.items()}
        self._halves = 0
        # What a parameter contributes if it moves by its own size; half of them are to contribute more than that.
        sizes = [self._size(name) * float(np.linalg.norm(self._gradients[name])) for name in gradients]
        self._share = float(np.median([size for size in sizes if size > 0] or [1.0]))

    def _size(self, name: str) -> float:
        """Return the root of the mean square of a parameter; 1 for one that is zero."""
        values = self._values[name]
        return float(np.sqrt(np.mean(values[:MOST_ELEMENTS] ** 2))) or 1.0

    def direction(self, generator: np.random.Generator) -> list[_Move]:
        """Return random moves of all parameters, the nearest to the loss first."""
        return [self._move(name, generator) for name in reversed(self._values)]

    def _move(self, name: str, generator: np.random.Generator) -> _Move:
        values, gradient = self._values[name], self._gradients[name]
        places: npt.NDArray[np.int64] | slice = slice(None)
        if values.size > MOST_ELEMENTS:
            places = _scattered(values.size, MOST_ELEMENTS, generator)
        before, along = values[places].copy(), gradient[places]
        length, size = float(np.linalg.norm(along)), self._size(name)
        amplitude = min(self._share / length, size) if length > 0 else size
        step = amplitude * (2.0 * generator.integers(0, 2, before.size, np.int8) - 1.0)
        return _Move(name, places, before, step, float(along @ step), amplitude * length)

    def _loss(self, moves: Sequence[_Move], step: float) -> float:
        """Return the loss after a step along a direction."""
        for move in moves:
            self._values[move.name][move.places] = move.before + step * move.step
        self._forward.run(self._network.team)
        for move in moves:
            self._values[move.name][move.places] = move.before
        return float(self._training.loss.value[0])

    def _difference(self, moves: Sequence[_Move], allowed: float) -> float:
        """Return how far the slopes along a direction are apart: at the first quotient where it is allowed, else least.

        Central differences come first; then those of second order to either side, (4f(h) - 3f(0) - f(2h)) / 2h.
        """
        expected, least = sum(move.slope for move in moves), np.inf
        for slope in itertools.chain(self._central(moves), self._one_sided(moves)):
            least = min(least, abs(slope - expected))
            if least <= allowed:
                break
        return float(least)

    def _central(self, moves: Sequence[_Move]) -> Iterator[float]:
        for step in STEPS:
            yield (self._loss(moves, step) - self._loss(moves, -step)) / (2 * step)

    def _one_sided(self, moves: Sequence[_Move]) -> Iterator[float]:
        here = self._loss(moves, 0.0)
        for step in (side * size for size in STEPS for side in (1, -1)):
            yield (4 * self._loss(moves, step) - 3 * here - self._loss(moves, 2 * step)) / (2 * step)

    def error(self, moves: Sequence[_Move], tolerance: float) -> float:
        """Return the difference of the slopes along a direction, relative to its average slope."""
        scale = float(np.sqrt(sum(move.slope_deviation**2 for move in moves)))
        if scale == 0:  # no gradient at all: is the loss really constant?
            return 0.0 if self._difference(moves, tolerance) <= tolerance else np.inf
        return self._difference(moves, tolerance * scale) / scale

    def wrong(self, moves: Sequence[_Move], share: float, named: int) -> list[str]:
        """Return the parameters whose slopes differ, by halving.

        Args:
            moves: a direction.
            share: difference that one parameter may contribute.
            named: how many are looked for.
        """
        allowed = share * float(np.sqrt(len(moves)))
        if named <= 0 or self._halves >= MOST_HALVES:
            return []
        self._halves += 1
        if self._difference(moves, allowed) <= allowed:
            return []
        if len(moves) == 1:
            return [moves[0].name]
        half = len(moves) // 2
        found = self.wrong(moves[:half], share, named)
        return [*found, *self.wrong(moves[half:], share, named - len(found))]

    def restore(self) -> None:
        """Bring back what training steps have changed."""
        network = self._network
        network._random[...] = self._counts  # noqa: SLF001
        for name, array in network.buffers.arrays.items():
            array[...] = self._buffers[name]
        network.buffers.touch()
        network.parameters.touch()


def generic_point(network: Network, seed: int = 0) -> None:
    """Set the parameters of a network where gradients can be checked: no kinks met by design, and nothing vanishes.

    Weights are uniform with He's variance, factors of normalisation lie between 0.5 and 1.5, layer scales between 0.1
    and 0.3 (they start at 1e-6, which hides a whole branch), and biases are not zero: those of BatchNorm between 0.5
    and 1.5, so that few channels behind it are cut off for a whole batch, others between -0.1 and 0.1.
    """
    drawn = np.random.default_rng(seed).uniform(-1, 1, PERIOD)
    for node in network.graph:
        if node.shares is not None:
            continue
        for name, shape in network.graph.params(node).items():
            middle, width = 0.0, 0.1
            if isinstance(node.op, Scale):
                middle, width = 0.2, 0.1
            elif isinstance(node.op, BatchNorm2d) or (
                isinstance(node.op, InstanceNorm | LayerNorm) and name == "weight"
            ):
                middle, width = 1.0, 0.5
            elif isinstance(node.op, Multiplying) and name == "weight":
                width = float(np.sqrt(6 / product(shape[1:])))
            elif name == "weight":
                continue
            flat, drawn = network.parameters[f"{node.name}.{name}"].reshape(-1), np.roll(drawn, 7919)
            for start in range(0, flat.size, PERIOD):
                part = flat[start : start + PERIOD]
                part[:] = drawn[: part.size] * width + middle
