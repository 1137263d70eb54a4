"""The program of a training step: forward, loss, backward."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from archcost.engine.backpropagation import Backpropagation
from archcost.engine.lowering import Lowered, Setting
from archcost.engine.plan import logits_of
from archcost.engine.program import Program
from archcost.graph import Graph
from archcost.kernels import loss as losses
from archcost.kernels.accumulate import accumulated
from archcost.kernels.arena import side_by_side
from archcost.kernels.layout import NO_HALO, Array, Blocked
from archcost.kernels.plain import conversion
from archcost.kernels.step import Step
from archcost.recomputation import Recomputation, recomputation

LossName = Literal["softmax", "bce", "mse"]


class Training:
    """One training step for a number of images, ready to run any number of times.

    Args:
        graph: the network.
        images: size of the batch.
        setting: machine, precision, parameters.
        trained: nodes whose parameters get a gradient.
        gradients: name -> array that receives the gradient of a parameter.
        loss: "softmax" cross-entropy with integer labels; binary cross-entropy ("bce") or mean squared error ("mse")
            with goals of the output's shape.
        smoothing: share of the goal that softmax cross-entropy spreads evenly over all classes.
        keep: let nothing share memory.
        update: what changes the parameters when all gradients are there.
        checkpoint_activations: keep few activations, and compute the others again on the way back
            (``archcost.recomputation``); gradients are the same, bit by bit.

    Attributes:
        lowered: the forward pass; its ``inputs`` are the arrays to fill.
        labels: class of each image, (N,) int64; read by softmax cross-entropy.
        goals: (N, ...) of the output's shape; read by the others.
        loss: its ``value`` is the mean loss and ``correct`` the number of right images, after a run.
        program: forward, loss, backward, update.
        recomputation: which activations are recomputed; None if none are to be.
    """

    @side_by_side()
    def __init__(
        self,
        graph: Graph,
        images: int,
        setting: Setting,
        trained: frozenset[str],
        gradients: Mapping[str, Array],
        *,
        loss: LossName = "softmax",
        smoothing: float = 0.0,
        keep: bool = False,
        update: Sequence[Step] = (),
        checkpoint_activations: bool = False,
    ) -> None:
        self.recomputation: Recomputation | None = None
        if checkpoint_activations and not keep:
            self.recomputation = recomputation(graph, trained, graph.outputs[:1])
        segments = self.recomputation.segments if self.recomputation else ()
        self.lowered = Lowered(graph, images, setting, training=True, trained=trained, keep=keep, segments=segments)
        copies = {
            f"{node.name}.{name}": (f"{node.shares}.{name}", np.zeros(shape, setting.precision))
            for node in graph
            if node.shares is not None and node.name in trained
            for name, shape in graph.params(node).items()
        }
        back = Backpropagation(self.lowered, {**gradients, **{name: own for name, (_, own) in copies.items()}})
        self.labels = np.zeros(images, np.int64)
        logits = self.lowered.scores
        self.goals = np.zeros((images, *graph.shapes[logits_of(graph)]), setting.precision)
        goals_steps: list[Step] = []
        if loss == "softmax":
            self.loss = losses.cross_entropy(
                logits, self.labels, setting.precision, gradient=back.source, smoothing=smoothing
            )
        else:
            goals = Blocked.make(images, logits.shape, NO_HALO, logits.lanes, setting.precision)
            goals_steps = [conversion("write", goals, self.goals, setting.machine, setting.precision)]
            function = losses.binary_cross_entropy if loss == "bce" else losses.mean_squared_error
            self.loss = function(logits, goals, setting.precision, gradient=back.source)
        sums = [accumulated(gradients[owner], own, setting.precision) for owner, own in copies.values()]
        self.forward = [*self.lowered.forward, *goals_steps, *back.start, *self.loss.steps]
        self.backward = [*back.steps, *sums]
        self.program = Program([*self.forward, *self.backward, *update])
