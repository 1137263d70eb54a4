"""Catalogue entries: residual and densely connected networks."""

from __future__ import annotations

from archcost.zoo.entry import Entry

ENTRIES: dict[str, Entry] = {
    **{
        f"resnet{depth}": Entry(
            "resnet:resnet",
            "resnet",
            "shortcut B" if depth < 50 else "v1.5, stride in the 3x3, shortcut B",
            {"depth": depth},
            lecture=depth in (18, 34, 50, 101, 152),
        )
        for depth in (18, 34, 50, 101, 152)
    },
    **{
        f"resnet{depth}_v1": Entry(
            "resnet:resnet",
            "resnet",
            "paper, shortcut A" if depth < 50 else "paper, stride in the first 1x1, shortcut B",
            {"depth": depth, "shortcut": "A" if depth < 50 else "B", "stride_in_1x1": True},
        )
        for depth in (18, 34, 50, 101, 152)
    },
    **{
        f"plain{depth}": Entry(
            "resnet:resnet", "resnet", "no shortcuts", {"depth": depth, "shortcut": "none"}, lecture=depth == 34
        )
        for depth in (18, 34)
    },
}
