"""The programs of inference for a number of images: what packs the weights, and what runs."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

import numpy as np

from archcost.engine.lowering import Lowered, Setting
from archcost.engine.program import FIRST_ARGUMENT, Program
from archcost.engine.team import Team
from archcost.graph import Graph
from archcost.kernels.arena import side_by_side
from archcost.kernels.layout import Array
from archcost.kernels.step import Step


class Entrance:
    """How an input comes to the program: it reads the caller's array where that lies, if it can.

    A copy of a photograph of 600 KB costs as much as a small layer: reading, writing, and what it drives out of caches.

    Args:
        plain: the program's own array of the input.
        program: its steps read ``plain``.

    Attributes:
        arguments: those that point into ``plain``; none if it is read in other ways than through first arguments.
    """

    def __init__(self, plain: Array, program: Program) -> None:
        self._plain, self._dtype, self._start = plain, plain.dtype, _address(plain)
        readers = sum(any(np.may_share_memory(plain, array) for array in step.arrays) for step in program.steps)
        found = program.arguments_in(plain)
        is_known = len(found) == readers and all(argument.column == FIRST_ARGUMENT for argument in found)
        self.arguments = found if is_known else []

    def open(self, values: Array) -> None:
        """Let the program read ``values``, in place or as a copy.

        It is plain Python: what is seldom used of NumPy is slow when a network has just driven it out of the caches.
        """
        flags = values.flags
        if not self.arguments or values.dtype != self._dtype or not (flags.c_contiguous and flags.aligned):
            self._plain[...] = values
            return
        start = _address(values)
        for words, place, offset, _ in self.arguments:
            words[place] = start + offset

    def close(self) -> None:
        """Let the program read its own array again."""
        for words, place, offset, _ in self.arguments:
            words[place] = self._start + offset


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
        # Not all steps of the stage, which would keep the plain weights.
        self._by_image = lowered.stage.by_image
        self.version = -1
        self._entrances = [Entrance(plain, self.program) for plain in self.inputs.values()]

    def run(self, batch: Sequence[Array], team: Team) -> None:
        """Compute the outputs of a batch: for each input an array (N, ...) of the graph's shape."""
        try:
            for entrance, values in zip(self._entrances, batch):
                entrance.open(values)
            self.program.run(team)
        finally:
            for entrance in self._entrances:
                entrance.close()

    def steps(self) -> list[Step]:
        """Return the steps of the program, cut by the nodes that they work for, to be measured one after the other."""
        by_image = self._by_image
        if by_image is None:
            return list(self.program.steps)
        return [one for step in self.program.steps for one in (by_image.apart() if step is by_image.step else (step,))]

    def settle(self, team: Team) -> None:
        """Pack the weights for the last time: each array goes that no other step reads, as soon as it is packed.

        Who calls it has let go of the parameters, so that the steps alone keep them.
        """
        del self.lowered
        steps = list(reversed(self.prepare.steps))
        self.prepare = Program(())
        while steps:
            Program([steps.pop()]).run(team)


def _address(array: Array) -> int:
    """Return where an array of at least one element starts, in the least time."""
    try:
        return ctypes.addressof(ctypes.c_char.from_buffer(array))  # type: ignore[arg-type]
    except TypeError:  # one that cannot be written into
        address: int = array.__array_interface__["data"][0]
        return address
