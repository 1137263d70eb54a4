"""What is measured when nothing else is asked for, in one place."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from typing import Any

from archcost.errors import UsageError, did_you_mean
from archcost.zoo.catalogue import CATALOGUE, load, options

SECTIONS = ("inference", "training", "startup", "memory")
"""Parts of a run, in their order."""

MODELS = (
    "lenet", "alexnet", "vgg16", "googlenet", "inception_v3", "plain34", "resnet18", "resnet34", "resnet50",
    "resnet101", "resnet152", "seresnet50", "mobilenet_v1", "mobilenet_v2", "efficientnet_b0", "efficientnet_b1",
    "efficientnet_b4",
)  # fmt: skip
"""Networks of the lecture whose inference is measured; ``--models`` takes any of the catalogue."""

QUICK_MODELS = ("lenet", "resnet18", "mobilenet_v2")

BATCHES = (1, 8)
"""Images of a batch of inference."""

MEMORY_MODELS = ("alexnet", "vgg16", "googlenet", "resnet50", "mobilenet_v2", "efficientnet_b0")
QUICK_MEMORY_MODELS = ("resnet18",)


@dataclass(frozen=True)
class Case:
    """A network and what is done with it.

    Attributes:
        model: name in the catalogue.
        batch: images of a batch.
        resolution: rows and columns of an image; None for the network's own.
        classes: outputs of the classifier; None for the network's own.
        optimizer: "adam" or "momentum" for training steps; empty for inference.
        inputs: how many batches are taken in turn. A small network must not learn its images by heart while it is
            timed, since gradients that vanish take another time to compute.
    """

    model: str
    batch: int
    resolution: int | None = None
    classes: int | None = None
    optimizer: str = ""
    inputs: int = 1

    @property
    def options(self) -> dict[str, object]:
        """Options of the architecture. Training has no dropout, so that the losses of two programs can be compared."""
        known = options(self.model) if self.optimizer else {}
        chosen: dict[str, object] = {name: 0.0 for name in ("dropout", "drop_path") if name in known}
        if self.resolution is not None:
            chosen["resolution"] = self.resolution
        if self.classes is not None:
            chosen["num_classes"] = self.classes
        return chosen

    def as_dict(self) -> dict[str, Any]:
        """Return the case as plain values."""
        return asdict(self)


TRAINING = (
    Case("lenet", 64, optimizer="adam", inputs=64),
    Case("alexnet", 8, optimizer="momentum"),
    Case("resnet18", 8, optimizer="momentum"),
    Case("resnet18", 128, 32, 10, optimizer="momentum"),
    Case("mobilenet_v2", 8, optimizer="momentum"),
)
"""Training steps that are measured."""


def inference_cases(models: Sequence[str], batches: Iterable[int]) -> list[Case]:
    """Return every network at every size of a batch, network by network."""
    sizes = list(batches)
    return [Case(model, batch) for model in models for batch in sizes]


def training_cases(models: Sequence[str] | None, *, quick: bool) -> list[Case]:
    """Return the training steps to measure: of the named networks, or the first one alone."""
    if models is None:
        return list(TRAINING[:1] if quick else TRAINING)
    return [case for case in TRAINING if case.model in models]


def chosen_models(patterns: Iterable[str]) -> list[str]:
    """Return the catalogue's networks that the patterns name (``resnet50``, ``vgg*``), each once, in their order.

    Raises:
        UsageError: for a pattern that names none, or a network that is not run on images of a fixed size.
    """
    found: list[str] = []
    for pattern in patterns:
        names = [name for name in CATALOGUE if fnmatchcase(name, pattern)]
        if not names:
            raise UsageError(f"`--models`: no network is called {pattern!r}{did_you_mean(pattern, CATALOGUE)}")
        found += [name for name in names if name not in found]
    return found


def classes_of(case: Case) -> int:
    """Return how many classes the network of a case tells apart."""
    graph = load(case.model, **case.options)
    return graph.shapes[graph.outputs[0]][-1]
