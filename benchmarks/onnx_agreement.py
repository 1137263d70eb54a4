"""Whether ONNX Runtime computes from an exported file what archcost computes, for every network of the catalogue.

    python benchmarks/onnx_agreement.py [NAME...] [--resolution small|own] [--batch 2] [--opset N] [--output FILE]

Each network gets random weights and random running statistics, is written as ONNX, checked by onnx.checker with full
shape inference, run by ONNX Runtime and by archcost's engine on the same images, and read back. The error is the
largest difference over the largest output, over all outputs. In some deep networks random weights make values grow from
block to block until sigmoid gates turn at rounding errors: no two programs agree there. Such a network is tried once
more with branches that add a quarter of that, as trained ones do ("quiet").

Ends with 1 if an error is above 1e-4, a file is not accepted, or the network that is read back has other parameters or
mult-adds (FLOPs and activations that differ are listed). ``small`` takes images of 96x96 where a network can process
them. Needs onnx and onnxruntime: pip install "archcost[onnx,bench]".
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from archcost.engine.network import Network
from archcost.errors import ArchcostError
from archcost.graph import Graph
from archcost.interop.model import open_model
from archcost.interop.onnx.writing import DEFAULT, write_onnx
from archcost.ops import BatchNorm2d
from archcost.ops.activation import Activation
from archcost.report.rows import rows_of, total
from archcost.zoo.catalogue import CATALOGUE, entry, load

BAR = 1e-4
SMALL = 96
BRANCH = 0.25


class Result(NamedTuple):
    """What was found about one network.

    Attributes:
        size: rows and columns of the images.
        error: largest difference over the largest output.
        largest: the largest output.
        changed: costs that are not the same after the way out and back in: name -> (before, after).
        seconds: all that it took.
        quiet: whether branches are a quarter as large.
    """

    size: int
    error: float
    largest: float
    changed: dict[str, tuple[int, int]]
    seconds: float
    quiet: bool = False

    @property
    def good(self) -> bool:
        """Whether the outputs agree, and parameters and mult-adds are the same."""
        return self.error <= BAR and not {"params", "mult_adds"} & set(self.changed)


def graph_of(name: str, resolution: str) -> Graph:
    """Return the network at a small size if it can process that, else at its own."""
    if resolution == "small" and entry(name).input_size[1] > SMALL:
        try:
            return load(name, resolution=SMALL)
        except ArchcostError:
            pass
    return load(name)


def random_network(graph: Graph, seed: int) -> Network:
    """Return the network with its recipe's weights, and with factors, shifts and statistics that are not 1 and 0."""
    network = Network(graph, seed=seed)
    generator = np.random.default_rng(seed)
    for tensors in (network.parameters, network.buffers):
        for name in tensors:
            array = tensors[name]
            if array.ndim == 1 and array.dtype.kind == "f":
                low, high = (0.8, 1.25) if name.endswith(("weight", "running_var")) else (-0.1, 0.1)
                array[...] = array * 0 + generator.uniform(low, high, array.shape)
    return network


def onnx_outputs(path: Path, images: list[npt.NDArray[Any]]) -> list[npt.NDArray[Any]]:
    """Return what ONNX Runtime computes."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_inputs()]
    found: list[npt.NDArray[Any]] = session.run(None, dict(zip(names, images)))
    return found


def costs(graph: Graph) -> dict[str, int]:
    """Return the totals that must survive the way out and back in."""
    sums = total(list(rows_of(graph, frozenset())))
    return {name: sums[name] for name in ("params", "mult_adds", "flops", "activations")}


def compared(name: str, arguments: argparse.Namespace) -> Result:
    """Compare one network; if it does not agree as it starts, once more with small branches."""
    start = time.perf_counter()
    graph = graph_of(name, arguments.resolution)
    network = random_network(graph, 0)
    result = measured(network, arguments)
    if not result.error <= BAR:
        make_branches_small(network)
        result = measured(network, arguments)._replace(quiet=True)
    return result._replace(seconds=time.perf_counter() - start)


def make_branches_small(network: Network) -> None:
    """Multiply the factors of every BatchNorm that ends a branch: no activation follows it."""
    graph = network.graph
    activated = {name for node in graph if isinstance(node.op, Activation) for name in node.inputs}
    for node in graph:
        if isinstance(node.op, BatchNorm2d) and node.name not in activated and node.op.affine:
            network.parameters[f"{node.name}.weight"][...] *= BRANCH


def measured(network: Network, arguments: argparse.Namespace) -> Result:
    """Write, check, run and read back one network."""
    import onnx

    graph = network.graph
    images = [
        np.random.default_rng(1).standard_normal((arguments.batch, *graph.shapes[node.name])).astype(np.float32)
        for node in graph.inputs
    ]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.onnx"
        write_onnx(path, graph, {**network.parameters.arrays, **network.buffers.arrays}, arguments.opset)
        onnx.checker.check_model(str(path), full_check=True)
        wanted = onnx_outputs(path, images)
        before, after = costs(graph), costs(open_model(str(path)))
    outputs = network(images if len(images) > 1 else images[0])
    found = list(outputs) if isinstance(outputs, tuple) else [outputs]
    error = largest = 0.0
    for ours, theirs in zip(found, wanted):
        if ours.shape != theirs.shape:
            raise ArchcostError(f"outputs are {ours.shape} and {theirs.shape}")
        most = float(np.abs(theirs).max())
        difference = float(np.abs(ours.astype("float64") - theirs).max()) / most
        error, largest = max(error, difference if np.isfinite(theirs).all() else float("inf")), max(largest, most)
    changed = {key: (value, after[key]) for key, value in before.items() if after[key] != value}
    return Result(graph.shapes[graph.inputs[0].name][-1], error, largest, changed, 0.0)


def main() -> int:
    """Compare all networks that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=[], help="networks (default: the whole catalogue)")
    parser.add_argument("--resolution", choices=["small", "own"], default="small")
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--opset", type=int, default=DEFAULT)
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    lines = ["| network | images | error | largest output | changed by the way out and in | s |", "|" + "---|" * 6]
    print(*lines, sep="\n")
    bad, worst = [], 0.0
    names = arguments.names or list(CATALOGUE)
    for name in names:
        try:
            result = compared(name, arguments)
        except Exception as error:  # noqa: BLE001  (onnx.checker and ONNX Runtime have exceptions of their own)
            line = f"| {name} | | {type(error).__name__}: {' '.join(str(error).split())[:300]} | | | |"
            bad.append(name)
        else:
            worst = max(worst, result.error)
            changed = ", ".join(f"{key} {old:,} -> {new:,}" for key, (old, new) in result.changed.items())
            mark = " (quiet)" if result.quiet else ""
            line = (
                f"| {name}{mark} | {result.size} | {result.error:.1e} | {result.largest:.2g} | {changed} |"
                f" {result.seconds:.1f} |"
            )
            if not result.good:
                bad.append(name)
        lines.append(line)
        print(line, flush=True)
    lines.append(
        f"\n{len(names) - len(bad)} of {len(names)} agree; largest error {worst:.1e}; {', '.join(bad) or 'none'} do not"
    )
    print(lines[-1])
    if arguments.output:
        arguments.output.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
