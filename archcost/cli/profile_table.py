"""The profile of a network as a table: time, speed and share of the roofline for each layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from archcost.graph import Graph
from archcost.report.formats import Cell, Table

if TYPE_CHECKING:
    from archcost.engine.timing import LayerTime, Profile, TrainingProfile
    from archcost.kernels.profile_machine import Roofline

SCHEMA = "archcost.profile/1"

TRAINING_SCHEMA = "archcost.profile-training/1"

MEASURES = ("time us", "spread us", "%", "GFLOP/s", "GB/s", "FLOP/byte", "% of roofline")

ROOFLINE_NOTE = (
    "roofline: the smaller of the peak and FLOP/byte x read bandwidth; above 100% a layer lives in the caches"
)


def profile_table(graph: Graph, profile: Profile, images: int, depth: int) -> Table:
    """Return one line a layer, or a scope cut at ``depth`` levels, and the total."""
    together = sum(layer.seconds for layer in profile.layers)
    rows: list[tuple[Cell, ...]] = []
    for name, layers in _folded(profile.layers, depth).items():
        rows.append((name, *_measures(layers, together, profile.machine)))
    rows.append(("sum of the layers", *_measures(profile.layers, together, profile.machine)))
    notes = "\n".join(
        [_whole("pass", profile, images), *_methods(profile.layers), _machine(profile.machine), ROOFLINE_NOTE]
    )
    title = f"{graph.title}, batch of {images}, {profile.machine.precision}"
    return Table(title, ("layer", *MEASURES), tuple(rows), notes, (100, 100, 30, 60, 90, 50, 40, 80))


def training_table(graph: Graph, profile: TrainingProfile, images: int, depth: int) -> Table:
    """Return one line a layer, or a scope cut at ``depth`` levels, with its time forward and backward; and the total.

    The other measures are of both ways together.
    """
    together = sum(layer.seconds for layer in profile.layers)
    forward, backward = _folded(profile.forward, depth), _folded(profile.backward, depth)
    rows: list[tuple[Cell, ...]] = []
    for name in [*forward, *(name for name in backward if name not in forward)]:
        there, back = forward.get(name, []), backward.get(name, [])
        rows.append(_both_ways(name, there, back, together, profile.machine))
    rows.append(_both_ways("(loss)", [profile.loss], [], together, profile.machine))
    there = [*profile.forward, profile.loss]
    rows.append(_both_ways("sum of the layers", there, profile.backward, together, profile.machine))
    notes = (
        f"{_whole('training step', profile, images)}\n"
        "forward, loss (softmax cross-entropy) and backward (gradients to inputs and to parameters); no optimizer\n"
        f"{_machine(profile.machine)}\n{ROOFLINE_NOTE}"
    )
    title = f"{graph.title}, training step, batch of {images}, {profile.machine.precision}"
    headers = ("layer", "forward us", "backward us", *MEASURES)
    return Table(title, headers, tuple(rows), notes, (100, 95, 95, 100, 20, 60, 90, 50, 40, 80))


def _whole(what: str, profile: Profile | TrainingProfile, images: int) -> str:
    """Return the speed of the whole, which is measured apart from the layers."""
    work = sum(layer.flops for layer in profile.layers)
    pace = f"{work / profile.total / 1e9:.1f} GFLOP/s, {images / profile.total:.1f} images/s"
    return f"one {what} as a whole: {1e3 * profile.total:.3f} ms, {pace}"


def _methods(layers: Sequence[LayerTime]) -> list[str]:
    """Return a line for each fast way, whose speed is that of the products that are counted; and one for pairs."""
    names: dict[str, list[str]] = {}
    for layer in layers:
        if layer.method:
            names.setdefault(layer.method, []).append(layer.name)
    pairs = [f"{layer.name} with {layer.also}" for layer in layers if layer.also]
    return [
        *(
            f"by {method}, with fewer products than are counted ({_switch(method)}=off for none): {', '.join(found)}"
            for method, found in names.items()
        ),
        *([f"computed together (ARCHCOST_FUSED_PAIRS=off for none): {', '.join(pairs)}"] if pairs else []),
    ]


def _switch(method: str) -> str:
    """Return the variable that switches a fast way off, which is named after who found it."""
    return f"ARCHCOST_{method.partition(' ')[0].upper()}"


def _machine(machine: Roofline) -> str:
    speeds = f"{machine.peak:.0f} GFLOP/s in registers, {machine.read:.1f} GB/s read, {machine.copy:.1f} GB/s copied"
    return f"machine, measured now with {machine.threads} threads: {speeds}; ridge at {machine.ridge:.1f} FLOP/byte"


def _folded(layers: Sequence[LayerTime], depth: int) -> dict[str, list[LayerTime]]:
    groups: dict[str, list[LayerTime]] = {}
    for layer in layers:
        name = layer.name if depth < 0 else ".".join(layer.name.split(".")[: max(1, depth)])
        groups.setdefault(name, []).append(layer)
    return groups


def _both_ways(
    name: str, forward: Sequence[LayerTime], backward: Sequence[LayerTime], together: float, machine: Roofline
) -> tuple[Cell, ...]:
    ways = [f"{1e6 * sum(layer.seconds for layer in way):.1f}" if way else None for way in (forward, backward)]
    return (name, *ways, *_measures([*forward, *backward], together, machine))


def _measures(layers: Sequence[LayerTime], together: float, machine: Roofline) -> tuple[Cell, ...]:
    seconds = sum(layer.seconds for layer in layers)
    spread = sum(layer.spread for layer in layers)
    work, moved = sum(layer.flops for layer in layers), sum(layer.bytes for layer in layers)
    bound = sum(max(layer.flops / machine.peak, layer.bytes / machine.read) / 1e9 for layer in layers)
    return (
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
        **_head(SCHEMA, graph, profile, images),
        "layers": [asdict(layer) for layer in profile.layers],
    }


def training_dict(graph: Graph, profile: TrainingProfile, images: int) -> dict[str, object]:
    """Return the profile as plain values: the schema ``archcost.profile-training/1``, seconds and bytes."""
    return {
        **_head(TRAINING_SCHEMA, graph, profile, images),
        "forward": [asdict(layer) for layer in profile.forward],
        "loss": asdict(profile.loss),
        "backward": [asdict(layer) for layer in profile.backward],
    }


def _head(schema: str, graph: Graph, profile: Profile | TrainingProfile, images: int) -> dict[str, object]:
    return {
        "schema": schema,
        "model": {"name": graph.name, "variant": graph.variant},
        "batch_size": images,
        "total_seconds": profile.total,
        "machine": {**profile.machine._asdict(), "ridge": profile.machine.ridge},
    }
