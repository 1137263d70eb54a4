"""Whether archcost reads torchvision's networks from ONNX as what they are, and computes from the file what others do.

    python benchmarks/torchvision_onnx.py [NAME...] [--resolution own|small] [--output FILE]

Each network of the catalogue that torchvision has gets random weights, is exported by PyTorch's exporter as it stands
(nothing folded), and imported: parameters and mult-adds must be those of the catalogue, which the tests hold to exact
figures of torchvision. Then ONNX Runtime and archcost's engine run the file on the same image; the error is the largest
difference over the largest output. ``small`` runs images of 96x96 where a network can process them (the
exporter cannot write all adaptive poolings then).

Ends with 1 if a count is another, or an error above 1e-4. Needs torch, torchvision, onnx and onnxruntime:
pip install "archcost[onnx,bench]".
"""

from __future__ import annotations

import argparse
import gc
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from onnx_agreement import BAR, graph_of, onnx_outputs
from torchvision_twins import module_of, torch_and_torchvision, torchvision_names

from archcost.engine.network import Network
from archcost.errors import did_you_mean
from archcost.graph import Graph
from archcost.interop.model import open_model, open_weights
from archcost.interop.weights import load_into
from archcost.report.rows import rows_of, total


class Counts(NamedTuple):
    """What must be the same."""

    params: int
    mult_adds: int


def counts(graph: Graph) -> Counts:
    """Return parameters and mult-adds of a graph."""
    sums = total(list(rows_of(graph, frozenset())))
    return Counts(sums["params"], sums["mult_adds"])


def exported(name: str, shape: tuple[int, ...], path: Path) -> None:
    """Write torchvision's network with random weights as ONNX."""
    torch, _ = torch_and_torchvision()
    module = module_of(name, seed=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter warns of what it traces
        torch.onnx.export(
            module, (torch.zeros(1, *shape),), str(path), dynamo=False, do_constant_folding=False,
            training=torch.onnx.TrainingMode.PRESERVE,
        )  # fmt: skip


def error_of(path: Path, graph: Graph) -> float:
    """Return how far archcost is from ONNX Runtime."""
    shape = graph.shapes[graph.inputs[0].name]
    images = np.random.default_rng(1).standard_normal((1, *shape)).astype(np.float32)
    wanted = onnx_outputs(path, [images])[0]
    network = Network(graph)
    state: Any = open_weights(str(path), {})
    load_into(network, state)
    found = np.asarray(network(images))
    return float(np.abs(found - wanted).max() / np.abs(wanted).max())


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", help="names of the catalogue (default: all that torchvision has)")
    parser.add_argument("--resolution", choices=("own", "small"), default="own")
    parser.add_argument("--output", type=Path, help="write the table to this file too")
    arguments = parser.parse_args()
    known = torchvision_names()
    for name in arguments.names:
        if name not in known:
            print(f"{name}: torchvision has no such network{did_you_mean(name, known)}", file=sys.stderr)
            return 2
    lines = ["| network | input | params | mult-adds | as counted | error |", "|---|---|---:|---:|---|---:|"]
    print("\n".join(lines), flush=True)
    good = True
    for name in arguments.names or known:
        start = time.perf_counter()
        own = graph_of(name, arguments.resolution)
        shape = own.shapes[own.inputs[0].name]
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "network.onnx"
            exported(name, shape, path)
            graph = open_model(str(path))
            found, error = counts(graph), error_of(path, graph)
        same = found == counts(own)
        good = good and same and error <= BAR
        size = "x".join(map(str, shape))
        lines.append(
            f"| {name} | {size} | {found.params:,} | {found.mult_adds:,} | {'yes' if same else 'NO'} | {error:.1e} |"
        )
        print(lines[-1], flush=True)
        print(f"{name}: {time.perf_counter() - start:.1f} s", file=sys.stderr, flush=True)
        gc.collect()
    if arguments.output:
        arguments.output.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
