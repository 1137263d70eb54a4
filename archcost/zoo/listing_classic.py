"""Catalogue entries: LeNet, AlexNet, VGG, the Inception family, SqueezeNet."""

from __future__ import annotations

from archcost.geometry import Shape
from archcost.zoo.entry import Entry

IMAGE_299: Shape = (3, 299, 299)

VGG: dict[str, Entry] = {
    f"vgg{depth}{suffix}": Entry(
        "vgg:vgg",
        "vgg",
        f"configuration {letter}{text}",
        {"configuration": letter, "batch_norm": suffix == "_bn"},
        lecture=depth in (16, 19) and not suffix,
    )
    for suffix, text in (("", ""), ("_bn", " with BatchNorm"))
    for letter, depth in (("A", 11), ("B", 13), ("D", 16), ("E", 19))
}

ENTRIES: dict[str, Entry] = {
    "lenet": Entry(
        "lenet:lenet", "lenet", "LeNet-5 as the lecture counts it: plain pooling", {}, (1, 32, 32), lecture=True
    ),
    "lenet5_1998": Entry(
        "lenet:lenet5_1998", "lenet", "paper: trained subsampling, partial C3, radial basis output", {}, (1, 32, 32)
    ),
    "alexnet": Entry(
        "alexnet:alexnet", "alexnet", "2012 paper: two GPUs, response norm", {}, (3, 227, 227), lecture=True
    ),
    "alexnet_owt": Entry("alexnet:alexnet_owt", "alexnet_owt", "2014, one tower; torchvision's alexnet"),
    **VGG,
    "vgg11_lrn": Entry(
        "vgg:vgg", "vgg", "configuration A-LRN", {"configuration": "A", "response_norm": True}
    ),
    "vgg13_shallow": Entry(
        "vgg:vgg", "vgg", "configuration B, each pair of 3x3 as one 5x5", {"configuration": "B shallow"}
    ),
    "vgg16_c": Entry(
        "vgg:vgg", "vgg", "configuration C, three 1x1 convolutions", {"configuration": "C"}
    ),
    **{
        f"squeezenet{release.replace('.', '_')}": Entry(
            "squeezenet:squeezenet", "squeezenet", f"v{release}, no bypass", {"release": release}
        )
        for release in ("1.0", "1.1")
    },
}
