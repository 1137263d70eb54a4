"""The profile of a network as a table: time, speed and share of the roofline for each layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from archcost.graph import Graph
from archcost.report.formats import Cell, Table

if TYPE_CHECKING:
    from archcost.engine.timing import LayerTime, Profile

SCHEMA = "archcost.profile/1"


def profile_table(graph: Graph, profile: Profile, images: int, depth: int) -> Table:
    """Return one line a layer, or a scope cut at ``depth`` levels, and the total."""
    machine = profile.machine
    together = sum(layer.seconds for layer in profile.layers)
    rows: list[tuple[Cell, ...]] = []
    for name, layers in _folded(profile.layers, depth).items():
        rows.append(_line(name, layers, together, machine.peak, machine.read))
    rows.append(_line("sum of the layers", profile.layers, together, machine.peak, machine.read))
    headers = ("layer", "time us", "spread us", "%", "GFLOP/s", "GB/s", "FLOP/byte", "% of roofline")
    work = sum(layer.flops for layer in profile.layers)
    pace = f"{work / profile.total / 1e9:.1f} GFLOP/s, {images / profile.total:.1f} images/s"
    speeds = f"{machine.peak:.0f} GFLOP/s in registers, {machine.read:.1f} GB/s read, {machine.copy:.1f} GB/s copied"
    notes = (
        f"one pass as a whole: {1e3 * profile.total:.3f} ms, {pace}\n"
        f"machine, measured now with {machine.threads} threads: {speeds}; ridge at {machine.ridge:.1f} FLOP/byte\n"
        "roofline: the smaller of the peak and FLOP/byte x read bandwidth; above 100% a layer lives in the caches"
    )
    title = f"{graph.title}, batch of {images}, {machine.precision}"
    return Table(title, headers, tuple(rows), notes, (100, 100, 30, 60, 90, 50, 40, 80))


def _folded(layers: Sequence[LayerTime], depth: int) -> dict[str, list[LayerTime]]:
    groups: dict[str, list[LayerTime]] = {}
    for layer in layers:
        name = layer.name if depth < 0 else ".".join(layer.name.split(".")[: max(1, depth)])
        groups.setdefault(name, []).append(layer)
    return groups


def _line(name: str, layers: Sequence[LayerTime], together: float, peak: float, bandwidth: float) -> tuple[Cell, ...]:
    seconds = sum(layer.seconds for layer in layers)
    spread = sum(layer.spread for layer in layers)
    work, moved = sum(layer.flops for layer in layers), sum(layer.bytes for layer in layers)
    bound = sum(max(layer.flops / peak, layer.bytes / bandwidth) / 1e9 for layer in layers)
    return (
        name,
        f"{1e6 * seconds:.1f}",
        f"{1e6 * spread:.1f}",
        f"{100 * seconds / together:.1f}%",
        f"{work / seconds / 1e9:.1f}",
        f"{moved / seconds / 1e9:.1f}",
        f"{work / moved:.1f}" if moved else "",
        f"{100 * bound / seconds:.0f}%",
    )


def as_dict(graph: Graph, profile: Profile, images: int) -> dict[str, object]:
    """Return the profile as plain values: the schema ``archcost.profile/1``, seconds and bytes."""
    return {
        "schema": SCHEMA,
        "model": {"name": graph.name, "variant": graph.variant},
        "batch_size": images,
        "total_seconds": profile.total,
        "machine": {**profile.machine._asdict(), "ridge": profile.machine.ridge},
        "layers": [asdict(layer) for layer in profile.layers],
    }
