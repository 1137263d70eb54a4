"""How fast inference is beside torch eager, in one process, with the same weights.

    python benchmarks/speed_against_torch.py [NETWORKS] [--batch 1] [--threads 2] [--rounds 40]

Torch runs in eager and inference mode; every BatchNorm that follows a convolution is folded into it with
``torch.nn.utils.fusion`` on the graph of ``torch.fx``; maps lie with channels first or last in memory, whichever is
faster here. Both get the image as NumPy or torch array in the usual order and give the scores.

Two protocols. Interleaved: each round runs both once, in changing order, and gives one ratio; before each pass there is
a pause, because the threads that a runtime leaves spinning would take processors from the other. Apart: all passes of
one, then all of the other, without pauses, first passes not counted; the ratio is that of the medians. The ratio is
torch's time over archcost's: above 1, archcost is faster. Needs torch and torchvision: pip install "archcost[bench]".
"""

from __future__ import annotations

import argparse
import gc
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numba
import numpy as np
import numpy.typing as npt
from torchvision_twins import module_of, network_of, torch_and_torchvision, torchvision_names

import archcost
from archcost.engine.team import thread_count
from archcost.errors import UsageError, did_you_mean
from archcost.zoo.catalogue import entry as catalogue_entry

NETWORKS = ("resnet50", "vgg16", "mobilenet_v2")
LAYOUTS = {"channels first": "contiguous_format", "channels last": "channels_last"}
Pass = Callable[[], Any]


class Settings(NamedTuple):
    """How it is measured: images, threads, rounds that count, seconds of pause before an interleaved pass."""

    batch: int
    threads: int
    rounds: int
    pause: float

    @property
    def warm_up(self) -> int:
        """Passes that do not count."""
        return max(3, self.rounds // 10)


def seconds(run: Pass) -> float:
    """Return how long one pass takes."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def measured(run: Pass, settings: Settings) -> list[float]:
    """Return the times of many passes in a row, after some that do not count."""
    for _ in range(settings.warm_up):
        run()
    return [seconds(run) for _ in range(settings.rounds)]


def interleaved(ours: Pass, theirs: Pass, settings: Settings) -> tuple[list[float], list[float]]:
    """Return the times of passes in turn, in changing order, each after a pause."""
    times: dict[Pass, list[float]] = {ours: [], theirs: []}
    for turn in range(settings.warm_up + settings.rounds):
        for run in (ours, theirs) if turn % 2 else (theirs, ours):
            time.sleep(settings.pause)
            times[run].append(seconds(run))
    return times[ours][settings.warm_up :], times[theirs][settings.warm_up :]


def folded(torch: Any, module: Any) -> tuple[Any, int]:
    """Return the module with BatchNorms folded into the convolutions before them, and how many are left."""
    traced = torch.fx.symbolic_trace(module)
    parts = dict(traced.named_modules())
    left = 0
    for node in [*traced.graph.nodes]:
        if node.op != "call_module" or not isinstance(parts[node.target], torch.nn.BatchNorm2d):
            continue
        before = node.args[0]
        fits = before.op == "call_module" and isinstance(parts[before.target], torch.nn.Conv2d)
        if not fits or len(before.users) > 1:
            left += 1
            continue
        fused = torch.nn.utils.fusion.fuse_conv_bn_eval(parts[before.target], parts[node.target])
        scope, _, name = before.target.rpartition(".")
        setattr(traced.get_submodule(scope), name, fused)
        parts[before.target] = fused
        node.replace_all_uses_with(before)
        traced.graph.erase_node(node)
    traced.recompile()
    return traced, left


def torch_pass(torch: Any, module: Any, images: npt.NDArray[np.float32], layout: str) -> Pass:
    """Return a pass of torch from an image with channels first to the scores."""
    form = getattr(torch, LAYOUTS[layout])
    placed = module.to(memory_format=form)
    tensor = torch.from_numpy(images)

    def run() -> Any:
        with torch.inference_mode():
            return placed(tensor.contiguous(memory_format=form))

    return run


def row(name: str, settings: Settings) -> str:
    """Measure one network and return its line of the table."""
    torch, _ = torch_and_torchvision()
    module = module_of(name, 0)
    network = network_of(name, module, threads=settings.threads)
    shape = (settings.batch, *catalogue_entry(name).input_size)
    images = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    fused, left = folded(torch, module)
    del module
    gc.collect()

    layouts = {
        layout: statistics.median(measured(torch_pass(torch, fused, images, layout), settings._replace(rounds=10)))
        for layout in LAYOUTS
    }
    layout = min(layouts, key=layouts.__getitem__)

    def ours() -> Any:
        return network(images)

    theirs = torch_pass(torch, fused, images, layout)
    wanted = theirs().numpy()
    error = np.abs(ours() - wanted).max() / np.abs(wanted).max()
    pairs = [other / own for own, other in zip(*interleaved(ours, theirs, settings))]
    low, high = np.percentile(pairs, [10, 90])
    alone, other_alone = (statistics.median(measured(run, settings)) for run in (ours, theirs))
    print(f"{name}: load average {load()}", file=sys.stderr)
    return (
        f"| {name} | {statistics.median(pairs):.2f} | {low:.2f} to {high:.2f} | {other_alone / alone:.2f} "
        f"| {1e3 * alone:.2f} ms | {1e3 * other_alone:.2f} ms | {layout} | {left} | {error:.0e} |"
    )


def load() -> str:
    """Return the load average of the last minute, where the platform knows it."""
    return f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"


def processor() -> str:
    """Return the processor's name and how many processors this process may use."""
    name = platform.processor() or platform.machine()
    information = Path("/proc/cpuinfo")
    if information.exists():
        lines = information.read_text(encoding="utf-8").splitlines()
        name = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), name)
    return f"{name}, {thread_count()} processors"


def main() -> None:
    """Measure and print a Markdown table."""
    known = torchvision_names()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", default=NETWORKS, metavar="NETWORK")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=40, help="passes of each that count, in each protocol")
    parser.add_argument("--pause", type=float, default=20.0, help="milliseconds before an interleaved pass")
    arguments = parser.parse_args()
    for name in arguments.networks:
        if name not in known:
            parser.error(f"torchvision has no twin of {name!r}{did_you_mean(name, known)}")
    if arguments.batch < 1 or arguments.rounds < 1 or arguments.pause < 0:
        parser.error("--batch and --rounds must be at least 1, --pause at least 0")
    try:
        threads = thread_count(arguments.threads)
    except UsageError as error:
        parser.error(str(error))

    torch, torchvision = torch_and_torchvision()
    torch.set_num_threads(threads)
    settings = Settings(arguments.batch, threads, arguments.rounds, arguments.pause / 1000)
    print(
        f"{processor()}; {platform.system()}, Python {platform.python_version()}, NumPy {np.__version__}, Numba "
        f"{numba.__version__}, archcost {archcost.__version__}, torch {torch.__version__}, torchvision "
        f"{torchvision.__version__}; batch {settings.batch}, {settings.threads} threads, float32; load average "
        f"{load()} at the start\n"
    )
    print("| network | torch / archcost, interleaved | p10 to p90 | apart | archcost | torch | torch's layout "
          "| BatchNorms not folded | outputs differ by |")  # fmt: skip
    print("|---|---:|---:|---:|---:|---:|---|---:|---:|")
    for name in arguments.networks:
        print(row(name, settings), flush=True)


if __name__ == "__main__":
    main()
