"""Say what limits each network of the lecture, layer by layer, and write it into the README.

    python benchmarks/rooflines.py [--batch 1] [--threads 2] [--runs 30] [NETWORK ...]

``archcost profile`` measures every layer beside this machine's roofline: the smaller of the peak of its multipliers and
of what memory delivers for the layer's FLOPs per byte. Here its lines are added up: how near a network comes to the
peak; the share of its time in layers whose bound is the multipliers, whose bound is the memory, and that hardly compute
(pooling, sums, scaling); and how fast it would be if every layer ran at its bound.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from archcost.engine.network import Network
from archcost.engine.timing import LayerTime, Profile, profiled
from archcost.files import write_whole
from archcost.report.formats import as_markdown
from archcost.zoo.catalogue import load

README = Path(__file__).resolve().parent.parent / "README.md"
BEGIN, END = "<!-- rooflines: begin -->", "<!-- rooflines: end -->"
NETWORKS = (
    "lenet", "alexnet", "vgg16", "googlenet", "resnet18", "resnet50", "mobilenet_v1", "mobilenet_v2", "seresnet50",
    "efficientnet_b0",
)  # fmt: skip
HARDLY = 0.3
"""FLOPs for each byte below which a layer hardly computes; a dense layer at batch 1 has 0.5."""


def limit(layer: LayerTime, profile: Profile) -> str:
    """Return what bounds a layer: "multipliers", "memory" or "little work"."""
    if layer.flops < HARDLY * layer.bytes:
        return "little work"
    machine = profile.machine
    return "multipliers" if layer.flops / machine.peak >= layer.bytes / machine.read else "memory"


def row(name: str, profile: Profile) -> tuple[str, ...]:
    """Return a network's row."""
    layers, machine = profile.layers, profile.machine
    together = sum(layer.seconds for layer in layers)
    shares = {
        kind: sum(layer.seconds for layer in layers if limit(layer, profile) == kind) / together
        for kind in ("multipliers", "memory", "little work")
    }
    flops = sum(layer.flops for layer in layers)
    slowest = max(layers, key=lambda layer: layer.seconds)
    return (
        name,
        f"{1e3 * profile.total:.2f}",
        f"{flops / profile.total / 1e9:.0f}",
        f"{flops / profile.total / 1e9 / machine.peak:.0%}",
        *(f"{share:.0%}" for share in shares.values()),
        f"{slowest.name} ({slowest.seconds / together:.0%})",
    )


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", default=NETWORKS)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--runs", type=int, default=30)
    arguments = parser.parse_args()
    rows, machine = [], ""
    for name in arguments.networks:
        profile = profiled(Network(load(name), threads=arguments.threads), arguments.batch, arguments.runs)
        rows.append(row(name, profile))
        bound = profile.machine
        machine = (
            f"{bound.peak:.0f} GFLOP/s in registers, {bound.read:.0f} GB/s read; ridge at {bound.ridge:.1f} FLOP/byte"
        )
    headers = ("network", "ms", "GFLOP/s", "of the peak", "bound by multipliers", "by memory", "little work", "slowest")
    table = as_markdown(headers, rows)
    content = f"Batch of {arguments.batch}, float32, {arguments.threads} threads; {machine}.\n\n{table}\n"
    before, begin, rest = README.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"the README has no {BEGIN} ... {END}")
    write_whole(README, f"{before}{begin}\n\n{content}\n{end}{after}")
    print(content)


if __name__ == "__main__":
    main()
