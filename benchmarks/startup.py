"""How long a whole ``archcost summary`` process takes, beside the same table by torchinfo and fvcore.

    python benchmarks/startup.py [--runs 15] [--peer-python PYTHON]

Every round runs each command once, in turn, in a process of its own; the medians of the paired ratios are printed, so
that a busy machine disturbs all of them alike. The peers are skipped, with a line that says so, where torchvision,
torchinfo or fvcore cannot be imported; ``--peer-python`` names an interpreter that has them (and archcost need not be
installed there).
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

BARE = "import click, tabulate"
TORCHINFO = """
import torch, torchvision, torchinfo
print(torchinfo.summary(torchvision.models.resnet50(), (1, 3, 224, 224), verbose=0))
"""
FVCORE = """
import torch, torchvision
from fvcore.nn import FlopCountAnalysis, flop_count_table
print(flop_count_table(FlopCountAnalysis(torchvision.models.resnet50().eval(), torch.zeros(1, 3, 224, 224))))
"""


def seconds(command: list[str], environment: dict[str, str]) -> float:
    """Return how long ``command`` takes as a whole process; its output is thrown away."""
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
    return time.perf_counter() - start


def peak_memory(command: list[str], environment: dict[str, str]) -> float | None:
    """Return the peak memory of ``command`` in MiB where the platform can tell."""
    if not hasattr(os, "wait4"):  # Windows
        return None
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment) as process:
        _, _, usage = os.wait4(process.pid, 0)
        process.returncode = 0
    return usage.ru_maxrss / (1024 if sys.platform != "darwin" else 2**20)


def works(command: list[str], environment: dict[str, str]) -> bool:
    """Return whether ``command`` ends well (so that its time means something)."""
    return subprocess.run(command, check=False, capture_output=True, env=environment).returncode == 0


def main() -> None:
    """Measure and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--peer-python", default=sys.executable, help="interpreter that has the peers")
    parser.add_argument("--peer-setup", default="", help="statement to run before the peers are imported")
    arguments = parser.parse_args()

    environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
    root = str(Path(__file__).resolve().parent.parent)
    commands = {
        "python -c 'import click, tabulate'": [sys.executable, "-c", BARE],
        "archcost summary resnet50": [sys.executable, "-m", "archcost", "summary", "resnet50"],
        "torchinfo": [arguments.peer_python, "-c", f"{arguments.peer_setup}\n{TORCHINFO}"],
        "fvcore": [arguments.peer_python, "-c", f"{arguments.peer_setup}\n{FVCORE}"],
    }
    os.chdir(root)
    for name in ("torchinfo", "fvcore"):
        if not works(commands[name], environment):
            del commands[name]
            print(f"{name}: not measured, {arguments.peer_python} cannot run it", file=sys.stderr)

    times: dict[str, list[float]] = {name: [] for name in commands}
    for command in commands.values():
        seconds(command, environment)  # bytecode and file caches are warm from here on
    for _ in range(arguments.runs):
        for name, command in commands.items():
            times[name].append(seconds(command, environment))

    ours = times["archcost summary resnet50"]
    print("| whole process | median | ours / it | it / ours | peak memory |")
    print("|---|---:|---:|---:|---:|")
    for name, values in times.items():
        ratio = statistics.median(own / other for own, other in zip(ours, values))
        memory = peak_memory(commands[name], environment)
        shown = f"{memory:.0f} MiB" if memory is not None else "?"
        print(f"| {name} | {1000 * statistics.median(values):.0f} ms | {ratio:.3f} | {1 / ratio:.1f} | {shown} |")


if __name__ == "__main__":
    main()
