"""Catalogue entries: networks for small devices, and those that compound scaling and search made of them."""

from __future__ import annotations

from archcost.zoo.efficientnet_scaling import EFFICIENTNET, EFFICIENTNET_V2
from archcost.zoo.entry import Entry

EFFICIENTNET_OF_PAPER = tuple(f"b{number}" for number in range(8))
"""Those of Tan & Le 2019, which torchvision has."""

ENTRIES: dict[str, Entry] = {
    "mobilenet_v1": Entry(
        "mobilenet_v1:mobilenet_v1", "mobilenet_v1", "paper, ReLU6", lecture=True, initial="he_mobile"
    ),
    "mobilenetv1_125": Entry(
        "mobilenet_v1:mobilenet_v1", "mobilenet_v1", "timm, width 1.25", {"width": 1.25}, initial="he_mobile"
    ),
    "se_mobilenet_v1": Entry("mobilenet_v1:mobilenet_v1", "senet", "squeeze-and-excitation, r = 16", {"squeeze": True}),
    "mobilenet_v2": Entry("mobilenet_v2:mobilenet_v2", "mobilenet_v2", "paper", lecture=True, initial="he_mobile"),
    **{
        f"mobilenetv2_{round(100 * width):03}": Entry(
            "mobilenet_v2:mobilenet_v2",
            "mobilenet_v2",
            f"timm, width {width}",
            {"width": width, "port": "timm"},
            initial="he_mobile",
        )
        for width in (0.35, 0.5, 0.75, 1.4)
    },
    **{
        f"mobilenetv2_{round(100 * width):03}d": Entry(
            "mobilenet_v2:mobilenet_v2",
            "mobilenet_v2",
            f"timm, width {width}, depth {depth}, first and last layers not scaled",
            {"width": width, "depth": depth, "fix_ends": True, "port": "timm"},
            initial="he_mobile",
        )
        for width, depth in ((1.1, 1.2), (1.2, 1.4))
    },
    "shufflenet_v1": Entry("shufflenet_v1:shufflenet_v1", "shufflenet_v1", "paper, 3 groups"),
    "se_shufflenet_v1": Entry(
        "shufflenet_v1:shufflenet_v1", "senet", "3 groups, squeeze-and-excitation, r = 16", {"squeeze": True}
    ),
    **{
        f"shufflenet_v2_x{str(width).replace('.', '_')}": Entry(
            "shufflenet_v2:shufflenet_v2", "shufflenet_v2", f"width {width}", {"width": width}
        )
        for width in (0.5, 1.0, 1.5, 2.0)
    },
    **{
        f"mobilenet_v3_{size}": Entry(
            "mobilenet_v3:mobilenet_v3", "mobilenet_v3", f"paper, {size}", {"size": size}, initial="he_mobile"
        )
        for size in ("large", "small")
    },
    **{
        f"mobilenetv3_{size}_{round(100 * width):03}": Entry(
            "mobilenet_v3:mobilenet_v3",
            "mobilenet_v3",
            f"timm, {size}, width {width}",
            {"size": size, "width": width, "port": "timm"},
            initial="he_mobile",
        )
        for size, width in (("large", 0.75), ("small", 0.75), ("small", 0.5))
    },
    **{
        f"tf_mobilenetv3_{size}_minimal_100": Entry(
            "mobilenet_v3:mobilenet_v3",
            "mobilenet_v3",
            f"{size}, minimalistic: no SE, no 5x5, no hard swish",
            {"size": size, "minimalistic": True, "port": "tf"},
            initial="he_mobile",
        )
        for size in ("large", "small")
    },
    **{
        f"mnasnet{str(width).replace('.', '_')}": Entry(
            "mnasnet:mnasnet", "mnasnet", f"B1, width {width}", {"width": width}, initial="efficientnet"
        )
        for width in (0.5, 0.75, 1.0, 1.3)
    },
    "semnasnet_100": Entry("mnasnet:mnasnet_a1", "mnasnet", "A1, with squeeze-and-excitation", initial="efficientnet"),
    "ghostnet_100": Entry("ghostnet:ghostnet", "ghostnet", "paper", initial="he_mobile"),
    **{
        f"efficientnet_{scale}": Entry(
            "efficientnet:efficientnet",
            "efficientnet",
            f"width {coefficients.width}, depth {coefficients.depth}" + (", no SE" if scale.startswith("lite") else ""),
            {"scale": scale, **({} if scale in EFFICIENTNET_OF_PAPER else {"port": "tf"})},
            (3, coefficients.resolution, coefficients.resolution),
            lecture=scale in EFFICIENTNET_OF_PAPER,
            initial="efficientnet",
        )
        for scale, coefficients in EFFICIENTNET.items()
    },
    **{
        f"efficientnet_v2_{scale}" if scale in ("s", "m", "l") else f"tf_efficientnetv2_{scale}": Entry(
            "efficientnet_v2:efficientnet_v2",
            "efficientnet_v2",
            f"width {coefficients.width}, depth {coefficients.depth}" if scale.startswith("b") else scale.upper(),
            {"scale": scale, **({} if scale in ("s", "m", "l") else {"port": "tf"})},
            (3, coefficients.resolution, coefficients.resolution),
            initial="efficientnet",
        )
        for scale, coefficients in EFFICIENTNET_V2.items()
    },
    "nasnetalarge": Entry("nasnet:nasnet", "nasnet", "NASNet-A, 6 @ 4032", {}, (3, 331, 331), initial="nasnet"),
    "nasnetamobile": Entry(
        "nasnet:nasnet", "nasnet", "NASNet-A, 4 @ 1056", {"repeats": 4, "features": 1056, "stem": 32}, initial="nasnet"
    ),
    "pnasnet5large": Entry("pnasnet:pnasnet", "pnasnet", "N = 4, F = 216", {}, (3, 331, 331), initial="nasnet"),
}
