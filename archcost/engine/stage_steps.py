"""The steps of the first stage of inference, whose layers are computed image by image (``engine.stages``).

Each thread computes images of its own (``engine.by_image``), or, where these would not come out even, all threads share
each image.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from archcost.engine.by_image import AnyArray, ByImage, Region, Span
from archcost.engine.plan import ALONE, VALUE
from archcost.kernels.layout import Shared
from archcost.kernels.pointwise import Operand, pointwise
from archcost.kernels.step import Step
from archcost.kernels.switches import switched_on
from archcost.ops import Input

if TYPE_CHECKING:
    from archcost.engine.lowering import Lowered
    from archcost.graph import Node

IMAGES_FOR_A_THREAD = 4
"""So many, and it matters little that some threads compute one more than others."""

PARTNERS = 2
"""Threads that share the steps of an image in the end."""


class StageSteps(NamedTuple):
    """The first stage.

    Attributes:
        steps: what packs the weights and what computes, in order.
        by_image: what the threads do for images of their own; None: they share each image, or there is no such stage.
    """

    steps: tuple[Step, ...] = ()
    by_image: ByImage | None = None


def own_threads(images: int, threads: int) -> int:
    """Return how many threads compute images of their own; 0: all threads share each image.

    ``ARCHCOST_OWN_IMAGES=off`` lets them share.

    Raises:
        UsageError: if the variable is neither "on" nor "off".
    """
    if not switched_on("ARCHCOST_OWN_IMAGES") or threads < PARTNERS:
        return 0
    return threads if images % threads == 0 or images >= IMAGES_FOR_A_THREAD * threads else 0


def stage_steps(lowered: Lowered, threads: int) -> StageSteps:
    """Return the steps that compute the first stage, image by image.

    Threads with images of their own write what the second stage reads where it reads it. Otherwise it is collected,
    since the same steps compute each image.

    Args:
        lowered: the program.
        threads: that compute images of their own; 0: they share each.
    """
    whole, setting, scratch = lowered.tensors, lowered.setting, lowered.scratch
    crossing, images = lowered.plan.stage.crossing, lowered.images
    steps = [step for name in crossing for step in lowered.cleared(VALUE, name)]
    lowered.tensors = alone = lowered.tensors_for(1, VALUE, ALONE)
    if threads:
        lowered.setting, lowered.scratch = replace(setting, threads=PARTNERS), Shared(setting.precision)
    works = lowered.plan.forward[: lowered.plan.stage.works]
    entering = [work.node for work in works if isinstance(work.node.op, Input)]
    ahead = {node.name: lowered.cleared(VALUE, node.name) for node in entering}
    inside: list[Step] = []
    for work in works:
        if work.node not in entering:
            is_collected = lowered.plan.holder[work.writes] in crossing and not threads
            inside += lowered.cleared(ALONE if is_collected else VALUE, work.writes)
            inside += lowered.computed(work)
    packing = [step for step in inside if step.prepares]
    inside = [step for step in inside if not step.prepares]

    def entered(node: Node, image: int) -> list[Step]:
        return [*ahead[node.name], *lowered.entered(node, lowered.inputs[node.name][image:][:1])]

    def collected(name: str, image: int) -> Step:
        part = replace(whole[name], images=1, memory=whole[name].memory[image:][:1])
        one = alone[name]
        copy = pointwise("copy", part, [Operand.exact(one)], setting.machine, setting.precision, [one])
        return replace(copy, name=name)

    each = [
        [
            *(step for node in entering for step in entered(node, image)),
            *inside,
            *(collected(name, image) for name in (() if threads else crossing)),
        ]
        for image in range(1 if threads else images)
    ]
    by_image = None
    if threads:
        parts = [*(lowered.inputs[node.name] for node in entering), *(whole[name].memory for name in crossing)]
        constant = [*setting.parameters.values(), *setting.buffers.values(), *_packed(packing, lowered.scratch)]
        by_image = ByImage(each[0], images, threads, parts, constant)
        each = [[by_image.step]]
    lowered.tensors, lowered.setting, lowered.scratch = whole, setting, scratch
    return StageSteps((*steps, *packing, *(step for one in each for step in one)), by_image)


def _packed(packing: Sequence[Step], scratch: Shared) -> list[AnyArray]:
    """Return the arrays that these steps pack weights from or to, without the memory that others use after them."""
    reused = Region(map(Span.of, scratch.made))
    found = [array for step in packing for array in step.arrays if array.dtype.kind == "f"]
    return [array for array in found if not reused.meets(Span.of(array))]
