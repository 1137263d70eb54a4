"""Whether archcost computes what torch computes: outputs and gradients of torchvision's networks, same weights.

    python benchmarks/torch_agreement.py [--forward NAMES] [--gradients NAMES] [--resolution own|small] [--output FILE]

Forward: inference of every network of the catalogue that torchvision has; the error is the largest difference over the
largest output. Gradients: of the mean softmax cross-entropy by every parameter, in training mode with batch
statistics, dropout and drop path off; the error of a parameter is the norm of the difference over the norm of torch's
gradient. A run of torch in float64 says how far each of the two is from the truth, and which gradients are zero in
exact arithmetic (such as a bias in front of BatchNorm: a float64 norm below 1e-10 of the largest parameter's): of those
both compute rounding errors only, and they are listed apart. A run of torch with channels last in memory says how far
torch is from itself.

ReLU and max pooling decide: where rounding turns a decision, a whole element of the gradient comes or goes. With a
share s of the elements turned, gradients are off by about sqrt(s): one in a million, 1e-3. In float32 at full
resolution no two programs agree better, unless their roundings are the same. Hence the bar for gradients: 1e-3, or
what torch's worst gradient is off from float64 or from itself where that is more. ``--dtype float64`` turns no
decision; ``--smooth`` takes the decisions out of both (SiLU for ReLU, average for max pooling) and shows what the sums
in float32 are worth.

Ends with 1 if an output is off by more than 1e-4, or a gradient by more than the bar. Names after ``--forward`` or
``--gradients`` replace the default; no name means none. Needs torch and torchvision: pip install "archcost[bench]".
"""

from __future__ import annotations

import argparse
import gc
import statistics
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from torchvision_twins import module_of, network_of, own_name, torch_and_torchvision, torchvision_names

from archcost.engine.network import Network
from archcost.errors import did_you_mean
from archcost.kernels.target import Precision
from archcost.zoo.catalogue import entry as catalogue_entry

FORWARD_BAR, GRADIENT_BAR = 1e-4, 1e-3
SMALL = 96
"""Rows and columns of ``--resolution small``: what every network can process."""

ZERO = 1e-10
"""Share of the largest gradient's norm below which a float64 gradient is zero in exact arithmetic."""

GRADIENTS = ("resnet18", "mobilenet_v2", "efficientnet_b0", "googlenet_bn")

Array = npt.NDArray[Any]


class Task(NamedTuple):
    """What is compared.

    Attributes:
        precision: element type.
        resolution: rows and columns; None for each network's own.
        seed: of weights and images.
        weights: which weights (``torchvision_twins.module_of``).
        smooth: whether ReLU and max pooling are replaced.
    """

    precision: Precision
    resolution: int | None
    seed: int
    weights: str
    smooth: bool

    def size(self, name: str) -> int:
        """Return the rows and columns of the images."""
        return self.resolution or catalogue_entry(name).input_size[1]

    def module(self, name: str) -> Any:
        """Return torchvision's network in float32."""
        return module_of(name, self.seed, self.weights, smooth=self.smooth)

    def network(self, name: str, module: Any) -> Network:
        """Return archcost's network with the weights of ``module``."""
        return network_of(name, module, self.resolution, self.precision, smooth=self.smooth)


class Errors(NamedTuple):
    """Relative errors of all gradients that are not zero in exact arithmetic.

    Attributes:
        by_name: parameter -> error.
    """

    by_name: Mapping[str, float]

    @property
    def worst(self) -> float:
        """The largest error."""
        return max(self.by_name.values())

    def beyond(self, bar: float) -> int:
        """Return how many gradients are off by more than ``bar``, or not a number at all."""
        return sum(not error <= bar for error in self.by_name.values())

    def __str__(self) -> str:
        return f"{self.worst:.1e} | {statistics.median(self.by_name.values()):.1e}"


class Report:
    """Lines that are printed as they come, and kept for the file."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def add(self, *lines: str) -> None:
        """Print and keep."""
        self.lines += lines
        print(*lines, sep="\n", flush=True)


def forward_error(name: str, task: Task, batch: int) -> tuple[float, float]:
    """Return the largest difference over the largest output, and the largest output."""
    torch, _ = torch_and_torchvision()
    module = task.module(name)
    size = task.size(name)
    images = np.random.default_rng(task.seed).standard_normal((batch, 3, size, size)).astype(task.precision)
    with torch.inference_mode():
        wanted = module.to(getattr(torch, task.precision))(torch.from_numpy(images)).numpy()
    network = task.network(name, module)
    del module  # the largest networks take gigabytes, and archcost packs the weights once more
    found = network(images)
    if not isinstance(found, np.ndarray) or found.shape != wanted.shape:
        raise TypeError(f"{name}: not the outputs of torchvision's")
    largest = float(np.abs(wanted).max())
    error = float(np.abs(found.astype("float64") - wanted).max()) / largest
    return error if np.isfinite(found).all() else float("inf"), largest


def torch_gradients(
    module: Any, images: Array, labels: Array, precision: Precision, layout: str = "contiguous_format"
) -> tuple[float, dict[str, Array]]:
    """Return torch's loss and gradients in training mode, with maps in a memory layout of torch's."""
    torch, _ = torch_and_torchvision()
    form = {"dtype": getattr(torch, precision), "memory_format": getattr(torch, layout)}
    module.to(**form).train().zero_grad()
    scores = module(torch.from_numpy(images).to(**form))
    loss = torch.nn.functional.cross_entropy(scores, torch.from_numpy(labels))
    loss.backward()
    gradients = {name: value.grad.numpy().astype("float64") for name, value in module.named_parameters()}
    return float(loss.detach()), gradients


def compared(found: Mapping[str, Array], wanted: Mapping[str, Array], names: list[str]) -> Errors:
    """Return the relative error of each gradient, in the norm over its elements."""
    errors = {}
    for name in names:
        right = wanted[name]
        difference = found[own_name(name, found)].reshape(right.shape) - right
        errors[name] = float(np.linalg.norm(difference.ravel()) / np.linalg.norm(right.ravel()))
    return Errors(errors)


class GradientRow(NamedTuple):
    """What the comparison of one network's gradients found.

    Attributes:
        loss: relative difference of the loss to torch's.
        ours: archcost to torch.
        ours_to_float64: archcost to torch in float64.
        torch_to_float64: torch to torch in float64.
        torch_to_itself: torch with channels last in memory to torch with channels first.
        zeros: how many gradients are zero in exact arithmetic.
        remains: the largest norm that archcost gives one of these, over the largest gradient's.
    """

    loss: float
    ours: Errors
    ours_to_float64: Errors
    torch_to_float64: Errors
    torch_to_itself: Errors
    zeros: int
    remains: float

    @property
    def bar(self) -> float:
        """What is allowed between archcost and torch."""
        return max(GRADIENT_BAR, self.torch_to_float64.worst, self.torch_to_itself.worst)


def gradient_row(name: str, task: Task, batch: int) -> GradientRow:
    """Return how the gradients of one network agree."""
    size, random = task.size(name), np.random.default_rng(task.seed)
    images = random.standard_normal((batch, 3, size, size)).astype("float32")
    labels = random.integers(0, 1000, batch)
    module = task.module(name)
    network = task.network(name, module)
    loss, found = network.loss_and_gradients(images.astype(task.precision), labels)
    del network
    gc.collect()
    wanted_loss, wanted = torch_gradients(module, images, labels, task.precision)
    _, again = torch_gradients(module, images, labels, task.precision, "channels_last")
    _, exact = torch_gradients(module, images, labels, "float64")
    norms = {parameter: float(np.linalg.norm(value.ravel())) for parameter, value in exact.items()}
    largest = max(norms.values())
    names = [parameter for parameter, norm in norms.items() if norm > ZERO * largest]
    zeros = [parameter for parameter in norms if parameter not in names]
    remains = [float(np.linalg.norm(found[own_name(parameter, found)].ravel())) for parameter in zeros]
    return GradientRow(
        abs(loss - wanted_loss) / abs(wanted_loss),
        compared(found, wanted, names),
        compared(found, exact, names),
        compared(wanted, exact, names),
        compared(again, wanted, names),
        len(zeros),
        max(remains, default=0.0) / largest,
    )


def forward_table(report: Report, names: list[str], task: Task, batch: int) -> list[str]:
    """Report the outputs of all networks; return what missed the bar."""
    missed = []
    report.add(
        f"Forward, {task.precision}, batch {batch}; bar {FORWARD_BAR:.0e}", "",
        "| network | input | largest output | error |", "|---|---|---:|---:|",
    )  # fmt: skip
    errors = []
    for name in names:
        start = time.perf_counter()
        error, largest = forward_error(name, task, batch)
        size = task.size(name)
        report.add(f"| {name} | 3x{size}x{size} | {largest:.2g} | {error:.1e} |")
        print(f"{name}: {time.perf_counter() - start:.1f} s", file=sys.stderr)
        errors.append(error)
        if not error <= FORWARD_BAR:
            missed.append(f"{name}: output off by {error:.1e}")
        gc.collect()
    report.add("", f"{len(names)} networks, worst {max(errors):.1e}, median {statistics.median(errors):.1e}", "")
    return missed


def gradient_table(report: Report, names: list[str], task: Task, batch: int) -> list[str]:
    """Report the gradients of all networks; return what missed the bar."""
    missed = []
    report.add(
        f"Gradients, {task.precision}, batch {batch}, training mode; worst and median relative error over the "
        "parameters", "",
        f"| network | input | loss | archcost to torch | | within {GRADIENT_BAR:.0e} | torch to itself | "
        "| archcost to float64 | | torch to float64 | | zero in exact arithmetic, our largest |",
        "|---|---|" + "---:|" * 11,
    )  # fmt: skip
    for name in names:
        start = time.perf_counter()
        row, size = gradient_row(name, task, batch), task.size(name)
        count = len(row.ours.by_name)
        zeros = f"{row.zeros}, {row.remains:.0e}" if row.zeros else "none"
        report.add(
            f"| {name} | 3x{size}x{size} | {row.loss:.1e} | {row.ours} | {count - row.ours.beyond(GRADIENT_BAR)} of "
            f"{count} | {row.torch_to_itself} | {row.ours_to_float64} | {row.torch_to_float64} | {zeros} |"
        )
        print(f"{name}: {time.perf_counter() - start:.1f} s", file=sys.stderr)
        if beyond := row.ours.beyond(row.bar):
            missed.append(f"{name}: {beyond} of {count} gradients are off by more than {row.bar:.1e}")
        gc.collect()
    report.add("")
    return missed


def main() -> None:
    """Compare and print Markdown tables."""
    known = torchvision_names()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--forward", nargs="*", default=[*known], metavar="NAME", help="default: all")
    parser.add_argument("--gradients", nargs="*", default=[*GRADIENTS], metavar="NAME")
    parser.add_argument("--resolution", choices=("own", "small"), default="own", help=f"small: {SMALL}x{SMALL}")
    parser.add_argument("--batch", type=int, default=1, help="images forward")
    parser.add_argument("--gradient-batch", type=int, default=8, help="images of the gradients")
    parser.add_argument("--dtype", choices=("float32", "float64"), default="float32")
    parser.add_argument(
        "--weights", choices=("drawn", "initial"), default="drawn", help="torchvision's first, or drawn"
    )
    parser.add_argument("--smooth", action="store_true", help="SiLU for ReLU, average for max pooling, in both")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, metavar="FILE", help="write the tables there too")
    arguments = parser.parse_args()
    for name in (*arguments.forward, *arguments.gradients):
        if name not in known:
            parser.error(f"torchvision has no twin of {name!r}{did_you_mean(name, known)}")

    torch, torchvision = torch_and_torchvision()
    size = SMALL if arguments.resolution == "small" else None
    task = Task(arguments.dtype, size, arguments.seed, arguments.weights, arguments.smooth)
    report = Report()
    report.add(
        f"torch {torch.__version__}, torchvision {torchvision.__version__}; {task.weights} weights"
        + task.smooth * ", smooth",
        "",
    )
    missed = forward_table(report, arguments.forward, task, arguments.batch) if arguments.forward else []
    if arguments.gradients:
        missed += gradient_table(report, arguments.gradients, task, arguments.gradient_batch)
    report.add(*(missed or ["No bar is missed."]))
    if arguments.output:
        arguments.output.write_text("\n".join([*report.lines, ""]), encoding="utf-8")
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
