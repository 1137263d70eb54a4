"""Catalogue entries: residual and densely connected networks."""

from __future__ import annotations

from archcost.zoo.entry import Entry

CIFAR = (3, 32, 32)

_RESNET: dict[str, Entry] = {
    **{
        f"resnet{depth}": Entry(
            "resnet:resnet",
            "resnet",
            "shortcut B" if depth < 50 else "v1.5, stride in the 3x3, shortcut B",
            {"depth": depth},
            lecture=depth != 200,
        )
        for depth in (18, 34, 50, 101, 152, 200)
    },
    **{
        f"resnet{depth}_v1": Entry(
            "resnet:resnet",
            "resnet",
            "paper, shortcut A" if depth < 50 else "paper, stride in the first 1x1, shortcut B",
            {"depth": depth, "shortcut": "A"} if depth < 50 else {"depth": depth, "stride_in_1x1": True},
        )
        for depth in (18, 34, 50, 101, 152)
    },
    **{
        f"plain{depth}": Entry(
            "resnet:resnet", "resnet", "no shortcuts", {"depth": depth, "shortcut": "none"}, lecture=depth == 34
        )
        for depth in (18, 34)
    },
    **{
        f"resnext{depth}_{groups}x{width}d": Entry(
            "resnet:resnet",
            "resnext",
            f"{groups} groups of {width} channels, stride in the 3x3",
            {"depth": depth, "groups": groups, "width_per_group": width},
        )
        for depth, groups, width in ((50, 32, 4), (101, 32, 4), (101, 32, 8), (101, 64, 4))
    },
    **{
        f"wide_resnet{depth}_2": Entry(
            "resnet:resnet",
            "wide_resnet",
            "bottlenecks of double inner width, stride in the 3x3",
            {"depth": depth, "width_per_group": 128},
        )
        for depth in (50, 101)
    },
}

_SENET: dict[str, Entry] = {
    **{
        f"seresnet{depth}": Entry(
            "senet:senet",
            "senet",
            "biased, shortcut B" if depth < 50 else "v1.5, stride in the 3x3, biased",
            {"depth": depth},
            lecture=depth == 50,
        )
        for depth in (18, 34, 50, 101, 152)
    },
    **{
        f"seresnet{depth}_v1": Entry(
            "senet:senet",
            "senet",
            "authors' blocks, shortcut B" if depth < 50 else "paper, stride in the first 1x1, biased",
            {"depth": depth, "layout": "authors", "stride_in_1x1": depth >= 50},
        )
        for depth in (18, 34, 50, 101, 152)
    },
    **{
        f"seresnext{depth}_32x4d": Entry(
            "senet:senet",
            "senet",
            "32 groups of 4 channels, stride in the 3x3, biased",
            {"depth": depth, "groups": 32, "width_per_group": 4},
        )
        for depth in (50, 101)
    },
    "senet154": Entry("senet:senet154", "senet", "authors' network of the ILSVRC 2017 entry"),
    "se_gate": Entry("senet:se_gate", "senet", "one dense layer, no bias, no reduction", input_size=(512, 16, 16)),
}

_CIFAR_RESNET: dict[str, Entry] = {
    **{
        f"resnet{depth}_cifar": Entry(
            "cifar_resnet:cifar_resnet", "resnet", "CIFAR-10, shortcut A", {"depth": depth}, CIFAR
        )
        for depth in (20, 32, 44, 56, 110, 1202)
    },
    **{
        f"wrn_{depth}_{width}": Entry(
            "wide_resnet:wide_resnet",
            "wide_resnet",
            "CIFAR-10, pre-activation",
            {"depth": depth, "width": width},
            CIFAR,
        )
        for depth, width in (
            (40, 1), (40, 2), (40, 4), (40, 8), (28, 10), (28, 12), (22, 8), (22, 10), (16, 8), (16, 10),
        )
    },
}  # fmt: skip

_DENSENET: dict[str, Entry] = {
    **{
        f"densenet{depth}": Entry(
            "densenet:densenet", "densenet", f"BC, growth rate {48 if depth == 161 else 32}", {"depth": depth}
        )
        for depth in (121, 161, 169, 201, 264)
    },
    "densenet264d": Entry("densenet:densenet", "densenet", "BC, growth rate 48, deep stem of timm", {"depth": "264d"}),
    **{
        f"densenet_cifar_{depth}_{growth}": Entry(
            "densenet:densenet_cifar",
            "densenet",
            f"CIFAR-10, basic, growth rate {growth}",
            {"depth": depth, "growth": growth},
            CIFAR,
        )
        for depth, growth in ((40, 12), (100, 12), (100, 24))
    },
    **{
        f"densenet_bc_cifar_{depth}_{growth}": Entry(
            "densenet:densenet_cifar",
            "densenet",
            f"CIFAR-10, BC, growth rate {growth}",
            {"depth": depth, "growth": growth, "bottleneck": True},
            CIFAR,
        )
        for depth, growth in ((100, 12), (250, 24), (190, 40))
    },
}

_REGNET: dict[str, Entry] = {
    **{
        f"regnet_{family}_{regime}": Entry(
            "regnet:regnet",
            "regnet",
            f"torchvision's widths{', SE' if family == 'y' else ''}",
            {"family": family, "regime": code, "layout": "torchvision"},
            initial="he_mobile",
        )
        for family in "xy"
        for regime, code in (
            ("400mf", "004"), ("800mf", "008"), ("1_6gf", "016"), ("3_2gf", "032"), ("8gf", "080"), ("16gf", "160"),
            ("32gf", "320"), ("128gf", "1280"),
        )
        if (family, code) != ("x", "1280")
    },
    **{
        f"regnet{family}_{code}": Entry(
            "regnet:regnet",
            "regnet",
            f"paper{', SE' if family == 'y' else ''}",
            {"family": family, "regime": code, "layout": "timm"},
            initial="he_mobile",
        )
        for family in "xy"
        for code in ("002", "004", "006", "008", "016", "032", "040", "064", "080", "120", "160", "320")
    },
}  # fmt: skip

_CONVNEXT: dict[str, Entry] = {
    f"convnext_{size}": Entry(
        "convnext:convnext",
        "convnext",
        f"{size}, layer scale" + (", named as timm's" if size == "xlarge" else ""),
        {"size": size, "layout": "timm"} if size == "xlarge" else {"size": size},
        initial="convnext",
    )
    for size in ("tiny", "small", "base", "large", "xlarge")
}

ENTRIES: dict[str, Entry] = {**_RESNET, **_SENET, **_CIFAR_RESNET, **_DENSENET, **_REGNET, **_CONVNEXT}
