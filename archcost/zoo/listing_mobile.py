"""Catalogue entries: networks for small devices, and those that compound scaling and search made of them."""

from __future__ import annotations

from archcost.zoo.entry import Entry

ENTRIES: dict[str, Entry] = {
    "mobilenet_v2": Entry("mobilenet_v2:mobilenet_v2", "mobilenet_v2", "width 1", lecture=True),
    **{
        f"mobilenetv2_{round(100 * width):03}": Entry(
            "mobilenet_v2:mobilenet_v2", "mobilenet_v2", f"width {width}", {"width": width}
        )
        for width in (0.35, 0.5, 0.75, 1.3, 1.4)
    },
    **{
        f"mobilenetv2_{round(100 * width):03}d": Entry(
            "mobilenet_v2:mobilenet_v2",
            "mobilenet_v2",
            f"timm, width {width}, depth {depth}, first and last layers not scaled",
            {"width": width, "depth": depth, "fix_ends": True},
        )
        for width, depth in ((1.1, 1.2), (1.2, 1.4))
    },
}
