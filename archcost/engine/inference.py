"""The programs of inference for a number of images: what packs the weights, and what runs."""

from __future__ import annotations

from archcost.engine.lowering import Lowered, Setting
from archcost.engine.program import Program
from archcost.engine.team import Team
from archcost.graph import Graph
from archcost.kernels.arena import side_by_side


class Inference:
    """What computes a batch of a fixed size.

    Args:
        graph: the network.
        images: size of the batch.
        setting: machine, precision, parameters.

    Attributes:
        images: size of the batch.
        inputs, outputs: name -> array (N, ...) of the graph's shape for what enters and leaves.
        logits: the first output before a final softmax, (N, ...).
        memory: of the activations.
        prepare: packs the weights.
        program: computes the outputs.
        lowered: what the programs were made from; gone after ``settle``.
        version: of the parameters that are packed.
    """

    @side_by_side()
    def __init__(self, graph: Graph, images: int, setting: Setting) -> None:
        lowered = Lowered(graph, images, setting, training=False)
        self.images = images
        self.inputs, self.outputs, self.logits, self.memory = (
            lowered.inputs, lowered.outputs, lowered.logits, lowered.memory
        )  # fmt: skip
        steps = [*lowered.forward, *lowered.finish]
        self.prepare = Program([step for step in steps if step.prepares])
        self.program = Program([step for step in steps if not step.prepares])
        self.lowered = lowered
        self.version = -1

    def settle(self, team: Team) -> None:
        """Pack the weights for the last time: each array goes that no other step reads, as soon as it is packed.

        Who calls it has let go of the parameters, so that the steps alone keep them.
        """
        del self.lowered
        steps = list(reversed(self.prepare.steps))
        self.prepare = Program(())
        while steps:
            Program([steps.pop()]).run(team)
