"""What the catalogue knows about a network before it is built."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from archcost.geometry import Shape

IMAGE_224: Shape = (3, 224, 224)
IMAGE_299: Shape = (3, 299, 299)


class Entry(NamedTuple):
    """One name of the catalogue.

    Attributes:
        target: ``"module:function"`` below ``archcost.zoo``; nothing is imported until the network is asked for.
        paper: key into ``papers.PAPERS``.
        variant: which of the networks of that name it is; the title of every table states it.
        preset: keyword arguments that make this entry of the function's family.
        input_size: shape of one image by default.
        lecture: whether ``archcost compare`` shows it when no model is named (the architectures of the lecture).
    """

    target: str
    paper: str
    variant: str
    preset: Mapping[str, object] = {}
    input_size: Shape = IMAGE_224
    lecture: bool = False
