"""What a kernel is asked to do: one operator on given tensors, forward or backward.

The builders in ``kernels/<family>.py`` turn an ``Operation`` or a ``Gradient`` into steps; ``kernels/table.py`` finds
the builder for an operator. Nothing is computed while steps are built: parameters are read when the program runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from archcost.geometry import Shape
from archcost.kernels.layers import FastPlan, direct
from archcost.kernels.layout import Array, Blocked, Shared
from archcost.kernels.step import Step
from archcost.kernels.target import Precision, Target
from archcost.ops import Op


@dataclass(frozen=True)
class Operation:
    """One operator of a graph on given tensors.

    Attributes:
        op: the operator.
        inputs: what it reads.
        output: what it writes; its halo stays zero.
        input_shapes: the graph's shapes of the inputs (a tensor's own shape where it is no (C, H, W)).
        output_shape: the graph's shape of the output.
        parameters: name -> array in the graph's shape, contiguous.
        buffers: name -> array in the graph's shape, contiguous.
        machine: which vectors there are.
        precision: element type.
        training: batch statistics and random masks instead of running statistics and none.
        random: address of three 64-bit integers: seed, iteration, and the node's number; masks follow from them.
        saved: arrays that the forward pass leaves for the backward pass, made by the forward builder.
        name: the node.
        fast: which convolutions are computed in a fast way, forward and back.
        panels: memory for transformed weights that are used once; None: they stay for further runs.
        scratch: memory for what lives within a step; None: each has its own.
    """

    op: Op
    inputs: tuple[Blocked, ...]
    output: Blocked
    input_shapes: tuple[Shape, ...]
    output_shape: Shape
    parameters: Mapping[str, Array]
    buffers: Mapping[str, Array]
    machine: Target
    precision: Precision
    training: bool = False
    random: int = 0
    saved: dict[str, Array] = field(default_factory=dict)
    name: str = ""
    fast: FastPlan = direct
    panels: Shared | None = None
    scratch: Shared | None = None


@dataclass(frozen=True)
class Gradient:
    """The backward pass of an operation.

    Attributes:
        forward: the operation; its tensors still hold their values.
        output: gradient of the output.
        inputs: gradient of each input to write, None where none is wanted.
        adds: for each input whether its gradient is added to what is there (another reader came first).
        parameters: name -> array for the gradient, in the graph's shape, contiguous; empty for a frozen layer.
        rectified: the input is a ReLU's output, and its gradient is to be that of the ReLU's input (max pooling only).
    """

    forward: Operation
    output: Blocked
    inputs: tuple[Blocked | None, ...]
    adds: tuple[bool, ...]
    parameters: Mapping[str, Array]
    rectified: bool = False


class Kernels(NamedTuple):
    """The numeric half of an operator."""

    forward: Callable[[Operation], list[Step]]
    backward: Callable[[Gradient], list[Step]]
