"""Running one operator of pooling or movement through the engine, for the tests beside this file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from archcost.engine.program import Program
from archcost.engine.team import team
from archcost.geometry import Shape
from archcost.kernels.layout import Blocked
from archcost.kernels.operation import Gradient, Operation
from archcost.kernels.table import KERNELS
from archcost.kernels.target import TARGETS, Precision
from archcost.ops import Op

Array = np.ndarray[Any, Any]
HALO = ((1, 2), (2, 1))


def blocked(values: Array, lanes: int, *, halo: Any = HALO, channels_last: bool = False) -> Blocked:
    """Return (N, C, H, W), (N, H, W, C) or (N, C) in blocks; one pixel has no halo."""
    if channels_last:
        values = values.transpose(0, 3, 1, 2)
    halo = halo if values.ndim == 4 and values.shape[2:] != (1, 1) else ((0, 0), (0, 0))
    shape = values.shape[1:] if values.ndim == 4 else (values.shape[1], 1, 1)
    result = Blocked.make(len(values), shape, halo, lanes, values.dtype)
    result = replace(result, channels_last=channels_last)
    result.write(values)
    return result


def plain(tensor: Blocked, shape: Shape) -> Array:
    """Return a tensor in the graph's shape; check that its halo is zero."""
    halo = tensor.memory.copy()
    values: Array = tensor.read()
    replace(tensor, memory=halo).inside()[...] = 0
    assert not halo.any(), "the halo is not zero"
    assert np.isfinite(tensor.memory).all(), "lanes beyond the channels hold no numbers"
    if tensor.channels_last:
        values = values.transpose(0, 2, 3, 1)
    return values.reshape(tensor.images, *shape)


class Case:
    """An operator with its tensors, ready to run forward and backward."""

    def __init__(
        self,
        op: Op,
        inputs: Sequence[Array],
        *,
        target: str = "avx512",
        parameters: Mapping[str, Array] | None = None,
        last: tuple[bool, bool] = (False, False),
        threads: int = 2,
        halo: Any = HALO,
    ) -> None:
        self.op, self.threads = op, threads
        machine = TARGETS[target]
        self.precision: Precision = "float32" if inputs[0].dtype == np.float32 else "float64"
        self.lanes = machine.lanes(self.precision)
        self.shapes = tuple(tuple(values.shape[1:]) for values in inputs)
        self.shape = op.out_shape(*self.shapes)
        tensors = tuple(blocked(values, self.lanes, halo=halo, channels_last=last[0]) for values in inputs)
        empty = np.zeros((len(inputs[0]), *self.shape), inputs[0].dtype)
        self.last, self.halo = last, halo
        self.operation = Operation(
            op, tensors, blocked(empty, self.lanes, halo=halo, channels_last=last[1]), self.shapes, self.shape,
            dict(parameters or {}), {}, machine, self.precision,
        )  # fmt: skip

    def run(self, steps: Any) -> None:
        """Run steps on the threads of the case."""
        Program(steps).run(team(self.threads))

    def forward(self) -> Array:
        """Return the output in the graph's shape."""
        self.operation.output.inside()[...] = np.nan
        self.run(KERNELS[type(self.op)].forward(self.operation))
        return plain(self.operation.output, self.shape)

    def differences(self, gradient: Array, step: float = 1e-3) -> tuple[list[Array], dict[str, Array]]:
        """Return the gradients by central differences of the forward pass."""
        program = Program(KERNELS[type(self.op)].forward(self.operation))
        weights = gradient.reshape(self.operation.output.read().shape) if not self.last[1] else gradient

        def loss() -> float:
            program.run(team(1))
            output = self.operation.output.read()
            return float(((output.transpose(0, 2, 3, 1) if self.last[1] else output) * weights).sum())

        def slopes(values: Array) -> Array:
            result = np.zeros(values.shape)
            for place in np.ndindex(*values.shape):
                kept, ends = values[place], []
                for sign in (1, -1):
                    values[place] = kept + sign * step
                    ends.append(loss())
                values[place] = kept
                result[place] = (ends[0] - ends[1]) / (2 * step)
            return result

        inputs = []
        for tensor, shape in zip(self.operation.inputs, self.shapes):
            slope = replace(tensor, memory=np.zeros_like(tensor.memory))
            channels = tensor.inside().transpose(0, 1, 4, 2, 3)
            slope.inside()[...] = slopes(channels).transpose(0, 1, 3, 4, 2)
            inputs.append(plain(slope, shape))
        return inputs, {name: slopes(values) for name, values in self.operation.parameters.items()}

    def backward(self, gradient: Array, adds: Sequence[bool] | None = None) -> tuple[list[Array], dict[str, Array]]:
        """Return the gradients of inputs and parameters; with ``adds``, inputs start from ones."""
        adds = tuple(adds or [False] * len(self.shapes))
        targets = []
        for tensor, add in zip(self.operation.inputs, adds):
            target = replace(tensor, memory=np.zeros_like(tensor.memory))
            target.inside()[...] = 1 if add else np.nan
            targets.append(target)
        results = {name: np.full_like(values, np.nan) for name, values in self.operation.parameters.items()}
        output = blocked(gradient.astype(self.precision), self.lanes, halo=self.halo, channels_last=self.last[1])
        self.run(KERNELS[type(self.op)].backward(Gradient(self.operation, output, tuple(targets), adds, results)))
        return [plain(target, shape) for target, shape in zip(targets, self.shapes)], results


def close(got: Array, wanted: Array, tolerance: float | None = None) -> None:
    """Check that arrays agree, to the precision of the first one's elements or to ``tolerance``, of the largest."""
    limit = tolerance or (1e-12 if got.dtype == np.float64 else 2e-6)
    assert got.shape == wanted.shape
    assert np.abs(got - wanted).max() <= limit * max(1.0, float(np.abs(wanted).max()))


def numbers(shape: Shape, seed: int = 0, dtype: str = "float64") -> Array:
    """Return reproducible numbers, no two of them equal."""
    rng = np.random.default_rng(seed)
    return (rng.permutation(int(np.prod(shape))).reshape(shape) / 7.0 - 3.0 + rng.random(shape) / 16).astype(dtype)
