"""FLOPs of a training step: those that the graph predicts against those that the program executes.

Where they differ, and why, stands in ``archcost.train.predicted``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from archcost.cost import OPTIMIZERS as RULES
from archcost.cost import OptimizerRule
from archcost.engine.executed import Executed, executed
from archcost.engine.network import Network
from archcost.engine.program import Program
from archcost.engine.storage import trained_shapes
from archcost.engine.training import Training
from archcost.errors import UsageError, did_you_mean
from archcost.geometry import product
from archcost.kernels.profile_machine import peak
from archcost.train.optimizers import OPTIMIZERS
from archcost.train.predicted import Predicted, predicted


class Line(NamedTuple):
    """A row of the comparison: FLOPs (2 x mult-adds) of the layers that multiply, in one step.

    Attributes:
        name: "forward", "gradient to inputs", "gradient to weights" or "total".
        predicted: by the graph.
        expected: of the engine: predicted, plus and minus what the direction of the gradient changes.
        executed: counted from the program.
    """

    name: str
    predicted: int
    expected: int
    executed: int


@dataclass(frozen=True)
class Account:
    """FLOPs of a training step.

    Attributes:
        images: size of the batch.
        predicted: by the graph, for one image.
        executed: mult-adds of the program, for the batch.
        optimizer_flops: of an update of all trained parameters, once a step.
    """

    images: int
    predicted: Predicted
    executed: Executed
    optimizer_flops: int

    @property
    def step_flops(self) -> int:
        """FLOPs of a step by the graph: forward and backward of all images, all operators, and the update."""
        return self.images * self.predicted.flops + self.optimizer_flops

    @property
    def lines(self) -> list[Line]:
        """The comparison of what is predicted with what is executed, and its total."""
        one, expected, done = self.predicted, self.predicted.expected, self.executed
        numbers = [
            ("forward", one.forward.mult_adds, expected.forward, done.forward),
            ("gradient to inputs", one.to_inputs.mult_adds, expected.to_inputs, done.to_inputs),
            ("gradient to weights", one.to_weights.mult_adds, expected.to_weights, done.to_weights),
        ]
        rows = [Line(name, 2 * self.images * a, 2 * self.images * b, 2 * c) for name, a, b, c in numbers]
        return [*rows, Line("total", *(sum(column) for column in list(zip(*rows))[1:]))]

    @property
    def agrees(self) -> bool:
        """Whether exactly what must be executed is executed."""
        return all(line.executed == line.expected for line in self.lines)

    @property
    def explanation(self) -> str:
        """One line that says why executed and predicted FLOPs differ; empty if they do not."""
        cropped, border, spared = (2 * self.images * count for count in self.predicted.differences)
        reasons = [f"{cropped:,} predicted FLOPs lead to padding and are left out"] if cropped else []
        reasons += [f"{border:,} more multiply the zeros around gradients"] if border else []
        reasons += [f"{spared:,} are spared by Winograd's filtering"] if spared else []
        return "; ".join(reasons)

    def rate(self, images_per_second: float) -> float:
        """Return the 10^9 FLOPs in a second of ``step_flops`` at a throughput."""
        return self.step_flops / self.images * images_per_second / 1e9

    def share(self, images_per_second: float, peak_rate: float) -> float:
        """Return which share of the machine's peak a throughput is, from 0 to 1.

        Args:
            images_per_second: how fast training is.
            peak_rate: 10^9 operations in a second (``measured_peak``).
        """
        return self.rate(images_per_second) / peak_rate


def account(training: Training, optimizer: str) -> Account:
    """Return the FLOPs of a training step.

    Args:
        training: the program; it need not have run.
        optimizer: its name (``optimizers.OPTIMIZERS``).

    Raises:
        UsageError: for an unknown optimizer.
    """
    lowered = training.lowered
    graph, trained = lowered.graph, lowered.plan.trained
    parameters = sum(map(product, trained_shapes(graph, trained).values()))
    update = parameters * optimizer_rule(optimizer).operations
    found = predicted(graph, trained, samples=lowered.layout.samples, fast=lowered.fast)
    return Account(lowered.images, found, executed(training), update)


def optimizer_rule(name: str) -> OptimizerRule:
    """Return what an optimizer costs. Raises UsageError for an unknown one."""
    if name not in OPTIMIZERS:
        known = ", ".join(OPTIMIZERS)
        raise UsageError(f"unknown optimizer {name!r}{did_you_mean(name, OPTIMIZERS)}; known are {known}")
    return RULES[name]


def measured_peak(network: Network) -> float:
    """Return the 10^9 floating-point operations in a second that this machine can do, measured now.

    The engine's micro-kernel out of the first cache level, with the network's threads and element type; it takes about
    half a second (``archcost profile`` measures the memory too).

    Args:
        network: whose threads and precision are used.
    """
    team, setting = network.team, network.setting
    return peak(lambda steps: partial(Program(steps).run, team), team.threads, setting.machine, setting.precision)
