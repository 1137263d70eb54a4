"""Catalogue entries: LeNet, AlexNet, VGG, the Inception family, SqueezeNet."""

from __future__ import annotations

from archcost.zoo.entry import IMAGE_299, Entry

VGG: dict[str, Entry] = {
    f"vgg{depth}{suffix}": Entry(
        "vgg:vgg",
        "vgg",
        f"configuration {letter}{text}",
        {"configuration": letter, "batch_norm": suffix == "_bn"},
        lecture=depth in (16, 19) and not suffix,
        initial="he_mobile" if suffix else "glorot",
    )
    for suffix, text in (("", ""), ("_bn", " with BatchNorm"))
    for letter, depth in (("A", 11), ("B", 13), ("D", 16), ("E", 19))
}

ENTRIES: dict[str, Entry] = {
    "lenet": Entry(
        "lenet:lenet", "lenet", "LeNet-5 as the lecture counts it: plain pooling", {}, (1, 32, 32), lecture=True
    ),
    "lenet5_1998": Entry(
        "lenet:lenet5_1998",
        "lenet",
        "paper: trained subsampling, partial C3, radial basis output",
        {},
        (1, 32, 32),
        initial="lenet",
    ),
    "alexnet": Entry(
        "alexnet:alexnet",
        "alexnet",
        "2012 paper: response norm, overlapping pooling",
        {},
        (3, 227, 227),
        lecture=True,
        initial="alexnet",
    ),
    "alexnet_owt": Entry(
        "alexnet:alexnet_owt", "alexnet_owt", "2014, one tower; torchvision's alexnet", initial="alexnet"
    ),
    **VGG,
    "vgg11_lrn": Entry(
        "vgg:vgg", "vgg", "configuration A-LRN", {"configuration": "A", "response_norm": True}, initial="glorot"
    ),
    "vgg13_shallow": Entry(
        "vgg:vgg",
        "vgg",
        "configuration B, each pair of 3x3 as one 5x5",
        {"configuration": "B shallow"},
        initial="glorot",
    ),
    "vgg16_c": Entry(
        "vgg:vgg", "vgg", "configuration C, three 1x1 convolutions", {"configuration": "C"}, initial="glorot"
    ),
    "googlenet": Entry(
        "googlenet:googlenet", "googlenet", "paper: 5x5 branches, response norm", lecture=True, initial="googlenet"
    ),
    "googlenet_bn": Entry(
        "googlenet_bn:googlenet_bn",
        "googlenet",
        "torchvision's googlenet: BatchNorm, 3x3 for 5x5",
        initial="googlenet_bn",
    ),
    "inception_module_naive": Entry(
        "googlenet:inception_module",
        "googlenet",
        "no 1x1 before 3x3 and 5x5",
        {"reduction": False},
        (192, 28, 28),
        initial="googlenet",
    ),
    "inception_module": Entry(
        "googlenet:inception_module",
        "googlenet",
        "module 3a, reduced by 1x1",
        {"reduction": True},
        (192, 28, 28),
        initial="googlenet",
    ),
    "bn_inception": Entry(
        "bn_inception:bn_inception", "bn_inception", "Figure 5 of the paper", initial="variance_scaling"
    ),
    "se_inception": Entry("bn_inception:bn_inception", "senet", "BN-Inception, reduction 16", {"se_reduction": 16}),
    "inception_v3": Entry(
        "inception_v3:inception_v3",
        "inception_v3",
        "torchvision's, batch-normalised",
        {},
        IMAGE_299,
        initial="variance_scaling",
    ),
    "inception_v4": Entry(
        "inception_v4:inception_v4", "inception_v4", "paper", {}, IMAGE_299, initial="variance_scaling"
    ),
    "inception_resnet_v2": Entry(
        "inception_resnet_v2:inception_resnet_v2",
        "inception_v4",
        "as released in TF-slim",
        {},
        IMAGE_299,
        initial="variance_scaling",
    ),
    "xception": Entry(
        "xception:xception", "xception", "paper; timm's legacy_xception", {}, IMAGE_299, initial="glorot"
    ),
    **{
        f"xception{depth}": Entry(
            "xception_aligned:xception_aligned",
            "deeplab_v3_plus",
            "aligned, of DeepLab v3+",
            {"depth": depth},
            IMAGE_299,
            initial="deeplab",
        )
        for depth in (41, 65, 71)
    },
    **{
        f"squeezenet{release.replace('.', '_')}": Entry(
            "squeezenet:squeezenet", "squeezenet", f"v{release}, no bypass", {"release": release}, initial="squeezenet"
        )
        for release in ("1.0", "1.1")
    },
}
