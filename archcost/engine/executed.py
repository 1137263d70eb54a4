"""What a training program executes, counted from its steps and not from the graph.

Every builder of a step that multiplies writes down what its loops do (``Step.mult_adds``), from the sizes that these
loops run over. Whether that is what the graph predicts is asked elsewhere (``archcost.train.accounting``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from archcost.engine.program import grouped
from archcost.engine.training import Training
from archcost.kernels.step import Step


class Executed(NamedTuple):
    """Multiply-adds of one run of a training program, for its whole batch.

    Attributes:
        forward: of the forward pass and the loss.
        to_inputs: of gradients to the inputs of layers.
        to_weights: of gradients to weights.
        recomputed: of activations that are computed again on the way back.
    """

    forward: int
    to_inputs: int
    to_weights: int
    recomputed: int = 0

    @property
    def total(self) -> int:
        """All of them."""
        return self.forward + self.to_inputs + self.to_weights + self.recomputed


def executed(training: Training) -> Executed:
    """Return the multiply-adds of one run of a training program.

    Args:
        training: the program; it need not have run.
    """
    return _executed(training.forward, training.backward)


def executed_by_node(training: Training) -> dict[str, Executed]:
    """Return the multiply-adds of one run by the node of the graph that they are executed for.

    Args:
        training: the program; it need not have run.

    Returns:
        Name -> multiply-adds, of every node that has steps; what belongs to no node (the loss) stands under "".
    """
    forward, backward = dict(grouped(training.forward)), dict(grouped(training.backward))
    return {name: _executed(forward.get(name, []), backward.get(name, [])) for name in {**forward, **backward}}


def _executed(forward: Sequence[Step], backward: Sequence[Step]) -> Executed:
    return Executed(
        sum(step.mult_adds for step in forward),
        sum(step.mult_adds for step in backward if not (step.for_weights or step.recomputes)),
        sum(step.mult_adds for step in backward if step.for_weights),
        sum(step.mult_adds for step in backward if step.recomputes),
    )
