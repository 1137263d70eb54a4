"""What the catalogue knows about a network before it is built."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

from archcost.geometry import Shape

IMAGE_224: Shape = (3, 224, 224)
IMAGE_299: Shape = (3, 299, 299)

RecipeName = Literal[
    "he", "glorot", "he_mobile", "variance_scaling", "nasnet", "lenet", "alexnet", "googlenet", "googlenet_bn",
    "squeezenet", "efficientnet", "convnext", "deeplab",
]  # fmt: skip
"""How the first values of the parameters are drawn; what the names mean, and why: ``engine.recipes``."""


class Entry(NamedTuple):
    """One name of the catalogue.

    Attributes:
        target: ``"module:function"`` below ``archcost.zoo``; nothing is imported until the network is asked for.
        paper: key into ``papers.PAPERS``.
        variant: which of the networks of that name it is; the title of every table states it.
        preset: keyword arguments that make this entry of the function's family.
        input_size: shape of one image by default.
        lecture: whether ``archcost compare`` shows it when no model is named (the architectures of the lecture).
        initial: recipe of the first values of its parameters when it is trained from scratch.
    """

    target: str
    paper: str
    variant: str
    preset: Mapping[str, object] = {}
    input_size: Shape = IMAGE_224
    lecture: bool = False
    initial: RecipeName = "he"
